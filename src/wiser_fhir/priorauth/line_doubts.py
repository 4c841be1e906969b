"""What about the lines of a request software must not affirm over, each for itself or together."""

from collections import Counter
from collections.abc import Iterator

from wiser_fhir.coverage.requested import CPT, HCPCS
from wiser_fhir.priorauth.models import ClassifiedItem, Finding, ItemRole, RequestedItem
from wiser_fhir.priorauth.registry import Enrolment
from wiser_fhir.priorauth.rules import last_valid_day, site_of_service
from wiser_fhir.priorauth.visit import Visit, doubtful

_MOST_UNITS = 99


def line_doubts(visit: Visit) -> Iterator[Finding]:
    """Findings about days, units, codes, settings and people that no gate dismisses for.

    A form speaks of one procedure: for several primary codes, or one code on several lines, nobody
    has said that it holds for each. Source: WISeR Operational Guide 6.0, 3 (before the service),
    4.3 (the days an affirmation covers).
    """
    asked = [entry for entry in visit.found.items if entry.role is not ItemRole.NOT_WISER]
    yield from _codes(asked)
    for item in visit.items:
        yield from _days(visit, item)
        yield from _units(item)
    settings = {site_of_service(item.site, visit.catalogue.process) for item in visit.items}
    if len(settings) > 1:
        yield doubtful("lines", "The lines name different places of service.")
    yield from _people(visit)


def _codes(asked: list[ClassifiedItem]) -> Iterator[Finding]:
    for entry in asked:
        named = {c.code for c in entry.item.service.codes if c.system in (CPT, HCPCS)}
        if len(named) > 1:
            text = f"Line {entry.item.sequence} names more than one procedure code."
            yield doubtful("lines", text)
    if len({entry.code.code for entry in asked if entry.role is ItemRole.PRIMARY}) > 1:
        yield doubtful("lines", "More than one primary code is asked for with one form.")
    lines = Counter(entry.code.code for entry in asked)
    if any(times > 1 for times in lines.values()):
        yield doubtful("lines", "The same code stands on more than one line.")


def _days(visit: Visit, item: RequestedItem) -> Iterator[Finding]:
    """An affirmation of today covers today and what follows, as many days as it is valid."""
    starts = item.service.date_of_service
    if starts is None:
        return
    last = last_valid_day(visit.on, visit.catalogue.process.timeframes.validity_days)
    ends = item.service_end or starts
    if starts < visit.on:
        yield doubtful("gate-date", f"Line {item.sequence}: the service lies before the request.")
    elif ends < starts or ends > last:
        text = f"Line {item.sequence}: the service reaches beyond the days that can be affirmed."
        yield doubtful("gate-date", text)


def _units(item: RequestedItem) -> Iterator[Finding]:
    units = item.service.quantity
    if units is not None and not (units == units.to_integral_value() and 0 < units <= _MOST_UNITS):
        yield doubtful("lines", f"Line {item.sequence}: the number of units is unusual.")


def _people(visit: Visit) -> Iterator[Finding]:
    """Whoever takes part may bill Medicare, not only who performs and where."""
    for party in visit.submission.parties:
        if party.npi and visit.registry.provider(party.npi) is Enrolment.INELIGIBLE:
            yield doubtful("gate-enrolment", f"The {party.role.value} provider may not bill.")
