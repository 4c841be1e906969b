"""Having the scanner look at the documents that came inside requests, before anybody may.

The way in does nothing for it: a document without a verdict is in quarantine. Two workers at one
document write one verdict.
"""

import logging
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from hashlib import sha256
from uuid import UUID, uuid4

from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from wiser_fhir.clock import Clock
from wiser_fhir.db.attachments import document_check
from wiser_fhir.db.base import document, message
from wiser_fhir.db.bodies import open_body
from wiser_fhir.db.engine import transaction
from wiser_fhir.egress.scanner import Scanner, ScannerAway, Verdict
from wiser_fhir.priorauth.attached import AttachmentState
from wiser_fhir.priorauth.in_turn import in_turn
from wiser_fhir.priorauth.keeping import Actor, CaseChange, note
from wiser_fhir.priorauth.reading import Content, Reading
from wiser_fhir.priorauth.repository import Cases

log = logging.getLogger(__name__)

# How long a request waits that could not be looked at, so that others get their turn.
_SET_ASIDE = timedelta(minutes=1)

# A request that is read again and does not have the document: nobody can be shown it.
_LOST = Verdict("wiser-fhir", "Not-Readable")

# What those who review may want to see: cases in review, and those they were resubmitted after.
_UNCHECKED = text("""
with recursive wanted (case_id, previous_utn, mbi, decide_by) as (
    select c.id, c.previous_utn, c.mbi, c.decide_by from prior_auth_case c
    where c.organization_id = :organization_id and c.status = 'in-review'
    union
    select e.id, e.previous_utn, e.mbi, w.decide_by from wanted w
    join utn u on u.organization_id = :organization_id and u.utn = w.previous_utn
    join prior_auth_case e on e.organization_id = :organization_id and e.id = u.case_id
        and e.mbi = w.mbi)
select d.case_id, d.revision from wanted w
join document d on d.organization_id = :organization_id and d.case_id = w.case_id
where not exists (select from document_check k where k.organization_id = d.organization_id
    and k.case_id = d.case_id and k.position = d.position)
group by d.case_id, d.revision
order by min(w.decide_by), d.case_id, d.revision desc limit :at_most
""")


@dataclass(frozen=True, slots=True)
class _Place:
    """A document of a case: its position there. `revision` is that of the request it came in."""

    organization_id: UUID
    case_id: UUID
    revision: int
    position: int


