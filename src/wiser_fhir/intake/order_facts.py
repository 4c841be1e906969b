"""What an order, an appointment, an encounter or a dispatch says, whatever its type."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from datetime import date
from decimal import Decimal
from typing import Any

from wiser_fhir.fhir.elements import Json, code_in, extensions
from wiser_fhir.fhir.values import day_of, decimal
from wiser_fhir.intake.references import read_reference

BILLING_OPTIONS = "http://hl7.org/fhir/us/davinci-crd/StructureDefinition/ext-billing-options"
REQUEST_CATEGORY = "http://hl7.org/fhir/us/davinci-crd/StructureDefinition/ext-request-category"
ALTERNATE_REFERENCE = "http://hl7.org/fhir/StructureDefinition/alternate-reference"
ACT_CODE = "http://terminology.hl7.org/CodeSystem/v3-ActCode"

_PROVIDERS = ("Practitioner", "PractitionerRole", "Organization")


@dataclass(frozen=True, slots=True)
class Link:
    """A Reference together with the resource that holds it, from which it has to be followed."""

    holder: Json
    reference: Json

    @property
    def kind(self) -> str | None:
        """The type of what it leads to, as far as the reference itself tells."""
        local = read_reference(self.reference.get("reference", ""))
        told = self.reference.get("type")
        return local.kind if local else told if isinstance(told, str) else None


@dataclass(frozen=True, slots=True)
class OrderFacts:
    """What is asked for, when, where, by whom and why. None and empty where nothing is told.

    `concepts` say what is asked for, `products` lead to a Medication or Device that does;
    `options` are the billing codes a client thinks likely. `settings` are encounter classes the
    order names itself. `basis` leads to the orders it is based on.
    """

    concepts: tuple[Json, ...] = ()
    options: tuple[Json, ...] = ()
    products: tuple[Link, ...] = ()
    starts: date | None = None
    ends: date | None = None
    requester: Link | None = None
    performers: tuple[Link, ...] = ()
    locations: tuple[Link, ...] = ()
    sites: tuple[Json, ...] = ()
    reasons: tuple[Json, ...] = ()
    conditions: tuple[Link, ...] = ()
    encounter: Link | None = None
    settings: tuple[str, ...] = ()
    quantity: Decimal | None = None
    basis: tuple[Link, ...] = ()
    stat: bool = False
    negative: bool = False

    @property
    def links(self) -> tuple[Link, ...]:
        """Every reference a decision may need to follow."""
        single = (link for link in (self.requester, self.encounter) if link is not None)
        return (*self.products, *self.locations, *self.performers, *single, *self.conditions)


def with_occasion(first: OrderFacts, second: OrderFacts) -> OrderFacts:
    """Both together; where each tells one thing only, the first counts. One tells all the days."""
    merged: dict[str, Any] = {}
    for field in fields(OrderFacts):
        one, other = getattr(first, field.name), getattr(second, field.name)
        merged[field.name] = one + other if isinstance(one, tuple) else one or other
    dated = second if first.starts is None else first
    return OrderFacts(**merged | {"starts": dated.starts, "ends": dated.ends})


def order_facts(order: Json) -> OrderFacts:
    """What a readable order, Appointment or Encounter says."""
    concepts = tuple(_concepts(order))
    starts, ends = _dates(order)
    actors = [Link(order, r) for r in _actors(order)]
    places = [Link(order, r) for r in _places(order)]
    requester = next(iter(_present(order, "requester", "orderer", "prescriber")), None)
    return OrderFacts(
        concepts=concepts,
        options=tuple(_options(order, concepts)),
        products=tuple(Link(order, r) for r in _present(order, *_PRODUCTS)),
        starts=starts,
        ends=ends,
        requester=Link(order, requester) if requester else None,
        performers=tuple(a for a in actors if (a.kind or "Practitioner") in _PROVIDERS),
        locations=(*places, *(a for a in actors if a.kind == "Location")),
        sites=tuple(order.get("locationCode", ())),
        reasons=tuple(order.get("reasonCode", ())),
        conditions=tuple(Link(order, r) for r in _conditions(order)),
        encounter=Link(order, order["encounter"]) if "encounter" in order else None,
        settings=tuple(_settings(order)),
        quantity=_quantity(order),
        basis=tuple(Link(order, r) for r in _basis(order)),
        stat=order.get("priority") == "stat",
        negative=order.get("doNotPerform", False),
    )


def task_facts(task: Json) -> OrderFacts:
    """What a fulfilment Task says of its order. Source: CRD 2.2.1 profile-task-dispatch."""
    period = (task.get("restriction") or {}).get("period") or task.get("executionPeriod") or {}
    return OrderFacts(
        starts=day_of(period.get("start")),
        ends=day_of(period.get("end")) or day_of(period.get("start")),
        performers=tuple(Link(task, r) for r in _present(task, "owner")),
        locations=tuple(Link(task, r) for r in _present(task, "location")),
    )


def billing_options(holder: Json) -> Iterator[Json]:
    """The billing codes a client thinks likely, as one element carries them."""
    for option in extensions(holder, BILLING_OPTIONS):
        yield from _present(option, "valueCodeableConcept")


_CODES = ("code", "codeCodeableConcept", "medicationCodeableConcept", "itemCodeableConcept")
_PRODUCTS = ("codeReference", "medicationReference", "itemReference")


def _present(order: Json, *names: str) -> Iterator[Json]:
    return (order[name] for name in names if isinstance(order.get(name), dict))


def _all(value: Any) -> Iterable[Json]:
    """One or several, as one element is in one type and a list in another."""
    if isinstance(value, list):
        return value
    return (value,) if isinstance(value, dict) else ()


def _concepts(order: Json) -> Iterator[Json]:
    yield from _present(order, *_CODES)
    if order["resourceType"] == "Encounter":
        yield from order.get("type", ())
    yield from _all(order.get("serviceType"))
    yield from (order.get("oralDiet") or {}).get("type", ())
    for supplement in order.get("supplement", ()):
        yield from _present(supplement, "type")
    yield from _present(order.get("enteralFormula") or {}, "baseFormulaType")
    for lens in order.get("lensSpecification", ()):
        yield from _present(lens, "product")
    for payload in order.get("payload", ()):
        for each in payload.get("extension", ()):
            yield from _present(each, "valueCodeableConcept")


def _options(order: Json, concepts: Iterable[Json]) -> Iterator[Json]:
    """The likely billing codes, wherever the extension may stand.

    Source: CRD 2.2.1 ext-billing-options, §billopt-3.
    """
    for holder in (order, *concepts):
        yield from billing_options(holder)


def _dates(order: Json) -> tuple[date | None, date | None]:
    """First and last day of what is asked for. An order's own date is none of them."""
    if order["resourceType"] == "Appointment":
        wished: Json = next(iter(order.get("requestedPeriod", ())), {})
        starts = day_of(order.get("start")) or day_of(wished.get("start"))
        return starts, day_of(order.get("end")) or day_of(wished.get("end")) or starts
    if "occurrenceDateTime" in order:
        day = day_of(order["occurrenceDateTime"])
        return day, day
    timing = order.get("occurrenceTiming") or {}
    bounds = (timing.get("repeat") or {}).get("boundsPeriod") or {}
    events = sorted(d for e in timing.get("event", ()) if (d := day_of(e)) is not None)
    period = order.get("occurrencePeriod") or order.get("period") or bounds
    starts = events[0] if events else day_of(period.get("start"))
    last = events[-1] if events else day_of(period.get("end"))
    return starts, last or starts


