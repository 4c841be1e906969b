"""Bodies made to exhaust, over a socket: each is refused soon, the server stays small, and another
organization's client notices nothing.
"""

import asyncio
import gzip
import secrets
import time
from base64 import b64encode
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any
from uuid import uuid4

import orjson
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from tests.bundles import request_bundle
from tests.e2e.hostile.key_server import KeyServer
from tests.e2e.hostile.town import ORIGIN, TOKEN, Town
from tests.e2e.hostile.wire import FHIR_JSON, FORM, Answer, new_address
from tests.hand_made_jwt import ec_pair, header_for, jwt, segment
from tests.oauth_door import JWT_BEARER
from tests.udap import URI, statement_claims
from wiser_fhir.sandbox.ehr import cds_token

pytestmark = pytest.mark.xdist_group("hostile")

MIB = 1024 * 1024
# Of so many bytes most are on their way for most of this; a stalled server takes a minute and more.
SECONDS = 10.0
SUBMIT = "/fhir/Claim/$submit"
HOOK = "/cds-services/order-sign-crd"
ISS = "https://ehr.sandbox.example"


def _bundle(entries: bytes) -> bytes:
    return b'{"resourceType":"Bundle","type":"collection","entry":[' + entries + b"]}"


def _in_attachment(content: bytes) -> bytes:
    """A new request whose document is this."""
    bundle = request_bundle("2.2", identifier=f"hostile-{uuid4()}")
    for entry in bundle["entry"]:
        for each in entry["resource"].get("content", ()):
            each["attachment"]["data"] = b64encode(content).decode()
            each["attachment"]["contentType"] = "application/pdf"
    return orjson.dumps(bundle)


# 256 MiB that come packed: stored as they are, and never unpacked here.
_PACKED = gzip.compress(bytes(256 * MIB))

# What it is, the body, and what it is answered. 413: too much of it; 400: no sound JSON.
BODIES: dict[str, tuple[Callable[[], bytes], set[int]]] = {
    "depth": (lambda: b'{"a":' + b"[" * (31 * MIB), {413}),
    "depth in little": (lambda: b'{"a":' * 100_000, {400}),
    "many keys": (lambda: b"{" + b",".join(b'"k%d":1' % n for n in range(1_000_000)) + b"}", {413}),
    "tiny entries": (lambda: _bundle(b"{}," * (10 * MIB) + b"{}"), {413}),
    "entries": (lambda: _bundle(b"{}," * 100_000 + b"{}"), {413}),
    "one integer": (lambda: b'{"a":' + b"9" * (31 * MIB) + b"}", {400}),
    "one fraction": (lambda: b'{"a":0.' + b"1" * (31 * MIB) + b"}", {400}),
    "long halves": (
        lambda: b'{"a":[' + b",".join([b"9007199254740993." + b"0" * 700 + b"1"] * 40_000) + b"]}",
        {400},
    ),
    "one string": (lambda: b'{"a":"' + b"A" * (31 * MIB) + b'"}', {400}),
    "escapes": (lambda: b'{"a":"' + b"\\u0041" * (5 * MIB) + b'"}', {400}),
    "one name again and again": (lambda: b"{" + b'"a":1,' * 400_000 + b'"a":1}', {400}),
    "a packed attachment": (lambda: _in_attachment(_PACKED), {200}),
    "a large attachment": (lambda: _in_attachment(b"%PDF-1.7\n" + bytes(20 * MIB)), {200}),
    "beyond the limit": (lambda: bytes(33 * MIB), {413}),
}


def soon(town: Town, answer: Answer) -> bool:
    """Whether it came in time: seconds, or what this machine needs for twenty requests."""
    return answer.seconds <= max(SECONDS, 20 * town.neighbour_seconds())


@pytest.mark.parametrize("name", BODIES)
def test_a_request_made_to_exhaust_is_refused_soon_and_others_notice_nothing(
    town: Town, name: str
) -> None:
    body, expected = BODIES[name][0](), BODIES[name][1]
    with town.watched() as watch:
        found = asyncio.run(town.attacker(new_address()).post(SUBMIT, body))
    assert found.status in expected
    assert soon(town, found)
    watch.check()


