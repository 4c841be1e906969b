"""Who asks for what, and how urgently: the facts of a request that are not its people or items."""

from decimal import Decimal

import pytest

from tests.bundles import Item, Json, Line, request_bundle
from tests.unit.pas.reading import ORGANIZATION, RECEIVED, add, claim, of_kind, read, with_profile
from wiser_fhir.coverage.requested import CPT, HCPCS, Code
from wiser_fhir.fhir import codes
from wiser_fhir.fhir.values import decimal, full_date, instant
from wiser_fhir.pas.request import RequestBundle
from wiser_fhir.priorauth.models import CoverageKind, Identifier, RequestKind

LINES: tuple[Line, ...] = ("2.2", "2.0")
PAS = codes.PAS


@pytest.mark.parametrize("line", LINES)
def test_a_request_is_named_by_its_bundle_and_its_claim(line: Line) -> None:
    bundle = request_bundle(line, identifier="bundle-1", trace="trace-1")
    found = read(bundle)
    assert found.organization_id == ORGANIZATION
    assert found.received_at == RECEIVED
    assert found.identifier == Identifier("https://ehr.sandbox.example/bundle-id", "bundle-1")
    assert found.trace == Identifier("https://ehr.sandbox.example/trace", "trace-1")
    assert found.kind is RequestKind.INITIAL
    assert found.previous_utn is None


def test_of_several_trace_numbers_the_first_is_kept() -> None:
    bundle = request_bundle(trace="first")
    claim(bundle)["identifier"].append({"system": "urn:other", "value": "second"})
    assert read(bundle).trace.value == "first"


def test_line_2_0_may_leave_the_trace_number_out() -> None:
    bundle = request_bundle("2.0")
    del claim(bundle)["identifier"]
    assert read(bundle).trace == Identifier(None, "")


def test_an_identifier_without_a_system_is_one_all_the_same() -> None:
    bundle = request_bundle()
    bundle["identifier"] = {"value": "plain"}
    assert read(bundle).identifier == Identifier(None, "plain")


def test_a_previous_number_on_an_item_makes_a_resubmission() -> None:
    found = read(request_bundle(previous_utn="ZZB00000000001"))
    assert (found.kind, found.previous_utn) == (RequestKind.RESUBMISSION, "ZZB00000000001")


def test_a_previous_number_on_the_claim_goes_before_an_items() -> None:
    bundle = request_bundle(previous_utn="ZZB00000000001")
    number = {"url": codes.AUTHORIZATION_NUMBER, "valueString": "ZZB00000000002"}
    claim(bundle)["extension"].append(number)
    assert read(bundle).previous_utn == "ZZB00000000002"


def test_a_previous_number_without_a_value_is_none() -> None:
    bundle = request_bundle()
    claim(bundle)["item"][0]["extension"].append({"url": codes.AUTHORIZATION_NUMBER})
    assert read(bundle).kind is RequestKind.INITIAL


@pytest.mark.parametrize(
    ("system", "code", "urgent"),
    [
        (codes.X12_LEVEL_OF_SERVICE, "U", True),
        (codes.X12_LEVEL_OF_SERVICE, "E", False),
        (codes.X12_LEVEL_OF_SERVICE, "03", True),
        (codes.X12_LEVEL_OF_SERVICE, "ZZ", False),
        ("urn:another-system", "U", False),
    ],
)
def test_a_level_of_service_can_ask_for_speed(system: str, code: str, urgent: bool) -> None:
    bundle = request_bundle()
    concept = {"coding": [{"system": system, "code": code}]}
    level = {"url": codes.LEVEL_OF_SERVICE, "valueCodeableConcept": concept}
    claim(bundle)["extension"].append(level)
    assert read(bundle).expedite_requested is urgent


def test_so_can_the_priority_alone() -> None:
    bundle = request_bundle()
    claim(bundle)["priority"]["coding"][0]["code"] = "stat"
    assert read(bundle).expedite_requested


def test_a_normal_request_is_not_urgent() -> None:
    assert not read(request_bundle()).expedite_requested
    assert read(request_bundle(expedited=True)).expedite_requested


@pytest.mark.parametrize(
    "profile", [PAS + "profile-claim-update", PAS + "profile-claim-update|2.2.1"]
)
def test_an_update_is_known_by_its_profile(profile: str) -> None:
    bundle = request_bundle()
    claim(bundle)["meta"]["profile"] = [profile]
    assert RequestBundle.of(bundle).is_update()


