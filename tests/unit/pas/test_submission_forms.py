"""Forms that come with a request."""

from copy import deepcopy
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from tests.bundles import Form, Json, Line, request_bundle
from tests.unit.pas.reading import (
    CODE_SYSTEM,
    FORM,
    ORIGIN,
    a_response,
    add,
    answered,
    claim,
    form_of,
    link,
    of_kind,
    read,
)
from wiser_fhir.fhir.values import instant
from wiser_fhir.priorauth.models import Answer, GivenAs, Origin

LINES: tuple[Line, ...] = ("2.2", "2.0")
SERVICE = "epidural-steroid-injection"
TYPES = {"esi-purpose": "boolean", "esi-indication": "choice", "esi-contra": "multi_choice"}
ANSWERS = {"esi-purpose": True, "esi-indication": "radicular", "esi-contra": ["none"]}
READ = {
    "esi-purpose": Answer(True, Origin.MANUAL),
    "esi-indication": Answer("radicular", Origin.MANUAL),
    "esi-contra": Answer("none", Origin.MANUAL),
}


@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize("in_bundle", [False, True], ids=["bare", "in a DTR Bundle"])
def test_a_linked_form_is_read(line: Line, in_bundle: bool) -> None:
    sent = Form(ANSWERS, types=TYPES, in_bundle=in_bundle)
    (form,) = read(request_bundle(line, forms=(sent,))).forms
    base = (
        "https://wiser-fhir.example/fhir"
        if line == "2.2"
        else "https://wiser-fhir.example/v2.0/fhir"
    )
    assert form.questionnaire == f"{base}/Questionnaire/{SERVICE}"
    assert form.version == "2026-01-15"
    assert form.completed
    assert form.about_the_patient
    assert form.authored == instant("2026-11-19T15:00:00Z")
    assert form.answers == READ


def test_a_form_that_the_claim_does_not_point_to_is_not_one_of_it() -> None:
    bundle = request_bundle()
    add(bundle, a_response(bundle, {"linkId": "q", "answer": [{"valueBoolean": True}]}))
    assert read(bundle).forms == ()


def test_a_dtr_bundle_that_the_claim_does_not_point_to_is_not_one_of_it() -> None:
    bundle = request_bundle()
    entry = {"fullUrl": "urn:uuid:inner", "resource": a_response(bundle)}
    add(bundle, {"resourceType": "Bundle", "type": "collection", "entry": [entry]})
    assert read(bundle).forms == ()


def test_a_dtr_bundle_without_a_response_holds_no_form() -> None:
    bundle = request_bundle()
    entry = {"fullUrl": "urn:uuid:inner", "resource": {"resourceType": "Patient"}}
    link(bundle, {"resourceType": "Bundle", "type": "collection", "entry": [entry]})
    assert read(bundle).forms == ()


def test_several_forms_keep_their_order() -> None:
    sent = (Form(ANSWERS, types=TYPES), Form({}, types={}, version="2025-01-01"))
    assert [f.version for f in read(request_bundle(forms=sent)).forms] == [
        "2026-01-15",
        "2025-01-01",
    ]


def test_supporting_information_that_leads_nowhere_is_passed_over() -> None:
    bundle = request_bundle()
    claim(bundle)["supportingInfo"].append({"sequence": 9, "valueString": "a note"})
    claim(bundle)["supportingInfo"].append(
        {"sequence": 10, "valueReference": {"reference": "urn:uuid:x"}}
    )
    assert read(bundle).forms == ()


# What a form says of itself


@pytest.mark.parametrize(
    ("canonical", "parts"),
    [
        ("http://a.example/Q|1", ("http://a.example/Q", "1")),
        ("http://a.example/Q", ("http://a.example/Q", None)),
        ("http://a.example/Q|", ("http://a.example/Q", None)),
        ("", (None, None)),
    ],
)
def test_a_questionnaire_and_its_version(
    canonical: str, parts: tuple[str | None, str | None]
) -> None:
    form = form_of(questionnaire=canonical)
    assert (form.questionnaire, form.version) == parts