def test_all_of_them_at_once_too(town: Town) -> None:
    # Not those that are refused unread: who is too slow to send it all is cut.
    bodies = [make() for name, (make, _) in BODIES.items() if name != "beyond the limit"]

    async def all_at_once() -> list[Answer]:
        attacker = town.attacker(new_address())
        return await asyncio.gather(*(attacker.post(SUBMIT, body) for body in bodies))

    with town.watched() as watch:
        answers = asyncio.run(all_at_once())
    assert {each.status for each in answers} <= {200, 400, 413, 422}
    watch.check()


async def _to_a_hook(town: Town, body: bytes) -> Answer:
    """What a hook answers to a body that its EHR did send."""
    jwt_ = cds_token(town.key, ISS, f"{ORIGIN}{HOOK}", datetime.now(UTC))
    caller = replace(town.attacker(new_address()), token=jwt_)
    return await caller.post(HOOK, body, "application/json")


HOOK_BODIES = {
    "fractions": lambda: b'{"a":[' + b"1.5," * 490_000 + b"1.5]}",
    "one integer": lambda: b'{"a":' + b"9" * (31 * MIB) + b"}",
    "one fraction": lambda: b'{"a":0.' + b"1" * (31 * MIB) + b"}",
}


@pytest.mark.parametrize("name", HOOK_BODIES)
def test_so_is_one_for_a_hook_where_numbers_are_kept_as_they_were_written(
    town: Town, name: str
) -> None:
    body = HOOK_BODIES[name]()
    with town.watched() as watch:
        found = asyncio.run(_to_a_hook(town, body))
    assert found.status in {400, 422}
    assert soon(town, found)
    watch.check()


PACKED = {"Content-Encoding": "gzip"}


@pytest.mark.parametrize(
    ("path", "status"),
    [(SUBMIT, 415), ("/fhir/Claim/$inquire", 415), (HOOK, 401), ("/oauth/token", 400)],
)
def test_what_comes_packed_is_not_unpacked(town: Town, path: str, status: int) -> None:
    kind = FORM if path == "/oauth/token" else FHIR_JSON
    with town.watched() as watch:
        attacker = town.attacker(new_address())
        found = asyncio.run(attacker.post(path, _PACKED, kind, **PACKED))
    assert found.status == status
    assert soon(town, found)
    watch.check()


def test_xml_is_not_read(town: Town) -> None:
    laughs = "".join(f'<!ENTITY l{n + 1} "{f"&l{n};" * 10}">' for n in range(9))
    bomb = f'<!DOCTYPE l [<!ENTITY l0 "ha">{laughs}]><Bundle>&l9;</Bundle>'.encode()
    with town.watched() as watch:
        attacker = town.attacker(new_address())
        found = asyncio.run(attacker.post(SUBMIT, bomb, "application/fhir+xml"))
    assert found.status == 415
    watch.check()


FORMS = {
    "many fields": b"a=1&" * 100_000,
    "many fields in little": b"a&" * 32_000,
    "many escapes": b"scope=" + b"%41" * 20_000,
    "one large field": b"client_assertion=" + b"A" * (31 * MIB),
}


@pytest.mark.parametrize("path", ["/oauth/token", "/oauth/introspect", "/oauth/revoke"])
@pytest.mark.parametrize("name", FORMS)
def test_a_form_made_to_exhaust_is_refused_soon(town: Town, name: str, path: str) -> None:
    with town.watched() as watch:
        found = asyncio.run(town.stranger(new_address()).post(path, FORMS[name], FORM))
    assert found.status in {400, 401, 413}
    assert soon(town, found)
    watch.check()


@pytest.mark.parametrize("name", FORMS)
def test_so_is_a_search_by_form(town: Town, name: str) -> None:
    with town.watched() as watch:
        attacker = town.attacker(new_address())
        found = asyncio.run(attacker.post("/fhir/Questionnaire/_search", FORMS[name], FORM))
    assert found.status in {400, 413}
    assert soon(town, found)
    watch.check()


def _asserted(town: Town, assertion: str) -> Answer:
    """What is answered to a token request with this for a JWT."""
    form = {
        "grant_type": "client_credentials",
        "client_assertion_type": JWT_BEARER,
        "client_assertion": assertion,
    }
    return asyncio.run(town.stranger(new_address()).form("/oauth/token", form))


def _by(client: str, claims: object, **header: Any) -> str:
    pair = ec_pair("hostile")
    return jwt(pair, header_for(pair, **header), claims)


