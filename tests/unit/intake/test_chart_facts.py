"""What resources of a chart say."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from wiser_fhir.coverage.requested import Code
from wiser_fhir.fhir.elements import Json
from wiser_fhir.intake.chart_facts import (
    chart_records,
    codes_alone,
    is_chart_record,
    is_unsettled,
)
from wiser_fhir.priorauth.models import ChartRecord

LOINC, RXNORM = "http://loinc.org", "http://www.nlm.nih.gov/research/umls/rxnorm"
UCUM = "http://unitsofmeasure.org"
A_CODE = frozenset({Code(LOINC, "1-1")})
VERIFICATION = "http://terminology.hl7.org/CodeSystem/condition-ver-status"
MEDICATION = {"resourceType": "Medication", "code": {"coding": [{"system": RXNORM, "code": "7"}]}}


class Around:
    """A Bundle in which one reference leads to a Medication."""

    def target(self, holder: Json, reference: Json | None) -> Json | None:
        return MEDICATION if reference == {"reference": "urn:uuid:medication"} else None


def concept(code: str = "1-1", system: str = LOINC) -> Json:
    return {"coding": [{"system": system, "code": code}]}


def read(kind: str, **elements: Any) -> list[ChartRecord]:
    standing = {"status": STANDING[kind][0]} if kind in STANDING else {}
    resource = {"resourceType": kind, **standing, **elements}
    return list(chart_records(resource, resource, Around()))


STANDING = {
    "Observation": ("final", "amended", "corrected"),
    "DiagnosticReport": ("final", "amended", "corrected", "appended"),
    "Procedure": ("completed",),
    "DocumentReference": ("current",),
    "Encounter": ("finished",),
    "MedicationRequest": ("active", "completed", "stopped"),
    "MedicationStatement": ("active", "completed", "stopped"),
    "Device": ("active",),
    "ServiceRequest": ("draft", "active", "completed"),
}
UNSETTLED = {
    "Observation": ("registered", "preliminary", "unknown", None),
    "DiagnosticReport": ("registered", "partial", "preliminary", "unknown", None),
    "Procedure": ("in-progress", "preparation", "on-hold", "stopped", "unknown"),
    "DocumentReference": ("superseded",),
    "Encounter": ("planned", "in-progress", "unknown"),
    "MedicationRequest": ("draft", "on-hold", "unknown"),
    "MedicationStatement": ("intended", "on-hold", "unknown"),
    "Device": ("inactive", "unknown"),
    "ServiceRequest": ("on-hold", "unknown"),
}
WITHDRAWN = {
    "Observation": ("cancelled", "entered-in-error"),
    "DiagnosticReport": ("cancelled", "entered-in-error"),
    "Procedure": ("not-done", "entered-in-error"),
    "DocumentReference": ("entered-in-error",),
    "Encounter": ("cancelled", "entered-in-error"),
    "MedicationRequest": ("cancelled", "entered-in-error"),
    "MedicationStatement": ("not-taken", "entered-in-error"),
    "Device": ("entered-in-error",),
    "ServiceRequest": ("revoked", "entered-in-error"),
}


def stands(kind: str, **elements: Any) -> bool:
    return standing_of(kind, **elements) == "stands"


def standing_of(kind: str, **elements: Any) -> str:
    resource = {"resourceType": kind, **elements}
    if not is_chart_record(resource):
        return "withdrawn"
    return "unsettled" if is_unsettled(resource) else "stands"


@pytest.mark.parametrize("kind", STANDING)
def test_only_what_stands_is_read(kind: str) -> None:
    told = {"stands": STANDING[kind], "unsettled": UNSETTLED[kind], "withdrawn": WITHDRAWN[kind]}
    for standing, statuses in told.items():
        assert {s: standing_of(kind, status=s) for s in statuses} == dict.fromkeys(
            statuses, standing
        )


@pytest.mark.parametrize(
    ("verified", "says"),
    [(None, True), ("confirmed", True), ("refuted", True), ("provisional", False),
     ("unconfirmed", False), ("differential", False), ("entered-in-error", False)],
)  # fmt: skip
def test_a_diagnosis_stands_when_it_is_certain(verified: str | None, says: bool) -> None:
    told = {} if verified is None else {"verificationStatus": concept(verified, VERIFICATION)}
    assert stands("Condition", **told) is says
    withdrawn = standing_of("Condition", **told) == "withdrawn"
    assert withdrawn is (verified == "entered-in-error")


@pytest.mark.parametrize(
    ("told", "says"), [("final", True), ("amended", True), ("preliminary", False)]
)
def test_a_preliminary_document_does_not_stand(told: str, says: bool) -> None:
    assert stands("DocumentReference", status="current", docStatus=told) is says


def test_a_document_withdrawn_as_such_is_no_record() -> None:
    told = standing_of("DocumentReference", status="current", docStatus="entered-in-error")
    assert told == "withdrawn"


@pytest.mark.parametrize(
    "change",
    [{"intent": "plan"}, {"intent": "proposal"}, {"intent": "option"}, {"doNotPerform": True}],
)
def test_a_drug_that_is_only_thought_of_or_forbidden_is_no_record(change: Json) -> None:
    assert stands("MedicationRequest", status="active", intent="order")
    assert not stands("MedicationRequest", **{"status": "active", "intent": "order", **change})


@pytest.mark.parametrize("kind", ["Patient", "CarePlan", "Questionnaire", "Claim"])
def test_other_resources_are_no_records(kind: str) -> None:
    assert not stands(kind, status="active")


@pytest.mark.parametrize(
    ("kind", "elements"),
    [
        ("Condition", {"code": concept()}),
        ("Device", {"type": concept()}),
        ("DiagnosticReport", {"code": concept()}),
        ("DocumentReference", {"type": concept()}),
        ("DocumentReference", {"category": [concept()]}),
        ("Encounter", {"type": [concept()]}),
        ("MedicationRequest", {"medicationCodeableConcept": concept()}),
        ("MedicationStatement", {"medicationCodeableConcept": concept()}),
        ("Observation", {"code": concept()}),
        ("Procedure", {"code": concept()}),
    ],
)
def test_where_each_type_has_its_codes(kind: str, elements: Json) -> None:
    assert read(kind, **elements) == [ChartRecord(A_CODE)]


def test_an_order_is_told_from_what_was_done() -> None:
    (ordered,) = read("ServiceRequest", code=concept(), authoredOn="2026-05-04")
    assert ordered == ChartRecord(A_CODE, (date(2026, 5, 4),), planned=True)
    assert codes_alone(ordered) == ChartRecord(A_CODE, planned=True)


def test_every_coding_of_a_concept_is_a_code() -> None:
    both = {"coding": [{"system": LOINC, "code": "1-1"}, {"code": "local"}, {"display": "words"}]}
    (record,) = read("Observation", code=both)
    assert record.codes == {Code(LOINC, "1-1"), Code("", "local")}


@pytest.mark.parametrize(
    ("system", "plain"),
    [
        ("urn:oid:2.16.840.1.113883.6.1", LOINC),
        ("2.16.840.1.113883.6.1", LOINC),
        ("https://loinc.org", LOINC),
        ("http://loinc.org/", LOINC),
        ("HTTP://LOINC.ORG", LOINC),
        ("https://snomed.info/sct", "http://snomed.info/sct"),
        ("urn:oid:2.16.840.1.113883.6.96", "http://snomed.info/sct"),
        ("urn:oid:2.16.840.1.113883.6.88", RXNORM),
        ("urn:oid:2.16.840.1.113883.6.90", "http://hl7.org/fhir/sid/icd-10-cm"),
        ("urn:oid:2.16.840.1.113883.6.4", "http://www.cms.gov/Medicare/Coding/ICD10"),
        ("urn:oid:2.16.840.1.113883.6.12", "http://www.ama-assn.org/go/cpt"),
        ("https://bluebutton.cms.gov/resources/codesystem/hcpcs",
         "http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets"),
        ("https://ehr.example/local", "https://ehr.example/local"),
    ],
)  # fmt: skip
def test_a_system_by_any_of_its_names(system: str, plain: str) -> None:
    (record,) = read("Observation", code=concept(" 1-1 ", system))
    assert record.codes == {Code(plain, "1-1")}


def test_a_no_and_a_unit_by_any_name_of_their_systems() -> None:
    no = concept("LA32-8", "https://loinc.org")
    (record,) = read("Observation", code=concept(), valueCodeableConcept=no)
    assert record.negative
    measured = quantity(system="https://unitsofmeasure.org/")
    (record,) = read("Observation", code=concept(), valueQuantity=measured)
    assert (record.value, record.unit) == (Decimal("22.4"), "{events}/h")


def test_a_drug_may_be_named_by_a_resource_of_its_own() -> None:
    named = {"medicationReference": {"reference": "urn:uuid:medication"}}
    assert read("MedicationRequest", **named) == [ChartRecord(frozenset({Code(RXNORM, "7")}))]
    nowhere = {"medicationReference": {"reference": "urn:uuid:nothing"}}
    assert read("MedicationRequest", **nowhere) == [ChartRecord(frozenset())]


@pytest.mark.parametrize(
    ("kind", "elements", "days", "moment"),
    [
        ("Observation", {"effectiveDateTime": "2026-05-04"}, ("2026-05-04",), None),
        (
            "Observation",
            {"effectiveDateTime": "2026-05-04T23:30:00-05:00"},
            ("2026-05-04",),
            datetime(2026, 5, 5, 4, 30, tzinfo=UTC),
        ),
        (
            "Observation",
            {"effectiveInstant": "2026-05-04T10:00:00Z"},
            ("2026-05-04",),
            datetime(2026, 5, 4, 10, 0, tzinfo=UTC),
        ),
        (
            "Observation",
            {"effectivePeriod": {"start": "2026-05-04T22:00:00Z", "end": "2026-05-05T06:00:00Z"}},
            ("2026-05-04", "2026-05-05"),
            datetime(2026, 5, 4, 22, 0, tzinfo=UTC),
        ),
        ("Observation", {"effectivePeriod": {"end": "2026-05-05"}}, ("2026-05-05",), None),
        ("Observation", {"effectiveDateTime": "2026-05"}, (), None),
        ("Observation", {"issued": "2026-05-04T10:00:00Z"}, (), None),
        ("Observation", {"effectiveTiming": {"event": ["2026-05-04"]}}, (), None),
        ("DiagnosticReport", {"effectiveDateTime": "2026-05-04"}, ("2026-05-04",), None),
        ("Procedure", {"performedDateTime": "2026-05-04"}, ("2026-05-04",), None),
        (
            "Procedure",
            {"performedPeriod": {"start": "2026-05-04", "end": "2026-05-06"}},
            ("2026-05-04", "2026-05-06"),
            None,
        ),
        ("Procedure", {"performedString": "last May"}, (), None),
        ("Condition", {"onsetDateTime": "2026-05-04"}, ("2026-05-04",), None),
        ("MedicationRequest", {"authoredOn": "2026-05-04"}, ("2026-05-04",), None),
        ("MedicationStatement", {"effectiveDateTime": "2026-05-04"}, ("2026-05-04",), None),
        ("Encounter", {"period": {"start": "2026-05-04"}}, ("2026-05-04",), None),
        (
            "DocumentReference",
            {"date": "2026-05-20T10:00:00Z", "context": {"period": {"start": "2026-05-04"}}},
            ("2026-05-04",),
            None,
        ),
        ("DocumentReference", {"date": "2026-05-20T10:00:00Z"}, (), None),
    ],
)
def test_when_a_record_was(
    kind: str, elements: Json, days: tuple[str, ...], moment: datetime | None
) -> None:
    (record,) = read(kind, **elements)
    assert record.days == tuple(date.fromisoformat(day) for day in days)
    assert record.moment == moment


def quantity(**changes: Any) -> Json:
    return {"value": 22.4, "system": UCUM, "code": "{events}/h", "unit": "per hour", **changes}


def test_a_value_in_its_ucum_unit() -> None:
    (record,) = read("Observation", valueQuantity=quantity())
    assert (record.value, record.unit) == (Decimal("22.4"), "{events}/h")


@pytest.mark.parametrize(
    "elements",
    [
        {"valueQuantity": quantity(comparator="<")},
        {"valueQuantity": quantity(system="urn:local")},
        {"valueQuantity": {"value": 22.4, "unit": "events/h"}},
        {"valueInteger": 22},
        {"dataAbsentReason": {"text": "unknown"}},
    ],
)
def test_what_is_no_value_in_a_ucum_unit(elements: Json) -> None:
    (record,) = read("Observation", **elements)
    assert (record.value, record.unit) == (None, None)


def test_each_component_is_a_record_at_the_time_of_the_whole() -> None:
    part = {"code": concept("3-3"), "valueQuantity": quantity(value=7)}
    whole, inner = read(
        "Observation", code=concept(), effectiveDateTime="2026-05-04", component=[part]
    )
    day = (date(2026, 5, 4),)
    assert whole == ChartRecord(A_CODE, day)
    codes = frozenset({Code(LOINC, "3-3")})
    assert inner == ChartRecord(codes, day, None, Decimal(7), "{events}/h")


SNOMED = "http://snomed.info/sct"


@pytest.mark.parametrize(
    ("kind", "elements", "negative"),
    [
        ("Observation", {"valueBoolean": False}, True),
        ("Observation", {"valueBoolean": True}, False),
        ("Observation", {"valueCodeableConcept": concept("LA32-8")}, True),
        ("Observation", {"valueCodeableConcept": concept("2667000", SNOMED)}, True),
        ("Observation", {"valueCodeableConcept": concept("260385009", SNOMED)}, True),
        ("Observation", {"valueCodeableConcept": concept("373067005", SNOMED)}, True),
        ("Observation", {"valueCodeableConcept": concept("LA33-6")}, False),
        ("Observation", {"valueCodeableConcept": concept("LA32-8", SNOMED)}, False),
        ("Observation", {"valueCodeableConcept": {"text": "no"}}, False),
        ("Condition", {"verificationStatus": concept("refuted", VERIFICATION)}, True),
        ("Condition", {"verificationStatus": concept("confirmed", VERIFICATION)}, False),
    ],
)
def test_a_record_that_says_no(kind: str, elements: Json, negative: bool) -> None:
    (record,) = read(kind, **elements)
    assert record.negative is negative


def test_of_a_record_that_may_be_anybodys_the_codes_alone_are_taken() -> None:
    whole = ChartRecord(A_CODE, (date(2026, 5, 4),), None, Decimal(1), "kg", True)
    assert codes_alone(whole) == ChartRecord(A_CODE)
    open_ = ChartRecord(A_CODE, (date(2026, 5, 4),), settled=False)
    assert codes_alone(open_) == ChartRecord(A_CODE, settled=False)


def test_of_a_record_that_does_not_stand_the_codes_alone_are_taken() -> None:
    told = {"effectiveDateTime": "2026-05-04", "valueQuantity": quantity()}
    assert read("Observation", code=concept(), status="preliminary", **told) == [
        ChartRecord(A_CODE, settled=False)
    ]
    assert read("ServiceRequest", code=concept(), status="on-hold") == [
        ChartRecord(A_CODE, planned=True, settled=False)
    ]
