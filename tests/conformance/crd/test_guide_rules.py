"""Rules of the guides that no other test shows, each through the API unless it says otherwise."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from tests.bundle_resources import IDENTIFIER_TYPES, concept, procedure
from tests.bundle_values import Json, Line
from tests.conformance.crd.collected import resources_in
from tests.conformance.crd.profiles import our_errors
from tests.conformance.inferno.crd.build import BODIES, SUITE
from tests.conformance.inferno.crd.resources import WRITTEN
from tests.crd_bodies import EHR, HOOKS, USER, Record, hook_call, name_of
from tests.integration.crd.door import (
    Ehr,
    HookClient,
    Said,
    answered,
    broken_rules,
    told,
)
from tests.unit.crd.answering import an_assertion
from wiser_fhir.crd.coverage_information import extension
from wiser_fhir.priorauth.foresee import Situation

CORE = "http://hl7.org/fhir/us/core/StructureDefinition/"
OPTIONS = "http://hl7.org/fhir/us/davinci-crd/StructureDefinition/ext-billing-options"
PAYLOAD = "http://hl7.org/fhir/5.0/StructureDefinition/extension-CommunicationRequest.payload."
LENS = "http://terminology.hl7.org/CodeSystem/ex-visionprescriptionproduct"
RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
SNOMED = "http://snomed.info/sct"
EPIDURAL, OTHER, EPIDURAL_INJECTION = "64483", "72148", "171787008"


async def ask(hooks: HookClient, body: Json, name: str | None = None) -> Said:
    """What the answer to a call says of the only resource it is about, or of the one named."""
    return told(answered(await hooks.call(body)), name)


# What is asked about


def bare_orders(record: Record) -> list[Json]:
    """An order of each type, with what its profile demands and no more."""
    patient = {"reference": f"Patient/{record.chart.patient_id}"}
    who, draft = {"reference": USER}, {"status": "draft"}
    request = {**draft, "subject": patient, "authoredOn": WRITTEN, "requester": who}
    payload = {
        "url": PAYLOAD + {"2.0": "content[x]", "2.2": "content"}[record.line],
        "valueCodeableConcept": concept("http://loinc.org", "11506-3"),
    }
    kinds: dict[str, Json] = {
        "ServiceRequest": {**request, "intent": "order", "code": procedure(EPIDURAL)},
        "DeviceRequest": {**request, "intent": "order", "codeCodeableConcept": procedure("E0250")},
        "MedicationRequest": {
            **request,
            "intent": "order",
            "medicationCodeableConcept": concept(RXNORM, "105611"),
        },
        "CommunicationRequest": {
            **request,
            "basedOn": [{"reference": "ServiceRequest/bare-servicerequest"}],
            "payload": [{"extension": [payload], "contentString": "Notes of the visit"}],
        },
        "NutritionOrder": {
            **draft,
            "intent": "order",
            "patient": patient,
            "dateTime": WRITTEN,
            "orderer": who,
            "oralDiet": {"type": [concept(SNOMED, "160670007")]},
        },
        "VisionPrescription": {
            **draft,
            "created": WRITTEN,
            "patient": patient,
            "dateWritten": WRITTEN,
            "prescriber": who,
            "lensSpecification": [{"product": concept(LENS, "lens"), "eye": "right"}],
        },
    }
    return [
        {"resourceType": kind, "id": f"bare-{kind.lower()}", **order}
        for kind, order in kinds.items()
    ]


@pytest.mark.parametrize("hook", ["order-sign", "order-select"])
async def test_orders_of_every_type_in_one_call_need_no_more_than_their_profiles_demand(
    hook: str, hooks: HookClient, line: Line
) -> None:
    """Source: CRD 2.2.1 §hook-22, §conf-7, §conf-8, §conf-12."""
    record = Record.of(line)
    orders = bare_orders(record)
    assert [error for order in orders for error in our_errors(order, line)] == []
    answer = answered(await hooks.call(hook_call(hook, record, *orders)))
    for order in orders:
        said = told(answer, name_of(order))
        assert (said.covered, broken_rules(said, line)) == ("covered", [])
    assert answer["cards"] == []


@pytest.mark.parametrize("key", ["fulfillmentTasks", "task"])
async def test_what_the_task_of_a_dispatch_tells_is_read(
    key: str, hooks: HookClient, line: Line
) -> None:
    """Source: CRD 2.2.1 §hook-31; CRD 2.0.1, "order-dispatch"."""
    record = Record.of(line)
    order = record.order(EPIDURAL, occurrenceDateTime=None)
    body = hook_call("order-dispatch", record, order)
    assert (await ask(hooks, body)).info_needed == ("timeframe",)
    when = {"start": "2027-01-12", "end": "2027-01-12"}
    task = record.chart.dispatch(order["id"]) | {"restriction": {"period": when}}
    body["context"][key] = task if key == "task" else [task]
    said = await ask(hooks, body)
    assert (said.pa_needed, said.info_needed) == ("auth-needed", ())


async def test_of_the_orders_at_hand_only_those_dispatched_are_answered_for(
    hooks: HookClient, line: Line
) -> None:
    """Source: CRD 2.2.1 §hook-30."""
    record = Record.of(line)
    other = record.order(EPIDURAL, name="other")
    body = hook_call("order-dispatch", record, record.order(EPIDURAL), beside=[other])
    answer = answered(await hooks.call(body))
    assert [name_of(each["resource"]) for each in answer["systemActions"]] == [
        "ServiceRequest/order"
    ]


# How it is read


@pytest.mark.parametrize(
    ("codes", "pa_needed", "info_needed"),
    [
        ((EPIDURAL,), "auth-needed", ()),
        ((OTHER,), "no-auth", ()),
        ((EPIDURAL, OTHER), "conditional", ("OTH",)),
        ((), "auth-needed", ()),
    ],
)
async def test_billing_options_decide_where_the_order_has_a_clinical_code(
    codes: tuple[str, ...],
    pa_needed: str,
    info_needed: tuple[str, ...],
    hooks: HookClient,
    line: Line,
) -> None:
    """Without any our own reading does. Source: CRD 2.2.1 §billopt-2, §billopt-3."""
    record = Record.of(line)
    options = [{"url": OPTIONS, "valueCodeableConcept": procedure(code)} for code in codes]
    code = concept(SNOMED, EPIDURAL_INJECTION) | ({"extension": options} if options else {})
    order = record.order(EPIDURAL) | {"code": code}
    said = await ask(hooks, hook_call("order-sign", record, order))
    assert (said.pa_needed, said.info_needed) == (pa_needed, info_needed)


def of_us_core(version: str, resource: Json) -> Json:
    """The resource as an EHR of a version of US Core has it: its profile, and its extensions."""
    kind = resource["resourceType"].lower()
    extensions: dict[str, list[Json]] = {
        "3.1.1": [{"url": f"{CORE}us-core-birthsex", "valueCode": "F"}],
        "6.1.0": [
            {
                "url": f"{CORE}us-core-genderIdentity",
                "valueCodeableConcept": {"text": "Female"},
            }
        ],
        "7.0.0": [
            {"url": f"{CORE}us-core-sex", "valueCode": "248152002"},
            {
                "url": f"{CORE}us-core-interpreter-needed",
                "valueCoding": {"system": SNOMED, "code": "373067005"},
            },
        ],
    }
    own = {"extension": extensions[version]} if kind == "patient" else {}
    return resource | own | {"meta": {"profile": [f"{CORE}us-core-{kind}|{version}"]}}


def told_as(version: str, record: Record) -> None:
    """The member's number where the version has a place for it, everybody by its profiles.

    3.1.1 has no profile of Coverage, 6.1.0 and 7.0.0 have a member id there.
    """
    patient = record.held[f"Patient/{record.chart.patient_id}"]
    coverage = record.held["Coverage/coverage"]
    member = concept(IDENTIFIER_TYPES, "MB")
    if version == "3.1.1":
        del coverage["identifier"], coverage["subscriberId"]
    else:
        del patient["identifier"][0], coverage["subscriberId"]
        coverage["identifier"] = [{"type": member, "value": record.chart.member.mbi}]
    record.held = {name: of_us_core(version, each) for name, each in record.held.items()}


@pytest.mark.parametrize("version", ["3.1.1", "6.1.0", "7.0.0"])
async def test_every_us_core_is_understood(version: str, hooks: HookClient, line: Line) -> None:
    """Nothing tells which one it is, so a server copes with all at once. Source: §conf-2."""
    usual, record = Record.of(line), Record.of(line)
    order = record.order(EPIDURAL)
    told_as(version, record)
    said = await ask(hooks, hook_call("order-sign", record, order))
    expected = await ask(hooks, hook_call("order-sign", usual, order))
    assert replace(said, id=expected.id) == expected
    assert said.pa_needed == "auth-needed"


async def test_a_search_whose_own_link_lost_its_patient_is_not_believed(
    hooks: HookClient, ehr: Ehr, line: Line
) -> None:
    """It may hold anybody's coverage, so the EHR is asked once more. Source: "Query Notes"."""
    record = Record.of(line)
    body = hook_call("order-sign", record, record.order(EPIDURAL))
    link = {"relation": "self", "url": f"{EHR}/Coverage?status=active"}
    body["prefetch"]["coverage"]["link"] = [link]
    ehr.holds = record.held
    assert (await ask(hooks, body)).pa_needed == "auth-needed"
    assert ehr.asked == [f"Coverage?patient={record.chart.patient_id}&status=active"]


