"""The forms that come with a request: QuestionnaireResponses as completed by DTR."""

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import Any

from wiser_fhir.fhir import codes
from wiser_fhir.fhir.answers import ItemAnswers, answers_by_link_id
from wiser_fhir.fhir.elements import Json
from wiser_fhir.fhir.values import day_of, decimal, full_date, instant
from wiser_fhir.pas.evidence import supporting_resources
from wiser_fhir.pas.request import RequestBundle
from wiser_fhir.priorauth.models import Answer, AnswerValue, CompletedForm


def forms(request: RequestBundle) -> Iterator[CompletedForm]:
    """The DTR answers: a QuestionnaireResponse, or those inside a DTR-QRBundle."""
    for resource in supporting_resources(request):
        if resource["resourceType"] == "QuestionnaireResponse":
            yield _form(request, resource, request)
        elif resource["resourceType"] == "Bundle":
            inner = RequestBundle.of(resource)
            for entry in resource.get("entry", ()):
                if entry.get("resource", {}).get("resourceType") == "QuestionnaireResponse":
                    yield _form(request, entry["resource"], inner)


def _form(request: RequestBundle, response: Json, around: RequestBundle) -> CompletedForm:
    by_device = _written_by_a_device(around, response)
    questionnaire, _, version = response.get("questionnaire", "").partition("|")
    return CompletedForm(
        questionnaire=questionnaire or None,
        version=version or None,
        completed=response.get("status") == "completed",
        about_the_patient=_about_the_patient(request, response, around),
        authored=instant(response.get("authored")),
        answers={
            link_id: Answer(value, by_device or found.by_software)
            for link_id, found in answers_by_link_id(response).items()
            if (value := _answer_value(found)) is not None
        },
    )


def _written_by_a_device(around: RequestBundle, response: Json) -> bool:
    author = response.get("author") or {}
    named = around.target(response, author) or {}
    said = (author.get("type"), named.get("resourceType"))
    return "Device" in said or "Device/" in author.get("reference", "")


def _about_the_patient(request: RequestBundle, response: Json, around: RequestBundle) -> bool:
    """Whether the form's subject is the Claim's patient: the same entry, or its equal copy."""
    patient = request.patient
    subject = response.get("subject") or {}
    if patient is None or "reference" not in subject:
        return False
    named = around.target(response, subject) or request.target(request.claim, subject)
    if named is None or named is patient:
        return named is patient
    full_url = request.references.full_url(patient)
    same = full_url is not None and full_url == around.references.full_url(named)
    return same and named == patient


def _answer_value(found: ItemAnswers) -> AnswerValue | None:
    """One plain value, or a tuple of several codes.

    An answer that we could read only in part is no answer: what is left of "none of these, and
    something we do not know" would mean the opposite.
    """
    values = [_plain(*pair) for pair in found.values]
    if len(values) == 1:
        return values[0]
    texts = tuple(v for v in values if isinstance(v, str))
    return texts if len(texts) == len(values) else None


def _plain(key: str, value: Any) -> bool | int | Decimal | str | date | None:
    match key:
        case "valueBoolean" | "valueInteger" | "valueString":
            return value  # type: ignore[no-any-return]
        case "valueDecimal":
            return decimal(value)
        case "valueDate":
            return full_date(value)
        case "valueDateTime":
            return day_of(value)
        case "valueCoding" if _our_option(value):
            return value.get("code")  # type: ignore[no-any-return]
    return None


def _our_option(coding: Json) -> bool:
    """An answer option counts without a system or in one of ours; a foreign code means something
    else even where it is spelled the same."""
    system = coding.get("system")
    return system is None or system.startswith(f"{codes.CANONICAL_BASE['2.2']}/CodeSystem/")
