"""What this server says of itself to UDAP clients, and the part of it that it signs.

Source: UDAP Security 2.0.0, "Required UDAP Metadata", "Signed metadata elements".
"""

import secrets
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

import orjson
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from joserfc import jws
from joserfc.jwk import RSAKey

from wiser_fhir.auth.assertion import AUTH_METHOD
from wiser_fhir.auth.certificates import thumbprint_of
from wiser_fhir.auth.jws import MAX_X5C_TOKEN, X5C_ALGORITHMS, registry
from wiser_fhir.auth.scopes import ALL_SCOPES
from wiser_fhir.auth.token_grant import GRANT_TYPE
from wiser_fhir.auth.udap_client import EXTENSION
from wiser_fhir.auth.udap_communities import Community, Signer
from wiser_fhir.fhir.elements import Json

# A year is allowed. Short, so that a certificate taken back speaks for nobody for long.
LIFE: Final = timedelta(days=1)
RENEWED_AFTER: Final = timedelta(hours=1)
_SIGNED_BY: Final = "RS256"


@dataclass(frozen=True, slots=True)
class Places:
    """Where a client asks for tokens, and where it registers."""

    token: str
    registration: str


@dataclass(slots=True)
class UdapMetadata:
    """The document of each base URL and community, signed anew when it has grown old."""

    communities: Mapping[str, Community]
    places: Places
    _signed: dict[tuple[str, str], tuple[datetime, str]] = field(default_factory=dict)

    def document(self, base: str, community: str | None, now: datetime) -> Json | None:
        """What to answer at a base URL; without a community, for the first that there is one for.

        None where UDAP is not offered: in a community that is not known here, and where no
        certificate of ours speaks for the base at this time.
        """
        asked = [each for each in self.communities.values() if community in (None, each.uri)]
        for signer in (each.signer for each in asked if community != ""):
            if signer is not None and base in signer.uris and _is_valid(signer, now):
                signed = self._metadata(signer, base, now)
                return {**_unsigned(self.places), "signed_metadata": signed}
        return None

    def _metadata(self, signer: Signer, base: str, now: datetime) -> str:
        # Not its serial number: another community's authority may have given the same one.
        place = (base, thumbprint_of(signer.chain[0].public_bytes(Encoding.DER)))
        held = self._signed.get(place)
        if held is None or not held[0] <= now < held[0] + RENEWED_AFTER:
            held = self._signed[place] = (now, _sign(signer, base, self.places, now))
        return held[1]


def _is_valid(signer: Signer, now: datetime) -> bool:
    return all(each.not_valid_before_utc <= now < each.not_valid_after_utc for each in signer.chain)


def _unsigned(places: Places) -> Json:
    return {
        "udap_versions_supported": ["1"],
        "udap_profiles_supported": ["udap_dcr", "udap_authn", "udap_authz"],
        "udap_authorization_extensions_supported": [EXTENSION],
        "udap_authorization_extensions_required": [EXTENSION],
        "udap_certifications_supported": [],
        "udap_certifications_required": [],
        "grant_types_supported": [GRANT_TYPE],
        "scopes_supported": list(ALL_SCOPES),
        "token_endpoint": places.token,
        "token_endpoint_auth_methods_supported": [AUTH_METHOD],
        "token_endpoint_auth_signing_alg_values_supported": list(X5C_ALGORITHMS),
        "registration_endpoint": places.registration,
        "registration_endpoint_jwt_signing_alg_values_supported": list(X5C_ALGORITHMS),
    }


def _sign(signer: Signer, base: str, places: Places, now: datetime) -> str:
    issued = int(now.timestamp())
    ends = min(now + LIFE, *(each.not_valid_after_utc for each in signer.chain))
    claims = {
        "iss": base,
        "sub": base,
        "iat": issued,
        "exp": int(ends.timestamp()),
        "jti": secrets.token_urlsafe(24),
        "token_endpoint": places.token,
        "registration_endpoint": places.registration,
    }
    return signed_by_chain(signer, claims)


def signed_by_chain(signer: Signer, claims: Json) -> str:
    """A JWT of these claims by RS256, with the chain in its header."""
    chain = [b64encode(each.public_bytes(Encoding.DER)).decode() for each in signer.chain]
    pem = signer.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return jws.serialize_compact(
        {"alg": _SIGNED_BY, "x5c": chain},
        orjson.dumps(claims),
        RSAKey.import_key(pem),
        registry=registry((_SIGNED_BY,), MAX_X5C_TOKEN),
    )