def _claims(client: str = "sandbox-ehr", **more: Any) -> dict[str, Any]:
    ends = int(time.time()) + 300
    return {"iss": client, "sub": client, "aud": TOKEN, "exp": ends, "jti": str(uuid4()), **more}


@cache
def huge_chain(bits: int = 16_384) -> list[str]:
    """Six certificates, each by the next, each with a key that is far beyond use."""
    return [b64encode(each.public_bytes(Encoding.DER)).decode() for each in _chain(bits, 6)]


def _chain(bits: int, length: int) -> list[x509.Certificate]:
    signer = ec_pair("hostile authority").private
    now = datetime.now(UTC)
    made = []
    for n in range(length):
        modulus = secrets.randbits(bits) | 1 << (bits - 1) | 1
        key = rsa.RSAPublicNumbers(65_537, modulus).public_key()
        subject, issuer = (
            x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"hostile {each}")])
            for each in (n, n + 1)
        )
        names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(URI)])
        made.append(
            x509.CertificateBuilder(issuer, subject, key, n + 1, now, now + timedelta(days=1))
            .add_extension(names, critical=False)
            .add_extension(x509.BasicConstraints(ca=n > 0, path_length=None), critical=True)
            .sign(signer, hashes.SHA256())
        )
    return made


ASSERTIONS: dict[str, Callable[[], str]] = {
    "nested claims": lambda: _by("", b'{"a":' + b"[" * 5_000),
    "nested and whole": lambda: _by("", b'{"a":' + b"[" * 5_000 + b"]" * 5_000 + b"}"),
    "a nested header": lambda: f"{segment(b'[' * 5_000)}.{segment({})}.AAAA",
    "long numbers": lambda: _by("", b'{"exp":' + b"9" * 9_000 + b"}"),
    "many names": lambda: _by("", b"{" + b",".join(b'"k%d":1' % n for n in range(900)) + b"}"),
    "very long": lambda: _by("", _claims(pad="A" * 60_000)),
    "many dots": lambda: "." * 60_000,
    "huge certificates": lambda: _by("", _claims(), x5c=huge_chain(), kid=None, alg="RS256"),
}


@pytest.mark.parametrize("name", ASSERTIONS)
def test_a_jwt_made_to_exhaust_gets_no_token_and_soon(town: Town, name: str) -> None:
    assertion = ASSERTIONS[name]()
    with town.watched() as watch:
        found = _asserted(town, assertion)
    assert found.status in {401, 413}
    assert soon(town, found)
    watch.check()


def test_a_client_whose_jwks_holds_a_giant_key_gets_none(
    town: Town, keys_elsewhere: KeyServer
) -> None:
    with town.watched() as watch:
        found = _asserted(town, _by("giant", _claims("giant"), kid="giant", alg="ES384"))
    assert found.status == 401
    assert keys_elsewhere.asked.count("/giant") == 1
    assert soon(town, found)
    watch.check()


STATEMENTS: dict[str, Callable[[], list[Any]]] = {
    "six huge certificates": huge_chain,
    "six that fit": lambda: huge_chain(4_096),
    "six times one": lambda: huge_chain()[:1] * 6,
    "a thousand": lambda: ["AAAA"] * 1_000,
    "nested": lambda: [[["AAAA"]]],
}


@pytest.mark.parametrize("name", STATEMENTS)
def test_a_registration_made_to_exhaust_is_refused_soon(town: Town, name: str) -> None:
    pair = ec_pair("hostile")
    header = {"alg": "RS256", "x5c": STATEMENTS[name]()}
    statement = jwt(pair, header, statement_claims(datetime.now(UTC)))
    body = orjson.dumps({"software_statement": statement, "udap": "1"})
    with town.watched() as watch:
        stranger = town.stranger(new_address())
        found = asyncio.run(stranger.post("/oauth/register", body, "application/json"))
    assert found.status == 400
    assert soon(town, found)
    watch.check()


@pytest.mark.parametrize("name", ["depth", "tiny entries", "one string", "one integer"])
def test_a_stranger_s_registration_is_read_no_further_than_it_must(town: Town, name: str) -> None:
    body = BODIES[name][0]()
    with town.watched() as watch:
        stranger = town.stranger(new_address())
        found = asyncio.run(stranger.post("/oauth/register", body, "application/json"))
    assert found.status == 400
    assert soon(town, found)
    watch.check()
