"""The gates that look at people and their coverage: beneficiary, plan, practitioner, facility."""

from collections.abc import Iterator

from wiser_fhir.coverage.process import SiteOfService
from wiser_fhir.priorauth.models import (
    CoverageKind,
    Dismissal,
    DismissalReason,
    Finding,
    Party,
    Previous,
    RequestKind,
    SiteKind,
)
from wiser_fhir.priorauth.registry import Enrolment, Membership
from wiser_fhir.priorauth.rules import can_be_utn, facility_type, is_mbi, is_npi
from wiser_fhir.priorauth.visit import Verdict, Visit, doubtful, not_told, not_wiser

_PREVIOUS = {
    None: "An earlier request is named and has to be looked up.",
    Previous.UNKNOWN: "The tracking number named is not in the records at hand.",
    Previous.ANOTHERS: "The tracking number named is that of another beneficiary's request.",
    Previous.AFFIRMED: "The request named as the one before was affirmed.",
}


def railroad(visit: Visit) -> Iterator[Verdict]:
    """Railroad Medicare is not part of the model. Source: Guide 6.0, 1.2."""
    if visit.submission.coverage is CoverageKind.RAILROAD:
        yield not_wiser("Railroad Medicare is not part of the model.")


def coverage(visit: Visit) -> Iterator[Verdict]:
    """Original Medicare only. Source: Guide 6.0, 1.2, 4.1."""
    kind, mbi = visit.submission.coverage, visit.submission.beneficiary.mbi
    advantage = visit.registry.medicare_advantage(mbi, visit.on) if mbi else None
    other = (CoverageKind.MEDICARE_ADVANTAGE, CoverageKind.MEDICAID)
    if kind in other or advantage:
        reason = DismissalReason.MEDICARE_ADVANTAGE_OR_MEDICAID
        yield Dismissal(reason, "The model is for Original Medicare. Ask the beneficiary's plan.")
    elif kind is CoverageKind.UNKNOWN and advantage is None:
        yield not_told("gate-coverage", "The request does not tell that this is Original Medicare.")


def beneficiary(visit: Visit) -> Iterator[Verdict]:
    """Name and Medicare number as on the card. Source: Guide 6.0, 3.2 Table 1, 4.1."""
    person = visit.submission.beneficiary
    reason = DismissalReason.INVALID_BENEFICIARY
    bad_number = Dismissal(reason, "Send the Medicare number as it stands on the Medicare card.")
    if person.mbi is None or not is_mbi(person.mbi):
        yield bad_number
        return
    if person.name_expected and not (person.family or "").strip():
        yield Dismissal(reason, "Send the beneficiary's name as it stands on the Medicare card.")
    membership = visit.registry.beneficiary(person.mbi)
    if membership is Membership.NOT_FOUND:
        yield bad_number
    if membership is Membership.DECEASED:
        yield Dismissal(reason, "Medicare's records do not allow a request for this number.")
    if membership is Membership.UNKNOWN:
        yield doubtful("gate-beneficiary", "The Medicare number is not in the records at hand.")
    if person.birth_date is None:
        yield not_told("gate-birth-date", "The request does not tell the date of birth.")


def billing(visit: Visit) -> Iterator[Verdict]:
    """Provider numbers and type of bill. Only what is wrong dismisses, not what is missing.

    Source: Guide 6.0, 3.2 Table 1, 4.1. The PAS guide forbids to refuse for a missing number.
    """
    reason = DismissalReason.INVALID_BILLING_INFORMATION
    for party in visit.submission.parties:
        if party.npi is not None and not is_npi(party.npi):
            yield Dismissal(reason, f"The NPI of the {party.role.value} provider is not valid.")
    for item in visit.items:
        told = item.site
        if told and told.kind is SiteKind.BILL_TYPE and facility_type(told.code) is None:
            yield Dismissal(reason, f"Line {item.sequence}: this is no type of bill.")
    yield from _practitioner_numbers(visit.practitioner)
    if visit.site is not None and visit.site.facility_identifier != "none":
        yield from _facility_numbers(visit.facility, visit.site)


def _practitioner_numbers(party: Party | None) -> Iterator[Finding]:
    if party is None:
        yield not_told("gate-practitioner", "The request does not name the practitioner.")
        return
    if party.npi is None:
        yield not_told("gate-npi", "The request does not tell the practitioner's NPI.")
    if party.ptan is None:
        yield not_told("gate-ptan", "The request does not tell the practitioner's PTAN.")


def _facility_numbers(party: Party | None, setting: SiteOfService) -> Iterator[Finding]:
    kind = setting.facility_identifier
    if party is None:
        yield not_told("gate-facility", f"{setting.name}: the request does not name the facility.")
        return
    if party.npi is None:
        yield not_told("gate-facility-npi", "The request does not tell the facility's NPI.")
    if (party.ccn if kind == "ccn" else party.ptan) is None:
        text = f"The request does not tell the facility's {kind.upper()}."
        yield not_told(f"gate-facility-{kind}", text)


def exemption(visit: Visit) -> Iterator[Verdict]:
    """An exempt provider needs no request. Source: Guide 6.0, 5."""
    bills = visit.practitioner
    if visit.site is None or visit.site.facility_identifier != "none":
        bills = visit.facility
    if bills is None or bills.npi is None or visit.rules is None:
        return
    if visit.registry.exempt(bills.npi, visit.rules.slug, visit.on):
        detail = "The provider is exempt for this service: bill it without a request."
        yield Dismissal(DismissalReason.EXEMPT_PROVIDER, detail)


def enrolment(visit: Visit) -> Iterator[Verdict]:
    """Who performs and who bills may bill Medicare. Source: Guide 6.0, 4.1."""
    numbers = {party.npi: None for party in (visit.practitioner, visit.facility) if party}
    for npi in filter(None, numbers):
        match visit.registry.provider(npi):
            case Enrolment.INELIGIBLE:
                detail = "The provider may not bill Medicare for this service."
                yield Dismissal(DismissalReason.INELIGIBLE_PROVIDER, detail)
            case Enrolment.UNKNOWN:
                yield doubtful("gate-enrolment", "A provider number is not in the records at hand.")


def resubmission(visit: Visit) -> Iterator[Verdict]:
    """A resubmission follows a request of the same beneficiary that was not affirmed.

    Whatever else its number turns out to be, a person has to look. Source: Guide 6.0, 4.4.
    """
    if visit.submission.kind is not RequestKind.RESUBMISSION:
        return
    number = visit.submission.previous_utn
    if number is None or not can_be_utn(number, visit.catalogue.process.utn):
        text = "A resubmission names the tracking number of the request before."
        yield not_told("gate-previous-utn", text)
    elif visit.submission.previous is not Previous.NON_AFFIRMED:
        yield doubtful("gate-previous-utn", _PREVIOUS[visit.submission.previous])
