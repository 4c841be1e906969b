"""One organization after the other: neither what was erased nor what fails stops the rest."""

from datetime import date
from uuid import UUID

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.database import MakeCase, MakeOrganization
from tests.ledger_values import a_call, an_assertion, an_audit, insert_client
from tests.vaults import destroy
from wiser_fhir.errors import Unavailable
from wiser_fhir.priorauth import in_turn
from wiser_fhir.priorauth.ledger import Ledger
from wiser_fhir.priorauth.metric_rows import Days, MetricRows

FOR_EVER = Days(date(2020, 1, 1), date(2098, 12, 31))


async def done(_: UUID) -> int:
    """Work that there is for everybody."""
    return 1


async def test_what_was_erased_has_no_turn(
    app_engine: AsyncEngine,
    owner_engine: AsyncEngine,
    make_organization: MakeOrganization,
    make_case: MakeCase,
) -> None:
    erased, ours, new = [await make_organization(name) for name in ("Closed", "Ours", "New")]
    for each in (erased, ours):
        await make_case(organization_id=each)
    await destroy(owner_engine, erased)
    for engine in (app_engine, owner_engine):
        assert set(await in_turn.readable(engine)) == {ours, new}
    assert await in_turn.in_turn(app_engine, done) == 2


async def test_one_that_fails_is_named_and_the_next_has_its_turn(
    app_engine: AsyncEngine, make_organization: MakeOrganization, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = await make_organization("First"), await make_organization("Second")
    turns = set()

    async def work(organization: UUID) -> int:
        turns.add(organization)
        if organization == first:
            raise ValueError("Jane Doe")
        return 1

    with pytest.raises(ValueError, match="Jane Doe"):
        await in_turn.in_turn(app_engine, work)
    assert turns == {first, second}
    [record] = [each for each in caplog.records if each.name == in_turn.__name__]
    assert record.getMessage() == "organization passed over"
    assert (vars(record)["organization"], vars(record)["error"]) == (str(first), "ValueError")
    assert str(second) not in str(vars(record))
    assert "Jane" not in str(vars(record))


async def test_nobody_else_has_a_turn_while_the_database_is_away(
    app_engine: AsyncEngine,
    make_organization: MakeOrganization,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    turns = [await make_organization(name) for name in ("First", "Second")]

    async def away(_: AsyncEngine) -> list[UUID]:
        raise Unavailable("The database is away.")

    async def work(organization: UUID) -> int:
        turns.remove(organization)
        monkeypatch.setattr(in_turn, "organizations", away)
        raise Unavailable("The database is away.")

    with pytest.raises(Unavailable):
        await in_turn.in_turn(app_engine, work)
    assert len(turns) == 1


async def test_measures_leave_out_what_was_erased(
    app_engine: AsyncEngine,
    owner_engine: AsyncEngine,
    superuser_engine: AsyncEngine,
    make_organization: MakeOrganization,
) -> None:
    calls = []
    for name in ("Closed", "Ours"):
        organization = await make_organization(name)
        call = a_call(await insert_client(superuser_engine, organization))
        audit = an_audit(organization)
        await Ledger(app_engine).record(organization, call, [an_assertion()], [], audit)
        calls.append((organization, call.id))
    (closed, _), (_, kept) = calls
    await destroy(owner_engine, closed)
    found = [row["id"] async for row in MetricRows(owner_engine, FOR_EVER).hook_calls()]
    assert found == [kept]
