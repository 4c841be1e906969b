"""The key by which we prove who we are to an issuer, of clients' tokens or of people's.

Source: RFC 7523, 2.2.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Self

import orjson
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from wiser_fhir.auth.jws import registry
from wiser_fhir.fhir.elements import Json

_ASSERTION_LIFE: Final = 60
_LEAST_BITS: Final = 2_048
_CURVES: Mapping[str, str] = {"P-256": "ES256", "P-384": "ES384"}


@dataclass(frozen=True, slots=True)
class OwnKey:
    """A private key: EC on P-256 or P-384, or RSA of 2048 bits or more."""

    key: ECKey | RSAKey = field(repr=False)

    @classmethod
    def load(cls, pem: bytes) -> Self:
        """Raises ValueError for what is none, or one that should not be signed with."""
        for kind in (ECKey, RSAKey):
            try:
                key = kind.import_key(pem)
            except (JoseError, ValueError, TypeError):
                continue
            if key.is_private and _is_strong(key):
                return cls(key)
        raise ValueError("is no private key on P-256 or P-384, nor an RSA key of 2048 bits or more")

    @property
    def algorithm(self) -> str:
        """By what it signs."""
        return "RS256" if isinstance(self.key, RSAKey) else _CURVES[self.key.curve_name]

    def public_keys(self) -> Json:
        """The public half as a JWKS, for an issuer to know us by."""
        public = self.key.as_dict(
            private=False, kid=self.key.thumbprint(), use="sig", alg=self.algorithm
        )
        return {"keys": [public]}

    def assertion(self, client_id: str, audience: str, now: float) -> str:
        """A JWT that proves to `audience` who we are, once within a minute."""
        claims = {
            "iss": client_id,
            "sub": client_id,
            "aud": audience,
            "iat": int(now),
            "exp": int(now) + _ASSERTION_LIFE,
            "jti": secrets.token_urlsafe(24),
        }
        header = {"alg": self.algorithm, "typ": "JWT", "kid": self.key.thumbprint()}
        allowed = registry((self.algorithm,))
        return jws.serialize_compact(header, orjson.dumps(claims), self.key, registry=allowed)


def _is_strong(key: ECKey | RSAKey) -> bool:
    if isinstance(key, RSAKey):
        return key.raw_value.key_size >= _LEAST_BITS
    return key.curve_name in _CURVES
