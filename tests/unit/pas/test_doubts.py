"""What in a request a person has to look at: each contradiction alone, one change at a time."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest

from tests.bundles import Json, Line, request_bundle, valid_npi
from tests.unit.pas.reading import a_response, add, claim, link, of_kind, read
from wiser_fhir.coverage.requested import CPT, HCPCS
from wiser_fhir.fhir import codes

Change = Callable[[Json], None]
LINES: tuple[Line, ...] = ("2.2", "2.0")
MBI = "1EG4TE5MK73"
SOMEBODY = "urn:uuid:somebody-else"


def _doubts(change: Change, **fields: Any) -> tuple[str, ...]:
    """The doubts about a request with one change."""
    bundle = request_bundle(**fields)
    change(bundle)
    return read(bundle).doubts


@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize("fields", [{}, {"answers": {"esi-purpose": True}}, {"site": "131"}])
def test_an_ordinary_request_raises_none(line: Line, fields: dict[str, Any]) -> None:
    assert read(request_bundle(line, ordering_npi=valid_npi("199999055"), **fields)).doubts == ()


def _extended(part: str, url: str, **value: Any) -> Change:
    """An extension more on the Claim, or on its first item."""

    def change(bundle: Json) -> None:
        holder = claim(bundle) if part == "claim" else claim(bundle)["item"][0]
        holder["extension"] = [{"url": url, **value}, *holder["extension"]]

    return change


def _coded(code: str, system: str = codes.X12_CERTIFICATION_TYPE) -> Json:
    return {"coding": [{"system": system, "code": code}]}


def _item(**elements: Any) -> Change:
    return lambda bundle: claim(bundle)["item"][0].update(elements)


def _insurance(**elements: Any) -> Change:
    return lambda bundle: claim(bundle)["insurance"][0].update(elements)


# The Claim

NOT_INITIAL = "The certification type is not that of an initial request."
EARLIER_REFERENCE = "The request names a reference number given before."


@pytest.mark.parametrize("part", ["claim", "item"])
@pytest.mark.parametrize(
    ("url", "value", "says"),
    [
        *[
            (codes.CERTIFICATION_TYPE, {"valueCodeableConcept": _coded(code)}, NOT_INITIAL)
            for code in ("4", "E", "N", "R", "S")
        ],
        (codes.ADMINISTRATION_REFERENCE_NUMBER, {"valueString": "R1"}, EARLIER_REFERENCE),
        (
            codes.PRODUCT_OR_SERVICE_CODE_END,
            {"valueCodeableConcept": _coded("64999", CPT)},
            "A range of codes is asked for.",
        ),
    ],
)
def test_more_than_a_new_request(part: str, url: str, value: Json, says: str) -> None:
    assert _doubts(_extended(part, url, **value)) == (says,)


@pytest.mark.parametrize(
    "value",
    [
        {"valueCodeableConcept": _coded("I")},
        {"valueCodeableConcept": _coded("R", "urn:other")},
        {"valueCodeableConcept": {"text": "initial"}},
        {},
    ],
)
def test_an_initial_certification_type_raises_none(value: Json) -> None:
    assert _doubts(_extended("claim", codes.CERTIFICATION_TYPE, **value)) == ()


@pytest.mark.parametrize("order", [("I", "S"), ("S", "I")])
def test_a_certification_type_beside_the_initial_one(order: tuple[str, str]) -> None:
    both = [_coded(code)["coding"][0] for code in order]
    change = _extended("item", codes.CERTIFICATION_TYPE, valueCodeableConcept={"coding": both})
    assert _doubts(change) == (NOT_INITIAL,)


def test_an_authorization_given_before() -> None:
    assert _doubts(_insurance(preAuthRef=["ZZB00000000001"])) == (
        "The request names an authorization given before.",
    )
    assert _doubts(_insurance(preAuthRef=[])) == ()


def test_a_line_in_details() -> None:
    detail = {"sequence": 1, "productOrService": _coded("22551", CPT)}
    assert _doubts(_item(detail=[detail])) == ("A line is split into details.",)


def test_a_doubt_is_said_once() -> None:
    bundle = request_bundle(codes=("64483", "64484"))
    for item in claim(bundle)["item"]:
        item["detail"] = []
    assert read(bundle).doubts == ("A line is split into details.",)


# The order behind a line

WITHDRAWN = "The order behind a line is withdrawn, or says not to perform."
ANOTHER_PROCEDURE = "The order behind a line is for another procedure."


def _both(*procedures: str) -> Json:
    return {"coding": [{"system": CPT, "code": code} for code in procedures]}


def _order(**elements: Any) -> Change:
    return lambda bundle: of_kind(bundle, "ServiceRequest").update(elements)


@pytest.mark.parametrize(
    ("elements", "says"),
    [
        ({"status": "revoked"}, (WITHDRAWN,)),
        ({"status": "entered-in-error"}, (WITHDRAWN,)),
        ({"doNotPerform": True}, (WITHDRAWN,)),
        ({"doNotPerform": False}, ()),
        ({"code": _coded("27447", CPT)}, (ANOTHER_PROCEDURE,)),
        ({"code": _coded("64483", CPT)}, ()),
        ({"code": _coded("C1767", HCPCS)}, (ANOTHER_PROCEDURE,)),
        ({"code": _both("64483", "27447")}, (ANOTHER_PROCEDURE,)),
        ({"code": _both("64483", "64483")}, ()),
        ({"code": _coded("231249005", "http://snomed.info/sct")}, ()),
        ({"code": {"text": "an injection"}}, ()),
        ({"code": None}, ()),
    ],
)
def test_an_order_that_contradicts_its_line(elements: Json, says: tuple[str, ...]) -> None:
    assert _doubts(_order(**elements)) == says


def test_a_line_without_an_order_raises_none() -> None:
    assert read(request_bundle(order=False)).doubts == ()


# The person


def _patient(**elements: Any) -> Change:
    return lambda bundle: of_kind(bundle, "Patient").update(elements)


HAS_DIED = "The request says that the beneficiary has died."
INACTIVE = "The beneficiary's record is not active."
UNBORN = "The date of birth lies in the future."


@pytest.mark.parametrize(
    ("elements", "says"),
    [
        ({"deceasedBoolean": True}, (HAS_DIED,)),
        ({"deceasedBoolean": False}, ()),
        ({"deceasedDateTime": "2026-10-01"}, (HAS_DIED,)),
        ({"_deceasedDateTime": {"extension": []}}, (HAS_DIED,)),
        ({"_deceasedBoolean": {"extension": []}}, (HAS_DIED,)),
        ({"active": False}, (INACTIVE,)),
        ({"active": True}, ()),
        ({"birthDate": "2026-11-21"}, (UNBORN,)),
        ({"birthDate": "2026-11-20"}, ()),
        ({"birthDate": "2030"}, ()),
    ],
)
def test_what_the_patient_says_of_itself(elements: Json, says: tuple[str, ...]) -> None:
    assert _doubts(_patient(**elements)) == says


@pytest.mark.parametrize("created", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59-12:00", "2026"])
def test_a_moment_at_the_edge_of_time_breaks_nothing(created: str) -> None:
    assert set(_doubts(lambda bundle: claim(bundle).update(created=created))) <= {UNBORN}


def test_a_request_about_nobody_we_find_raises_no_doubt_about_them() -> None:
    def nobody(bundle: Json) -> None:
        claim(bundle)["patient"] = {"reference": "urn:uuid:nobody"}
        claim(bundle)["insurance"] = []
        bundle["entry"] = [
            e for e in bundle["entry"] if e["resource"]["resourceType"] in ("Claim", "Organization")
        ]

    assert _doubts(nobody) == ()


def _numbered(kind: str, *identifiers: Json) -> Change:
    return lambda bundle: of_kind(bundle, kind)["identifier"].extend(identifiers)


TWO_NUMBERS = "The request names more than one Medicare number."
OLD_NUMBER = "The Medicare number is marked as an old one."


@pytest.mark.parametrize(
    "change",
    [
        _numbered("Patient", {"system": codes.MBI, "value": "9XX9XX9XX91"}),
        _numbered("Coverage", {"system": codes.MBI, "value": "9XX9XX9XX91"}),
        _numbered("Patient", {"system": codes.MBI_SYSTEMS[1], "value": "9XX9XX9XX91"}),
        _numbered("Patient", {"system": codes.MBI_SYSTEMS[2], "value": "9XX9XX9XX91"}),
        lambda bundle: of_kind(bundle, "Coverage").update(subscriberId="9XX9XX9XX91"),
        lambda bundle: of_kind(bundle, "Coverage")["identifier"][0].update(value="9XX9XX9XX91"),
    ],
    ids=["patient", "coverage", "by OID", "by URL", "subscriber", "coverage instead"],
)
def test_several_medicare_numbers(change: Change) -> None:
    assert _doubts(change) == (TWO_NUMBERS,)


@pytest.mark.parametrize(
    "change",
    [
        _numbered("Patient", {"system": codes.MBI, "value": "1eg4-te5-mk73"}),
        _numbered("Patient", {"system": "urn:some-hospital", "value": "12345"}),
        _numbered("Patient", {"system": codes.MBI}),
    ],
    ids=["written otherwise", "a record number", "no value"],
)
def test_one_medicare_number_however_often(change: Change) -> None:
    assert _doubts(change) == ()


def test_a_hospitals_member_number_is_none_of_medicares() -> None:
    kind = {"coding": [{"system": codes.IDENTIFIER_TYPE, "code": "MB"}]}
    other = {"type": kind, "system": "urn:other-plan", "value": "12345"}
    assert _doubts(_numbered("Patient", other)) == ()


@pytest.mark.parametrize("mark", [{"use": "old"}, {"period": {"end": "2020-01-01"}}])
def test_an_old_medicare_number(mark: Json) -> None:
    def marked(bundle: Json) -> None:
        of_kind(bundle, "Patient")["identifier"][0].update(mark)

    assert _doubts(marked) == (OLD_NUMBER,)
    assert _doubts(_numbered("Patient", {"system": codes.MBI, "value": MBI, **mark})) == (
        OLD_NUMBER,
    )


@pytest.mark.parametrize("mark", [{"use": "official"}, {"period": {"start": "2020-01-01"}}])
def test_a_number_that_stands(mark: Json) -> None:
    assert _doubts(_numbered("Patient", {"system": codes.MBI, "value": MBI, **mark})) == ()


# The coverage


def _second_coverage(*, focal: bool) -> Change:
    def change(bundle: Json) -> None:
        other = add(bundle, deepcopy(of_kind(bundle, "Coverage")), "urn:uuid:second")
        claim(bundle)["insurance"].append({"sequence": 2, "focal": focal, "coverage": other})

    return change


def test_two_coverages_that_count() -> None:
    says = ("More than one coverage is named as the one that counts.",)
    assert _doubts(_second_coverage(focal=True)) == says
    assert _doubts(_second_coverage(focal=False)) == ()


def _coverage(**elements: Any) -> Change:
    return lambda bundle: of_kind(bundle, "Coverage").update(elements)


@pytest.mark.parametrize(
    ("period", "reaches"),
    [
        ({"start": "2026-12-16"}, False),
        ({"start": "2026-12-15", "end": "2026-12-15"}, True),
        ({"end": "2026-12-14"}, False),
        ({"end": "2026-12-15"}, True),
        ({"end": "2021-01-01T00:00:00Z"}, False),
        ({"start": "2020-01-01"}, True),
    ],
)
def test_a_coverage_reaches_over_the_service(period: Json, reaches: bool) -> None:
    says = () if reaches else ("The coverage does not reach over the service.",)
    assert _doubts(_coverage(period=period)) == says


def test_it_does_so_on_every_day_of_a_service_of_several_days() -> None:
    def several_days(bundle: Json) -> None:
        item = claim(bundle)["item"][0]
        del item["servicedDate"]
        item["servicedPeriod"] = {"start": "2026-12-15", "end": "2026-12-17"}
        of_kind(bundle, "Coverage")["period"] = {"end": "2026-12-16"}

    assert _doubts(several_days) == ("The coverage does not reach over the service.",)


def test_a_service_without_a_date_ends_no_coverage() -> None:
    def undated(bundle: Json) -> None:
        del claim(bundle)["item"][0]["servicedDate"]
        of_kind(bundle, "Coverage")["period"] = {"end": "2021-01-01"}

    assert _doubts(undated) == ()


def _somebody_else(bundle: Json) -> Json:
    """Another patient in the Bundle; the reference to them."""
    other = deepcopy(of_kind(bundle, "Patient"))
    other["name"] = [{"family": "Otherman"}]
    return add(bundle, other, SOMEBODY)


def test_another_persons_coverage() -> None:
    def theirs(bundle: Json) -> None:
        of_kind(bundle, "Coverage")["beneficiary"] = _somebody_else(bundle)

    assert "The coverage is another person's." in _doubts(theirs)


@pytest.mark.parametrize(
    "beneficiary",
    [
        {"display": "Ada"},
        {"identifier": {"system": codes.MBI, "value": "9XX9XX9XX91"}},
        {"reference": "urn:uuid:nobody"},
        None,
    ],
)
def test_a_coverage_of_nobody_we_find_is_another_persons(beneficiary: Json | None) -> None:
    says = ("The coverage is another person's.",)
    assert _doubts(_coverage(beneficiary=beneficiary)) == says


def test_a_coverage_of_a_practitioner_is_another_persons() -> None:
    def theirs(bundle: Json) -> None:
        doctor = next(
            e["fullUrl"] for e in bundle["entry"] if e["resource"]["resourceType"] == "Practitioner"
        )
        of_kind(bundle, "Coverage")["beneficiary"] = {"reference": doctor}

    assert _doubts(theirs) == ("The coverage is another person's.",)


# The forms

UNLINKED = "A form came that the Claim does not point at."
NOT_PLAIN = "A Bundle of forms is not a plain collection that the Claim points at."


def test_a_form_that_the_claim_does_not_point_at() -> None:
    def unlinked(bundle: Json) -> None:
        add(bundle, a_response(bundle))

    assert _doubts(unlinked) == (UNLINKED,)
    assert _doubts(lambda bundle: link(bundle, a_response(bundle))) == ()


def _dtr_bundle(kind: str, *inner: Json) -> Change:
    def change(bundle: Json) -> None:
        entries = [{"fullUrl": "urn:uuid:inner", "resource": a_response(bundle)}, *inner]
        link(bundle, {"resourceType": "Bundle", "type": kind, "entry": entries})

    return change


NESTED = {"fullUrl": "urn:uuid:nested", "resource": {"resourceType": "Bundle", "entry": []}}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (_dtr_bundle("collection"), ()),
        (_dtr_bundle("searchset"), (NOT_PLAIN,)),
        (_dtr_bundle("batch", {"request": {"method": "DELETE", "url": "x"}}), (NOT_PLAIN,)),
        (_dtr_bundle("collection", NESTED), (NOT_PLAIN,)),
        (lambda bundle: link(bundle, {"resourceType": "Bundle", "type": "collection"}), ()),
    ],
    ids=["plain", "a search", "a batch", "a Bundle inside", "empty"],
)
def test_a_dtr_bundle_is_a_plain_collection(change: Change, says: tuple[str, ...]) -> None:
    assert _doubts(change) == says


NOT_ONE = "A Bundle of forms does not begin with its one form."
A_PATIENT = {"fullUrl": "urn:uuid:copy", "resource": {"resourceType": "Patient"}}
A_FORM = {"fullUrl": "urn:uuid:more", "resource": {"resourceType": "QuestionnaireResponse"}}


def _of_forms(*entries: Json) -> Change:
    inner = {"resourceType": "Bundle", "type": "collection", "entry": list(entries)}
    return lambda bundle: link(bundle, inner)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (_of_forms(A_FORM, A_PATIENT), ()),
        (_of_forms(A_PATIENT, A_FORM), (NOT_ONE,)),
        (_of_forms(A_FORM, A_FORM), (NOT_ONE,)),
        (_of_forms(A_PATIENT), ()),
    ],
    ids=["first", "not first", "two", "none"],
)
def test_a_dtr_bundle_begins_with_its_one_form(change: Change, says: tuple[str, ...]) -> None:
    assert _doubts(change) == says


def test_a_dtr_bundle_that_the_claim_does_not_point_at() -> None:
    def unlinked(bundle: Json) -> None:
        entry = {"fullUrl": "urn:uuid:inner", "resource": a_response(bundle)}
        add(bundle, {"resourceType": "Bundle", "type": "collection", "entry": [entry]})

    assert _doubts(unlinked) == (NOT_PLAIN,)


# Providers


@pytest.mark.parametrize("kind", ["Practitioner", "Organization", "PractitionerRole"])
@pytest.mark.parametrize("system", codes.NPI_SYSTEMS)
def test_a_provider_with_two_numbers(kind: str, system: str) -> None:
    def two(bundle: Json) -> None:
        holder = of_kind(bundle, kind)
        number = {"system": codes.NPI, "value": valid_npi("199999044")}
        holder["identifier"] = [*holder.get("identifier", ()), number]
        holder["identifier"].append({"system": system, "value": valid_npi("199999066")})

    assert _doubts(two) == ("A provider is named with more than one NPI.",)


def test_so_is_one_inside_the_claim() -> None:
    def contained(bundle: Json) -> None:
        numbers = [valid_npi("199999044"), valid_npi("199999066")]
        identifiers = [{"system": codes.NPI, "value": number} for number in numbers]
        inside = {"resourceType": "Organization", "id": "us", "identifier": identifiers}
        claim(bundle)["contained"] = [inside]

    assert _doubts(contained) == ("A provider is named with more than one NPI.",)


def test_one_number_under_both_names_is_one() -> None:
    def again(bundle: Json) -> None:
        holder = of_kind(bundle, "Practitioner")
        number = holder["identifier"][0]["value"]
        holder["identifier"] += [{"system": codes.NPI_SYSTEMS[1], "value": number}, {"value": "1"}]

    assert _doubts(again) == ()


ABROAD = "An address lies outside the United States."


@pytest.mark.parametrize("kind", ["Organization", "Practitioner", "Location"])
@pytest.mark.parametrize(
    ("country", "says"),
    [("MX", (ABROAD,)), (" usa ", ()), ("US", ()), ("United States", ())],
)
def test_an_address_abroad(kind: str, country: str, says: tuple[str, ...]) -> None:
    def moved(bundle: Json) -> None:
        address = of_kind(bundle, kind)["address"]
        (address[0] if isinstance(address, list) else address)["country"] = country

    assert _doubts(moved) == says


@pytest.mark.parametrize(
    ("state", "plain"),
    [("TX", True), (" tx ", True), ("Texas", False), ("T", False), ("T1", False)],
)
def test_a_state_has_two_letters(state: str, plain: bool) -> None:
    def moved(bundle: Json) -> None:
        of_kind(bundle, "Practitioner")["address"][0]["state"] = state

    says = () if plain else ("An address does not name its state by two letters.",)
    assert _doubts(moved) == says


def test_so_does_one_inside_the_claim() -> None:
    def contained(bundle: Json) -> None:
        inside = {"resourceType": "Location", "id": "there", "address": {"country": "MX"}}
        claim(bundle)["contained"] = [inside]

    assert _doubts(contained) == (ABROAD,)


def test_where_the_beneficiary_lives_and_an_address_without_a_country_raise_none() -> None:
    def moved(bundle: Json) -> None:
        of_kind(bundle, "Patient")["address"][0]["country"] = "MX"
        del of_kind(bundle, "Location")["address"]["country"]
        del of_kind(bundle, "Location")["address"]["state"]
        del of_kind(bundle, "Practitioner")["address"]

    assert _doubts(moved) == ()


# Other people

ANOTHER = "A part of the request is about another person."


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("Coverage", "beneficiary"),
        ("DocumentReference", "subject"),
        ("ServiceRequest", "subject"),
        ("Device", "patient"),
    ],
)
def test_a_record_about_somebody_else(kind: str, name: str) -> None:
    def change(bundle: Json) -> None:
        add(bundle, {"resourceType": "Device"}, "urn:uuid:device")
        of_kind(bundle, kind)[name] = _somebody_else(bundle)

    assert ANOTHER in _doubts(change)


@pytest.mark.parametrize(
    "subject", [None, "Ada", {"display": "Ada"}, {"reference": "urn:uuid:nobody"}]
)
def test_a_record_about_nobody_we_find_raises_none(subject: object) -> None:
    assert _doubts(lambda b: of_kind(b, "DocumentReference").update(subject=subject)) == ()


def _in_the_bundle_of_forms(bundle: Json, subject: Json, *beside: Json) -> None:
    measure = {"resourceType": "Observation", "status": "final", "subject": subject}
    entries = [
        {"fullUrl": "urn:uuid:inner", "resource": a_response(bundle)},
        {"fullUrl": "urn:uuid:measure", "resource": measure},
        *beside,
    ]
    link(bundle, {"resourceType": "Bundle", "type": "collection", "entry": entries})


def test_so_is_one_beside_a_form() -> None:
    def change(bundle: Json) -> None:
        _in_the_bundle_of_forms(bundle, _somebody_else(bundle))

    assert _doubts(change) == (ANOTHER,)


def test_an_equal_copy_of_the_patient_beside_a_form_raises_none() -> None:
    def change(bundle: Json) -> None:
        copy = {"fullUrl": "urn:uuid:copy", "resource": deepcopy(of_kind(bundle, "Patient"))}
        _in_the_bundle_of_forms(bundle, {"reference": "urn:uuid:copy"}, copy)

    assert _doubts(change) == ()


@pytest.mark.parametrize("kind", ["Group", "Device", "Location"])
def test_a_record_about_no_person_is_about_somebody_else(kind: str) -> None:
    def change(bundle: Json) -> None:
        inside = {"resourceType": kind, "id": "x"}
        measure = {"resourceType": "Observation", "status": "final", "contained": [inside]}
        add(bundle, {**measure, "subject": {"reference": "#x"}})

    assert _doubts(change) == (ANOTHER,)


def test_so_is_a_record_contained_in_another() -> None:
    def change(bundle: Json) -> None:
        other = _somebody_else(bundle)
        of_kind(bundle, "ServiceRequest")["contained"] = [
            {"resourceType": "Observation", "id": "o", "status": "final", "subject": other}
        ]

    assert _doubts(change) == (ANOTHER,)


def test_another_patient_whom_nothing_is_about_raises_none() -> None:
    def change(bundle: Json) -> None:
        _somebody_else(bundle)

    assert _doubts(change) == ()
