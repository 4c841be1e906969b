"""What a client may switch off or limit, and that nonsense is as if it were not said.

Source: CRD 2.2.1 §dev-4 to §dev-17, §resp-28, §found-35.
"""

from collections.abc import Mapping
from typing import Any

import pytest

from tests.bundle_values import Json, Line
from tests.crd_bodies import HOOKS, LONG, Record, hook_call, usual_subject
from tests.integration.crd.door import HookClient, answered, told
from tests.integration.pas.door import Rows


def many(line: Line, options: Json | None = None) -> Json:
    """A call whose answer has cards of three topics: guideline, limits, and claim as a warning."""
    record = Record.of(line)
    orders = [
        record.order("64483", name="long", **LONG),
        record.order("15272", "E11.621", name="add-on"),
    ]
    return hook_call("order-sign", record, *orders, options=options)


def topics(answer: Json) -> list[str]:
    return [card["source"]["topic"]["code"] for card in answer["cards"]]


async def test_without_options_everything_comes(hooks: HookClient, line: Line) -> None:
    answer = answered(await hooks.call(many(line)))
    assert topics(answer) == ["claim", "guideline", "limits"]
    assert [card["indicator"] for card in answer["cards"]] == ["warning", "info", "info"]
    assert len(answer["systemActions"]) == 2


@pytest.mark.parametrize("hook", HOOKS)
async def test_coverage_information_can_be_switched_off(
    hook: str, hooks: HookClient, line: Line, rows: Rows
) -> None:
    record = Record.of(line)
    about = usual_subject(hook, record)
    body = hook_call(hook, record, about, options={"coverage-info": False})
    assert answered(await hooks.call(body))["systemActions"] == []
    assert await rows.all("select * from coverage_assertion") == []


@pytest.mark.parametrize("topic", ["claim", "guideline", "limits"])
async def test_a_topic_can_be_switched_off(topic: str, hooks: HookClient, line: Line) -> None:
    answer = answered(await hooks.call(many(line, {topic: False})))
    assert topics(answer) == [each for each in ("claim", "guideline", "limits") if each != topic]
    assert len(answer["systemActions"]) == 2


@pytest.mark.parametrize("most", [0, 1, 2, 3, 100])
async def test_no_more_cards_than_wanted_and_the_warning_first(
    most: int, hooks: HookClient, line: Line, rows: Rows
) -> None:
    answer = answered(await hooks.call(many(line, {"max-cards": most})))
    assert topics(answer) == ["claim", "guideline", "limits"][:most]
    assert len(answer["systemActions"]) == 2
    assert len(await rows.all("select * from hook_card")) == min(most, 3)


NONSENSE: Mapping[str, Any] = {
    "a number for a switch": {"coverage-info": 0},
    "a text for a switch": {"coverage-info": "false"},
    "null": {"coverage-info": None, "max-cards": None},
    "less than nothing": {"max-cards": -1},
    "a text for a number": {"max-cards": "1"},
    "a switch for a number": {"max-cards": True},
    "a fraction": {"max-cards": 1.5},
    "more than a number holds": {"max-cards": 10**17},
    "what nobody knows": {"colour": "red", "": {}, "a-b": [1]},
    "a list": [],
    "a text": "off",
    "a number": 3,
}


@pytest.mark.parametrize("what", NONSENSE)
async def test_nonsense_is_as_if_it_were_not_said(what: str, hooks: HookClient, line: Line) -> None:
    answer = answered(await hooks.call(many(line, NONSENSE[what])))
    assert topics(answer) == ["claim", "guideline", "limits"]
    assert len(answer["systemActions"]) == 2


async def test_everything_off_is_an_empty_answer(hooks: HookClient, line: Line) -> None:
    off = dict.fromkeys(
        ("coverage-info", "unsolicited-determ", "claim", "guideline", "insurance", "limits"), False
    )
    answer = answered(await hooks.call(many(line, off)))
    assert answer == {"cards": [], "systemActions": []}


async def test_a_question_only_is_answered_by_the_rules(hooks: HookClient, line: Line) -> None:
    """A what-if call is as any other where there is no case. Source: CRD 2.2.1 §found-35."""
    record = Record.of(line)
    order = record.order("64483")
    body = hook_call("order-sign", record, order, options={"unsolicited-determ": False})
    assert told(answered(await hooks.call(body))).pa_needed == "auth-needed"
