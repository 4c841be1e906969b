"""A service's form on each line, literally, and what holds of any form."""

import random
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from tests.unit.coverage.made_up import bent
from tests.unit.dtr.pump import SERVICE, WISER, pump_form
from wiser_fhir.coverage.catalogue import Catalogue
from wiser_fhir.coverage.evaluate import Asked, Value, asked
from wiser_fhir.coverage.models import ServiceRules
from wiser_fhir.dtr.questionnaire import Plan, questionnaire
from wiser_fhir.fhir.codes import LINES, Line

Json = dict[str, Any]
CORE = "http://hl7.org/fhir/StructureDefinition/"
SDC = "http://hl7.org/fhir/uv/sdc/StructureDefinition/"
DTR = "http://hl7.org/fhir/us/davinci-dtr/StructureDefinition/"
CATALOGUE = Catalogue.load()
ACTIVE = [
    rules for slug in CATALOGUE.slugs for rules in CATALOGUE.versions(slug) if rules.is_active
]


def extension(element: Json, url: str) -> Json:
    found: list[Json] = [each for each in element.get("extension", ()) if each["url"] == url]
    assert len(found) == 1, url
    return found[0]


def item(form: Json, link_id: str) -> Json:
    (found,) = [each for each in form["item"] if each["linkId"] == link_id]
    return found  # type: ignore[no-any-return]


@pytest.fixture(params=LINES)
def line(request: pytest.FixtureRequest) -> Line:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def form(tmp_path: Path, line: Line) -> Json:
    return pump_form(tmp_path, line).questionnaire


def test_the_root_in_2_2(tmp_path: Path) -> None:
    form = pump_form(tmp_path, "2.2").questionnaire
    shown = {key: each for key, each in form.items() if key not in ("item", "extension", "text")}
    assert shown == {
        "resourceType": "Questionnaire",
        "id": "pump-2026-01-15",
        "meta": {"profile": [DTR + "dtr-std-questionnaire"]},
        "url": "https://wiser-fhir.example/fhir/Questionnaire/pump",
        "version": "2026-01-15",
        "name": "Pump",
        "title": "Pumps & valves",
        "status": "active",
        "experimental": False,
        "subjectType": ["Patient"],
        "date": "2026-01-15",
        "publisher": "wiser-fhir",
        "description": "What WISeR asks for a prior authorization of: Pumps & valves.",
        "effectivePeriod": {"start": "2026-01-15"},
        "code": [{"system": "https://wiser-fhir.example/fhir/CodeSystem/services", "code": "pump"}],
    }
    library = "https://wiser-fhir.example/fhir/Library/WiserPump|2026-01-15"
    assert extension(form, CORE + "cqf-library")["valueCanonical"] == library


def test_the_root_in_2_0(tmp_path: Path) -> None:
    form = pump_form(tmp_path, "2.0").questionnaire
    assert form["url"] == "https://wiser-fhir.example/v2.0/fhir/Questionnaire/pump"
    assert form["id"] == "pump-2026-01-15"
    # The public suite compares it with Library.url as text.
    library = "https://wiser-fhir.example/fhir/Library/WiserPump"
    assert extension(form, CORE + "cqf-library")["valueCanonical"] == library
    assert not [each for each in form["extension"] if each["url"].startswith(DTR)]


def test_a_version_that_is_replaced_says_its_last_day() -> None:
    form = questionnaire(Plan(ACTIVE[0], "2.2", until=date(2026, 5, 31)))
    assert form["effectivePeriod"] == {"start": "2026-01-05", "end": "2026-05-31"}


def test_the_population_logic_is_about_the_patient(form: Json) -> None:
    context = extension(form, SDC + "sdc-questionnaire-launchContext")
    coding = {"system": "http://hl7.org/fhir/uv/sdc/CodeSystem/launchContext", "code": "patient"}
    assert context["extension"] == [
        {"url": "name", "valueCoding": coding},
        {"url": "type", "valueCode": "Patient"},
    ]


