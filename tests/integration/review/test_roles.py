"""Who may come in where at the review door: every route, by every role, and none left out."""

from collections.abc import Mapping
from itertools import product
from uuid import UUID

import pytest
from fastapi import FastAPI

from tests.database import MakeOrganization
from tests.integration.review.door import MakePerson, Person
from wiser_fhir.auth.people import OF_PROVIDERS, ROLES

ALL_STAFF = frozenset({"clinician", "coordinator", "auditor", "operations"})
VIEWERS = ALL_STAFF - {"operations"}
CONTRIBUTORS = frozenset({"clinician", "coordinator"})
CLINICIANS = frozenset({"clinician"})
AUDITORS = frozenset({"auditor"})

# Which roles get past the door. A route that is not here fails the test.
TABLE: Mapping[tuple[str, str], frozenset[str]] = {
    ("GET", "/review/me"): ALL_STAFF,
    ("GET", "/review/cases"): ALL_STAFF,
    ("GET", "/review/cases/{case_id}"): VIEWERS,
    ("GET", "/review/cases/{case_id}/documents/{position}"): VIEWERS,
    ("GET", "/review/cases/{case_id}/attachments/{attachment_id}"): VIEWERS,
    ("GET", "/review/cases/{case_id}/messages/{message_id}"): VIEWERS,
    ("PUT", "/review/cases/{case_id}/determination"): CLINICIANS,
    ("POST", "/review/cases/{case_id}/requests"): CONTRIBUTORS,
    ("DELETE", "/review/cases/{case_id}/requests/{request_id}"): CONTRIBUTORS,
    ("POST", "/review/cases/{case_id}/notes"): CONTRIBUTORS,
    ("PUT", "/review/cases/{case_id}/assignment"): CONTRIBUTORS,
    ("DELETE", "/review/cases/{case_id}/assignment"): CONTRIBUTORS,
    ("PUT", "/review/cases/{case_id}/expedite"): CLINICIANS,
    ("POST", "/review/cases/{case_id}/peer-to-peer"): CONTRIBUTORS,
    ("PUT", "/review/cases/{case_id}/peer-to-peer/{peer_id}"): CONTRIBUTORS,
    ("GET", "/review/prepayment"): ALL_STAFF,
    ("GET", "/review/prepayment/{review_id}"): VIEWERS,
    ("GET", "/review/prepayment/{review_id}/documents/{attachment_id}"): VIEWERS,
    ("PUT", "/review/prepayment/{review_id}/recommendation"): CLINICIANS,
}
ANY_ID = "00000000-0000-4000-8000-000000000000"


def routes(app: FastAPI) -> set[tuple[str, str]]:
    """Every method and path at the review door but those of the audit trail."""
    return {
        (method, path)
        for path, methods in app.state.routes.paths().items()
        if path.startswith("/review") and not path.startswith("/review/audit")
        for method in methods
        if method != "HEAD"
    }


async def test_every_route_is_in_the_table(app: FastAPI) -> None:
    assert routes(app) == set(TABLE)


@pytest.fixture
async def person(
    request: pytest.FixtureRequest, make_person: MakePerson, make_organization: MakeOrganization
) -> Person:
    """Somebody of the role that the test names."""
    role = str(request.param)
    organizations: list[UUID] = []
    if role in OF_PROVIDERS:
        organizations = [await make_organization("Clinic", "provider", "own", ("1999000015",))]
    return await make_person(roles=(role,), organizations=organizations)


@pytest.mark.parametrize("person", ROLES, indirect=True)
async def test_a_role_gets_in_where_the_table_says_and_nowhere_else(person: Person) -> None:
    [role] = person.reviewer.roles
    for (method, template), roles in TABLE.items():
        path = template.removeprefix("/review/").replace("{position}", "1")
        for name in ("case_id", "attachment_id", "message_id", "request_id", "peer_id"):
            path = path.replace(f"{{{name}}}", ANY_ID)
        path = path.replace("{review_id}", ANY_ID)
        headers = {"authorization": f"Bearer {person.token}"}
        body: dict[str, str] | None = {} if method in {"POST", "PUT"} else None
        answer = await person.http.request(method, f"/review/{path}", headers=headers, json=body)
        expected = {200, 404, 422} if role in roles else {403}
        assert answer.status_code in expected, (role, method, template)


@pytest.mark.parametrize("person", ["operations", *OF_PROVIDERS], indirect=True)
async def test_the_database_shows_no_case_to_who_is_kept_out(
    person: Person, app: FastAPI, pended: str
) -> None:
    from sqlalchemy import text

    from wiser_fhir.db.engine import transaction

    named = {"person": person.id, "request": UUID(ANY_ID), "case": UUID(pended)}
    async with transaction(app.state.engine) as db:
        asked = text("select gate.case_organization(:person, :request, :case)")
        assert await db.scalar(asked, named) is None
        asked = text("select gate.prepayment_organization(:case, :request, :person)")
        assert await db.scalar(asked, named) is None


@pytest.mark.parametrize("person", ["operations"], indirect=True)
async def test_operations_see_the_queue_and_nobody_in_it(person: Person, pended: str) -> None:
    page = await person.queue()
    [case] = page["cases"]
    assert case["id"] == pended
    assert not {"beneficiary", "mbi", "family", "given", "birth_date"} & set(case)


def test_the_table_names_every_role_there_is() -> None:
    named = frozenset().union(*TABLE.values())
    assert named | set(OF_PROVIDERS) == set(ROLES)
    assert not named & set(OF_PROVIDERS)
    assert len(list(product(TABLE, ROLES))) == len(TABLE) * len(ROLES)
