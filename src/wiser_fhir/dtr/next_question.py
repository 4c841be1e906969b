"""`$next-question`: a response to an adaptive form, extended by what is to be asked next. Pure.

**What comes in.** A QuestionnaireResponse, bare or as the one parameter of Parameters. It is called
`questionnaire-response` (SDC 3.0.0 and 4.0.0, DTR 2.2.0), `questionnaire-response-in` (DTR 2.1.0)
or `in` (the input profile of SDC 3.0.0); each is taken on both lines.

**What goes out** is a bare QuestionnaireResponse on both lines. The operation has one output,
`return`, and that is a resource: FHIR R4 ("Executing an Operation Synchronously") has it returned
bare, not inside Parameters. On line 2.0 the public suite expects just that. DTR 2.2.0 also
publishes a Parameters profile for the output (dtr-next-question-output-parameters); a profile tells
the shape of Parameters where they are used and does not undo the rule of the framework.

**Answers stay as they came**, whatever is asked next, in the order in which they were asked; new
questions are appended. So it is when an earlier answer changes:

- A question that has lost its say and has no answer is taken out: nobody need look at it.
- An answer that an earlier one now disables stays while the form is in progress, so that changing
  back loses nothing. A completed form leaves it out: it answers what it asks and nothing else, and
  a request that brought such an answer would go to a clinician for it.
- An answer to a question that is asked but has become needless stays for good: it is true, and
  harms nothing.

**An amended response** is taken like a completed one, which it was before it was changed, and goes
back in progress or completed. No profile narrows the status, and the operation says nothing of it.
The status is ours to set, by what is left to ask; a client that wants its change to show writes
`amended` into what it sends to `$submit`, where a clinician looks at such a form.

**A required question without an answer** is refused, where it still has a say: by the form inside
the response it is invalid (DTR 2.2.0 §spec-146, §spec-147), and the operation is defined for
responses with every required answer. The issues name each, so the client can put them again.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from wiser_fhir.coverage.evaluate import Asked, Reading
from wiser_fhir.coverage.relevance import next_step
from wiser_fhir.dtr.adaptive_response import AdaptiveResponse
from wiser_fhir.dtr.forms import Form, contained_questionnaire
from wiser_fhir.dtr.items import END_OF_CLINICAL_QUESTIONS
from wiser_fhir.dtr.operations import named, parameters
from wiser_fhir.dtr.questionnaire import narrative
from wiser_fhir.errors import InvalidResource, Problem
from wiser_fhir.fhir.elements import Json

PARAMETERS = ("questionnaire-response", "questionnaire-response-in", "in")


@dataclass(frozen=True, slots=True)
class Reply:
    """The response extended. `completed` when there was nothing more to ask."""

    response: Json
    completed: bool


def unwrapped(resource: Json) -> tuple[Json, str]:
    """The response an operation was called with, and its place. Raises InvalidResource."""
    if resource.get("resourceType") == "QuestionnaireResponse":
        return resource, "QuestionnaireResponse"
    given = named(parameters(resource), *PARAMETERS)
    held = [each for each in given if each.key == "resource"]
    if len(given) == len(held) == 1:
        response = held[0].value
        if response.get("resourceType") == "QuestionnaireResponse":
            return response, held[0].place
    text = f"One QuestionnaireResponse was expected, bare or as the parameter {PARAMETERS[0]}."
    raise InvalidResource(text, [Problem("error", "structure", text, "Parameters.parameter")])


def next_question(read: AdaptiveResponse, now: datetime) -> Reply:
    """The response with the next questions, or completed when every question is answered.

    Source: DTR 2.2.0 OperationDefinition DTR-Questionnaire-next-question, §spec-36, §spec-39.
    """
    step = next_step(read.form.rules, read.answers, read.counting, read.asked)
    new = [name for name in step.questions if name not in read.asked]
    names = [*_kept(read, step.relevant, completed=not new), *new]
    form = _form_inside(read, names, clinical_complete=step.last_clinical)
    items = [_item(read.items, each) for each in form["item"] if _is_shown(read, each)]
    response = read.response | {
        "contained": _contained(read, form),
        "questionnaire": f"#{form['id']}",
        "status": "in-progress" if new else "completed",
        "authored": read.response.get("authored") or now.isoformat(timespec="seconds"),
    }
    return Reply(response | {"item": items}, completed=not new)


def _kept(read: AdaptiveResponse, relevant: Collection[str], *, completed: bool) -> list[str]:
    """Of the questions put so far those that stay."""
    reading = Reading(read.form.rules, read.answers)
    return [
        name
        for name in read.asked
        if (name in read.answers and not completed)
        or (reading.asked(name) is Asked.YES and (name in read.answers or name in relevant))
    ]


def _form_inside(read: AdaptiveResponse, names: Sequence[str], *, clinical_complete: bool) -> Json:
    """The form with the questions put, in the order in which they were put."""
    form = contained_questionnaire(read.form, names, clinical_complete=clinical_complete)
    if read.contained is not None:
        form["id"] = read.response["contained"][read.contained]["id"]
    form["item"] = _in_order_put(read.form, form["item"], names)
    form["text"] = narrative(form["title"], (item["text"] for item in form["item"]))
    return form


def _in_order_put(form: Form, items: Sequence[Json], names: Sequence[str]) -> list[Json]:
    """The items as they were put; what closes the clinical part comes after the last of those."""
    place = {name: index for index, name in enumerate(names)}
    by_id = form.rules.by_id
    clinical = [place[name] for name in names if not by_id[name].administrative]
    place[END_OF_CLINICAL_QUESTIONS] = max(clinical, default=-1)
    return sorted(items, key=lambda item: place[item["linkId"]])


def _is_shown(read: AdaptiveResponse, item: Json) -> bool:
    """A display item has no place among the answers, unless the client gave it one."""
    return item["type"] != "display" or item["linkId"] in read.items


def _item(items: Mapping[str, Json], asked_item: Json) -> Json:
    name = asked_item["linkId"]
    return items.get(name) or {"linkId": name, "text": asked_item["text"]}


def _contained(read: AdaptiveResponse, form: Json) -> list[Json]:
    inside = list(read.response.get("contained", ()))
    if read.contained is None:
        return [form, *inside]
    inside[read.contained] = form
    return inside
