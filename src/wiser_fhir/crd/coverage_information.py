"""The coverage-information extension: how each line writes an assertion down.

Source: CRD 2.2.1 and 2.0.1, StructureDefinition ext-coverage-information.
"""

import json
from collections.abc import Iterator
from typing import Any

from wiser_fhir.crd.assertion import Assertion, Contact, Days, Detail, Link, Reason
from wiser_fhir.crd.situations import answer_words
from wiser_fhir.fhir.codes import COVERAGE_INFORMATION, Line
from wiser_fhir.fhir.elements import Json

CRD_CODES = "http://hl7.org/fhir/us/davinci-crd/CodeSystem/temp"
DETAIL_CODES = "http://terminology.hl7.org/CodeSystem/crd-coverage-detail"

_PASSING = ("date", "coverage-assertion-id")
_DOCUMENTATION = ("doc-needed", "doc-purpose", "questionnaire", "response")


def extension(assertion: Assertion, line: Line) -> Json:
    """The extension, its parts in the guide's order."""
    return {"url": COVERAGE_INFORMATION, "extension": list(_parts(assertion, line))}


def same_answer(old: Json, new: Json) -> bool:
    """Whether two extensions say the same, the id and day of the assertion aside.

    The order of the parts does not count. Source: CRD 2.2.1 §resp-35.
    """
    return _essence(old) == _essence(new)


def without_documentation(information: Json) -> Json:
    """The extension without what it asks of documents: so a supporting hook says the same.

    Where a form is asked for, the last day is the form's. Source: CRD 2.2.1 §hook-19.
    """
    parts = _dicts(information)
    asks = any(part.get("url") == "questionnaire" for part in parts)
    left_out = (*_DOCUMENTATION, *(("expiry-date",) if asks else ()))
    kept = [p for p in parts if p.get("url") not in left_out and not _is_about_documents(p)]
    return information | {"extension": kept}


def _is_about_documents(part: Json) -> bool:
    titles = answer_words().titles
    told = [p.get("valueCodeableConcept") for p in _dicts(part) if p.get("url") == "code"]
    texts = [concept.get("text") for concept in told if isinstance(concept, dict)]
    return part.get("url") == "detail" and any(
        text in (titles["documents"], titles["form"]) for text in texts
    )


def informed(resource: Json, information: Json) -> Json:
    """A copy of the resource with the extension, which takes the place of one on the same Coverage.

    What was given is not changed, and nothing but `extension` differs. Source: CRD 2.2.1 §resp-37.
    """
    own = {id(each) for each in carried(resource, _coverage_of(information))}
    kept = [each for each in _list(resource) if id(each) not in own]
    return resource | {"extension": [*kept, information]}


def carried(resource: Json, coverage: str) -> list[Json]:
    """The coverage-information that a resource already carries about one Coverage.

    A client's extensions are read with care: nobody has validated them.
    """
    about = _local(coverage)
    found = (e for e in _dicts(resource) if e.get("url") == COVERAGE_INFORMATION)
    return [each for each in found if _local(_coverage_of(each)) == about]


def assertion_id(information: Json) -> str | None:
    """The coverage-assertion-id of an extension somebody sent back."""
    found = (p for p in _dicts(information) if p.get("url") == "coverage-assertion-id")
    told = next((p.get("valueString") for p in found), None)
    return told if isinstance(told, str) else None


def _list(element: Json) -> list[Any]:
    told = element.get("extension")
    return told if isinstance(told, list) else []


def _dicts(element: Json) -> list[Json]:
    return [each for each in _list(element) if isinstance(each, dict)]


def _coverage_of(information: Json) -> str:
    for part in _dicts(information):
        reference = part.get("valueReference")
        if part.get("url") == "coverage" and isinstance(reference, dict):
            return str(reference.get("reference", ""))
    return ""


def _local(reference: str) -> str:
    """`Coverage/1`, however much of an address stands before it and version behind."""
    return "/".join(reference.partition("/_history/")[0].split("/")[-2:])


def _essence(information: Json) -> list[str]:
    parts = [p for p in _dicts(information) if p.get("url") not in _PASSING]
    return sorted(_text(_plain(part)) for part in parts)


