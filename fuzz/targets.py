"""What is fuzzed: readers of what strangers send, those in `TARGETS`. Each may refuse, in its own
words; any other exception is a finding.
"""

from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from types import MappingProxyType

import orjson

from wiser_fhir.auth.jws import JwtRefused, read_jwt, strict_json
from wiser_fhir.auth.keys import KeysRefused, read_keys
from wiser_fhir.auth.scopes import ScopeRefused, grants, spelled
from wiser_fhir.egress.url import is_within, read_origin, read_url
from wiser_fhir.errors import Malformed, TooLarge
from wiser_fhir.fhir.codes import REQUEST_BUNDLE
from wiser_fhir.fhir.validation.validator import GuideValidator
from wiser_fhir.web.body import parse_json

Target = Callable[[bytes], None]

_validators: list[GuideValidator] = []
_EHR = "https://ehr.example"


def json_body(data: bytes) -> None:
    """A body. What is taken is an object that any strict reader reads alike."""
    try:
        parsed = parse_json(data)
    except (Malformed, TooLarge):
        return
    if orjson.loads(orjson.dumps(parsed)) != parsed:
        raise AssertionError("read otherwise than written")


def jwt(data: bytes) -> None:
    """A JSON Web Token, before any of it is believed: as it stands, or made of two JSON texts with
    U+0000 between them, which gets past the base64.
    """
    header, between, claims = data.partition(b"\x00")
    whole = b".".join([_segment(header), _segment(claims), b"AAAA"]) if between else data
    try:
        read = read_jwt(whole.decode("latin-1"))
    except JwtRefused:
        return
    if type(read.claims) is not dict or type(read.header) is not dict:
        raise AssertionError("a JWT without claims")


def _segment(text: bytes) -> bytes:
    return urlsafe_b64encode(text).rstrip(b"=")


def jwks(data: bytes) -> None:
    """A JWKS: no key that is taken shows a secret part."""
    try:
        document = strict_json(data.decode())
    except (ValueError, RecursionError):
        return
    try:
        keys = read_keys(document)
    except KeysRefused:
        return
    for key in keys.document()["keys"]:
        if "d" in key or key["kty"] == "oct":
            raise AssertionError("a secret key was taken")


def url(data: bytes) -> None:
    """A URL that is called: what is taken is within its own origin, and read again the same."""
    text = data.decode("latin-1")
    read = read_url(text)
    read_origin(text)
    within = read is not None and is_within(text, f"{_EHR}/fhir")
    # Scheme and host may be written in capitals, a path may not. Source: RFC 3986, 6.2.2.1.
    plain = text[: len(_EHR)].lower() + text[len(_EHR) :]
    if within and not plain.startswith(f"{_EHR}/fhir"):
        raise AssertionError("within a base that it does not begin with")


def scope(data: bytes) -> None:
    """A scope parameter: what is granted is spelled so that it grants the same."""
    try:
        granted = grants(data.decode("latin-1").split(" "))
    except ScopeRefused:
        return
    if grants(spelled(granted)) != granted:
        raise AssertionError("spelled otherwise than granted")


def bundle(data: bytes) -> None:
    """A request Bundle, through the validator."""
    try:
        parsed = parse_json(data)
    except (Malformed, TooLarge):
        return
    if not _validators:
        _validators.append(GuideValidator.load("2.2"))
    _validators[0].accepts(parsed, REQUEST_BUNDLE)


TARGETS: Mapping[str, Target] = MappingProxyType(
    {each.__name__: each for each in (json_body, jwt, jwks, url, scope, bundle)}
)
