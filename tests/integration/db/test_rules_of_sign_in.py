"""What the database lets nobody do about people and their sign-in, whoever asks."""

from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.database import MakeCase, MakeOrganization
from tests.property.priorauth.forbidden import ATTEMPTS, outcomes
from tests.reviewing import SERVICE, insert_person
from wiser_fhir.priorauth.models import CaseStatus

NOT_SIGNED_IN = (
    "nobody who signed in does not affirm",
    "who signed in long ago does not affirm",
    "who signs in afterwards does not affirm",
)


async def test_bare_sql_does_not_decide_against_a_provider_without_a_sign_in(
    app_engine: AsyncEngine, superuser_engine: AsyncEngine, make_case: MakeCase
) -> None:
    case = await make_case(CaseStatus.IN_REVIEW, **SERVICE)
    async with superuser_engine.begin() as db:
        clinician = await insert_person(db)
    about = {"case": case.id, "person": clinician.person_id}
    attempts = {name: ATTEMPTS[name] for name in NOT_SIGNED_IN}
    came = await outcomes(app_engine, case.organization_id, about, attempts)
    assert came == dict.fromkeys(NOT_SIGNED_IN, "determination_signed_in")


@pytest.mark.parametrize(
    ("facts", "constraint"),
    [
        ({"roles": ("provider-admin",)}, "ck_person_provider_roles"),
        ({"roles": ("provider-operator", "auditor"), "belongs": True}, "ck_person_provider_roles"),
        ({"roles": ("provider-admin", "operations"), "belongs": True}, "ck_person_provider_roles"),
        ({"roles": ("king",)}, "ck_person_roles"),
        ({"roles": ()}, "ck_person_roles"),
        ({"issuer": "https://login.example"}, "ck_person_identity"),
        ({"subject": "dora"}, "ck_person_identity"),
        ({"issuer": "", "subject": "dora"}, "ck_person_identity"),
        ({"issuer": "https://login.example", "subject": "d" * 256}, "ck_person_identity"),
    ],
)
async def test_nobody_is_on_the_list_who_could_not_be(
    superuser_engine: AsyncEngine,
    make_organization: MakeOrganization,
    facts: dict[str, Any],
    constraint: str,
) -> None:
    given = dict(facts)
    if given.pop("belongs", False):
        given["organizations"] = [await make_organization("Clinic", "provider", "own", ("1",))]
    with pytest.raises(DBAPIError, match=constraint):
        async with superuser_engine.begin() as db:
            await insert_person(db, **given)


async def test_no_session_lasts_longer_than_eight_hours(
    app_engine: AsyncEngine, superuser_engine: AsyncEngine, clean_database: None
) -> None:
    async with superuser_engine.begin() as db:
        who = await insert_person(db)
    begun = (
        "insert into person_session (session_hash, person_id, signed_in_at, begun_at, seen_at,"
        " expires_at) values (sha256('x'), :who, now(), now(), now(), now() + {} * interval '1 s')"
    )
    with pytest.raises(DBAPIError, match="ck_person_session_times"):
        async with app_engine.begin() as db:
            await db.execute(text(begun.format(8 * 3600 + 1)), {"who": who.person_id})
    async with app_engine.begin() as db:
        await db.execute(text(begun.format(8 * 3600)), {"who": who.person_id})
