"""The client credentials tests of the UDAP kit, by their ids: registration, then a token.

And what its attestation asks of a server in these flows, as far as it can be seen from outside.
"""

from typing import Any
from uuid import UUID

import pytest
from httpx import Response

from tests.udap import TOKEN, authority, issued, signed, statement_claims
from tests.udap_door import UdapPlace, body_of
from tests.udap_fixtures import books, registrant, udap

__all__ = ["books", "registrant", "udap"]

pytestmark = pytest.mark.usefixtures("registrant")


def is_json(answer: Response) -> bool:
    return isinstance(answer.json(), dict) and answer.headers["content-type"] == "application/json"


async def test_udap_registration_failure_invalid_contents(udap: UdapPlace) -> None:
    """An `iss` that is not among the names of the certificate."""
    answer = await udap.register(iss="invalid_iss")
    assert answer.status_code == 400
    assert is_json(answer)


async def test_udap_registration_failure_invalid_jwt_signature(udap: UdapPlace) -> None:
    """A key made at random."""
    other = authority().issue(("urn:example:other",), rsa=True)
    statement = signed(other, statement_claims(udap.now()))
    head = signed(issued(), statement_claims(udap.now())).partition(".")[0]
    answer = await udap.post(body_of(f"{head}.{statement.partition('.')[2]}"))
    assert answer.status_code == 400
    assert is_json(answer)


async def test_udap_registration_success(udap: UdapPlace) -> None:
    new = await udap.register()
    assert new.status_code == 201
    assert is_json(new)
    update = await udap.register()
    assert update.status_code in (200, 201)


async def test_udap_registration_success_contents(udap: UdapPlace) -> None:
    claims = statement_claims(udap.now())
    statement = signed(issued(), claims)
    registered = (await udap.post(body_of(statement))).json()
    assert registered["client_id"]
    assert registered["software_statement"] == statement
    assert registered["scope"]
    assert registered["client_name"]
    for name in ("grant_types", "token_endpoint_auth_method"):
        assert registered[name] == claims[name]


@pytest.fixture
async def token(udap: UdapPlace) -> Response:
    """What the kit is answered: no scope in the request, `purpose_of_use` SYSDEV."""
    return await udap.ask(await udap.client())


async def test_udap_client_credentials_token_exchange(token: Response) -> None:
    assert token.status_code == 200
    assert is_json(token)


async def test_udap_token_exchange_response_body(token: Response) -> None:
    said = token.json()
    assert said["access_token"]
    assert said["token_type"].lower() == "bearer"


async def test_udap_token_exchange_response_headers(token: Response) -> None:
    assert "no-store" in token.headers["cache-control"]
    assert "no-cache" in token.headers["pragma"]


async def test_attested_access_tokens_live_for_an_hour_at_most(token: Response) -> None:
    assert 0 < token.json()["expires_in"] <= 3_600


async def test_attested_unknown_certifications_are_ignored(udap: UdapPlace) -> None:
    statement = signed(issued(), statement_claims(udap.now()))
    answer = await udap.post(body_of(statement, certifications=["unheard.of.certification"]))
    assert answer.status_code == 201


async def test_attested_a_jti_is_not_used_again(udap: UdapPlace) -> None:
    client_id = await udap.client()
    assert (await udap.ask(client_id, jti="used-but-once")).status_code == 200
    assert (await udap.ask(client_id, jti="used-but-once")).status_code == 401


async def test_attested_a_jwt_without_a_chain_is_denied(udap: UdapPlace) -> None:
    client_id = await udap.client()
    for x5c in (None, [], ["AAAA"]):
        statement = signed(issued(), statement_claims(udap.now()), x5c=x5c)
        assert (await udap.post(body_of(statement))).status_code == 400
    changes: dict[str, Any] = {"aud": TOKEN}
    unknown = authority().issue(("urn:example:unknown",), rsa=True)
    assert (await udap.ask(client_id, unknown, None, None, **changes)).status_code == 401


async def test_attested_what_is_cancelled_opens_no_more(udap: UdapPlace, registrant: UUID) -> None:
    client_id = await udap.client()
    opened = (await udap.ask(client_id)).json()["access_token"]
    cancelled = await udap.register(grant_types=[])
    assert cancelled.json()["grant_types"] == []
    assert (await udap.ask(client_id)).status_code == 401
    async with udap.http() as http:
        header = {"Authorization": f"Bearer {opened}"}
        seen = await http.post("/oauth/introspect", data={"token": opened}, headers=header)
        assert seen.status_code == 401
