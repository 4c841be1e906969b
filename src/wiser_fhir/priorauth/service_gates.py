"""The gates that look at the service asked for: where, when, which, and whether it is covered."""

from collections.abc import Iterator

from wiser_fhir.coverage.catalogue import Catalogue
from wiser_fhir.coverage.evaluate import out_of_scope
from wiser_fhir.priorauth.forms import read_forms
from wiser_fhir.priorauth.models import Dismissal, DismissalReason, RequestedItem, SiteKind
from wiser_fhir.priorauth.rules import facility_type, site_of_service
from wiser_fhir.priorauth.visit import Verdict, Visit, each_line, not_told, not_wiser


def participant(visit: Visit) -> Iterator[Verdict]:
    """Another WISeR state is another participant's. Source: Guide 6.0, 3.3 Table 2, 4.1.4."""

    def judge(item: RequestedItem) -> Verdict | None:
        state = item.service.state
        if state is None or state in visit.served_states or state not in visit.catalogue.states:
            return None
        return Dismissal(DismissalReason.WRONG_PARTICIPANT_OR_MAC, contacts(visit.catalogue, state))

    yield from each_line(visit, "gate-state", judge)


def contacts(catalogue: Catalogue, state: str) -> str:
    """Where requests for a state go instead."""
    place = catalogue.states[state]
    right, mac = catalogue.participants[place.participant], catalogue.macs[place.mac]
    fax = f", fax {right.fax}" if right.fax else ""
    return (
        f"Requests for services delivered in {state} go to {right.name}: phone {right.phone}{fax}, "
        f"e-mail {right.email}, portal {right.portal}; or to the MAC, {mac.name} "
        f"({place.mac}): phone {mac.phone}, fax {mac.fax}, mail {mac.mail}."
    )


def service_date(visit: Visit) -> Iterator[Verdict]:
    """The date of service lies in the model's years. Source: Guide 6.0, 1.4."""
    model = visit.catalogue.process.model

    def judge(item: RequestedItem) -> Verdict | None:
        day = item.service.date_of_service
        if day is None:
            return not_told("gate-date", "The request does not name a date of service.")
        if model.service_dates_from <= day <= model.end:
            return None
        span = f"{model.service_dates_from} to {model.end}"
        return not_wiser(f"The model covers services from {span}; the date asked for is {day}.")

    yield from each_line(visit, "gate-date", judge)


def site(visit: Visit) -> Iterator[Verdict]:
    """The place is one of the model's. A type of bill that is none is left to `billing`.

    Source: Guide 6.0, 1.5.
    """
    process = visit.catalogue.process

    def judge(item: RequestedItem) -> Verdict | None:
        told = item.site
        if told is None or told.kind is SiteKind.OTHER:
            return not_told("gate-site", "The request does not name a place of service.")
        if told.kind is SiteKind.BILL_TYPE and facility_type(told.code) is None:
            return None
        if site_of_service(told, process) is not None:
            return None
        places = "; ".join(entry.name.lower() for entry in process.sites)
        return not_wiser(f"The model covers these places of service only: {places}.")

    yield from each_line(visit, "gate-site", judge)


def code(visit: Visit) -> Iterator[Verdict]:
    """At least one code of the model, all of one service. Source: Guide 6.0, 3 and Appendix A."""
    yield from visit.found.findings
    only_delayed = visit.found.delayed and not visit.found.services
    if visit.rules is None and not only_delayed:
        yield no_service(visit)


def delayed(visit: Visit) -> Iterator[Verdict]:
    """A service whose start was put off takes no request. Source: Guide 6.0, 6.2."""
    if visit.found.delayed and not visit.found.services:
        yield no_service(visit)


def no_service(visit: Visit) -> Dismissal:
    """Why a request is not for one service of the model: for several, a delayed one, or none."""
    if visit.found.services:
        return not_wiser(f"A request is for one service. Send one each for: {_by_line(visit)}.")
    if visit.found.delayed:
        names = ", ".join(rules.name for rules in visit.found.delayed)
        return not_wiser(f"Not taken yet, its start was put off: {names}.")
    return not_wiser(" ".join(["No line carries a code of the model.", *_reasons(visit)]))


def _by_line(visit: Visit) -> str:
    """Which lines belong to which service, for a request that has to be split."""
    lines: dict[str, list[str]] = {rules.name: [] for rules in visit.found.services}
    for entry in visit.found.items:
        rules = visit.catalogue.rules_for(entry.code, visit.on)
        if rules is not None and rules.name in lines:
            lines[rules.name].append(str(entry.item.sequence))
    return "; ".join(f"{name} (lines {', '.join(numbers)})" for name, numbers in lines.items())


def _reasons(visit: Visit) -> Iterator[str]:
    """What can be said of codes that are close to the model."""
    for entry in visit.found.items:
        for coding in entry.item.service.codes:
            rules = visit.catalogue.rules_for(coding, visit.on)
            listed = rules.by_code[coding.code] if rules else None
            if listed is not None:
                begins = listed.effective_from or "its first day"
                ends = f" to {listed.effective_until}" if listed.effective_until else ""
                yield f"{coding.code} belongs to it for services from {begins}{ends}."
            reason = visit.catalogue.why_not_included(coding, visit.on)
            if reason is not None:
                yield f"{coding.code}: {reason}."


def diagnosis(visit: Visit) -> Iterator[Verdict]:
    """A closed diagnosis list decides what a service is. Source: Guide 6.0, 3.2, Appendix B."""
    if not visit.submission.diagnoses:
        yield not_told("gate-diagnosis", "The request does not name a diagnosis.")
        return
    rules = visit.rules
    if rules is None or rules.diagnosis is None:
        return
    if not rules.diagnosis.names_any_of(visit.submission.diagnoses):
        table = f"Appendix B, Table {rules.diagnosis.table}"
        yield not_wiser(f"{rules.name}: no diagnosis of the request stands in {table}.")


def state(visit: Visit) -> Iterator[Verdict]:
    """The state where the service is delivered is one the service is reviewed in.

    Source: Guide 6.0, 1.2, 4.1.4.
    """

    def judge(item: RequestedItem) -> Verdict | None:
        place = item.service.state
        if place is None:
            return not_told("gate-state", "The request does not tell the state of the service.")
        if place not in visit.catalogue.states:
            states = ", ".join(visit.catalogue.states)
            return not_wiser(f"The model runs in {states}; the service is delivered in {place}.")
        if visit.rules is not None and place not in visit.rules.states:
            return not_wiser(f"{visit.rules.name}: not reviewed in {place}.")
        return None

    yield from each_line(visit, "gate-state", judge)


def exclusion(visit: Visit) -> Iterator[Verdict]:
    """Emergency claims are left out. Source: Guide 6.0, 8.2."""
    excluded = visit.catalogue.process.claim_exclusions

    def judge(item: RequestedItem) -> Verdict | None:
        emergency = set(item.modifiers).intersection(excluded.modifiers)
        revenue = (item.revenue_code or "").startswith(excluded.revenue_code_prefixes)
        if emergency or revenue:
            return not_wiser("Emergency services are not part of the model.")
        return None

    yield from each_line(visit, "gate-exclusion", judge)


def answers(visit: Visit) -> Iterator[Verdict]:
    """An answer that counts can say that the request is none of WISeR's, if the chart agrees."""
    if visit.rules is None:
        return
    reading = read_forms(visit.rules, visit.submission, visit.catalogue)
    for name in out_of_scope(reading.rules, reading.undoubted):
        text = reading.rules.by_id[name].text
        yield not_wiser(f"The answer given puts the request outside the model: {text}")
