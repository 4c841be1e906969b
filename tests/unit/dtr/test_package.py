"""Which forms a call gets, and the bytes it gets them in."""

import json
from dataclasses import replace
from datetime import date
from typing import Any
from uuid import UUID

import pytest

from tests.ledger_values import an_assertion
from tests.package_bodies import (
    ADAPTIVE,
    CODES,
    DELAYED,
    HCPCS,
    UNKNOWN,
    a_call,
    an_order,
    canonical,
    parameter,
)
from tests.unit.dtr.packing import TODAY, catalogue, chosen, form, forms, names, read, texts
from wiser_fhir.dtr.choice import choose
from wiser_fhir.dtr.context import Context, of_assertion
from wiser_fhir.dtr.package import Packages
from wiser_fhir.errors import Problem, ProfileViolation
from wiser_fhir.fhir.codes import LINES, Line

Json = dict[str, Any]
V = "2026-01-15"
NO_SERVICE = ("warning", "The order names no service that WISeR asks about.")
NO_FORM = ("warning", "No form has this address.")
NO_VERSION = ("warning", "The form of this address has no such version.")
RESPONSE_ID = UUID("01a20286-3a58-7d1e-afd8-43c78af0bf0b")
BASE = "https://payer.example/fhir"


def refused(call: Json, line: Line = "2.2") -> list[tuple[str, str, str]]:
    with pytest.raises(ProfileViolation) as refusal:
        chosen(call, line)
    problems = refusal.value.problems
    assert {each.severity for each in problems} == {"error"}
    return [(each.code, each.text, each.expression or "") for each in problems]


@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize(("slug", "code"), CODES.items())
def test_an_order_gets_the_standard_form_of_its_service(line: Line, slug: str, code: str) -> None:
    found = chosen(a_call(an_order(code)), line)
    assert names(found) == [f"{slug}-{V}"]
    assert found.wanted[0].form.line == line
    assert [each.reference for each in found.wanted[0].orders] == [
        {"reference": "ServiceRequest/order-1"}
    ]
    assert found.remarks == ()


def test_several_orders_get_each_form_once() -> None:
    orders = [
        an_order("64483", id="a"),
        an_order("15271", id="b"),
        an_order("62321", id="c"),
        an_order(UNKNOWN, id="d"),
    ]
    found = chosen(a_call(*orders))
    assert names(found) == [f"epidural-steroid-injection-{V}", f"skin-substitutes-{V}"]
    assert [[o.reference["reference"] for o in each.orders] for each in found.wanted] == [
        ["ServiceRequest/a", "ServiceRequest/c"],
        ["ServiceRequest/b"],
    ]
    assert texts(found) == [NO_SERVICE]
    assert found.remarks[0].expression == "Parameters.parameter[4].resource"


@pytest.mark.parametrize(
    "order",
    [
        an_order(UNKNOWN),
        an_order("E0424", "https://bluebutton.cms.gov/resources/codesystem/hcpcs"),
        an_order("64483", "https://ehr.example/local"),
        an_order() | {"code": {"text": "an injection"}},
        {"resourceType": "ImmunizationRecommendation", "id": "i", "date": "2026-01-01",
         "patient": {"reference": "Patient/patient-1"},
         "recommendation": [{"forecastStatus": {"text": "due"}, "vaccineCode": [{"text": "x"}]}]},
    ],
)  # fmt: skip
def test_an_order_for_nothing_known_alone_is_refused(order: Json) -> None:
    [(code, text, place)] = refused(a_call(order), "2.0")
    assert code == "not-found"
    assert text.startswith("The order names no service that WISeR asks about.")
    assert place == "Parameters.parameter[1].resource"


def test_why_a_code_close_to_a_service_is_none() -> None:
    entry = next(
        (rules, each)
        for slug in catalogue().slugs
        for rules in catalogue().versions(slug)
        if rules.is_active
        for each in rules.not_included
        if each.with_diagnosis is None
    )[1]
    [(_, text, _)] = refused(a_call(an_order(entry.codes[0])))
    assert text == f"The order names no service that WISeR asks about. {entry.reason}"


@pytest.mark.parametrize(
    ("order", "text"),
    [
        (an_order(DELAYED), "WISeR does not ask about this service yet: Deep brain stimulation"),
        (an_order(doNotPerform=True), "The order asks for nothing: no form is needed for it."),
        (an_order(status="revoked"), "The order asks for nothing: no form is needed for it."),
    ],
)
def test_an_order_that_needs_no_form(order: Json, text: str) -> None:
    found = chosen(a_call(order))
    assert found.wanted == ()
    [(severity, said)] = texts(found)
    assert severity == "information"
    assert said.startswith(text)
    # Beside one that nobody knows it is still an answer.
    found = chosen(a_call(order, an_order(UNKNOWN, id="b")))
    assert [each[0] for each in texts(found)] == ["information", "warning"]


