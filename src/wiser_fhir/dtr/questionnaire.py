"""A service's form as a Questionnaire, built from its rules: form, automatic check and reviewer's
list are one set of questions.

Source: DTR 2.2.0 dtr-std-questionnaire, DTR 2.0.1 dtr-std-questionnaire.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date
from html import escape

from wiser_fhir.coverage.canonical import CANONICAL
from wiser_fhir.coverage.models import ServiceRules
from wiser_fhir.coverage.questions import Question
from wiser_fhir.dtr.items import CORE, DTR, SDC, end_of_clinical_questions, question_item
from wiser_fhir.fhir.codes import CANONICAL_BASE, Line
from wiser_fhir.fhir.elements import Json

PUBLISHER = "wiser-fhir"
SECONDS_PER_QUESTION = 15
"""To read a question of one or two lines, look at what was filled, and answer. Nobody has measured
it yet; questions that are not asked count too, so the estimate is rather too long."""
_TIMES = ((60, "under-1min"), (180, "under-3min"), (300, "under-5min"))


@dataclass(frozen=True, slots=True)
class Plan:
    """What a form is built from. `library` is the name and version of the service's CQL library;
    `filled` are the questions that it defines answers of; `until` is the form's last day."""

    rules: ServiceRules
    line: Line
    until: date | None = None
    library: tuple[str, str] | None = None
    filled: Collection[str] = ()

    @property
    def url(self) -> str:
        """The canonical of the standard form, without its version."""
        return f"{CANONICAL_BASE[self.line]}/Questionnaire/{self.rules.slug}"

    def item(self, question: Question, *, conditional: bool) -> Json:
        """A question's item."""
        name = self.library[0] if self.library and question.id in self.filled else None
        return question_item(question, self.rules, self.line, name, conditional=conditional)


def questionnaire(plan: Plan) -> Json:
    """The standard form: every question, each with the condition it is asked under."""
    form = heading(plan, plan.url, plan.rules.slug, plan.rules.name)
    form["meta"] = {"profile": [DTR + "dtr-std-questionnaire"]}
    form["text"] = narrative(plan.rules.name, (each.text for each in in_order(plan.rules)))
    form["extension"] = [*version_algorithm(), *libraries(plan), launch_context()]
    form["extension"] += audience(plan)
    form["item"] = [plan.item(each, conditional=True) for each in clinical(plan.rules)]
    form["item"].append(end_of_clinical_questions())
    form["item"] += [plan.item(each, conditional=True) for each in administrative(plan.rules)]
    return form


def clinical(rules: ServiceRules) -> list[Question]:
    """The questions to a clinician, in the order of the file."""
    return [question for question in rules.questions if not question.administrative]


def administrative(rules: ServiceRules) -> list[Question]:
    """The questions that office staff can answer."""
    return [question for question in rules.questions if question.administrative]


def in_order(rules: ServiceRules) -> list[Question]:
    """Every question in the order of the form."""
    return [*clinical(rules), *administrative(rules)]


def heading(plan: Plan, url: str, slug: str, title: str) -> Json:
    """What stands at the root of any form, standard or adaptive."""
    rules = plan.rules
    period = {"start": rules.opens_on.isoformat()}
    if plan.until is not None:
        period["end"] = plan.until.isoformat()
    return {
        "resourceType": "Questionnaire",
        "id": f"{slug}-{rules.version}",
        "meta": {},
        "text": {},
        "extension": [],
        "url": url,
        "version": rules.version,
        "name": computer_name(slug),
        "title": title,
        "status": "active",
        "experimental": False,
        "subjectType": ["Patient"],
        "date": rules.version,
        "publisher": PUBLISHER,
        "description": f"What WISeR asks for a prior authorization of: {rules.name}.",
        "effectivePeriod": period,
        "code": [{"system": f"{CANONICAL}/CodeSystem/services", "code": rules.slug}],
    }


def computer_name(slug: str) -> str:
    """`deep-brain-stimulation` as `DeepBrainStimulation`."""
    return "".join(part.capitalize() for part in slug.split("-"))


def narrative(title: str, questions: Iterable[str]) -> Json:
    """The form as text: its title and questions. DTR 2.0.1 demands one."""
    listed = "".join(f"<li>{escape(text)}</li>" for text in questions)
    body = f"<p>{escape(title)}</p>" + (f"<ol>{listed}</ol>" if listed else "")
    div = f'<div xmlns="http://www.w3.org/1999/xhtml">{body}</div>'
    return {"status": "generated", "div": div}


def version_algorithm() -> list[Json]:
    """Versions are days. SDC 4.0.0 wants this said, its ballot, which is what HL7's engine knows,
    under another url."""
    coding = {"system": "http://hl7.org/fhir/version-algorithm", "code": "date"}
    urls = (
        CORE + "artifact-versionAlgorithm",
        "http://hl7.org/fhir/5.0/StructureDefinition/extension-Questionnaire.versionAlgorithm[x]",
    )
    return [{"url": url, "valueCoding": coding} for url in urls]


def libraries(plan: Plan) -> list[Json]:
    """The service's library; the one it includes is found through it.

    2.2 names its version (DTR 2.2.0 §oper-16). 2.0 does not: its public suite compares the
    reference with Library.url as text.
    """
    if plan.library is None:
        return []
    name, version = plan.library
    url = f"{CANONICAL}/Library/{name}"
    said = f"{url}|{version}" if plan.line == "2.2" else url
    return [{"url": CORE + "cqf-library", "valueCanonical": said}]


def launch_context() -> Json:
    """The population logic is about the patient and reads nothing else of the launch."""
    return {
        "url": SDC + "sdc-questionnaire-launchContext",
        "extension": [
            {
                "url": "name",
                "valueCoding": {
                    "system": "http://hl7.org/fhir/uv/sdc/CodeSystem/launchContext",
                    "code": "patient",
                },
            },
            {"url": "type", "valueCode": "Patient"},
        ],
    }


def audience(plan: Plan) -> list[Json]:
    """Whom the form asks, how long it takes, and that its answers are about one request.

    Source: DTR 2.2.0 dtr-base-questionnaire; 2.0 knows nothing of the kind.
    """
    if plan.line == "2.0":
        return []
    asked = ["clinical", "admin"] if administrative(plan.rules) else ["clinical"]
    times = {
        "clinicalTime": _time(len(clinical(plan.rules))),
        "totalTime": _time(len(plan.rules.questions)),
    }
    return [
        *({"url": DTR + "questionnaireAudience", "valueCode": code} for code in asked),
        {
            "url": DTR + "estimated-completion-time",
            "extension": [{"url": part, "valueCode": code} for part, code in times.items()],
        },
        {"url": DTR + "request-specific", "valueBoolean": True},
    ]


def _time(questions: int) -> str:
    seconds = questions * SECONDS_PER_QUESTION
    return next((code for limit, code in _TIMES if seconds < limit), "over-5min")
