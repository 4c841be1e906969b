"""What a client wants of an answer. Whatever makes no sense is as if it were not there.

Source: CRD 2.2.1 §dev-4 to §dev-17, §found-35.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

COVERAGE_INFO = "coverage-info"
UNSOLICITED = "unsolicited-determ"
MAX_CARDS = "max-cards"
DEFAULT_MAX_CARDS = 10

SWITCHES = (COVERAGE_INFO, UNSOLICITED, "claim", "guideline", "insurance", "limits")
"""Options that are on unless a client turns them off; the same on every hook."""


@dataclass(frozen=True, slots=True)
class Configuration:
    """The options of one call: the switches that are off, and how many cards at most."""

    off: frozenset[str] = frozenset()
    max_cards: int = DEFAULT_MAX_CARDS

    @classmethod
    def read(cls, told: Mapping[str, Any]) -> "Configuration":
        """The options that a call tells in the right type; the others keep their default."""
        off = frozenset(code for code in SWITCHES if told.get(code) is False)
        limit = told.get(MAX_CARDS)
        # True is an integer to Python, and to nobody else.
        counts = isinstance(limit, int) and not isinstance(limit, bool) and limit >= 0
        return cls(off, limit if counts and limit is not None else DEFAULT_MAX_CARDS)

    @property
    def gives_coverage_information(self) -> bool:
        """Whether answers are put on the orders."""
        return COVERAGE_INFO not in self.off

    @property
    def what_if(self) -> bool:
        """Whether the call is a question only, whose answer names no prior authorization."""
        return UNSOLICITED in self.off

    def gives(self, topic: str) -> bool:
        """Whether cards of a topic are wanted."""
        return topic not in self.off
