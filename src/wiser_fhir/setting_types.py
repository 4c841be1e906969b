"""How a setting is read from its variable. No refusal here names it: `Settings` does, for all."""

import base64
import binascii
from typing import Annotated, TypeVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, SecretBytes, SecretStr
from pydantic_core import PydanticCustomError

from wiser_fhir.auth.certificates import read_thumbprint
from wiser_fhir.egress.scanner import ScannerAddress
from wiser_fhir.egress.url import read_origin, read_url

_SHORTEST_KEY = 32
Part = TypeVar("Part")


def _refused(problem: str) -> PydanticCustomError:
    return PydanticCustomError("setting", "{problem}", {"problem": problem})


def _split(value: object) -> object:
    if not isinstance(value, str):
        return value
    return tuple(part for part in (each.strip() for each in value.split(",")) if part)


def _key(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        key = base64.b64decode(value, validate=True)
    except binascii.Error:
        raise _refused("is not base64") from None
    if len(key) < _SHORTEST_KEY:
        raise _refused(f"needs at least {_SHORTEST_KEY} bytes")
    return key


def _keys(value: object) -> object:
    parts = _split(value)
    return tuple(map(_key, parts)) if isinstance(parts, tuple) else parts


def _origin(value: str) -> str:
    """`value` if it is scheme, host and perhaps port, and nothing more."""
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        raise _refused("is not a URL") from None
    shown = f"{parts.scheme}://{parts.netloc}"
    if parts.scheme not in {"http", "https"} or not parts.hostname or value != shown or port == 0:
        raise _refused("must be scheme://host or scheme://host:port and nothing more")
    if parts.username is not None:
        raise _refused("must not carry a user")
    return value


def _origins(value: tuple[str, ...]) -> tuple[str, ...]:
    if any(read_origin(_origin(each)) is None for each in value):
        raise _refused("names a host that could be read in two ways")
    return value


def _urls(value: tuple[str, ...]) -> tuple[str, ...]:
    if not all(map(read_url, value)):
        raise _refused("needs URLs that can be read in one way only")
    return value


def is_issuer(url: str) -> bool:
    """Whether a URL can name an issuer: it has no query. Source: RFC 8414, 2."""
    place = read_url(url)
    return place is not None and place.query is None


def _issuer(value: str) -> str:
    if not is_issuer(value):
        raise _refused("is no http or https URL that can be read in one way only")
    return value


def _thumbprints(value: tuple[str, ...]) -> tuple[str, ...]:
    try:
        return tuple(map(read_thumbprint, value))
    except ValueError:
        raise _refused("is not a list of SHA-256 thumbprints") from None


def _scanner(value: str) -> str:
    try:
        ScannerAddress.of(value)
    except ValueError as fault:
        raise _refused(str(fault)) from None
    return value


def _postgres(value: SecretStr) -> SecretStr:
    if value.get_secret_value().partition("://")[0] not in {"postgresql", "postgres"}:
        raise _refused("must begin with postgresql://")
    return value


CommaSeparated = Annotated[tuple[Part, ...], BeforeValidator(_split)]
Key = Annotated[SecretBytes, BeforeValidator(_key)]
Keys = Annotated[tuple[SecretBytes, ...], BeforeValidator(_keys)]
Origin = Annotated[str, AfterValidator(_origin)]
Origins = Annotated[CommaSeparated[str], AfterValidator(_origins)]
Urls = Annotated[CommaSeparated[str], AfterValidator(_urls)]
IssuerUrl = Annotated[str, AfterValidator(_issuer)]
Thumbprints = Annotated[CommaSeparated[str], AfterValidator(_thumbprints)]
Scanner = Annotated[str, AfterValidator(_scanner)]
PostgresUrl = Annotated[SecretStr, AfterValidator(_postgres)]
