"""Who registers by UDAP in tests: certificates of a made-up community, and what they sign."""

import secrets
from base64 import b64encode
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import Encoding

from tests.hand_made_jwt import EcPair, Json, RsaPair, jwt
from wiser_fhir.auth.udap_chain import Trust
from wiser_fhir.sandbox.authority import Authority, Issued, read_key

URI = "https://app.example.org/udap"
COMMUNITY = "urn:example:community"
ORIGIN = "https://wiser.example"
REGISTER = f"{ORIGIN}/oauth/register"
TOKEN = f"{ORIGIN}/oauth/token"
BASES = (f"{ORIGIN}/fhir", f"{ORIGIN}/v2.0/fhir")
B2B = {
    "version": "1",
    "subject_name": "A test system",
    "organization_name": "Example organization",
    "organization_id": "https://organization.example.org/",
    "purpose_of_use": ["SYSDEV"],
}


@cache
def authority() -> Authority:
    """The community's root."""
    return Authority.new("Example community")


@cache
def intermediate() -> Issued:
    """One that issues below the root."""
    return authority().issue(("urn:example:intermediate",), ca=True)


@cache
def issued(*uris: str) -> Issued:
    """A certificate with a key of RSA, by the root; the same for the same URIs."""
    return authority().issue(uris or (URI,), rsa=True)


@cache
def below() -> Issued:
    """A certificate by the intermediate authority, which its chain brings along."""
    return intermediate().authority().issue((URI,), rsa=True)


def der(certificates: bytes) -> list[str]:
    """PEM certificates as `x5c` has them."""
    read = x509.load_pem_x509_certificates(certificates)
    return [b64encode(each.public_bytes(Encoding.DER)).decode() for each in read]


def header(holder: Issued, **changes: Any) -> Json:
    """What a client puts before its claims."""
    return {"alg": alg_of(holder), "x5c": der(holder.chain_pem), **changes}


def alg_of(holder: Issued) -> str:
    return "ES256" if isinstance(read_key(holder.key_pem), EllipticCurvePrivateKey) else "RS256"


def signed(holder: Issued, claims: Json, **changes: Any) -> str:
    """A JWT of these claims with the holder's chain in its header."""
    key = read_key(holder.key_pem)
    if isinstance(key, EllipticCurvePrivateKey):
        return jwt(EcPair(key, "P-256", ""), header(holder, **changes), claims)
    return jwt(RsaPair(key, "", "RS256"), header(holder, **changes), claims)


def without(claims: Json, **changes: Any) -> Json:
    """Claims with some changed; one that is changed to None is left out."""
    changed = {**claims, **changes}
    return {name: value for name, value in changed.items() if value is not None}


def times(now: datetime) -> Json:
    """Five minutes from now, and a `jti` of its own."""
    issued_at = int(now.timestamp())
    return {"iat": issued_at, "exp": issued_at + 300, "jti": secrets.token_hex(32)}


def statement_claims(now: datetime, iss: str = URI, **changes: Any) -> Json:
    """What the public conformance suite puts into a software statement."""
    claims = {
        "iss": iss,
        "sub": iss,
        "aud": REGISTER,
        **times(now),
        "client_name": "A test client",
        "contacts": ["mailto:operations@example.org"],
        "logo_uri": "https://app.example.org/logo.png",
        "grant_types": ["client_credentials"],
        "token_endpoint_auth_method": "private_key_jwt",
        "scope": "system/Claim.cu system/ClaimResponse.rs",
    }
    return without(claims, **changes)


def assertion_claims(now: datetime, client_id: str, **changes: Any) -> Json:
    """What it puts into the JWT for a token."""
    claims = {
        "iss": client_id,
        "sub": client_id,
        "aud": TOKEN,
        **times(now),
        "extensions": {"hl7-b2b": B2B},
    }
    return without(claims, **changes)


@dataclass(frozen=True)
class ListsOf:
    """Lists of revoked certificates, from PEM."""

    pems: tuple[bytes, ...]

    def of(self, issuer: x509.Name) -> list[x509.CertificateRevocationList]:
        """All of them: telling whose they are is for the code under test."""
        read = map(x509.load_pem_x509_crl, self.pems)
        return [each for each in read if each.issuer == issuer]


def trust(*pems: bytes, anchors: tuple[Authority, ...] = ()) -> Trust:
    """Trust in the community, with these lists; without any, with empty ones of both issuers."""
    lists = pems or (authority().crl(), intermediate().authority().crl())
    roots = anchors or (authority(),)
    return Trust({COMMUNITY: [each.certificate for each in roots]}, ListsOf(lists))


def keep_lists(folder: Path) -> None:
    """Current lists of both issuers, of which nothing is revoked."""
    folder.mkdir(exist_ok=True)
    (folder / "root.crl").write_bytes(authority().crl())
    (folder / "intermediate.crl").write_bytes(intermediate().authority().crl())