# How it is answered


def test_every_part_of_the_extension_is_filled_in_some_situation() -> None:
    """By values, without the API. Source: CRD 2.2.1 §conf-5."""
    both = {
        *("coverage", "covered", "pa-needed", "doc-needed", "info-needed", "billingCode"),
        *("reason", "detail", "dependency", "questionnaire", "date", "coverage-assertion-id"),
        *("satisfied-pa-id", "contact"),
    }
    for line, own in {"2.2": "expiry-date", "2.0": "doc-purpose"}.items():
        spoken: Line = "2.2" if line == "2.2" else "2.0"
        said = [an_assertion(each, spoken, dependencies=["Device/1"]) for each in Situation]
        found = {part["url"] for each in said for part in extension(each, spoken)["extension"]}
        assert found == both | {own}


async def answers(hooks: HookClient, line: Line) -> AsyncIterator[tuple[Json, Json]]:
    """Every call of the input pack with its answer."""
    for hook in HOOKS:
        for body in BODIES[hook](line):
            yield body, answered(await hooks.call(body))


async def test_cards_neither_repeat_the_assertion_nor_start_its_form(
    hooks: HookClient, line: Line
) -> None:
    """Source: CRD 2.2.1 §resp-17, §resp-23, §resp-25, §resp-59."""
    seen, forms = set(), 0
    for body, answer in [each async for each in answers(hooks, line)]:
        is_suite = SUITE.mbi.lower() in body["context"]["patientId"]
        for card in answer["cards"]:
            assert card["source"]["topic"]["code"] not in ("coverage-info", "unsolicited-determ")
            kinds = {link["type"] for link in card.get("links", ())}
            tasks = [r for r in resources_in(card) if r["resourceType"] == "Task"]
            assert is_suite or (kinds <= {"absolute"} and not tasks)
            seen.add(is_suite)
        for action in answer["systemActions"]:
            forms += any(part["url"] == "questionnaire" for part in _parts(action["resource"]))
    assert seen == {True, False}
    assert forms  # this is how a form is named


