"""Every package of every service, as the door sends it: valid for our validator and HL7's."""

import copy
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.bundle_values import MEMBERS
from tests.bundles import request_bundle
from tests.conformance.dtr.test_forms_valid import hl7s, ours
from tests.integration.pas.door import CARE_UNMET
from tests.ledger_values import a_call as a_hook_call
from tests.ledger_values import an_assertion, an_audit
from tests.oracle.judge import Judge
from tests.package_bodies import (
    ADAPTIVE,
    CODES,
    MBI,
    UNKNOWN,
    Json,
    a_call,
    a_coverage,
    an_order,
    canonical,
)
from wiser_fhir.fhir.codes import Line
from wiser_fhir.priorauth.ledger import Ledger

DTR = "http://hl7.org/fhir/us/davinci-dtr/StructureDefinition/"
OUTPUT = DTR + "dtr-qpackage-output-parameters"
BUNDLE = DTR + "DTR-QPackageBundle"
PACKAGE = "Questionnaire/$questionnaire-package"
# Of a Bundle in Parameters both read %resource as the Parameters, in 2.0's own example too.
MISREAD = ("bdl-3", "bdl-4")


async def answered(client: Any, body: Json, status: int = 200) -> Json:
    response = await client.post(PACKAGE, body)
    assert response.status_code == status, response.text
    found: Json = response.json()
    return found


async def every_answer(client: Any, engine: AsyncEngine, line: Line) -> dict[str, Json]:
    """Packages by order, of the adaptive forms with CRD's answer, and with a warning beside."""
    found = {}
    for slug, code in CODES.items():
        found[slug] = await answered(client, a_call(an_order(code)))
    for slug in sorted(ADAPTIVE):
        assertion = an_assertion(service=slug, mbi=MBI, answer=CRD_ANSWER, expires_on=None)
        organization = client.organization_id
        await Ledger(engine).record(
            organization, a_hook_call(client.client_id), [assertion], [], an_audit(organization)
        )
        asked = (canonical(line, f"{slug}-adaptive"),)
        body = a_call(an_order(CODES[slug]), questionnaires=asked, context=assertion.id)
        found[f"{slug}-adaptive"] = await answered(client, body)
    both = a_call(an_order("64582"), an_order("15271", id="two"), an_order(UNKNOWN, id="three"))
    found["several"] = await answered(client, both)
    asked = (canonical(line, "skin-substitutes"),)
    found["by name"] = await answered(client, a_call(questionnaires=asked))
    found["known answers"] = await answered(client, await in_review(client, line))
    return found


async def in_review(client: Any, line: Line) -> Json:
    """The call for the form of a request that a clinician looks at, which brought answers."""
    body = request_bundle(line, trace="TRN-7", answers=CARE_UNMET)
    assert (await client.submit(body)).status_code == 200
    return a_call(context="TRN-7", coverage=a_coverage(subscriberId=MEMBERS[0].mbi))


CRD_ANSWER = {
    "covered": "covered",
    "pa-needed": "auth-needed",
    "doc-needed": ["clinical"],
    "doc-purpose": [],
    "info-needed": [],
    "missing": [],
    "reasons": [{"text": "Reviewed under the WISeR model.", "code": None}],
    "questionnaires": ["https://wiser-fhir.example/fhir/Questionnaire/skin-substitutes|2026-01-15"],
    "satisfied-pa-id": None,
}


def bundles_of(answer: Json) -> list[Json]:
    if answer["resourceType"] == "Bundle":
        return [answer]
    resources = [each["resource"] for each in answer["parameter"]]
    return [each for each in resources if each["resourceType"] == "Bundle"]


def without_expressions(bundle: Json) -> Json:
    """The same, without what is worth a warning each: two hundred of them end our check."""
    found = copy.deepcopy(bundle)
    for item in found["entry"][0]["resource"].get("item", ()):
        item["extension"] = [e for e in item.get("extension", ()) if "initial" not in e["url"]]
        if not item["extension"]:
            del item["extension"]
    return found


def errors_of_ours(resource: Json, line: Line, profile: str) -> list[str]:
    return [each.text for each in ours(resource, line, profile) if each.severity == "error"]


@pytest.mark.oracle
async def test_every_package_is_valid_for_both(
    client: Any, app_engine: AsyncEngine, line: Line, judge: Judge
) -> None:
    found = await every_answer(client.at(line), app_engine, line)
    assert len(found) == 13 + 9 + 3
    sent = [(name, resource, BUNDLE) for name in found for resource in bundles_of(found[name])] + [
        (name, answer, OUTPUT) for name, answer in found.items() if "parameter" in answer
    ]
    # In 2.0 only what has to be several or comes with a warning is in Parameters.
    assert len(sent) == {"2.2": 26 + 25, "2.0": 26 + 1}[line]
    told = [judge.submit(resource, line, profile) for _, resource, profile in sent]
    for name, resource, profile in sent:
        if profile == BUNDLE:
            assert errors_of_ours(without_expressions(resource), line, profile) == [], name
    for (name, _, profile), asked in zip(sent, told, strict=True):
        wrong = [f"{each.expression}: {each.text}" for each in asked.result() if each.is_error]
        if line == "2.0" and profile == OUTPUT:
            wrong = [each for each in wrong if not any(key in each for key in MISREAD)]
        assert wrong == [], name


@pytest.mark.oracle
async def test_what_is_sent_without_packages_is_valid_for_both(
    client: Any, line: Line, judge: Judge
) -> None:
    body = a_call(an_order("64582"), since="2026-06-01T00:00:00Z")
    answer = await answered(client.at(line), body)
    kind = {"2.2": "Parameters", "2.0": "OperationOutcome"}[line]
    assert answer["resourceType"] == kind
    profile = {
        "2.2": OUTPUT,
        "2.0": "http://hl7.org/fhir/StructureDefinition/OperationOutcome",
    }[line]
    assert ours(answer, line, profile) == []
    assert hl7s(judge, answer, line, profile) == []


def held_to_its_form(bundle: Json) -> Json:
    """A draft with its form inside, where the engine finds it and looks at every item."""
    form, response = (copy.deepcopy(entry["resource"]) for entry in bundle["entry"][:2])
    form["id"] = "form"
    return {**response, "contained": [form], "questionnaire": "#form"}


@pytest.mark.oracle
async def test_every_draft_goes_with_its_form(client: Any, line: Line, judge: Judge) -> None:
    at = client.at(line)
    found = {slug: await answered(at, a_call(an_order(code))) for slug, code in CODES.items()}
    found["known answers"] = await answered(at, await in_review(at, line))
    assert '"valueInteger":2' in str(found["known answers"]).replace("'", '"').replace(" ", "")
    told = {
        name: judge.submit(held_to_its_form(bundles_of(answer)[0]), line)
        for name, answer in found.items()
    }
    for name, asked in told.items():
        issues = asked.result()
        wrong = [f"{each.expression}: {each.text}" for each in issues if each.is_error]
        assert wrong == [], name
        assert not [each for each in issues if each.id == "Questionnaire_QR_Q_NotFound"], name