def _plain(value: Any) -> Any:
    """A value without the ids of its elements, its nested extensions in one order."""
    if isinstance(value, dict):
        kept = {key: _plain(inner) for key, inner in value.items() if key != "id"}
        if isinstance(kept.get("extension"), list):
            kept["extension"].sort(key=_text)
        return kept
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return value


def _text(value: Any) -> str:
    """One text for one value; half a surrogate pair, which a client may send, is no hindrance."""
    return json.dumps(value, default=repr, sort_keys=True)


def _parts(assertion: Assertion, line: Line) -> Iterator[Json]:
    yield {"url": "coverage", "valueReference": {"reference": assertion.coverage}}
    yield _code("covered", assertion.covered)
    if assertion.pa_needed is not None:
        yield _code("pa-needed", assertion.pa_needed)
    yield from (_code("doc-needed", code) for code in assertion.doc_needed)
    yield from (_code("doc-purpose", code) for code in assertion.doc_purpose)
    yield from (_code("info-needed", code) for code in assertion.info_needed)
    for billing in assertion.billing_codes:
        coding = {"system": billing.system, "code": billing.code}
        yield {"url": "billingCode", "valueCoding": coding}
    yield from (_reason(reason) for reason in assertion.reasons)
    yield from (_detail(detail, line) for detail in assertion.details)
    for order in assertion.dependencies:
        yield {"url": "dependency", "valueReference": {"reference": order}}
    for canonical in assertion.questionnaires:
        yield {"url": "questionnaire", "valueCanonical": canonical}
    yield {"url": "date", "valueDate": assertion.date.isoformat()}
    yield {"url": "coverage-assertion-id", "valueString": assertion.id}
    if assertion.satisfied_pa_id is not None:
        yield {"url": "satisfied-pa-id", "valueString": assertion.satisfied_pa_id}
    if assertion.contact is not None:
        yield from _contacts(assertion.contact, line)
    if assertion.expiry_date is not None and line != "2.0":
        yield {"url": "expiry-date", "valueDate": assertion.expiry_date.isoformat()}


def _code(url: str, code: str) -> Json:
    return {"url": url, "valueCode": code}


def _reason(reason: Reason) -> Json:
    concept: Json = {"text": reason.text}
    if reason.code is not None:
        concept = {"coding": [{"system": CRD_CODES, "code": reason.code}], **concept}
    return {"url": "reason", "valueCodeableConcept": concept}


def _detail(detail: Detail, line: Line) -> Json:
    """2.2 has a category and a code for everything we say; 2.0 a code for the period alone."""
    code, value = _value(detail)
    systems = [CRD_CODES] if line == "2.0" else [DETAIL_CODES, CRD_CODES]
    concept: Json = {"text": detail.title}
    if line != "2.0" or code == "allowed-period":
        concept = {"coding": [{"system": s, "code": code} for s in systems], **concept}
    parts = [] if line == "2.0" else [_code("category", detail.category)]
    parts += [{"url": "code", "valueCodeableConcept": concept}, {"url": "value", **value}]
    if detail.qualification is not None:
        parts.append({"url": "qualification", "valueString": detail.qualification})
    return {"url": "detail", "extension": parts}


def _value(detail: Detail) -> tuple[str, Json]:
    match detail.value:
        case Link(url=url):
            return "policy-link", {"valueUrl": url}
        case Days(first=first, last=last):
            days = {"start": first.isoformat(), "end": last.isoformat()}
            return "allowed-period", {"valuePeriod": days}
        case text:
            return "instructions", {"valueString": text}


def _contacts(contact: Contact, line: Line) -> Iterator[Json]:
    """One ContactDetail (2.2), or a ContactPoint for each way to reach them (2.0)."""
    points = [{"system": system, "value": value} for system, value in contact.telecom]
    if line == "2.0":
        yield from ({"url": "contact", "valueContactPoint": point} for point in points)
    else:
        detail = {"name": contact.name, "telecom": points}
        yield {"url": "contact", "valueContactDetail": detail}
