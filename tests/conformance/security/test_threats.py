"""The map of threats: all rows of the design are in it, and docs/security.md says what it says."""

import re
from pathlib import Path

from tests.requirements_plugin import CONFORMANCE, Requirements

FILE = CONFORMANCE / "threats.toml"
PAGE = Path(__file__).parents[3] / "docs/security.md"
ROWS = {"S": 7, "T": 5, "R": 1, "I": 8, "D": 4, "E": 6}
THREAT = re.compile(r"\| ([STRIDE]\d) \| [^|]+ \| [^|]+ \| ([^|]+) \|")


def told() -> dict[str, list[str]]:
    """Which files the page names for each threat, in its order."""
    rows = (THREAT.fullmatch(line) for line in PAGE.read_text(encoding="utf-8").splitlines())
    return {row[1]: re.findall(r"`([^`]+)`", row[2]) for row in rows if row}


def test_every_row_of_the_design_is_there() -> None:
    wanted = [f"{letter}{n}" for letter, most in ROWS.items() for n in range(1, most + 1)]
    assert list(Requirements.load(FILE).ids) == wanted


def test_a_reason_alone_holds_no_threat() -> None:
    assert [each.id for each in Requirements.load(FILE).mapped if not each.tests] == []


def test_the_page_says_what_the_map_does() -> None:
    mapped = {
        each.id: {test.partition("::")[0].removeprefix("tests/") for test in each.tests}
        for each in Requirements.load(FILE).mapped
    }
    assert list(told()) == list(mapped)
    for threat, files in told().items():
        assert files
        assert set(files) <= mapped[threat]


def test_every_page_it_leads_to_is_there() -> None:
    links = re.findall(r"\]\(([a-z-]+\.md)\)", PAGE.read_text(encoding="utf-8"))
    assert links
    assert [each for each in links if not (PAGE.parent / each).is_file()] == []