def test_an_update_is_known_by_the_claim_it_is_related_to() -> None:
    bundle = request_bundle()
    assert not RequestBundle.of(bundle).is_update()
    claim(bundle)["related"] = [{"claim": {"reference": "urn:uuid:earlier"}}]
    assert RequestBundle.of(bundle).is_update()


def _certification(code: str, system: str = codes.X12_CERTIFICATION_TYPE) -> Json:
    concept = {"coding": [{"system": system, "code": code}]}
    return {"url": codes.CERTIFICATION_TYPE, "valueCodeableConcept": concept}


def _holder(bundle: Json, part: str) -> Json:
    """The Claim or the first of its items or documents, without what it says of itself."""
    holder: Json = claim(bundle) if part == "claim" else claim(bundle)[part][0]
    return holder


@pytest.mark.parametrize("part", ["claim", "item"])
@pytest.mark.parametrize(("code", "update"), [("3", True), ("I", False), ("4", False)])
def test_an_update_is_known_by_its_certification_type(part: str, code: str, update: bool) -> None:
    bundle = request_bundle()
    _holder(bundle, part)["extension"] = [_certification(code)]
    assert RequestBundle.of(bundle).is_update() is update


@pytest.mark.parametrize("order", [("I", "3"), ("3", "I")])
def test_so_it_is_by_one_of_several(order: tuple[str, str]) -> None:
    codings = [{"system": codes.X12_CERTIFICATION_TYPE, "code": code} for code in order]
    both, twice = request_bundle(), request_bundle()
    concept = {"coding": codings}
    kind = {"url": codes.CERTIFICATION_TYPE, "valueCodeableConcept": concept}
    _holder(both, "item")["extension"] = [kind]
    assert RequestBundle.of(both).is_update()
    _holder(twice, "claim")["extension"] = [_certification(code) for code in order]
    assert RequestBundle.of(twice).is_update()


def test_another_systems_certification_type_tells_nothing() -> None:
    bundle = request_bundle()
    _holder(bundle, "item")["extension"] = [_certification("3", "urn:another-system")]
    assert not RequestBundle.of(bundle).is_update()


@pytest.mark.parametrize("part", ["claim", "item", "supportingInfo"])
def test_an_update_is_known_by_what_is_cancelled_or_changed(part: str) -> None:
    cancelled, changed = request_bundle(), request_bundle()
    flag = {"url": codes.INFO_CANCELLED, "valueBoolean": True}
    _holder(cancelled, part)["modifierExtension"] = [flag]
    assert RequestBundle.of(cancelled).is_update()
    _holder(changed, part)["extension"] = [{"url": codes.INFO_CHANGED, "valueCode": "added"}]
    assert RequestBundle.of(changed).is_update()


def test_another_modifier_makes_no_update() -> None:
    bundle = request_bundle()
    claim(bundle)["item"][0]["modifierExtension"] = [{"url": "urn:other", "valueBoolean": True}]
    assert not RequestBundle.of(bundle).is_update()


# Beneficiary


def _numbers(bundle: Json) -> tuple[Json, Json]:
    """Patient and Coverage without any member number."""
    patient, coverage = of_kind(bundle, "Patient"), of_kind(bundle, "Coverage")
    patient["identifier"] = [i for i in patient["identifier"] if i["system"] != codes.MBI]
    coverage["identifier"] = []
    del coverage["subscriberId"]
    return patient, coverage


def _mbi(bundle: Json) -> str | None:
    return RequestBundle.of(bundle).medicare_number


def _member_id(value: str, system: str = "urn:some-plan") -> Json:
    kind = {"coding": [{"system": codes.IDENTIFIER_TYPE, "code": "MB"}]}
    return {"type": kind, "system": system, "value": value}


def test_the_beneficiary_is_the_claims_patient() -> None:
    person = read(request_bundle()).beneficiary
    assert (person.mbi, person.family, person.given) == ("1EG4TE5MK73", "Testfeather", "Ada")
    assert person.birth_date == full_date("1948-03-09")


def test_a_medicare_number_is_found_wherever_it_stands_best_place_first() -> None:
    bundle = request_bundle()
    patient, coverage = _numbers(bundle)
    assert _mbi(bundle) is None
    patient["identifier"].append(_member_id("ON-PATIENT-MB"))
    assert _mbi(bundle) == "ONPATIENTMB"
    coverage["subscriberId"] = "subscriber"
    assert _mbi(bundle) == "SUBSCRIBER"
    coverage["identifier"].append(_member_id("on-coverage-mb"))
    assert _mbi(bundle) == "ONCOVERAGEMB"
    coverage["identifier"].append({"system": codes.MBI, "value": "2FH5UF6NK84"})
    assert _mbi(bundle) == "2FH5UF6NK84"
    patient["identifier"].append({"system": codes.MBI, "value": "1EG4TE5MK73"})
    assert _mbi(bundle) == "1EG4TE5MK73"