@pytest.mark.parametrize(
    "order",
    [
        an_order("Q4100", HCPCS) | {"code": {"coding": [
            {"system": "http://snomed.info/sct", "code": "1"},
            {"system": "https://www.ama-assn.org/go/cpt", "code": "15271-RT"}]}},
        an_order() | {"code": {"text": "x", "extension": [{
            "url": "http://hl7.org/fhir/us/davinci-crd/StructureDefinition/ext-billing-options",
            "valueCodeableConcept": {"coding": [
                {"system": "http://www.ama-assn.org/go/cpt", "code": "15271"}]}}]}},
        {"resourceType": "SupplyRequest", "id": "s", "quantity": {"value": 1},
         "itemCodeableConcept": {"coding": [
             {"system": "http://www.ama-assn.org/go/cpt", "code": "15271"}]}},
        {"resourceType": "DeviceRequest", "id": "s", "intent": "order",
         "subject": {"reference": "Patient/patient-1"}, "codeReference": {"reference": "#d"},
         "contained": [{"resourceType": "Device", "id": "d", "type": {"coding": [
             {"system": "http://www.ama-assn.org/go/cpt", "code": "15271"}]}}]},
    ],
)  # fmt: skip
def test_the_service_of_an_order_however_it_is_told(order: Json) -> None:
    assert names(chosen(a_call(order))) == [f"skin-substitutes-{V}"]


def test_an_appointment_is_about_the_order_behind_it() -> None:
    appointment = {
        "resourceType": "Appointment",
        "id": "a",
        "status": "proposed",
        "basedOn": [{"reference": "ServiceRequest/order-1"}, {"reference": "ServiceRequest/x"}],
        "participant": [{"actor": {"reference": "Patient/patient-1"}, "status": "accepted"}],
    }
    behind = parameter("referenced", "resource", an_order("15271"))
    found = chosen(a_call(appointment, more=(behind,)))
    assert names(found) == [f"skin-substitutes-{V}"]
    assert [each.reference for each in found.wanted[0].orders] == [{"reference": "Appointment/a"}]


@pytest.mark.parametrize("line", LINES)
def test_forms_by_name(line: Line) -> None:
    asked = (
        canonical(line, "skin-substitutes"),
        canonical(line, "skin-substitutes-adaptive", V),
        canonical(line, "skin-substitutes", V),
        canonical(line, "no-such-form"),
        canonical(line, "skin-substitutes", "2020-01-01"),
    )
    found = chosen(a_call(questionnaires=asked), line)
    assert names(found) == [f"skin-substitutes-{V}", f"skin-substitutes-adaptive-{V}"]
    assert texts(found) == [NO_FORM, NO_VERSION]
    assert [each.expression for each in found.remarks] == [
        "Parameters.parameter[4].value",
        "Parameters.parameter[5].value",
    ]


@pytest.mark.parametrize("slug", sorted(ADAPTIVE))
def test_every_adaptive_form_by_name(slug: str) -> None:
    found = chosen(a_call(questionnaires=(canonical("2.2", f"{slug}-adaptive"),)))
    assert names(found) == [f"{slug}-adaptive-{V}"]


def test_only_forms_that_nobody_knows() -> None:
    asked = ("https://x.example/Questionnaire/skin-substitutes", canonical("2.0", "pild"))
    assert refused(a_call(questionnaires=asked)) == [
        ("not-found", "No form has this address.", f"Parameters.parameter[{n}].value")
        for n in (1, 2)
    ]
    other_line = canonical("2.0", "skin-substitutes")
    [(_, text, _)] = refused(a_call(questionnaires=(other_line,)))
    assert text.startswith("The form of this address is for another version of the guide")


def test_forms_by_name_limit_what_orders_get() -> None:
    orders = (an_order("64483", id="a"), an_order("15271", id="b"))
    asked = (canonical("2.2", "skin-substitutes-adaptive"),)
    found = chosen(a_call(*orders, questionnaires=asked))
    assert names(found) == [f"skin-substitutes-adaptive-{V}"]
    assert [each.reference for each in found.wanted[0].orders] == [
        {"reference": "ServiceRequest/b"}
    ]
    assert found.remarks == ()
    # One that nobody knows limits nothing.
    found = chosen(a_call(*orders, questionnaires=("https://x.example/q",)))
    assert names(found) == [f"epidural-steroid-injection-{V}", f"skin-substitutes-{V}"]
    assert texts(found) == [NO_FORM]


