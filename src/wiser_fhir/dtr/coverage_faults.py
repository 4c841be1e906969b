"""Whether the Coverage of a call can be found: refused is only what is certainly of no use.

What the registry does not know is not refused, nor a Coverage that tells no number.

Source: DTR 2.2.0 §spec-130.
"""

from collections.abc import Iterator
from datetime import date

from wiser_fhir.dtr.package_request import Named, PackageRequest
from wiser_fhir.errors import Problem
from wiser_fhir.fhir.elements import Json
from wiser_fhir.fhir.values import day_of
from wiser_fhir.intake.order_facts import order_facts
from wiser_fhir.priorauth.registry import Membership, Registry
from wiser_fhir.priorauth.rules import is_mbi

_STATUSES = {
    "cancelled": "The Coverage is cancelled.",
    "entered-in-error": "The Coverage was entered in error.",
}


def coverage_faults(request: PackageRequest, registry: Registry, on: date) -> tuple[Problem, ...]:
    """Why none of the Coverages can be used; nothing where one of them may be."""
    found = [tuple(_faults(request, each, registry, on)) for each in request.coverages]
    return tuple(fault for faults in found for fault in faults) if all(found) else ()


def _faults(
    request: PackageRequest, coverage: Named, registry: Registry, on: date
) -> Iterator[Problem]:
    place = coverage.place
    status = _STATUSES.get(coverage.view.get("status", ""))
    if status is not None:
        yield Problem("error", "business-rule", status, f"{place}.status")
    if _is_over(request, coverage.view, on):
        text = "The Coverage was over before the day of the call and of every order."
        yield Problem("error", "business-rule", text, f"{place}.period.end")
    number = request.number(coverage)
    if number is not None and not is_mbi(number):
        text = "The Coverage cannot be found: its member's number is no Medicare number."
        yield Problem("error", "not-found", text, place)
    elif number is not None and registry.beneficiary(number) is Membership.NOT_FOUND:
        text = "The Coverage cannot be found: nobody has its Medicare number."
        yield Problem("error", "not-found", text, place)


def _is_over(request: PackageRequest, coverage: Json, on: date) -> bool:
    """Whether its last day, which it covers, lies before the day and before all days of service."""
    last = day_of((coverage.get("period") or {}).get("end"))
    days = (order_facts(each.view).starts or on for each in request.orders)
    return last is not None and all(last < day for day in (on, *days))
