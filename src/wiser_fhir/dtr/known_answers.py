"""What is known already from the form that came with a request in review.

Facts only: a judgement is the clinician's, each time anew (DTR 2.2.0 §oper-19, §spec-65).
"""

from collections.abc import Iterator, Mapping

from wiser_fhir.coverage.canonical import questionnaire_urls
from wiser_fhir.coverage.evaluate import Asked, Value, asked, fitting
from wiser_fhir.coverage.models import ServiceRules
from wiser_fhir.coverage.questions import Question
from wiser_fhir.dtr.given_answers import ValueFault, answer_value
from wiser_fhir.fhir.answers import ItemAnswers, answers_by_link_id
from wiser_fhir.fhir.elements import Json
from wiser_fhir.intake.references import name_of


def known_answers(request: Json, rules: ServiceRules) -> dict[str, Value]:
    """The facts that the one completed form of a request tells, as far as the form of `rules` asks
    for them. `request` was taken when it came. Of several forms none is believed, nor one that is
    not plainly about the patient of the request.
    """
    patient = _patient(request)
    forms = [each for each in _responses(request) if _is_of(each, rules)]
    forms = [each for each in forms if patient and _named(each.get("subject")) == patient]
    if len(forms) != 1:
        return {}
    given = answers_by_link_id(forms[0])
    facts = {
        question.id: value
        for question in rules.questions
        if not question.is_attestation
        and question.id in given
        and (value := _value(question, given[question.id])) is not None
    }
    return {name: value for name, value in facts.items() if _is_asked(rules, facts, name)}


def _patient(request: Json) -> str:
    """Whom the Claim names as the patient; empty where nothing outside of it is named."""
    if request.get("parameter"):
        return _patient(request["parameter"][0].get("resource", {}))
    first: Json = next(iter(request.get("entry", ())), {})
    return _named(first.get("resource", {}).get("patient"))


def _named(reference: Json | None) -> str:
    told = (reference or {}).get("reference", "")
    return "" if told.startswith("#") else name_of(told)


def _responses(resource: Json) -> Iterator[Json]:
    """Every completed QuestionnaireResponse in a Bundle, in Bundles in it, or in Parameters."""
    if resource.get("resourceType") == "QuestionnaireResponse":
        if resource.get("status") == "completed":
            yield resource
        return
    for holder in (*resource.get("entry", ()), *resource.get("parameter", ())):
        if "resource" in holder:
            yield from _responses(holder["resource"])


def _is_of(response: Json, rules: ServiceRules) -> bool:
    named: str = response.get("questionnaire", "")
    if named.startswith("#"):
        inside = (each for each in response.get("contained", ()) if each.get("id") == named[1:])
        named = next((url for each in inside for url in each.get("derivedFrom", ())), "")
    return named.partition("|")[0] in questionnaire_urls(rules.slug)


def _is_asked(rules: ServiceRules, facts: Mapping[str, Value], name: str) -> bool:
    """Whether the facts alone say that a question is asked."""
    return asked(rules, facts, name) is Asked.YES


def _value(question: Question, found: ItemAnswers) -> Value | None:
    values = [answer_value(question, {key: value}) for key, value in found.values]
    told = tuple(value for value in values if not isinstance(value, ValueFault))
    if len(told) != len(values) or (len(told) > 1 and question.type != "multi_choice"):
        return None
    return fitting(question, told if len(told) > 1 else told[0])  # type: ignore[arg-type]
