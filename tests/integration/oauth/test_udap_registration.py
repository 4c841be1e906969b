"""Registering by software statement, on the real database."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.database import MakeOrganization
from tests.limits import wide
from tests.pki import days_ago
from tests.udap import (
    COMMUNITY,
    REGISTER,
    URI,
    authority,
    below,
    der,
    intermediate,
    issued,
    signed,
    statement_claims,
    trust,
)
from tests.udap_door import SCOPES, Books, UdapPlace, body_of
from tests.udap_fixtures import books, registrant, udap
from wiser_fhir.auth import udap_registrants
from wiser_fhir.auth.certificates import thumbprint_of
from wiser_fhir.auth.udap_registrants import Registrant
from wiser_fhir.db.engine import transaction
from wiser_fhir.sandbox.authority import Authority
from wiser_fhir.web.limits import StrangerLimits

__all__ = ["books", "registrant", "udap"]

GRANTED = ["system/Claim.cu", "system/ClaimResponse.rs"]
UNTRUSTED = Authority.new("Example community").issue((URI,), rsa=True)


async def test_a_new_registration_is_answered_with_what_was_registered(
    udap: UdapPlace, books: Books, registrant: UUID
) -> None:
    statement = signed(issued(), statement_claims(udap.now()))
    answer = await udap.post(body_of(statement, certifications=["not-a-jwt", "a.b.c"]))
    assert answer.status_code == 201
    assert answer.headers["cache-control"] == "no-store"
    [(name, active, scopes)] = await books.clients()
    assert (active, scopes) == (True, GRANTED)
    assert answer.json() == {
        "client_id": name,
        "software_statement": statement,
        "client_name": "A test client",
        "contacts": ["mailto:operations@example.org"],
        "logo_uri": "https://app.example.org/logo.png",
        "grant_types": ["client_credentials"],
        "token_endpoint_auth_method": "private_key_jwt",
        "scope": "system/Claim.cu system/ClaimResponse.rs",
    }
    facts = "select organization_id, certificate_uri from client"
    assert await books.rows(facts) == [(registrant, URI)]


async def test_that_somebody_registered_is_on_the_trail_without_a_name(
    udap: UdapPlace, books: Books, registrant: UUID
) -> None:
    await udap.client()
    query = "select action, outcome, organization_id, client_id is null, detail from audit_event"
    detail = {
        "community": COMMUNITY,
        "iss": URI,
        "certificate": thumbprint_of(issued().der),
    }
    assert await books.rows(query) == [("udap.register", "registered", registrant, False, detail)]


async def test_the_same_again_changes_the_registration_and_keeps_the_client(
    udap: UdapPlace, books: Books, registrant: UUID
) -> None:
    client_id = await udap.client()
    renewed = authority().issue((URI,))
    answer = await udap.register(
        renewed, scope="system/Task.rs", client_name="Renamed", logo_uri=None
    )
    assert answer.status_code == 200
    assert answer.json()["client_id"] == client_id
    assert answer.json()["scope"] == "system/Task.rs"
    assert await books.clients() == [(client_id, True, ["system/Task.rs"])]
    stored = "select client_name, logo_uri, certificate from udap_registration"
    assert await books.rows(stored) == [("Renamed", None, thumbprint_of(renewed.der))]
    assert [each[:2] for each in await books.audited()] == [
        ("udap.register", "registered"),
        ("udap.register", "changed"),
    ]


async def test_an_empty_list_of_grants_cancels(
    udap: UdapPlace, books: Books, registrant: UUID
) -> None:
    client_id = await udap.client()
    answer = await udap.register(grant_types=[], scope=None, client_name=None, contacts=None)
    assert answer.status_code == 200
    assert (answer.json()["client_id"], answer.json()["grant_types"]) == (client_id, [])
    assert await books.clients() == [(client_id, False, GRANTED)]
    assert (await udap.ask(client_id)).status_code == 401
    again = await udap.register(grant_types=[])
    assert (again.status_code, again.json()["error"]) == (400, "invalid_client_metadata")


async def test_who_registers_after_that_is_a_new_client(
    udap: UdapPlace, books: Books, registrant: UUID
) -> None:
    first = await udap.client()
    await udap.register(grant_types=[])
    answer = await udap.register()
    assert answer.status_code == 201
    second = answer.json()["client_id"]
    assert first != second
    assert [(name, active) for name, active, _ in await books.clients()] == [
        (first, False),
        (second, True),
    ]
    assert (await udap.ask(first)).status_code == 401
    assert (await udap.ask(second)).status_code == 200


async def test_two_at_once_come_to_one_client(
    udap: UdapPlace, books: Books, registrant: UUID
) -> None:
    answers = await asyncio.gather(*(udap.register() for _ in range(8)))
    assert sorted(each.status_code for each in answers) == [200] * 7 + [201]
    assert len({each.json()["client_id"] for each in answers}) == 1
    assert len(await books.clients()) == 1


async def test_one_statement_registers_once(
    udap: UdapPlace, books: Books, registrant: UUID
) -> None:
    body = body_of(signed(issued(), statement_claims(udap.now())))
    answers = await asyncio.gather(*(udap.post(body) for _ in range(8)))
    assert sorted(each.status_code for each in answers) == [201] + [400] * 7
    refused = {each.json()["error"] for each in answers if each.status_code == 400}
    assert refused == {"invalid_software_statement"}
    assert [each for each in await books.audited() if each[1] == "refused"] == [
        ("udap.register", "refused", "replay")
    ] * 7


async def test_each_uri_of_a_certificate_is_a_registrant_of_its_own(
    udap: UdapPlace, books: Books, registrant: UUID, owner_engine: AsyncEngine
) -> None:
    two = issued(URI, "urn:example:two")
    other = await udap.register(two, "urn:example:two")
    assert (other.status_code, other.json()["error"]) == (400, "unapproved_software_statement")
    async with transaction(owner_engine) as db:
        await udap_registrants.allow(
            db, Registrant(COMMUNITY, "urn:example:two"), registrant, SCOPES
        )
    assert await udap.client(two) != await udap.client(two, iss="urn:example:two")
    assert len(await books.clients()) == 2


async def test_who_is_not_on_the_list_is_not_approved(udap: UdapPlace, books: Books) -> None:
    answer = await udap.register()
    assert (answer.status_code, answer.json()["error"]) == (400, "unapproved_software_statement")
    assert await books.clients() == []
    assert await books.audited() == [("udap.register", "refused", "registrant")]


@pytest.mark.parametrize(
    "statement",
    [
        "update udap_registrant set active = false",
        "update organization set active = false",
        "update client set active = false",
    ],
)
async def test_who_was_put_out_of_use_does_not_come_back_by_this_way(
    udap: UdapPlace, books: Books, registrant: UUID, statement: str
) -> None:
    await udap.client()
    await books.run(statement)
    answer = await udap.register()
    assert (answer.status_code, answer.json()["error"]) == (400, "unapproved_software_statement")


async def test_another_community_s_member_of_the_same_uri_is_somebody_else(
    app_engine: AsyncEngine, books: Books, registrant: UUID
) -> None:
    elsewhere = Authority.new("Elsewhere")
    trusted = trust(authority().crl(), elsewhere.crl())
    anchors = {**trusted.anchors, "urn:example:elsewhere": [elsewhere.certificate]}
    udap = UdapPlace(app_engine, trust=type(trusted)(anchors, trusted.lists))
    theirs = elsewhere.issue((URI,), rsa=True)
    own = await udap.client()
    answer = await udap.register(theirs)
    assert (answer.status_code, answer.json()["error"]) == (400, "unapproved_software_statement")
    assert (await udap.ask(own, theirs)).status_code == 401
    assert len(await books.clients()) == 1


async def test_only_what_is_asked_for_and_allowed_is_granted(
    udap: UdapPlace, books: Books, registrant: UUID
) -> None:
    scope = (
        "system/claim.write openid system/Patient.read system/Subscription.cud system/Task.cruds"
    )
    answer = await udap.register(scope=scope)
    assert answer.json()["scope"] == "system/Claim.cu system/Task.rs"
    granted = (await udap.ask(answer.json()["client_id"])).json()["scope"]
    assert granted == "system/Claim.cu system/Task.rs"


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"sub": "urn:example:two"}, "invalid_software_statement"),
        ({"sub": None}, "invalid_software_statement"),
        ({"iss": None}, "invalid_software_statement"),
        ({"iss": 5, "sub": 5}, "invalid_software_statement"),
        ({"aud": "https://elsewhere.example/register"}, "invalid_software_statement"),
        ({"aud": [REGISTER, "https://elsewhere.example"]}, "invalid_software_statement"),
        ({"aud": None}, "invalid_software_statement"),
        ({"exp": None}, "invalid_software_statement"),
        ({"iat": None}, "invalid_software_statement"),
        ({"exp": "soon"}, "invalid_software_statement"),
        ({"exp": 2**70}, "invalid_software_statement"),
        ({"jti": None}, "invalid_software_statement"),
        ({"jti": "short"}, "invalid_software_statement"),
        ({"jti": 12345678}, "invalid_software_statement"),
        ({"nbf": 2**33}, "invalid_software_statement"),
        ({"grant_types": ["authorization_code"]}, "invalid_client_metadata"),
        ({"grant_types": ["authorization_code", "client_credentials"]}, "invalid_client_metadata"),
        ({"grant_types": ["client_credentials", "refresh_token"]}, "invalid_client_metadata"),
        ({"grant_types": "client_credentials"}, "invalid_client_metadata"),
        ({"grant_types": None}, "invalid_client_metadata"),
        ({"response_types": ["code"]}, "invalid_client_metadata"),
        ({"redirect_uris": ["https://app.example.org/back"]}, "invalid_client_metadata"),
        ({"token_endpoint_auth_method": "client_secret_basic"}, "invalid_client_metadata"),
        ({"token_endpoint_auth_method": None}, "invalid_client_metadata"),
        ({"client_name": None}, "invalid_client_metadata"),
        ({"client_name": ""}, "invalid_client_metadata"),
        ({"client_name": "x" * 201}, "invalid_client_metadata"),
        ({"client_name": "a\0b"}, "invalid_software_statement"),
        ({"client_name": "a\nb"}, "invalid_client_metadata"),
        ({"contacts": None}, "invalid_client_metadata"),
        ({"contacts": []}, "invalid_client_metadata"),
        ({"contacts": ["https://app.example.org"]}, "invalid_client_metadata"),
        ({"contacts": ["operations@example.org"]}, "invalid_client_metadata"),
        ({"contacts": ["mailto:a@b.example"] * 11}, "invalid_client_metadata"),
        ({"logo_uri": "http://app.example.org/logo.png"}, "invalid_client_metadata"),
        ({"logo_uri": 7}, "invalid_client_metadata"),
        ({"scope": None}, "invalid_client_metadata"),
        ({"scope": ""}, "invalid_client_metadata"),
        ({"scope": "system/*.read"}, "invalid_client_metadata"),
        ({"scope": "system/Claim.cu system/*.rs"}, "invalid_client_metadata"),
        ({"scope": "system/Patient.read"}, "invalid_client_metadata"),
        ({"scope": "system/Subscription.cud"}, "invalid_client_metadata"),
    ],
)
async def test_what_a_statement_must_not_say(
    udap: UdapPlace, books: Books, registrant: UUID, changes: dict[str, Any], error: str
) -> None:
    claims = statement_claims(udap.now(), **{"iss": URI, **changes}) | (
        {"sub": URI} if "iss" in changes and "sub" not in changes else {}
    )
    answer = await udap.post(body_of(signed(issued(), claims)))
    assert (answer.status_code, answer.json()["error"]) == (400, error)
    assert answer.headers["content-type"] == "application/json"
    assert await books.clients() == []
    assert [each[:2] for each in await books.audited()] == [("udap.register", "refused")]


async def test_a_statement_lives_for_five_minutes_at_most(
    udap: UdapPlace, registrant: UUID
) -> None:
    now = int(udap.now().timestamp())
    for times in (
        {"iat": now, "exp": now + 301},
        {"iat": now - 400, "exp": now - 100},
        {"iat": now + 120, "exp": now + 300},
        {"iat": now, "exp": now},
    ):
        answer = await udap.register(issued(), URI, **times)
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_software_statement")
    assert (await udap.register(iat=now - 200, exp=now + 100)).status_code == 201


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no JSON",
        b"[]",
        b'{"udap": "1"}',
        b'{"udap": "1", "software_statement": 5}',
        b'{"software_statement": "a.b.c"}',
        b'{"udap": 1, "software_statement": "a.b.c"}',
        b'{"udap": "1", "software_statement": "a.b.c", "udap": "1"}',
        b'{"udap": "1", "software_statement": "a.b.c"}',
        b'{"udap": "1", "software_statement": ""}',
        b'{"udap": "1", "software_statement": "' + b"a" * 20_000 + b'"}',
        b'{"udap": "1", "software_statement": "a.b.c", "x": "' + b"a" * 200_000 + b'"}',
        b"[" * 10_000,
        b"\xff\xfe",
    ],
)
async def test_what_is_no_registration_is_refused_with_json(udap: UdapPlace, body: bytes) -> None:
    answer = await udap.post(body)
    assert answer.status_code == 400
    assert answer.json()["error"] in {"invalid_client_metadata", "invalid_software_statement"}
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("alg", ["none", "HS256", "PS256", "ES512"])
async def test_a_statement_by_another_algorithm_is_refused(
    udap: UdapPlace, registrant: UUID, alg: str
) -> None:
    statement = signed(issued(), statement_claims(udap.now()), alg=alg)
    answer = await udap.post(body_of(statement))
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_software_statement")


async def test_a_statement_signed_with_another_key_than_the_certificate_s_is_refused(
    udap: UdapPlace, registrant: UUID
) -> None:
    forged = signed(UNTRUSTED, statement_claims(udap.now()), x5c=der(issued().chain_pem))
    answer = await udap.post(body_of(forged))
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_software_statement")


async def test_a_chain_that_nobody_vouches_for_is_not_approved(
    app_engine: AsyncEngine, udap: UdapPlace, books: Books, registrant: UUID
) -> None:
    expired = days_ago(authority(), 40).issue((URI,), rsa=True)
    revoked = trust(authority().crl([issued().serial]), intermediate().authority().crl())
    unknown = trust(intermediate().authority().crl())
    for place, holder, reason in (
        (udap, UNTRUSTED, "chain"),
        (udap, expired, "chain"),
        (UdapPlace(app_engine, trust=revoked), issued(), "revoked"),
        (UdapPlace(app_engine, trust=unknown), issued(), "revocation-unknown"),
    ):
        answer = await place.register(holder)
        assert answer.status_code == 400
        assert answer.json()["error"] == "unapproved_software_statement"
        assert (await books.audited())[-1] == ("udap.register", "refused", reason)
    assert await books.clients() == []
    assert (await udap.register(below())).status_code == 201


async def test_a_certificate_that_an_operator_took_back_registers_nobody(
    udap: UdapPlace, registrant: UUID
) -> None:
    udap.revoked.thumbprints.add(thumbprint_of(issued().der))
    answer = await udap.register()
    assert (answer.status_code, answer.json()["error"]) == (400, "unapproved_software_statement")


async def test_where_udap_is_off_there_is_nothing(app_engine: AsyncEngine) -> None:
    place = UdapPlace(app_engine, off=True)
    assert (await place.register()).status_code == 404
    assert (await place.get("/fhir/.well-known/udap")).status_code == 404
    assert (await place.get("/udap/crl")).status_code == 404


async def test_who_is_refused_too_often_waits_and_is_told_so_in_the_description(
    app_engine: AsyncEngine,
) -> None:
    place, off = UdapPlace(app_engine), UdapPlace(app_engine, off=True)
    few = StrangerLimits(0.1, lambda: 0.0)
    place.app.state.limits = replace(wide(), strangers=few)
    answers = [await place.post({}), await place.post({}), await off.post({})]
    assert [each.status_code for each in answers] == [400, 429, 404]
    assert answers[1].headers["retry-after"] == "10"
    assert [each.json()["resourceType"] for each in answers[1:]] == ["OperationOutcome"] * 2
    described = place.app.openapi()["paths"]["/oauth/register"]["post"]["responses"]
    assert {str(each.status_code) for each in answers} < set(described)


async def test_a_jti_may_come_again_when_the_first_is_over(
    udap: UdapPlace, books: Books, registrant: UUID
) -> None:
    assert (await udap.register(jti="the-same-again")).status_code == 201
    assert (await udap.register(jti="the-same-again")).status_code == 400
    await books.run("delete from client_assertion where expires_at < now() + interval '7 minutes'")
    assert (await udap.register(jti="the-same-again")).status_code == 200


REGISTER_BY_SQL = """
select outcome, organization_id, scopes from gate.udap_register(:community, :iss,
    repeat('A', 43), 'A name', array['mailto:a@b.example'], null, :wanted, :request_id)
