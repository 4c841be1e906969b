"""People who review, the desk they review at, and the races they run."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import insert, select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from tests.cases import RECEIVED, a_submission
from wiser_fhir.audit.recorder import Recorder
from wiser_fhir.auth.people import Reviewer
from wiser_fhir.coverage.catalogue import Catalogue
from wiser_fhir.db.base import person
from wiser_fhir.db.engine import transaction
from wiser_fhir.db.life import case_event
from wiser_fhir.db.sealed import EVENT
from wiser_fhir.db.vault import data_key
from wiser_fhir.priorauth.desk import Desk, Reviewing
from wiser_fhir.priorauth.determination import Determination, Grant, ItemDetermination, Outcome
from wiser_fhir.priorauth.keeping import Actor, CaseChange, NewRequest, keep, locked
from wiser_fhir.priorauth.models import (
    CaseStatus,
    Identifier,
    ItemStatus,
    PriorAuthorization,
    Submission,
)
from wiser_fhir.priorauth.numbers import LocalUtnSource, UtnSource, time_ordered_uuid
from wiser_fhir.priorauth.repository import Cases
from wiser_fhir.priorauth.review import ReviewService

CATALOGUE = Catalogue.load()
SERVICE = {"service": "epidural-steroid-injection", "rules": "2026-01-15"}
NOW = RECEIVED + timedelta(hours=5)
FOREVER = date(2099, 12, 31)

MakePerson = Callable[..., Awaitable[Reviewer]]


class Told:
    """Writes answers that say no more than a test wants to know."""

    def response(
        self, case: PriorAuthorization, line: str, request_body: bytes, at: datetime
    ) -> bytes:
        """The case's state as JSON."""
        said = {
            "status": case.status,
            "revision": case.revision,
            "utn": case.utn,
            "items": [item.status for item in case.items],
            "asked": [request.state for request in case.requests],
            "notes": case.answer.notes,
            "line": line,
            "at": at,
        }
        return orjson.dumps(said)


def a_desk(
    engine: AsyncEngine, clock: Callable[[], datetime], utn_source: UtnSource | None = None
) -> Desk:
    """The desk of an application on this engine."""
    return Desk(
        engine=engine,
        recorder=Recorder(engine, b"a key of thirty-two bytes, all ours"),
        clock=clock,
        answers=Told(),
        utn_source=utn_source or LocalUtnSource(),
        catalogue=CATALOGUE,
    )


@dataclass
class NumbersInTurn:
    """A source of unique tracking numbers that gives just these, the last one for ever."""

    numbers: list[str] = field(default_factory=list)

    def new(self, _: object) -> str:
        """The next one."""
        return self.numbers.pop(0) if len(self.numbers) > 1 else self.numbers[0]


async def insert_person(connection: AsyncConnection, **facts: Any) -> Reviewer:
    """Somebody on the list of those who review: a clinician unless told otherwise.

    They have signed in at NOW, unless told otherwise.
    """
    person_id = time_ordered_uuid()
    signed_in_at = facts.pop("signed_in_at", NOW)
    roles = facts.pop("roles", ("clinician",))
    licensed = "clinician" in roles
    row = {
        "id": person_id,
        "name": f"Dr. {person_id.hex}",
        "roles": list(roles),
        "licence_number": person_id.hex if licensed else None,
        "licence_state": "NJ" if licensed else None,
        "licence_expires": FOREVER if licensed else None,
        "npi": None,
        "specialty": "208100000X",
        "organizations": [],
        "active": True,
        **facts,
    }
    await connection.execute(insert(person).values(row))
    return Reviewer(
        person_id=person_id,
        name=row["name"],
        roles=frozenset(roles),
        npi=row["npi"],
        specialty=row["specialty"],
        organizations=frozenset(row["organizations"]),
        licence_expires=row["licence_expires"],
        signed_in_at=signed_in_at,
    )


def by(reviewer: Reviewer) -> Reviewing:
    """The person at a request of their own."""
    return Reviewing(reviewer, time_ordered_uuid())


def signed_in(reviewer: Reviewer, at: datetime) -> Reviewer:
    """The person, who signed in again."""
    return replace(reviewer, signed_in_at=at)


def affirm(sequence: int, **grant: Any) -> ItemDetermination:
    """A line affirmed, as asked unless a grant says otherwise."""
    return ItemDetermination(sequence, Outcome.AFFIRMED, grant=Grant(**grant))


