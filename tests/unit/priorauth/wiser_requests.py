"""A request that is in scope and affirmed, for tests to bend in one place."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

from wiser_fhir.coverage.catalogue import Catalogue
from wiser_fhir.coverage.requested import CPT, Code, RequestedService
from wiser_fhir.priorauth.models import (
    Answer,
    AnswerValue,
    Beneficiary,
    CompletedForm,
    CoverageKind,
    Dismissal,
    FindingStatus,
    Identifier,
    Party,
    PartyRole,
    RequestedItem,
    RequestKind,
    Site,
    SiteKind,
    Submission,
)
from wiser_fhir.priorauth.registry import (
    BeneficiaryRecord,
    InMemoryRegistry,
    ProviderRecord,
    Registry,
    RegistryFile,
)
from wiser_fhir.priorauth.scope import ScopeResult, scope

CATALOGUE = Catalogue.load()
EVERYWHERE = frozenset(CATALOGUE.states)
RECEIVED = datetime(2026, 5, 4, 14, 0, tzinfo=UTC)
ON = date(2026, 5, 4)
MBI = "1EG4TE5MK73"
NPI = "1234567893"
FACILITY_NPI = "1245319599"
OFFICE = Site(SiteKind.PLACE_OF_SERVICE, "11")
SURGERY_CENTER = Site(SiteKind.PLACE_OF_SERVICE, "24")
OUTPATIENT = Site(SiteKind.BILL_TYPE, "131")

REGISTRY = InMemoryRegistry.of(
    RegistryFile(
        beneficiaries=(BeneficiaryRecord(mbi=MBI),),
        providers=(
            ProviderRecord(npi=NPI, status="enrolled"),
            ProviderRecord(npi=FACILITY_NPI, status="enrolled"),
        ),
    )
)

FIRST_INJECTION: Mapping[str, AnswerValue] = {
    "esi-purpose": True,
    "esi-indication": "radicular",
    "esi-impact": True,
    "esi-scale": True,
    "esi-conservative": "failed-4w",
    "esi-treatments-12m": 1,
    "esi-repeat": False,
    "esi-guidance": "fluoro-contrast",
    "esi-approach": "tfesi",
    "esi-levels": 1,
    "esi-bilateral": False,
    "esi-with-care": ("medication",),
    "esi-rehab": True,
    "esi-sedation": False,
    "esi-contra": ("none",),
}
SERVICE = "epidural-steroid-injection"


def line(
    code: str,
    *,
    sequence: int = 1,
    day: date | None = date(2026, 5, 20),
    state: str | None = "NJ",
    system: str = CPT,
    **changes: Any,
) -> RequestedItem:
    """One line for one code, in an office."""
    service = RequestedService((Code(system, code),), day, state, None)
    return replace(RequestedItem(sequence, service, site=OFFICE), **changes)


def form(
    answers: Mapping[str, AnswerValue | Answer] = FIRST_INJECTION, **changes: Any
) -> CompletedForm:
    """The form of epidural injections, completed by a person an hour before receipt."""
    completed = CompletedForm(
        questionnaire=f"https://wiser-fhir.example/fhir/Questionnaire/{SERVICE}",
        version="2026-01-15",
        completed=True,
        about_the_patient=True,
        authored=datetime(2026, 5, 4, 13, 0, tzinfo=UTC),
        answers={
            name: value if isinstance(value, Answer) else Answer(value)
            for name, value in answers.items()
        },
    )
    return replace(completed, **changes)


def practitioner(**changes: Any) -> Party:
    """Who performs the service, with every number."""
    return replace(Party(PartyRole.RENDERING, "Dr. A", npi=NPI, ptan="P1", state="NJ"), **changes)


def facility(**changes: Any) -> Party:
    """Where it is performed, with every number."""
    whole = Party(PartyRole.FACILITY, "Center", npi=FACILITY_NPI, ccn="310001", ptan="P2")
    return replace(whole, **changes)


def request(**changes: Any) -> Submission:
    """A first transforaminal injection in an office in New Jersey, every criterion met."""
    whole = Submission(
        organization_id=UUID(int=1),
        identifier=Identifier("https://ehr.example/bundles", "1"),
        trace=Identifier("https://ehr.example/traces", "1"),
        kind=RequestKind.INITIAL,
        received_at=RECEIVED,
        expedite_requested=False,
        beneficiary=Beneficiary(MBI, "Doe", "Jane", date(1950, 2, 3)),
        coverage=CoverageKind.ORIGINAL_MEDICARE,
        parties=(practitioner(),),
        diagnoses=("M54.16",),
        items=(line("64483"),),
        forms=(form(),),
        evidence=1,
    )
    return replace(whole, **changes)


def scoped(
    submission: Submission,
    *,
    served: frozenset[str] = EVERYWHERE,
    registry: Registry = REGISTRY,
    catalogue: Catalogue = CATALOGUE,
    on: date = ON,
) -> Dismissal | ScopeResult:
    """The gates with everything as in the sandbox."""
    return scope(submission, catalogue, registry, served_states=served, on=on)


def dismissed(submission: Submission, **options: Any) -> Dismissal:
    """The dismissal of a request that must be dismissed."""
    result = scoped(submission, **options)
    assert isinstance(result, Dismissal)
    return result


def findings(submission: Submission, **options: Any) -> dict[str, FindingStatus]:
    """The findings of a request that must pass."""
    result = scoped(submission, **options)
    assert isinstance(result, ScopeResult), result
    return {finding.criterion: finding.status for finding in result.findings}
