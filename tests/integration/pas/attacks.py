"""Requests that meet every criterion but for one change that software must not affirm over.

Each change takes a valid Bundle whose untouched form is affirmed. `PENDED` are answered with A4,
`REFUSED` with 422, `UPDATES` like any update.
"""

from collections.abc import Callable, Mapping
from copy import deepcopy
from datetime import date
from typing import Any

from tests.bundle_resources import CPT, DTR, HCPCS, MBI_SYSTEM, X12, concept
from tests.bundles import Json
from wiser_fhir.fhir import codes

Change = Callable[[Json], None]
_ADDED = "urn:uuid:22222222-2222-4222-8222-222222222222"
_ABSENT = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"
_ANOTHER_NUMBER = "3GJ6VG7PM95"


def _all(bundle: Json, kind: str) -> list[Json]:
    return [e for e in bundle["entry"] if e["resource"]["resourceType"] == kind]


def _first(bundle: Json, kind: str) -> Json:
    found: Json = _all(bundle, kind)[0]["resource"]
    return found


def _claim(bundle: Json) -> Json:
    found: Json = bundle["entry"][0]["resource"]
    return found


def _item(bundle: Json) -> Json:
    found: Json = _claim(bundle)["item"][0]
    return found


def _add(bundle: Json, resource: Json) -> Json:
    bundle["entry"].append({"fullUrl": _ADDED, "resource": resource})
    return {"reference": _ADDED}


def _set(kind: str, **elements: Any) -> Change:
    """These elements in the first resource of a type."""
    return lambda bundle: _first(bundle, kind).update(elements)


def _on_item(**elements: Any) -> Change:
    return lambda bundle: _item(bundle).update(elements)


def _extended(url: str, **value: Any) -> Change:
    return lambda bundle: _item(bundle)["extension"].append({"url": url, **value})


def _certified(*kinds: str) -> Change:
    def change(bundle: Json) -> None:
        coding = [{"system": X12 + "1322", "code": kind} for kind in kinds]
        for extension in _item(bundle)["extension"]:
            if extension["url"] == codes.CERTIFICATION_TYPE:
                extension["valueCodeableConcept"] = {"coding": coding}

    return change


def _days(start: str, end: str) -> Change:
    def change(bundle: Json) -> None:
        del _item(bundle)["servicedDate"]
        _item(bundle)["servicedPeriod"] = {"start": start, "end": end}

    return change


# The form


def _answer(bundle: Json, question: str) -> Json:
    """The answer of a question; the form no longer claims DTR's profile, which has own rules."""
    form = _first(bundle, "QuestionnaireResponse")
    form.pop("meta", None)
    found: Json = next(i for i in form["item"] if i["linkId"] == question)["answer"][0]
    return found


def _answered(question: str, **value: Any) -> Change:
    return lambda bundle: _answer(bundle, question).update(value)


def _also_by_software(bundle: Json) -> None:
    source = [{"url": "source", "valueCode": "auto-client"}]
    origin = {"url": DTR + "information-origin", "extension": source}
    _answer(bundle, "esi-impact")["extension"].append(origin)


def _by_a_device(bundle: Json) -> None:
    for item in _first(bundle, "QuestionnaireResponse")["item"]:
        for answer in item["answer"]:
            del answer["extension"]
    _answer(bundle, "esi-impact")
    device = {"resourceType": "Device", "deviceName": [{"name": "A bot", "type": "other"}]}
    _first(bundle, "QuestionnaireResponse")["author"] = _add(bundle, device)


def _none_and_nothing(bundle: Json) -> None:
    _answer(bundle, "esi-contra")
    form = _first(bundle, "QuestionnaireResponse")
    absent = {"extension": [{"url": _ABSENT, "valueCode": "unknown"}]}
    next(i for i in form["item"] if i["linkId"] == "esi-contra")["answer"].append(absent)


