"""What resources of a chart say, as plain records: their codes, when, how much.

Which records stand is told by the same words as in the population logic (`igs/wiser/cql`,
WiserChart), so that an answer is held against the records it could have been filled from.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal

from wiser_fhir.coverage.requested import Code
from wiser_fhir.fhir.elements import Json, code_in
from wiser_fhir.fhir.values import day_of, decimal, instant
from wiser_fhir.intake.resolver import Resolver
from wiser_fhir.intake.services import codes_of
from wiser_fhir.intake.systems import LOINC, SNOMED_CT, UCUM, plain_system
from wiser_fhir.priorauth.models import ChartRecord

_VERIFICATION = "http://terminology.hl7.org/CodeSystem/condition-ver-status"
_NO = frozenset(
    {
        Code(LOINC, "LA32-8"),  # no
        Code(SNOMED_CT, "373067005"),  # no
        Code(SNOMED_CT, "260385009"),  # negative
        Code(SNOMED_CT, "2667000"),  # absent
    }
)
_WITHDRAWN = frozenset({"cancelled", "entered-in-error", "not-done", "not-taken", "revoked"})


@dataclass(frozen=True, slots=True)
class _Kind:
    """Where a type of resource has its codes and times. `standing`: the statuses that count."""

    codes: tuple[str, ...]
    times: tuple[str, ...]
    standing: frozenset[str]


_GIVEN = frozenset({"active", "completed", "stopped"})
_KINDS: Mapping[str, _Kind] = {
    "Condition": _Kind(
        ("code",), ("onsetDateTime", "onsetPeriod", "recordedDate"), frozenset({"confirmed"})
    ),
    "Device": _Kind(("type",), (), frozenset({"active"})),
    "DiagnosticReport": _Kind(
        ("code",),
        ("effectiveDateTime", "effectivePeriod"),
        frozenset({"final", "amended", "corrected", "appended"}),
    ),
    "DocumentReference": _Kind(("type", "category"), (), frozenset({"current"})),
    "Encounter": _Kind(("type",), ("period",), frozenset({"finished"})),
    "MedicationRequest": _Kind(("medicationCodeableConcept",), ("authoredOn",), _GIVEN),
    "MedicationStatement": _Kind(
        ("medicationCodeableConcept",), ("effectiveDateTime", "effectivePeriod"), _GIVEN
    ),
    "Observation": _Kind(
        ("code",),
        ("effectiveDateTime", "effectiveInstant", "effectivePeriod"),
        frozenset({"final", "amended", "corrected"}),
    ),
    "Procedure": _Kind(
        ("code",), ("performedDateTime", "performedPeriod"), frozenset({"completed"})
    ),
    "ServiceRequest": _Kind(
        ("code",), ("authoredOn",), frozenset({"draft", "active", "completed"})
    ),
}
_INTENDED = frozenset({"proposal", "plan", "option"})


def is_chart_record(resource: Json) -> bool:
    """Whether a resource is of a type that is read here, and was not withdrawn."""
    if resource["resourceType"] not in _KINDS:
        return False
    verified = code_in(resource.get("verificationStatus"), _VERIFICATION)
    return _WITHDRAWN.isdisjoint((resource.get("status"), resource.get("docStatus"), verified))


def is_unsettled(resource: Json) -> bool:
    """Whether a record does not stand: it is preliminary, on hold, only thought of or planned.

    A diagnosis that was ruled out stands: it says no.
    """
    kind = _KINDS[resource["resourceType"]]
    if resource["resourceType"] == "Condition":
        verified = resource.get("verificationStatus")
        certain = code_in(verified, _VERIFICATION) in ("confirmed", "refuted")
        return verified is not None and not certain
    if resource.get("status") not in kind.standing:
        return True
    if resource["resourceType"] == "DocumentReference":
        return resource.get("docStatus", "final") not in ("final", "amended")
    return resource.get("intent") in _INTENDED or resource.get("doNotPerform") is True


def chart_records(resource: Json, holder: Json, around: Resolver) -> Iterator[ChartRecord]:
    """A record for the resource and one for each component of it.

    Of a resource that does not stand, it is only taken that it is there.
    `holder` is the resource whose references lead somewhere in `around`: itself, or the one that
    contains it.
    """
    days, moment = _days(resource), _moment(resource)
    for part in (resource, *resource.get("component", ())):
        value, unit = _quantity(part.get("valueQuantity") or {})
        names = _codes(part if part is not resource else _named(resource, holder, around), resource)
        planned = resource["resourceType"] == "ServiceRequest"
        record = ChartRecord(names, days, moment, value, unit, _says_no(part), planned)
        yield replace(codes_alone(record), settled=False) if is_unsettled(resource) else record


def codes_alone(record: ChartRecord) -> ChartRecord:
    """A record of which it is not certain whose it is: that it is there is all that is taken."""
    return ChartRecord(record.codes, planned=record.planned, settled=record.settled)


def _named(resource: Json, holder: Json, around: Resolver) -> Json:
    """The resource, or what stands for it where it names its codes by a reference."""
    medication = around.target(holder, resource.get("medicationReference"))
    return resource if medication is None else {"medicationCodeableConcept": medication.get("code")}


def _codes(part: Json, resource: Json) -> frozenset[Code]:
    found: list[Code] = []
    for element in _KINDS[resource["resourceType"]].codes:
        concepts = part.get(element)
        for concept in concepts if isinstance(concepts, list) else [concepts]:
            found += _plain_codes(concept)
    return frozenset(found)


def _plain_codes(concept: Json | None) -> tuple[Code, ...]:
    return tuple(Code(plain_system(c.system), c.code.strip()) for c in codes_of(concept))


def _days(resource: Json) -> tuple[date, ...]:
    """Every day by which a record's time may be told, the first first."""
    found = {day_of(text) for text in _times(resource)}
    return tuple(sorted(day for day in found if day is not None))


def _moment(resource: Json) -> datetime | None:
    """The instant at which it was, or began, where the record tells the hour."""
    first = next(_times(resource), None)
    return instant(first) if first is not None and "T" in first else None


def _times(resource: Json) -> Iterator[str]:
    times = [resource.get(name) for name in _KINDS[resource["resourceType"]].times]
    for time in (*times, resource.get("context", {}).get("period")):
        if isinstance(time, str):
            yield time
        elif time is not None:
            yield from (time[end] for end in ("start", "end") if end in time)


def _quantity(quantity: Json) -> tuple[Decimal | None, str | None]:
    """Value and UCUM unit. A bound (`<5`) is no value; a unit of another system is none."""
    if "comparator" in quantity or plain_system(quantity.get("system", "")) != UCUM:
        return None, None
    return decimal(quantity.get("value")), quantity.get("code")


def _says_no(part: Json) -> bool:
    return (
        part.get("valueBoolean") is False
        or not _NO.isdisjoint(_plain_codes(part.get("valueCodeableConcept")))
        or code_in(part.get("verificationStatus"), _VERIFICATION) == "refuted"
    )
