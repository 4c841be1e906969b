"""Every check that keeps somebody out is missed by a test when it is gone."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest

from tests.database import run_sql
from tests.mutation.harness import REPOSITORY, SOURCE, Forge, Mutant, MutantRefused, judged, mutants
from wiser_fhir.db.embedded import Embedded

KINDS = {
    *("signature", "audience", "owner", "binding", "scope", "replay", "life", "trust"),
    *("person", "request", "flow", "audit", "guessing"),
}
ALL = {each.name: each for each in mutants()}
HARMLESS = Mutant(
    name="harmless",
    kind="scope",
    file="auth/scopes.py",
    text='"""Whether everything needed is granted."""',
    instead='"""Whether all that is needed is granted."""',
    tests=("tests/unit/auth/test_scopes.py::test_what_was_not_granted_is_not_covered",),
)


@pytest.fixture(scope="module")
def forge() -> Iterator[Forge]:
    """Where mutants are tried."""
    made = Forge()
    yield made
    made.close()


@pytest.fixture
def database(postgres: Embedded, template: str) -> Iterator[str]:
    """What the mutant's own database is named after; it is gone afterwards."""
    name = f"mutant_{uuid4().hex[:12]}"
    yield name
    run_sql(postgres, f"drop database if exists wiser_{name} with (force)")


@pytest.mark.parametrize("name", ALL)
def test_a_check_that_is_gone_is_missed(
    name: str, tmp_path: Path, database: str, forge: Forge
) -> None:
    outcome = forge.tried(ALL[name], tmp_path / "copy", database)
    assert outcome.verdict == "killed", outcome.why


def test_every_kind_of_check_is_taken_away_once_at_least() -> None:
    assert {each.kind for each in mutants()} == KINDS
    assert len(ALL) == len(list(mutants()))
    assert all(each.tests for each in ALL.values())


def test_every_check_is_where_the_list_says_and_every_test_it_names_is_there() -> None:
    lost = [
        each.name
        for each in ALL.values()
        if (SOURCE / each.file).read_text(encoding="utf-8").count(each.text) != 1
        or not all(_exists(test) for test in each.tests)
    ]
    assert lost == []


def _exists(node_id: str) -> bool:
    path, _, function = node_id.partition("[")[0].partition("::")
    return f"def {function}(" in (REPOSITORY / path).read_text(encoding="utf-8")


def test_a_change_that_changes_nothing_survives(
    tmp_path: Path, database: str, forge: Forge
) -> None:
    assert forge.tried(HARMLESS, tmp_path / "copy", database).verdict == "survived"


def test_code_that_does_not_run_is_not_killed_but_broken(
    tmp_path: Path, database: str, forge: Forge
) -> None:
    unsound = replace(HARMLESS, instead="return nothing_of_this_name")
    outcome = forge.tried(unsound, tmp_path / "copy", database)
    assert (outcome.verdict, "NameError" in outcome.why) == ("broken", True)


def test_a_test_that_there_is_not_notices_nothing(
    tmp_path: Path, database: str, forge: Forge
) -> None:
    lost = replace(HARMLESS, tests=("tests/unit/auth/test_scopes.py::test_nothing",))
    assert forge.tried(lost, tmp_path / "copy", database).verdict == "broken"


@pytest.mark.parametrize("text", ["no such text", "from"])
def test_a_mutant_is_one_change_of_one_place(text: str, tmp_path: Path, forge: Forge) -> None:
    before = (SOURCE / HARMLESS.file).read_bytes()
    with pytest.raises(MutantRefused, match="times"):
        forge.tried(replace(HARMLESS, text=text), tmp_path / "copy", "unused")
    assert (SOURCE / HARMLESS.file).read_bytes() == before


@pytest.mark.parametrize(
    ("status", "problems", "passed", "verdict"),
    [
        (0, [], 1, "survived"),
        (0, [], 0, "broken"),
        (1, [("call", "AssertionError")], 0, "killed"),
        (1, [("call", "Failed")], 3, "killed"),
        (1, [("call", "KeyError")], 0, "broken"),
        (1, [("setup", "AssertionError")], 0, "broken"),
        (1, [("call", "Failed"), ("teardown", "Failed")], 0, "broken"),
        (1, [], 0, "broken"),
        (2, [("call", "Failed")], 0, "broken"),
    ],
)
def test_only_an_assertion_of_a_test_kills(
    status: int, problems: list[tuple[str, str]], passed: int, verdict: str
) -> None:
    seen = [{"test": "t", "when": when, "error": error} for when, error in problems]
    report = {"package": str(SOURCE / "__init__.py"), "passed": passed, "problems": seen}
    assert judged(status, report, SOURCE).verdict == verdict


def test_another_package_than_the_copy_proves_nothing(tmp_path: Path) -> None:
    report = {"package": str(SOURCE / "__init__.py"), "passed": 0, "problems": []}
    assert judged(1, report, tmp_path).verdict == "broken"
