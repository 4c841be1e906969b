"""The whole answer: what is sent, what is left out, and in which order."""

import copy
from collections.abc import Sequence
from typing import Any

import pytest

from tests.unit.crd.answering import (
    LINES,
    REFERENCE,
    UTN,
    a_foreseen,
    an_answer,
    an_occasion,
    an_order,
    catalogue,
    numbered,
    parts,
    the_extension,
)
from wiser_fhir.crd.cards import CARD_TOPICS, Card, Occasion
from wiser_fhir.crd.configuration import SWITCHES, Configuration
from wiser_fhir.crd.coverage_information import CRD_CODES
from wiser_fhir.crd.hook_request import HOOKS, PRIMARY_HOOKS, Hook
from wiser_fhir.crd.orders import Unusable
from wiser_fhir.crd.response import (
    Answered,
    OrderAnswer,
    Suite,
    no_suite,
    respond,
    unanswered,
    without_coverage,
)
from wiser_fhir.errors import Problem
from wiser_fhir.fhir.codes import COVERAGE_INFORMATION, Line
from wiser_fhir.priorauth.foresee import Situation

S = Situation
SUPPORTING = tuple(hook for hook in HOOKS if hook not in PRIMARY_HOOKS)


def _respond(
    *answers: OrderAnswer,
    line: Line = "2.2",
    hook: Hook = "order-sign",
    options: dict[str, Any] | None = None,
    suite: Suite = no_suite,
) -> Answered:
    orders = [answer.resource for answer in answers]
    return respond(
        answers,
        an_occasion(*orders, line=line, hook=hook),
        configuration=Configuration.read(options or {}),
        catalogue=catalogue(),
        suite=suite,
        new_uuid=numbered(),
    )


def test_an_order_goes_back_with_its_answer() -> None:
    answer = an_answer(S.NEEDS_AUTHORIZATION)
    before = copy.deepcopy(answer.resource)
    found = _respond(answer)
    (action,) = found.body["systemActions"]
    assert action["type"] == "update"
    assert action["description"] == "Medicare's coverage information for this ServiceRequest"
    assert action["resource"] == before | {"extension": [the_extension(answer)]}
    assert answer.resource == before
    assert [a.assertion for a in found.actions] == [answer.assertion]
    assert found.actions[0].order == "ServiceRequest/order-1"


@pytest.mark.parametrize("hook", HOOKS)
@pytest.mark.parametrize("line", LINES)
def test_there_is_an_array_of_actions_even_when_it_is_empty(line: Line, hook: Hook) -> None:
    assert _respond(line=line, hook=hook).body == {"cards": [], "systemActions": []}


def test_an_order_that_says_it_already_gets_no_action() -> None:
    first = an_answer(S.NEEDS_AUTHORIZATION)
    order = _respond(first).actions[0].resource
    (old,) = order["extension"]
    again = an_answer(S.NEEDS_AUTHORIZATION, order=order, carried=old, new_id=lambda: "later")
    found = _respond(again)
    assert found.body["systemActions"] == []
    assert found.actions == ()
    # The order says the policy itself; the card does not say it again.
    assert all(link["label"].startswith("WISeR") for link in found.body["cards"][0]["links"])


def test_an_order_whose_answer_changed_gets_the_new_one_in_its_place() -> None:
    old = the_extension(an_answer(S.NEEDS_AUTHORIZATION))
    order = an_order(extension=[old])
    found = _respond(an_answer(S.SATISFIED, order=order, carried=old))
    (information,) = found.actions[0].resource["extension"]
    assert parts(information, "pa-needed") == ["satisfied"]


@pytest.mark.parametrize("hook", HOOKS)
def test_line_2_0_answers_again_on_its_primary_hooks_with_the_order_as_it_came(hook: Hook) -> None:
    old = the_extension(an_answer(S.EXEMPT, "2.0", hook), "2.0")
    order = an_order(extension=[old])
    again = an_answer(S.EXEMPT, "2.0", hook, order, old, new_id=lambda: "later")
    found = _respond(again, line="2.0", hook=hook)
    if hook in PRIMARY_HOOKS:
        assert found.actions[0].resource is order
        assert found.actions[0].assertion is None
        assert found.body["systemActions"][0]["resource"] is order
    else:
        assert found.body["systemActions"] == []


def test_one_order_among_many_that_says_it_already_is_the_only_one_left_out() -> None:
    first = an_answer(S.EXEMPT, order=an_order(1))
    known = the_extension(first)
    said = an_answer(S.EXEMPT, order=an_order(1, extension=[known]), carried=known)
    fresh = an_answer(S.NEEDS_AUTHORIZATION, order=an_order(2))
    assert [action.order for action in _respond(said, fresh).actions] == ["ServiceRequest/order-2"]