def non_affirm(sequence: int) -> ItemDetermination:
    """A line not affirmed, with reasons."""
    return ItemDetermination(
        sequence,
        Outcome.NON_AFFIRMED,
        rationale="Four weeks of conservative care are not documented.",
        resubmission_steps="Send the notes of the physical therapy.",
        reasons=("0M",),
    )


def determination(*items: ItemDetermination, note: str | None = None) -> Determination:
    """A determination of these lines."""
    return Determination(items, note)


async def sent_again(
    engine: AsyncEngine,
    case: PriorAuthorization,
    submission: Submission | None = None,
    *,
    cancels: bool = False,
) -> None:
    """The provider updates a case, or cancels it, as its door would have it kept.

    What was decided is undecided again.
    """
    async with transaction(engine, case.organization_id) as db:
        before = await locked(db, case.id)
        status = ItemStatus.CANCELLED if cancels else ItemStatus.PENDED
        items = (replace(item, status=status, decision=None) for item in before.case.items)
        after = replace(
            before.case,
            revision=before.case.revision + 1,
            status=CaseStatus.CANCELLED if cancels else CaseStatus.IN_REVIEW,
            items=tuple(items),
            decided_at=None,
            valid_from=None,
            valid_until=None,
            utn=None,
        )
        asked = submission or a_submission(
            case.organization_id, trace=Identifier("https://ehr.example/traces", "trace-2")
        )
        operation = "cancel" if cancels else "update"
        change = CaseChange(
            at=NOW,
            actor=Actor(time_ordered_uuid()),
            event=f"{operation}-received",
            action=f"claim.{operation}",
            outcome=after.status,
            delivered=True,
            request=NewRequest(asked, before.line, b'{"revision": 2}', operation),
        )
        await keep(db, before, after, change, Told())


async def raced(
    engine: AsyncEngine, watcher: AsyncEngine, case: PriorAuthorization, *acts: Awaitable[Any]
) -> list[Any]:
    """What came of acts that all waited for the case's row at the same moment, in this order.

    The row is held until every one of them stands in line for it; exceptions are among the results.
    """
    running: list[asyncio.Future[Any]] = []
    async with transaction(engine, case.organization_id) as db:
        await locked(db, case.id)
        for act in acts:
            running.append(asyncio.ensure_future(act))
            await in_line(watcher, len(running))
    return await asyncio.gather(*running, return_exceptions=True)


async def in_line(watcher: AsyncEngine, how_many: int) -> None:
    """Come back when so many statements wait for a lock."""
    query = text(
        "select count(*) from pg_stat_activity"
        " where wait_event_type = 'Lock' and datname = current_database()"
    )
    async with asyncio.timeout(5):
        while True:
            async with watcher.connect() as db:
                if await db.scalar(query) == how_many:
                    return
            await asyncio.sleep(0.01)


async def rows(watcher: AsyncEngine, query: str, case_id: UUID) -> list[tuple[Any, ...]]:
    """The rows of a query about one case, `:case`, seen by somebody who sees everything."""
    async with watcher.connect() as db:
        return [tuple(row) for row in (await db.execute(text(query), {"case": case_id})).all()]


async def stored(engine: AsyncEngine, case: PriorAuthorization) -> PriorAuthorization:
    """The case as it is now."""
    async with transaction(engine, case.organization_id) as db:
        return (await Cases(db).by_id(case.id)).case


async def told(review: ReviewService, who: Reviewer, case_id: UUID) -> dict[str, Any]:
    """The latest answer about a case, as `Told` wrote it, and how many there were."""
    file = await review.case_file(by(who), case_id)
    sent = [each for each in file.messages if each.direction == "out"]
    _, body = await review.message(by(who), case_id, sent[-1].id)
    return {"answers": len(sent), **orjson.loads(body)}


async def history(watcher: AsyncEngine, case_id: UUID) -> list[tuple[Any, ...]]:
    """What happened to a case, who did it, and what they said."""
    query = select(case_event).where(case_event.c.case_id == case_id)
    async with watcher.connect() as db:
        found = (await db.execute(query.order_by(case_event.c.at, case_event.c.id))).mappings()
        events = [EVENT.open(await data_key(db, row["organization_id"]), row) for row in found]
    return [(each["kind"], each["person_id"], each["text"]) for each in events]