@pytest.mark.parametrize("status", ["in-progress", "amended", "entered-in-error", "stopped"])
def test_only_a_completed_form_is_completed(status: str) -> None:
    assert not form_of(status=status).completed


def test_a_form_without_its_moment_has_none() -> None:
    assert form_of(authored=None).authored is None


def test_a_form_about_another_person_says_so() -> None:
    bundle = request_bundle()
    other = add(bundle, {"resourceType": "Patient"}, "urn:uuid:other")
    link(bundle, a_response(bundle, subject=other))
    assert not read(bundle).forms[0].about_the_patient


@pytest.mark.parametrize(
    "subject", [None, {"display": "Ada"}, {"reference": "urn:uuid:nobody"}, {"identifier": {}}]
)
def test_a_form_about_nobody_we_know_is_not_about_the_patient(subject: Json | None) -> None:
    assert not form_of(subject=subject).about_the_patient


def test_without_a_patient_no_form_is_about_the_patient() -> None:
    bundle = request_bundle()
    link(bundle, a_response(bundle))
    claim(bundle)["patient"] = {"reference": "urn:uuid:nobody"}
    assert not read(bundle).forms[0].about_the_patient


def _in_a_dtr_bundle(subject: str, *inner: Json) -> bool:
    """Whether a form inside a DTR Bundle, its patient inside too, is about the patient."""
    bundle = request_bundle()
    response = a_response(bundle, subject={"reference": subject})
    entries = [{"fullUrl": "urn:uuid:response", "resource": response}, *inner]
    link(bundle, {"resourceType": "Bundle", "type": "collection", "entry": entries})
    return read(bundle).forms[0].about_the_patient


def _patient_entry() -> Json:
    """The Patient's entry in the Bundle that `_in_a_dtr_bundle` sends."""
    found: Json = next(
        e for e in request_bundle()["entry"] if e["resource"]["resourceType"] == "Patient"
    )
    return found


def test_an_equal_copy_inside_a_dtr_bundle_is_the_same_patient() -> None:
    copy = _patient_entry()
    assert _in_a_dtr_bundle(copy["fullUrl"], copy)


def test_a_dtr_bundle_may_begin_with_anything() -> None:
    """Its first entry is no Claim, and in a batch it may hold no resource at all."""
    bundle = request_bundle()
    response = a_response(bundle, subject={"reference": "#patient"})
    entries = [{"request": {"method": "DELETE", "url": "Patient/1"}}, {"resource": response}]
    link(bundle, {"resourceType": "Bundle", "type": "batch", "entry": entries})
    assert not read(bundle).forms[0].about_the_patient


@pytest.mark.parametrize("name", ["birthDate", "identifier", "name"])
def test_another_person_under_the_patients_full_url_is_not_the_patient(name: str) -> None:
    other = _patient_entry()
    del other["resource"][name]
    assert not _in_a_dtr_bundle(other["fullUrl"], other)


def test_the_same_record_under_another_full_url_is_the_patient() -> None:
    copy = {**_patient_entry(), "fullUrl": "urn:uuid:copied"}
    assert _in_a_dtr_bundle("urn:uuid:copied", copy)


def test_a_record_that_identifies_nobody_is_nobodys_copy() -> None:
    bundle = request_bundle()
    patient = of_kind(bundle, "Patient")
    del patient["identifier"]
    other = add(bundle, deepcopy(patient), "urn:uuid:other")
    link(bundle, a_response(bundle, subject=other))
    assert not read(bundle).forms[0].about_the_patient


def _contained(bundle: Json) -> tuple[Json, Json]:
    """The patient and somebody else, both to be contained, in that order."""
    patient = {**deepcopy(of_kind(bundle, "Patient")), "id": "patient"}
    return patient, {**deepcopy(patient), "id": "other", "birthDate": "1950-01-01"}


