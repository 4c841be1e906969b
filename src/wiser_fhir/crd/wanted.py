"""What a decision still lacks: the names of resources that would have to be fetched."""

from collections.abc import Iterable, Iterator

from wiser_fhir.crd.chart import Chart
from wiser_fhir.crd.hook_request import HookRequest
from wiser_fhir.crd.order_facts import Link, order_facts, task_facts
from wiser_fhir.crd.references import name_of, read_reference
from wiser_fhir.crd.shapes import readable
from wiser_fhir.fhir.elements import Json

COVERAGE = "Coverage"
"""Stands for the search for the patient's coverage, which has no name of its own."""

_FETCHED = frozenset(
    {
        "Condition",
        "Coverage",
        "Device",
        "DeviceRequest",
        "Encounter",
        "Location",
        "Medication",
        "MedicationRequest",
        "NutritionOrder",
        "Organization",
        "Patient",
        "Practitioner",
        "PractitionerRole",
        "ServiceRequest",
        "CommunicationRequest",
        "VisionPrescription",
    }
)


def wanted(request: HookRequest, chart: Chart) -> list[str]:
    """The references to follow now, what matters most first, each once.

    What these lead to may name more: ask again when they are there.
    """
    lacking: dict[str, str] = {}
    for reference in _first_of_all(request, chart):
        lacking.setdefault(name_of(reference), reference)
    for link in _links(request, chart):
        text = link.reference.get("reference", "")
        if _is_lacking(chart, link):
            lacking.setdefault(name_of(text), text)
    return list(lacking.values())


def subjects(request: HookRequest, chart: Chart) -> Iterator[Json]:
    """Readable copies of what the call is about, as far as at hand: orders, and what they hang on.

    Only those in scope, for a call may come with a hundred orders that nobody asks about.
    """
    for name in request.in_scope:
        subject = chart.get(name)
        if subject is None:
            continue
        yield subject
        if subject["resourceType"] == "Appointment":
            for link in order_facts(subject).basis:
                order = chart.target(link.holder, link.reference)
                if order is not None:
                    yield order


def behind(view: Json) -> Iterator[Link]:
    """What a provider or place names that may tell its numbers or its address."""
    references: Iterable[Json | None] = (
        view.get("practitioner"),
        view.get("organization"),
        view.get("managingOrganization"),
        *(view.get("location", ()) if view["resourceType"] == "PractitionerRole" else ()),
    )
    return (Link(view, reference) for reference in references if reference)


def _first_of_all(request: HookRequest, chart: Chart) -> Iterator[str]:
    patient = f"Patient/{request.patient_id}"
    if chart.get(patient) is None:
        yield patient
    if not chart.of_type("Coverage"):
        yield COVERAGE
    for name in request.in_scope:
        if chart.get(name) is None and _may_be_fetched(name):
            yield name
    if request.encounter_id and chart.get(f"Encounter/{request.encounter_id}") is None:
        yield f"Encounter/{request.encounter_id}"
    for person in (request.performer, _asks_instead(request, chart)):
        if person and chart.get(person) is None and _may_be_fetched(person):
            yield person


def _asks_instead(request: HookRequest, chart: Chart) -> str | None:
    """Who is signed in, where an order does not say who asks."""
    silent = any(order_facts(each).requester is None for each in subjects(request, chart))
    return request.user if silent else None


def _links(request: HookRequest, chart: Chart) -> Iterator[Link]:
    """The references of everything at hand, those of the orders first."""
    for coverage in chart.of_type("Coverage"):
        for payor in coverage.get("payor", ()):
            yield Link(coverage, payor)
    found: list[Link] = []
    for subject in subjects(request, chart):
        facts = order_facts(subject)
        found += facts.links
        if subject["resourceType"] == "Appointment":
            found += facts.basis
    for task in request.tasks:
        view = readable(task)
        found += task_facts(view).links if view else ()
    encounter = chart.get(f"Encounter/{request.encounter_id}")
    if encounter is not None:
        found += (*order_facts(encounter).locations, *order_facts(encounter).conditions)
    yield from found
    for start in (*found, *_people(request)):
        provider = chart.target(start.holder, start.reference)
        yield from behind(provider) if provider else ()


def _people(request: HookRequest) -> Iterator[Link]:
    for text in (request.performer, request.user):
        if text is not None:
            yield Link({}, {"reference": text})


def _is_lacking(chart: Chart, link: Link) -> bool:
    return chart.target(link.holder, link.reference) is None and _may_be_fetched(
        link.reference.get("reference", "")
    )


def _may_be_fetched(reference: str) -> bool:
    local = read_reference(reference)
    return local is not None and local.kind in _FETCHED
