"""pytest plugin: every requirement has tests that ran and passed, or a reason why not.

`pytest --requirements` checks the data files below at the end of a run and fails it otherwise. That
only makes sense for a run of all tests, so without the option nothing is checked. A run of some
tests writes down with `--show FILE` what it has shown, and a run of the others adds that with
`--shown-before FILE`.
"""

import json
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

CONFORMANCE = Path(__file__).parent / "conformance"
DATA = (
    *(CONFORMANCE / f"{guide}_requirements.toml" for guide in ("pas", "crd", "dtr")),
    *(CONFORMANCE / f"{suite}_suites.toml" for suite in ("pas", "smart", "udap", "tls")),
    CONFORMANCE / "threats.toml",
)


@dataclass(frozen=True, slots=True)
class Requirement:
    """One line of a guide: the tests that show it is met, the reason why (part of) it is not."""

    id: str
    tests: tuple[str, ...] = ()
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Requirements:
    """A data file. `ids` are all requirements there are, `mapped` what is said of them."""

    ids: tuple[str, ...]
    mapped: tuple[Requirement, ...]

    @classmethod
    def load(cls, file: Path) -> "Requirements":
        """Read a data file; unknown keys raise TypeError."""
        data = tomllib.loads(file.read_text(encoding="utf-8"))
        entries = data["requirements"].items()
        return cls(
            tuple(data["ids"]), tuple(_requirement(name, **entry) for name, entry in entries)
        )

    def faults(self) -> Iterator[str]:
        """What is wrong with the file by itself."""
        mapped = {requirement.id for requirement in self.mapped}
        yield from (f"{name}: not mapped" for name in self.ids if name not in mapped)
        for requirement in self.mapped:
            if requirement.id not in self.ids:
                yield f"{requirement.id}: no such requirement"
            if not requirement.tests and not requirement.reason:
                yield f"{requirement.id}: neither a test nor a reason"

    def unmet(self, outcomes: Mapping[str, bool]) -> Iterator[str]:
        """What a run did not show; `outcomes` by node id without parameters."""
        for requirement in self.mapped:
            for test in requirement.tests:
                if test not in outcomes:
                    yield f"{requirement.id}: did not run: {test}"
                elif not outcomes[test]:
                    yield f"{requirement.id}: did not pass: {test}"


def _requirement(name: str, *, tests: Iterable[str] = (), reason: str = "") -> Requirement:
    return Requirement(name, tuple(tests), reason)


@dataclass(slots=True)
class Outcomes:
    """How tests ended: True where every variation of a test passed in every phase."""

    by_test: dict[str, bool] = field(default_factory=dict)

    def note(self, node_id: str, phase: str, outcome: str, *, expected: bool = True) -> None:
        """Take down one report. A skipped test has not passed, nor has an expected failure."""
        test = plain(node_id)
        if outcome != "passed" or not expected:
            self.by_test[test] = False
        elif phase == "call":
            self.by_test.setdefault(test, True)

    @classmethod
    def shown(cls, file: Path) -> "Outcomes":
        """What another run wrote down."""
        return cls(json.loads(file.read_text(encoding="utf-8")))


def plain(node_id: str) -> str:
    """A node id without parameters, and without the group that pytest-xdist adds."""
    return node_id.partition("[")[0].partition("@")[0]


def all_faults(files: Iterable[Path], outcomes: Mapping[str, bool]) -> list[str]:
    """What is wrong with the files, and what the run did not show."""
    found: list[str] = []
    for file in files:
        requirements = Requirements.load(file)
        found += [*requirements.faults(), *requirements.unmet(outcomes)]
    return found


class Show:
    """Watches a run and writes down how its tests ended."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._outcomes = Outcomes()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Every report arrives here, those of pytest-xdist's workers too."""
        expected = not hasattr(report, "wasxfail")
        self._outcomes.note(report.nodeid, report.when, report.outcome, expected=expected)

    def pytest_sessionfinish(self) -> None:
        """Write it down."""
        self._file.write_text(json.dumps(self._outcomes.by_test), encoding="utf-8")


class Check:
    """Watches a run and judges it at its end."""

    def __init__(self, before: Path | None) -> None:
        self._outcomes = Outcomes() if before is None else Outcomes.shown(before)
        self._faults: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Every report arrives here, those of pytest-xdist's workers too."""
        expected = not hasattr(report, "wasxfail")
        self._outcomes.note(report.nodeid, report.when, report.outcome, expected=expected)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Fail a run that did not show everything."""
        self._faults = all_faults(DATA, self._outcomes.by_test)
        if self._faults and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Say what is missing."""
        for fault in self._faults:
            terminalreporter.write_line(f"REQUIREMENT {fault}", red=True)
        if not self._faults:
            terminalreporter.write_line("every requirement is met, or has its reason", green=True)


def pytest_addoption(parser: pytest.Parser) -> None:
    """The switch."""
    parser.addoption(
        "--requirements",
        action="store_true",
        help="fail unless every mapped requirement was shown; for runs of all tests",
    )
    parser.addoption("--show", type=Path, help="write down in this file how the tests ended")
    parser.addoption("--shown-before", type=Path, help="how others ended, as --show wrote it down")


def pytest_configure(config: pytest.Config) -> None:
    """Watch, where asked to; a worker of pytest-xdist leaves it to the controller."""
    if hasattr(config, "workerinput"):
        return
    if config.getoption("--requirements"):
        before = config.getoption("--shown-before")
        config.pluginmanager.register(Check(before), "requirements")
    if config.getoption("--show"):
        config.pluginmanager.register(Show(config.getoption("--show")), "shown")
