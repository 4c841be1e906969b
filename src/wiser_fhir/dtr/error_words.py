"""The words that may be kept of a reported error. Whatever is none of them is not kept.

A sender's own text may tell of a patient, whatever the guide forbids, so nothing of it is stored
but what stands in a closed list: FHIR's names of codes, elements and types in `error_words.toml`,
and the names that we publish ourselves.
"""

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Self

DETAILS_SYSTEM = "http://terminology.hl7.org/CodeSystem/operation-outcome"


@dataclass(frozen=True, slots=True)
class ErrorWords:
    """The lists of the file."""

    severities: frozenset[str]
    issue_codes: frozenset[str]
    details: frozenset[str]
    resource_types: frozenset[str]
    elements: frozenset[str]

    @classmethod
    def load(cls) -> Self:
        """The file beside this module."""
        text = Path(__file__).with_suffix(".toml").read_text(encoding="utf-8")
        return cls(**{name: frozenset(words) for name, words in tomllib.loads(text).items()})


@cache
def error_words() -> ErrorWords:
    """The lists, read once."""
    return ErrorWords.load()
