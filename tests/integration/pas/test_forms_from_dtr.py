"""What DTR completed comes with a request: who gave each answer, and what the chart says of it."""

from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any

import pytest

from tests.adaptive_walks import form_of, forms, walk
from tests.bundle_values import Form
from tests.bundles import Json, Line, request_bundle
from tests.integration.pas.door import Client, Rows, actions, claim_response
from wiser_fhir.coverage.catalogue import Catalogue
from wiser_fhir.coverage.chart import LatestQuantity

SERVICE = "hypoglossal-nerve-stimulation"
ADDRESS = {
    "2.2": f"https://wiser-fhir.example/fhir/Questionnaire/{SERVICE}",
    "2.0": f"https://wiser-fhir.example/v2.0/fhir/Questionnaire/{SERVICE}",
}
# Of a beneficiary born 1948-03-09, filled on 2026-11-19.
FACTS: Mapping[str, Any] = {
    "hgns-age": 78,
    "hgns-bmi": 31.2,
    "hgns-consult-date": "2026-10-01",
    "hgns-psg-date": "2026-09-01",
    "hgns-ahi": 22.4,
    "hgns-central": 4,
    "hgns-cpap": "failure",
}
ATTESTED: Mapping[str, Any] = {
    "hgns-dise": True,
    "hgns-anatomy": False,
    "hgns-mri": True,
    "hgns-contra": ["none"],
}
_MEASURED = "urn:uuid:44444444-4444-4444-8444-444444444444"


def filled(
    line: Line,
    origins: Mapping[str, str] | None = None,
    *,
    changed: Mapping[str, Any] | None = None,
    in_bundle: bool = False,
) -> Json:
    """A request whose facts software filled and whose questions of judgement a person answered.

    `origins` are the exceptions, `changed` other answers.
    """
    usual = {**dict.fromkeys(FACTS, "auto"), **dict.fromkeys(ATTESTED, "manual")}
    told = {**usual, **(origins or {})}
    answers = {**FACTS, **ATTESTED, **(changed or {})}
    form = Form(answers, origins=told, in_bundle=in_bundle)
    bundle = request_bundle(line, service=SERVICE, forms=(form,))
    for item in response_of(bundle)["item"]:
        for answer in item["answer"]:
            if "valueCoding" in answer:
                system = f"https://wiser-fhir.example/fhir/CodeSystem/{item['linkId']}"
                answer["valueCoding"]["system"] = system
    return bundle


def response_of(bundle: Json) -> Json:
    """The form of a request, also inside a Bundle."""
    resources = [entry["resource"] for entry in bundle["entry"]]
    for outer in [each for each in resources if each["resourceType"] == "Bundle"]:
        resources += [entry["resource"] for entry in outer["entry"]]
    found: Json = next(r for r in resources if r["resourceType"] == "QuestionnaireResponse")
    return found


def step_by_step(bundle: Json, derived_from: str) -> Json:
    """The same form as one that was asked step by step."""
    response, rules = response_of(bundle), Catalogue.load().versions(SERVICE)[-1]
    response["contained"] = [
        {
            "resourceType": "Questionnaire",
            "id": "adaptive-form",
            "status": "active",
            "subjectType": ["Patient"],
            "derivedFrom": [derived_from],
            "item": [
                {"linkId": each, "text": rules.by_id[each].text, "type": "string"}
                for each in (item["linkId"] for item in response["item"])
            ],
        }
    ]
    response["questionnaire"] = "#adaptive-form"
    return bundle


def measured(bundle: Json, question: str, value: float, day: str, **quantity: str) -> Json:
    """The request with a measurement that the question is filled from."""
    rules = Catalogue.load().versions(SERVICE)[-1]
    reading = rules.by_id[question].chart
    assert isinstance(reading, LatestQuantity)
    code = rules.chart_codes_by_name[reading.codes].codes[0].coding
    claim = bundle["entry"][0]["resource"]
    unit = {"system": "http://unitsofmeasure.org", "code": reading.unit, "unit": reading.unit}
    observation = {
        "resourceType": "Observation",
        "status": "final",
        "code": {"coding": [{"system": code.system, "code": code.code}]},
        "subject": deepcopy(claim["patient"]),
        "effectiveDateTime": day,
        "valueQuantity": {"value": value, **unit, **quantity},
    }
    bundle["entry"].append({"fullUrl": _MEASURED, "resource": observation})
    return bundle


async def judged(client: Client, bundle: Json, rows: Rows) -> tuple[str, list[str]]:
    """What becomes of a request, and the criteria that are a clinician's."""
    response = claim_response(await client.submit(bundle))
    (case,) = await rows.cases()
    findings = (case["assessment"] or {})["findings"]
    open_ = [f["criterion"] for f in findings if f["status"] != "met"]
    return actions(response)[1], open_


