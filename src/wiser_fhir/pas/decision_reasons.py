"""The configurable map from our reasons for a decision to the codes of X12."""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from pydantic import TypeAdapter

_ENTRIES = TypeAdapter(dict[str, tuple[str, ...]])


@dataclass(frozen=True, slots=True)
class DecisionReasons:
    """X12 886 codes by our own reason; a reason without any is told in words only."""

    codes: Mapping[str, tuple[str, ...]]

    @classmethod
    def load(cls, file: Path | None = None) -> "DecisionReasons":
        """The map of `file`, or our own. Raises ValueError for what is no list of codes."""
        own = resources.files("wiser_fhir.pas").joinpath("decision_reasons.toml")
        return cls(_ENTRIES.validate_python(tomllib.loads((file or own).read_text("utf-8"))))

    def of(self, reasons: Iterable[str]) -> tuple[str, ...]:
        """The codes of some reasons, each once; what the map does not name is a code already."""
        return tuple(dict.fromkeys(code for r in reasons for code in self.codes.get(r, (r,))))
