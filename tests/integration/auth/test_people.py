from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.clocks import Time
from tests.database import MakeOrganization
from wiser_fhir.auth import people, staff
from wiser_fhir.auth.bearer import CACHE_SECONDS
from wiser_fhir.auth.people import IssuedPersonToken, PersonAuthenticator
from wiser_fhir.auth.staff import Licence, Person, PersonRefused
from wiser_fhir.db.engine import transaction
from wiser_fhir.errors import NotFound, Unauthenticated

NOW = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
RHODA = Person(
    name="Rhoda",
    roles=("clinician", "auditor"),
    licence=Licence("TX", "T-1", date(2027, 1, 31)),
    npi="1999000213",
    specialty="207T00000X",
    organizations=("Clinic",),
)


@pytest.fixture
def time() -> Time:
    return Time(NOW)


@pytest.fixture
def authenticator(app_engine: AsyncEngine, time: Time) -> PersonAuthenticator:
    return PersonAuthenticator(app_engine, time.now, time.monotonic)


@pytest.fixture
async def rhoda(owner_engine: AsyncEngine, make_organization: MakeOrganization) -> Person:
    """A clinician on the list, who belongs to a clinic."""
    await make_organization("Clinic", "provider", "own", ("1999000015",))
    await add(owner_engine, RHODA)
    return RHODA


async def add(engine: AsyncEngine, person: Person) -> None:
    async with transaction(engine) as db:
        await staff.add(db, person)


async def issue(engine: AsyncEngine, name: str = "Rhoda") -> IssuedPersonToken:
    async with transaction(engine) as db:
        return await people.issue_person_token(db, name, HOUR, NOW)


async def run(engine: AsyncEngine, statement: str) -> None:
    async with engine.begin() as db:
        await db.execute(text(statement))


async def test_a_token_tells_who_calls_and_what_they_may(
    app_engine: AsyncEngine, rhoda: Person, authenticator: PersonAuthenticator
) -> None:
    issued = await issue(app_engine)
    caller = await authenticator.reviewer([f"Bearer {issued.token}"])
    assert (caller.person_id, caller.name) == (issued.person_id, "Rhoda")
    assert (caller.npi, caller.specialty) == ("1999000213", "207T00000X")
    assert caller.may("clinician")
    assert caller.may("coordinator", "auditor")
    assert not caller.may("coordinator")
    assert caller.licensed(date(2027, 1, 31))
    assert not caller.licensed(date(2027, 2, 1))
    assert len(caller.organizations) == 1


async def test_a_host_whose_clock_is_slow_takes_a_token_as_of_now(
    app_engine: AsyncEngine, rhoda: Person, authenticator: PersonAuthenticator, time: Time
) -> None:
    issued, time.passed = await issue(app_engine), -30
    caller = await authenticator.reviewer([f"Bearer {issued.token}"])
    assert caller.signed_in_at == time.now()


async def test_nobody_without_a_licence_is_licensed(
    app_engine: AsyncEngine,
    owner_engine: AsyncEngine,
    clean_database: None,
    authenticator: PersonAuthenticator,
) -> None:
    await add(owner_engine, Person("Cora", ("coordinator",)))
    issued = await issue(app_engine, "Cora")
    caller = await authenticator.reviewer([f"Bearer {issued.token}"])
    assert not caller.licensed(date(2026, 1, 1))
    assert caller.organizations == frozenset()


async def test_a_token_is_stored_as_its_hash_alone(
    app_engine: AsyncEngine, superuser_engine: AsyncEngine, rhoda: Person
) -> None:
    issued = await issue(app_engine)
    async with superuser_engine.connect() as db:
        rows = (await db.execute(text("select person_token::text from person_token"))).scalars()
    assert issued.token not in str(rows.all())
    assert issued.token not in repr(issued)


@pytest.mark.parametrize("name", ["Nobody", "rhoda", ""])
async def test_who_is_not_on_the_list_gets_no_token(
    app_engine: AsyncEngine, rhoda: Person, name: str
) -> None:
    with pytest.raises(NotFound):
        await issue(app_engine, name)


async def test_who_is_out_of_use_gets_no_token(
    app_engine: AsyncEngine, superuser_engine: AsyncEngine, rhoda: Person
) -> None:
    await run(superuser_engine, "update person set active = false")
    with pytest.raises(NotFound):
        await issue(app_engine)


