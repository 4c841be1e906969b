"""How the core has a kept request read again without knowing what is spoken at the door."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

from wiser_fhir.priorauth.models import Submission
from wiser_fhir.priorauth.repository import StoredCase


@dataclass(frozen=True, slots=True)
class Content:
    """A document as it came. `media_type` is what its bytes are, whatever its sender called it.

    `files` are those inside a document that is a resource, as bytes.
    """

    media_type: str
    body: bytes = field(repr=False)
    files: tuple[bytes, ...] = field(default=(), repr=False)


class Reading(Protocol):
    """Reads requests as they are kept."""

    def submission(self, stored: StoredCase) -> Submission:
        """The present request of a case, as it was understood when it came."""
        ...

    def document(self, request_body: bytes, number: int) -> Content | None:
        """The document of a request that was the `number`-th, from 1, of those kept of it."""
        ...

    def documents(self, request_body: bytes) -> Iterator[Content]:
        """All of them in that order, each made when it is asked for: together they are large."""
        ...