@pytest.mark.parametrize("same_id", [False, True])
def test_of_two_contained_people_one_is_not_the_other(same_id: bool) -> None:
    """Neither has a full URL, which makes nobody the same."""
    bundle = request_bundle()
    patient, other = _contained(bundle)
    if same_id:
        other["id"] = patient["id"]
    claim(bundle)["contained"] = [patient]
    claim(bundle)["patient"] = {"reference": "#patient"}
    link(bundle, a_response(bundle, subject={"reference": f"#{other['id']}"}, contained=[other]))
    assert not read(bundle).forms[0].about_the_patient


def test_a_contained_copy_of_the_patient_is_not_the_patient() -> None:
    bundle = request_bundle()
    patient, _ = _contained(bundle)
    link(bundle, a_response(bundle, subject={"reference": "#patient"}, contained=[patient]))
    assert not read(bundle).forms[0].about_the_patient


def test_another_patient_inside_a_dtr_bundle_is_not_the_same() -> None:
    other = {"fullUrl": "urn:uuid:other", "resource": {"resourceType": "Patient"}}
    assert not _in_a_dtr_bundle("urn:uuid:other", other)


def test_relative_references_inside_and_outside_mean_the_same_patient() -> None:
    bundle = request_bundle()
    base = "https://ehr.sandbox.example/fhir"
    patient = of_kind(bundle, "Patient")
    for entry in bundle["entry"]:
        if entry["resource"] is patient:
            entry["fullUrl"] = f"{base}/Patient/1"
    bundle["entry"][0]["fullUrl"] = f"{base}/Claim/1"
    claim(bundle)["patient"] = {"reference": "Patient/1"}
    link(bundle, a_response(bundle), f"{base}/QuestionnaireResponse/1")
    assert read(bundle).forms[0].about_the_patient


def test_a_subject_inside_a_dtr_bundle_is_followed_from_its_own_place() -> None:
    """The patient stands outside, under the address that the reference means inside."""
    bundle = request_bundle()
    base = "https://ehr.sandbox.example/fhir"
    for entry in bundle["entry"]:
        if entry["resource"] is of_kind(bundle, "Patient"):
            entry["fullUrl"] = f"{base}/Patient/1"
    claim(bundle)["patient"] = {"reference": f"{base}/Patient/1"}
    for place, about in ((base, True), ("https://other.example/fhir", False)):
        response = a_response(bundle, subject={"reference": "Patient/1"})
        entry = {"fullUrl": f"{place}/QuestionnaireResponse/1", "resource": response}
        link(bundle, {"resourceType": "Bundle", "type": "collection", "entry": [entry]})
        assert read(bundle).forms[-1].about_the_patient is about
        bundle["entry"].pop()
        claim(bundle)["supportingInfo"].pop()


# Adaptive forms


ADAPTIVE = f"{FORM}-adaptive"


def _adaptive(*derived_from: str, **elements: Any) -> tuple[str | None, str | None]:
    """The form that a response names whose Questionnaire stands inside it."""
    inside = {"resourceType": "Questionnaire", "id": "form", "derivedFrom": list(derived_from)}
    form = form_of(**{"questionnaire": "#form", "contained": [inside], **elements})
    return form.questionnaire, form.version


def test_an_adaptive_form_is_the_one_its_own_was_derived_from() -> None:
    assert _adaptive(f"{ADAPTIVE}|2026-01-15") == (ADAPTIVE, "2026-01-15")
    assert _adaptive(ADAPTIVE) == (ADAPTIVE, None)


def test_what_a_contained_form_says_of_itself_is_not_believed() -> None:
    inside = {"resourceType": "Questionnaire", "id": "form", "url": ADAPTIVE, "version": "2099"}
    assert _adaptive(contained=[inside]) == (None, None)


