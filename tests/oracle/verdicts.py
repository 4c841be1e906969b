"""The judge's verdicts, remembered on disk by what was judged and by what judge."""

import hashlib
import json
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.oracle.judge import TARGET, Issue, Judge, Line, Resource, fingerprint
from tests.oracle.mutations import Case

VERDICTS = TARGET / "verdicts.jsonl"
AT_ONCE = 64
CRASH = "engine-crash"


@dataclass(frozen=True)
class Verdict:
    """What HL7's engine found wrong; nothing means it accepts."""

    errors: tuple[Issue, ...]

    @property
    def accepts(self) -> bool:
        return not self.errors

    @property
    def is_one(self) -> bool:
        """False where the engine broke on a shape it did not foresee instead of judging it."""
        return all(error.id != CRASH for error in self.errors)


class Verdicts:
    """Verdicts read from disk, or asked of the judge that `start` gives when first needed."""

    def __init__(self, start: Callable[[], AbstractContextManager[Judge]]) -> None:
        self._start = start
        self._known = _read(VERDICTS)
        self.asked = 0
        self.judge_seconds = 0.0

    def of(self, cases: Sequence[Case]) -> dict[str, Verdict]:
        """A verdict for each case, by the case's name."""
        keys = {case.name: _key(case) for case in cases}
        unknown = [case for case in cases if keys[case.name] not in self._known]
        if unknown:
            self._ask(unknown)
        return {name: self._known[key] for name, key in keys.items()}

    def _ask(self, cases: Sequence[Case]) -> None:
        VERDICTS.parent.mkdir(parents=True, exist_ok=True)
        with self._start() as judge, VERDICTS.open("a") as out:
            asked, seconds = judge.answers, judge.seconds
            for start in range(0, len(cases), AT_ONCE):
                if start % (16 * AT_ONCE) == 0:
                    print(f"judge: {start} of {len(cases)} cases asked", file=sys.stderr)
                answers = [
                    (case, judge.submit(*_question(case)))
                    for case in cases[start : start + AT_ONCE]
                ]
                for case, answer in answers:
                    verdict = _verdict(answer.result())
                    if not verdict.is_one:  # once more by itself: threads can trip over each other
                        verdict = _verdict(judge.submit(*_question(case)).result())
                    self._known[_key(case)] = verdict
                    found = [asdict(error) for error in verdict.errors]
                    out.write(json.dumps({"key": _key(case), "errors": found}) + "\n")
            self.asked += judge.answers - asked
            self.judge_seconds += judge.seconds - seconds


def _question(case: Case) -> tuple[Resource, Line, str]:
    return case.resource, case.example.line, case.example.profile


def _verdict(issues: list[Issue]) -> Verdict:
    return Verdict(tuple(issue for issue in issues if issue.is_error))


def _key(case: Case) -> str:
    asked = [case.example.line, case.example.profile, case.resource]
    return hashlib.sha256((fingerprint() + json.dumps(asked)).encode()).hexdigest()


def _read(file: Path) -> dict[str, Verdict]:
    if not file.exists():
        return {}
    rows = map(json.loads, file.read_text().splitlines())
    return {row["key"]: Verdict(tuple(Issue(**error) for error in row["errors"])) for row in rows}
