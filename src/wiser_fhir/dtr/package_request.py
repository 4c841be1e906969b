"""What `$questionnaire-package` was asked with: Parameters -> PackageRequest.

Lenient where the guides are: what a profile of CRD wants of an order or a Coverage and we do not
need is not asked for, so a resource only has to be readable FHIR R4.

Source: DTR 2.2.0 and 2.0.1, dtr-qpackage-input-parameters; DTR 2.2.0 §oper-6, §conf-12.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from wiser_fhir.dtr.operations import Parameter, named, parameters
from wiser_fhir.dtr.parameter_faults import parameter_faults
from wiser_fhir.errors import InvalidResource, Problem, ProfileViolation
from wiser_fhir.fhir.codes import Line
from wiser_fhir.fhir.elements import Json
from wiser_fhir.fhir.values import instant
from wiser_fhir.intake.coverage_kind import coverage_kind
from wiser_fhir.intake.member import beneficiary
from wiser_fhir.intake.order_facts import Link
from wiser_fhir.intake.references import name_of, read_reference
from wiser_fhir.intake.shapes import readable
from wiser_fhir.intake.soundness import Soundness
from wiser_fhir.priorauth.models import CoverageKind

_T = TypeVar("_T")

_ORDERS = frozenset(
    {
        *("Appointment", "Encounter", "CommunicationRequest", "DeviceRequest", "MedicationRequest"),
        *("NutritionOrder", "ServiceRequest", "SupplyRequest", "VisionPrescription"),
    }
)
ORDER_TYPES: dict[Line, frozenset[str]] = {
    "2.2": _ORDERS,
    "2.0": _ORDERS | {"ImmunizationRecommendation"},
}
_OTHERS = frozenset({CoverageKind.MEDICARE_ADVANTAGE, CoverageKind.MEDICAID, CoverageKind.RAILROAD})
_RESOURCES = ("coverage", "order", "referenced")
_TEXTS = frozenset(
    {"valueCanonical", "valueCode", "valueId", "valueString", "valueUri", "valueUrl"}
)
_TIMES = frozenset({"valueDate", "valueDateTime", "valueInstant", "valueString"})
_YEAR, _MONTH = len("2026"), len("2026-01")


@dataclass(frozen=True, slots=True)
class Named:
    """A resource of the call: a readable copy, how a response refers to it, and where it stands."""

    view: Json
    reference: Json
    place: str

    @property
    def kind(self) -> str:
        """Its type."""
        return self.view["resourceType"]  # type: ignore[no-any-return]


@dataclass(frozen=True, slots=True)
class Asked:
    """A canonical that was asked for, and where."""

    canonical: str
    place: str


@dataclass(frozen=True, slots=True)
class PackageRequest:
    """One call. Nothing of it is about more than one patient. `beside` are all the resources that
    came, by `Type/id`."""

    coverages: tuple[Named, ...]
    orders: tuple[Named, ...]
    beside: Mapping[str, Json]
    asked: tuple[Asked, ...]
    context: str | None
    changed_since: datetime | None

    def target(self, holder: Json, reference: Json | None) -> Json | None:
        """The resource a Reference names: contained in its holder, or sent along."""
        told = (reference or {}).get("reference", "")
        if told.startswith("#"):
            inside: list[Json] = holder.get("contained", [])
            return next((each for each in inside if each.get("id") == told[1:]), None)
        return self.beside.get(name_of(told))

    def follow(self, link: Link) -> Json | None:
        """What a reference found in an order leads to."""
        return self.target(link.holder, link.reference)

    @property
    def mbi(self) -> str | None:
        """The member's Medicare number, as far as Coverage or Patient tell it."""
        numbers = (self.number(coverage) for coverage in self.coverages)
        return next((number for number in numbers if number), None)

    @property
    def subject(self) -> Json:
        """The patient, as the client refers to them. What is contained is of no use elsewhere."""
        told = [_patient(each) for each in (*self.coverages, *self.orders)]
        usable = (each for each in told if each and _leads_somewhere(each))
        return next(usable, {"type": "Patient", "display": "The beneficiary of the Coverage"})

    def number(self, coverage: Named) -> str | None:
        """The member's number of one Coverage, as far as it or its Patient tells."""
        patient = self.target(coverage.view, coverage.view.get("beneficiary"))
        return beneficiary(patient or {}, coverage.view).mbi


def package_request(resource: Json, line: Line, faults_of: Soundness) -> PackageRequest:
    """The call that a Parameters resource makes.

    Raises InvalidResource (not readable FHIR R4), ProfileViolation (breaks a rule of the
    operation), each with every problem; TooLarge.
    """
    given = parameters(resource)
    reading = _Reading(line)
    request = reading.request(given)
    faults = parameter_faults(resource, given, _RESOURCES, faults_of)
    if faults:
        problems = [*faults, *reading.problems]
        raise InvalidResource("The parameters are not valid FHIR R4.", problems)
    if reading.problems:
        text = "The parameters do not meet the rules of the operation."
        raise ProfileViolation(text, reading.problems)
    return request


