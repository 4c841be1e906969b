"""Every answer of ours, in every situation and of every type of order: valid for HL7's engine."""

from collections.abc import Iterator

import pytest
from fastapi import FastAPI
from httpx import AsyncClient
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.bundle_resources import concept, procedure
from tests.bundle_values import Json, Line
from tests.conformance.crd.collected import Sent, engine_faults, sent
from tests.crd_bodies import ENCOUNTER_HOOKS, HOOKS, LINES, ORDER_HOOKS, Record, hook_call
from tests.database import empty_tables
from tests.integration.crd.door import Ehr, HookClient, answered, seed_sandbox, told
from tests.integration.crd.scenarios import SCENES, Stage
from tests.integration.pas.door import register
from tests.oracle.hooks_judge import BASE_RESPONSE, RESPONSE, HooksJudge
from tests.oracle.judge import Judge

RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
SNOMED = "http://snomed.info/sct"
LENS = "http://terminology.hl7.org/CodeSystem/ex-visionprescriptionproduct"


@pytest.fixture(scope="module")
def hooks_judge() -> Iterator[HooksJudge]:
    with HooksJudge() as running:
        yield running


def orders_of_every_type(record: Record) -> list[Json]:
    """One order of each type that CRD has a profile for."""
    chart = record.chart
    common = {
        "status": "draft",
        "authoredOn": "2026-11-19",
        "requester": {"reference": "Practitioner/practitioner"},
    }
    patient = {"reference": f"Patient/{chart.patient_id}"}
    diet: Json = {
        "resourceType": "NutritionOrder",
        "id": "diet",
        "status": "draft",
        "intent": "original-order",
        "patient": patient,
        "dateTime": "2026-11-19",
        "orderer": common["requester"],
        "oralDiet": {"type": [concept(SNOMED, "160670007")]},
    }
    lenses: Json = {
        "resourceType": "VisionPrescription",
        "id": "lenses",
        "status": "draft",
        "created": "2026-11-19",
        "patient": patient,
        "dateWritten": "2026-11-19",
        "prescriber": common["requester"],
        "lensSpecification": [{"product": concept(LENS, "lens"), "eye": "right"}],
    }
    return [
        record.order("64483"),
        chart.device("bed", "E0250"),
        chart.medication("medicine", "105611"),
        diet,
        lenses,
    ]


def about(hook: str, record: Record) -> list[tuple[Json, ...]]:
    """What a hook is asked about: orders of every type, hours alone and in pairs, a visit."""
    if hook in ORDER_HOOKS:
        return [(order,) for order in orders_of_every_type(record)]
    if hook in ENCOUNTER_HOOKS:
        return [(record.encounter(hook),)]
    talk = concept("http://terminology.hl7.org/CodeSystem/service-type", "221")
    return [
        (record.appointment(serviceType=[procedure("64483")]),),
        (record.appointment(serviceType=[talk]),),
        (record.appointment(serviceType=[talk]), record.appointment("b", serviceType=[talk])),
    ]


async def answers_in_every_situation(
    line: Line,
    app: FastAPI,
    ehr: Ehr,
    http: AsyncClient,
    engines: tuple[AsyncEngine, AsyncEngine, AsyncEngine],
) -> list[tuple[str, Json, Json]]:
    """Where, what was sent and what came back. Every scene begins with an empty database."""
    superuser, owner, application = engines
    door = app.state.crd
    found = []
    for name, scene_of in SCENES.items():
        await empty_tables(superuser)
        app.state.crd, ehr.trouble = door, {}
        hooks = await seed_sandbox(superuser, owner, http)
        pas = await register(superuser, http, organization_id=hooks.organization_id)
        scene = await scene_of(Stage(line, app, pas, ehr, application))
        for hook in ORDER_HOOKS:
            body = scene.call(hook)
            found.append((f"{name}, {hook}", body, answered(await hooks.call(body))))
    return found


@pytest.mark.oracle
async def test_every_resource_of_every_answer_is_valid_for_hl7_s_engine(
    app: FastAPI,
    ehr: Ehr,
    hooks: HookClient,
    stranger: AsyncClient,
    superuser_engine: AsyncEngine,
    owner_engine: AsyncEngine,
    app_engine: AsyncEngine,
    judge: Judge,
) -> None:
    engines = (superuser_engine, owner_engine, app_engine)
    collected: list[Sent] = []
    for line in LINES:
        for where, body, answer in await answers_in_every_situation(
            line, app, ehr, stranger, engines
        ):
            collected += sent(where, answer, line, body)
        collected += await _of_every_type(hooks, line)
    assert {each.resource["resourceType"] for each in collected} >= {
        *("ServiceRequest", "DeviceRequest", "MedicationRequest", "NutritionOrder"),
        *("VisionPrescription", "Appointment", "Encounter"),
    }
    assert engine_faults(judge, collected) == []


async def _of_every_type(hooks: HookClient, line: Line) -> list[Sent]:
    collected = []
    for hook in HOOKS:
        record = Record.of(line)
        for subjects in about(hook, record):
            body = hook_call(hook, record, *subjects)
            answer = answered(await hooks.call(body))
            assert len(answer["systemActions"]) == len(subjects), (hook, subjects)
            collected += sent(hook, answer, line, body)
    return collected


@pytest.mark.parametrize("hook", HOOKS)
async def test_an_order_of_every_type_gets_its_answer(
    hook: str, line: Line, hooks: HookClient
) -> None:
    record = Record.of(line)
    for subjects in about(hook, record):
        answer = answered(await hooks.call(hook_call(hook, record, *subjects)))
        for each in subjects:
            said = told(answer, f"{each['resourceType']}/{each['id']}")
            assert said.covered == "covered"
            assert said.pa_needed is not None


@pytest.mark.oracle
@pytest.mark.xdist_group("hooks-judge")
async def test_every_answer_is_cds_hooks_for_hl7_s_engine(
    line: Line,
    app: FastAPI,
    ehr: Ehr,
    hooks: HookClient,
    stranger: AsyncClient,
    superuser_engine: AsyncEngine,
    owner_engine: AsyncEngine,
    app_engine: AsyncEngine,
    hooks_judge: HooksJudge,
) -> None:
    """By HL7's logical models; those of CRD are 2.2's."""
    engines = (superuser_engine, owner_engine, app_engine)
    models = (BASE_RESPONSE, RESPONSE) if line == "2.2" else (BASE_RESPONSE,)
    found = await answers_in_every_situation(line, app, ehr, stranger, engines)
    assert [
        f"{where}: {error}"
        for where, _, answer in found
        for model in models
        for error in hooks_judge.errors(answer, model)
    ] == []
