"""From what an order says, and what it leads to, to the plain values a decision is made of."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date

from wiser_fhir.coverage.catalogue import Catalogue
from wiser_fhir.coverage.models import DiagnosisList
from wiser_fhir.coverage.requested import CPT, HCPCS, Code, RequestedService
from wiser_fhir.crd.chart import Chart
from wiser_fhir.crd.gather import Gathered
from wiser_fhir.crd.hook_request import HookRequest
from wiser_fhir.crd.wanted import behind
from wiser_fhir.fhir.elements import Json, code_in, codings
from wiser_fhir.fhir.values import day_of
from wiser_fhir.intake.order_codes import asked_codes
from wiser_fhir.intake.order_facts import Link, OrderFacts
from wiser_fhir.intake.parties import named, party
from wiser_fhir.intake.references import name_of
from wiser_fhir.intake.services import site_of
from wiser_fhir.priorauth.models import Party, PartyRole, RequestedItem, Site, SiteKind
from wiser_fhir.priorauth.rules import site_of_service

_ICD_10 = (
    "http://hl7.org/fhir/sid/icd-10-cm",
    "http://hl7.org/fhir/sid/icd-10",
    "urn:oid:2.16.840.1.113883.6.90",
)
# v3-ActCode: inpatient, also acute and not, and emergency. A short stay is an outpatient's.
_EXCLUDED = frozenset({"IMP", "ACUTE", "NONAC", "EMER"})
_NOT_SO = frozenset({"refuted", "entered-in-error"})
_VERIFICATION = "http://terminology.hl7.org/CodeSystem/condition-ver-status"
_SITE_KINDS = (SiteKind.PLACE_OF_SERVICE, SiteKind.BILL_TYPE, SiteKind.OTHER)
_PLACES = ("Organization", "Location")
# Source: CRD 2.0.1, value set CMSMappableLocationCodes.
_CMS_MAPPABLE = "http://hl7.org/fhir/us/davinci-crd/CodeSystem/temp"
MOST_PEOPLE = 8
"""Performers or places of one order that are looked at."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all orders of one call share. `on` is the business date of receipt."""

    request: HookRequest
    chart: Chart
    gathered: Gathered
    catalogue: Catalogue
    on: date
    # By identity, so what is read stays beside what was read of it.
    _parties: dict[tuple[int, PartyRole], tuple[Json, Party]] = field(
        default_factory=dict, repr=False
    )

    @property
    def encounter(self) -> Json | None:
        """The encounter the call was made in."""
        name = self.request.encounter_id
        return self.chart.get(f"Encounter/{name}") if name else None

    def target(self, link: Link) -> Json | None:
        """What a reference leads to."""
        return self.chart.target(link.holder, link.reference)

    def party(self, link: Link, role: PartyRole | None = None) -> Party | None:
        """Whom a reference names, in a role or in that of its type. Those at hand are read once."""
        found = named(self.chart, link.holder, link.reference)
        if found is None:
            return None
        place = found["resourceType"] in _PLACES
        role = role or (PartyRole.FACILITY if place else PartyRole.RENDERING)
        key = (id(found), role)
        if key not in self._parties:
            self._parties[key] = (found, party(self.chart, found, role))
        return self._parties[key][1]

    def failed(self, *links: Link) -> bool:
        """Whether one of these, or what stands behind it, could not be had."""
        if not self.gathered.failed:
            return False
        for link in links:
            target = self.target(link)
            further = behind(target) if target else ()
            names = {name_of(each.reference.get("reference", "")) for each in (link, *further)}
            if names & self.gathered.failed:
                return True
        return False


@dataclass(frozen=True, slots=True)
class OrderReading:
    """One order as the core sees it.

    `assumptions` are to be told. `technical` says that a fact is lacking which may stand in what
    could not be fetched.
    """

    item: RequestedItem
    parties: tuple[Party, ...]
    diagnoses: tuple[str, ...]
    excluded: bool
    assumptions: tuple[str, ...]
    technical: bool