class _Reading:
    """Reads parameters, and collects what breaks a rule of the operation."""

    def __init__(self, line: Line) -> None:
        self.line = line
        self.problems: list[Problem] = []

    def request(self, given: tuple[Parameter, ...]) -> PackageRequest:
        """The call, as far as it can be read."""
        coverages = tuple(self._resources(named(given, "coverage"), frozenset({"Coverage"})))
        orders = tuple(self._resources(named(given, "order"), ORDER_TYPES[self.line]))
        others = self._resources(named(given, "referenced"))
        request = PackageRequest(
            coverages=coverages,
            orders=orders,
            beside={_name(each.view): each.view for each in (*orders, *others)},
            asked=tuple(self._asked(named(given, "questionnaire"))),
            context=self._one(named(given, "context"), _text, "A context is a string."),
            changed_since=self._one(named(given, "changedsince"), _since, _NO_INSTANT),
        )
        self._check_presence(given)
        self._check_patient(request)
        self._check_payer(request)
        return request

    def _resources(
        self, given: Iterable[Parameter], kinds: frozenset[str] | None = None
    ) -> Iterator[Named]:
        for each in given:
            view = readable(each.value) if each.key == "resource" else None
            if view is None or (kinds is not None and view["resourceType"] not in kinds):
                wanted = " or ".join(sorted(kinds)) if kinds else "a resource"
                self._fault("structure", f"{each.name}: {wanted} expected", each.place)
            else:
                yield Named(view, _reference_to(view), each.place)

    def _asked(self, given: Iterable[Parameter]) -> Iterator[Asked]:
        for each in given:
            canonical = _text(each)
            if canonical is None:
                self._fault("structure", "questionnaire: a canonical expected", each.place)
            else:
                yield Asked(canonical, each.place)

    def _one(
        self, given: list[Parameter], read: Callable[[Parameter], _T | None], otherwise: str
    ) -> _T | None:
        if len(given) > 1:
            self._fault("structure", f"{given[0].name}: at most one expected", given[1].place)
        found = read(given[0]) if given else None
        if given and found is None:
            self._fault("value", otherwise, given[0].place)
        return found

    def _check_presence(self, given: Iterable[Parameter]) -> None:
        """Source: DTR 2.2.0 §oper-6, dtr-1; dtr-qpackage-input-parameters of both lines."""
        names = [each.name for each in given]
        coverages = names.count("coverage")
        if coverages == 0 or (coverages > 1 and self.line == "2.2"):
            many = "exactly one" if self.line == "2.2" else "at least one"
            code = "required" if coverages == 0 else "structure"
            text = f"coverage: {many} expected, {coverages} found"
            self._fault(code, text, "Parameters.parameter")
        if not {"order", "questionnaire", "context"}.intersection(names):
            text = "At least one order, questionnaire or context is needed."
            self._fault("required", text, "Parameters.parameter")

    def _check_patient(self, request: PackageRequest) -> None:
        """One call is about one patient, as far as its resources tell whom they are about."""
        first: str | None = None
        for each in (*request.coverages, *request.orders):
            local = read_reference((_patient(each) or {}).get("reference", ""))
            if local is None or local.name == first:
                continue
            if first is not None:
                self._fault("invalid", "about another patient than the Coverage's", each.place)
            first = first or local.name

    def _check_payer(self, request: PackageRequest) -> None:
        """WISeR asks nothing of those whom another payer covers. Source: DTR 2.2.0 §spec-130."""
        kinds = [coverage_kind(request, coverage.view) for coverage in request.coverages]
        if kinds and all(kind in _OTHERS for kind in kinds):
            text = "The Coverage is not Original Medicare's: WISeR asks for nothing under it."
            self._fault("not-supported", text, request.coverages[0].place)

    def _fault(self, code: str, text: str, place: str) -> None:
        self.problems.append(Problem("error", code, text, place))


_NO_INSTANT = "changedsince is an instant, or a date with or without a time."


def _text(given: Parameter) -> str | None:
    """What a parameter says, whichever of FHIR's kinds of text it is."""
    if given.key not in _TEXTS or not isinstance(given.value, str):
        return None
    return given.value.strip() or None


def _since(given: Parameter) -> datetime | None:
    """The instant, or the first one of the day, month or year that is named."""
    if given.key not in _TIMES or not isinstance(given.value, str):
        return None
    text = given.value.strip()
    if len(text) == _YEAR:
        text += "-01"
    return instant(f"{text}-01" if len(text) == _MONTH else text)


def _patient(each: Named) -> Json | None:
    """Whom a Coverage, an order or an Appointment is about, where it tells."""
    view = each.view
    told = view.get("beneficiary") or view.get("subject") or view.get("patient")
    if told is None:
        actors = (one.get("actor", {}) for one in view.get("participant", ()))
        told = next((a for a in actors if a.get("reference", "").startswith("Patient/")), None)
    return told


def _leads_somewhere(reference: Json) -> bool:
    named: str = reference.get("reference", "")
    return not named.startswith("#") if named else "identifier" in reference


def _reference_to(view: Json) -> Json:
    """How a response names a resource of the client's: by its id, or what else tells it apart."""
    kind = view["resourceType"]
    if "id" in view:
        return {"reference": _name(view)}
    identifiers = (i for i in view.get("identifier", ()) if "value" in i)
    identifier = next(identifiers, None)
    if identifier is None and "subscriberId" in view:
        identifier = {"value": view["subscriberId"]}
    if identifier is not None:
        return {"type": kind, "identifier": identifier}
    return {"type": kind, "display": f"The {kind} of the request"}


def _name(view: Json) -> str:
    return f"{view['resourceType']}/{view.get('id', '')}"
