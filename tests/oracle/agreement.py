"""Our validator against HL7's engine, over all guide examples and their mutations.

    .venv/bin/python tests/oracle/agreement.py [--json FILE] [--show N] [--only TEXT]

Prints, per class of mutation, how often both say the same, and apart from each other the false
accepts (we accept what the engine refuses) and the false alarms (we refuse what it accepts).
Exit code 1 unless the figures of BOUNDS are met and every disagreement has its reason in
disagreements.toml. What the engine said is remembered under target/; only our side runs anew.
"""

import argparse
import json
import re
import sys
import time
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

from tests.oracle.guide_examples import Example, examples
from tests.oracle.judge import HERE, Judge, Line
from tests.oracle.mutations import ORIGINAL, Case, cases
from tests.oracle.verdicts import Verdict, Verdicts

DISAGREEMENTS = HERE / "disagreements.toml"
OVERALL = 0.995
EACH_CLASS = 0.97
HARMLESS = 0.40
MUTATIONS = 5_000
UNJUDGED = 0.02


class Problem(Protocol):
    """What our validator says, see wiser_fhir.errors."""

    @property
    def severity(self) -> str: ...
    @property
    def text(self) -> str: ...
    @property
    def expression(self) -> str | None: ...


class Validator(Protocol):
    """The part of GuideValidator that is judged."""

    def accepts(self, resource: dict[str, Any], profile: str) -> bool: ...
    def problems(self, resource: dict[str, Any], profile: str) -> Sequence[Problem]: ...


@dataclass(frozen=True)
class Outcome:
    """What both said of one case."""

    case: Case
    judge: Verdict
    accepted: bool
    ours: tuple[str, ...]

    @property
    def kind(self) -> str:
        if self.accepted == self.judge.accepts:
            return "agree"
        return "false accept" if self.accepted else "false alarm"

    @property
    def words(self) -> str:
        """What the refusing side said, to find a disagreement by."""
        engine = [f"{issue.expression}: {issue.text} [{issue.id}]" for issue in self.judge.errors]
        return "\n".join(engine if self.accepted else self.ours)


@dataclass(frozen=True)
class Reason:
    """A disagreement that stays: patterns that find it, and why."""

    kind: str
    reason: str
    mutation: str = ".*"
    at: str = ""
    words: str = ""

    def covers(self, outcome: Outcome) -> bool:
        return (
            outcome.kind == self.kind
            and re.fullmatch(self.mutation, outcome.case.kind) is not None
            and re.search(self.at, outcome.case.at) is not None
            and re.search(self.words, outcome.words) is not None
        )


@dataclass
class Row:
    """The figures of one class."""

    name: str
    cases: int = 0
    valid: int = 0
    false_accepts: int = 0
    false_alarms: int = 0

    def add(self, outcome: Outcome) -> None:
        self.cases += 1
        self.valid += outcome.judge.accepts
        self.false_accepts += outcome.kind == "false accept"
        self.false_alarms += outcome.kind == "false alarm"

    @property
    def agreement(self) -> float:
        return 1 - (self.false_accepts + self.false_alarms) / max(self.cases, 1)


@dataclass
class Agreement:
    """All outcomes, and what they come to."""

    outcomes: list[Outcome]
    reasons: tuple[Reason, ...]
    contradictions: list[str] = field(default_factory=list)
    unjudged: list[str] = field(default_factory=list)

    def rows(self) -> list[Row]:
        rows: dict[str, Row] = {}
        for outcome in self.outcomes:
            rows.setdefault(outcome.case.kind, Row(outcome.case.kind)).add(outcome)
        return list(rows.values())

    def total(self) -> Row:
        total = Row("all")
        for outcome in self.outcomes:
            total.add(outcome)
        return total

    def disagreements(self) -> list[Outcome]:
        return [outcome for outcome in self.outcomes if outcome.kind != "agree"]

    def unexplained(self) -> list[Outcome]:
        return [
            outcome
            for outcome in self.disagreements()
            if not any(reason.covers(outcome) for reason in self.reasons)
        ]

    def alarms_on_originals(self) -> list[Outcome]:
        return [
            outcome
            for outcome in self.disagreements()
            if outcome.case.kind == ORIGINAL and outcome.kind == "false alarm"
        ]

    def harmless(self) -> float:
        """Share of the mutations that the judge accepts."""
        mutated = [outcome for outcome in self.outcomes if outcome.case.kind != ORIGINAL]
        return sum(outcome.judge.accepts for outcome in mutated) / max(len(mutated), 1)

    def failures(self, *, whole: bool) -> list[str]:
        """Every figure that is missed; those of the whole run only for the whole run."""
        rows, total = self.rows(), self.total()
        missed = [
            f"class '{row.name}': {row.agreement:.2%}, at least {EACH_CLASS:.0%} wanted"
            for row in rows
            if row.agreement < EACH_CLASS
        ]
        if total.agreement < OVERALL:
            missed.append(f"overall: {total.agreement:.2%}, at least {OVERALL:.1%} wanted")
        missed += [f"false alarm on {o.case.name}" for o in self.alarms_on_originals()]
        missed += [f"no reason for: {describe(outcome)}" for outcome in self.unexplained()]
        if len(self.unjudged) > UNJUDGED * len(self.outcomes):
            missed.append(f"the engine broke on {len(self.unjudged)} cases")
        missed += [f"accepts() and problems() differ on {name}" for name in self.contradictions]
        return missed + (self._missed_by_the_whole() if whole else [])

    def _missed_by_the_whole(self) -> list[str]:
        missed = []
        mutated = sum(outcome.case.kind != ORIGINAL for outcome in self.outcomes)
        if mutated < MUTATIONS:
            missed.append(f"{mutated} mutations, at least {MUTATIONS} wanted")
        if self.harmless() < HARMLESS:
            missed.append(f"{self.harmless():.0%} of them harmless, {HARMLESS:.0%} wanted")
        unused = [r for r in self.reasons if not any(map(r.covers, self.disagreements()))]
        return missed + [f"a reason that explains nothing: {reason}" for reason in unused]


