"""Test members: which cards they see, and that nobody else sees one."""

from typing import Any

import pytest

from tests.unit.crd.answering import LINES, an_occasion, an_order, catalogue, numbered
from wiser_fhir.coverage.canonical import questionnaire_urls
from wiser_fhir.crd.card_table import CARD_TYPES, card_table
from wiser_fhir.crd.cards import Card, written
from wiser_fhir.crd.hook_request import HOOKS, Hook
from wiser_fhir.fhir.codes import Line
from wiser_fhir.fhir.validation.validator import GuideValidator
from wiser_fhir.priorauth.rules import is_mbi
from wiser_fhir.sandbox.suite import SuiteCards

CRD = "http://hl7.org/fhir/us/davinci-crd/StructureDefinition/profile-"
PROFILES = {
    "Task": CRD + "taskquestionnaire",
    "CommunicationRequest": CRD + "communicationrequest",
    "Coverage": CRD + "coverage",
}
SUITE = SuiteCards.load()
EVERYTHING = SUITE.file.members[0].mbi


@pytest.fixture(scope="module")
def validators() -> dict[Line, GuideValidator]:
    return {line: GuideValidator.load(line) for line in LINES}


def _cards(hook: Hook, line: Line = "2.2", mbi: str | None = EVERYTHING) -> dict[str, Card]:
    return {card.type: card for card in SUITE(an_occasion(hook=hook, line=line, mbi=mbi))}


def test_test_members_have_numbers_that_could_be_medicares() -> None:
    numbers = [member.mbi for member in SUITE.file.members]
    assert all(is_mbi(number) for number in numbers)
    assert len(set(numbers)) == len(numbers)


@pytest.mark.parametrize("hook", HOOKS)
@pytest.mark.parametrize("mbi", [None, "1EG4TE5MK73"])
def test_nobody_else_sees_a_card_of_the_suite(mbi: str | None, hook: Hook) -> None:
    assert _cards(hook, mbi=mbi) == {}


@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize("hook", HOOKS)
def test_a_test_member_sees_what_is_for_the_suite_alone_and_no_more(hook: Hook, line: Line) -> None:
    expected = {kind for kind in CARD_TYPES if card_table().is_suite_only(hook, kind)}
    assert set(_cards(hook, line)) == expected


@pytest.mark.parametrize("kind", CARD_TYPES)
def test_every_type_of_card_can_be_seen_somewhere(kind: str) -> None:
    table = card_table()
    ours = any(table.has_reason(hook, kind) for hook in HOOKS)  # type: ignore[arg-type]
    assert ours or any(kind in _cards(hook) for hook in HOOKS)


def test_a_member_may_see_a_few_types_only() -> None:
    plain = SUITE.file.members[1]
    kinds = set(_cards("encounter-start", mbi=plain.mbi))
    assert kinds == {"external-reference", "instructions", "launch-smart"}


@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize("hook", HOOKS)
def test_what_is_proposed_is_valid_by_the_profiles_of_its_line(
    hook: Hook, line: Line, validators: dict[Line, GuideValidator]
) -> None:
    for resource in _resources(hook, line):
        profile = PROFILES[resource["resourceType"]]
        problems = validators[line].problems(resource, profile)
        assert [p.text for p in problems if p.severity == "error"] == []


def _resources(hook: Hook, line: Line) -> list[dict[str, Any]]:
    return [
        action["resource"]
        for card in _cards(hook, line).values()
        for suggestion in card.suggestions
        for action in suggestion.actions
    ]


@pytest.mark.parametrize("line", LINES)
def test_a_form_is_named_in_the_lines_own_canonical(line: Line) -> None:
    (action,) = _cards("order-sign", line)["form-completion"].suggestions[0].actions
    task = action["resource"]
    canonical, _, version = task["input"][0]["valueCanonical"].partition("|")
    assert canonical in questionnaire_urls("epidural-steroid-injection")
    assert catalogue().version("epidural-steroid-injection", version) is not None
    assert task["input"][0]["type"]["text"] == "questionnaire"
    assert "focus" not in task
    assert (len(task["input"]) == 2) == (line == "2.0")


def test_a_coverage_is_updated_as_it_came_but_for_its_place() -> None:
    occasion = an_occasion(hook="encounter-start", mbi=EVERYTHING)
    assert occasion.coverage is not None
    (action,) = _cards("encounter-start")["adjust-coverage"].suggestions[0].actions
    assert action["type"] == "update"
    assert action["resource"] == occasion.coverage | {"order": 1}
    assert "order" not in occasion.coverage


def test_no_procedure_is_proposed() -> None:
    for hook in HOOKS:
        kinds = {resource["resourceType"] for resource in _resources(hook, "2.2")}
        assert kinds <= set(PROFILES)


def test_without_a_requester_nothing_more_is_ordered() -> None:
    order = an_order()
    del order["requester"]
    cards = SUITE(an_occasion(order, mbi=EVERYTHING))
    assert "additional-orders" not in {card.type for card in cards}


@pytest.mark.parametrize("hook", HOOKS)
def test_cards_of_the_suite_hold_the_rules_of_cards(hook: Hook) -> None:
    for card in _cards(hook).values():
        body, _ = written(card, {}, "2.2", numbered())
        assert len(body["summary"]) < 140
        assert {link["type"] for link in body.get("links", [])} in (set(), {"absolute"}, {"smart"})
        assert all(suggestion["actions"] for suggestion in body.get("suggestions", []))
        if card.type == "instructions":
            assert not {"links", "suggestions"} & set(body)
