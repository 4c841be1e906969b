"""What a reviewer asks for before deciding: documents, or the answers of a form."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID


class Material(StrEnum):
    """What kind of thing is asked for. One request asks for one kind (PAS 2.2.1 §ainfo-7)."""

    DOCUMENTS = "documents"
    QUESTIONNAIRE = "questionnaire"


class RequestState(StrEnum):
    """Where a request for information stands. Lapsed: the case was decided without an answer."""

    OPEN = "open"
    ANSWERED = "answered"
    WITHDRAWN = "withdrawn"
    LAPSED = "lapsed"


@dataclass(frozen=True, slots=True)
class Wanted:
    """One thing asked for.

    `code` is a LOINC attachment code, `questionnaire` a canonical with its version: one of the two.
    `lines` are the sequences of the items it is about, none for the whole request. `diagnosis` is
    an ICD-10-CM code, `modifier` a LOINC modifier of what the document is to hold.
    """

    code: str | None = None
    questionnaire: str | None = None
    lines: tuple[int, ...] = ()
    diagnosis: str | None = None
    modifier: str | None = None

    def __post_init__(self) -> None:
        if (self.code is None) == (self.questionnaire is None):
            raise ValueError("either a document by its code or a questionnaire is asked for")

    def as_json(self) -> dict[str, Any]:
        """As the database keeps it."""
        return {
            "code": self.code,
            "questionnaire": self.questionnaire,
            "lines": list(self.lines),
            "diagnosis": self.diagnosis,
            "modifier": self.modifier,
        }

    @classmethod
    def of_json(cls, stored: dict[str, Any]) -> "Wanted":
        """What `as_json` made."""
        return cls(**{**stored, "lines": tuple(stored["lines"])})


@dataclass(frozen=True, slots=True)
class InformationRequest:
    """Material asked for, once. Asking never stops the case's clock: `due_at` is its deadline.

    Source: WISeR Operational Guide 6.0, 4.2 (the time limits know no pause).
    """

    id: UUID
    kind: Material
    asked_at: datetime
    due_at: datetime
    wanted: tuple[Wanted, ...]
    note: str | None = None
    state: RequestState = RequestState.OPEN
    answered_at: datetime | None = None