def test_a_client_may_do_without_answers_on_its_orders() -> None:
    found = _respond(an_answer(S.NEEDS_AUTHORIZATION), options={"coverage-info": False})
    assert found.body["systemActions"] == []
    assert found.actions == ()
    # What the order does not say, the card may.
    assert found.body["cards"]


@pytest.mark.parametrize("topic", ["claim", "guideline", "limits"])
def test_a_client_may_do_without_a_kind_of_card(topic: str) -> None:
    answers = [
        an_answer(S.ADD_ON_ALONE, order=an_order(1)),
        an_answer(S.NEEDS_AUTHORIZATION, order=_long_order(2)),
    ]
    everything = {card["source"]["topic"]["code"] for card in _respond(*answers).body["cards"]}
    assert everything == {"claim", "guideline", "limits"}
    kept = _respond(*answers, options={topic: False}).body["cards"]
    assert {card["source"]["topic"]["code"] for card in kept} == everything - {topic}


def _long_order(number: int) -> dict[str, Any]:
    order = an_order(number, occurrencePeriod={"start": "2026-12-01", "end": "2027-12-01"})
    del order["occurrenceDateTime"]
    return order


def test_where_cards_are_few_those_about_a_payment_at_risk_stay() -> None:
    answers = [
        an_answer(S.NEEDS_AUTHORIZATION, order=_long_order(1)),
        an_answer(S.ADD_ON_ALONE, order=an_order(2)),
    ]
    every = _respond(*answers)
    assert [card["indicator"] for card in every.body["cards"]] == ["warning", "info", "info"]
    one = _respond(*answers, options={"max-cards": 1})
    assert [card["indicator"] for card in one.body["cards"]] == ["warning"]
    assert len(one.cards) == 1
    assert _respond(*answers, options={"max-cards": 0}).body["cards"] == []


def test_orders_that_call_for_the_same_card_get_one_that_names_them() -> None:
    answers = [an_answer(S.NEEDS_AUTHORIZATION, order=an_order(n)) for n in (1, 2)]
    other = an_answer(S.NOT_WISER, order=an_order(3))
    (card,) = _respond(*answers, other).body["cards"]
    about = [r["reference"] for r in card["extension"]["davinci-crd.associated-resource"]]
    assert about == ["ServiceRequest/order-1", "ServiceRequest/order-2"]
    assert "(CPT 64483), id order-1; " in card["detail"]


def test_a_shortened_order_keeps_the_answer_it_got() -> None:
    found = _respond(an_answer(S.NEEDS_AUTHORIZATION, order=_long_order(1)))
    card = next(card for card in found.body["cards"] if "suggestions" in card)
    proposed = card["suggestions"][0]["actions"][0]["resource"]
    assert proposed["extension"] == found.actions[0].resource["extension"]
    assert proposed["extension"][0]["url"] == COVERAGE_INFORMATION


def test_the_cards_kept_are_those_sent() -> None:
    found = _respond(an_answer(S.NEEDS_AUTHORIZATION, order=_long_order(1)))
    assert [str(card.uuid) for card in found.cards] == [c["uuid"] for c in found.body["cards"]]
    suggested = [[s["uuid"] for s in c.get("suggestions", [])] for c in found.body["cards"]]
    assert [[str(number) for number in card.suggestions] for card in found.cards] == suggested


@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize("situation", [S.SATISFIED, S.PENDED, S.NON_AFFIRMED])
def test_a_what_if_call_returns_no_number_anywhere(situation: Situation, line: Line) -> None:
    configuration = Configuration.read({"unsolicited-determ": False})
    plain = _respond(an_answer(situation, line), line=line)
    assert UTN in repr(plain) or REFERENCE in repr(plain)
    asked = an_answer(situation, line, what_if=configuration.what_if)
    found = _respond(asked, line=line, options={"unsolicited-determ": False})
    assert UTN not in repr(found)
    assert REFERENCE not in repr(found)
    assert found.actions


def test_further_cards_are_asked_for_once_and_obey_the_same_options() -> None:
    asked: list[Occasion] = []

    def suite(occasion: Occasion) -> Sequence[Card]:
        asked.append(occasion)
        return [Card("launch-smart", "guideline", "info", "s", "d")]

    assert len(_respond(an_answer(S.EXEMPT), suite=suite).body["cards"]) == 1
    assert not _respond(an_answer(S.EXEMPT), suite=suite, options={"guideline": False}).cards
    assert [occasion.hook for occasion in asked] == ["order-sign", "order-sign"]


def test_an_order_that_cannot_be_read_is_told_of_beside_the_answers_to_the_others() -> None:
    problem = Problem("error", "structure", "<b>'x'</b> is no code", "ServiceRequest.status")
    lost = Unusable("ServiceRequest/lost", (problem, problem))
    found = respond(
        [an_answer(S.EXEMPT)],
        an_occasion(),
        configuration=Configuration(),
        catalogue=catalogue(),
        unanswered=unanswered([lost]),
    )
    (card,) = found.body["cards"]
    assert card["summary"] == "One of the orders could not be read and has no answer"
    assert card["detail"] == (
        "What was sent of it is not valid FHIR R4: &lt;b&gt;'x'&lt;/b&gt; is no code"
        "\n\nThis is about: ServiceRequest/lost."
    )
    assert len(found.actions) == 1


