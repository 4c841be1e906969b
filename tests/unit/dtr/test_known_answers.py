"""What the form that came with a request in review already tells."""

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from tests.unit.dtr.packing import form
from wiser_fhir.dtr.known_answers import known_answers
from wiser_fhir.exact import Number

Json = dict[str, Any]
SLUG = "hypoglossal-nerve-stimulation"
URL = f"https://wiser-fhir.example/fhir/Questionnaire/{SLUG}"
RULES = form("2.2", SLUG).rules


def an_item(question: str, *values: Json) -> Json:
    return {"linkId": question, "answer": list(values)}


def a_response(*items: Json, **changes: Any) -> Json:
    return {
        "resourceType": "QuestionnaireResponse",
        "status": "completed",
        "questionnaire": f"{URL}|2026-01-15",
        "subject": {"reference": "Patient/p"},
        "item": list(items),
    } | changes


def a_request(*responses: Json, patient: str = "Patient/p") -> Json:
    claim = {"resourceType": "Claim", "patient": {"reference": patient}}
    resources: tuple[Json, ...] = (claim, *responses)
    return {"resourceType": "Bundle", "entry": [{"resource": each} for each in resources]}


AGE = an_item("hgns-age", {"valueInteger": 61})


def test_facts_are_known_and_judgements_are_not() -> None:
    response = a_response(
        AGE,
        an_item("hgns-ahi", {"valueDecimal": Number("22.50")}),
        an_item("hgns-psg-date", {"valueDate": "2026-01-05"}),
        an_item("hgns-dise", {"valueBoolean": True}),
    )
    found = known_answers(a_request(response), RULES)
    assert found == {
        "hgns-age": 61,
        "hgns-ahi": Decimal("22.50"),
        "hgns-psg-date": date(2026, 1, 5),
    }
    assert str(found["hgns-ahi"]) == "22.50"


@pytest.mark.parametrize(
    "item",
    [
        an_item("hgns-age", {"valueString": "61"}),
        an_item("hgns-age", {"valueInteger": 61}, {"valueInteger": 62}),
        an_item("hgns-age", {"valueInteger": -1}),
        an_item("hgns-cpap", {"valueCoding": {"system": "https://x.example", "code": "failure"}}),
        an_item("hgns-cpap", {"valueCoding": {"code": "no-such-option"}}),
        an_item("hgns-psg-date", {"valueDate": "2026"}),
        an_item("hgns-ahi", {"valueDecimal": Number("1e-200000000")}),
        an_item("hgns-ahi", {"valueDecimal": Number("1e-9999999999999999999999")}),
        an_item("hgns-ahi", {"valueDecimal": Number("22." + "0" * 100_000)}),
        an_item("hgns-psg-date", {}),
        an_item("no-longer-asked", {"valueBoolean": True}),
    ],
)
def test_what_is_no_possible_answer_is_left_out(item: Json) -> None:
    assert known_answers(a_request(a_response(item)), RULES) == {}


def test_what_is_not_asked_is_left_out() -> None:
    rules = form("2.2", "epidural-steroid-injection").rules
    url = "https://wiser-fhir.example/v2.0/fhir/Questionnaire/epidural-steroid-injection"
    benefit = an_item("esi-repeat-benefit", {"valueDecimal": 60})
    for repeat, expected in (
        (None, {}),
        (False, {"esi-repeat": False}),
        (True, {"esi-repeat": True, "esi-repeat-benefit": Decimal(60)}),
    ):
        told = [] if repeat is None else [an_item("esi-repeat", {"valueBoolean": repeat})]
        response = a_response(*told, benefit, questionnaire=url)
        assert known_answers(a_request(response), rules) == expected


def test_several_options() -> None:
    rules = form("2.2", "electrical-nerve-stimulators").rules
    system = "https://wiser-fhir.example/fhir/CodeSystem/scs-mdt"
    chosen = [{"valueCoding": {"system": system, "code": code}} for code in ("medical", "surgical")]
    url = "https://wiser-fhir.example/fhir/Questionnaire/electrical-nerve-stimulators"
    response = a_response(an_item("scs-mdt", *chosen), questionnaire=url)
    assert known_answers(a_request(response), rules) == {"scs-mdt": ("medical", "surgical")}


@pytest.mark.parametrize(
    "request_body",
    [
        a_request(),
        a_request(a_response(AGE, status="in-progress")),
        a_request(a_response(AGE, questionnaire="https://x.example/Questionnaire/other")),
        a_request(a_response(AGE), a_response(AGE)),
        a_request(a_response(AGE, subject={"reference": "Patient/another"})),
        a_request(a_response(AGE, subject={"display": "somebody"})),
        a_request(a_response(AGE, subject={"reference": "#p"}), patient="#p"),
        {"resourceType": "Bundle"},
        {},
    ],
)
def test_what_is_not_believed(request_body: Json) -> None:
    assert known_answers(request_body, RULES) == {}


def test_forms_wherever_they_stand() -> None:
    inner = {"resourceType": "Bundle", "entry": [{"resource": a_response(AGE)}, {"fullUrl": "x"}]}
    wrapped = {"parameter": [{"name": "resource", "resource": a_request(inner)}]}
    assert known_answers(wrapped, RULES) == {"hgns-age": 61}
    adaptive = a_response(
        AGE,
        questionnaire="#f",
        contained=[{"id": "f", "derivedFrom": [f"{URL}-adaptive|2026-01-15"]}],
    )
    assert known_answers(a_request(adaptive), RULES) == {"hgns-age": 61}
    nothing = a_response(AGE, questionnaire="#f", contained=[{"id": "g"}])
    assert known_answers(a_request(nothing), RULES) == {}
