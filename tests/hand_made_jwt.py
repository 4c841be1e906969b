"""JWTs and JWKS made by hand from `cryptography` alone, so that tests and code share no mistake."""

import json
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from functools import cache
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

Json = dict[str, Any]

_CURVES: dict[str, type[ec.EllipticCurve]] = {
    "P-256": ec.SECP256R1,
    "P-384": ec.SECP384R1,
    "P-521": ec.SECP521R1,
}
_HASHES: dict[str, type[hashes.HashAlgorithm]] = {
    "256": hashes.SHA256,
    "384": hashes.SHA384,
    "512": hashes.SHA512,
}


def base64url(data: bytes) -> str:
    """Without padding, as RFC 7515 has it."""
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def number(value: int, length: int | None = None) -> str:
    """An unsigned big-endian integer in base64url."""
    return base64url(value.to_bytes(length or (value.bit_length() + 7) // 8, "big"))


def segment(value: object) -> str:
    """JSON in base64url. Bytes are taken for JSON as they stand."""
    return base64url(value if isinstance(value, bytes) else json.dumps(value).encode())


@dataclass(frozen=True)
class EcPair:
    """A key pair on a curve."""

    private: ec.EllipticCurvePrivateKey
    crv: str
    kid: str

    @property
    def alg(self) -> str:
        """What goes with the curve."""
        return {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}[self.crv]

    @property
    def width(self) -> int:
        """Octets of one coordinate."""
        return (self.private.curve.key_size + 7) // 8

    def jwk(self, **changes: Any) -> Json:
        """The public half."""
        numbers = self.private.public_key().public_numbers()
        x, y = number(numbers.x, self.width), number(numbers.y, self.width)
        return {"kty": "EC", "crv": self.crv, "x": x, "y": y, "kid": self.kid, **changes}

    def secret(self) -> Json:
        """What nobody should publish."""
        return {"d": number(self.private.private_numbers().private_value, self.width)}

    def sign(self, message: bytes, alg: str) -> bytes:
        """Two integers side by side: RFC 7518, 3.4."""
        der = self.private.sign(message, ec.ECDSA(_HASHES[alg[2:]]()))
        return b"".join(part.to_bytes(self.width, "big") for part in decode_dss_signature(der))


@dataclass(frozen=True)
class RsaPair:
    """An RSA key pair."""

    private: rsa.RSAPrivateKey
    kid: str
    alg: str = "RS384"

    def jwk(self, **changes: Any) -> Json:
        """The public half."""
        numbers = self.private.public_key().public_numbers()
        return {
            "kty": "RSA",
            "n": number(numbers.n),
            "e": number(numbers.e),
            "kid": self.kid,
            **changes,
        }

    def secret(self) -> Json:
        """What nobody should publish."""
        return {"d": number(self.private.private_numbers().d)}

    def sign(self, message: bytes, alg: str) -> bytes:
        """RFC 7518, 3.3 and 3.5."""
        digest = _HASHES[alg[2:]]()
        if alg.startswith("PS"):
            pss = padding.PSS(padding.MGF1(digest), digest.digest_size)
            return self.private.sign(message, pss, digest)
        return self.private.sign(message, padding.PKCS1v15(), digest)


Pair = EcPair | RsaPair


@cache
def ec_pair(kid: str = "ec", crv: str = "P-384") -> EcPair:
    """A pair; the same for the same arguments."""
    return EcPair(ec.generate_private_key(_CURVES[crv]()), crv, kid)


@cache
def rsa_pair(kid: str = "rsa", bits: int = 2048) -> RsaPair:
    """A pair; the same for the same arguments."""
    return RsaPair(rsa.generate_private_key(public_exponent=65537, key_size=bits), kid)


def header_for(pair: Pair, **changes: Any) -> Json:
    """What the public conformance suite sends but for `jku`. A change to None takes a name out."""
    header = {"alg": pair.alg, "typ": "JWT", "kid": pair.kid, **changes}
    return {name: value for name, value in header.items() if value is not None}


def jwt(pair: Pair, header: object, claims: object) -> str:
    """A signed JWT in compact form; header and claims may be bytes of any kind."""
    alg = header["alg"] if isinstance(header, dict) and "alg" in header else pair.alg
    message = f"{segment(header)}.{segment(claims)}"
    known = isinstance(alg, str) and alg[2:] in _HASHES and alg[:2] in ("ES", "RS", "PS")
    signature = pair.sign(message.encode(), alg if known else pair.alg)
    return f"{message}.{base64url(signature)}"