@pytest.mark.parametrize("system", codes.MBI_SYSTEMS)
def test_medicares_own_system_has_several_names(system: str) -> None:
    bundle = request_bundle()
    patient, coverage = _numbers(bundle)
    coverage["subscriberId"] = "subscriber"
    patient["identifier"].append({"system": system, "value": "2FH5UF6NK84"})
    assert _mbi(bundle) == "2FH5UF6NK84"


def test_a_number_without_a_value_is_passed_over() -> None:
    bundle = request_bundle()
    patient, coverage = _numbers(bundle)
    patient["identifier"].append({"system": codes.MBI})
    coverage["subscriberId"] = "1EG4TE5MK73"
    assert _mbi(bundle) == "1EG4TE5MK73"


@pytest.mark.parametrize("written", ["1EG4-TE5-MK73", "1eg4te5mk73", "  1EG4-te5-MK73 "])
def test_a_medicare_number_is_kept_plain(written: str) -> None:
    assert _mbi(request_bundle(mbi=written)) == "1EG4TE5MK73"


def test_a_patient_who_tells_nothing_leaves_blanks() -> None:
    bundle = request_bundle()
    patient, _ = _numbers(bundle)
    del patient["name"], patient["birthDate"]
    person = read(bundle).beneficiary
    assert (person.mbi, person.family, person.given, person.birth_date) == (None,) * 4


@pytest.mark.parametrize("partial", ["1948", "1948-03"])
def test_a_birth_date_without_a_day_is_none(partial: str) -> None:
    bundle = request_bundle()
    of_kind(bundle, "Patient")["birthDate"] = partial
    assert read(bundle).beneficiary.birth_date is None


# Coverage


def _kind(system: str | None, code: str | None) -> CoverageKind:
    bundle = request_bundle()
    of_kind(bundle, "Coverage")["type"] = {"coding": [{"system": system, "code": code}]}
    of_kind(bundle, "Coverage")["payor"] = [{"display": "A payer that is not told"}]
    return read(bundle).coverage


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("12", CoverageKind.ORIGINAL_MEDICARE),
        ("121", CoverageKind.ORIGINAL_MEDICARE),
        ("11", CoverageKind.MEDICARE_ADVANTAGE),
        ("111", CoverageKind.MEDICARE_ADVANTAGE),
        ("14", CoverageKind.MEDICARE_ADVANTAGE),
        ("2", CoverageKind.MEDICAID),
        ("21", CoverageKind.MEDICAID),
        ("1", CoverageKind.UNKNOWN),
        ("5", CoverageKind.UNKNOWN),
    ],
)
def test_a_source_of_payment_tells_the_plan(code: str, kind: CoverageKind) -> None:
    assert _kind("https://nahdo.org/sopt", code) is kind


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("MA", CoverageKind.ORIGINAL_MEDICARE),
        ("MB", CoverageKind.ORIGINAL_MEDICARE),
        ("16", CoverageKind.MEDICARE_ADVANTAGE),
        ("MC", CoverageKind.MEDICAID),
        ("CI", CoverageKind.UNKNOWN),
    ],
)
def test_so_does_a_claim_filing_indicator(code: str, kind: CoverageKind) -> None:
    assert _kind("https://codesystem.x12.org/005010/1032", code) is kind


@pytest.mark.parametrize("code", ["12", None])
def test_what_another_system_says_is_unknown(code: str | None) -> None:
    assert _kind("urn:another-system", code) is CoverageKind.UNKNOWN


def test_of_codes_that_contradict_each_other_the_other_plan_counts() -> None:
    bundle = request_bundle()
    codings = [{"system": "https://nahdo.org/sopt", "code": code} for code in ("12", "111")]
    for order in (codings, codings[::-1]):
        of_kind(bundle, "Coverage")["type"] = {"coding": order}
        assert read(bundle).coverage is CoverageKind.MEDICARE_ADVANTAGE


def _railroad() -> Json:
    return {"system": "https://wiser-fhir.example/payer", "value": "railroad"}


