"""Numbers we give: unique tracking numbers, reference numbers of pended cases, row ids."""

import os
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from wiser_fhir.priorauth.models import Site, SiteKind

_RANDOM_DIGITS = 11
_REFERENCE_DIGITS = 14
_CLOCK_BYTES = 6
_VERSION_7 = 0x70
_RFC_VARIANT = 0x80


class UtnSource(Protocol):
    """Where unique tracking numbers come from. In the real program the MAC makes them."""

    def new(self, site: Site | None) -> str | None:
        """A number never given before, as far as this source knows. None where it comes later.

        It is asked inside a transaction, so it must not wait for anybody.
        """
        ...


@dataclass(frozen=True, slots=True)
class LocalUtnSource:
    """Unguessable numbers of our own; the database keeps them unique.

    `prefix` is two characters, `ZZ` in the sandbox. Position 3 is A for a hospital outpatient bill
    type (Part A) and B otherwise. Source: WISeR Operational Guide 6.0, 7.1 (14 bytes); Noridian,
    UTN field requirements (positions; B for Part B is an assumption no primary source states).
    """

    prefix: str = "ZZ"

    def new(self, site: Site | None) -> str:
        """Two prefix characters, the part letter, eleven random digits."""
        part = "A" if site is not None and site.kind is SiteKind.BILL_TYPE else "B"
        return f"{self.prefix}{part}{secrets.randbelow(10**_RANDOM_DIGITS):0{_RANDOM_DIGITS}d}"


def new_reference() -> str:
    """The number a pended case is known by (X12 REF*NT): `R` and fourteen random digits."""
    return f"R{secrets.randbelow(10**_REFERENCE_DIGITS):0{_REFERENCE_DIGITS}d}"


def time_ordered_uuid(now: Callable[[], int] = time.time_ns) -> UUID:
    """A version 7 UUID (RFC 9562, 5.7): rows made together lie together in an index."""
    milliseconds = (now() // 1_000_000).to_bytes(_CLOCK_BYTES, "big")
    tail = bytearray(os.urandom(10))
    tail[0] = _VERSION_7 | tail[0] & 0x0F
    tail[2] = _RFC_VARIANT | tail[2] & 0x3F
    return UUID(bytes=milliseconds + bytes(tail))
