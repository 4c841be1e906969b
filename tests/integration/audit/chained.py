"""Rows on the trail, their seals, and what somebody with all rights does to them."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from wiser_fhir.audit.chain import Keyring
from wiser_fhir.audit.checkpoints import CheckpointFolder, CheckpointWriter, SigningKeys
from wiser_fhir.audit.recorder import AuditRow, Recorder
from wiser_fhir.audit.sealing import TrailSealer
from wiser_fhir.clock import utc_now

MASTER = bytes(range(32))


@dataclass(frozen=True)
class Chained:
    """The audit trail of a test."""

    app: AsyncEngine
    superuser: AsyncEngine
    signers: SigningKeys
    folder: CheckpointFolder

    async def write(self, count: int = 1, **facts: Any) -> None:
        """Rows, each in a transaction of its own, as the application writes them."""
        recorder = Recorder(self.app, MASTER)
        for number in range(count):
            row: dict[str, Any] = {
                "request_id": uuid4(),
                "action": "claim.submit",
                "outcome": "affirmed",
                "client_id": uuid4(),
                "person_id": uuid4(),
                "object_kind": "prior-auth-case",
                "object_id": str(uuid4()),
                "patient": recorder.patient(f"member {number}"),
                "detail": {"number": number, "word": "a-b", "yes": True, "none": None},
            }
            await recorder.record(AuditRow(**(row | facts)))

    async def seal(
        self, master: bytes = MASTER, before: Sequence[bytes] = (), batch: int = 1_000
    ) -> int:
        """Seal everything that can be sealed; how many rows it was. `before`: keys of before."""
        await others_are_done(self.superuser)
        sealer = TrailSealer(self.app, Keyring.of(master, before), utc_now, batch)
        sealed = 0
        while done := await sealer():
            sealed += done
        return sealed

    async def checkpoint(self) -> None:
        """Vouch for the chain as it stands."""
        assert self.signers.signing is not None
        await CheckpointWriter(self.app, self.folder, self.signers.signing, utc_now)()

    async def rows(self, query: str) -> list[dict[str, Any]]:
        """What a superuser sees."""
        async with self.superuser.connect() as db:
            return [dict(each) for each in (await db.execute(text(query))).mappings()]

    async def tamper(self, *statements: str) -> None:
        """As a superuser, past triggers and foreign keys."""
        async with self.superuser.begin() as db:
            await db.execute(text("set local session_replication_role = replica"))
            for statement in statements:
                assert (await db.execute(text(statement))).rowcount > 0

    async def ids(self) -> list[int]:
        """The ids of rows, in the order they were sealed in."""
        found = await self.rows("select audit_id from audit_seal order by sequence")
        return [each["audit_id"] for each in found]


async def others_are_done(superuser: AsyncEngine) -> None:
    """Wait for what runs beside this test: a transaction of any database of the server holds back
    the seals of all rows that were written after it began.
    """
    running = await _others(superuser)
    async with asyncio.timeout(60):
        while running:
            await asyncio.sleep(0.01)
            running &= await _others(superuser)


async def _others(superuser: AsyncEngine) -> set[tuple[int, str]]:
    query = text(
        "select pid, backend_xid::text from pg_stat_activity where backend_xid is not null"
        " and (datname <> current_database() or backend_type = 'autovacuum worker')"
    )
    async with superuser.connect() as db:
        return {(pid, xid) for pid, xid in await db.execute(query)}
