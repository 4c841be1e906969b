"""What the sandbox's clinician answers to a request, by the beneficiary's member number."""

from collections.abc import Mapping
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from wiser_fhir.coverage.frozen import Frozen, Slug, Words, repeated
from wiser_fhir.coverage.loading import read
from wiser_fhir.priorauth.determination import Outcome
from wiser_fhir.priorauth.information import Material
from wiser_fhir.priorauth.models import DismissalReason


class LineScript(Frozen):
    """What is decided of a line. `answer` is an ItemAnswer as JSON, with words that begin with $.

    Where a line is granted otherwise than asked: `units` at most, `other_code` of the same service,
    `one_day` of the period. A line of which that cannot be said is granted as asked.
    """

    outcome: Outcome = Field(strict=False)
    rationale: Words | None = None
    resubmission_steps: Words | None = None
    reasons: tuple[Words, ...] = ()
    units: int | None = Field(default=None, ge=1)
    other_code: bool = False
    one_day: bool = False
    answer: dict[str, Any] = Field(default_factory=dict)


class WantedScript(Frozen):
    """One thing to ask for, a document by its LOINC code or a form, for all lines or the first."""

    code: Words | None = None
    questionnaire: Words | None = None
    modifier: Words | None = None
    diagnosis: Words | None = None
    lines: Literal["all", "first"] = "all"


class AskScript(Frozen):
    """What of one kind is asked for."""

    kind: Material = Field(strict=False)
    note: Words
    wanted: tuple[WantedScript, ...] = Field(min_length=1)


class DismissalScript(Frozen):
    """Why a request is dismissed."""

    reason: DismissalReason = Field(strict=False)
    detail: Words


class Script(Frozen):
    """What is made of a request. Without `lines`, `asks` and `dismissal` it stays in review.

    `tells` says so in a sentence's half, for the documentation.
    """

    tells: Words
    lines: tuple[LineScript, ...] = ()
    asks: tuple[AskScript, ...] = ()
    note: Words | None = None
    answer: dict[str, Any] = Field(default_factory=dict)
    dismissal: DismissalScript | None = None
    number_later: bool = False


class Member(Frozen):
    """A test member. `after` are the seconds between an answer and what the script says next."""

    number: Words
    script: Slug
    after: int = Field(default=0, ge=0)
    guest: bool = False

    @property
    def delay(self) -> timedelta:
        """How long the clinician takes."""
        return timedelta(seconds=self.after)


class Scenarios(Frozen):
    """Test members and their scripts, as the file holds them. `clinician` is a person's name."""

    clinician: Words
    scripts: dict[Slug, Script] = Field(min_length=1)
    members: tuple[Member, ...] = Field(min_length=1)

    @classmethod
    def load(cls, file: Path | None = None) -> "Scenarios":
        """The scenarios in `file`, or those beside this module. Raises CatalogueError."""
        return read(cls, file or Path(__file__).with_name("scenarios.toml"))

    @model_validator(mode="after")
    def _names_its_scripts(self) -> Self:
        if unknown := {each.script for each in self.members} - self.scripts.keys():
            raise ValueError(f"no such script: {', '.join(sorted(unknown))}")
        if twice := repeated(tuple(each.number for each in self.members)):
            raise ValueError(f"members: {', '.join(twice)} stands twice")
        return self

    def of(self, number: str | None) -> Member | None:
        """The test member with this number, None for everybody else."""
        return self._by_number.get(number) if number else None

    def script_of(self, member: Member) -> Script:
        """What is made of a member's requests."""
        return self.scripts[member.script]

    @property
    def numbers(self) -> tuple[str, ...]:
        """The numbers of all test members."""
        return tuple(self._by_number)

    @cached_property
    def _by_number(self) -> Mapping[str, Member]:
        return {each.number: each for each in self.members}