@pytest.mark.parametrize(
    "end",
    [
        "update person_token set revoked_at = now()",
        "update person set active = false",
        "delete from person_token",
    ],
)
async def test_an_ended_token_is_refused_at_the_latest_after_ten_seconds(
    app_engine: AsyncEngine,
    superuser_engine: AsyncEngine,
    rhoda: Person,
    authenticator: PersonAuthenticator,
    time: Time,
    end: str,
) -> None:
    header = [f"Bearer {(await issue(app_engine)).token}"]
    await authenticator.reviewer(header)
    await run(superuser_engine, end)
    time.passed = CACHE_SECONDS - 0.1
    await authenticator.reviewer(header)
    time.passed = CACHE_SECONDS
    with pytest.raises(Unauthenticated):
        await authenticator.reviewer(header)


async def test_a_licence_renewed_holds_within_ten_seconds(
    app_engine: AsyncEngine,
    superuser_engine: AsyncEngine,
    rhoda: Person,
    authenticator: PersonAuthenticator,
    time: Time,
) -> None:
    header = [f"Bearer {(await issue(app_engine)).token}"]
    assert not (await authenticator.reviewer(header)).licensed(date(2028, 1, 1))
    await run(superuser_engine, "update person set licence_expires = '2028-12-31'")
    time.passed = CACHE_SECONDS
    assert (await authenticator.reviewer(header)).licensed(date(2028, 1, 1))


async def test_a_token_ends_on_the_second(
    app_engine: AsyncEngine, rhoda: Person, authenticator: PersonAuthenticator, time: Time
) -> None:
    header = [f"Bearer {(await issue(app_engine)).token}"]
    time.passed = HOUR.total_seconds() - 1
    await authenticator.reviewer(header)
    time.passed = HOUR.total_seconds()
    with pytest.raises(Unauthenticated):
        await authenticator.reviewer(header)


async def test_the_owner_forgets_ended_tokens(
    app_engine: AsyncEngine, owner_engine: AsyncEngine, rhoda: Person
) -> None:
    await issue(app_engine)
    async with transaction(owner_engine) as db:
        assert await people.purge(db, NOW) == 0
        assert await people.purge(db, NOW + 2 * HOUR) == 1


async def test_the_list_says_what_was_put_on_it(owner_engine: AsyncEngine, rhoda: Person) -> None:
    auditor = Person("Audrey", ("auditor",))
    await add(owner_engine, auditor)
    async with transaction(owner_engine) as db:
        assert await staff.listed(db) == [auditor, rhoda]


@pytest.mark.parametrize(
    ("person", "said"),
    [
        (replace(RHODA, name=" "), "has a name"),
        (replace(RHODA, roles=()), "a role is one of clinician, coordinator, auditor"),
        (replace(RHODA, roles=("clinician", "king")), "a role is one of"),
        (replace(RHODA, licence=None), "a clinician has a licence"),
        (replace(RHODA, licence=Licence("TX", "T-2", date(2027, 1, 1))), "another person's"),
        (replace(RHODA, name="Another"), "another person's"),
        (
            replace(
                RHODA,
                name="Another",
                licence=Licence("TX", "T-2", date(2027, 1, 1)),
                organizations=("Twice",),
            ),
            "more than one organization is called Twice",
        ),
    ],
)
async def test_who_cannot_be_put_on_the_list(
    owner_engine: AsyncEngine,
    make_organization: MakeOrganization,
    rhoda: Person,
    person: Person,
    said: str,
) -> None:
    await make_organization("Twice")
    await make_organization("Twice")
    with pytest.raises(PersonRefused, match=said):
        await add(owner_engine, person)


async def test_an_organization_that_there_is_not_is_named(
    owner_engine: AsyncEngine, clean_database: None
) -> None:
    person = Person("Cora", ("coordinator",), organizations=("Nowhere",))
    with pytest.raises(NotFound, match="No such organization as Nowhere"):
        await add(owner_engine, person)


async def test_the_application_puts_nobody_on_the_list(
    app_engine: AsyncEngine, rhoda: Person
) -> None:
    for change in (
        "insert into person (id, name) values (gen_random_uuid(), 'x')",
        "update person set roles = '{clinician}'",
        "delete from person",
        "delete from person_token",
        "update person_token set expires_at = now()",
    ):
        with pytest.raises(DBAPIError, match="permission denied"):
            await run(app_engine, change)
