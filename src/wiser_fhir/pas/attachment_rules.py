"""What CDex asks of the parameters of `$submit-attachment` beyond base FHIR R4.

Source: CDex 2.1.0, OperationDefinition submit-attachment and cdex-parameters-submit-attachment.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from wiser_fhir.errors import Problem
from wiser_fhir.fhir.elements import Json
from wiser_fhir.fhir.values import full_date
from wiser_fhir.priorauth.attached import AttachTo

LONGEST_LINE = 100


@dataclass(frozen=True, slots=True)
class Rule:
    """One parameter: where its value stands, how often it may come, and whether it has to."""

    key: str
    needed: bool = False
    repeats: bool = False


PARAMETERS: Mapping[str, Rule] = {
    "TrackingId": Rule("valueIdentifier", needed=True),
    "AdminRefNumber": Rule("valueIdentifier"),
    "AttachTo": Rule("valueCode", needed=True),
    "PayerId": Rule("valueIdentifier"),
    "OrganizationId": Rule("valueIdentifier"),
    "ProviderId": Rule("valueIdentifier"),
    "MemberId": Rule("valueIdentifier", needed=True),
    "ServiceDate": Rule("valueDateTime"),
    "Attachment": Rule("part", needed=True, repeats=True),
    "Final": Rule("valueBoolean"),
}
PARTS: Mapping[str, Rule] = {
    "LineItem": Rule("valueString", repeats=True),
    "Code": Rule("valueCodeableConcept"),
    "Content": Rule("resource", needed=True),
}
_PLACE = "Parameters.parameter"


def parameter_problems(resource: Json) -> list[Problem]:
    """Everything wrong with the parameters of a call that is sound FHIR R4; nothing of what is
    attached.
    """
    entries: list[Json] = resource.get("parameter", [])
    return [
        *_by_rule(entries, PARAMETERS, _PLACE),
        *(p for n, entry in enumerate(entries) for p in _value_problems(entry, f"{_PLACE}[{n}]")),
        *_together(entries),
    ]


def _by_rule(entries: list[Json], rules: Mapping[str, Rule], place: str) -> Iterator[Problem]:
    """The list is closed: what nobody has defined, nobody would see."""
    seen: set[str] = set()
    for position, entry in enumerate(entries):
        where, name = f"{place}[{position}]", entry["name"]
        rule = rules.get(name)
        if rule is None:
            yield _problem("not-supported", "There is no such parameter.", f"{where}.name")
        elif rule.key not in entry:
            text = f"{name} is given as {rule.key}."
            yield _problem("value", text, where)
        elif name in seen and not rule.repeats:
            yield _problem("business-rule", f"{name} may come once.", where)
        seen.add(name)
    for name, rule in rules.items():
        if rule.needed and name not in seen:
            yield _problem("required", f"{name} is needed.", place)


def _value_problems(entry: Json, where: str) -> Iterator[Problem]:
    match entry:
        case {"valueIdentifier": {**identifier}}:
            if not str(identifier.get("value", "")).strip():
                yield _problem("required", "An identifier has a value.", f"{where}.value.value")
        case {"name": "AttachTo", "valueCode": code}:
            if code not in tuple(AttachTo):
                text = f"One of {', '.join(AttachTo)} is expected."
                yield _problem("code-invalid", text, f"{where}.value")
        case {"name": "Attachment", "part": [*parts]}:
            yield from _by_rule(parts, PARTS, f"{where}.part")
            for position, part in enumerate(parts):
                if len(part.get("valueString", "")) > LONGEST_LINE:
                    text = f"A line is named by at most {LONGEST_LINE} characters."
                    yield _problem("too-long", text, f"{where}.part[{position}].value")


def _together(entries: list[Json]) -> Iterator[Problem]:
    """Source: CDex 2.1.0, submit-attachment (a provider or an organization; a claim's day)."""
    given = {entry["name"]: entry for entry in entries}
    if not {"OrganizationId", "ProviderId"} & given.keys():
        yield _problem("required", "OrganizationId or ProviderId is needed.", _PLACE)
    for_claim = given.get("AttachTo", {}).get("valueCode") == AttachTo.CLAIM
    day: Any = given.get("ServiceDate", {}).get("valueDateTime")
    if for_claim and full_date(day[:10] if day else None) is None:
        text = "For a claim ServiceDate is needed, to the day."
        yield _problem("required", text, _PLACE)


def _problem(code: str, text: str, where: str) -> Problem:
    return Problem("error", code, text, where)
