"""A question as an item of a Questionnaire. Its linkId is the question's id.

Nothing is hidden and nothing read-only (DTR 2.2.0 §sec-4): what software filled, the clinician sees
and may change.
"""

import json
from collections.abc import Iterator
from typing import Any

from wiser_fhir.coverage import wording
from wiser_fhir.coverage.canonical import CANONICAL
from wiser_fhir.coverage.models import ServiceRules
from wiser_fhir.coverage.questions import EnableWhen, Option, Question, QuestionType
from wiser_fhir.fhir.codes import Line
from wiser_fhir.fhir.elements import Json

CORE = "http://hl7.org/fhir/StructureDefinition/"
SDC = "http://hl7.org/fhir/uv/sdc/StructureDefinition/"
DTR = "http://hl7.org/fhir/us/davinci-dtr/StructureDefinition/"
END_OF_CLINICAL_QUESTIONS = wording.END_OF_CLINICAL_QUESTIONS

_ITEM_TYPES: dict[QuestionType, str] = {
    "boolean": "boolean",
    "choice": "choice",
    "multi_choice": "choice",
    "integer": "integer",
    "decimal": "decimal",
    "date": "date",
    "text": "text",
}
_UCUM = {
    "%": "%",
    "cm2": "cm2",
    "days": "d",
    "events/h": "{events}/h",
    "kg/m2": "kg/m2",
    "mmHg": "mm[Hg]",
    "months": "mo",
    "weeks": "wk",
    "years": "a",
}
_ALTERNATIVE_EXPRESSION: dict[Line, str] = {
    "2.2": DTR + "alternativeExpression",
    "2.0": "http://hl7.org/fhir/us/ecr/StructureDefinition/us-ph-alternative-expression-extension",
}


def question_item(
    question: Question, rules: ServiceRules, line: Line, library: str | None, *, conditional: bool
) -> Json:
    """The item of a question.

    `library` is the name of the CQL library that defines the answer, None where software fills
    nothing. Without `conditional` the item is asked whatever the other answers are, as in a step of
    an adaptive form.
    """
    extensions = [*_number(question)]
    if library is not None:
        extensions.append(_initial_expression(question.id, library, line))
    item: Json = {
        "linkId": question.id,
        "text": wording.shown_text(question),
        "type": _ITEM_TYPES[question.type],
    }
    if extensions:
        item = {"extension": extensions, **item}
    if conditional and question.enable_when is not None:
        item |= _enable_when(question.enable_when, rules)
    item["required"] = question.required
    if question.type == "multi_choice":
        item["repeats"] = True
    if question.options:
        item["answerOption"] = [_option(question, option) for option in question.options]
    if question.evidence:
        item["item"] = [_help(question)]
    return item


def end_of_clinical_questions() -> Json:
    """The display item after the last clinical question. It stands in every form, also where no
    administrative question follows: a clinician learns that nothing more is asked of them.

    Source: DTR 2.2.0 §spec-22, §spec-39.
    """
    text = wording.END_TEXT
    return {"linkId": END_OF_CLINICAL_QUESTIONS, "text": text, "type": "display"}


def option_system(question: str) -> str:
    """The code system of a question's options. The same on both lines."""
    return f"{CANONICAL}/CodeSystem/{question}"


def _number(question: Question) -> Iterator[Json]:
    """Unit and limits of a number."""
    if question.type not in ("integer", "decimal"):
        return
    value = "valueInteger" if question.type == "integer" else "valueDecimal"
    if question.unit is not None:
        code = _UCUM.get(question.unit)
        coded = {"system": "http://unitsofmeasure.org", "code": code} if code else {}
        unit = {**coded, "display": question.unit}
        yield {"url": CORE + "questionnaire-unit", "valueCoding": unit}
    yield {"url": CORE + "minValue", value: question.minimum}
    if question.most is not None:
        yield {"url": CORE + "maxValue", value: question.most}


def _initial_expression(define: str, library: str, line: Line) -> Json:
    """What fills the item: a define of the service's library, and the same compiled.

    2.2 names the define (text/cql-identifier, DTR 2.2.0 §spec-86). 2.0 knows no such language, and
    its public suite takes text/cql only: there it is a CQL expression that names library and define
    (DTR 2.2.0 §spec-97). Source for the compiled form: DTR 2.2.0 §spec-96.
    """
    compiled = {"libraryName": library, "name": define, "type": "ExpressionRef"}
    elm = {
        "language": "application/elm+json",
        "expression": json.dumps(compiled, separators=(",", ":")),
    }
    said = {"language": "text/cql-identifier", "expression": define}
    if line == "2.0":
        said = {"language": "text/cql", "expression": f'"{library}"."{define}"'}
    alternative = {"url": _ALTERNATIVE_EXPRESSION[line], "valueExpression": elm}
    return {
        "url": SDC + "sdc-questionnaire-initialExpression",
        "valueExpression": {"extension": [alternative], **said},
    }


def _enable_when(when: EnableWhen, rules: ServiceRules) -> Json:
    """When the item is asked, as `coverage.evaluate.asked` has it.

    FHIR takes "differs from" for true while there is no answer; we do not ask before there is one.
    """
    comparison = _comparison(when, rules.by_id[when.question])
    if when.equals is not None:
        return {"enableWhen": [{"question": when.question, "operator": "=", **comparison}]}
    answered = {"question": when.question, "operator": "exists", "answerBoolean": True}
    differs = {"question": when.question, "operator": "!=", **comparison}
    return {"enableWhen": [answered, differs], "enableBehavior": "all"}


def _comparison(when: EnableWhen, other: Question) -> dict[str, Any]:
    if other.type == "boolean":
        return {"answerBoolean": when.value}
    chosen = next(option for option in other.options if option.code == when.value)
    return {"answerCoding": _coding(other, chosen)}


def _option(question: Question, option: Option) -> Json:
    """One answer to choose. "None of these" excludes every other."""
    answer: Json = {"valueCoding": _coding(question, option)}
    if option.code in question.exclusive:
        exclusive = {"url": CORE + "questionnaire-optionExclusive", "valueBoolean": True}
        answer = {"extension": [exclusive], **answer}
    return answer


def _coding(question: Question, option: Option) -> Json:
    return {"system": option_system(question.id), "code": option.code, "display": option.label}


def _help(question: Question) -> Json:
    """Where the answer is usually documented."""
    control = {
        "coding": [{"system": "http://hl7.org/fhir/questionnaire-item-control", "code": "help"}]
    }
    return {
        "extension": [{"url": CORE + "questionnaire-itemControl", "valueCodeableConcept": control}],
        "linkId": f"{question.id}.help",
        "text": wording.help_text(question),
        "type": "display",
    }