@pytest.mark.parametrize(
    ("extra", "clinical", "total"),
    # 7 clinical questions and 1 administrative one of 15 seconds; each extra one is clinical.
    [
        (0, "under-3min", "under-3min"),
        (4, "under-3min", "under-5min"),
        (13, "over-5min", "over-5min"),
    ],
)
def test_how_long_the_form_takes(tmp_path: Path, extra: int, clinical: str, total: str) -> None:
    again = SERVICE[SERVICE.index('[[questions]]\nid       = "pump-agreed"') :]
    question = again[: again.index("[decision]")]
    more = "".join(question.replace("pump-agreed", f"pump-{n}") for n in range(extra))
    text = bent(("[decision]", f"{more}[decision]"), text=SERVICE)
    told = extension(pump_form(tmp_path, "2.2", text=text).questionnaire, DTR + TIME)
    assert told["extension"] == [
        {"url": "clinicalTime", "valueCode": clinical},
        {"url": "totalTime", "valueCode": total},
    ]


TIME = "estimated-completion-time"


def test_every_request_has_answers_of_its_own(tmp_path: Path) -> None:
    form = pump_form(tmp_path, "2.2").questionnaire
    assert extension(form, DTR + "request-specific")["valueBoolean"] is True


def test_the_form_as_text(form: Json) -> None:
    assert form["text"] == {
        "status": "generated",
        "div": '<div xmlns="http://www.w3.org/1999/xhtml"><p>Pumps &amp; valves</p><ol>'
        "<li>Patient age</li><li>Share of the pressure, in %</li><li>Which way &lt; round?</li>"
        "<li>Why so?</li><li>Does any of these apply?</li><li>Since when?</li><li>Agreed?</li>"
        "<li>Who can be called?</li></ol></div>",
    }


def test_clinical_questions_come_before_administrative_ones(form: Json) -> None:
    assert [each["linkId"] for each in form["item"]] == [
        "pump-age",
        "pump-share",
        "pump-way",
        "pump-why",
        "pump-signs",
        "pump-begun",
        "pump-agreed",
        "end-of-clinical-questions",
        "pump-office",
    ]
    assert item(form, "end-of-clinical-questions")["type"] == "display"


def test_office_staff_is_an_audience_where_it_is_asked(tmp_path: Path) -> None:
    form = pump_form(tmp_path, "2.2").questionnaire
    told = [each for each in form["extension"] if each["url"] == DTR + "questionnaireAudience"]
    assert [each["valueCode"] for each in told] == ["clinical", "admin"]


def test_a_number_with_its_unit_and_limits(form: Json) -> None:
    age = item(form, "pump-age")
    assert (age["type"], age["text"], age["required"]) == ("integer", "Patient age (years)", True)
    ucum = "http://unitsofmeasure.org"
    unit = {"system": ucum, "code": "a", "display": "years"}
    assert extension(age, CORE + "questionnaire-unit")["valueCoding"] == unit
    assert extension(age, CORE + "minValue")["valueInteger"] == 18
    share = item(form, "pump-share")
    assert (share["type"], share["text"]) == ("decimal", "Share of the pressure, in %")
    assert extension(share, CORE + "minValue")["valueDecimal"] == 0
    assert extension(share, CORE + "maxValue")["valueDecimal"] == 100


def test_a_number_with_a_greatest_one(tmp_path: Path, line: Line) -> None:
    text = bent(("minimum  = 18", "minimum  = 18\nmaximum  = 130"), text=SERVICE)
    age = item(pump_form(tmp_path, line, text=text).questionnaire, "pump-age")
    assert extension(age, CORE + "minValue")["valueInteger"] == 18
    assert extension(age, CORE + "maxValue")["valueInteger"] == 130


def test_a_unit_that_ucum_does_not_know_is_a_word(tmp_path: Path) -> None:
    text = bent(('"years"', '"seasons"'), text=SERVICE)
    age = item(pump_form(tmp_path, "2.2", text=text).questionnaire, "pump-age")
    assert extension(age, CORE + "questionnaire-unit")["valueCoding"] == {"display": "seasons"}


def test_where_an_answer_is_documented(form: Json) -> None:
    (told,) = item(form, "pump-share")["item"]
    assert told["linkId"] == "pump-share.help"
    assert told["type"] == "display"
    assert told["text"] == "Usually documented in: pressure log, clinical note"
    control = told["extension"][0]["valueCodeableConcept"]["coding"][0]
    assert control["code"] == "help"


