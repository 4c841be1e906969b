"""One check taken out of a copy of the code, and whether the tests that ought to notice do.

A mutant is killed by a line of a test, and by nothing that goes wrong in the code for another
reason. It runs in a process of its own, on the database server of the run that asks.
"""

import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from threading import Timer
from typing import Any, Final, Literal

REPOSITORY: Final = Path(__file__).parents[2]
SOURCE: Final = REPOSITORY / "src/wiser_fhir"
LIST: Final = Path(__file__).with_name("mutants.toml")

WITHIN_SECONDS: Final = 180
REPORT: Final = "MUTANT_REPORT"
TESTS: Final = REPOSITORY / "tests"
IN_A_TEST: Final = "in a test"
# A line of a test that does not hold; what `pytest.raises` fails with where nothing was raised.
NOTICED: Final = frozenset({IN_A_TEST, "AssertionError", "Failed"})

_FORGE = Path(__file__).with_name("forge.py")
_OPTIONS = (
    *("-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"),
    *("-W", "ignore::pytest.PytestAssertRewriteWarning"),  # the forge has read plugins before
    *("-p", "tests.mutation.watcher", f"--rootdir={REPOSITORY}"),
)
_NEVER_COPIED = shutil.ignore_patterns("static")
_ENDED, _FOUND_FAULTS = 0, 1

Verdict = Literal["killed", "survived", "broken"]


class MutantRefused(ValueError):
    """A mutant that cannot be made of the code as it stands."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """A change of one `file` of the package: its `text`, which stands in it once, by `instead`.

    `kind` is what sort of check it takes away, `tests` are node ids of those that must notice.
    """

    name: str
    kind: str
    file: str
    text: str
    instead: str
    tests: tuple[str, ...]

    def apply(self, package: Path) -> None:
        """Change a copy of the package. Raises MutantRefused."""
        file = package / self.file
        content = file.read_text(encoding="utf-8")
        if content.count(self.text) != 1:
            raise MutantRefused(f"{self.file} has it {content.count(self.text)} times: {self.text}")
        file.write_text(content.replace(self.text, self.instead), encoding="utf-8")
        for compiled in file.parent.glob(f"__pycache__/{file.stem}.*"):
            compiled.unlink()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a mutant. `why` is for whoever has to look after it."""

    verdict: Verdict
    why: str = field(repr=False)


def mutants(file: Path = LIST) -> Iterator[Mutant]:
    """All of a list, in its order; unknown keys raise TypeError."""
    for entry in tomllib.loads(file.read_text(encoding="utf-8"))["mutants"]:
        yield Mutant(**{**entry, "tests": tuple(entry["tests"])})


def copied(folder: Path) -> Path:
    """A repository whose package is a copy and the rest is this one; its package."""
    folder.mkdir()
    for each in REPOSITORY.iterdir():
        if each.name != "src" and not each.name.startswith("."):
            (folder / each.name).symlink_to(each)
    package = folder / "src/wiser_fhir"
    shutil.copytree(SOURCE, package, ignore=_NEVER_COPIED)
    return package


class Forge:
    """Runs tests on copies of the package, each in a process of its own; see `forge.py`."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(_FORGE)],
            cwd=REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.communicate(timeout=30)

    def tried(self, mutant: Mutant, folder: Path, database: str) -> Outcome:
        """Whether its tests notice a mutant. `folder` is made; `database` names one of its own.

        Raises MutantRefused.
        """
        package = copied(folder)
        mutant.apply(package)
        report, output = folder / "report.json", folder / "output.txt"
        order = {
            "arguments": [*_OPTIONS, f"--basetemp={folder / 'pytest'}", *mutant.tests],
            "environment": _environment(report, database),
            "path": [str(package.parent), str(REPOSITORY)],
            "output": str(output),
        }
        status = self._ordered(order)
        if not report.exists():
            return Outcome("broken", f"no report\n{output.read_text(encoding='utf-8')}")
        return judged(status, json.loads(report.read_text(encoding="utf-8")), package)

    def _ordered(self, order: Mapping[str, Any]) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        late = Timer(WITHIN_SECONDS, self._process.kill)
        late.start()
        try:
            print(json.dumps(order), file=self._process.stdin, flush=True)
            return int(self._process.stdout.readline())
        finally:
            late.cancel()


def judged(status: int, report: Mapping[str, Any], package: Path) -> Outcome:
    """A verdict from how a run ended and what its watcher saw."""
    if Path(report["package"]).parent != package:
        return Outcome("broken", f"another package was imported: {report['package']}")
    problems = report["problems"]
    if status == _ENDED and not problems and report["passed"]:
        return Outcome("survived", f"{report['passed']} tests passed")
    failed = [each["error"] for each in problems if each["when"] == "call"]
    noticed = failed and len(failed) == len(problems) and NOTICED.issuperset(failed)
    if status == _FOUND_FAULTS and noticed:
        return Outcome("killed", str(problems))
    return Outcome("broken", f"ended with {status}: {problems}")


def _environment(report: Path, database: str) -> dict[str, str]:
    ours = ("WISER_", "COV_", "PYTEST_ADDOPTS", "PYTEST_CURRENT_TEST")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    # The worker is what a database is named after.
    return kept | {"PYTEST_XDIST_WORKER": database, REPORT: str(report)}