def _someone_elses_form(bundle: Json) -> None:
    """Patient and subject are both contained, each in its own resource: neither has a fullUrl."""
    _answer(bundle, "esi-impact")
    entry = _all(bundle, "Patient")[0]
    patient = {**deepcopy(entry["resource"]), "id": "patient"}
    other = {**deepcopy(patient), "id": "other", "birthDate": "1950-01-01"}
    _claim(bundle)["contained"] = [patient]
    _claim(bundle)["patient"] = {"reference": "#patient"}
    form = _first(bundle, "QuestionnaireResponse")
    form["contained"], form["subject"] = [other], {"reference": "#other"}


def _in_a_dtr_bundle(kind: str, *further: Json) -> Change:
    """The form inside a Bundle, beside other entries."""

    def change(bundle: Json) -> None:
        entry = _all(bundle, "QuestionnaireResponse")[0]
        form = {"fullUrl": _ADDED, "resource": entry["resource"]}
        inner = [form, *further]
        entry["resource"] = {"resourceType": "Bundle", "type": kind, "entry": inner}

    return change


def _under_the_patients_url(bundle: Json) -> None:
    entry = _all(bundle, "Patient")[0]
    other = {**deepcopy(entry["resource"]), "birthDate": "1950-01-01"}
    _in_a_dtr_bundle("collection", {"fullUrl": entry["fullUrl"], "resource": other})(bundle)


_NO_FORM: Json = {
    "fullUrl": "urn:uuid:33333333-3333-4333-8333-333333333333",
    "resource": {"resourceType": "Bundle", "type": "collection"},
}


def _a_contradicting_form(bundle: Json) -> None:
    _answer(bundle, "esi-impact")
    other = deepcopy(_first(bundle, "QuestionnaireResponse"))
    (item,) = (i for i in other["item"] if i["linkId"] == "esi-impact")
    item["answer"][0]["valueBoolean"] = False
    _add(bundle, other)


def _a_contradicting_bundle(bundle: Json) -> None:
    """In a Bundle of forms that the Claim does not point at."""
    _a_contradicting_form(bundle)
    last = bundle["entry"][-1]
    entry = {"fullUrl": _NO_FORM["fullUrl"], "resource": last["resource"]}
    last["resource"] = {"resourceType": "Bundle", "type": "collection", "entry": [entry]}


def _a_batch(bundle: Json) -> None:
    """Its first entry holds no resource; the form is about a contained person."""
    _answer(bundle, "esi-impact")
    entry = _all(bundle, "QuestionnaireResponse")[0]
    form = entry["resource"]
    form["contained"] = [{"resourceType": "Patient", "id": "other"}]
    form["subject"] = {"reference": "#other"}
    wanted = {"method": "PUT", "url": "QuestionnaireResponse/1"}
    entries = [
        {"request": {"method": "DELETE", "url": "Patient/1"}},
        {"fullUrl": _ADDED, "resource": form, "request": wanted},
    ]
    entry["resource"] = {"resourceType": "Bundle", "type": "batch", "entry": entries}


# People, coverage, evidence


def _second_number(bundle: Json) -> None:
    number = {"system": MBI_SYSTEM, "value": _ANOTHER_NUMBER}
    _first(bundle, "Patient")["identifier"].append(number)


def _second_number_by_oid(bundle: Json) -> None:
    number = {"system": codes.MBI_SYSTEMS[1], "value": _ANOTHER_NUMBER}
    _first(bundle, "Patient")["identifier"].append(number)


def _second_coverage(bundle: Json) -> None:
    other = _add(bundle, deepcopy(_first(bundle, "Coverage")))
    _claim(bundle)["insurance"].append({"sequence": 2, "focal": True, "coverage": other})


def _somebody_else(bundle: Json) -> Json:
    other = deepcopy(_first(bundle, "Patient"))
    other["name"] = [{"family": "Otherman"}]
    return _add(bundle, other)


def _about_somebody_else(kind: str, name: str) -> Change:
    return lambda bundle: _first(bundle, kind).update({name: _somebody_else(bundle)})


def _unreferenced_document(bundle: Json) -> None:
    document = _all(bundle, "DocumentReference")[0]["fullUrl"]
    claim = _claim(bundle)
    claim["supportingInfo"] = [
        i for i in claim["supportingInfo"] if i["valueReference"]["reference"] != document
    ]


