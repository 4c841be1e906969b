"""Every kind of event that the design lists is held by a test that there is."""

import re
import tomllib
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[2]
EVENTS = tomllib.loads((TESTS / "conformance" / "audit_events.toml").read_text())["events"]
_ACTION = re.compile(r"[a-z-]+\.([a-z-]+|\*)")


@pytest.mark.parametrize("event", EVENTS, ids=[event["name"] for event in EVENTS])
def test_the_tests_of_an_event_are_there(event: dict[str, list[str]]) -> None:
    assert event["tests"]
    for name in event["tests"]:
        file, _, test = name.partition("::")
        assert f"def {test}(" in (TESTS / file).read_text(), name
    assert all(_ACTION.fullmatch(action) for action in event["actions"])


def test_no_event_stands_twice() -> None:
    names = [event["name"] for event in EVENTS]
    assert len(names) == len(set(names))