@pytest.mark.parametrize(
    "derived_from",
    [
        (),
        (f"{FORM}|2026-01-15",),
        (f"{ADAPTIVE}|2026-01-15", f"{ADAPTIVE}|2026-02-15"),
        (f"{ADAPTIVE}|2026-01-15", "https://other.example/Questionnaire/x"),
    ],
    ids=["nothing", "a whole form", "two versions", "another's too"],
)
def test_a_contained_form_derived_from_anything_else_is_none(derived_from: tuple[str, ...]) -> None:
    assert _adaptive(*derived_from) == (None, None)


def test_a_contained_form_that_is_not_there_or_there_twice_is_none() -> None:
    inside = {
        "resourceType": "Questionnaire",
        "id": "form",
        "derivedFrom": [f"{ADAPTIVE}|2026-01-15"],
    }
    assert _adaptive(contained=[inside]) == (ADAPTIVE, "2026-01-15")
    assert _adaptive(contained=[inside, deepcopy(inside)]) == (None, None)
    assert _adaptive(contained=[{**inside, "id": "another"}]) == (None, None)
    assert _adaptive(contained=[]) == (None, None)


# Answers


def test_each_type_of_value() -> None:
    assert answered({"valueBoolean": False}) == Answer(False)
    assert answered({"valueInteger": 3}) == Answer(3)
    assert answered({"valueDecimal": 1.25}) == Answer(Decimal("1.25"))
    assert answered({"valueDate": "2026-05-04"}) == Answer(date(2026, 5, 4))
    assert answered({"valueDateTime": "2026-05-04T10:00:00Z"}) == Answer(date(2026, 5, 4))
    assert answered({"valueString": "free text"}) == Answer("free text")
    assert answered({"valueCoding": {"system": CODE_SYSTEM, "code": "radicular"}}) == Answer(
        "radicular"
    )
    assert answered({"valueCoding": {"code": "radicular"}}) == Answer("radicular")


@pytest.mark.parametrize(
    ("value", "given_as"),
    [
        ({"valueBoolean": False}, GivenAs.BOOLEAN),
        ({"valueInteger": 3}, GivenAs.INTEGER),
        ({"valueDecimal": 1.25}, GivenAs.DECIMAL),
        ({"valueDate": "2026-05-04"}, GivenAs.DATE),
        ({"valueDateTime": "2026-05-04T10:00:00Z"}, GivenAs.INSTANT),
        ({"valueString": "radicular"}, GivenAs.TEXT),
        ({"valueCoding": {"code": "radicular"}}, GivenAs.OPTION),
    ],
)
def test_the_type_in_which_an_answer_was_given_is_kept(value: Json, given_as: GivenAs) -> None:
    answer = answered(value)
    assert answer is not None
    assert answer.given_as is given_as


@pytest.mark.parametrize(
    ("system", "ours"),
    [
        (None, True),
        ("https://wiser-fhir.example/fhir/CodeSystem/q", True),
        ("https://wiser-fhir.example/fhir/CodeSystem/epidural-steroid-injection", True),
        ("https://wiser-fhir.example/fhir/CodeSystem/esi-contra", False),
        ("https://wiser-fhir.example/v2.0/fhir/CodeSystem/q", False),
        ("http://snomed.info/sct", False),
    ],
)
def test_an_option_of_another_question_is_a_foreign_code(system: str | None, ours: bool) -> None:
    assert answered(_option("none", system)) == (Answer("none") if ours else None)


def test_what_stands_under_a_question_and_cannot_be_read_is_told() -> None:
    form = form_of(
        {"linkId": "a", "answer": [{"valueBoolean": True}]},
        {"linkId": "b", "answer": [{"valueUri": "https://example.org"}]},
        {"linkId": "c"},
        {"linkId": "d", "answer": []},
    )
    assert form.answers == {"a": Answer(True)}
    assert form.unreadable == {"b"}


