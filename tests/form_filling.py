"""A DTR app for tests: it fills a package's form from a chart, and a scripted user does the rest.

It knows what a client knows: the package, a chart, and the official engine under Node. Nothing here
uses the product's code.
"""

from collections.abc import Iterable, Mapping
from copy import deepcopy
from typing import Any

from tests.bundle_values import Json, Line
from tests.conformance.dtr.charts_run import executed
from tests.form_logic import form_logic, items

ORIGIN = "http://hl7.org/fhir/us/davinci-dtr/StructureDefinition/information-origin"

Answers = dict[str, list[Json]]
"""Answers without their origin, by linkId."""


def filled_by_chart(
    package: Json,
    chart: Json,
    today: str,
    form: Json | None = None,
    expanded: Iterable[Json] = (),
) -> Answers:
    """What the package's own logic answers from a chart.

    `form` is the one inside a response, where questions come step by step; `expanded` are the value
    sets that did not come along.
    """
    asked = form or package["entry"][0]["resource"]
    logic = form_logic(package, asked, expanded)
    run = logic.run("chart", "package", chart)
    told = executed({"package": logic.delivered}, [run], today)["chart"]
    found: Answers = {}
    for item in items(asked):
        value = told.get(item["linkId"])
        values = value if isinstance(value, list) else [value]
        if value is not None:
            found[item["linkId"]] = [_answer(item, each) for each in values]
    return found


def _answer(item: Json, value: Any) -> Json:
    match item["type"]:
        case "choice":
            return {"valueCoding": value}
        case "string" | "text":
            return {"valueString": value}
        case kind:
            return {f"value{kind.capitalize()}": value}


def attested(form: Json, plain: Mapping[str, Any]) -> Answers:
    """What a person answers, from plain values by linkId: option codes stand for their codings."""
    found: Answers = {}
    for item in items(form):
        if item["linkId"] not in plain:
            continue
        value = plain[item["linkId"]]
        values = value if isinstance(value, list) else [value]
        found[item["linkId"]] = [_answer(item, _option(item, each)) for each in values]
    return found


def _option(item: Json, value: Any) -> Any:
    options = [each["valueCoding"] for each in item.get("answerOption", ())]
    return next((each for each in options if each["code"] == value), value)


def software(line: Line) -> str:
    """The origin of what an app at the client filled."""
    return "auto" if line == "2.0" else "auto-client"


def completed(
    draft: Json, form: Json, given: Mapping[str, Answers], *, author: Json, at: str
) -> Json:
    """The draft, answered. `given` are answers by their origin; a later one replaces an earlier."""
    marked = _by_origin(given, author)
    asked = [i for i in items(form) if i["type"] not in ("display", "group")]
    told = [
        {"linkId": item["linkId"], "text": item["text"], "answer": marked[item["linkId"]]}
        for item in asked
        if item["linkId"] in marked and _enabled(item, marked)
    ]
    done = {"status": "completed", "authored": at, "author": author, "item": told}
    return deepcopy(draft) | done


def continued(response: Json, given: Mapping[str, Answers], *, author: Json) -> Json:
    """A response whose form asks step by step, its open items answered."""
    marked = _by_origin(given, author)
    told = [
        item if "answer" in item else item | {"answer": marked[item["linkId"]]}
        for item in response["item"]
    ]
    return deepcopy(response) | {"author": author, "item": told}


def _by_origin(given: Mapping[str, Answers], author: Json) -> Answers:
    return {
        link: _marked(found, source, author)
        for source, answers in given.items()
        for link, found in answers.items()
    }


def _marked(answers: list[Json], source: str, author: Json) -> list[Json]:
    parts: list[Json] = [{"url": "source", "valueCode": source}]
    if not source.startswith("auto"):
        practitioner = {"url": "practitioner", "valueReference": author}
        parts.append({"url": "author", "extension": [practitioner]})
    return [{"extension": [{"url": ORIGIN, "extension": parts}], **answer} for answer in answers]


def _enabled(item: Json, answers: Answers) -> bool:
    held = [_holds(each, answers) for each in item.get("enableWhen", ())]
    if not held:
        return True
    return any(held) if item.get("enableBehavior") == "any" else all(held)


def _holds(when: Json, answers: Answers) -> bool:
    given = [_value(each) for each in answers.get(when["question"], ())]
    wanted = _value({key: value for key, value in when.items() if key.startswith("answer")})
    match when["operator"]:
        case "exists":
            return bool(given) is wanted
        case "=":
            return wanted in given
        case "!=":
            return wanted not in given
    raise AssertionError(when)


def _value(answer: Json) -> Any:
    [value] = [v for k, v in answer.items() if k.startswith(("value", "answer"))]
    return (value.get("system"), value.get("code")) if isinstance(value, dict) else value
