"""From a script and a case to what the clinician says: the words that stand for something."""

from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from tests.bundles import Asked, request_bundle
from tests.cases import a_case, a_submission
from wiser_fhir.coverage.catalogue import Catalogue
from wiser_fhir.coverage.requested import CPT, Code
from wiser_fhir.pas.request import RequestBundle
from wiser_fhir.priorauth.models import CaseItem, CaseStatus, ItemRole, ItemStatus
from wiser_fhir.sandbox.playing import Scene, asked, determination, filled
from wiser_fhir.sandbox.scenarios import Scenarios

SCRIPTS = Scenarios.load().scripts
ORGANIZATION = UUID(int=1)
TODAY = date(2026, 11, 20)
LAST_DAY = date(2027, 3, 19)
RULES = Catalogue.load().versions("epidural-steroid-injection")[-1]


def a_line(sequence: int = 1, code: str = "64483", **more: Any) -> CaseItem:
    known: dict[str, Any] = {
        "sequence": sequence,
        "code": Code(CPT, code),
        "role": ItemRole.PRIMARY,
        "status": ItemStatus.PENDED,
        "date_of_service": date(2026, 12, 15),
    }
    return CaseItem(**(known | more))


def a_scene(*lines: CaseItem, rules: bool = True, **fields: Any) -> Scene:
    case = a_case(a_submission(ORGANIZATION), CaseStatus.IN_REVIEW)
    case = replace(case, items=lines or (a_line(),))
    request = RequestBundle.of(request_bundle("2.2", **fields))
    return Scene(case, request, RULES if rules else None, TODAY, LAST_DAY)


def test_primary_codes_come_first() -> None:
    add_on = a_line(1, "64484", role=ItemRole.ADD_ON)
    scene = a_scene(add_on, a_line(2))
    decided = determination(SCRIPTS["partial"], scene)
    assert [(d.sequence, str(d.outcome)) for d in decided.items] == [
        (2, "affirmed"),
        (1, "non-affirmed"),
    ]


def test_lines_with_an_answer_are_not_decided_again() -> None:
    scene = a_scene(a_line(1), a_line(2, status=ItemStatus.CANCELLED))
    assert [d.sequence for d in determination(SCRIPTS["affirm"], scene).items] == [1]


def test_words_stand_for_what_the_request_has() -> None:
    named = Asked(line="2.2", seed="example")
    facts = a_scene().facts(a_line())
    assert facts == {
        "$today": TODAY,
        "$line": 1,
        "$code": "64483",
        "$code_system": CPT,
        "$form": f"https://wiser-fhir.example/fhir/Questionnaire/{RULES.slug}|{RULES.version}",
        "$diagnosis": "M54.16",
        "$practitioner": named.full_url("practitioner"),
        "$facility": named.full_url("facility"),
        "$order": named.full_url("order"),
    }


def test_what_the_request_has_not_is_left_out() -> None:
    scene = a_scene(rules=False, order=False, diagnoses=())
    assert not {"$form", "$order", "$diagnosis"} & scene.facts(a_line()).keys()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"a": "$known", "b": "$unknown"}, {"a": 1}),
        ([{"a": "$known"}, {"a": "$unknown", "b": 2}], [{"a": 1}]),
        (["$known", "$unknown", "plain"], [1, "plain"]),
        ({"inner": {"a": "$unknown"}}, {"inner": {}}),
        (("$known",), [1]),
    ],
)
def test_a_table_of_a_list_stands_and_falls_with_its_words(value: Any, expected: Any) -> None:
    assert filled(value, {"$known": 1}) == expected


@pytest.mark.parametrize(("quantity", "granted"), [("3", 1), ("1", None), (None, None)])
def test_units_are_only_ever_fewer(quantity: str | None, granted: int | None) -> None:
    line = a_line(quantity=Decimal(quantity) if quantity else None)
    (decided,) = determination(SCRIPTS["fewer-units"], a_scene(line)).items
    assert decided.grant.quantity == (Decimal(granted) if granted else None)


@pytest.mark.parametrize(
    ("first", "last", "granted"),
    [
        (date(2026, 12, 15), date(2026, 12, 20), date(2026, 12, 15)),
        (date(2026, 11, 1), date(2026, 12, 20), TODAY),
        (date(2026, 12, 15), None, None),
        (date(2026, 12, 15), date(2026, 12, 15), None),
        (None, date(2026, 12, 15), None),
        (date(2027, 6, 1), date(2027, 6, 30), None),
        (date(2026, 1, 1), date(2026, 1, 31), None),
    ],
)
def test_one_day_is_one_that_a_decision_of_today_covers(
    first: date | None, last: date | None, granted: date | None
) -> None:
    line = a_line(date_of_service=first, service_end=last)
    (decided,) = determination(SCRIPTS["fewer-days"], a_scene(line)).items
    assert (decided.grant.first_day, decided.grant.last_day) == (granted, granted)


def test_another_code_is_of_the_same_role_and_leaves_no_add_on_alone() -> None:
    alone = determination(SCRIPTS["other-code"], a_scene()).items[0].grant.code
    assert alone == Code(CPT, "62321")
    beside = a_scene(a_line(), a_line(2, "64484", role=ItemRole.ADD_ON))
    assert determination(SCRIPTS["other-code"], beside).items[0].grant.code is None


def test_without_rules_there_is_no_other_code_and_no_form() -> None:
    scene = a_scene(rules=False)
    assert determination(SCRIPTS["other-code"], scene).items[0].grant.code is None
    assert asked(SCRIPTS["questionnaire"], scene) == ()


def test_what_is_asked_for_is_of_one_kind_each() -> None:
    documents, form = asked(SCRIPTS["both"], a_scene())
    assert [(each.kind, each.wanted[0].lines) for each in (documents, form)] == [
        ("documents", (1,)),
        ("questionnaire", (1,)),
    ]
    assert documents.wanted[0].diagnosis == "M54.16"
    assert form.wanted[0].questionnaire is not None


@pytest.mark.parametrize("name", [n for n, script in SCRIPTS.items() if script.lines])
def test_every_script_says_what_an_answer_can_say(name: str) -> None:
    """Also of a request that has next to nothing to name."""
    for scene in (a_scene(), a_scene(rules=False, order=False, diagnoses=(), state=None)):
        assert determination(SCRIPTS[name], scene).items