def _second_number_of_a_provider(bundle: Json) -> None:
    _first(bundle, "Practitioner")["identifier"].append(
        {"system": codes.NPI_SYSTEMS[1], "value": "1999990101"}
    )


def _abroad(bundle: Json) -> None:
    place = {**deepcopy(_first(bundle, "Location")), "id": "there"}
    place["address"]["country"] = "MX"
    _claim(bundle)["contained"], _claim(bundle)["facility"] = [place], {"reference": "#there"}


def _in_words(bundle: Json) -> None:
    _first(bundle, "Location")["address"]["state"] = "Texas"


# Lines


def _another_code_beside(bundle: Json) -> None:
    _item(bundle)["productOrService"]["coding"].append({"system": CPT, "code": "27447"})


def _second_line(**elements: Any) -> Change:
    """A second line like the first but for these elements."""

    def change(bundle: Json) -> None:
        line = {**deepcopy(_item(bundle)), "sequence": 2, **elements}
        line["extension"] = [e for e in line["extension"] if e["url"] != codes.REQUESTED_SERVICE]
        _claim(bundle)["item"].append(line)

    return change


def _units(value: float) -> Change:
    return lambda bundle: _item(bundle)["quantity"].update(value=value)


def _day(day: date) -> Change:
    return _on_item(servicedDate=day.isoformat())


PENDED: Mapping[str, Change] = {
    **{f"certification type {code}": _certified(code) for code in ("R", "S")},
    "a certification type beside the initial one": _certified("I", "S"),
    "an authorization before": lambda bundle: _claim(bundle)["insurance"][0].update(
        preAuthRef=["ZZB00000000001"]
    ),
    "a reference number": _extended(codes.ADMINISTRATION_REFERENCE_NUMBER, valueString="R1"),
    "a resubmission": _extended(codes.AUTHORIZATION_NUMBER, valueString="ZZB00000000001"),
    "a range of codes": _extended(
        codes.PRODUCT_OR_SERVICE_CODE_END, valueCodeableConcept=concept(CPT, "64999")
    ),
    "a line in details": _on_item(
        detail=[{"sequence": 1, "productOrService": concept(CPT, "22551")}]
    ),
    "a patient who has died": _set("Patient", deceasedDateTime="2026-10-01"),
    "a death without a day": _set(
        "Patient", _deceasedDateTime={"extension": [{"url": _ABSENT, "valueCode": "unknown"}]}
    ),
    "an inactive patient": _set("Patient", active=False),
    "a patient not yet born": _set("Patient", birthDate="2026-12-01"),
    "two Medicare numbers": _second_number,
    "another number in the coverage": _set("Coverage", subscriberId=_ANOTHER_NUMBER),
    "a second number by OID": _second_number_by_oid,
    "an old number": lambda bundle: _first(bundle, "Patient")["identifier"][0].update(use="old"),
    "a coverage that ended": _set("Coverage", period={"start": "2020-01-01", "end": "2021-01-01"}),
    "a coverage not yet begun": _set("Coverage", period={"start": "2027-01-01"}),
    "two coverages": _second_coverage,
    "another person's coverage": _about_somebody_else("Coverage", "beneficiary"),
    "a coverage by number": _set(
        "Coverage", beneficiary={"identifier": {"system": MBI_SYSTEM, "value": _ANOTHER_NUMBER}}
    ),
    "a document about another": _about_somebody_else("DocumentReference", "subject"),
    "an order about another": _about_somebody_else("ServiceRequest", "subject"),
    "an order not to perform": _set("ServiceRequest", doNotPerform=True),
    "a revoked order": _set("ServiceRequest", status="revoked"),
    "an order for another procedure": _set("ServiceRequest", code=concept(CPT, "27447")),
    "an order for a device": _set("ServiceRequest", code=concept(HCPCS, "C1767")),
    "a superseded document": _set("DocumentReference", status="superseded"),
    "a document in error": _set("DocumentReference", docStatus="entered-in-error"),
    "a document nobody points at": _unreferenced_document,
    "a provider with two NPIs": _second_number_of_a_provider,
    "two origins": _also_by_software,
    "a form by a device": _by_a_device,
    "no levels": _answered("esi-levels", valueInteger=0),
    "fewer than no treatments": _answered("esi-treatments-12m", valueInteger=-3),
    "a value and why there is none": _answered(
        "esi-impact", _valueBoolean={"extension": [{"url": _ABSENT, "valueCode": "unknown"}]}
    ),
    "none, and an empty answer": _none_and_nothing,
    "a form before its time": _set("QuestionnaireResponse", authored="1990-01-01T00:00:00Z"),
    "a form at the beginning of time": _set(
        "QuestionnaireResponse", authored="0001-01-01T00:00:00Z"
    ),
    "somebody else's form": _someone_elses_form,
    "somebody else under the patient's URL": _under_the_patients_url,
    "forms as a search": _in_a_dtr_bundle("searchset"),
    "a Bundle among forms": _in_a_dtr_bundle("collection", _NO_FORM),
    "a batch of forms": _a_batch,
    "a contradicting form": _a_contradicting_form,
    "a contradicting form in a Bundle": _a_contradicting_bundle,
    "a place abroad inside the Claim": _abroad,
    "ten years of service": _days("2026-12-15", "2036-12-15"),
    "a service yesterday": _day(date(2026, 11, 19)),
    "a service after the last day": _day(date(2027, 3, 20)),
    **{f"{units} units": _units(units) for units in (1000, 0.5)},
    "another code beside": _another_code_beside,
    "the same line twice": _second_line(),
    "the same code with a modifier": _second_line(modifier=[concept(CPT, "50")]),
    "a state in words": _in_words,
    "two primaries": _second_line(productOrService=concept(CPT, "64479")),
    "another place": _second_line(
        productOrService=concept(CPT, "64484"),
        locationCodeableConcept=concept(codes.PLACE_OF_SERVICE, "11"),
    ),
}


