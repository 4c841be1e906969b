"""A scene for every situation that an order can be in: the record, the cases, and the order."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from uuid import UUID

from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.bundle_resources import concept, procedure
from tests.bundle_values import Json, Line, valid_npi
from tests.bundles import request_bundle
from tests.conformance.inferno.crd.build import ADVANTAGE, DECEASED, NOBODY
from tests.conformance.inferno.crd.resources import ACT_CODE, NPIS, SERVICE_DAY
from tests.crd_bodies import Record, hook_call
from tests.integration.crd.door import Ehr, change_door, non_affirm
from tests.integration.pas.door import (
    CARE_UNMET,
    MET,
    NOW,
    Client,
    actions,
    claim_response,
    reference_number,
)
from wiser_fhir.fhir.codes import PLACE_OF_SERVICE

EXEMPT_NPI = valid_npi("199900005")
INELIGIBLE_NPI = valid_npi("199900004")
NON_AFFIRMED_UTN = "ZZB00000000077"
OFFICE, AMBULATORY, NURSING = "11", "24", "31"
EPIDURAL, SKIN = "64483", "15275"
FOOT_ULCER, BACK_PAIN = "E11.621", "M54.16"


@dataclass
class Stage:
    """What a scene is set on: both doors and what stands behind them."""

    line: Line
    app: FastAPI
    pas: Client
    ehr: Ehr
    engine: AsyncEngine

    async def request(self, answers: Mapping[str, object]) -> Json:
        """Ask for the usual injection by PAS, as the same organization; the ClaimResponse."""
        bundle = request_bundle(
            self.line,
            answers=answers,
            service_date=SERVICE_DAY,
            npi=NPIS["practitioner"],
            facility_npi=NPIS["facility"],
        )
        return claim_response(await self.pas.at(self.line).submit(bundle))


@dataclass
class Scene:
    """Who it is about, what is ordered, what comes along, and what is known of the outcome."""

    record: Record
    order: Json
    beside: tuple[Json, ...] = ()
    encounter: str | None = None
    number: str | None = None
    reference: str | None = None

    def call(self, hook: str, options: Json | None = None) -> Json:
        """The hook call that asks about the order."""
        context = {"encounterId": self.encounter} if self.encounter else {}
        return hook_call(
            hook, self.record, self.order, beside=self.beside, options=options, **context
        )


Set = Callable[[Stage], Awaitable[Scene]]


def place(code: str) -> list[Json]:
    """A place of service."""
    return [concept(PLACE_OF_SERVICE, code)]


async def needs_authorization(stage: Stage) -> Scene:
    record = Record.of(stage.line)
    return Scene(record, record.order(EPIDURAL))


async def satisfied(stage: Stage) -> Scene:
    response = await stage.request(MET)
    assert actions(response) == {1: "A1"}
    scene = await needs_authorization(stage)
    scene.number = response["preAuthRef"]
    return scene


async def pended(stage: Stage) -> Scene:
    response = await stage.request(CARE_UNMET)
    assert actions(response) == {1: "A4"}
    scene = await needs_authorization(stage)
    scene.reference = reference_number(response)
    return scene


async def non_affirmed(stage: Stage) -> Scene:
    response = await stage.request(CARE_UNMET)
    case_id = UUID(response["id"])
    await non_affirm(stage.engine, stage.pas.organization_id, case_id, NON_AFFIRMED_UTN)
    scene = await needs_authorization(stage)
    scene.number = NON_AFFIRMED_UTN
    return scene


async def exempt(stage: Stage) -> Scene:
    record = Record.of(stage.line)
    record.perform_by(EXEMPT_NPI)
    return Scene(record, record.order(EPIDURAL, locationCode=place(OFFICE)))


async def not_wiser(stage: Stage) -> Scene:
    record = Record.of(stage.line)
    return Scene(record, record.order("72148"))


async def not_wiser_equipment(stage: Stage) -> Scene:
    record = Record.of(stage.line)
    return Scene(record, record.chart.device("bed", "E0250"))


async def other_model_state(stage: Stage) -> Scene:
    change_door(stage.app, served_states=frozenset({"TX"}))
    record = Record.of(stage.line, state="OH")
    return Scene(record, record.order(EPIDURAL))


async def state_outside(stage: Stage) -> Scene:
    record = Record.of(stage.line, state="CA")
    return Scene(record, record.order(EPIDURAL))


async def state_outside_of_the_service(stage: Stage) -> Scene:
    record = Record.of(stage.line, state="AZ")
    return Scene(record, record.order(SKIN, FOOT_ULCER))


async def date_outside(stage: Stage) -> Scene:
    record = Record.of(stage.line)
    return Scene(record, record.order(EPIDURAL, occurrenceDateTime="2032-02-03"))


async def site_outside(stage: Stage) -> Scene:
    record = Record.of(stage.line)
    return Scene(record, record.order(EPIDURAL, locationCode=place(NURSING)))


async def diagnosis_outside(stage: Stage) -> Scene:
    record = Record.of(stage.line, state="OH")
    return Scene(record, record.order(SKIN, BACK_PAIN))


async def medicare_advantage(stage: Stage) -> Scene:
    record = Record.of(stage.line, payer="medicare-advantage")
    return Scene(record, record.order(EPIDURAL))


async def medicare_advantage_by_the_registry(stage: Stage) -> Scene:
    record = Record.of(stage.line, ADVANTAGE)
    return Scene(record, record.order(EPIDURAL))


async def railroad(stage: Stage) -> Scene:
    record = Record.of(stage.line, payer="railroad")
    return Scene(record, record.order(EPIDURAL))


async def delayed(stage: Stage) -> Scene:
    record = Record.of(stage.line, state="OK")
    return Scene(record, record.order("61885", "G20.A1"))


async def _in_hospital(stage: Stage, setting: str) -> Scene:
    record = Record.of(stage.line)
    encounter = record.encounter()
    encounter["class"] = {"system": ACT_CODE, "code": setting}
    record.held["Encounter/" + encounter["id"]] = encounter
    today = NOW.date().isoformat()
    order = record.order(EPIDURAL, locationCode=None, occurrenceDateTime=today)
    return Scene(record, order, encounter=encounter["id"])


async def excluded_inpatient(stage: Stage) -> Scene:
    return await _in_hospital(stage, "IMP")


async def excluded_emergency(stage: Stage) -> Scene:
    return await _in_hospital(stage, "EMER")


async def add_on_alone(stage: Stage) -> Scene:
    record = Record.of(stage.line)
    return Scene(record, record.order("64484"))


async def missing_performer(stage: Stage) -> Scene:
    record = Record.of(stage.line)
    del record.held["Practitioner/practitioner"]["identifier"]
    return Scene(record, record.order(EPIDURAL, locationCode=place(OFFICE)))


async def missing_facility(stage: Stage) -> Scene:
    record = Record.of(stage.line)
    return Scene(record, record.order(EPIDURAL, locationReference=None))


async def missing_site(stage: Stage) -> Scene:
    record = Record.of(stage.line)
    return Scene(record, record.order(EPIDURAL, locationCode=None))


async def missing_date(stage: Stage) -> Scene:
    record = Record.of(stage.line)
    return Scene(record, record.order(EPIDURAL, occurrenceDateTime=None))


async def missing_state(stage: Stage) -> Scene:
    record = Record.of(stage.line)
    for name in ("Practitioner/practitioner", "Organization/facility", "Location/location"):
        del record.held[name]["address"]
    return Scene(record, record.order(EPIDURAL))


async def missing_diagnosis(stage: Stage) -> Scene:
    record = Record.of(stage.line, state="OH")
    return Scene(record, record.order(SKIN, None))


async def missing_code(stage: Stage) -> Scene:
    """One code of the model and one that is none: which will be billed?"""
    record = Record.of(stage.line)
    codings = [procedure(code)["coding"][0] for code in (EPIDURAL, "72148")]
    return Scene(record, record.order(EPIDURAL) | {"code": {"coding": codings}})


async def missing_everything(stage: Stage) -> Scene:
    scene = await missing_state(stage)
    for name in ("performer", "locationCode", "locationReference", "occurrenceDateTime"):
        del scene.order[name]
    return scene


async def member_not_found(stage: Stage) -> Scene:
    record = Record.of(stage.line, NOBODY)
    return Scene(record, record.order(EPIDURAL))


async def member_without_a_number(stage: Stage) -> Scene:
    scene = await needs_authorization(stage)
    held = scene.record.held
    patient = held[f"Patient/{scene.record.chart.patient_id}"]
    del patient["identifier"][0]
    del held["Coverage/coverage"]["identifier"]
    del held["Coverage/coverage"]["subscriberId"]
    return scene


async def member_ended(stage: Stage) -> Scene:
    record = Record.of(stage.line, DECEASED)
    return Scene(record, record.order(EPIDURAL))


async def coverage_ended(stage: Stage) -> Scene:
    scene = await needs_authorization(stage)
    scene.record.held["Coverage/coverage"]["period"]["end"] = "2026-06-30"
    return scene


async def ineligible(stage: Stage) -> Scene:
    record = Record.of(stage.line)
    record.perform_by(INELIGIBLE_NPI)
    return Scene(record, record.order(EPIDURAL, locationCode=place(OFFICE)))


async def technical(stage: Stage) -> Scene:
    """Nobody else tells the state, and the place of service cannot be read."""
    record = Record.of(stage.line)
    del record.held["Practitioner/practitioner"]["address"]
    del record.held["Location/location"]
    stage.ehr.trouble["Location/location"] = 500
    return Scene(record, record.order(EPIDURAL))


SCENES: Mapping[str, Set] = {
    "needs-authorization": needs_authorization,
    "satisfied": satisfied,
    "pended": pended,
    "non-affirmed": non_affirmed,
    "exempt": exempt,
    "not-wiser": not_wiser,
    "not-wiser: equipment": not_wiser_equipment,
    "other-model-state": other_model_state,
    "state-outside": state_outside,
    "state-outside: of this service": state_outside_of_the_service,
    "date-outside": date_outside,
    "site-outside": site_outside,
    "diagnosis-outside": diagnosis_outside,
    "medicare-advantage": medicare_advantage,
    "medicare-advantage: by the registry": medicare_advantage_by_the_registry,
    "railroad": railroad,
    "delayed": delayed,
    "excluded: inpatient": excluded_inpatient,
    "excluded: emergency": excluded_emergency,
    "add-on-alone": add_on_alone,
    "missing: performer": missing_performer,
    "missing: facility": missing_facility,
    "missing: site": missing_site,
    "missing: date": missing_date,
    "missing: state": missing_state,
    "missing: diagnosis": missing_diagnosis,
    "missing: code": missing_code,
    "missing: everything": missing_everything,
    "member-not-found": member_not_found,
    "member-not-found: no number": member_without_a_number,
    "member-ended": member_ended,
    "coverage-ended": coverage_ended,
    "ineligible-provider": ineligible,
    "technical": technical,
}
"""By situation; what stands behind a colon tells one way into it from another."""
