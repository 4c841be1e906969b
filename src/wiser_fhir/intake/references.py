"""References as clients write them: `Type/id`, absolute, versioned, or a urn."""

import re
from dataclasses import dataclass
from typing import Any

_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")
_LOCAL = re.compile(
    r"(?:(?P<base>https?://[^\s#?]+)/)?(?P<kind>[A-Z][A-Za-z]{1,63})/(?P<id>[A-Za-z0-9\-.]{1,64})"
    r"(?:/_history/[A-Za-z0-9\-.]{1,64})?"
)
_ORIGIN = re.compile(r"https?://[^/]+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Local:
    """A reference to a resource on a server. `base` is None where it is relative."""

    kind: str
    id: str
    base: str | None = None

    @property
    def name(self) -> str:
        """`Type/id`."""
        return f"{self.kind}/{self.id}"


def read_reference(text: str) -> Local | None:
    """What a reference names on a server; None for a urn, a fragment or what is no reference."""
    found = _LOCAL.fullmatch(text.strip())
    return Local(found["kind"], found["id"], found["base"]) if found else None


def name_of(text: str) -> str:
    """`Type/id` where a reference tells it, else the reference as it was written."""
    local = read_reference(text)
    return local.name if local else text.strip()


def is_id(text: Any) -> bool:
    """Whether this can be the id of a resource. Source: FHIR R4, datatypes, id."""
    return isinstance(text, str) and _ID.fullmatch(text) is not None


def origin(url: str) -> str:
    """Scheme, host and port of a URL, for comparing."""
    found = _ORIGIN.match(url)
    return found.group().lower() if found else ""
