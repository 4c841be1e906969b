"""The draft response: whom and what it is about, and what is answered already."""

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from tests.unit.dtr.packing import NOW, form
from wiser_fhir import exact
from wiser_fhir.coverage.evaluate import Value
from wiser_fhir.dtr.draft import Occasion, draft
from wiser_fhir.fhir.codes import LINES, Line

DTR = "http://hl7.org/fhir/us/davinci-dtr/StructureDefinition/"
SUBJECT = {"reference": "Patient/p"}
COVERAGE = {"reference": "Coverage/c"}
ORDER = {"reference": "ServiceRequest/o"}
Json = dict[str, Any]


def an_occasion(*orders: Json, coverages: tuple[Json, ...] = (COVERAGE,)) -> Occasion:
    return Occasion(SUBJECT, coverages, orders, NOW)


def extensions(response: Json) -> list[tuple[str, Json]]:
    return [
        (each["url"].removeprefix(DTR), next(v for key, v in each.items() if key != "url"))
        for each in response["extension"]
    ]


def purpose(system: str) -> tuple[str, Json]:
    return ("intendedUse", {"coding": [{"system": system, "code": "withpa"}]})


def test_a_draft_of_line_2_2() -> None:
    response = draft(form("2.2", "hypoglossal-nerve-stimulation"), an_occasion(ORDER))
    extension = response.pop("extension")
    assert response == {
        "resourceType": "QuestionnaireResponse",
        "meta": {
            "lastUpdated": "2026-06-01T15:30:00+00:00",
            "profile": [f"{DTR}dtr-questionnaireresponse"],
        },
        "questionnaire": (
            "https://wiser-fhir.example/fhir/Questionnaire/hypoglossal-nerve-stimulation|2026-01-15"
        ),
        "status": "in-progress",
        "subject": {"reference": "Patient/p"},
        "authored": "2026-06-01T15:30:00+00:00",
    }
    assert extensions({"extension": extension}) == [
        ("qr-coverage", COVERAGE),
        ("qr-context", ORDER),
        purpose("http://hl7.org/fhir/us/davinci-crd/CodeSystem/coverage-information-codes"),
    ]


def test_a_draft_of_line_2_0() -> None:
    response = draft(form("2.0", "vagus-nerve-stimulation"), an_occasion(ORDER))
    assert extensions(response) == [
        ("qr-context", COVERAGE),
        ("qr-context", ORDER),
        purpose("http://hl7.org/fhir/us/davinci-crd/CodeSystem/temp"),
    ]
    assert response["questionnaire"] == (
        "https://wiser-fhir.example/v2.0/fhir/Questionnaire/vagus-nerve-stimulation|2026-01-15"
    )
    # The profile wants an item: every question that is asked of everybody.
    items = response["item"]
    assert items[0] == {"linkId": "vns-initial"}
    assert all(item.keys() == {"linkId"} for item in items)


def test_without_an_order_line_2_0_names_the_coverage_twice() -> None:
    response = draft(form("2.0", "vagus-nerve-stimulation"), an_occasion())
    assert extensions(response)[:2] == [("qr-context", COVERAGE), ("qr-context", COVERAGE)]
    response = draft(form("2.2", "vagus-nerve-stimulation"), an_occasion())
    assert [name for name, _ in extensions(response)] == ["qr-coverage", "intendedUse"]


def test_two_coverages_are_two_contexts() -> None:
    other = {"reference": "Coverage/d"}
    occasion = an_occasion(coverages=(COVERAGE, other))
    response = draft(form("2.0", "vagus-nerve-stimulation"), occasion)
    assert extensions(response)[:2] == [("qr-context", COVERAGE), ("qr-context", other)]


@pytest.mark.parametrize("kind", ["SupplyRequest", "VisionPrescription", "CommunicationRequest"])
def test_orders_that_the_extension_may_not_name(kind: str) -> None:
    occasion = an_occasion({"reference": f"{kind}/o"}, {"type": kind, "display": "an order"})
    found = draft(form("2.2", "skin-substitutes"), occasion)
    assert [name for name, _ in extensions(found)] == ["qr-coverage", "intendedUse"]


