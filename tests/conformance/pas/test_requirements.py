"""The map from the guide's requirements to tests, and the plugin that holds a run to it."""

import ast
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from tests.requirements_plugin import (
    DATA,
    Outcomes,
    Requirement,
    Requirements,
    Show,
    all_faults,
    plain,
)

ROOT = Path(__file__).parents[3]
NODE = "tests/unit/test_a.py::test_a"


@pytest.mark.parametrize("file", DATA, ids=lambda file: file.name)
def test_the_map_is_complete(file: Path) -> None:
    assert list(Requirements.load(file).faults()) == []


@pytest.mark.parametrize("file", DATA, ids=lambda file: file.name)
def test_every_test_it_names_exists(file: Path) -> None:
    named = {test for each in Requirements.load(file).mapped for test in each.tests}
    assert sorted(name for name in named if not _exists(name)) == []


def _exists(node_id: str) -> bool:
    path, _, function = node_id.partition("::")
    if not (ROOT / path).is_file():
        return False
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return any(isinstance(node, functions) and node.name == function for node in tree.body)


def test_a_map_with_holes_is_found_out() -> None:
    entries = (Requirement("A-1", (NODE,)), Requirement("A-2"), Requirement("A-9", reason="no"))
    assert list(Requirements(("A-1", "A-2", "A-3"), entries).faults()) == [
        "A-3: not mapped",
        "A-2: neither a test nor a reason",
        "A-9: no such requirement",
    ]


def test_a_run_that_shows_less_than_mapped_is_found_out() -> None:
    entries = (Requirement("A-1", (NODE, NODE + "b")), Requirement("A-2", reason="not yet"))
    requirements = Requirements(("A-1", "A-2"), entries)
    assert list(requirements.unmet({})) == [
        f"A-1: did not run: {NODE}",
        f"A-1: did not run: {NODE}b",
    ]
    assert list(requirements.unmet({NODE: True, NODE + "b": False})) == [
        f"A-1: did not pass: {NODE}b"
    ]
    assert list(requirements.unmet({NODE: True, NODE + "b": True})) == []


@pytest.mark.parametrize(
    ("reports", "passed"),
    [
        ([("setup", "passed"), ("call", "passed"), ("teardown", "passed")], True),
        ([("setup", "passed"), ("call", "failed"), ("teardown", "passed")], False),
        ([("setup", "passed"), ("call", "passed"), ("teardown", "failed")], False),
        ([("setup", "skipped"), ("teardown", "passed")], False),
        ([("setup", "failed")], False),
        ([("setup", "passed")], None),
    ],
)
def test_a_test_has_passed_when_all_of_it_has(
    reports: list[tuple[str, str]], passed: bool | None
) -> None:
    outcomes = Outcomes()
    for phase, outcome in reports:
        outcomes.note(NODE, phase, outcome)
    assert outcomes.by_test.get(NODE) is passed


def test_every_variation_of_a_test_counts() -> None:
    outcomes = Outcomes()
    for variation, outcome in (("[a]", "passed"), ("[b]@oracle", "failed"), ("[c]", "passed")):
        outcomes.note(NODE + variation, "call", outcome)
    assert outcomes.by_test == {NODE: False}
    assert plain(f"{NODE}[x::y[z]]@group") == NODE


def test_an_expected_failure_has_not_passed() -> None:
    outcomes = Outcomes()
    outcomes.note(NODE, "call", "passed", expected=False)
    assert outcomes.by_test == {NODE: False}


def test_an_unknown_word_in_the_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "map.toml"
    file.write_text('ids = ["A-1"]\n[requirements.A-1]\ntest = ["typo"]\n')
    with pytest.raises(TypeError):
        Requirements.load(file)


def test_all_files_are_judged(tmp_path: Path) -> None:
    for name in ("a", "b"):
        text = f'ids = ["{name}"]\n[requirements.{name}]\ntests = ["{NODE}"]\n'
        (tmp_path / f"{name}.toml").write_text(text)
    found = all_faults(sorted(tmp_path.glob("*.toml")), {})
    assert found == [f"a: did not run: {NODE}", f"b: did not run: {NODE}"]


def test_what_a_run_has_shown_is_added_to_the_next(tmp_path: Path) -> None:
    shown = tmp_path / "shown.json"
    first = Show(shown)
    for outcome, node in (("passed", f"{NODE}[one]"), ("failed", "tests/unit/test_b.py::test_b")):
        report = SimpleNamespace(nodeid=node, when="call", outcome=outcome)
        first.pytest_runtest_logreport(cast(pytest.TestReport, report))
    first.pytest_sessionfinish()
    together = Outcomes.shown(shown)
    together.note("tests/unit/test_c.py::test_c", "call", "passed")
    assert together.by_test == {
        NODE: True,
        "tests/unit/test_b.py::test_b": False,
        "tests/unit/test_c.py::test_c": True,
    }