@pytest.mark.parametrize(
    "value",
    [
        {"valueCoding": {"system": "http://snomed.info/sct", "code": "none"}},
        {"valueCoding": {"system": CODE_SYSTEM}},
        {"valueCoding": {"system": "https://wiser-fhir.example/fhir/Other/x", "code": "none"}},
        {"valueDate": "2026-05"},
        {"valueDateTime": "2026"},
        {"valueQuantity": {"unit": "cm2"}},
        {"valueQuantity": {"value": 2.5, "unit": "cm2"}},
        {"valueQuantity": {"value": 50, "comparator": "<"}},
        {"valueBoolean": True, "_valueBoolean": {"extension": [{"url": "urn:absent"}]}},
        {"_valueBoolean": {"extension": [{"url": "urn:absent"}]}},
        {"valueBoolean": True, "valueInteger": 1},
        {"valueTime": "10:00:00"},
        {"valueUri": "https://example.org"},
        {"valueReference": {"reference": "urn:uuid:x"}},
        {"valueAttachment": {"contentType": "text/plain"}},
        {"item": [{"linkId": "deeper"}]},
        {},
    ],
)
def test_what_cannot_be_read_is_no_answer(value: Json) -> None:
    assert answered(value) is None


def _option(code: str, system: str | None = CODE_SYSTEM) -> Json:
    return {"valueCoding": {"code": code, **({"system": system} if system else {})}}


def test_several_options_become_a_tuple() -> None:
    assert answered(_option("pt"), _option("medication", None)) == Answer(("pt", "medication"))


@pytest.mark.parametrize(
    "second",
    [
        {"valueInteger": 3},
        {"valueBoolean": True},
        {"valueString": "cord"},
        _option("cord", "http://snomed.info/sct"),
        {"valueTime": "10:00:00"},
        {"_valueCoding": {"extension": [{"url": "urn:absent"}]}},
        {},
    ],
)
def test_an_answer_that_is_read_in_part_only_is_not_read(second: Json) -> None:
    """Leaving out what we cannot read would turn "none, and something" into "none"."""
    assert answered(_option("none"), second) is None


def test_two_plain_values_are_no_answer() -> None:
    assert answered({"valueInteger": 1}, {"valueInteger": 2}) is None


@pytest.mark.parametrize(
    ("source", "origin"),
    [
        ("manual", Origin.MANUAL),
        ("override", Origin.OVERRIDE),
        ("auto", Origin.AUTO),
        ("auto-client", Origin.AUTO),
        ("auto-server", Origin.AUTO),
        ("something-new", Origin.AUTO),
    ],
)
def test_an_origin_tells_who_answered(source: str, origin: Origin) -> None:
    assert answered({"extension": [_origin(source)], "valueBoolean": True}) == Answer(True, origin)


@pytest.mark.parametrize("order", [("manual", "auto-client"), ("auto-client", "manual")])
def test_of_several_origins_any_may_tell_of_software(order: tuple[str, str]) -> None:
    origins = [_origin(source) for source in order]
    answer = Answer(True, Origin.AUTO)
    assert answered({"extension": origins, "valueBoolean": True}) == answer


def test_several_origins_of_a_person_are_a_persons() -> None:
    origins = [_origin("manual"), _origin("manual")]
    assert answered({"extension": origins, "valueBoolean": True}) == Answer(True, Origin.MANUAL)


def _origin(source: str) -> Json:
    return {"url": ORIGIN, "extension": [{"url": "source", "valueCode": source}]}


@pytest.mark.parametrize(
    "author",
    [
        {"reference": "urn:uuid:device"},
        {"reference": "#device"},
        {"reference": "https://ehr.example/fhir/Device/1"},
        {"reference": "Device/1"},
        {"reference": "https://ehr.example/fhir/Device/1/_history/2"},
        {"reference": "Device?identifier=urn:x|1"},
        {"type": "Device", "identifier": {"value": "1"}},
        {"type": "http://hl7.org/fhir/StructureDefinition/Device", "identifier": {"value": "1"}},
    ],
    ids=["entry", "contained", "elsewhere", "relative", "versioned", "searched", "by identifier",
         "by the type's address"],
)  # fmt: skip
def test_a_form_by_a_device_is_softwares_in_every_answer(author: Json) -> None:
    bundle = request_bundle()
    add(bundle, {"resourceType": "Device"}, "urn:uuid:device")
    yes = {"extension": [_origin("manual")], "valueBoolean": True}
    items = ({"linkId": "a", "answer": [yes]}, {"linkId": "b", "answer": [{"valueInteger": 1}]})
    device = {"resourceType": "Device", "id": "device"}
    link(bundle, a_response(bundle, *items, author=author, contained=[device]))
    (form,) = read(bundle).forms
    assert form.answers == {"a": Answer(True, Origin.AUTO), "b": Answer(1, Origin.AUTO)}


