"""From the order to the UTN: CRD names the form, DTR sends it, the chart fills its facts, a person
attests the rest, and PAS decides. What software attests, and what somebody put in the place of what
the chart says, a clinician decides.
"""

from collections.abc import Mapping
from typing import Any

import pytest

from tests.bundle_values import MEMBERS, Json, Line
from tests.crd_bodies import Record
from tests.e2e.crd.calling import said
from tests.e2e.dtr.an_ehr import (
    AUTHOR,
    SERVICE,
    TODAY,
    chart_of,
    order_of,
    ordered,
    packaged,
    request,
    walked,
)
from tests.form_filling import Answers, attested, completed, filled_by_chart, software
from tests.integration.crd.door import HookClient
from tests.integration.pas.door import Client, Rows, claim_response
from wiser_fhir import exact

AUTHORED = "2026-11-20T15:30:00Z"
LINES: tuple[Line, ...] = ("2.2", "2.0")
FORM = {
    "2.2": f"https://wiser-fhir.example/fhir/Questionnaire/{SERVICE}",
    "2.0": f"https://wiser-fhir.example/v2.0/fhir/Questionnaire/{SERVICE}",
}
DTR = "http://hl7.org/fhir/us/davinci-dtr/StructureDefinition/"
PATIENT = "Patient/patient-1eg4te5mk73"
# What the draft says of its context, which goes to PAS as it is.
CONTEXT = {
    "2.2": [("qr-coverage", "Coverage/coverage"), ("qr-context", "ServiceRequest/order")],
    "2.0": [("qr-context", "Coverage/coverage"), ("qr-context", "ServiceRequest/order")],
}

# What the clinician knows and no record says.
CONSULTED: dict[str, Any] = {"hgns-consult-date": "2026-03-02", "hgns-cpap": "failure"}
JUDGED: dict[str, Any] = {
    "hgns-dise": True,
    "hgns-anatomy": False,
    "hgns-mri": True,
    "hgns-contra": ["none"],
}
FACTS: Answers = {
    "hgns-age": [{"valueInteger": 78}],
    "hgns-bmi": [{"valueDecimal": 31.4}],
    "hgns-psg-date": [{"valueDate": "2025-11-04"}],
    "hgns-ahi": [{"valueDecimal": 41.2}],
    "hgns-central": [{"valueDecimal": 5.6}],
}


async def on_the_way(hooks: HookClient, pas: Client, record: Record) -> Json:
    """The package that the order and CRD's assertion lead to."""
    order = await ordered(hooks, record)
    assert said(order, "questionnaire") == [f"{FORM[record.line]}|2026-01-15"]
    [assertion] = said(order, "coverage-assertion-id")
    return await packaged(pas, record, order, context={"valueString": assertion})


def answered(package: Json, chart: Json, line: Line, more: Mapping[str, Mapping[str, Any]]) -> Json:
    """The package's draft: facts from the chart, `more` by origin from whoever it is."""
    form, draft = (entry["resource"] for entry in package["entry"][:2])
    facts = filled_by_chart(package, chart, TODAY)
    assert facts == FACTS
    given = {software(line): facts, "manual": attested(form, CONSULTED)}
    for origin, plain in more.items():
        given[origin] = given.get(origin, {}) | attested(form, plain)
    response = completed(draft, form, given, author=AUTHOR, at=AUTHORED)
    kept = draft.keys() - {"status", "authored", "author", "item"}
    assert {key: response[key] for key in kept} == {key: draft[key] for key in kept}
    return response


def context_of(response: Json) -> list[tuple[str, str]]:
    """Which coverage and order a response says it is about."""
    return [
        (each["url"].removeprefix(DTR), each["valueReference"]["reference"])
        for each in response["extension"]
        if "valueReference" in each
    ]


def assert_affirmed(told: Json) -> None:
    assert told["outcome"] == "complete"
    assert told["disposition"].startswith("Provisionally affirmed.")
    assert told["preAuthPeriod"] == {"start": "2026-11-20", "end": "2027-03-19"}
    assert told["preAuthRef"].startswith("ZZ")


async def pended(rows: Rows, told: Json) -> dict[str, Json]:
    """The findings of a request that waits for a clinician, by criterion."""
    assert told["disposition"].startswith("Pended:")
    assert "preAuthPeriod" not in told
    [case] = await rows.cases()
    assert case["status"] == "in-review"
    return {finding["criterion"]: finding for finding in case["assessment"]["findings"]}