@pytest.mark.parametrize("in_bundle", [False, True], ids=["bare", "in a DTR Bundle"])
async def test_facts_by_software_and_judgement_by_a_person_are_affirmed(
    client: Client, line: Line, rows: Rows, in_bundle: bool
) -> None:
    assert await judged(client.at(line), filled(line, in_bundle=in_bundle), rows) == ("A1", [])


@pytest.mark.parametrize("origin", ["auto", "override"])
async def test_judgement_by_software_is_pended(
    client: Client, line: Line, rows: Rows, origin: str
) -> None:
    bundle = filled(line, dict.fromkeys(ATTESTED, origin))
    assert await judged(client.at(line), bundle, rows) == (
        "A4",
        ["hgns-dise", "hgns-anatomy", "hgns-mri", "hgns-contra"],
    )


async def test_software_at_the_payer_is_software(client: Client, rows: Rows) -> None:
    assert await judged(client, filled("2.2", {"hgns-mri": "auto-server"}), rows) == (
        "A4",
        ["hgns-mri"],
    )


async def test_a_form_asked_step_by_step_is_read_as_ours(
    client: Client, line: Line, rows: Rows
) -> None:
    """Its own items say every question is text; ours decide."""
    bundle = step_by_step(filled(line), f"{ADDRESS[line]}-adaptive|2026-01-15")
    assert await judged(client.at(line), bundle, rows) == ("A1", [])


@pytest.mark.parametrize(
    ("attested_by", "told"),
    [
        ("manual", ("A1", [])),
        ("auto", ("A4", ["hgns-dise", "hgns-anatomy", "hgns-mri", "hgns-contra"])),
    ],
)
async def test_a_form_walked_to_its_end_is_read_as_it_came_from_there(
    client: Client, line: Line, rows: Rows, attested_by: str, told: tuple[str, list[str]]
) -> None:
    bundle = filled(line, dict.fromkeys(ATTESTED, attested_by))
    answers = {item["linkId"]: item["answer"] for item in response_of(bundle)["item"]}
    *_, completed = walk(form_of(SERVICE, line), lambda q: {**FACTS, **ATTESTED}[q.id])
    for item in completed["item"]:
        if item["linkId"] in answers:
            item["answer"] = answers.pop(item["linkId"])
    assert answers == {}
    kept = ("contained", "questionnaire", "status", "item")
    response_of(bundle).update({name: completed[name] for name in kept})
    assert await judged(client.at(line), bundle, rows) == told


def _negated(response: Json) -> None:
    for item in response["item"]:
        item["text"] = "It is NOT so."


def _grouped(response: Json) -> None:
    response["item"] = [{"linkId": "own", "text": "None of these:", "item": response["item"]}]


def _chained(response: Json) -> None:
    first, second, *others = response["item"]
    first["answer"][0]["item"] = [second]
    response["item"] = [first, *others]


def _displayed(response: Json) -> None:
    item = next(each for each in response["item"] if each["linkId"] == "hgns-contra")
    item["answer"][0]["valueCoding"]["display"] = "An infection"


def _defined(response: Json) -> None:
    response["item"][0]["definition"] = "http://other.example/x#y"


@pytest.mark.parametrize("change", [_negated, _grouped, _chained, _displayed, _defined])
async def test_a_form_of_other_words_or_places_is_pended(
    client: Client, line: Line, rows: Rows, change: Callable[[Json], None]
) -> None:
    bundle = filled(line)
    change(response_of(bundle))
    action, criteria = await judged(client.at(line), bundle, rows)
    assert (action, set(criteria)) == ("A4", {"form-answers"})


async def test_a_form_in_our_own_words_is_affirmed(client: Client, line: Line, rows: Rows) -> None:
    """As the form shows them, with the unit behind the question."""
    bundle, form = filled(line), forms().of(line, Catalogue.load().versions(SERVICE)[-1])
    assert form is not None
    shown = {item["linkId"]: item for item in form.questionnaire["item"]}
    for item in response_of(bundle)["item"]:
        item["text"] = shown[item["linkId"]]["text"]
        below = shown[item["linkId"]].get("item", ())
        if below:
            helps = [{"linkId": each["linkId"], "text": each["text"]} for each in below]
            item["answer"][0]["item"] = helps
        options = shown[item["linkId"]].get("answerOption", ())
        displays = {o["valueCoding"]["code"]: o["valueCoding"]["display"] for o in options}
        for answer in item["answer"]:
            if "valueCoding" in answer:
                answer["valueCoding"]["display"] = displays[answer["valueCoding"]["code"]]
    end = {
        "linkId": "end-of-clinical-questions",
        "text": shown["end-of-clinical-questions"]["text"],
    }
    response_of(bundle)["item"].append(end)
    assert await judged(client.at(line), bundle, rows) == ("A1", [])


