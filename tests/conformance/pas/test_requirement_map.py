"""The maps of PAS: all of the guides' requirements and every test of both suites, none twice."""

from pathlib import Path

import pytest

from tests.conformance.pas.suite_tests import suite
from tests.requirements_plugin import CONFORMANCE, Requirements

FILE = CONFORMANCE / "pas_requirements.toml"
SUITES = CONFORMANCE / "pas_suites.toml"
# The guides' lines are numbered by section, with room between them.
SECTIONS = (
    (1, 11),
    (20, 40),
    (45, 45),
    (50, 67),
    (70, 75),
    (80, 94),
    (100, 111),
    (120, 131),
    (140, 148),
    (150, 153),
    (160, 165),
    (170, 172),
    (180, 184),
)
SUM = {"v201": 68, "v221": 79}


@pytest.mark.parametrize("file", [FILE, SUITES], ids=lambda file: file.name)
def test_every_line_is_mapped_once_and_the_map_names_no_other(file: Path) -> None:
    requirements = Requirements.load(file)
    assert len(set(requirements.ids)) == len(requirements.ids)
    assert list(requirements.faults()) == []


def test_every_line_of_the_guides_is_there() -> None:
    numbers = [number for first, last in SECTIONS for number in range(first, last + 1)]
    assert list(Requirements.load(FILE).ids) == [f"PAS-{number:03}" for number in numbers]


def test_every_test_of_both_suites_is_there() -> None:
    wanted = [
        f"{group}-{test}"
        for version in ("v201", "v221")
        for group, tests in suite(version).items()
        for test in tests
    ]
    assert list(Requirements.load(SUITES).ids) == wanted


def test_the_suites_have_as_many_tests_as_they_say() -> None:
    groups = {version: [len(tests) for tests in suite(version).values()] for version in SUM}
    assert groups == {"v201": [5, 4, 4, 10, 43, 2], "v221": [4, 4, 4, 8, 14, 43, 2]}
    assert {version: sum(each) for version, each in groups.items()} == SUM


def test_no_test_of_a_suite_is_left_to_a_reason() -> None:
    mapped = Requirements.load(SUITES).mapped
    assert [each.id for each in mapped if each.reason or not each.tests] == []