@pytest.mark.parametrize(
    ("code", "kind"),
    [("12", CoverageKind.RAILROAD), ("11", CoverageKind.MEDICARE_ADVANTAGE)],
)
def test_type_and_payor_may_contradict_each_other(code: str, kind: CoverageKind) -> None:
    bundle = request_bundle()
    coding = {"system": "https://nahdo.org/sopt", "code": code}
    of_kind(bundle, "Coverage")["type"] = {"coding": [coding]}
    of_kind(bundle, "Coverage")["payor"] = [{"identifier": _railroad()}]
    assert read(bundle).coverage is kind


def test_a_payors_identifier_tells_railroad_medicare() -> None:
    bundle = request_bundle(payer="railroad")
    with_profile(bundle, "profile-insurer")["identifier"] = [_railroad()]
    assert read(bundle).coverage is CoverageKind.RAILROAD


def test_a_payor_may_be_named_by_identifier_alone() -> None:
    bundle = request_bundle(payer="railroad")
    of_kind(bundle, "Coverage")["payor"] = [{"identifier": _railroad()}]
    assert read(bundle).coverage is CoverageKind.RAILROAD


def test_without_a_focal_coverage_nothing_is_known_of_it() -> None:
    bundle = request_bundle()
    _numbers(bundle)
    claim(bundle)["insurance"] = []
    found = read(bundle)
    assert found.coverage is CoverageKind.UNKNOWN
    assert found.beneficiary.mbi is None


def test_of_several_coverages_the_focal_one_counts() -> None:
    bundle = request_bundle()
    other = {"type": {"coding": [{"system": "https://nahdo.org/sopt", "code": "2"}]}}
    reference = add(bundle, {"resourceType": "Coverage", **other})
    insurance = {"sequence": 2, "focal": False, "coverage": reference}
    claim(bundle)["insurance"].insert(0, insurance)
    assert read(bundle).coverage is CoverageKind.ORIGINAL_MEDICARE


# Diagnoses


def test_diagnoses_keep_their_order() -> None:
    assert read(request_bundle(diagnoses=("M54.16", "M48.061"))).diagnoses == ("M54.16", "M48.061")


def test_every_coding_of_a_diagnosis_is_read_in_capitals() -> None:
    bundle = request_bundle()
    claim(bundle)["diagnosis"][0]["diagnosisCodeableConcept"]["coding"] = [
        {"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "m80.08xa"},
        {"system": "http://snomed.info/sct", "code": "64859006"},
        {"display": "no code at all"},
    ]
    assert read(bundle).diagnoses == ("M80.08XA", "64859006")


def test_a_diagnosis_may_be_a_condition_in_the_bundle() -> None:
    bundle = request_bundle()
    code = {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "M48.061"}]}
    reference = add(bundle, {"resourceType": "Condition", "code": code})
    claim(bundle)["diagnosis"] = [{"sequence": 1, "diagnosisReference": reference}]
    assert read(bundle).diagnoses == ("M48.061",)


def test_a_diagnosis_that_leads_nowhere_is_none() -> None:
    bundle = request_bundle()
    nowhere = {"reference": "urn:uuid:nowhere"}
    claim(bundle)["diagnosis"] = [{"sequence": 1, "diagnosisReference": nowhere}]
    assert read(bundle).diagnoses == ()


def test_a_request_may_name_no_diagnosis() -> None:
    assert read(request_bundle(diagnoses=())).diagnoses == ()


# Small values


@pytest.mark.parametrize(
    ("text", "day"), [("2026-12-15", (2026, 12, 15)), ("2026-12", None), ("2026", None)]
)
def test_only_a_whole_date_names_a_day(text: str, day: tuple[int, int, int] | None) -> None:
    found = full_date(text)
    assert (found and (found.year, found.month, found.day)) == day
    assert full_date(None) is None


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2026-11-19T10:00:00-05:00", "2026-11-19T15:00:00+00:00"),
        ("2026-11-19T15:00:00.123Z", "2026-11-19T15:00:00.123000+00:00"),
        ("2026-11-19", "2026-11-19T00:00:00+00:00"),
        ("2026-11", None),
        (None, None),
    ],
)
def test_an_instant_knows_its_zone(text: str | None, utc: str | None) -> None:
    found = instant(text)
    if found is None:
        assert utc is None
    else:
        assert found.utcoffset() is not None
        assert found == instant(utc)


def test_a_number_stays_what_was_written() -> None:
    assert decimal(1.5) == Decimal("1.5")
    assert decimal(3) == Decimal(3)
    assert decimal(None) is None


def test_codes_keep_their_systems() -> None:
    item = read(request_bundle(codes=("64483", Item("C1767")))).items
    assert [i.service.codes for i in item] == [(Code(CPT, "64483"),), (Code(HCPCS, "C1767"),)]