def read_order(facts: OrderFacts, around: Surroundings, *, sequence: int = 1) -> OrderReading:
    """An order in its surroundings. Source: CRD 2.2.1 §found-34, §resp-51."""
    coded = asked_codes(facts, around.target, around.catalogue, around.on)
    codes = _codes(coded.codes, facts, around)
    site = _site(facts, around)
    people = _People(facts, around, site)
    state, how = people.state()
    diagnoses, inferred = _diagnoses(facts, codes, around)
    item = RequestedItem(
        sequence=sequence,
        service=RequestedService(codes, facts.starts, state, facts.quantity),
        service_end=facts.ends,
        modifiers=coded.modifiers,
        site=site,
    )
    within = (facts.encounter,) if facts.encounter else ()
    gaps = (
        (not codes, (*facts.products, *facts.basis)),
        (state is None, (*people.requesters, *within)),
        (True, (*facts.locations, *people.performers)),
        (not diagnoses, facts.conditions),
    )
    return OrderReading(
        item=item,
        parties=people.parties,
        diagnoses=diagnoses,
        excluded=_is_excluded(facts, site, around),
        assumptions=(*coded.assumed, *people.assumed, *how, *inferred),
        technical=any(lacking and around.failed(*links) for lacking, links in gaps),
    )


def _codes(told: tuple[Code, ...], facts: OrderFacts, around: Surroundings) -> tuple[Code, ...]:
    """The codes; none where only the order behind an Appointment, out of reach, tells them.

    The kind of an Appointment is no procedure: without the order it says neither yes nor no.
    """
    certain = any(code.system in (CPT, HCPCS) for code in told) or any(
        around.target(link) is not None for link in facts.basis
    )
    return told if certain or not around.failed(*facts.basis) else ()


class _People:
    """Who asks, who performs and where, as parties; and what had to be assumed."""

    def __init__(self, facts: OrderFacts, around: Surroundings, site: Site | None) -> None:
        self.around = around
        self.assumed: tuple[str, ...] = ()
        self.locations = facts.locations
        self.performers = facts.performers
        self.requesters = self._requesters(facts)
        self.places = tuple(self._parties(facts.locations))
        self.doing = (*self._parties(facts.performers), *self.places)
        self.asking = tuple(self._parties(self.requesters, PartyRole.REQUESTER))
        facility = self._facility(site)
        self.parties = tuple(dict.fromkeys((*self.asking, *self.doing, *facility)))
        if facts.requester is None and self.asking:
            self.assumed = ("The person signed in was taken for the one who orders.",)
        if facility:
            self.assumed += ("The place of who performs was taken for the facility.",)

    def state(self) -> tuple[str | None, tuple[str, ...]]:
        """The state of the service, and in words how it was come by where nobody told it.

        The place of service, who performs, who asks, and last the place of the encounter. Where one
        of the first two could not be fetched, nobody stands in for it: its state may be another.
        """
        for links, parties in ((self.locations, self.places), (self.performers, self.doing)):
            told = next((p.state for p in parties if p.state), None)
            if told or self.around.failed(*links):
                return told, ()
        asking = next((p.state for p in self.asking if p.state), None)
        if asking:
            return asking, (f"State of the service read from who orders: {asking}.",)
        encounter = self.around.encounter
        links = self.around.chart.facts(encounter).locations if encounter else ()
        there = next((p.state for p in self._parties(links) if p.state), None)
        how = (f"State of the service read from the encounter: {there}.",) if there else ()
        return there, how

    def _requesters(self, facts: OrderFacts) -> tuple[Link, ...]:
        user = self.around.request.user
        if facts.requester is not None:
            return (facts.requester,)
        if user and name_of(user).startswith("Practitioner"):
            return (Link({}, {"reference": user}),)
        return ()

    def _parties(self, links: tuple[Link, ...], role: PartyRole | None = None) -> Iterator[Party]:
        found = (self.around.party(link, role) for link in links[:MOST_PEOPLE])
        return (each for each in found if each is not None)

    def _facility(self, site: Site | None) -> tuple[Party, ...]:
        """Where those work who perform, at a site that bills and that nobody names.

        Of the places and organization of their roles the first that has a number.
        """
        setting = site_of_service(site, self.around.catalogue.process)
        told = any(each.role is PartyRole.FACILITY for each in self.doing)
        if told or setting is None or setting.facility_identifier == "none":
            return ()
        roles = [role for link in self.performers if (role := self.around.target(link))]
        found = self._parties(tuple(w for r in roles for w in _workplaces(r)), PartyRole.FACILITY)
        return tuple(each for each in found if each.npi)[:1]