@pytest.mark.parametrize("line", LINES)
async def test_facts_from_the_chart_and_a_clinicians_judgement_are_affirmed(
    hooks: HookClient, pas: Client, line: Line
) -> None:
    record, dtr = Record.of(line), pas.at(line)
    chart = chart_of(record)
    package = await on_the_way(hooks, dtr, record)
    response = answered(package, chart, line, {"manual": JUDGED})
    assert response["questionnaire"] == f"{FORM[line]}|2026-01-15"
    assert response["subject"] == {"reference": PATIENT}
    assert context_of(response) == CONTEXT[line]
    assert_affirmed(claim_response(await dtr.submit(request(record, response, chart))))


@pytest.mark.parametrize("line", LINES)
async def test_judgement_by_software_is_left_to_a_clinician(
    hooks: HookClient, pas: Client, line: Line, rows: Rows
) -> None:
    record, dtr = Record.of(line), pas.at(line)
    chart = chart_of(record)
    package = await on_the_way(hooks, dtr, record)
    response = answered(package, chart, line, {software(line): JUDGED})
    told = claim_response(await dtr.submit(request(record, response, chart)))
    findings = await pended(rows, told)
    for question in JUDGED:
        assert findings[question]["status"] == "needs-judgement"
        assert findings[question]["text"].endswith("(Answered by software; a person must.)")
    assert findings["hgns-bmi"]["status"] == "met"


@pytest.mark.parametrize("line", LINES)
async def test_a_fact_put_in_the_place_of_the_chart_s_is_left_to_a_clinician(
    hooks: HookClient, pas: Client, line: Line, rows: Rows
) -> None:
    """The chart that came along says 31.4; either would meet the criterion."""
    record, dtr = Record.of(line), pas.at(line)
    chart = chart_of(record)
    package = await on_the_way(hooks, dtr, record)
    response = answered(package, chart, line, {"manual": JUDGED, "override": {"hgns-bmi": 28.5}})
    told = claim_response(await dtr.submit(request(record, response, chart)))
    findings = await pended(rows, told)
    assert {name for name, each in findings.items() if each["status"] != "met"} == {"hgns-bmi"}
    assert findings["hgns-bmi"]["status"] == "needs-judgement"
    text = findings["hgns-bmi"]["text"]
    assert text.endswith("(The answer differs from the chart that came along.)")


@pytest.mark.parametrize("line", LINES)
async def test_the_same_form_question_by_question_is_affirmed(
    hooks: HookClient, pas: Client, line: Line
) -> None:
    """It ends with what CRD asserted, and never with an authorization."""
    record, dtr = Record.of(line), pas.at(line)
    chart = chart_of(record)
    order = await ordered(hooks, record)
    [assertion] = said(order, "coverage-assertion-id")
    named = {"valueCanonical": f"{FORM[line]}-adaptive|2026-01-15"}
    context = {"valueString": assertion}
    package = await packaged(dtr, record, order, questionnaire=named, context=context)
    response, facts = await walked(dtr, package, chart, CONSULTED | JUDGED)
    assert facts == FACTS
    assert context_of(response) == CONTEXT[line]
    assert said(response, "coverage-assertion-id") == [assertion]
    assert said(response, "pa-needed") == ["auth-needed"]
    assert b"satisfied" not in exact.dumps(response)
    assert_affirmed(claim_response(await dtr.submit(request(record, response, chart))))


@pytest.mark.parametrize("line", LINES)
async def test_a_form_for_somebody_of_whom_crd_said_nothing_comes_by_the_order(
    hooks: HookClient, pas: Client, line: Line, rows: Rows
) -> None:
    record, dtr = Record.of(line, MEMBERS[1]), pas.at(line)
    chart = chart_of(record)
    package = await packaged(dtr, record, order_of(record))
    assert await rows.all("select id from coverage_assertion") == []
    form, draft = (entry["resource"] for entry in package["entry"][:2])
    facts = filled_by_chart(package, chart, TODAY)
    assert facts == FACTS | {"hgns-age": [{"valueInteger": 75}]}
    given = {software(line): facts, "manual": attested(form, CONSULTED | JUDGED)}
    response = completed(draft, form, given, author=AUTHOR, at=AUTHORED)
    assert context_of(response) == CONTEXT[line]
    assert_affirmed(claim_response(await dtr.submit(request(record, response, chart))))
