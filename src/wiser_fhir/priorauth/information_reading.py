"""Reading back what was asked for, whatever has become of it."""

from dataclasses import dataclass, replace
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from wiser_fhir.audit.recorder import AuditRow, Recorder, write
from wiser_fhir.db.engine import transaction
from wiser_fhir.db.life import information_request
from wiser_fhir.db.sealed import INFORMATION_REQUEST
from wiser_fhir.db.vault import data_key
from wiser_fhir.errors import NotFound
from wiser_fhir.priorauth.repository import Cases, StoredCase, member_of
from wiser_fhir.priorauth.rows import information_request_from
from wiser_fhir.priorauth.service import Caller


@dataclass(frozen=True, slots=True)
class InformationReader:
    """The requests for information of the caller's own cases."""

    engine: AsyncEngine
    recorder: Recorder

    async def case_of(self, caller: Caller, request_id: UUID, kind: str) -> StoredCase:
        """The case in which something was asked for. Its `requests` are those of the revision it
        was asked in, as though that were the present one. `kind` is what the door calls it.

        Raises NotFound, Unavailable.
        """
        table = information_request.c
        async with transaction(self.engine, caller.organization_id) as db:
            found = await db.execute(select(information_request).where(table.id == request_id))
            row = found.mappings().one_or_none()
            if row is None:
                raise NotFound(kind)
            beside = (
                select(information_request)
                .where(table.case_id == row["case_id"], table.revision == row["revision"])
                .order_by(table.asked_at)
            )
            requests = (await db.execute(beside)).mappings().all()
            (stored,) = await Cases(db).load([row["case_id"]])
            audit = AuditRow(
                request_id=caller.request_id,
                action=f"{kind.lower()}.read",
                outcome="read",
                organization_id=caller.organization_id,
                client_id=caller.principal.client_id,
                object_kind="information-request",
                object_id=str(request_id),
                patient=self.recorder.patient(await member_of(db, row["case_id"])),
            )
            await write(db, audit)
            key = await data_key(db, caller.organization_id)
        asked = (information_request_from(INFORMATION_REQUEST.open(key, row)) for row in requests)
        return replace(stored, case=replace(stored.case, requests=tuple(asked)))