"""


async def by_sql(engine: AsyncEngine, iss: str, *wanted: str) -> Any:
    """What the application gets by bare SQL."""
    values = {"community": COMMUNITY, "iss": iss, "wanted": list(wanted), "request_id": uuid4()}
    async with transaction(engine) as db:
        return tuple((await db.execute(text(REGISTER_BY_SQL), values)).one())


async def test_bare_sql_makes_no_client_of_another_organization_and_none_with_more_scopes(
    app_engine: AsyncEngine, books: Books, registrant: UUID
) -> None:
    assert await by_sql(app_engine, "urn:example:nobody", "system/Claim.c") == (
        "unapproved",
        None,
        None,
    )
    assert await by_sql(app_engine, URI, "system/Subscription.cud", "nonsense") == (
        "no-scope",
        None,
        None,
    )
    wanted = ("system/Claim.cruds", "system/Task.rcx", "system/Subscription.c", "system/Claim.d")
    assert await by_sql(app_engine, URI, *wanted) == (
        "registered",
        registrant,
        ["system/Claim.cu", "system/Task.r"],
    )
    assert [each[:2] for each in await books.audited()] == [("udap.register", "registered")]


@pytest.mark.parametrize(
    "statement",
    [
        "insert into client (id, organization_id, name, scopes)"
        " select gen_random_uuid(), organization_id, 'x', '{}' from client",
        "update client set scopes = '{system/Task.rs}'",
        "update client set active = true",
        "select * from udap_registrant",
        "insert into udap_registrant (community, iss, organization_id, scopes)"
        " select '', 'urn:x:y', id, '{system/Task.rs}' from organization",
        "insert into udap_community (community, organization_id, scopes)"
        " select '', id, '{system/Task.rs}' from organization",
        "update udap_registration set iss = 'urn:x:y'",
        "update udap_registration set cancelled_at = null",
        "delete from udap_registration",
        "select gate.udap_audit('x', 'y', '', '', '', null, null, null)",
    ],
)
async def test_the_application_writes_no_registration_itself(
    app_engine: AsyncEngine, udap: UdapPlace, registrant: UUID, statement: str
) -> None:
    await udap.client()
    with pytest.raises(DBAPIError, match="permission denied"):
        async with transaction(app_engine) as db:
            await db.execute(text(statement))


async def test_only_a_sandbox_takes_in_everybody(
    udap: UdapPlace,
    books: Books,
    owner_engine: AsyncEngine,
    make_organization: MakeOrganization,
) -> None:
    guests = await make_organization("Guests")
    async with transaction(owner_engine) as db:
        await udap_registrants.take_in_all(db, [COMMUNITY], guests, SCOPES)
    assert (await udap.register()).status_code == 201
    assert await books.rows("select organization_id from client") == [(guests,)]
    with pytest.raises(DBAPIError, match="only a sandbox"):
        async with transaction(owner_engine) as db:
            await db.execute(text("update deployment set mode = 'production'"))
            await udap_registrants.take_in_all(db, [""], guests, SCOPES)


async def test_a_registration_ends_once_and_stays_whose_it_is(
    udap: UdapPlace, books: Books, registrant: UUID
) -> None:
    await udap.client()
    await udap.register(grant_types=[])
    for statement in (
        "update udap_registration set cancelled_at = null",
        "update udap_registration set iss = 'urn:example:two'",
    ):
        with pytest.raises(DBAPIError, match="ends once"):
            await books.run(statement)
    with pytest.raises(DBAPIError, match="never changed, deleted"):
        await books.run("delete from udap_registration")


async def test_the_uri_is_the_one_its_tls_certificate_must_name_unless_another_s_is(
    udap: UdapPlace, books: Books, registrant: UUID
) -> None:
    await books.run(
        "insert into client (id, organization_id, name, scopes, certificate_uri)"
        " values (gen_random_uuid(), :organization, 'another', '{}', :uri)",
        organization=registrant,
        uri=URI,
    )
    assert (await udap.register()).status_code == 201
    named = "select certificate_uri from client where name <> 'another'"
    assert await books.rows(named) == [(None,)]


async def test_the_clock_of_a_registrant_may_be_a_little_ahead(
    udap: UdapPlace, registrant: UUID
) -> None:
    ahead = udap.now() + timedelta(seconds=30)
    answer = await udap.post(body_of(signed(issued(), statement_claims(ahead))))
    assert answer.status_code == 201
