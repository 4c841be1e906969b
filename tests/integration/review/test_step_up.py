"""Signing in again before deciding against a provider."""

from datetime import timedelta
from itertools import product

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.clocks import StillClock
from tests.integration.pas.door import NOW, Rows
from tests.integration.review.door import AFFIRM, NON_AFFIRM, Json, MakePerson, Person
from wiser_fhir.auth.people import issue_person_token
from wiser_fhir.errors import SignInTooOld
from wiser_fhir.priorauth.deciders import SIGNED_IN_WITHIN

CHALLENGE = "insufficient_user_authentication"
SECOND = timedelta(seconds=1)


def says(item: Json) -> Json:
    """A determination of the one line of a case."""
    return {"revision": 1, "items": [item]}


async def decide(person: Person, case_id: str, item: Json) -> int:
    answer = await person.put(f"cases/{case_id}/determination", says(item))
    return answer.status_code


async def test_who_signed_in_too_long_ago_is_asked_to_sign_in_again(
    clinician: Person, pended: str, clock: StillClock, rows: Rows
) -> None:
    clock.now = NOW + SIGNED_IN_WITHIN + SECOND
    answer = await clinician.put(f"cases/{pended}/determination", says(NON_AFFIRM))
    assert answer.status_code == 401
    challenge = answer.headers["www-authenticate"]
    assert challenge.startswith(f'Bearer error="{CHALLENGE}", error_description="')
    assert challenge.endswith('max_age="900"')
    assert answer.json()["issue"][0]["code"] == "login"
    assert await rows.all("select * from determination") == []
    [refused] = await rows.all(
        "select person_id, outcome from audit_event where action = 'request.refused'"
    )
    assert tuple(refused.values()) == (clinician.id, "login")


async def test_who_has_just_signed_in_decides_against_it(
    clinician: Person, pended: str, clock: StillClock, rows: Rows
) -> None:
    clock.now = NOW + SIGNED_IN_WITHIN
    assert await decide(clinician, pended, NON_AFFIRM) == 200
    [row] = await rows.all("select outcome, signed_in_at, decided_at from determination")
    assert (row["outcome"], row["signed_in_at"]) == ("non-affirmed", NOW)
    assert row["decided_at"] - row["signed_in_at"] == SIGNED_IN_WITHIN


async def test_an_affirmation_needs_no_fresh_sign_in(
    clinician: Person, pended: str, clock: StillClock
) -> None:
    clock.now = NOW + timedelta(hours=2)
    assert await decide(clinician, pended, AFFIRM) == 200


async def test_signing_in_again_is_enough(
    app_engine: AsyncEngine, clinician: Person, pended: str, clock: StillClock
) -> None:
    clock.now = NOW + timedelta(hours=2)
    assert await decide(clinician, pended, NON_AFFIRM) == 401
    async with app_engine.begin() as db:
        name = clinician.reviewer.name
        issued = await issue_person_token(db, name, timedelta(hours=1), clock.now)
    again = Person(clinician.http, issued.token, clinician.reviewer)
    assert await decide(again, pended, NON_AFFIRM) == 200


@pytest.mark.parametrize(
    ("roles", "item"),
    list(product([("coordinator",), ("auditor",), ("operations",)], [AFFIRM, NON_AFFIRM])),
)
async def test_no_other_role_decides_however_fresh_the_sign_in(
    make_person: MakePerson, pended: str, rows: Rows, roles: tuple[str, ...], item: Json
) -> None:
    person = await make_person(roles=roles)
    assert await decide(person, pended, item) == 403
    assert await rows.all("select * from determination") == []


async def test_a_licence_that_is_over_decides_nothing(make_person: MakePerson, pended: str) -> None:
    person = await make_person(licence_expires=(NOW - timedelta(days=2)).date())
    assert await decide(person, pended, NON_AFFIRM) == 403


def test_the_challenge_is_that_of_rfc_9470() -> None:
    challenge = SignInTooOld("Sign in again", 900).challenge
    assert challenge == (
        f'Bearer error="{CHALLENGE}", error_description="Sign in again", max_age="900"'
    )