def _parts(resource: Json) -> list[Json]:
    return [part for each in resource["extension"] for part in each.get("extension", ())]


async def test_a_suggestion_is_one_action_that_can_be_told_by_its_number(
    hooks: HookClient, line: Line
) -> None:
    """So none refers to another. Source: CRD 2.2.1 §resp-3, §resp-53, §resp-57, §dev-21."""
    numbers: list[str] = []
    kinds = set()
    for body, answer in [each async for each in answers(hooks, line)]:
        sent = {name_of(each) for each in resources_in(body)}
        suggested = [s for card in answer["cards"] for s in card.get("suggestions", ())]
        numbers += [each["uuid"] for each in suggested]
        for each in suggested:
            [action] = each["actions"]
            is_known = name_of(action["resource"]) in sent
            assert action["type"] == ("update" if is_known else "create")
            kinds.add((action["type"], action["resource"]["resourceType"]))
    assert len(set(numbers)) == len(numbers)
    assert kinds == {
        ("update", "ServiceRequest"),
        ("update", "Coverage"),
        ("create", "CommunicationRequest"),
        ("create", "Task"),
    }


async def test_there_is_no_white_space_between_the_parts_of_an_answer(
    hooks: HookClient, line: Line
) -> None:
    """Source: CRD 2.2.1 §found-40."""
    record = Record.of(line)
    response = await hooks.call(hook_call("order-sign", record, record.order(EPIDURAL)))
    compact = json.dumps(answered(response), separators=(",", ":"), ensure_ascii=False)
    assert response.text == compact
