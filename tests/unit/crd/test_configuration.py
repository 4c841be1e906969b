"""Options of a call: what counts, and that nonsense does not."""

from typing import Any

import pytest

from wiser_fhir.crd.configuration import DEFAULT_MAX_CARDS, SWITCHES, Configuration


def test_without_options_everything_is_on() -> None:
    found = Configuration.read({})
    assert found.gives_coverage_information
    assert not found.what_if
    assert all(found.gives(topic) for topic in SWITCHES)
    assert found.max_cards == DEFAULT_MAX_CARDS


@pytest.mark.parametrize("code", SWITCHES)
def test_a_switch_turns_off_its_own_kind_alone(code: str) -> None:
    assert Configuration.read({code: False}).off == {code}
    assert Configuration.read({code: True}).off == frozenset()


def test_a_question_only_is_the_switch_of_unsolicited_determinations() -> None:
    assert Configuration.read({"unsolicited-determ": False}).what_if


@pytest.mark.parametrize("limit", [0, 1, 3, 10**30])
def test_the_number_of_cards_can_be_told(limit: int) -> None:
    assert Configuration.read({"max-cards": limit}).max_cards == limit


@pytest.mark.parametrize("limit", [-1, 2.5, "3", True, False, None, [], {}])
def test_a_number_of_cards_that_is_none_is_not_heard(limit: Any) -> None:
    assert Configuration.read({"max-cards": limit}).max_cards == DEFAULT_MAX_CARDS


@pytest.mark.parametrize("value", [0, "false", None, [], {}, "off"])
@pytest.mark.parametrize("code", SWITCHES)
def test_a_switch_of_another_type_is_not_heard(code: str, value: Any) -> None:
    assert Configuration.read({code: value}) == Configuration()


def test_an_option_that_nobody_offered_is_not_heard() -> None:
    assert Configuration.read({"cost": False, "": False, "x": {"y": 1}}) == Configuration()
