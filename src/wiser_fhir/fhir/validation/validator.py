"""The one door to validation: `GuideValidator`."""

from pathlib import Path
from typing import Any, Literal

from wiser_fhir.errors import Problem
from wiser_fhir.fhir.validation import checker
from wiser_fhir.fhir.validation.fast import FastPath
from wiser_fhir.fhir.validation.guide import Definition, Guide
from wiser_fhir.resources import resource_path

Line = Literal["2.2", "2.0"]
Json = dict[str, Any]


class GuideValidator:
    """Resources against the profiles of one line of the guides.

    Pure: nothing is kept from one resource to the next but what was read of the guides.
    """

    def __init__(self, guide: Guide) -> None:
        self._guide = guide
        self._fast = FastPath(guide)

    @classmethod
    def load(cls, line: Line, compiled: Path | None = None) -> "GuideValidator":
        """Read the compiled guides of a line; definitions are parsed when first used."""
        folder = compiled or resource_path("igs/compiled")
        return cls(Guide([folder / line, folder / "shared"]))

    def proves(self, resource: Json, profile: str) -> bool:
        """Whether a resource is good beyond doubt, which ordinary content is found to be in a
        fraction of a millisecond. False says nothing: ask `problems`.

        Raises KeyError for a profile that is not compiled.
        """
        return self._fast.proves(resource, self._definition(profile))

    def warm(self, profile: str) -> None:
        """Make now what the first `accepts` by that profile would make (some 0.1 s)."""
        self._fast.warm(self._definition(profile))

    def accepts(self, resource: Json, profile: str) -> bool:
        """Whether a resource has no error by the profile. Raises KeyError for an unknown one."""
        if self.proves(resource, profile):
            return True
        return not any(p.severity == "error" for p in self.problems(resource, profile))

    def problems(self, resource: Json, profile: str) -> list[Problem]:
        """Everything wrong with a resource, errors and warnings, ordered by path.

        Raises KeyError for a profile that is not compiled.
        """
        return checker.check(self._guide, resource, self._definition(profile))

    def base_problems(self, resource: Json) -> list[Problem]:
        """Only what breaks base R4."""
        kind = resource.get("resourceType")
        base = self._guide.type(kind) if isinstance(kind, str) else None
        if base is None or base.kind != "resource":
            text = "a resource with a known resourceType expected"
            return [Problem("error", "structure", text, None)]
        return checker.check(self._guide, resource, base, base_only=True)

    def _definition(self, profile: str) -> Definition:
        found = self._guide.definition(profile)
        if found is None:
            raise KeyError(profile)
        return found