@dataclass(frozen=True)
class DocumentChecks:
    """The job of a worker. Without a `scanner` everything stays in quarantine.

    `at_once`: how many requests of one organization are looked at before it is another's turn.
    """

    engine: AsyncEngine
    reading: Reading
    clock: Clock
    scanner: Scanner | None
    at_once: int = 100
    _set_aside: dict[tuple[UUID, int], datetime] = field(default_factory=dict)

    async def run(self) -> int:
        """Everything there is to look at, once, for each organization. How many documents."""
        if self.scanner is None:
            return 0
        return await in_turn(self.engine, partial(self._check_all, self.scanner))

    async def _check_all(self, scanner: Scanner, organization_id: UUID) -> int:
        """The case with the nearest deadline first, and of a case the newest request.

        A scanner that is away ends it; the request is tried again later.
        """
        done = 0
        for case_id, revision in await self._waiting(organization_id):
            try:
                done += await self._check(organization_id, case_id, revision, scanner)
            except ScannerAway:
                log.warning("scanner away", extra={"case": str(case_id)})
                self._set_aside[case_id, revision] = self.clock() + _SET_ASIDE
                break
        return done

    async def _waiting(self, organization_id: UUID) -> list[tuple[UUID, int]]:
        """The requests that have a document without a verdict, but for those set aside."""
        now = self.clock()
        for over in [key for key, until in self._set_aside.items() if until <= now]:
            del self._set_aside[over]
        at_most = self.at_once + len(self._set_aside)
        values = {"organization_id": organization_id, "at_most": at_most}
        async with transaction(self.engine, organization_id) as db:
            found = [(row.case_id, row.revision) for row in await db.execute(_UNCHECKED, values)]
        return [key for key in found if key not in self._set_aside]

    async def _check(
        self, organization_id: UUID, case_id: UUID, revision: int, scanner: Scanner
    ) -> int:
        """Look at what came in one request, one document after the other. Raises ScannerAway."""
        async with transaction(self.engine, organization_id) as db:
            positions = await _positions(db, case_id, revision)
            body = await _request_body(db, case_id, revision)
        found = self.reading.documents(body)
        done = 0
        for position, unchecked in positions:
            content = next(found, None)
            if unchecked:
                place = _Place(organization_id, case_id, revision, position)
                done += await self._look_at(place, content, scanner)
        return done

    async def _look_at(self, place: _Place, content: Content | None, scanner: Scanner) -> bool:
        """Have one document's bytes looked at, unless the same were found clean before."""
        if content is None:
            return await self._keep(place, None, _LOST)
        digest = sha256(content.body).digest()
        async with transaction(self.engine, place.organization_id) as db:
            cleared_by = await db.scalar(
                select(document_check.c.scanner)
                .where(
                    document_check.c.sha256 == digest,
                    document_check.c.state == AttachmentState.CLEAR,
                )
                .limit(1)
            )
        if cleared_by is not None:
            return await self._keep(place, digest, Verdict(cleared_by))
        for file in (content.body, *content.files):
            verdict = await scanner.scan(file)
            if not verdict.clean:
                break
        return await self._keep(place, digest, verdict)

    async def _keep(self, place: _Place, digest: bytes | None, verdict: Verdict) -> bool:
        """Write a verdict, unless another worker has. A refusal stands in the case's history."""
        now = self.clock()
        row = {
            "organization_id": place.organization_id,
            "case_id": place.case_id,
            "position": place.position,
            "state": AttachmentState.CLEAR if verdict.clean else AttachmentState.REFUSED,
            "scanner": verdict.scanner,
            "finding": verdict.finding,
            "sha256": digest,
            "checked_at": now,
        }
        async with transaction(self.engine, place.organization_id) as db:
            kept = insert(document_check).values(row).on_conflict_do_nothing()
            fresh = (await db.execute(kept)).rowcount == 1
            if fresh and not verdict.clean:
                (stored,) = await Cases(db).load([place.case_id])
                await note(db, stored.case, _refusal(place, verdict, now))
        return fresh


async def _positions(db: AsyncConnection, case_id: UUID, revision: int) -> list[tuple[int, bool]]:
    """The documents of a request in the order in which they are read, and whether unchecked."""
    query = (
        select(document.c.position, document_check.c.state)
        .outerjoin_from(document, document_check)
        .where(document.c.case_id == case_id, document.c.revision == revision)
        .order_by(document.c.position)
    )
    return [(row.position, row.state is None) for row in await db.execute(query)]


async def _request_body(db: AsyncConnection, case_id: UUID, revision: int) -> bytes:
    """The request that made a revision: each of a case makes one, and no two come at once."""
    query = (
        select(message.c.organization_id, message.c.id, message.c.body)
        .where(
            message.c.case_id == case_id,
            message.c.direction == "in",
            message.c.kind.startswith("claim-"),
        )
        .order_by(message.c.at, message.c.id)
        .offset(revision - 1)
        .limit(1)
    )
    row = (await db.execute(query)).one()
    return await open_body(db, row.organization_id, row.body, "message", "body", row.id)


def _refusal(place: _Place, verdict: Verdict, now: datetime) -> CaseChange:
    return CaseChange(
        at=now,
        actor=Actor(uuid4()),
        event="document-refused",
        action="document.check",
        outcome=AttachmentState.REFUSED,
        detail={"position": place.position, "finding": verdict.finding},
        told=False,
    )