def _actors(order: Json) -> Iterator[Json]:
    """Who performs; an Appointment's participants may be places too."""
    yield from _all(order.get("performer"))
    yield from _present(order.get("dispenseRequest") or {}, "performer")
    for participant in order.get("participant", ()):
        yield from _present(participant, "actor", "individual")
    yield from _present(order, "serviceProvider")


def _places(order: Json) -> Iterator[Json]:
    yield from order.get("locationReference", ())
    if order["resourceType"] == "Encounter":
        for place in order.get("location", ()):
            yield from _present(place, "location")


def _conditions(order: Json) -> Iterator[Json]:
    yield from order.get("reasonReference", ())
    for diagnosis in order.get("diagnosis", ()):
        yield from _present(diagnosis, "condition")


def _settings(order: Json) -> Iterator[str]:
    """Encounter classes in the order's category; an Encounter's own.

    Source: CRD 2.2.1 profile-servicerequest.
    """
    own = (order.get("class") or {}).get("code") if order["resourceType"] == "Encounter" else None
    if own:
        yield own
    concepts = list(order.get("category", ()))
    for each in extensions(order, REQUEST_CATEGORY):
        concepts += _present(each, "valueCodeableConcept")
    for concept in concepts:
        code = code_in(concept, ACT_CODE)
        if code:
            yield code


def _quantity(order: Json) -> Decimal | None:
    quantity = order.get("quantityQuantity") or (order.get("dispenseRequest") or {}).get("quantity")
    number = decimal((quantity or {}).get("value"))
    return number if number is not None and number.is_finite() else None


def _basis(order: Json) -> Iterator[Json]:
    """What it is based on; an alternate reference is how R4 names what is no ServiceRequest."""
    for reference in order.get("basedOn", ()):
        for alternate in extensions(reference, ALTERNATE_REFERENCE):
            yield from _present(alternate, "valueReference")
        yield reference
