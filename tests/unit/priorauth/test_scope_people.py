"""The gates that look at people and their coverage: what dismisses, and what is only not told."""

from dataclasses import replace
from typing import Any

import pytest

from tests.unit.priorauth.wiser_requests import (
    FACILITY_NPI,
    MBI,
    NPI,
    OUTPATIENT,
    SERVICE,
    SURGERY_CENTER,
    dismissed,
    facility,
    findings,
    line,
    practitioner,
    request,
    scoped,
)
from wiser_fhir.priorauth.models import (
    CoverageKind,
    Dismissal,
    DismissalReason,
    FindingStatus,
    PartyRole,
    Previous,
    RequestKind,
    Site,
    SiteKind,
)
from wiser_fhir.priorauth.registry import (
    BeneficiaryRecord,
    Defaults,
    ExemptionRecord,
    InMemoryRegistry,
    ProviderRecord,
    RegistryFile,
    Span,
)
from wiser_fhir.priorauth.scope import ScopeResult

NOT_WISER = DismissalReason.NON_WISER_SERVICE
BILLING = DismissalReason.INVALID_BILLING_INFORMATION
BENEFICIARY = DismissalReason.INVALID_BENEFICIARY


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (CoverageKind.RAILROAD, NOT_WISER),
        (CoverageKind.MEDICARE_ADVANTAGE, DismissalReason.MEDICARE_ADVANTAGE_OR_MEDICAID),
        (CoverageKind.MEDICAID, DismissalReason.MEDICARE_ADVANTAGE_OR_MEDICAID),
    ],
)
def test_other_coverage(kind: CoverageKind, reason: DismissalReason) -> None:
    assert dismissed(request(coverage=kind)).reason is reason


def of(person: BeneficiaryRecord) -> InMemoryRegistry:
    """A registry that knows one person and every provider."""
    known = RegistryFile(beneficiaries=(person,), defaults=Defaults(provider="enrolled"))
    return InMemoryRegistry.of(known)


def test_the_registry_knows_a_medicare_advantage_plan() -> None:
    advantage = of(BeneficiaryRecord(mbi=MBI, medicare_advantage=(Span(),)))
    told = dismissed(request(), registry=advantage)
    assert told.reason is DismissalReason.MEDICARE_ADVANTAGE_OR_MEDICAID


def test_unknown_coverage_passes_where_the_registry_knows_better() -> None:
    submission = request(coverage=CoverageKind.UNKNOWN)
    assert findings(submission) == {}
    told = findings(submission, registry=InMemoryRegistry())
    assert told["gate-coverage"] is FindingStatus.UNANSWERED


@pytest.mark.parametrize(
    "changes",
    [
        {"mbi": None},
        {"mbi": "123456789"},
        {"mbi": "1SG4TE5MK73"},
        {"family": None},
        {"family": "  "},
    ],
)
def test_a_bad_number_or_name(changes: dict[str, Any]) -> None:
    person = replace(request().beneficiary, **changes)
    assert dismissed(request(beneficiary=person)).reason is BENEFICIARY


def test_a_number_that_is_nobody_s() -> None:
    told = dismissed(request(), registry=of(BeneficiaryRecord(mbi=MBI, nobody=True)))
    bad = dismissed(request(beneficiary=replace(request().beneficiary, mbi="123456789")))
    assert told == bad
    assert told.gate == "beneficiary"


def test_a_person_who_has_died() -> None:
    died = of(BeneficiaryRecord(mbi=MBI, deceased=True))
    assert dismissed(request(), registry=died).reason is BENEFICIARY


@pytest.mark.parametrize("role", PartyRole)
def test_a_provider_number_that_is_none(role: PartyRole) -> None:
    wrong = replace(practitioner(), role=role, npi="1234567890")
    result = dismissed(request(parties=(practitioner(), wrong)))
    assert result.reason is BILLING
    assert role.value in result.detail


