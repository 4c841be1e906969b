"""The forms that come with a request: QuestionnaireResponses as completed by DTR."""

from collections.abc import Iterable, Iterator
from datetime import date
from decimal import Decimal
from typing import Any

from wiser_fhir.coverage.canonical import CANONICAL, is_adaptive, service_of
from wiser_fhir.fhir.answers import ItemAnswers, answers_by_link_id, is_absent
from wiser_fhir.fhir.elements import Json
from wiser_fhir.fhir.values import day_of, decimal, full_date, instant
from wiser_fhir.pas.authors import Authors
from wiser_fhir.pas.evidence import supporting_resources
from wiser_fhir.pas.form_layout import layout
from wiser_fhir.pas.people import About, about
from wiser_fhir.pas.request import RequestBundle
from wiser_fhir.priorauth.models import Answer, AnswerValue, CompletedForm, GivenAs, Origin

_GIVEN_AS = {
    "valueBoolean": GivenAs.BOOLEAN,
    "valueInteger": GivenAs.INTEGER,
    "valueDecimal": GivenAs.DECIMAL,
    "valueDate": GivenAs.DATE,
    "valueDateTime": GivenAs.INSTANT,
    "valueString": GivenAs.TEXT,
    "valueCoding": GivenAs.OPTION,
}
_GRAVEST_FIRST = (Origin.OVERRIDE, Origin.AUTO, Origin.MANUAL)


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
    questionnaire, _, version = _canonical(response).partition("|")
    given = answers_by_link_id(response)
    authors = Authors(request, around, response)
    by_device = authors.is_device
    read = {
        link_id: Answer(
            value,
            _origin(found.origins, by_device),
            _given_as(found),
            authors.may_be_clinicians(found.practitioners),
        )
        for link_id, found in given.items()
        if (value := _answer_value(found, (link_id, service_of(questionnaire)))) is not None
    }
    subject = response.get("subject") or {}
    return CompletedForm(
        questionnaire=questionnaire or None,
        version=version or None,
        completed=response.get("status") == "completed" and not is_absent(response),
        about_the_patient=about(request, around, response, subject) is About.THE_PATIENT,
        authored=instant(response.get("authored")),
        answers=read,
        unreadable=frozenset(given.keys() - read.keys()),
        layout=layout(response),
    )


def _canonical(response: Json) -> str:
    """The address of the form, with its version. An adaptive one stands in the response itself and
    names the form it was asked by; what else it says of itself is not ours to believe.

    Source: DTR 2.2.0 §spec-25 and §spec-26.
    """
    named: str = response.get("questionnaire", "")
    if not named.startswith("#"):
        return named
    inside = [each for each in response.get("contained", ()) if each.get("id") == named[1:]]
    origins = [url for each in inside for url in each.get("derivedFrom", ())]
    if len(inside) != 1 or len(origins) != 1:
        return ""
    canonical: str = origins[0]
    return canonical if is_adaptive(canonical.partition("|")[0]) else ""


def _origin(codes: Iterable[str | None], by_device: bool) -> Origin | None:
    """The gravest of what an answer's parts say. A word we do not know is software's."""
    said = {_origin_of(code) for code in codes} | ({Origin.AUTO} if by_device else set())
    return next((origin for origin in _GRAVEST_FIRST if origin in said), None)


def _origin_of(code: str | None) -> Origin:
    """DTR 2.2 tells software at the client from software at the payer; to us both are software."""
    return Origin(code) if code in (Origin.OVERRIDE, Origin.MANUAL) else Origin.AUTO


def _given_as(found: ItemAnswers) -> GivenAs | None:
    return _GIVEN_AS.get(found.values[0][0])


def _answer_value(found: ItemAnswers, systems: tuple[str, ...]) -> AnswerValue | None:
    """One plain value, or a tuple of several codes.

    An answer that we could read only in part is no answer: what is left of "none of these, and
    something we do not know" would mean the opposite.
    """
    values = [_plain(*pair, systems) for pair in found.values]
    if len(values) == 1:
        return values[0]
    texts = tuple(v for v in values if isinstance(v, str))
    one_kind = len({key for key, _ in found.values}) == 1
    return texts if one_kind and len(texts) == len(values) else None


def _plain(
    key: str, value: Any, systems: tuple[str, ...]
) -> bool | int | Decimal | str | date | None:
    match key:
        case "valueBoolean" | "valueInteger" | "valueString":
            return value  # type: ignore[no-any-return]
        case "valueDecimal":
            return decimal(value)
        case "valueDate":
            return full_date(value)
        case "valueDateTime":
            return day_of(value)
        case "valueCoding" if _our_option(value, systems):
            return value.get("code")  # type: ignore[no-any-return]
    return None


def _our_option(coding: Json, systems: tuple[str, ...]) -> bool:
    """An answer option counts without a system, in that of its question or of its service: a
    foreign code, another question's too, means something else even where it is spelled the same."""
    system = coding.get("system")
    return system is None or system in (f"{CANONICAL}/CodeSystem/{name}" for name in systems)