def test_options_are_codes_of_the_question(form: Json) -> None:
    way = item(form, "pump-way")
    assert (way["type"], way.get("repeats")) == ("choice", None)
    system = "https://wiser-fhir.example/fhir/CodeSystem/pump-way"
    assert way["answerOption"] == [
        {"valueCoding": {"system": system, "code": "left", "display": "To the left"}},
        {"valueCoding": {"system": system, "code": "right", "display": "To the right"}},
    ]


def test_none_of_these_excludes_the_others(form: Json) -> None:
    signs = item(form, "pump-signs")
    assert (signs["type"], signs["repeats"]) == ("choice", True)
    leak, none = signs["answerOption"]
    assert "extension" not in leak
    exclusive = {"url": CORE + "questionnaire-optionExclusive", "valueBoolean": True}
    assert none["extension"] == [exclusive]


def test_none_of_these_excludes_the_others_whatever_the_rule(tmp_path: Path, line: Line) -> None:
    failing = ('label = "None of these" }', 'label = "None of these", outcome = "fail" }')
    counted = ('{ op = "only", value = "none" }', '{ op = "min_count", value = 1 }')
    text = bent(failing, counted, text=SERVICE)
    signs = item(pump_form(tmp_path, line, text=text).questionnaire, "pump-signs")
    exclusive = {"url": CORE + "questionnaire-optionExclusive", "valueBoolean": True}
    assert [option.get("extension") for option in signs["answerOption"]] == [None, [exclusive]]


@pytest.mark.parametrize("rules", ACTIVE, ids=lambda rules: rules.slug)
def test_every_list_of_many_has_a_way_to_say_none(rules: ServiceRules) -> None:
    exclusive = {"url": CORE + "questionnaire-optionExclusive", "valueBoolean": True}
    for each in questionnaire(Plan(rules, "2.2"))["item"]:
        if each.get("repeats") and each["required"]:
            alone = [o for o in each["answerOption"] if exclusive in o.get("extension", ())]
            assert [option["valueCoding"]["code"] for option in alone] == ["none"]


@pytest.mark.parametrize(
    ("link_id", "kind", "required"),
    [
        ("pump-agreed", "boolean", True),
        ("pump-begun", "date", True),
        ("pump-why", "text", True),
        ("pump-office", "text", False),
    ],
)
def test_plain_questions(form: Json, link_id: str, kind: str, required: bool) -> None:
    found = item(form, link_id)
    assert (found["type"], found["required"]) == (kind, required)


def test_when_a_question_is_asked(form: Json) -> None:
    left = {
        "system": f"{WISER}/CodeSystem/pump-way",
        "code": "left",
        "display": "To the left",
    }
    signs, why, begun = (item(form, f"pump-{name}") for name in ("signs", "why", "begun"))
    same = {"question": "pump-way", "operator": "=", "answerCoding": left}
    assert signs["enableWhen"] == [same]
    assert why["enableBehavior"] == "all"
    assert why["enableWhen"] == [
        {"question": "pump-way", "operator": "exists", "answerBoolean": True},
        {"question": "pump-way", "operator": "!=", "answerCoding": left},
    ]
    yes = {"question": "pump-agreed", "operator": "=", "answerBoolean": True}
    assert begun["enableWhen"] == [yes]


def test_a_fact_is_filled_by_the_define_of_its_name(tmp_path: Path) -> None:
    elm = {
        "language": "application/elm+json",
        "expression": '{"libraryName":"WiserPump","name":"pump-age","type":"ExpressionRef"}',
    }
    said: dict[Line, Json] = {
        "2.2": {"language": "text/cql-identifier", "expression": "pump-age"},
        "2.0": {"language": "text/cql", "expression": '"WiserPump"."pump-age"'},
    }
    alternative: dict[Line, str] = {
        "2.2": DTR + "alternativeExpression",
        "2.0": "http://hl7.org/fhir/us/ecr/StructureDefinition/"
        "us-ph-alternative-expression-extension",
    }
    for line in LINES:
        age = item(pump_form(tmp_path / line, line).questionnaire, "pump-age")
        expression = extension(age, SDC + "sdc-questionnaire-initialExpression")["valueExpression"]
        compiled = {"url": alternative[line], "valueExpression": elm}
        assert expression == {**said[line], "extension": [compiled]}