def _workplaces(role: Json) -> Iterator[Link]:
    """Where a PractitionerRole is practised, the places before the organization."""
    if role["resourceType"] == "PractitionerRole":
        for reference in (*role.get("location", ()), role.get("organization")):
            if reference:
                yield Link(role, reference)


def _site(facts: OrderFacts, around: Surroundings) -> Site | None:
    """The place of service the order names, else the type of the place it is delivered at.

    Source: CRD 2.2.1 profile-servicerequest (locationCode); 2.0.1 profile-location (type).
    """
    places = [place for link in facts.locations if (place := around.target(link))]
    types = [t for place in places if place["resourceType"] == "Location" for t in _types(place)]
    told = [s for concept in (*facts.sites, *types) if (s := _told_site(concept)) is not None]
    return next((s for kind in _SITE_KINDS for s in told if s.kind is kind), None)


def _told_site(concept: Json) -> Site | None:
    """Also by the codes of CRD 2.0's own list, which are those of the places of service."""
    own = code_in(concept, _CMS_MAPPABLE)
    if own is not None and own.isdecimal():
        return Site(SiteKind.PLACE_OF_SERVICE, own.zfill(2))
    return site_of(concept)


def _types(place: Json) -> list[Json]:
    found: list[Json] = place.get("type", [])
    return found


def _diagnoses(
    facts: OrderFacts, codes: tuple[Code, ...], around: Surroundings
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The ICD-10-CM codes of the reasons; those of the encounter where they can only help.

    An order without a diagnosis of its own is not held to be for whatever else the patient came
    for: the encounter counts only where a service has a closed list and it names one of that.
    """
    own = tuple(dict.fromkeys(_icd(facts, around)))
    lists = _closed_lists(codes, around)
    if own and lists and around.failed(*facts.conditions):
        # One that could not be fetched may be the one that counts: the others alone say no "no".
        return (own if _names_one(own, lists) else ()), ()
    encounter = around.encounter
    if own or encounter is None:
        return own, ()
    there = tuple(dict.fromkeys(_icd(around.chart.facts(encounter), around)))
    if _names_one(there, lists):
        return there, ("Diagnosis read from the encounter.",)
    return (), ()


def _closed_lists(codes: tuple[Code, ...], around: Surroundings) -> list[DiagnosisList]:
    """The diagnosis lists of the services asked for."""
    services = (around.catalogue.rules_for(code, around.on) for code in codes)
    return [rules.diagnosis for rules in services if rules and rules.diagnosis]


def _names_one(diagnoses: tuple[str, ...], lists: list[DiagnosisList]) -> bool:
    return any(each.names_any_of(diagnoses) for each in lists)


def _icd(facts: OrderFacts, around: Surroundings) -> Iterator[str]:
    concepts = list(facts.reasons)
    for link in facts.conditions:
        condition = around.target(link) or {}
        verified = code_in(condition.get("verificationStatus"), _VERIFICATION)
        if condition.get("resourceType") == "Condition" and verified not in _NOT_SO:
            concepts.append(condition.get("code") or {})
    for concept in concepts:
        for coding in codings(concept):
            if coding.get("system") in _ICD_10:
                yield coding["code"].strip().upper()


def _is_excluded(facts: OrderFacts, site: Site | None, around: Surroundings) -> bool:
    """Whether the service is an inpatient's or an emergency's.

    What the order says of its setting counts, then its place of service (a gate of its own). Only
    where both are silent the encounter does, for a service on a day of it.
    Source: WISeR Operational Guide 6.0, 8.2.
    """
    if facts.settings:
        return not _EXCLUDED.isdisjoint(facts.settings)
    if site is not None and site.kind is not SiteKind.OTHER:
        return False
    encounter = around.target(facts.encounter) if facts.encounter else None
    encounter = encounter or around.encounter
    if encounter is None or facts.starts is None:
        return False
    inside = (encounter.get("class") or {}).get("code") in _EXCLUDED
    return inside and _is_during(encounter, facts.starts, around.on)


def _is_during(encounter: Json, day: date, on: date) -> bool:
    """Whether a day is of an encounter; one without an end is known up to the day of the call."""
    period = encounter.get("period", {})
    starts, ends = day_of(period.get("start")), day_of(period.get("end"))
    first = starts or date.min
    return first <= day <= (ends or max(first, on))
