"""The input pack for the public DTR payer suite: package requests and next questions, both lines.

`python -m tests.conformance.inferno.dtr.build` writes all files; a test holds them to this. A file
is what goes into one field of the suite: Parameters, or a list of bodies for `$next-question`.
"""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.bundle_values import MEMBERS, Json, Line
from tests.conformance.inferno.crd.resources import Chart
from wiser_fhir import exact
from wiser_fhir.coverage.canonical import CANONICAL
from wiser_fhir.coverage.catalogue import Catalogue
from wiser_fhir.dtr.adaptive_response import adaptive_response
from wiser_fhir.dtr.draft import Occasion, draft
from wiser_fhir.dtr.forms import Form, Forms
from wiser_fhir.dtr.next_question import next_question

FOLDER = Path(__file__).parent
LINES: tuple[Line, ...] = ("2.2", "2.0")
BASES: dict[Line, str] = {
    "2.2": "https://wiser-fhir.example/fhir",
    "2.0": "https://wiser-fhir.example/v2.0/fhir",
}
ADAPTIVE = "hypoglossal-nerve-stimulation-adaptive"
WRITTEN = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
# What somebody answers who is asked one question after the other. That they could not bear the
# mask is what leads to one more question.
ANSWERS: dict[str, Json] = {
    "hgns-age": {"valueInteger": 75},
    "hgns-bmi": {"valueDecimal": 29.4},
    "hgns-consult-date": {"valueDate": "2026-10-06"},
    "hgns-psg-date": {"valueDate": "2026-08-19"},
    "hgns-ahi": {"valueDecimal": 31.5},
    "hgns-central": {"valueDecimal": 6.5},
    "hgns-cpap": {"valueCoding": "intolerance"},
    "hgns-sdm": {"valueBoolean": True},
    "hgns-dise": {"valueBoolean": True},
    "hgns-anatomy": {"valueBoolean": False},
    "hgns-mri": {"valueBoolean": True},
    "hgns-contra": {"valueCoding": "none"},
}
# Read from the chart, and changed by nobody; the rest was answered by hand.
READ = frozenset({"hgns-age", "hgns-bmi", "hgns-psg-date", "hgns-ahi", "hgns-central"})
_SOFTWARE: dict[Line, str] = {"2.2": "auto-client", "2.0": "auto"}
_ORIGIN = "http://hl7.org/fhir/us/davinci-dtr/StructureDefinition/information-origin"


def static_request(line: Line) -> Json:
    """What an EHR asks with that has an order to document."""
    chart = Chart(line, MEMBERS[0])
    return _parameters(chart.coverage(), chart.service("injection", "64483", "M54.16"))


def adaptive_request(line: Line) -> Json:
    """The same for the adaptive form of an order."""
    chart = Chart(line, MEMBERS[1], "NJ")
    canonical = f"{BASES[line]}/Questionnaire/{ADAPTIVE}"
    form = {"name": "questionnaire", "valueCanonical": canonical}
    return _parameters(chart.coverage(), chart.service("stimulator", "64582", "G47.33"), form)


def next_questions(line: Line) -> list[Json]:
    """The responses that a client sends, one after the other, until the form is completed.

    The first is the draft of the package, without any item; each other is the answer to the one
    before, with what was asked answered.
    """
    forms = Forms.load(Catalogue.load(), BASES)
    form = forms.by_canonical(line, f"{BASES[line]}/Questionnaire/{ADAPTIVE}", WRITTEN.date())
    assert form is not None
    return list(_steps(form, forms))


def wrapped(response: Json) -> Json:
    """The same as the parameter of the operation."""
    parameter = {"name": "questionnaire-response", "resource": response}
    return {"resourceType": "Parameters", "parameter": [parameter]}


def files() -> dict[Path, str]:
    """Every file of the pack with its content."""
    made: dict[Path, Json | list[Json]] = {}
    for line in LINES:
        folder, steps = FOLDER / line, next_questions(line)
        made[folder / "initial_static_questionnaire_request.json"] = static_request(line)
        made[folder / "initial_adaptive_questionnaire_request.json"] = adaptive_request(line)
        made[folder / "next_question_requests.json"] = steps
        made[folder / "next_question_requests_as_parameters.json"] = [wrapped(s) for s in steps]
    return {file: json.dumps(content, indent=1) + "\n" for file, content in made.items()}


def _parameters(coverage: Json, order: Json, *more: Json) -> Json:
    given = [{"name": "coverage", "resource": coverage}, {"name": "order", "resource": order}]
    return {"resourceType": "Parameters", "parameter": [*given, *more]}


def _steps(form: Form, forms: Forms) -> Iterator[Json]:
    response = _draft(form)
    for _ in ANSWERS:
        yield response
        read = adaptive_response(response, forms, form.line, WRITTEN.date())
        reply = next_question(read, WRITTEN)
        if reply.completed:
            return
        items = [_answered(item, form.line) for item in reply.response["item"]]
        response = reply.response | {"item": items}
    raise RuntimeError("the form does not end")


def _draft(form: Form) -> Json:
    chart = Chart(form.line, MEMBERS[1], "NJ")
    patient = {"reference": f"Patient/{chart.patient_id}"}
    order = {"reference": "ServiceRequest/stimulator"}
    response = draft(
        form, Occasion(patient, ({"reference": "Coverage/coverage"},), (order,), WRITTEN)
    )
    return _plain(response)


def _plain(response: Mapping[str, Any]) -> Json:
    """As it goes over the wire and comes back."""
    found: Json = json.loads(exact.dumps(response))
    return found


def _answered(item: Json, line: Line) -> Json:
    name = item["linkId"]
    if "answer" in item or name not in ANSWERS:
        return item
    value = dict(ANSWERS[name])
    if "valueCoding" in value:
        code = value["valueCoding"]
        value["valueCoding"] = {"system": f"{CANONICAL}/CodeSystem/{name}", "code": code}
    return {**item, "answer": [{"extension": [_origin(name, line)], **value}]}


def _origin(name: str, line: Line) -> Json:
    """Who answered: software, or the practitioner."""
    if name in READ:
        return {"url": _ORIGIN, "extension": [{"url": "source", "valueCode": _SOFTWARE[line]}]}
    practitioner = {"reference": "Practitioner/practitioner"}
    author = [{"url": "practitioner", "valueReference": practitioner}]
    told = [{"url": "source", "valueCode": "manual"}, {"url": "author", "extension": author}]
    return {"url": _ORIGIN, "extension": told}


if __name__ == "__main__":
    for file, content in files().items():
        file.parent.mkdir(exist_ok=True)
        file.write_text(content, encoding="utf-8")
