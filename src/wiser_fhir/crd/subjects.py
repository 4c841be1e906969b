"""The resources a hook call is about: in its context, in prefetch, or fetched."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from wiser_fhir.crd.chart import Chart
from wiser_fhir.crd.gather import Gathered
from wiser_fhir.crd.hook_request import ORDER_TYPES, Entry, HookRequest
from wiser_fhir.fhir.elements import Json
from wiser_fhir.intake.order_facts import Link, OrderFacts, task_facts, with_occasion
from wiser_fhir.intake.references import is_id, name_of

_NO_RESOURCE = "a resource with resourceType and id expected"
_ENCOUNTER = frozenset({"Encounter"})
_APPOINTMENT = frozenset({"Appointment"})


@dataclass(frozen=True, slots=True)
class Subject:
    """A resource an answer may be about. `resource` is as it came, `view` the readable copy of it.

    `place` is where it stands or what names it, `fault` why it is none that can be answered for, of
    issue code `code`: `not-found` and `transient` are no fault of FHIR. `in_scope` is False for one
    that came along and nobody asks about.
    """

    place: str
    reference: str | None = None
    resource: Any = None
    view: Json | None = None
    facts: OrderFacts = field(default_factory=OrderFacts)
    in_scope: bool = True
    fault: str | None = None
    code: str = "invalid"


def subjects_of(request: HookRequest, chart: Chart, gathered: Gathered) -> Iterator[Subject]:
    """What a call is about, in its order; also what stands beside it in the context.

    An Appointment based on an order is about the order, which gets the answer in line 2.2; in 2.0
    the Appointment does. Source: CRD 2.2.1 §hook-30, §hook-34, profile-appointment-with-order.
    """
    if request.hook == "order-dispatch":
        tasks = _by_focus(chart)
        for name in request.in_scope:
            yield _dispatched(_named(name, ORDER_TYPES, chart, gathered), chart, tasks)
    elif request.hook == "appointment-book":
        yield from _booked(request, chart)
    elif request.hook in ("order-sign", "order-select"):
        yield from _drafted(request, chart)
    else:
        for name in request.in_scope:
            yield _named(name, _ENCOUNTER, chart, gathered)


def _drafted(request: HookRequest, chart: Chart) -> Iterator[Subject]:
    """The orders of the Bundle; other resources in it are only read. Then selections of nothing."""
    seen = set()
    scope = frozenset(request.in_scope)
    for entry in request.entries:
        subject = _entry(entry, ORDER_TYPES, chart, scope)
        if subject is not None:
            seen.add(subject.reference)
            yield subject
    for name in request.in_scope:
        if name not in seen:
            fault = "no such order in draftOrders"
            yield Subject("context.selections", name, fault=fault, code="not-found")


def _booked(request: HookRequest, chart: Chart) -> Iterator[Subject]:
    told = set()
    scope = frozenset(request.in_scope)
    for entry in request.entries:
        appointment = _entry(entry, _APPOINTMENT, chart, scope)
        if appointment is None:
            continue
        orders = list(_orders_behind(appointment, chart))
        for order in orders:
            facts = with_occasion(appointment.facts, order.facts)
            if request.line == "2.0":
                appointment = _with(appointment, facts)
            elif order.reference not in told:
                told.add(order.reference)
                yield _with(order, facts)
        if request.line == "2.0" or not orders:
            yield appointment


def _orders_behind(appointment: Subject, chart: Chart) -> Iterator[Subject]:
    for link in appointment.facts.basis:
        view = chart.target(link.holder, link.reference)
        if view is not None and view["resourceType"] in ORDER_TYPES and "id" in view:
            received = chart.as_received(view)
            if received is not None:
                name = f"{view['resourceType']}/{view['id']}"
                yield Subject(name, name, received, view, chart.facts(view))


def _with(subject: Subject, facts: OrderFacts) -> Subject:
    return Subject(subject.place, subject.reference, subject.resource, subject.view, facts)


def _dispatched(subject: Subject, chart: Chart, tasks: Mapping[str, Sequence[Json]]) -> Subject:
    """An order with what the dispatch says of it: who is to do it, and when and where.

    As an Appointment's, what a dispatch says is of a later hour than what the order does.
    """
    if subject.fault is not None:
        return subject
    performer = Link({}, {"reference": chart.request.performer or ""})
    occasion = OrderFacts(performers=(performer,))
    for view in tasks.get(subject.reference or "", ()):
        occasion = with_occasion(occasion, task_facts(view))
    return _with(subject, with_occasion(occasion, subject.facts))


def _by_focus(chart: Chart) -> dict[str, list[Json]]:
    """The tasks of a dispatch by the name of the order they are for."""
    found: dict[str, list[Json]] = {}
    for task in chart.request.tasks:
        view = chart.view_of(task)
        if view is not None:
            focus = (view.get("focus") or {}).get("reference", "")
            found.setdefault(name_of(focus), []).append(view)
    return found


def _entry(
    entry: Entry, kinds: frozenset[str], chart: Chart, scope: frozenset[str]
) -> Subject | None:
    """The subject that stands in an entry; None for a resource of another type."""
    view = chart.view_of(entry.resource)
    if view is not None and view["resourceType"] not in kinds:
        return None
    if view is None or not is_id(view.get("id")):
        asked = chart.request.hook != "order-select"  # there a selection would have to name it
        return Subject(entry.place, in_scope=asked, fault=_NO_RESOURCE)
    name = f"{view['resourceType']}/{view['id']}"
    facts = chart.facts(view)
    return Subject(entry.place, name, entry.resource, view, facts, in_scope=name in scope)


def _named(name: str, kinds: frozenset[str], chart: Chart, gathered: Gathered) -> Subject:
    """The subject of a name."""
    view, received = chart.get(name), chart.received(name)
    if view is None or received is None:
        if name in gathered.failed:
            return Subject(name, name, fault="could not be read in time", code="transient")
        return Subject(name, name, fault="not to be had", code="not-found")
    if view["resourceType"] not in kinds or not is_id(view.get("id")):
        return Subject(name, name, fault=f"one of {', '.join(sorted(kinds))} expected")
    own = f"{view['resourceType']}/{view['id']}"
    return Subject(own, own, received, view, chart.facts(view))
