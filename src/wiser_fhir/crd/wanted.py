"""What a decision still lacks: the names of resources that would have to be fetched."""

from collections.abc import Iterable, Iterator

from wiser_fhir.crd.chart import Chart
from wiser_fhir.crd.hook_request import HookRequest
from wiser_fhir.fhir.elements import Json
from wiser_fhir.intake.order_facts import Link, task_facts
from wiser_fhir.intake.references import name_of, read_reference

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
    about = list(_subjects(request, chart))
    lacking: dict[str, str] = {}
    for reference in _first_of_all(request, chart, about):
        lacking.setdefault(name_of(reference), reference)
    seen: set[str] = set()
    for link in _links(request, chart, about):
        text = link.reference.get("reference", "")
        if text not in seen and _is_lacking(chart, link):
            lacking.setdefault(name_of(text), text)
        if not text.startswith("#"):  # a fragment leads elsewhere from each holder
            seen.add(text)
    return list(lacking.values())


def _subjects(request: HookRequest, chart: Chart) -> Iterator[Json]:
    """Readable copies of what the call is about, as far as at hand: orders, and what they hang on.

    Only those in scope, for a call may come with a hundred orders that nobody asks about.
    """
    for name in request.in_scope:
        subject = chart.get(name)
        if subject is None:
            continue
        yield subject
        if subject["resourceType"] == "Appointment":
            for link in chart.facts(subject).basis:
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


def _first_of_all(request: HookRequest, chart: Chart, about: Iterable[Json]) -> Iterator[str]:
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
    for person in (request.performer, _asks_instead(request, chart, about)):
        if person and chart.get(person) is None and _may_be_fetched(person):
            yield person


def _asks_instead(request: HookRequest, chart: Chart, about: Iterable[Json]) -> str | None:
    """Who is signed in, where an order does not say who asks."""
    silent = any(chart.facts(each).requester is None for each in about)
    return request.user if silent else None


def _links(request: HookRequest, chart: Chart, about: Iterable[Json]) -> Iterator[Link]:
    """The references of everything at hand, those of the orders first."""
    for coverage in chart.of_type("Coverage"):
        for payor in coverage.get("payor", ()):
            yield Link(coverage, payor)
    found: list[Link] = []
    for subject in about:
        facts = chart.facts(subject)
        found += facts.links
        if subject["resourceType"] == "Appointment":
            found += facts.basis
    for task in request.tasks:
        view = chart.view_of(task)
        found += task_facts(view).links if view else ()
    encounter = chart.get(f"Encounter/{request.encounter_id}")
    if encounter is not None:
        facts = chart.facts(encounter)
        found += (*facts.locations, *facts.conditions)
    yield from found
    yield from _behind_all((*found, *_people(request)), chart)


def _behind_all(links: Iterable[Link], chart: Chart) -> Iterator[Link]:
    """What stands behind these, each once; and behind the places where somebody works."""
    seen: set[int] = set()
    for start in links:
        provider = chart.target(start.holder, start.reference)
        if provider is None or id(provider) in seen:
            continue
        seen.add(id(provider))
        for link in behind(provider):
            yield link
            further = chart.target(link.holder, link.reference)
            if further is not None and further["resourceType"] == "Location":
                yield from behind(further)


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
