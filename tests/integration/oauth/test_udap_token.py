"""Clients that registered by UDAP at the token endpoint: which certificate, and on whose behalf."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from httpx import Response
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.hand_made_jwt import RsaPair, header_for, jwt, rsa_pair
from tests.oauth_door import JWT_BEARER, NAME, Registry
from tests.pki import days_ago
from tests.udap import (
    B2B,
    COMMUNITY,
    ORIGIN,
    URI,
    assertion_claims,
    authority,
    below,
    der,
    issued,
    signed,
    trust,
)
from tests.udap_door import Books, UdapPlace
from tests.udap_fixtures import books, registrant, udap
from wiser_fhir.auth.certificates import thumbprint_of
from wiser_fhir.sandbox.authority import Authority, Issued, read_key

__all__ = ["books", "registrant", "udap"]

pytestmark = pytest.mark.usefixtures("registrant")

FOREIGN = Authority.new("Example community").issue((URI,), rsa=True)


async def test_any_certificate_that_names_the_registered_uri_will_do(udap: UdapPlace) -> None:
    client_id = await udap.client()
    for holder in (issued(), below(), authority().issue((URI, "urn:example:two"))):
        answer = await udap.ask(client_id, holder)
        assert answer.status_code == 200, answer.text


async def test_another_certificate_is_refused(udap: UdapPlace, books: Books) -> None:
    client_id = await udap.client()
    for holder, reason in (
        (issued("urn:example:two"), "certificate"),
        (FOREIGN, "chain"),
    ):
        answer = await udap.ask(client_id, holder)
        assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
        assert (await books.audited())[-1] == ("token.issue", "refused", reason)


async def test_what_was_revoked_since_opens_no_more(
    app_engine: AsyncEngine, udap: UdapPlace
) -> None:
    client_id = await udap.client()
    for lists in (authority().crl([issued().serial]), days_ago(authority(), 10).crl()):
        place = UdapPlace(app_engine, trust=trust(lists))
        assert (await place.ask(client_id)).status_code == 401
    udap.revoked.thumbprints.add(thumbprint_of(issued().der))
    assert (await udap.ask(client_id)).status_code == 401


async def test_a_key_other_than_the_certificate_s_is_refused(udap: UdapPlace) -> None:
    client_id = await udap.client()
    claims = assertion_claims(udap.now(), client_id)
    sent = signed(FOREIGN, claims, x5c=der(issued().chain_pem))
    assert (await posted(udap, "/oauth/token", sent)).status_code == 401


async def test_a_token_is_asked_for_once_by_each_jwt(udap: UdapPlace, books: Books) -> None:
    client_id = await udap.client()
    answers = await asyncio.gather(*(udap.ask(client_id, jti="one-and-the-same") for _ in range(8)))
    assert sorted(each.status_code for each in answers) == [200] + [401] * 7
    assert await books.rows("select count(*) from access_token") == [(1,)]


async def posted(udap: UdapPlace, path: str, assertion: str, **more: str) -> Response:
    """What is answered to whoever shows itself by this JWT."""
    form = {
        "grant_type": "client_credentials",
        "client_assertion_type": JWT_BEARER,
        "client_assertion": assertion,
        **more,
    }
    async with udap.http() as http:
        return await http.post(path, data=form)


def b2b(**changes: Any) -> dict[str, Any]:
    """A B2B object with some of it changed; what is changed to None is left out."""
    changed = {**B2B, **changes}
    whole = {name: value for name, value in changed.items() if value is not None}
    return {"extensions": {"hl7-b2b": whole}}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"extensions": None}, "b2b-missing"),
        ({"extensions": {}}, "b2b-missing"),
        ({"extensions": []}, "b2b-missing"),
        ({"extensions": {"hl7-b2b": []}}, "b2b-missing"),
        ({"extensions": {"hl7-b2b-user": B2B}}, "b2b-missing"),
        (b2b(version=None), "b2b-version"),
        (b2b(version="2"), "b2b-version"),
        (b2b(version=1), "b2b-version"),
        (b2b(organization_id=None), "b2b-organization"),
        (b2b(organization_id="no uri"), "b2b-organization"),
        (b2b(organization_id=["https://a.example"]), "b2b-organization"),
        (b2b(purpose_of_use=None), "b2b-purpose"),
        (b2b(purpose_of_use=[]), "b2b-purpose"),
        (b2b(purpose_of_use="SYSDEV"), "b2b-purpose"),
        (b2b(purpose_of_use=["SYSDEV", 1]), "b2b-purpose"),
        (b2b(purpose_of_use=["X"] * 11), "b2b-purpose"),
        (b2b(subject_name=""), "b2b-subject"),
        (b2b(subject_name=5), "b2b-subject"),
        (b2b(subject_name=None, subject_id="urn:example:1"), "b2b-subject"),
        (b2b(consent_reference=["https://a.example/Consent/1"]), "b2b-consent"),
        (b2b(consent_policy="urn:example:policy"), "b2b-consent"),
    ],
)
async def test_on_whose_behalf_must_be_said(
    udap: UdapPlace, books: Books, changes: dict[str, Any], reason: str
) -> None:
    client_id = await udap.client()
    answer = await udap.ask(client_id, issued(), None, None, **changes)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")
    assert (await books.audited())[-1] == ("token.issue", "refused", reason)
    assert await books.rows("select count(*) from access_token") == [(0,)]


async def test_on_whose_behalf_is_on_the_trail_and_no_name(udap: UdapPlace, books: Books) -> None:
    client_id = await udap.client()
    said = b2b(
        subject_name="Dr. Canary Person",
        subject_id="urn:oid:2.16.840.1.113883.4.6#1234567893",
        subject_role="http://nucc.org/provider-taxonomy#207T00000X",
        purpose_of_use=["urn:oid:2.16.840.1.113883.5.8#TREAT", "HPAYMT"],
        consent_policy=["urn:example:policy"],
        consent_reference=["https://a.example/Consent/1"],
    )
    assert (await udap.ask(client_id, **said)).status_code == 200
    [(detail,)] = await books.rows("select detail from audit_event where action = 'token.issue'")
    assert detail["organization_id"] == "https://organization.example.org/"
    assert detail["purpose_of_use"] == "urn:oid:2.16.840.1.113883.5.8-TREAT|HPAYMT"
    assert detail["subject_npi"] == "1234567893"
    assert "Canary" not in str(detail)
    assert "Example organization" not in str(detail)


async def test_an_assertion_lives_for_five_minutes_by_its_own_account(udap: UdapPlace) -> None:
    client_id = await udap.client()
    now = int(udap.now().timestamp())
    for times in ({"iat": None}, {"iat": now - 10}, {"iat": now + 300}, {"iat": "now"}):
        answer = await udap.ask(client_id, issued(), None, None, **times)
        assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


async def test_a_client_with_keys_of_its_own_does_not_come_by_certificate(
    udap: UdapPlace, books: Books, registry: Registry
) -> None:
    pair = rsa_pair("own")
    await registry.client(NAME, [pair])
    assert (await udap.ask(NAME)).status_code == 401
    assert (await books.audited())[-1] == ("token.issue", "refused", "algorithm")
    key: Any = read_key(issued().key_pem)
    by_certificate = RsaPair(key, pair.kid)
    for signer, status, found in (
        (by_certificate, 401, ("refused", "signature")),
        (pair, 200, ("issued", None)),
    ):
        header = header_for(pair, x5c=der(issued().chain_pem))
        sent = jwt(signer, header, assertion_claims(udap.now(), NAME))
        assert (await posted(udap, "/oauth/token", sent)).status_code == status
        assert (await books.audited())[-1] == ("token.issue", *found)


async def test_who_registered_by_certificate_does_not_come_without_one(
    app_engine: AsyncEngine, udap: UdapPlace, books: Books
) -> None:
    client_id = await udap.client()
    pair = rsa_pair("own")
    sent = jwt(pair, header_for(pair), assertion_claims(udap.now(), client_id))
    assert (await posted(udap, "/oauth/token", sent)).status_code == 401
    assert (await books.audited())[-1] == ("token.issue", "refused", "x5c")
    off = UdapPlace(app_engine, off=True)
    assert (await off.ask(client_id)).status_code == 401


@pytest.mark.parametrize("path", ["/oauth/introspect", "/oauth/revoke"])
async def test_only_who_asks_for_a_token_says_on_whose_behalf(udap: UdapPlace, path: str) -> None:
    client_id = await udap.client()
    token = (await udap.ask(client_id)).json()["access_token"]

    async def about(holder: Issued, **changes: Any) -> Response:
        claims = assertion_claims(udap.now(), client_id, **{"extensions": None, **changes})
        return await posted(udap, path, signed(holder, claims), token=token)

    for refused in (
        await about(issued("urn:example:two")),
        await about(FOREIGN),
        await about(issued(), iat=None),
        await about(issued(), aud=f"{ORIGIN}/fhir"),
    ):
        assert (refused.status_code, refused.json()["error"]) == (401, "invalid_client")
    assert (await about(issued())).status_code == 200
    assert (await about(issued(), jti="one-and-the-same")).status_code == 200
    assert (await about(issued(), jti="one-and-the-same")).status_code == 401


async def test_in_production_its_token_is_bound_to_the_certificate_of_the_same_uri(
    app_engine: AsyncEngine, registrant: UUID, books: Books
) -> None:
    udap = UdapPlace(app_engine, unbound=False)
    client_id = await udap.client()
    tls = authority().issue((URI,))
    assert (await udap.ask(client_id)).status_code == 401
    assert (await udap.ask(client_id, shown=issued("urn:example:two"))).status_code == 401
    assert (await udap.ask(client_id, shown=tls)).status_code == 200
    assert await books.rows("select certificate from access_token") == [(thumbprint_of(tls.der),)]


@pytest.mark.parametrize("uri", [None, "urn:example:two"])
async def test_its_tls_certificate_names_the_registered_uri_whoever_else_has_it(
    app_engine: AsyncEngine, books: Books, registrant: UUID, uri: str | None
) -> None:
    await books.run(
        "insert into client (id, organization_id, name, scopes, certificate_uri)"
        " values (gen_random_uuid(), :organization, 'another', '{}', :uri)",
        organization=registrant,
        uri=URI,
    )
    udap = UdapPlace(app_engine, unbound=False)
    client_id = await udap.client()
    await books.run("update client set certificate_uri = :uri where name <> 'another'", uri=uri)
    for wrong in (issued("urn:example:two"), authority().issue()):
        assert (await udap.ask(client_id, shown=wrong)).status_code == 401
        assert (await books.audited())[-1] == ("token.issue", "refused", "certificate")
    assert (await udap.ask(client_id, shown=issued())).status_code == 200


async def test_a_scope_beyond_the_registration_is_not_granted(udap: UdapPlace) -> None:
    client_id = await udap.client(scope="system/Claim.cu")
    answer = await udap.ask(client_id, scope="system/Claim.c system/Task.r")
    assert answer.json()["scope"] == "system/Claim.c"
    answer = await udap.ask(client_id, scope="system/Task.r")
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_scope")


async def test_the_certificate_must_hold_at_the_time_of_asking(udap: UdapPlace) -> None:
    client_id = await udap.client()
    udap.passed = timedelta(days=8)  # past the lists
    assert (await udap.ask(client_id)).status_code == 401


async def test_another_server_s_assertion_is_refused(udap: UdapPlace) -> None:
    client_id = await udap.client()
    for aud in (f"{ORIGIN}.evil.example/oauth/token", f"{ORIGIN}/fhir", None):
        assert (await udap.ask(client_id, issued(), None, None, aud=aud)).status_code == 401


async def test_a_client_of_a_community_that_is_gone_is_refused(
    app_engine: AsyncEngine, udap: UdapPlace
) -> None:
    client_id = await udap.client()
    renamed = UdapPlace(
        app_engine,
        trust=type(udap.trust)(
            {"urn:example:renamed": udap.trust.anchors[COMMUNITY]}, udap.trust.lists
        ),
    )
    assert (await renamed.ask(client_id)).status_code == 401
