"""What an inspection leaves behind, and that nobody but the owner role can say it has been."""

from collections.abc import Sequence
from uuid import uuid4

import asyncpg
import pytest
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.integration.audit.chained import Chained
from tests.integration.audit.conftest import Verify
from wiser_fhir.audit.inspection import Inspection
from wiser_fhir.audit.recorder import AuditRow, write
from wiser_fhir.db.engine import transaction
from wiser_fhir.errors import Unavailable

FOUND = (
    "select outcome, detail -> 'daily' as daily, detail -> 'decisions' as decisions"
    " from audit_event where action = 'audit.verify' order by id"
)


async def no_decision() -> Sequence[str]:
    return ()


async def rows(chained: Chained) -> list[tuple[str, bool, int | None]]:
    return [(r["outcome"], r["daily"], r["decisions"]) for r in await chained.rows(FOUND)]


def errors(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    return [(each.message, each.__dict__["error"]) for each in caplog.records]


@pytest.fixture
async def chain(chained: Chained) -> Chained:
    """Three sealed rows and a checkpoint."""
    await chained.write(3)
    await chained.seal()
    await chained.checkpoint()
    return chained


@pytest.mark.parametrize("action", ["audit.verify", "audit.export", "audit.report", "audit.read"])
async def test_the_application_says_nothing_about_the_trail(
    action: str, chained: Chained, app_engine: AsyncEngine
) -> None:
    with pytest.raises(DBAPIError, match="row-level security"):
        async with transaction(app_engine) as db:
            await write(db, AuditRow(uuid4(), action, "sound", detail={"daily": True}))


async def test_a_run_of_an_operator_is_not_the_day_s(chain: Chained, verifier: Verify) -> None:
    inspection = Inspection(verifier(), no_decision)
    [file] = chain.folder.files()
    await inspection.once(file)
    await inspection.once()
    assert await rows(chain) == [("sound", False, 0)] * 2
    await inspection.daily()
    await inspection.daily()
    assert await rows(chain) == [("sound", False, 0)] * 2 + [("sound", True, 0)]


@pytest.mark.parametrize(
    "failure", [Unavailable("away"), SQLAlchemyError("refused"), asyncpg.PostgresError()]
)
async def test_decisions_that_cannot_be_looked_at_are_not_sound(
    failure: Exception, chain: Chained, verifier: Verify, caplog: pytest.LogCaptureFixture
) -> None:
    async def fails() -> Sequence[str]:
        raise failure

    inspection = Inspection(verifier(), fails)
    assert not (await inspection.once()).sound
    assert errors(caplog) == [("decisions are not checked", type(failure).__name__)]
    await inspection.daily()
    await Inspection(verifier(), no_decision).daily()
    assert await rows(chain) == [
        ("decisions-unchecked", False, None),
        ("decisions-unchecked", True, None),
        ("sound", True, 0),
    ]


async def test_a_fault_is_told_before_the_decisions_are_looked_at(
    chain: Chained, verifier: Verify, caplog: pytest.LogCaptureFixture
) -> None:
    told = []

    async def fails() -> Sequence[str]:
        told.extend(errors(caplog))
        raise Unavailable("away")

    await chain.tamper("update audit_event set outcome = 'x'")
    finding = await Inspection(verifier(), fails).once()
    assert not finding.sound
    assert told == [("audit trail is not as it was written", "changed")]
    assert await rows(chain) == [("changed", False, None)]


async def test_changed_decisions_are_told(
    chain: Chained, verifier: Verify, caplog: pytest.LogCaptureFixture
) -> None:
    async def one() -> Sequence[str]:
        return ["case 1 1"]

    finding = await Inspection(verifier(), one).once()
    assert (finding.sound, finding.decisions) == (False, ("case 1 1",))
    assert errors(caplog) == [("audit trail is not as it was written", "changed-decisions")]
    assert await rows(chain) == [("changed-decisions", False, 1)]
