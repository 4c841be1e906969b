"""An EHR from the order to the request: its chart, its calls, and the Bundle it sends to PAS.

Its resources have their addresses on its own server, so that what a draft refers to is found in the
Bundle as it stands.
"""

import json
from typing import Any

from tests.bundle_values import Json
from tests.bundles import request_bundle
from tests.conformance.dtr.charts_run import charts_of
from tests.crd_bodies import EHR, Record, hook_call, name_of
from tests.form_filling import Answers, attested, continued, filled_by_chart, software
from tests.form_logic import items, resources
from tests.integration.crd.door import HookClient
from tests.integration.pas.door import Client
from wiser_fhir import exact

SERVICE = "hypoglossal-nerve-stimulation"
TODAY = "2026-11-20"
AUTHOR: Json = {"reference": "Practitioner/practitioner"}
_MOST_STEPS = 12


def chart_of(record: Record) -> Json:
    """The rich chart, as that of the record's member, who was weighed again last month."""
    text = json.dumps(charts_of(SERVICE)["rich"])
    text = text.replace("https://ehr.example/fhir", EHR)
    text = text.replace("Patient/p1", f"Patient/{record.chart.patient_id}")
    chart: Json = json.loads(text.replace("2026-02-10", "2026-10-10"))
    chart["entry"][0]["resource"] = record.chart.patient()
    return chart


async def ordered(hooks: HookClient, record: Record) -> Json:
    """The order, as CRD gives it back."""
    answer = await hooks.call(hook_call("order-sign", record, order_of(record)))
    assert answer.status_code == 200, answer.text
    [action] = exact.loads(answer.content)["systemActions"]
    told: Json = action["resource"]
    return told


def order_of(record: Record) -> Json:
    """What the clinician orders."""
    return record.order("64582", "G47.33")


async def packaged(dtr: Client, record: Record, order: Json, **named: Json) -> Json:
    """The one package of a call; `named` are further parameters, `{"valueString": ...}`."""
    parameters = [
        {"name": "coverage", "resource": record.held["Coverage/coverage"]},
        {"name": "order", "resource": order},
        *({"name": name, **value} for name, value in named.items()),
    ]
    body = exact.dumps({"resourceType": "Parameters", "parameter": parameters})
    answer = await dtr.post("Questionnaire/$questionnaire-package", body)
    assert answer.status_code == 200, answer.text
    told: Json = answer.json()
    if record.line == "2.0":  # a lone package without a remark comes bare
        assert told["resourceType"] == "Bundle"
        return told
    [found] = told["parameter"]
    assert found["name"] == "packagebundle"
    package: Json = found["resource"]
    return package


async def walked(
    dtr: Client, package: Json, chart: Json, person: dict[str, Any]
) -> tuple[Json, Answers]:
    """An adaptive form to its end: what the chart knows is filled, the rest a person answers."""
    [response] = resources(package, "QuestionnaireResponse")
    facts: Answers = {}
    for _ in range(_MOST_STEPS):
        answer = await dtr.post("Questionnaire/$next-question", response)
        assert answer.status_code == 200, answer.text
        response = answer.json()
        if response["status"] == "completed":
            return response, facts
        [form] = response["contained"]
        facts |= filled_by_chart(package, chart, TODAY, form)
        asked = {item["linkId"] for item in items(form)}
        manual = {link: value for link, value in person.items() if link in asked}
        given = {"manual": attested(form, manual), software(dtr.line): facts}
        response = continued(response, given, author=AUTHOR)
    raise AssertionError("The form does not end.")


def request(record: Record, response: Json, chart: Json) -> Json:
    """The request with the completed response as it is, and the chart it was filled from."""
    usual: Json = {"service": SERVICE, "member": record.chart.member}
    bundle = _restful(request_bundle(record.line, answers={"hgns-dise": True}, **usual), record)
    entries = bundle["entry"]
    [form] = [e for e in entries if e["resource"]["resourceType"] == "QuestionnaireResponse"]
    form["resource"] = {**response, "id": form["resource"]["id"]}
    _attach(bundle, chart)
    return bundle


def _restful(bundle: Json, record: Record) -> Json:
    """Every resource under its address on the EHR's server, those of the record under their own."""
    own = {kind: name for kind, _, name in (key.partition("/") for key in record.held)}
    own |= {"Patient": record.chart.patient_id, "ServiceRequest": order_of(record)["id"]}
    known = {kind: own[kind] for kind in ("Patient", "Coverage", "Practitioner", "ServiceRequest")}
    text = json.dumps(bundle)
    for number, entry in enumerate(bundle["entry"]):
        kind = entry["resource"]["resourceType"]
        name = known.get(kind, f"{kind.lower()}-{number}")
        text = text.replace(entry["fullUrl"], f"{EHR}/{kind}/{name}")
    told: Json = json.loads(text)
    for entry in told["entry"]:
        entry["resource"]["id"] = entry["fullUrl"].rpartition("/")[2]
    return told


def _attach(bundle: Json, chart: Json) -> None:
    """The records of a chart as supporting information, each said to be what the form's is. A
    report goes along in PAS 2.2 only where it is one of a laboratory."""
    left_out = ("Patient", "DiagnosticReport")
    records = [e for e in chart["entry"] if e["resource"]["resourceType"] not in left_out]
    told = bundle["entry"][0]["resource"]["supportingInfo"]
    for entry in records:
        reference = {"reference": f"{EHR}/{name_of(entry['resource'])}"}
        told.append({**told[-1], "sequence": len(told) + 1, "valueReference": reference})
    bundle["entry"] += records