@pytest.mark.parametrize("kind", ["Patient", "Organization", "Device"])
async def test_judgement_by_no_clinician_is_pended(client: Client, rows: Rows, kind: str) -> None:
    bundle = filled("2.2")
    author = {"reference": f"https://ehr.example/fhir/{kind}/1"}
    response_of(bundle)["author"] = author
    assert await judged(client, bundle, rows) == ("A4", [*ATTESTED])


async def test_a_device_outside_of_the_bundle_of_the_form_is_software(
    client: Client, rows: Rows
) -> None:
    bundle = filled("2.2", in_bundle=True)
    bundle["entry"].append(
        {"fullUrl": _MEASURED, "resource": {"resourceType": "Device", "status": "active"}}
    )
    response_of(bundle)["author"] = {"reference": _MEASURED}
    assert await judged(client, bundle, rows) == ("A4", [*ATTESTED])


async def test_what_stands_beside_the_form_about_a_copy_of_the_patient_counts(
    client: Client, rows: Rows
) -> None:
    bundle = measured(filled("2.2", in_bundle=True), "hgns-bmi", 41.0, "2026-11-10")
    copied = "urn:uuid:55555555-5555-4555-8555-555555555555"
    patient = next(e for e in bundle["entry"] if e["resource"]["resourceType"] == "Patient")
    inner = next(e for e in bundle["entry"] if e["resource"]["resourceType"] == "Bundle")
    measure = bundle["entry"].pop()
    measure["resource"]["subject"] = {"reference": copied}
    copy = {"fullUrl": copied, "resource": deepcopy(patient["resource"])}
    inner["resource"]["entry"] += [copy, measure]
    assert await judged(client, bundle, rows) == ("A4", ["hgns-bmi"])


@pytest.mark.parametrize(
    ("change", "judgement"),
    [
        ({"status": "preliminary"}, ("A4", ["hgns-bmi"])),
        ({"status": "registered"}, ("A4", ["hgns-bmi"])),
        ({"status": "cancelled"}, ("A1", [])),
        ({"status": "entered-in-error"}, ("A1", [])),
    ],
)
async def test_an_override_beside_a_record_that_does_not_stand(
    client: Client, rows: Rows, change: Json, judgement: tuple[str, list[str]]
) -> None:
    bundle = measured(filled("2.2", {"hgns-bmi": "override"}), "hgns-bmi", 41.0, "2026-11-10")
    bundle["entry"][-1]["resource"].update(change)
    assert await judged(client, bundle, rows) == judgement


async def test_a_system_by_another_name_is_the_same(client: Client, rows: Rows) -> None:
    bundle = measured(filled("2.2"), "hgns-bmi", 41.0, "2026-11-10")
    coding = bundle["entry"][-1]["resource"]["code"]["coding"][0]
    coding["system"] = "urn:oid:2.16.840.1.113883.6.1"
    assert await judged(client, bundle, rows) == ("A4", ["hgns-bmi"])


@pytest.mark.parametrize(
    "derived_from",
    [
        f"{ADDRESS['2.2']}-adaptive|2025-01-01",
        f"{ADDRESS['2.2']}-adaptive",
        f"{ADDRESS['2.2']}|2026-01-15",
        "https://other.example/Questionnaire/x-adaptive|2026-01-15",
    ],
    ids=["another version", "no version", "the whole form", "another's"],
)
async def test_a_form_of_its_own_is_none_of_ours(
    client: Client, rows: Rows, derived_from: str
) -> None:
    action, criteria = await judged(client, step_by_step(filled("2.2"), derived_from), rows)
    assert action == "A4"
    assert criteria == ["form", *FACTS, *ATTESTED]


async def test_it_is_kept_who_gave_each_answer(client: Client, line: Line, rows: Rows) -> None:
    given = {"hgns-bmi": "override", "hgns-mri": "auto", "hgns-cpap": "manual"}
    bundle = filled(line, given)
    claim_response(await client.at(line).submit(bundle))
    (case,) = await rows.cases()
    assert case["assessment"]["answers"] == [
        {"question": "hgns-age", "origin": "auto", "counted": True},
        {"question": "hgns-bmi", "origin": "override", "counted": True},
        {"question": "hgns-consult-date", "origin": "auto", "counted": True},
        {"question": "hgns-psg-date", "origin": "auto", "counted": True},
        {"question": "hgns-ahi", "origin": "auto", "counted": True},
        {"question": "hgns-central", "origin": "auto", "counted": True},
        {"question": "hgns-cpap", "origin": "manual", "counted": True},
        {"question": "hgns-dise", "origin": "manual", "counted": True},
        {"question": "hgns-anatomy", "origin": "manual", "counted": True},
        {"question": "hgns-mri", "origin": "auto", "counted": False},
        {"question": "hgns-contra", "origin": "manual", "counted": True},
    ]


