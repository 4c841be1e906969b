"""Cards: which there are, what they say, and the rules that hold for all."""

from dataclasses import replace
from datetime import date
from itertools import product
from pathlib import Path
from typing import Any, get_args

import pytest

from tests.unit.crd.answering import (
    DAY,
    LINES,
    UTN,
    a_foreseen,
    a_standing,
    an_assertion,
    an_occasion,
    an_order,
    catalogue,
    numbered,
    rules_of,
)
from wiser_fhir.crd import card_table as card_table_module
from wiser_fhir.crd.card_table import CARD_TYPES, Topic, card_table
from wiser_fhir.crd.cards import (
    CARD_TOPICS,
    Card,
    CardLink,
    Suggestion,
    merged,
    order_cards,
    order_name,
    told_apart,
    written,
)
from wiser_fhir.crd.coverage_information import CRD_CODES
from wiser_fhir.crd.focal_coverage import Cause
from wiser_fhir.crd.hook_request import HOOKS, Hook
from wiser_fhir.fhir.codes import Line
from wiser_fhir.fhir.elements import Json
from wiser_fhir.priorauth.foresee import Foreseen, Situation
from wiser_fhir.priorauth.models import CaseStatus

S = Situation


def _cards(
    situation: S | Foreseen,
    line: Line = "2.2",
    hook: Hook = "order-sign",
    order: Json | None = None,
    told: bool = True,
) -> list[Card]:
    resource = an_order() if order is None else order
    occasion = an_occasion(resource, line=line, hook=hook)
    found = an_assertion(situation, line, hook)
    return list(order_cards(found, resource, occasion, catalogue(), told=told))


def _body(card: Card, line: Line = "2.2", names: dict[str, str] | None = None) -> Json:
    return written(card, names or {}, line, numbered())[0]