@pytest.mark.parametrize("reference", ["urn:uuid:device", "https://ehr.example/fhir/x"])
def test_a_device_may_stand_outside_of_the_bundle_of_the_form(reference: str) -> None:
    bundle = request_bundle()
    add(bundle, {"resourceType": "Device"}, reference)
    yes = {"linkId": "q", "answer": [{"valueBoolean": True}]}
    response = a_response(bundle, yes, author={"reference": reference})
    entry = {"fullUrl": "urn:uuid:inner", "resource": response}
    link(bundle, {"resourceType": "Bundle", "type": "collection", "entry": [entry]})
    (form,) = read(bundle).forms
    assert form.answers == {"q": Answer(True, Origin.AUTO)}


@pytest.mark.parametrize(
    ("author", "clinician"),
    [
        (None, True),
        ({"display": "Dr. A"}, True),
        ({"reference": "urn:uuid:nobody"}, True),
        ({"reference": "Practitioner/1"}, True),
        ({"reference": "PractitionerRole/1"}, True),
        ({"reference": "Patient/1"}, False),
        ({"reference": "https://ehr.example/fhir/RelatedPerson/1"}, False),
        ({"type": "Organization", "identifier": {"value": "1"}}, False),
        ({"type": "http://hl7.org/fhir/StructureDefinition/Patient"}, False),
        ({"reference": "urn:uuid:clinic"}, False),
        ({"reference": "Device/1"}, False),
    ],
)
@pytest.mark.parametrize("part", ["author", "source"])
def test_whether_a_clinician_wrote_a_form_and_answered_it(
    author: Json | None, clinician: bool, part: str
) -> None:
    bundle = request_bundle()
    add(bundle, {"resourceType": "Organization"}, "urn:uuid:clinic")
    yes = {"linkId": "q", "answer": [{"valueBoolean": True}]}
    link(bundle, a_response(bundle, yes, **{part: author}))
    (form,) = read(bundle).forms
    assert form.answers["q"].by_clinician is clinician


def _practitioner(reference: Json) -> Json:
    return {"url": "practitioner", "valueReference": reference}


@pytest.mark.parametrize(
    ("parts", "clinician"),
    [
        (None, True),
        ([_practitioner({"reference": "Practitioner/1"})], True),
        ([_practitioner({"reference": "Device/1"})], False),
        ([_practitioner({"reference": "urn:uuid:clinic"})], False),
        ([{"url": "practitioner"}], False),
        ([{"url": "organization", "valueReference": {"reference": "Organization/1"}}], False),
        ([{"url": "role", "valueCodeableConcept": {"text": "a doctor"}}], False),
        ([], False),
    ],
)
def test_whether_a_clinician_gave_an_answer(parts: list[Json] | None, clinician: bool) -> None:
    bundle = request_bundle()
    add(bundle, {"resourceType": "Organization"}, "urn:uuid:clinic")
    author = [] if parts is None else [{"url": "author", "extension": parts}]
    told = {"url": ORIGIN, "extension": [{"url": "source", "valueCode": "manual"}, *author]}
    yes = {"linkId": "q", "answer": [{"extension": [told], "valueBoolean": True}]}
    link(bundle, a_response(bundle, yes))
    (form,) = read(bundle).forms
    assert form.answers["q"].by_clinician is clinician