# The chart


@pytest.mark.parametrize("origin", ["auto", "override", "manual"])
async def test_a_fact_that_goes_with_the_chart_is_affirmed(
    client: Client, line: Line, rows: Rows, origin: str
) -> None:
    bundle = measured(filled(line, {"hgns-bmi": origin}), "hgns-bmi", 31.24, "2026-09-01")
    assert await judged(client.at(line), bundle, rows) == ("A1", [])


@pytest.mark.parametrize("origin", ["auto", "override", "manual"])
async def test_a_fact_that_differs_from_the_chart_is_a_clinicians(
    client: Client, line: Line, rows: Rows, origin: str
) -> None:
    bundle = measured(filled(line, {"hgns-bmi": origin}), "hgns-bmi", 36.1, "2026-09-01")
    assert await judged(client.at(line), bundle, rows) == ("A4", ["hgns-bmi"])


@pytest.mark.parametrize(("origin", "action"), [("auto", "A1"), ("override", "A4")])
async def test_an_override_beside_another_unit_is_a_clinicians(
    client: Client, rows: Rows, origin: str, action: str
) -> None:
    bundle = filled("2.2", {"hgns-bmi": origin})
    bundle = measured(bundle, "hgns-bmi", 31.2, "2026-09-01", code="[lb_av]/[in_i]2")
    criteria = [] if action == "A1" else ["hgns-bmi"]
    assert await judged(client, bundle, rows) == (action, criteria)


async def test_another_age_than_the_birth_date_tells_is_a_clinicians(
    client: Client, line: Line, rows: Rows
) -> None:
    bundle = filled(line, changed={"hgns-age": 70})
    assert await judged(client.at(line), bundle, rows) == ("A4", ["hgns-age"])


async def test_the_chart_inside_a_bundle_of_forms_is_seen(
    client: Client, line: Line, rows: Rows
) -> None:
    bundle = measured(filled(line, in_bundle=True), "hgns-bmi", 36.1, "2026-09-01")
    measurement = bundle["entry"].pop()
    forms = next(
        e["resource"] for e in bundle["entry"] if e["resource"]["resourceType"] == "Bundle"
    )
    forms["entry"].append(measurement)
    assert await judged(client.at(line), bundle, rows) == ("A4", ["hgns-bmi"])


async def test_a_note_says_what_is_wrong_without_saying_anything_of_the_chart(
    client: Client,
) -> None:
    bundle = measured(filled("2.2", {"hgns-bmi": "override"}), "hgns-bmi", 36.1, "2026-09-01")
    response = claim_response(await client.submit(bundle))
    texts = " ".join(note["text"] for note in response["processNote"])
    assert "The answer differs from the chart that came along." in texts
    assert "36.1" not in texts
    assert "31.2" not in texts


# What the form itself does not allow


def _without(bundle: Json, question: str) -> Json:
    response = response_of(bundle)
    response["item"] = [item for item in response["item"] if item["linkId"] != question]
    return bundle


def _answer(bundle: Json, question: str) -> Json:
    (item,) = (i for i in response_of(bundle)["item"] if i["linkId"] == question)
    found: Json = item["answer"][0]
    return found


async def test_a_required_answer_missing_is_pended(client: Client, line: Line, rows: Rows) -> None:
    bundle = _without(filled(line), "hgns-consult-date")
    assert await judged(client.at(line), bundle, rows) == (
        "A4",
        ["hgns-consult-date", "hgns-psg-date"],
    )


async def test_an_answer_of_another_type_is_pended(client: Client, rows: Rows) -> None:
    bundle = filled("2.2")
    answer = _answer(bundle, "hgns-ahi")
    del answer["valueDecimal"]
    answer["valueInteger"] = 22
    assert await judged(client, bundle, rows) == ("A4", ["form-answers", "hgns-ahi"])


async def test_an_option_of_another_question_is_pended(client: Client, rows: Rows) -> None:
    bundle = filled("2.2")
    system = "https://wiser-fhir.example/fhir/CodeSystem/hgns-contra"
    _answer(bundle, "hgns-cpap")["valueCoding"]["system"] = system
    assert await judged(client, bundle, rows) == ("A4", ["form-answers", "hgns-cpap"])


async def test_an_answer_to_a_question_that_was_not_asked_is_pended(
    client: Client, line: Line, rows: Rows
) -> None:
    """It is only asked where the other treatment was not tolerated."""
    bundle = filled(line, {"hgns-sdm": "manual"}, changed={"hgns-sdm": True})
    assert await judged(client.at(line), bundle, rows) == ("A4", ["form-answers"])
