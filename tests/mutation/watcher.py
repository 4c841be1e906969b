"""pytest plugin of a mutant's run: which package was tested, what failed, and by what."""

import json
import os
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

import wiser_fhir
from tests.mutation.harness import IN_A_TEST, REPORT, TESTS

_passed: list[str] = []
_problems: list[dict[str, str]] = []


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[Any]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Take down one phase of one test."""
    report = yield
    if report.outcome != "passed":
        _problems.append({"test": item.nodeid, "when": str(report.when), "error": _error(call)})
    elif report.when == "call":
        _passed.append(item.nodeid)
    return report


def _error(call: pytest.CallInfo[Any]) -> str:
    """The exception by name; one that a line of a test itself raised counts as an assertion."""
    if call.excinfo is None:
        return "none"
    raised_in = Path(call.excinfo.traceback[-1].path)
    return IN_A_TEST if raised_in.is_relative_to(TESTS) else call.excinfo.typename


def pytest_collectreport(report: pytest.CollectReport) -> None:
    """Take down what could not be collected."""
    if report.failed:
        _problems.append({"test": report.nodeid, "when": "collect", "error": "collection"})


def pytest_sessionfinish() -> None:
    """Say it."""
    said = {"package": wiser_fhir.__file__, "passed": len(_passed), "problems": _problems}
    Path(os.environ[REPORT]).write_text(json.dumps(said), encoding="utf-8")