def test_nothing_else_is_filled(form: Json) -> None:
    url = SDC + "sdc-questionnaire-initialExpression"
    filled = [
        each["linkId"]
        for each in form["item"]
        if any(said["url"] == url for said in each.get("extension", ()))
    ]
    assert filled == ["pump-age", "pump-share"]


@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize("rules", ACTIVE, ids=lambda rules: rules.slug)
def test_a_form_asks_what_the_rules_ask(rules: ServiceRules, line: Line) -> None:
    form = questionnaire(Plan(rules, line))
    asked_for = [each for each in form["item"] if each["type"] != "display"]
    assert sorted(each["linkId"] for each in asked_for) == sorted(q.id for q in rules.questions)
    for each in asked_for:
        options = [said["valueCoding"] for said in each.get("answerOption", ())]
        wanted = rules.by_id[each["linkId"]].options
        assert [(o["code"], o["display"]) for o in options] == [(o.code, o.label) for o in wanted]
        assert rules.by_id[each["linkId"]].text in each["text"]
        assert "readOnly" not in each
    assert "hidden" not in str(form)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('text     = "Agreed?"', 'text     = "Really agreed?"'),
        ('label = "A leak"', 'label = "Two leaks"'),
        ("minimum  = 18", "minimum  = 21"),
        ('not_equals = "left"', 'not_equals = "right"'),
        ("required = false", "required = true"),
    ],
)
def test_a_change_of_a_question_changes_the_form(
    tmp_path: Path, line: Line, old: str, new: str
) -> None:
    text = bent((old, new), text=SERVICE)
    before = pump_form(tmp_path / "before", line).questionnaire["item"]
    after = pump_form(tmp_path / "after", line, text=text).questionnaire["item"]
    changed = [one for one, other in zip(before, after, strict=True) if one != other]
    assert len(changed) == 1


# What FHIR says of enableWhen, for whatever answers there are.


def is_enabled(form: Json, link_id: str, answers: dict[str, list[Any]]) -> bool:
    """By R4: an item that is not enabled has no answers that count."""
    found = item(form, link_id)
    holds = []
    for when in found.get("enableWhen", ()):
        other = when["question"]
        given = answers.get(other, []) if is_enabled(form, other, answers) else []
        if when["operator"] == "exists":
            holds.append(bool(given) == when["answerBoolean"])
            continue
        coding = when.get("answerCoding", {}).get("code")
        equal = (when["answerBoolean"] if coding is None else coding) in given
        holds.append(equal if when["operator"] == "=" else not equal)
    assert len(holds) < 2 or found["enableBehavior"] == "all"
    return all(holds)


def some_answers(rules: ServiceRules, dice: random.Random) -> dict[str, Value]:
    answers: dict[str, Value] = {}
    for question in rules.questions:
        if dice.random() < 0.3:
            continue
        codes = [option.code for option in question.options]
        match question.type:
            case "boolean":
                answers[question.id] = dice.random() < 0.6
            case "choice":
                answers[question.id] = dice.choice(codes)
            case "multi_choice":
                chosen = [code for code in codes if dice.random() < 0.4] or codes[-1:]
                answers[question.id] = tuple(chosen)
    return answers


@pytest.mark.parametrize("rules", ACTIVE, ids=lambda rules: rules.slug)
def test_a_form_enables_what_the_rules_ask(rules: ServiceRules) -> None:
    form = questionnaire(Plan(rules, "2.2"))
    dice = random.Random(rules.slug)  # noqa: S311
    for _ in range(100):
        answers = some_answers(rules, dice)
        listed = {
            name: list(value) if isinstance(value, tuple) else [value]
            for name, value in answers.items()
        }
        for question in rules.questions:
            wanted = asked(rules, answers, question.id) is Asked.YES
            assert is_enabled(form, question.id, listed) == wanted, question.id