def test_an_order_without_a_name_is_told_of_all_the_same() -> None:
    (card,) = unanswered([Unusable(None, (Problem("error", "structure", "No id.", None),))])
    assert card.about == ()
    assert "No id\\." in card.detail


PLACE = "context.draftOrders.entry[0].resource"


@pytest.mark.parametrize(
    ("code", "text", "summary", "detail"),
    [
        ("invalid", "about another patient", "could not be used", "Why: about another patient"),
        ("transient", "not in time", "could not be had", "is not known: not in time."),
        ("not-found", "not to be had", "could not be had", "is not known: not to be had."),
    ],
)
@pytest.mark.parametrize(
    ("reference", "what"),
    [
        ("ServiceRequest/1", "One of the orders"),
        ("Encounter/1", "The encounter"),
        ("Appointment/1", "One of the appointments"),
        (None, "One of the orders"),
    ],
)
def test_what_breaks_no_rule_of_fhir_is_not_said_to(
    reference: str | None, what: str, code: str, text: str, summary: str, detail: str
) -> None:
    problem = Problem("error", code, f"{PLACE}: {text}", PLACE)
    (card,) = unanswered([Unusable(reference, (problem,))])
    assert card.summary == f"{what} {summary} and has no answer"
    assert detail in card.detail
    assert "FHIR" not in card.detail
    assert "draftOrders" not in card.detail


def test_what_is_not_to_be_done_needs_no_answer() -> None:
    problem = Problem("information", "informational", "not to be done", PLACE)
    assert unanswered([Unusable("ServiceRequest/1", (problem,))]) == ()


@pytest.mark.parametrize(("line", "system"), [("2.2", CARD_TOPICS), ("2.0", CRD_CODES)])
@pytest.mark.parametrize("cause", ["none", "several", "foreign-payer", "no-payer", "unreachable"])
def test_without_a_coverage_there_is_a_card_and_no_action(
    cause: str, line: Line, system: str
) -> None:
    found = without_coverage(cause, line, configuration=Configuration(), new_uuid=numbered())
    (card,) = found.body["cards"]
    assert (card["indicator"], card["source"]["topic"]["code"]) == ("info", "coverage-info")
    assert card["source"]["topic"]["system"] == system
    assert card["detail"]
    assert "extension" not in card
    assert found.body["systemActions"] == []
    assert len(found.cards) == 1


def test_that_there_is_no_coverage_is_said_to_who_wants_no_update_of_it() -> None:
    found = without_coverage("none", "2.2", configuration=Configuration.read({"insurance": False}))
    assert len(found.body["cards"]) == 1
    off = Configuration.read({"coverage-info": False})
    assert without_coverage("none", "2.2", configuration=off).body["cards"] == []


@pytest.mark.parametrize("hook", SUPPORTING)
@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize("situation", list(S))
def test_a_supporting_hook_strips_no_documents_from_an_answer_that_stands(
    situation: Situation, line: Line, hook: Hook
) -> None:
    form = a_foreseen(situation)
    old = the_extension(an_answer(form, line, "order-sign"), line)
    order = an_order(extension=[old])
    again = an_answer(form, line, hook, order, old, new_id=lambda: "later")
    assert _respond(again, line=line, hook=hook).body["systemActions"] == []
    other = S.EXEMPT if situation is not S.EXEMPT else S.NOT_WISER
    changed = an_answer(other, line, hook, order, old)
    assert len(_respond(changed, line=line, hook=hook).actions) == 1


def test_an_answer_without_documents_gets_them_on_a_primary_hook() -> None:
    old = the_extension(an_answer(S.NEEDS_AUTHORIZATION, hook="order-select"))
    answer = an_answer(S.NEEDS_AUTHORIZATION, order=an_order(extension=[old]), carried=old)
    (action,) = _respond(answer).actions
    (information,) = action.resource["extension"]
    assert parts(information, "questionnaire")


def test_two_orders_of_one_code_are_told_apart() -> None:
    orders = [_long_order(1), an_order(2), an_order(3, occurrenceDateTime="2026-12-16")]
    answers = [an_answer(S.NEEDS_AUTHORIZATION, order=order) for order in orders]
    cards = _respond(*answers).body["cards"]
    limits = next(card for card in cards if card["source"]["topic"]["code"] == "limits")
    assert limits["detail"].endswith("(CPT 64483) on 2026-12-01.")


def test_every_switch_can_be_off_at_once() -> None:
    everything = dict.fromkeys(SWITCHES, False)
    found = _respond(an_answer(S.ADD_ON_ALONE), options=everything)
    assert found.body == {"cards": [], "systemActions": []}
