"""From a script and a case to what its clinician does. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Final

from wiser_fhir.coverage.canonical import CANONICAL
from wiser_fhir.coverage.models import ServiceCode, ServiceRules
from wiser_fhir.fhir.elements import Json, codings
from wiser_fhir.pas.request import RequestBundle
from wiser_fhir.priorauth.answer import CaseAnswer, ItemAnswer
from wiser_fhir.priorauth.asked import Asked
from wiser_fhir.priorauth.determination import Determination, Grant, ItemDetermination
from wiser_fhir.priorauth.information import Wanted
from wiser_fhir.priorauth.models import CaseItem, ItemRole, ItemStatus, PriorAuthorization
from wiser_fhir.sandbox.scenarios import AskScript, LineScript, Script

_ORDERS = ("ServiceRequest", "DeviceRequest", "MedicationRequest", "NutritionOrder")
_MISSING: Final = object()


@dataclass(frozen=True, slots=True)
class Scene:
    """A case before the clinician: `rules` where the catalogue has them, `today` in the East.

    `last_day` is the last day of service that a decision of today covers.
    """

    case: PriorAuthorization
    request: RequestBundle
    rules: ServiceRules | None
    today: date
    last_day: date

    @property
    def lines(self) -> list[CaseItem]:
        """The undecided lines, primary codes first."""
        pended = [item for item in self.case.items if item.status is ItemStatus.PENDED]
        return sorted(pended, key=lambda item: (item.role is not ItemRole.PRIMARY, item.sequence))

    def facts(self, line: CaseItem) -> dict[str, Any]:
        """What the words of a script stand for, where the request has it."""
        found = {
            "$today": self.today,
            "$line": line.sequence,
            "$code": line.code.code,
            "$code_system": line.code.system,
            "$form": self._form(),
            "$diagnosis": next(self._diagnoses(), None),
            "$practitioner": self._entry("Practitioner"),
            "$facility": self._facility(),
            "$order": self._entry(*_ORDERS),
        }
        return {word: value for word, value in found.items() if value is not None}

    def _form(self) -> str | None:
        rules = self.rules
        if rules is None:
            return None
        return f"{CANONICAL}/Questionnaire/{rules.slug}|{rules.version}"

    def _diagnoses(self) -> Iterator[str]:
        for diagnosis in self.request.claim.get("diagnosis", ()):
            yield from (c["code"] for c in codings(diagnosis.get("diagnosisCodeableConcept")))

    def _entry(self, *kinds: str) -> str | None:
        """The full URL of the first resource of these kinds."""
        entries = self.request.bundle["entry"]
        return next((e["fullUrl"] for e in entries if e["resource"]["resourceType"] in kinds), None)

    def _facility(self) -> str | None:
        """The full URL of the first organization of the care team."""
        members = self.request.claim.get("careTeam", ())
        found = (self.request.target(self.request.claim, m.get("provider")) for m in members)
        team = [each for each in found if each and each["resourceType"] == "Organization"]
        entries = self.request.bundle["entry"]
        return next((e["fullUrl"] for e in entries if any(e["resource"] is t for t in team)), None)


def determination(script: Script, scene: Scene) -> Determination:
    """What the script decides of every undecided line, and says of the request as a whole.

    The case has one. Raises ValueError for a script that says what no answer can.
    """
    lines = scene.lines
    decided = [_decided(_scripted(script, n), line, scene) for n, line in enumerate(lines)]
    said = filled(script.answer, scene.facts(lines[0]))
    answer = CaseAnswer.of_json(said)
    return Determination(tuple(decided), script.note, answer)


def asked(script: Script, scene: Scene) -> tuple[Asked, ...]:
    """What the script asks for, less what there is nothing to ask by."""
    found = (Asked(each.kind, tuple(_wanted(each, scene)), each.note) for each in script.asks)
    return tuple(each for each in found if each.wanted)


def filled(value: Any, facts: Mapping[str, Any]) -> Any:
    """A part of a script with its words replaced. What stands for nothing is left out: of a table
    its entry, of a list the whole table."""
    if isinstance(value, str) and value.startswith("$"):
        return facts.get(value, _MISSING)
    if isinstance(value, dict):
        found = {name: filled(inner, facts) for name, inner in value.items()}
        return {name: inner for name, inner in found.items() if inner is not _MISSING}
    if isinstance(value, list | tuple):
        return [filled(each, facts) for each in value if not _lacks(each, facts)]
    return value


def _lacks(value: Any, facts: Mapping[str, Any]) -> bool:
    """Whether something stands for nothing, or is a table with such an entry of its own."""
    if isinstance(value, dict):
        return any(filled(inner, facts) is _MISSING for inner in value.values())
    return filled(value, facts) is _MISSING


def _scripted(script: Script, position: int) -> LineScript:
    return script.lines[min(position, len(script.lines) - 1)]


def _decided(said: LineScript, line: CaseItem, scene: Scene) -> ItemDetermination:
    return ItemDetermination(
        sequence=line.sequence,
        outcome=said.outcome,
        rationale=said.rationale,
        resubmission_steps=said.resubmission_steps,
        reasons=said.reasons,
        grant=_grant(said, line, scene),
        answer=ItemAnswer.of_json(filled(said.answer, scene.facts(line))),
    )


def _grant(said: LineScript, line: CaseItem, scene: Scene) -> Grant:
    day = _one_day(line, scene) if said.one_day else None
    return Grant(
        code=_other_code(line, scene) if said.other_code else None,
        quantity=_fewer(said.units, line.quantity),
        first_day=day,
        last_day=day,
    )


def _fewer(units: int | None, asked_for: Decimal | None) -> Decimal | None:
    if units is None or asked_for is None or asked_for <= units:
        return None
    return Decimal(units)


def _one_day(line: CaseItem, scene: Scene) -> date | None:
    """The first day of a period of which a decision of today can cover one."""
    first, last = line.date_of_service, line.service_end
    if first is None or last is None or last <= first:
        return None
    day = max(first, scene.today)
    return day if day <= min(last, scene.last_day) else None


def _other_code(line: CaseItem, scene: Scene) -> Any:
    """The first other code of the service in the same role that leaves no add-on alone."""
    if scene.rules is None:
        return None
    entries = scene.rules.by_code
    add_ons = [entries[i.code.code] for i in scene.lines if i.role is ItemRole.ADD_ON]
    fitting = (e for _, e in sorted(entries.items()) if _fits(e, line, add_ons))
    return next((entry.coding for entry in fitting), None)


def _fits(entry: ServiceCode, line: CaseItem, add_ons: Sequence[ServiceCode]) -> bool:
    return (
        entry.code != line.code.code
        and entry.role == line.role
        and entry.in_effect(line.date_of_service)
        and all(entry.code in add_on.add_on_to for add_on in add_ons)
    )


def _wanted(script: AskScript, scene: Scene) -> Iterator[Wanted]:
    first = scene.lines[0]
    facts = scene.facts(first)
    for each in script.wanted:
        said: Json = filled(each.model_dump(exclude_none=True, exclude={"lines"}), facts)
        if "code" in said or "questionnaire" in said:
            yield Wanted(**said, lines=(first.sequence,) if each.lines == "first" else ())