@pytest.mark.parametrize(
    "reference",
    [
        {"reference": "https://ehr.example/fhir/DeviceRequest/o"},
        {"type": "Appointment", "identifier": {"value": "7"}},
    ],
)
def test_orders_however_they_are_named(reference: Json) -> None:
    found = draft(form("2.2", "skin-substitutes"), an_occasion(reference))
    assert extensions(found)[1] == ("qr-context", reference)


@pytest.mark.parametrize("line", LINES)
def test_an_adaptive_draft(line: Line) -> None:
    information = {"url": "https://x.example/information", "valueCode": "covered"}
    response = draft(
        form(line, "skin-substitutes", adaptive=True),
        an_occasion(ORDER),
        {"ctp-area": Decimal(2)},
        information,
    )
    [inside] = response["contained"]
    assert response["questionnaire"] == f"#{inside['id']}"
    assert inside["derivedFrom"] == [
        f"https://wiser-fhir.example/{'' if line == '2.2' else 'v2.0/'}fhir/Questionnaire/"
        "skin-substitutes-adaptive|2026-01-15"
    ]
    assert "item" not in inside
    assert "item" not in response
    assert information in response["extension"]
    claimed = {"2.2": [f"{DTR}dtr-questionnaireresponse-adapt"], "2.0": None}[line]
    assert response["meta"].get("profile") == claimed


def answers_of(line: Line, slug: str, known: dict[str, Value]) -> Json:
    response = exact.loads(exact.dumps(draft(form(line, slug), an_occasion(ORDER), known)))
    return {item["linkId"]: item["answer"] for item in response["item"] if "answer" in item}


@pytest.mark.parametrize(("line", "source"), [("2.2", "auto-server"), ("2.0", "auto")])
def test_answers_that_come_from_us_say_so(line: Line, source: str) -> None:
    known: dict[str, Value] = {"esi-treatments-12m": 2, "esi-levels": 1}
    origin = {
        "url": f"{DTR}information-origin",
        "extension": [{"url": "source", "valueCode": source}],
    }
    assert answers_of(line, "epidural-steroid-injection", known) == {
        "esi-treatments-12m": [{"extension": [origin], "valueInteger": 2}],
        "esi-levels": [{"extension": [origin], "valueInteger": 1}],
    }


SYSTEM = "https://wiser-fhir.example/fhir/CodeSystem"


@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize(
    ("slug", "question", "value", "written"),
    [
        ("epidural-steroid-injection", "esi-repeat", True, [{"valueBoolean": True}]),
        ("hypoglossal-nerve-stimulation", "hgns-psg-date", date(2026, 1, 5),
         [{"valueDate": "2026-01-05"}]),
        ("vagus-nerve-stimulation", "trd-study-id", "NCT1", [{"valueString": "NCT1"}]),
        ("skin-substitutes", "ctp-wound", "dfu",
         [{"valueCoding": {"system": f"{SYSTEM}/ctp-wound", "code": "dfu"}}]),
        ("electrical-nerve-stimulators", "scs-mdt", ("medical", "surgical"),
         [{"valueCoding": {"system": f"{SYSTEM}/scs-mdt", "code": "medical"}},
          {"valueCoding": {"system": f"{SYSTEM}/scs-mdt", "code": "surgical"}}]),
    ],
)  # fmt: skip
def test_every_type_of_answer(
    line: Line, slug: str, question: str, value: Value, written: list[Json]
) -> None:
    found = answers_of(line, slug, {question: value})[question]
    for answer in found:
        del answer["extension"]
        if "valueCoding" in answer:
            assert answer["valueCoding"].pop("display")
    assert found == written


def test_a_number_is_written_as_it_came() -> None:
    known: dict[str, Value] = {"hgns-ahi": Decimal("22.50")}
    [answer] = answers_of("2.2", "hypoglossal-nerve-stimulation", known)["hgns-ahi"]
    assert exact.dumps(answer["valueDecimal"]) == b"22.50"
    known = {"hgns-ahi": Decimal("2.25e1")}
    [answer] = answers_of("2.2", "hypoglossal-nerve-stimulation", known)["hgns-ahi"]
    assert exact.dumps(answer["valueDecimal"]) == b"22.5"
    known = {"hgns-ahi": Decimal("2e1")}
    [answer] = answers_of("2.2", "hypoglossal-nerve-stimulation", known)["hgns-ahi"]
    assert exact.dumps(answer["valueDecimal"]) == b"2E+1"
