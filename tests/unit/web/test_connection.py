"""Whose word on a client's certificate counts."""

import base64
from collections.abc import Sequence
from urllib.parse import quote

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from httpx import ASGITransport, AsyncClient, Response

from tests.listening import Listed, telling
from tests.pki import EHR_URI, issued, pki, proxy_certificate, rogue, showing
from wiser_fhir.auth.certificates import thumbprint_of
from wiser_fhir.sandbox.authority import Issued, new_key

Headers = Sequence[tuple[str, str]]
PROXY = thumbprint_of(proxy_certificate().der)
NOBODY = {"thumbprint": None, "uris": None}


def escaped(certificate: Issued) -> str:
    """As nginx writes it into `$ssl_client_escaped_cert`."""
    return quote(certificate.certificate_pem, safe="")


def forwarded(certificate: Issued, verified: str = "SUCCESS") -> Headers:
    return [("X-Client-Verify", verified), ("X-Client-Cert", escaped(certificate))]


async def answered(
    shown: Issued | None,
    headers: Headers = (),
    *,
    proxies: Sequence[str] = (PROXY,),
    revoked: Listed | None = None,
) -> Response:
    app = showing(telling(*proxies, revoked=revoked), shown)
    async with AsyncClient(transport=ASGITransport(app), base_url="http://x") as client:
        return await client.get("/who", headers=list(headers))


async def who(shown: Issued | None, headers: Headers = (), **kwargs: Sequence[str]) -> object:
    found: object = (await answered(shown, headers, proxies=kwargs.get("proxies", (PROXY,)))).json()
    return found


def named(certificate: Issued) -> object:
    return {"thumbprint": thumbprint_of(certificate.der), "uris": [EHR_URI]}


async def test_a_client_s_own_certificate_is_the_client_s() -> None:
    assert await who(issued()) == named(issued())


async def test_nobody_is_believed_without_a_certificate() -> None:
    assert await who(None) == NOBODY
    assert await who(None, forwarded(issued())) == NOBODY


async def test_a_client_that_plays_the_proxy_stays_who_it_is() -> None:
    other = pki().issue((EHR_URI,))
    assert await who(issued(), forwarded(other)) == named(issued())


async def test_a_known_proxy_s_word_is_taken() -> None:
    assert await who(proxy_certificate(), forwarded(issued())) == named(issued())


async def test_a_known_proxy_s_own_certificate_is_no_client_s() -> None:
    assert await who(proxy_certificate()) == NOBODY


async def test_an_unknown_proxy_is_a_client() -> None:
    found = await who(proxy_certificate(), forwarded(issued()), proxies=())
    assert found == {"thumbprint": PROXY, "uris": []}


@pytest.mark.parametrize(
    "verified",
    ["NONE", "FAILED", "FAILED:certificate has expired", "", "success", "SUCCESS, SUCCESS"],
)
async def test_what_a_proxy_has_not_verified_is_not_taken(verified: str) -> None:
    assert await who(proxy_certificate(), forwarded(issued(), verified)) == NOBODY


@pytest.mark.parametrize("twice", ["X-Client-Cert", "X-Client-Verify"])
async def test_a_header_that_comes_twice_is_not_taken(twice: str) -> None:
    said = forwarded(issued())
    again = [each for each in said if each[0] == twice]
    for headers in ([*said, *again], [*again, *said]):
        assert await who(proxy_certificate(), headers) == NOBODY


@pytest.mark.parametrize("missing", ["X-Client-Cert", "X-Client-Verify"])
async def test_half_a_word_is_not_taken(missing: str) -> None:
    said = [each for each in forwarded(issued()) if each[0] != missing]
    assert await who(proxy_certificate(), said) == NOBODY


@pytest.mark.parametrize(
    "value",
    [
        "",
        "%",
        "%ZZ",
        "no certificate",
        quote(b"\xff\x00", safe=""),
        quote("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", safe=""),
        quote(issued().key_pem, safe=""),
        quote(issued().certificate_pem + rogue().certificate_pem, safe=""),
        quote(issued().certificate_pem[:300], safe=""),
        base64.b64encode(issued().der).decode(),
    ],
    ids=[
        "empty", "percent", "no hex", "words", "bytes", "no DER", "key", "two", "half", "bare",
    ],
)  # fmt: skip
async def test_what_is_not_one_certificate_is_not_taken(value: str) -> None:
    headers = [("X-Client-Verify", "SUCCESS"), ("X-Client-Cert", value)]
    assert await who(proxy_certificate(), headers) == NOBODY


@pytest.mark.parametrize("revoked", [issued(), proxy_certificate()], ids=["client", "proxy"])
async def test_a_certificate_on_the_list_is_refused_whoever_shows_it(revoked: Issued) -> None:
    listed = Listed()
    listed.thumbprints.add(thumbprint_of(revoked.der))
    through = await answered(proxy_certificate(), forwarded(issued()), revoked=listed)
    assert through.status_code == 401
    direct = await answered(revoked, revoked=listed)
    assert (direct.status_code, direct.text) == (401, "The client certificate is revoked.")


async def test_a_certificate_that_makes_no_sense_is_refused() -> None:
    nonsense = Issued(twice_the_same_extension(), b"", b"")
    assert (await answered(nonsense)).status_code == 401
    assert (await answered(proxy_certificate(), forwarded(nonsense))).status_code == 401


def twice_the_same_extension() -> bytes:
    """A certificate with two subject alternative names, which OpenSSL takes."""
    name = x509.Name([])
    key = new_key()
    now = issued().certificate.not_valid_before_utc
    one = x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.17"), bytes.fromhex("3000"))
    other = x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.18"), bytes.fromhex("3000"))
    builder = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now, now)
        .add_extension(one, critical=False)
        .add_extension(other, critical=False)
    )
    signed = builder.sign(key, hashes.SHA256())
    der = signed.public_bytes(Encoding.DER)
    der = der.replace(bytes.fromhex("0603551d12"), bytes.fromhex("0603551d11"))
    return x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM)