def test_a_form_by_name_that_the_order_does_not_need() -> None:
    asked = (canonical("2.2", "skin-substitutes"),)
    found = chosen(a_call(an_order("64483"), questionnaires=asked))
    assert names(found) == [f"skin-substitutes-{V}"]
    assert texts(found) == [
        ("warning", "A form asked for is none that the orders or the context need.")
    ]
    assert found.remarks[0].expression == "Parameters.parameter[2].value"
    assert found.wanted[0].orders[0].reference == {"reference": "ServiceRequest/order-1"}
    # Nobody can say so of an order that says nothing.
    found = chosen(a_call(an_order(UNKNOWN), questionnaires=asked))
    assert names(found) == [f"skin-substitutes-{V}"]
    assert texts(found) == [NO_SERVICE]


def test_the_context_s_form_and_those_of_the_orders() -> None:
    context = of_assertion(an_assertion(service="skin-substitutes"), catalogue(), TODAY)
    found = chosen(a_call(an_order("64483"), context="x"), context=context)
    assert names(found) == [f"skin-substitutes-{V}", f"epidural-steroid-injection-{V}"]
    assert found.wanted[0].orders == ()
    found = chosen(a_call(an_order("15271"), context="x"), context=context)
    assert names(found) == [f"skin-substitutes-{V}"]
    assert len(found.wanted[0].orders) == 1


def test_a_context_that_needs_nothing() -> None:
    why = Problem("information", "informational", "Nothing is needed.")
    found = chosen(a_call(context="x"), context=Context(why=why))
    assert found.wanted == ()
    assert found.remarks == (why,)
    found = chosen(a_call(an_order("15271"), context="x"), context=Context(why=why))
    assert names(found) == [f"skin-substitutes-{V}"]
    assert found.remarks == (why,)


def test_of_two_versions_of_a_form_the_newest_is_sent() -> None:
    old = form("2.2", "skin-substitutes")
    rules = old.rules.model_copy(update={"first_day": date(2026, 5, 1)})
    new = replace(
        old,
        plan=replace(old.plan, rules=rules),
        questionnaire=old.questionnaire | {"version": "2026-05-01", "id": "skin-new"},
    )

    class Two:
        def by_canonical(self, line: Line, canonical: str, on: date) -> Any:
            return new if canonical.endswith("2026-05-01") else old

    for versions in ((V, "2026-05-01"), ("2026-05-01", V)):
        asked = tuple(canonical("2.2", "skin-substitutes", each) for each in versions)
        request = read(a_call(questionnaires=asked))
        found = choose(request, None, Two(), catalogue(), line="2.2", on=TODAY)  # type: ignore[arg-type]
        assert names(found) == ["skin-new"]
        assert texts(found) == [
            ("warning", "Another version of a form asked for too: only the newest is sent.")
        ]


@pytest.mark.parametrize(
    ("since", "sent"),
    [
        ("2025-12-01T00:00:00Z", True),
        # The last instant before the first day that the rules are in force on, in Eastern time.
        ("2026-01-05T04:59:59Z", True),
        ("2026-01-05T05:00:00Z", False),
        ("2026-05-31T00:00:00Z", False),
        ("2027-01-01T00:00:00Z", False),
    ],
)
def test_only_what_has_changed(since: str, sent: bool) -> None:
    assert form("2.2", "skin-substitutes").rules.opens_on == date(2026, 1, 5)
    found = chosen(a_call(an_order("15271"), since=since))
    assert names(found) == ([f"skin-substitutes-{V}"] if sent else [])
    unchanged = ("information", "Unchanged since the instant given: 1 of the forms.")
    assert texts(found) == ([] if sent else [unchanged])


def test_remarks_have_an_end() -> None:
    orders = [an_order(UNKNOWN, id=f"order-{n}") for n in range(120)]
    assert len(chosen(a_call(*orders, an_order("15271"))).remarks) == 50


