"""The sandbox's own EHR: its key pair, and what it makes with it for CDS Hooks and for a token."""

import secrets
from datetime import datetime, timedelta
from typing import Final

import orjson
from joserfc import jws
from joserfc.jwk import ECKey

from wiser_fhir.auth.jws import REGISTRY
from wiser_fhir.auth.keys import read_keys
from wiser_fhir.fhir.elements import Json

LIFE: Final = timedelta(minutes=5)
_ALGORITHM = "ES384"


def new_key() -> bytes:
    """A private key for ES384, as PEM."""
    return ECKey.generate_key("P-384").as_pem(private=True)


def public_keys(private_key: bytes) -> Json:
    """The public half as a JWKS; its `kid` is the thumbprint of RFC 7638."""
    key = ECKey.import_key(private_key)
    public = key.as_dict(private=False, kid=key.thumbprint(), use="sig", alg=_ALGORITHM)
    return read_keys({"keys": [public]}).document()


def cds_token(private_key: bytes, iss: str, url: str, now: datetime) -> str:
    """A CDS Hooks JWT for the service at `url`. Source: CDS Hooks 2.0, "Trusting CDS Clients"."""
    issued_at = int(now.timestamp())
    claims = {"iss": iss, "aud": url, "iat": issued_at}
    return _signed(private_key, claims, now)


def client_assertion(private_key: bytes, client: str, url: str, now: datetime) -> str:
    """What a client proves itself by at the token endpoint `url`.

    Source: SMART App Launch 2.2.0, "Asymmetric (public key) client authentication".
    """
    return _signed(private_key, {"iss": client, "sub": client, "aud": url}, now)


def _signed(private_key: bytes, claims: Json, now: datetime) -> str:
    """A JWT of these claims, good once and for five minutes."""
    key = ECKey.import_key(private_key)
    ends = int((now + LIFE).timestamp())
    whole = {**claims, "exp": ends, "jti": secrets.token_urlsafe(24)}
    header = {"alg": _ALGORITHM, "typ": "JWT", "kid": key.thumbprint()}
    return jws.serialize_compact(header, orjson.dumps(whole), key, registry=REGISTRY)