def test_the_table_tells_every_hook_and_every_type() -> None:
    table = card_table()
    assert set(table.hooks) == set(HOOKS)
    assert all(set(types) == set(CARD_TYPES) for types in table.hooks.values())
    assert set(table.topics) == set(get_args(Topic))
    assert set(table.without_coverage) == set(get_args(Cause))


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (("[hooks.order-sign]", "[hooks.order-sing]"), "order-sing"),
        (('launch-smart       = "suite only"', ""), "nothing said of launch-smart"),
        (('limits        = "Limits"', ""), "no display for limits"),
        (("[cards.policy]", "[cards.politics]"), "in one table only: policy"),
    ],
)
def test_a_table_with_a_mistake_stops_the_start(
    change: tuple[str, str], complaint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = card_table_module._file().read_text(encoding="utf-8").replace(*change, 1)
    (tmp_path / "cards.toml").write_text(wrong, encoding="utf-8")
    monkeypatch.setattr(card_table_module, "_file", lambda: tmp_path / "cards.toml")
    with pytest.raises(ValueError, match=complaint):
        card_table.__wrapped__()


def test_no_card_of_the_table_leads_to_a_portal() -> None:
    for words in card_table().cards.values():
        text = f"{words.summary} {words.detail}".lower()
        assert "portal" not in text
        assert "http" not in text


@pytest.mark.parametrize("code", ["22510", "22554", "29877", "33276", "53440", "54400", "64561"])
def test_a_service_that_needs_authorization_leads_to_the_guide(code: str) -> None:
    rules = rules_of(code)
    card = _cards(a_foreseen(S.NEEDS_AUTHORIZATION, rules=rules))[0]
    assert (card.type, card.indicator) == ("external-reference", "info")
    assert card.links[0].label.endswith(f"section {rules.guide_section}")
    assert {link.type for link in card.links} == {"absolute"}
    assert all(link.url.split("/")[2].endswith("cms.gov") for link in card.links)


def test_the_card_leaves_out_the_policies_that_the_answer_itself_links() -> None:
    nerve = a_foreseen(S.NEEDS_AUTHORIZATION, rules=rules_of("64568"))
    policy = "NCD 160.18 VNS (NCDId 230)"
    labels = {
        (line, told): [link.label for link in _cards(nerve, line, told=told)[0].links][1:]
        for line in LINES
        for told in (True, False)
    }
    assert labels == {
        ("2.2", True): [],
        ("2.2", False): [policy],
        ("2.0", True): [policy],
        ("2.0", False): [policy],
    }


def test_the_number_of_an_affirmation_is_told_where_it_goes() -> None:
    (card,) = _cards(S.SATISFIED)
    assert (card.type, card.topic, card.indicator) == ("instructions", "claim", "info")
    assert f"Number {UTN}, for services from 2026-11-01 to 2027-02-28." in card.detail
    assert "item 23" in card.detail
    assert "G1" in card.detail


def test_without_a_number_there_is_nothing_to_put_on_the_claim() -> None:
    assert _cards(a_foreseen(S.SATISFIED, standing=a_standing(utn=None))) == []


def test_a_non_affirmation_warns_of_the_notice_that_the_patient_is_due() -> None:
    standing = a_standing(status=CaseStatus.NON_AFFIRMED)
    cards = _cards(a_foreseen(S.NON_AFFIRMED, standing=standing))
    assert [card.indicator for card in cards] == ["info", "warning"]
    assert "Advance Beneficiary Notice" in cards[1].detail


def test_an_add_on_without_its_primary_warns_of_the_denial_and_names_no_code() -> None:
    (card,) = _cards(a_foreseen(S.ADD_ON_ALONE))
    assert card.indicator == "warning"
    assert "likely to be denied" in card.summary
    assert "already affirmed or in review" in card.detail
    assert not any(code in card.detail for code in rules_of().by_code)


@pytest.mark.parametrize("hook", ["encounter-start", "encounter-discharge"])
@pytest.mark.parametrize("situation", list(S))
def test_an_encounter_gets_no_card_of_ours(situation: S, hook: Hook) -> None:
    assert _cards(situation, hook=hook) == []


PERIOD = {"start": "2026-12-01", "end": "2027-12-01"}


def _long(**changes: Any) -> Json:
    order = an_order(occurrencePeriod=PERIOD, **changes)
    del order["occurrenceDateTime"]
    return order


@pytest.mark.parametrize("hook", ["order-sign", "order-select"])
def test_an_order_that_runs_too_long_can_be_ended_in_time(hook: Hook) -> None:
    order = _long()
    card = next(c for c in _cards(S.NEEDS_AUTHORIZATION, hook=hook, order=order) if c.suggestions)
    (action,) = card.suggestions[0].actions
    assert (card.type, card.topic, action["type"]) == ("alternate-request", "limits", "update")
    # Decided today, day 1 of 120.
    ended = {**PERIOD, "end": "2027-03-19"}
    assert action["resource"] == order | {"occurrencePeriod": ended}
    assert order["occurrencePeriod"] == PERIOD
    assert action["description"]


@pytest.mark.parametrize(
    "period",
    [
        {"start": "2026-12-01", "end": "2027-03-30"},  # 120 days: one affirmation can cover them
        {"start": "2026-01-15", "end": "2027-03-19"},  # of today and after, 120 days
        {"start": "2026-12-01"},
        {"start": "2027-03-20", "end": "2028-01-01"},  # all of it after today's affirmation
        {"start": "nonsense", "end": 7},
        "2026",
    ],
)
def test_an_order_that_fits_or_cannot_be_ended_in_time_is_left_alone(period: Any) -> None:
    order = _long() | {"occurrencePeriod": period}
    assert not [c for c in _cards(S.NEEDS_AUTHORIZATION, order=order) if c.suggestions]


@pytest.mark.parametrize(
    "period",
    [
        {"start": "2026-12-01", "end": "2027-03-31"},
        {"start": "2026-01-15", "end": "2027-03-20"},
        {"start": "2027-03-19", "end": "2028-01-01"},
    ],
)
def test_an_order_longer_than_any_affirmation_is_told_of(period: Json) -> None:
    order = _long() | {"occurrencePeriod": period}
    (card,) = (c for c in _cards(S.NEEDS_AUTHORIZATION, order=order) if c.suggestions)
    assert "If that suits the treatment" in card.detail
    shorter = card.suggestions[0].actions[0]["resource"]
    assert shorter["occurrencePeriod"]["end"] == "2027-03-19"
    assert not [c for c in _cards(S.NEEDS_AUTHORIZATION, order=shorter) if c.suggestions]


@pytest.mark.parametrize("hook", ["order-dispatch", "appointment-book"])
def test_what_is_no_draft_is_not_changed(hook: Hook) -> None:
    assert not [c for c in _cards(S.NEEDS_AUTHORIZATION, hook=hook, order=_long()) if c.suggestions]


@pytest.mark.parametrize(("line", "system"), [("2.2", CARD_TOPICS), ("2.0", CRD_CODES)])
def test_a_card_as_written(line: Line, system: str) -> None:
    body, record = written(_cards(S.SATISFIED, line)[0], {}, line, numbered())
    assert body["uuid"] == str(record.uuid)
    assert body["source"] == {
        "label": "Medicare",
        "topic": {"system": system, "code": "claim", "display": "Claim"},
    }
    assert body["extension"]["davinci-crd.associated-resource"] == [
        {"reference": "ServiceRequest/order-1"}
    ]
    assert not {"links", "suggestions", "selectionBehavior"} & set(body)
    assert (record.type, record.topic, record.suggestions) == ("instructions", "claim", ())


def test_a_suggestion_has_its_own_number_and_a_way_to_choose_it() -> None:
    action = {"type": "delete", "description": "x", "resourceId": "ServiceRequest/1"}
    card = replace(
        Card("alternate-request", "limits", "info", "s", "d"),
        suggestions=(Suggestion("a", (action,)), Suggestion("b", (action,))),
    )
    body, record = written(card, {}, "2.2", numbered())
    assert [s["uuid"] for s in body["suggestions"]] == [str(u) for u in record.suggestions]
    assert len({record.uuid, *record.suggestions}) == 3
    assert body["selectionBehavior"] == "at-most-one"


def test_a_smart_link_carries_its_context() -> None:
    link = CardLink("App", "https://app.example/launch", "smart", '{"a":1}')
    body = _body(Card("launch-smart", "guideline", "info", "s", "d", links=(link,)))
    assert body["links"] == [
        {
            "label": "App",
            "url": "https://app.example/launch",
            "type": "smart",
            "appContext": '{"a":1}',
        }
    ]


def test_a_card_about_some_of_the_orders_says_which() -> None:
    card = Card("instructions", "claim", "info", "s", "Told.", about=("ServiceRequest/1",))
    names = {"ServiceRequest/1": "the injection", "ServiceRequest/2": "the other"}
    assert _body(card, names=names)["detail"] == "Told.\n\nThis is about: the injection."


def test_a_card_about_all_of_the_orders_need_not_say_so() -> None:
    card = Card("instructions", "claim", "info", "s", "Told.", about=("ServiceRequest/1",))
    assert _body(card, names={"ServiceRequest/1": "the injection"})["detail"] == "Told."


def test_orders_that_call_for_the_same_card_share_it() -> None:
    one = Card("instructions", "claim", "info", "s", "d", about=("ServiceRequest/1",))
    two = replace(one, about=("ServiceRequest/2",))
    other = replace(two, detail="something else")
    assert merged([one, two, other, one]) == [
        replace(one, about=("ServiceRequest/1", "ServiceRequest/2")),
        other,
    ]


def test_what_can_be_taken_up_stays_with_its_order() -> None:
    action = {"type": "delete", "description": "x", "resourceId": "ServiceRequest/1"}
    one = Card(
        "alternate-request", "limits", "info", "s", "d", suggestions=(Suggestion("a", (action,)),)
    )
    assert len(merged([one, one])) == 2


def test_an_order_is_named_by_our_words_for_its_code() -> None:
    hostile = an_order(code={"text": "<script>alert(1)</script>"})
    name = order_name(hostile, an_assertion(S.NEEDS_AUTHORIZATION))
    assert name == f"{rules_of().by_code['64483'].text} (CPT 64483)"


@pytest.mark.parametrize(
    ("order", "name"),
    [
        ({"resourceType": "ServiceRequest", "code": {"text": "MRI [x](http://e.example)"}},
         "MRI \\[x\\]\\(http\\://e\\.example\\)"),
        ({"resourceType": "DeviceRequest", "codeCodeableConcept": {"coding": [{"code": "E0250"}]}},
         "E0250"),
        ({"resourceType": "Appointment", "serviceType": [{"coding": [{"display": "Visit"}]}]},
         "Visit"),
        ({"resourceType": "Encounter", "type": [{"coding": [None, {"display": 5}]}]}, "Encounter"),
        ({"resourceType": "NutritionOrder", "code": "odd"}, "NutritionOrder"),
        ({"resourceType": "ServiceRequest", "code": {"coding": 7, "text": []}}, "ServiceRequest"),
    ],
)  # fmt: skip
def test_an_order_we_have_no_words_for_is_named_by_its_own_made_safe(
    order: Json, name: str
) -> None:
    assert order_name(order, None) == name


@pytest.mark.parametrize("slug", catalogue().slugs)
def test_the_rules_that_hold_for_every_card(slug: str) -> None:
    rules = catalogue().service(slug, DAY)
    assert rules is not None
    code = rules.codes[0].coding if rules.codes else None
    for situation, hook, line in product(S, HOOKS, LINES):
        foreseen = a_foreseen(situation, rules=rules, code=code)
        for card in _cards(foreseen, line, hook, _long()):
            _holds_the_rules(card, line)


def _holds_the_rules(card: Card, line: Line) -> None:
    body = _body(card, line)
    assert 0 < len(body["summary"]) < 140
    assert body["indicator"] in ("info", "warning")
    assert body["detail"].strip()
    assert [] not in body.values()
    assert "" not in body.values()
    if card.type == "instructions":
        assert not card.links
        assert not card.suggestions
    if card.type == "external-reference":
        assert card.links
    for suggestion in card.suggestions:
        assert suggestion.actions
        for action in suggestion.actions:
            assert action["resource"]["code"] == _long()["code"]


def test_orders_of_one_name_are_told_apart_by_their_day() -> None:
    orders = [an_order(1), an_order(2, occurrenceDateTime="2026-12-16"), an_order(3)]
    orders[2] = _long(id="order-3")
    names = dict.fromkeys((f"ServiceRequest/order-{n}" for n in (1, 2, 3)), "Injection")
    assert list(told_apart(names, orders).values()) == [
        "Injection on 2026-12-15",
        "Injection on 2026-12-16",
        "Injection on 2026-12-01",
    ]


def test_orders_of_one_name_and_day_are_told_apart_by_their_id() -> None:
    names = dict.fromkeys(("ServiceRequest/order-1", "ServiceRequest/order-2"), "Injection")
    names |= {"ServiceRequest/odd": "Injection", "ServiceRequest/order-9": "MRI"}
    odd = {"resourceType": "ServiceRequest", "id": "odd", "occurrencePeriod": 7, "start": []}
    assert list(told_apart(names, [an_order(1), an_order(2), odd]).values()) == [
        "Injection, id order-1",
        "Injection, id order-2",
        "Injection, id odd",
        "MRI",
    ]


def test_the_day_of_the_answer_is_what_the_window_counts_from() -> None:
    assert an_assertion(S.NEEDS_AUTHORIZATION).date == DAY == date(2026, 11, 20)