@pytest.mark.parametrize("line", LINES)
def test_a_package_by_its_bytes(line: Line) -> None:
    wanted = form(line, "epidural-steroid-injection")
    body = Packages(line, BASE).bundle(
        wanted, {"resourceType": "QuestionnaireResponse"}, RESPONSE_ID, TODAY
    )
    bundle = json.loads(body)
    entries = bundle.pop("entry")
    assert bundle == {
        "resourceType": "Bundle",
        "meta": {
            "profile": ["http://hl7.org/fhir/us/davinci-dtr/StructureDefinition/DTR-QPackageBundle"]
        },
        "type": "collection",
    }
    kinds = [each["resource"]["resourceType"] for each in entries]
    assert kinds[:4] == ["Questionnaire", "QuestionnaireResponse", "Library", "Library"]
    assert set(kinds[4:]) == {"ValueSet"}
    assert entries[0]["resource"] == wanted.questionnaire
    assert entries[1] == {
        "fullUrl": "urn:uuid:01a20286-3a58-7d1e-afd8-43c78af0bf0b",
        "resource": {"resourceType": "QuestionnaireResponse"},
    }
    assert [each["fullUrl"] for each in (entries[0], entries[2], entries[3])] == [
        f"{BASE}/Questionnaire/epidural-steroid-injection-{V}",
        f"{BASE}/Library/WiserEpiduralSteroidInjection-{V}",
        f"{BASE}/Library/WiserChart-1.0.0",
    ]
    addresses = [each["fullUrl"] for each in entries]
    assert len(addresses) == len(set(addresses))


def test_a_form_that_needs_nothing_else() -> None:
    bare = replace(form("2.2", "skin-substitutes"), libraries=(), value_sets=())
    body = Packages("2.2", BASE).bundle(
        bare, {"resourceType": "QuestionnaireResponse"}, RESPONSE_ID, TODAY
    )
    assert len(json.loads(body)["entry"]) == 2


WARNING = Problem("warning", "not-found", "Something was not found.")


def answered(line: Line, count: int, *remarks: Problem) -> Json:
    slugs = sorted(CODES)[:count]
    packed = [(form(line, slug), {"resourceType": "X"}, RESPONSE_ID) for slug in slugs]
    found: Json = json.loads(Packages(line, BASE).answer(packed, remarks, TODAY))
    return found


@pytest.mark.parametrize(
    ("line", "package", "outcome"),
    [("2.2", "packagebundle", "outcome"), ("2.0", "PackageBundle", "operationOutcome")],
)
def test_the_names_of_the_parameters(line: Line, package: str, outcome: str) -> None:
    found = answered(line, 2, WARNING)
    assert found["meta"]["profile"] == [
        "http://hl7.org/fhir/us/davinci-dtr/StructureDefinition/dtr-qpackage-output-parameters"
    ]
    assert [each["name"] for each in found["parameter"]] == [package, package, outcome]
    assert found["parameter"][2]["resource"] == {
        "resourceType": "OperationOutcome",
        "issue": [
            {
                "severity": "warning",
                "code": "not-found",
                "details": {"text": "Something was not found."},
            }
        ],
    }
    assert [each["name"] for each in answered(line, 2)["parameter"]] == [package, package]


def test_one_package_without_a_remark() -> None:
    assert answered("2.2", 1)["resourceType"] == "Parameters"
    assert answered("2.0", 1)["resourceType"] == "Bundle"
    assert answered("2.0", 1, WARNING)["resourceType"] == "Parameters"


def test_no_package_at_all() -> None:
    found = answered("2.2", 0, WARNING)
    assert [each["name"] for each in found["parameter"]] == ["outcome"]
    assert answered("2.0", 0, WARNING)["resourceType"] == "OperationOutcome"


def test_what_is_the_same_all_day_is_written_once() -> None:
    packages = Packages("2.2", BASE)
    wanted = form("2.2", "skin-substitutes")
    first = packages.bundle(wanted, {"resourceType": "X"}, RESPONSE_ID, TODAY)
    assert packages.bundle(wanted, {"resourceType": "X"}, RESPONSE_ID, TODAY) == first
    assert len(packages._written) == 1
    other = form("2.2", "epidural-steroid-injection")
    packages.bundle(other, {"resourceType": "X"}, RESPONSE_ID, TODAY)
    assert len(packages._written) == 2
    tomorrow = packages.bundle(wanted, {"resourceType": "X"}, RESPONSE_ID, date(2026, 6, 2))
    assert len(packages._written) == 1
    for body, day in ((first, "2026-06-01"), (tomorrow, "2026-06-02")):
        resources = [each["resource"] for each in json.loads(body)["entry"]]
        sets = [each for each in resources if each["resourceType"] == "ValueSet"]
        assert {each["expansion"]["timestamp"] for each in sets} == {f"{day}T00:00:00-04:00"}
    assert forms().of("2.2", wanted.rules) is wanted
