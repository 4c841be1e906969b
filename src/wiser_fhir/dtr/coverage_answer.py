"""What a completed adaptive response says of coverage: what CRD asserted of the order, told again.

Only an assertion that CRD made to the same organization about the same service and patient is told;
whatever else a response says of coverage is taken out when it is completed, wherever it stands. A
form decides nothing: so the answer is CRD's, as it was sent, under its id, about the Coverage it
was given for. New are the day, that of completion, and the form, which is the one that was filled.
It is never `satisfied` and carries no number: a number is given by `$submit` alone. A run that a
request in review started has no assertion, so none is told there. Pure.

The order is not compared: one that is still being written changes its id when it is signed.

Source: DTR 2.2.0 §spec-33, §spec-42, §spec-43, §spec-45, §spec-47, §spec-48.
"""

from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

from wiser_fhir.dtr.cleared import cleared_extension, without_information
from wiser_fhir.dtr.forms import Form
from wiser_fhir.dtr.given_answers import extensions_with_care
from wiser_fhir.fhir.codes import COVERAGE_INFORMATION, Line
from wiser_fhir.fhir.elements import Json
from wiser_fhir.intake.references import read_reference
from wiser_fhir.priorauth.ledger import AssertionRecord

CRD_CODES = "http://hl7.org/fhir/us/davinci-crd/CodeSystem/temp"
MOST = 50
_LONGEST = 200
# What line 2.0 has no word for is never asked about in a form.
_ONLY_IN_2_2 = "indeterminate"
# Refused there beside any pa-needed, by crd-ci-q4 as HL7's engine reads it; CRD says it in words.
_NOT_IN_2_2 = ("doc-purpose", "withpa", "2.2")


def assertion_ids(response: Json) -> tuple[str, ...]:
    """The coverage-assertion-ids a response names, each once; of very many the first."""
    told = extensions_with_care(response, COVERAGE_INFORMATION)
    ids = (_id(each) for each in told)
    return tuple(dict.fromkeys(each for each in ids if each))[:MOST]


def with_coverage_answers(
    response: Json, proven: Mapping[str, AssertionRecord], *, form: Form, on: date
) -> Json:
    """A completed response with its coverage-information as we tell it, or without.

    `proven` are assertions of the caller's own organization by id. Each is told once, in its first
    place, and none anywhere but at the root.
    """
    others = {key: value for key, value in response.items() if key != "extension"}
    kept = list(_root_extensions(response, proven, form, on))
    return without_information(others) | ({"extension": kept} if kept else {})


def coverage_information(assertion: AssertionRecord, form: Form, on: date) -> Json | None:
    """The extension that tells an assertion again, about a form. None where it must not be told.

    That is: where it said that an authorization is there, where it holds no longer, and where the
    line has no word for it.
    """
    answer = assertion.answer
    if answer.get("satisfied-pa-id") is not None or answer.get("pa-needed") == "satisfied":
        return None
    if assertion.expires_on is not None and assertion.expires_on < on:
        return None
    if form.line == "2.0" and _ONLY_IN_2_2 in (answer.get("covered"), answer.get("pa-needed")):
        return None
    parts = _with_form(_parts(assertion, form.line), form)
    day = {"url": "date", "valueDate": on.isoformat()}
    told = [day if part["url"] == "date" else part for part in parts]
    return {"url": COVERAGE_INFORMATION, "extension": told}


def _root_extensions(
    response: Json, proven: Mapping[str, AssertionRecord], form: Form, on: date
) -> Iterator[Json]:
    told = set()
    for each in response.get("extension", ()):
        record = proven.get(_id(each) or "") if each.get("url") == COVERAGE_INFORMATION else None
        if record is None:
            rest = cleared_extension(each)
        elif record.id in told or not _is_about(record, form, response.get("subject")):
            rest = None
        else:
            told.add(record.id)
            rest = coverage_information(record, form, on)
        if rest is not None:
            yield rest


def _is_about(record: AssertionRecord, form: Form, subject: Any) -> bool:
    """Whether an assertion is about the service of a form and the patient it was filled for.

    One that was made before the patient was kept with it is told by its service alone.
    """
    if record.service != form.rules.slug:
        return False
    patient = record.answer.get("patient")
    named = subject.get("reference") if isinstance(subject, dict) else None
    return patient is None or (isinstance(named, str) and _same(named, patient))


def _same(reference: str, other: str) -> bool:
    """Whether both name one `Type/id`, however much of an address stands before it."""
    local, other_local = read_reference(reference), read_reference(other)
    return local is not None and other_local is not None and local.name == other_local.name


def _id(information: Json) -> str | None:
    parts = extensions_with_care(information, "coverage-assertion-id")
    told = next((part.get("valueString") for part in parts), None)
    return told if isinstance(told, str) and len(told) <= _LONGEST else None


def _with_form(parts: Iterator[Json], form: Form) -> Iterator[Json]:
    """The parts with the form that was filled in the place of those that CRD named."""
    named = False
    for part in parts:
        if part["url"] != "questionnaire":
            yield part
        elif not named:
            named = True
            yield {"url": "questionnaire", "valueCanonical": form.canonical}


def _parts(assertion: AssertionRecord, line: Line) -> Iterator[Json]:
    """The parts as CRD sent them on this line; else as far as they were kept one by one."""
    answer = assertion.answer
    sent = answer.get("extension")
    if sent is not None and answer.get("line") == line:
        yield from (part for part in sent["extension"] if part["url"] != "satisfied-pa-id")
        return
    yield {"url": "coverage", "valueReference": {"reference": assertion.coverage}}
    yield from _kept_parts(answer, line)
    yield {"url": "date", "valueDate": assertion.made_at.date().isoformat()}
    yield {"url": "coverage-assertion-id", "valueString": assertion.id}


def _kept_parts(answer: Mapping[str, Any], line: Line) -> Iterator[Json]:
    """The parts in the guide's order. Source: CRD 2.2.1 and 2.0.1, ext-coverage-information."""
    for url in ("covered", "pa-needed"):
        if answer.get(url) is not None:
            yield {"url": url, "valueCode": answer[url]}
    for url in ("doc-needed", "doc-purpose", "info-needed"):
        codes = (code for code in answer.get(url, ()) if (url, code, line) != _NOT_IN_2_2)
        yield from ({"url": url, "valueCode": code} for code in codes)
    yield from (_reason(each) for each in answer.get("reasons", ()))
    for canonical in answer.get("questionnaires", ()):
        yield {"url": "questionnaire", "valueCanonical": canonical}


def _reason(reason: Mapping[str, Any]) -> Json:
    concept: Json = {"text": reason["text"]}
    if reason.get("code") is not None:
        concept = {"coding": [{"system": CRD_CODES, "code": reason["code"]}], **concept}
    return {"url": "reason", "valueCodeableConcept": concept}
