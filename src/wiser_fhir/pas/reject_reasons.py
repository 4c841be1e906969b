"""The configurable map from our reasons of refusal to the codes of X12."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from wiser_fhir.priorauth.changes import UpdateRefusal
from wiser_fhir.priorauth.models import DismissalReason


@dataclass(frozen=True, slots=True)
class RejectReason:
    """X12 901 code, X12 889 follow-up action, and the FHIRPath of what it is about."""

    code: str
    followup: str
    path: str


@dataclass(frozen=True, slots=True)
class RejectReasons:
    """One entry per dismissal reason, and one per reason to refuse an update."""

    reasons: Mapping[str, RejectReason]

    @classmethod
    def load(cls, file: Path | None = None) -> "RejectReasons":
        """The map of `file`, or our own.

        Raises ValueError naming the reasons it lacks or does not know.
        """
        own = resources.files("wiser_fhir.pas").joinpath("reject_reasons.toml")
        text = (file or own).read_text(encoding="utf-8")
        reasons = {name: RejectReason(**entry) for name, entry in tomllib.loads(text).items()}
        expected = {*DismissalReason, *UpdateRefusal}
        if wrong := expected ^ set(reasons):
            raise ValueError(f"reject reasons: missing or unknown: {', '.join(sorted(wrong))}")
        return cls(reasons)