@pytest.mark.parametrize(
    ("site", "parties", "told"),
    [
        (None, (practitioner(),), {"gate-site"}),
        (Site(SiteKind.OTHER, "x"), (practitioner(),), {"gate-site"}),
        (line("64483").site, (), {"gate-practitioner"}),
        (line("64483").site, (practitioner(npi=None),), {"gate-npi"}),
        (line("64483").site, (practitioner(ptan=None),), {"gate-ptan"}),
        (SURGERY_CENTER, (practitioner(),), {"gate-facility"}),
        (SURGERY_CENTER, (practitioner(), facility(ccn=None)), set()),
        (SURGERY_CENTER, (practitioner(), facility(ptan=None)), {"gate-facility-ptan"}),
        (OUTPATIENT, (practitioner(), facility(ptan=None)), set()),
        (OUTPATIENT, (practitioner(), facility(ccn=None)), {"gate-facility-ccn"}),
        (OUTPATIENT, (practitioner(), facility(npi=None)), {"gate-facility-npi"}),
    ],
)
def test_a_missing_number_is_only_not_told(site: Any, parties: Any, told: set[str]) -> None:
    submission = request(items=(line("64483", site=site),), parties=parties)
    assert findings(submission) == dict.fromkeys(told, FindingStatus.UNANSWERED)


def test_the_practitioner_is_who_performs_else_orders_else_asks() -> None:
    performing = practitioner(ptan=None)
    ordering = replace(practitioner(), role=PartyRole.ORDERING)
    asking = replace(practitioner(ptan=None), role=PartyRole.REQUESTER)
    assert "gate-ptan" in findings(request(parties=(asking, ordering, performing)))
    assert findings(request(parties=(asking, ordering))) == {}
    assert "gate-ptan" in findings(request(parties=(asking,)))


def test_what_the_registry_does_not_know_is_looked_at_and_never_dismissed() -> None:
    told = findings(request(), registry=InMemoryRegistry())
    judge = FindingStatus.NEEDS_JUDGEMENT
    assert told == {"gate-beneficiary": judge, "gate-enrolment": judge}


def test_a_missing_date_of_birth() -> None:
    person = replace(request().beneficiary, birth_date=None)
    assert set(findings(request(beneficiary=person))) == {"gate-birth-date"}


def exempting(npi: str, service: str = SERVICE) -> InMemoryRegistry:
    """A registry in which one provider is exempt for one service."""
    return InMemoryRegistry.of(
        RegistryFile(
            defaults=Defaults(beneficiary="known", provider="enrolled"),
            exemptions=(ExemptionRecord(npi=npi, service=service),),
        )
    )


@pytest.mark.parametrize(
    ("npi", "service", "site", "exempt"),
    [
        (NPI, SERVICE, line("64483").site, True),
        (NPI, "knee-arthroscopy-oa", line("64483").site, False),
        (FACILITY_NPI, SERVICE, line("64483").site, False),
        (FACILITY_NPI, SERVICE, OUTPATIENT, True),
        (NPI, SERVICE, OUTPATIENT, False),
        (NPI, SERVICE, None, False),
    ],
)
def test_who_bills_can_be_exempt(npi: str, service: str, site: Any, exempt: bool) -> None:
    items, parties = (line("64483", site=site),), (practitioner(), facility())
    result = scoped(request(items=items, parties=parties), registry=exempting(npi, service))
    if exempt:
        assert isinstance(result, Dismissal)
        assert result.reason is DismissalReason.EXEMPT_PROVIDER
    else:
        assert isinstance(result, ScopeResult)


@pytest.mark.parametrize("npi", [NPI, FACILITY_NPI])
def test_who_performs_and_who_bills_must_be_enrolled(npi: str) -> None:
    record = ProviderRecord(npi=npi, status="ineligible")
    defaults = Defaults(beneficiary="known", provider="enrolled")
    registry = InMemoryRegistry.of(RegistryFile(defaults=defaults, providers=(record,)))
    submission = request(
        items=(line("64483", site=OUTPATIENT),), parties=(practitioner(), facility())
    )
    assert dismissed(submission, registry=registry).reason is DismissalReason.INELIGIBLE_PROVIDER


@pytest.mark.parametrize(
    ("number", "status"),
    [
        ("ZZB00000000001", FindingStatus.NEEDS_JUDGEMENT),
        (None, FindingStatus.UNANSWERED),
        ("12345", FindingStatus.UNANSWERED),
    ],
)
def test_a_resubmission_is_for_a_person(number: str | None, status: FindingStatus) -> None:
    again = request(kind=RequestKind.RESUBMISSION, previous_utn=number)
    assert findings(again) == {"gate-previous-utn": status}


@pytest.mark.parametrize("previous", Previous)
def test_unless_what_it_follows_is_known_and_was_not_affirmed(previous: Previous) -> None:
    again = request(kind=RequestKind.RESUBMISSION, previous_utn="ZZB00000000001", previous=previous)
    known = previous is Previous.NON_AFFIRMED
    expected = {} if known else {"gate-previous-utn": FindingStatus.NEEDS_JUDGEMENT}
    assert findings(again) == expected