def _cancelled(bundle: Json) -> None:
    flag = {"url": codes.INFO_CANCELLED, "valueBoolean": True}
    _item(bundle)["modifierExtension"] = [flag]


UPDATES: Mapping[str, Change] = {
    "certification type 3": _certified("3"),
    "certification type 3 beside the initial one": _certified("I", "3"),
    "a cancelled line": _cancelled,
    "a changed line": _extended(codes.INFO_CHANGED, valueCode="changed"),
}


def _second_claim(bundle: Json) -> None:
    other = deepcopy(_claim(bundle))
    other["item"][0]["productOrService"] = concept(CPT, "22551")
    _add(bundle, other)


def _rules(kind: str) -> Change:
    def change(bundle: Json) -> None:
        if kind == "QuestionnaireResponse":
            _answer(bundle, "esi-impact")
        _first(bundle, kind)["implicitRules"] = "https://rules.example/negated"

    return change


def _rules_inside(bundle: Json) -> None:
    _rules("QuestionnaireResponse")(bundle)
    _in_a_dtr_bundle("collection")(bundle)


def _rules_contained(bundle: Json) -> None:
    _rules("Location")(bundle)
    place = {**deepcopy(_first(bundle, "Location")), "id": "there"}
    del _first(bundle, "Location")["implicitRules"]
    _claim(bundle)["contained"], _claim(bundle)["facility"] = [place], {"reference": "#there"}


REFUSED: Mapping[str, Change] = {
    **{f"{units} units": _units(units) for units in (0, -5, 1e300)},
    "a second Claim": _second_claim,
    "rules of the Bundle": lambda bundle: bundle.update(implicitRules="https://rules.example/x"),
    "rules of a form in a Bundle": _rules_inside,
    "rules of what is contained": _rules_contained,
    "rules of the Claim": _rules("Claim"),
    "rules of the form": _rules("QuestionnaireResponse"),
    "rules of the document": _rules("DocumentReference"),
}
