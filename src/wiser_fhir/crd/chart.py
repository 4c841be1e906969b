"""Every resource at hand for one hook call, from wherever it came, and the way between them."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from wiser_fhir.crd.hook_request import HookRequest, entries_of
from wiser_fhir.fhir.elements import Json
from wiser_fhir.intake.order_facts import OrderFacts, order_facts
from wiser_fhir.intake.references import Local, is_id, origin, read_reference
from wiser_fhir.intake.shapes import MOST, readable

_ABOUT = ("subject", "patient", "beneficiary", "for")


@dataclass(frozen=True, slots=True)
class Record:
    """A resource as it came, and the readable copy of it. `url` where its full URL is known."""

    received: Json
    view: Json
    url: str | None


@dataclass(slots=True)
class Chart:
    """The resources of one call.

    `get`, `target` and `of_type` give readable copies (see `shapes`); `received` gives the very
    resource that came, which is only for sending back, or for a check of its own.

    Of several resources of one name the first counts: those of the context stand before prefetch,
    prefetch before what was fetched.
    """

    request: HookRequest
    _records: list[Record] = field(default_factory=list)
    _by_name: dict[str, list[Record]] = field(default_factory=dict)
    _by_url: dict[str, Record] = field(default_factory=dict)
    _by_view: dict[int, Record] = field(default_factory=dict)
    _by_received: dict[int, Record] = field(default_factory=dict)
    _holders: dict[int, Json] = field(default_factory=dict)
    _found: dict[str, Record | None] = field(default_factory=dict)
    _facts: dict[int, OrderFacts] = field(default_factory=dict)

    @classmethod
    def of(cls, request: HookRequest) -> "Chart":
        """What a hook call brings along: its context, and prefetch under any key and in any shape.

        Source: CRD 2.2.1 §found-30.
        """
        chart = cls(request)
        for entry in request.entries:
            chart._keep(entry.resource, readable(entry.resource), entry.full_url)
        for task in request.tasks:
            chart._keep(task, readable(task), None)
        for value in request.prefetch.values():
            for resource, url in resources_in(value):
                chart.add(resource, url)
        return chart

    def add(self, resource: Any, url: str | None = None) -> bool:
        """Put a resource in, unless it is none or says that it is about another patient."""
        view = readable(resource)
        if view is None or self.is_about_another(view):
            return False
        self._keep(resource, view, url)
        return True

    def get(self, reference: str) -> Json | None:
        """The resource of a name (`Type/id`) or full URL."""
        record = self._find(reference)
        return record.view if record else None

    def received(self, reference: str) -> Json | None:
        """The very resource of a name or full URL, as it came and not to be read without care."""
        record = self._find(reference)
        return record.received if record else None

    def as_received(self, view: Json) -> Json | None:
        """The very resource that a readable copy was made of."""
        record = self._by_view.get(id(view))
        return record.received if record else None

    def view_of(self, received: Any) -> Json | None:
        """The readable copy of a resource of the call; None for what is no resource at all."""
        record = self._by_received.get(id(received))
        return record.view if record else None

    def facts(self, view: Json) -> OrderFacts:
        """What an order, Appointment or Encounter that stands here says. It is read once."""
        found = self._facts.get(id(view))
        if found is None:
            found = self._facts[id(view)] = order_facts(view)
        return found

    def of_type(self, kind: str) -> tuple[Json, ...]:
        """Every resource of a type, of each name the first."""
        found: dict[str | int, Json] = {}
        for record in self._records:
            if record.view["resourceType"] == kind:
                found.setdefault(record.view.get("id", id(record.view)), record.view)
        return tuple(found.values())

    def target(self, holder: Json, reference: Json | None) -> Json | None:
        """The resource a Reference names, as seen from the resource that holds it."""
        text = (reference or {}).get("reference")
        if not isinstance(text, str):
            return None
        if text.startswith("#"):
            outer = self._holders.get(id(holder), holder)
            inside = outer.get("contained", ())
            return next((c for c in inside if c.get("id") == text[1:]), None)
        return self.get(text)

    @property
    def patient(self) -> Json:
        """The patient of the context; empty where the resource is not at hand."""
        return self.get(f"Patient/{self.request.patient_id}") or {}

    def is_about_another(self, view: Json) -> bool:
        """Whether a resource names another patient than the context's."""
        for element in _ABOUT:
            local = read_reference((view.get(element) or {}).get("reference", ""))
            if local and local.kind == "Patient" and local.id != self.request.patient_id:
                return True
        return False

    def _keep(self, resource: Any, view: Json | None, url: str | None) -> None:
        if view is None:
            return
        record = Record(resource, view, url)
        self._found.clear()
        self._records.append(record)
        self._by_view[id(view)] = record
        self._by_received.setdefault(id(resource), record)
        if is_id(view.get("id")):
            same = self._by_name.setdefault(f"{view['resourceType']}/{view['id']}", [])
            if len(same) < MOST:
                same.append(record)
        if url is not None:
            self._by_url.setdefault(url, record)
        for inner in view["contained"]:
            self._holders[id(inner)] = view

    def _find(self, reference: str) -> Record | None:
        if reference not in self._found:
            self._found[reference] = self._search(reference)
        return self._found[reference]

    def _search(self, reference: str) -> Record | None:
        exact = self._by_url.get(reference.strip())
        if exact is not None:
            return exact
        local = read_reference(reference)
        return self._nearest(local) if local else None

    def _nearest(self, local: Local) -> Record | None:
        """The first of a name that an absolute reference can mean.

        EHRs stand behind proxies, and the base in a reference is often not that of `fhirServer`:
        it also leads to what has no URL, or one of the same host.
        """
        for record in self._by_name.get(local.name, ()):
            known = record.url
            if local.base is None or known is None or origin(known) == origin(local.base):
                return record
            if not known.lower().startswith("http"):
                return record
        return None


def resources_in(value: Any) -> Iterator[tuple[Json, str | None]]:
    """The resources of a prefetch value, with the full URL where it is told.

    It may be a resource, a Bundle, null, or anything else. A search that lost its patient is not
    believed. Source: CRD 2.2.1, Foundation, "Query Notes".
    """
    if isinstance(value, list):
        for each in value:
            yield from resources_in(each) if isinstance(each, dict) else ()
    elif isinstance(value, dict) and value.get("resourceType") == "Bundle":
        if not lost_its_patient(value):
            for entry in entries_of(value):
                if isinstance(entry.resource, dict):
                    yield entry.resource, entry.full_url
    elif isinstance(value, dict):
        yield value, None


def lost_its_patient(bundle: Json) -> bool:
    """Whether a search for coverage says itself that it was not restricted to a patient."""
    links = bundle.get("link")
    for link in links if isinstance(links, list) else ():
        url = link.get("url") if isinstance(link, dict) else None
        if isinstance(url, str) and link.get("relation") == "self":
            path, _, query = url.partition("?")
            names = {part.partition("=")[0].partition(":")[0] for part in query.split("&")}
            asked = path.rstrip("/").endswith("/Coverage") or path == "Coverage"
            return asked and not names & {"patient", "beneficiary", "_id"}
    return False
