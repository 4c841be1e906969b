import pytest
from pydantic import ValidationError
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.database import MakeCase
from wiser_fhir.auth.people import OF_PROVIDERS, ROLES
from wiser_fhir.db.engine import transaction
from wiser_fhir.db.migrate import ModeMismatch
from wiser_fhir.priorauth.registry import Enrolment, InMemoryRegistry, Membership
from wiser_fhir.priorauth.rules import is_mbi, is_npi
from wiser_fhir.sandbox import ehr
from wiser_fhir.sandbox.tenant import Tenant, empty


@pytest.fixture
async def owned(owner_engine: AsyncEngine, clean_database: None) -> AsyncEngine:
    return owner_engine


async def count(engine: AsyncEngine, table: str) -> int:
    async with engine.connect() as db:
        return int(await db.scalar(text(f"select count(*) from {table}")))  # noqa: S608


async def test_seeding_again_changes_nothing(
    owned: AsyncEngine, superuser_engine: AsyncEngine
) -> None:
    tenant = Tenant.load()
    for _ in range(2):
        async with transaction(owned) as db:
            await tenant.seed(db)
    assert await count(superuser_engine, "organization") == len(tenant.organizations)
    assert await count(superuser_engine, "client") == len(tenant.clients)
    assert await count(superuser_engine, "person") == len(tenant.people)


async def test_what_calls_hooks_is_registered_with_the_public_half_of_its_key(
    owned: AsyncEngine, superuser_engine: AsyncEngine
) -> None:
    tenant = Tenant.load()
    jwks = ehr.public_keys(ehr.new_key())
    for _ in range(2):
        async with transaction(owned) as db:
            await tenant.seed(db)
            await tenant.seed_cds_clients(db, jwks, ["http://127.0.0.1:9"])
    async with superuser_engine.connect() as db:
        query = "select iss, jwks, fhir_servers, revision, name from cds_client join client on id ="
        rows = (await db.execute(text(f"{query} client_id"))).all()
    servers = ["https://ehr.sandbox.example/fhir", "http://127.0.0.1:9"]
    assert [tuple(row) for row in rows] == [
        ("https://ehr.sandbox.example", jwks, servers, 1, "sandbox-ehr")
    ]
    (key,) = rows[0].jwks["keys"]
    assert set(key) == {"kty", "crv", "x", "y", "kid", "use", "alg"}


def test_a_hook_client_the_file_does_not_name_is_refused() -> None:
    tenant = Tenant.load().model_dump()
    tenant["cds_clients"][0]["client"] = "nobody"
    with pytest.raises(ValidationError, match="no such client: nobody"):
        Tenant.model_validate(tenant)


async def test_a_reset_deletes_cases_and_keeps_what_must_stay(
    owned: AsyncEngine, superuser_engine: AsyncEngine, make_case: MakeCase
) -> None:
    await make_case()
    events = await count(superuser_engine, "audit_event")
    async with transaction(owned) as db:
        await empty(db)
    for table in ("prior_auth_case", "message", "submission", "determination", "utn"):
        assert await count(superuser_engine, table) == 0
    assert await count(superuser_engine, "organization") == 1
    assert await count(superuser_engine, "audit_event") == events


async def test_after_a_reset_the_rules_of_the_database_hold_again(
    owned: AsyncEngine, superuser_engine: AsyncEngine, make_case: MakeCase
) -> None:
    async with transaction(owned) as db:
        await empty(db)
    await make_case()
    async with superuser_engine.connect() as db:
        with pytest.raises(DBAPIError):
            await db.execute(text("delete from determination"))


async def test_a_production_database_is_not_emptied(
    owned: AsyncEngine, superuser_engine: AsyncEngine, make_case: MakeCase
) -> None:
    await make_case()
    async with superuser_engine.begin() as db:
        await db.execute(text("update deployment set mode = 'production'"))
    try:
        with pytest.raises(ModeMismatch):
            async with transaction(owned) as db:
                await empty(db)
        assert await count(superuser_engine, "prior_auth_case") == 1
    finally:
        async with superuser_engine.begin() as db:
            await db.execute(text("update deployment set mode = 'sandbox'"))


def test_the_tenants_numbers_have_the_right_shape() -> None:
    tenant = Tenant.load()
    assert all(is_mbi(record.mbi) for record in tenant.registry.beneficiaries)
    numbers = [npi for each in tenant.organizations for npi in each.npis]
    assert all(is_npi(npi) for npi in numbers)
    assert all(is_npi(record.npi) for record in tenant.registry.providers)
    assert all(is_npi(person.npi) for person in tenant.people if person.npi is not None)


def test_a_clinician_without_a_licence_is_no_person_of_the_tenant() -> None:
    tenant = Tenant.load().model_dump()
    del tenant["people"][0]["licence_number"]
    with pytest.raises(ValidationError, match="Rhoda Reviewer: a clinician has a licence"):
        Tenant.model_validate(tenant)


def test_every_role_is_played_and_one_clinician_belongs_to_a_provider() -> None:
    people = Tenant.load().people
    assert {role for person in people for role in person.roles} == set(ROLES)
    staff = [person for person in people if not set(person.roles) & set(OF_PROVIDERS)]
    assert [person.name for person in staff if person.organizations] == ["Spencer Spine"]


def test_people_of_a_provider_belong_to_it() -> None:
    tenant = Tenant.load()
    providers = {each.id for each in tenant.organizations if each.kind == "provider"}
    people = [person for person in tenant.people if set(person.roles) & set(OF_PROVIDERS)]
    assert people
    for person in people:
        assert set(person.roles) <= set(OF_PROVIDERS)
        assert person.organizations
        assert set(person.organizations) <= providers


def test_the_sandbox_knows_everybody_and_some_better() -> None:
    registry = InMemoryRegistry.of(Tenant.load().registry)
    assert registry.beneficiary("1EG4TE5MK73") is Membership.KNOWN
    assert registry.beneficiary("9XX9XX9XX91") is Membership.DECEASED
    assert registry.provider("1999000049") is Enrolment.INELIGIBLE