def compare(
    chosen: Iterable[Case], validators: dict[Line, Validator], verdicts: dict[str, Verdict]
) -> Agreement:
    """Ask our side about every case.

    Mutations of an example that the engine refuses tell nothing about the mutation: left out.
    """
    result = Agreement([], reasons())
    refused: set[Example] = set()
    for number, case in enumerate(chosen):
        if number and number % 1000 == 0:
            print(f"{number} cases asked of our validator", file=sys.stderr)
        if case.kind == ORIGINAL and not verdicts[case.name].accepts:
            refused.add(case.example)
        elif case.example in refused:
            continue
        if not verdicts[case.name].is_one:
            result.unjudged.append(case.name)
            continue
        validator, profile = validators[case.example.line], case.example.profile
        accepted = validator.accepts(case.resource, profile)
        errors = [p for p in validator.problems(case.resource, profile) if p.severity == "error"]
        if accepted == bool(errors):
            result.contradictions.append(case.name)
        ours = tuple(f"{problem.expression}: {problem.text}" for problem in errors)
        result.outcomes.append(Outcome(case, verdicts[case.name], accepted, ours))
    return result


def reasons(file: Path = DISAGREEMENTS) -> tuple[Reason, ...]:
    """The disagreements that stay."""
    listed = tomllib.loads(file.read_text()).get("disagreement", [])
    return tuple(Reason(**entry) for entry in listed)


def describe(outcome: Outcome) -> str:
    words = outcome.words.splitlines() or ["-"]
    return f"{outcome.kind}: {outcome.case.name} at {outcome.case.at}: {words[0][:300]}"


def table(agreement: Agreement) -> str:
    lines = [
        f"{'class':28}{'cases':>7}{'valid':>7}{'false accepts':>15}{'false alarms':>14}{'agree':>9}"
    ]
    for row in [*agreement.rows(), agreement.total()]:
        lines.append(
            f"{row.name:28}{row.cases:7}{row.valid:7}{row.false_accepts:15}{row.false_alarms:14}"
            f"{row.agreement:9.2%}"
        )
    return "\n".join(lines)


def as_json(agreement: Agreement) -> dict[str, Any]:
    return {
        "classes": [asdict(row) | {"agreement": row.agreement} for row in agreement.rows()],
        "overall": asdict(agreement.total()) | {"agreement": agreement.total().agreement},
        "harmless": agreement.harmless(),
        "unjudged": agreement.unjudged,
        "disagreements": [
            {
                "kind": outcome.kind,
                "case": outcome.case.name,
                "class": outcome.case.kind,
                "profile": outcome.case.example.profile,
                "at": outcome.case.at,
                "judge": [asdict(issue) for issue in outcome.judge.errors],
                "ours": outcome.ours,
                "reason": next((r.reason for r in agreement.reasons if r.covers(outcome)), None),
            }
            for outcome in agreement.disagreements()
        ],
    }


def our_validators() -> dict[Line, Validator]:
    from wiser_fhir.fhir.validation.validator import GuideValidator

    return {"2.2": GuideValidator.load("2.2"), "2.0": GuideValidator.load("2.0")}


def main(arguments: list[str] | None = None) -> int:
    """Run it all; 0 if every figure is met."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", type=Path, help="write the figures and disagreements here")
    parser.add_argument("--show", type=int, default=20, help="so many failures are printed")
    parser.add_argument("--only", help="only cases whose name contains this")
    parser.add_argument("--threads", type=int, default=2, help="of the judge")
    options = parser.parse_args(arguments)
    chosen = [case for case in cases(examples()) if not options.only or options.only in case.name]
    verdicts = Verdicts(lambda: Judge(threads=options.threads))
    known = verdicts.of(chosen)
    start = time.perf_counter()
    agreement = compare(chosen, our_validators(), known)
    seconds = time.perf_counter() - start
    if options.json:
        options.json.write_text(json.dumps(as_json(agreement), indent=1))
    print(table(agreement))
    print(f"{agreement.harmless():.1%} of the mutations are valid for the judge")
    print(f"{len(agreement.unjudged)} more cases broke the engine itself and count for nothing")
    if verdicts.asked:
        each = 1000 * verdicts.judge_seconds / verdicts.asked
        print(f"judge: {verdicts.asked} asked anew, {each:.1f} ms each")
    print(f"ours: {1000 * seconds / max(len(chosen), 1):.2f} ms each, accepts() and problems()")
    failures = agreement.failures(whole=options.only is None)
    for failure in failures[: options.show]:
        print(f"FAIL {failure}")
    print(f"{len(failures)} failures" if failures else "every figure is met")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
