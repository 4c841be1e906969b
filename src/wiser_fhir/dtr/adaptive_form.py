"""A service's form as an adaptive one: the search form, and the form inside a response.

Source: DTR 2.2.0 and 2.0.1, dtr-questionnaire-adapt-search and dtr-questionnaire-adapt.
"""

from collections.abc import Collection, Mapping

from wiser_fhir.coverage.models import ServiceRules
from wiser_fhir.dtr.items import DTR, SDC, end_of_clinical_questions
from wiser_fhir.dtr.questionnaire import (
    Plan,
    administrative,
    audience,
    clinical,
    heading,
    launch_context,
    libraries,
    narrative,
    version_algorithm,
)
from wiser_fhir.fhir.elements import Json

CONTAINED_ID = "adaptive-form"
"""The id of the form inside a response, whose `questionnaire` is `#adaptive-form`."""


def is_worth_adapting(rules: ServiceRules) -> bool:
    """Whether an adaptive form can leave out anything: a question is asked on a condition."""
    return any(question.enable_when is not None for question in rules.questions)


def search_form(plan: Plan, next_question_base: str) -> Json:
    """The adaptive form as packaged: where to ask for questions, and none itself.

    `next_question_base` is the base below which `Questionnaire/$next-question` is called.
    Source: DTR 2.2.0 §spec-23, §spec-24.
    """
    slug, title = f"{plan.rules.slug}-adaptive", f"{plan.rules.name}, question by question"
    form = heading(plan, f"{plan.url}-adaptive", slug, title)
    form["meta"] = {"profile": [DTR + "dtr-questionnaire-adapt-search"]}
    form["text"] = narrative(title, ())
    form["extension"] = [*version_algorithm(), _adaptive(next_question_base), *libraries(plan)]
    # A 2.2 package holds its Questionnaire to dtr-base-questionnaire, an adaptive one too.
    form["extension"] += audience(plan)
    return form


def contained_form(
    plan: Plan,
    search: Json,
    items: Mapping[str, Json],
    asked: Collection[str],
    *,
    clinical_complete: bool,
) -> Json:
    """The form as far as a response has come: the questions `asked`, in the order of the form.

    `clinical_complete` closes the clinical part: no further clinical question can follow
    (DTR 2.2.0 §spec-39).
    """
    rules = plan.rules
    parts = [items[each.id] for each in clinical(rules) if each.id in asked]
    if clinical_complete:
        parts.append(end_of_clinical_questions())
    parts += [items[each.id] for each in administrative(rules) if each.id in asked]
    kept = ("name", "title", "status", "experimental", "subjectType", "date", "publisher")
    form: Json = {
        "resourceType": "Questionnaire",
        "id": CONTAINED_ID,
        "meta": {"profile": [DTR + "dtr-questionnaire-adapt"]},
        "text": narrative(search["title"], (item["text"] for item in parts)),
        "extension": _contained_extensions(plan, search),
        **{key: search[key] for key in kept},
        "derivedFrom": [f"{search['url']}|{search['version']}"],
        "effectivePeriod": search["effectivePeriod"],
    }
    if plan.line == "2.2":
        # sdc-questionnaire wants a url; in 2.0 sdc-questionnaire-adapt forbids one.
        form["url"] = f"{search['url']}-asked"
    return form | ({"item": parts} if parts else {})


def _contained_extensions(plan: Plan, search: Json) -> list[Json]:
    context = [launch_context()] if plan.line == "2.2" else []
    about = [each for each in search["extension"] if "version" not in each["url"]]
    return [*about, *context]


def _adaptive(base: str) -> Json:
    return {"url": SDC + "sdc-questionnaire-questionnaireAdaptive", "valueUrl": base}
