"""What is refused of whatever an operator registers, and where the keys of a system are."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from wiser_fhir.auth.jws import strict_json
from wiser_fhir.auth.keys import MAX_DOCUMENT, KeysRefused, read_keys
from wiser_fhir.egress.url import Origin, read_url
from wiser_fhir.fhir.elements import Json


class RegistrationRefused(ValueError):
    """What was to be registered cannot be; the text says why."""


@dataclass(frozen=True, slots=True)
class Keys:
    """Where a client's public keys are: exactly one of `jwks_url` and `jwks` is given."""

    jwks_url: str | None = None
    jwks: Json | None = field(default=None, repr=False)

    def check(self, extra: Sequence[Origin]) -> None:
        """Refuse what could never work: http is for the `extra` origins alone.

        Raises RegistrationRefused.
        """
        if (self.jwks_url is None) == (self.jwks is None):
            raise RegistrationRefused("name the keys by URL or by file: one of the two")
        if self.jwks_url is not None:
            check_url("the JWKS", self.jwks_url, extra)


def check_url(what: str, url: str, extra: Sequence[Origin]) -> str | None:
    """The query of a URL that we would call. Raises RegistrationRefused."""
    read = read_url(url)
    if read is None:
        raise RegistrationRefused(f"{what} needs a URL that can be read in one way only")
    if read.scheme != "https" and read.origin not in extra:
        raise RegistrationRefused(f"{what} needs https")
    return read.query


def read_key_file(content: bytes) -> Json:
    """The public keys in a JWKS file. Here every key must be usable, and none private: whoever
    hands in a file can still change it. Raises KeysRefused.
    """
    if len(content) > MAX_DOCUMENT:
        raise KeysRefused(f"a JWKS file may have {MAX_DOCUMENT // 1024} KiB")
    try:
        document = strict_json(content.decode())
    except (ValueError, RecursionError):
        raise KeysRefused("the JWKS file is not sound JSON") from None
    keys = read_keys(document)
    if keys.left_out or not keys.keys:
        raise KeysRefused("; ".join(keys.left_out) or "the JWKS file holds no key")
    return keys.document()
