"""How the core has an answer written without knowing what is spoken at the door."""

from datetime import datetime
from typing import Protocol

from wiser_fhir.priorauth.models import PriorAuthorization


class Answers(Protocol):
    """Writes what is answered about a case."""

    def response(
        self, case: PriorAuthorization, line: str, request_body: bytes, at: datetime
    ) -> bytes:
        """The answer about a case as it stands at an instant, in the line its request came by.

        `request_body` is that request, byte for byte.
        """
        ...