ABSENT = {
    "extension": [
        {
            "url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason",
            "valueCode": "unknown",
        }
    ]
}


@pytest.mark.parametrize(
    ("item", "answer"),
    [
        (ABSENT, {}),
        ({"_linkId": ABSENT}, {}),
        ({}, ABSENT),
        ({}, {"valueCoding": {"code": "radicular", **ABSENT}}),
        ({}, {"valueCoding": {"code": "radicular", "_code": ABSENT}}),
        ({}, {"valueCoding": {"code": "radicular", "_system": ABSENT}}),
    ],
    ids=["item", "linkId", "answer", "coding", "code", "system"],
)
def test_what_says_that_it_is_absent_cannot_be_read(item: Json, answer: Json) -> None:
    given = {"valueCoding": {"code": "radicular"}, **answer}
    form = form_of({"linkId": "q", "answer": [given], **item})
    assert form.answers == {}
    assert form.unreadable == {"q"}


def test_a_form_whose_status_is_absent_is_not_completed() -> None:
    assert form_of(_status={"extension": [{"url": "urn:x", "valueCode": "a"}]}).completed
    assert not form_of(_status=ABSENT).completed
    assert not form_of(extension=ABSENT["extension"]).completed


@pytest.mark.parametrize("author", [None, {"reference": "urn:uuid:someone"}, {"display": "Dr. A"}])
def test_a_form_by_anybody_else_is_a_persons(author: Json | None) -> None:
    form = form_of({"linkId": "q", "answer": [{"valueBoolean": True}]}, author=author)
    assert form.answers == {"q": Answer(True, None)}


def test_without_an_origin_nobody_is_said_to_have_answered() -> None:
    assert answered({"valueBoolean": True}) == Answer(True, None)
    told = {origin: Answer(True, origin).by_software for origin in (None, *Origin)}
    software = {Origin.AUTO, Origin.OVERRIDE}
    assert {origin for origin, by_software in told.items() if by_software} == software


def test_an_origin_without_a_source_is_softwares() -> None:
    answer = Answer(True, Origin.AUTO)
    assert answered({"extension": [{"url": ORIGIN}], "valueBoolean": True}) == answer


@pytest.mark.parametrize(
    ("sources", "gravest"),
    [
        (("auto", None), Origin.AUTO),
        (("manual", "auto"), Origin.AUTO),
        (("auto-client", "override"), Origin.OVERRIDE),
        (("override", "manual"), Origin.OVERRIDE),
        ((None, "manual"), Origin.MANUAL),
    ],
)
def test_of_several_answers_the_gravest_origin_is_that_of_all(
    sources: tuple[str | None, str | None], gravest: Origin
) -> None:
    first, second = (
        {"extension": [_origin(source)]} if source is not None else {} for source in sources
    )
    answer = answered({**first, **_option("pt")}, {**second, **_option("medication")})
    assert answer == Answer(("pt", "medication"), gravest)


def test_what_a_device_wrote_over_is_an_override() -> None:
    yes = {"extension": [_origin("override")], "valueBoolean": True}
    form = form_of({"linkId": "q", "answer": [yes]}, author={"reference": "Device/1"})
    assert form.answers == {"q": Answer(True, Origin.OVERRIDE)}


def test_groups_and_questions_below_questions_are_walked() -> None:
    yes = {"valueBoolean": True}
    below_answer = {"linkId": "c", "answer": [yes]}
    form = form_of(
        {
            "linkId": "group",
            "item": [
                {"linkId": "a", "answer": [yes]},
                {"linkId": "b", "answer": [{**yes, "item": [below_answer]}]},
            ],
        }
    )
    assert set(form.answers) == {"a", "b", "c"}


def test_a_question_met_again_adds_its_answers() -> None:
    form = form_of(
        {"linkId": "q", "answer": [_option("pt")]}, {"linkId": "q", "answer": [_option("cbt")]}
    )
    assert form.answers == {"q": Answer(("pt", "cbt"))}
