"""URLs that others name, read so that no other reader can take them for another host or path.

What leaves any doubt is not read: see `read_url`. A server is recognised by scheme, host and port,
a path by its segments, never by how a text begins (the HL7 validator sent tokens to
`https://ehr.example.evil` for `https://ehr.example`: advisory GHSA-vr79-8m62-wh98).
"""

import re
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address

Origin = tuple[str, str, int]

MAX_LENGTH = 8192
_LAST_PORT = 65_535
_DEFAULT_PORTS = {"http": 80, "https": 443}

_URL = re.compile(
    r"(https?)://"
    r"(\[[0-9a-f:.]+\]|[a-z0-9.-]{1,253})"
    r"(?::([1-9][0-9]{0,4}))?"
    r"((?:/[a-z0-9._~!$&'()*+,=:@-]+)*/?)"
    r"(?:\?((?:[a-z0-9._~!$&'()*+,;=:@/?-]|%[0-9a-f]{2})*))?",
    re.ASCII | re.IGNORECASE,
)
_LABEL = "[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
# Browsers and libc take these for an IPv4 address, in octal, in hex, short or as one number.
_ENDS_IN_A_NUMBER = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)")


@dataclass(frozen=True, slots=True)
class Url:
    """A URL that was read. `host` is a name or an address as written in the one usual way."""

    scheme: str
    host: str
    port: int
    path: str = field(repr=False)
    query: str | None = field(repr=False)

    @property
    def origin(self) -> Origin:
        """Which server."""
        return self.scheme, self.host, self.port

    @property
    def segments(self) -> list[str]:
        """The path; a slash at its end counts for nothing."""
        return [segment for segment in self.path.split("/") if segment]

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        query = "" if self.query is None else f"?{self.query}"
        return f"{self.scheme}://{host}:{self.port}{self.path}{query}"


def read_url(url: str) -> Url | None:
    """`url` in its parts; None if it is no http or https URL or leaves any doubt.

    Left out on purpose though RFC 3986 has them: userinfo, fragments, names beyond ASCII or with a
    dot at the end, and in a path percent-encoding, `;`, empty and dot segments. A FHIR URL needs
    none of them; proxies and servers disagree on what they mean.
    """
    match = _URL.fullmatch(url) if len(url) <= MAX_LENGTH else None
    if match is None:
        return None
    scheme = match[1].lower()
    host = _host(match[2].lower())
    port = int(match[3] or _DEFAULT_PORTS[scheme])
    read = Url(scheme, host, port, match[4], match[5])
    doubtful = not host or port > _LAST_PORT or any(not s.strip(".") for s in read.segments)
    return None if doubtful else read


def _host(text: str) -> str:
    """The host in the one usual way of writing it, empty if it is none."""
    try:
        if text.startswith("["):
            return str(IPv6Address(text[1:-1]))
        if _ENDS_IN_A_NUMBER.fullmatch(text):
            return str(IPv4Address(text))
    except ValueError:
        return ""
    return text if _NAME.fullmatch(text) else ""


def read_origin(text: str) -> Origin | None:
    """Scheme, host and port of a text that says these and nothing more."""
    read = read_url(text)
    return read.origin if read is not None and not read.path and read.query is None else None


def is_within(url: str, base: str) -> bool:
    """Whether `url` is `base` or lies below it. A base with a query has nothing below it."""
    below, above = read_url(url), read_url(base)
    if below is None or above is None or below.origin != above.origin:
        return False
    if above.query is not None:
        return (below.path, below.query) == (above.path, above.query)
    return below.segments[: len(above.segments)] == above.segments
