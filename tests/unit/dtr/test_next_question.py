"""A response comes back with what is asked next and its answers as they came, or is refused."""

import copy
import itertools
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.adaptive_walks import (
    NOW,
    answers,
    filled,
    first_call,
    first_choice,
    form_of,
    forms,
    inside,
    link_ids,
    meeting,
    open_items,
    reply,
    walk,
)
from tests.bundle_values import Line
from tests.unit.dtr.pump import pump_catalogue, pump_forms
from wiser_fhir import exact
from wiser_fhir.dtr.adaptive_response import adaptive_response
from wiser_fhir.dtr.next_question import next_question, unwrapped
from wiser_fhir.errors import InvalidResource

Json = dict[str, Any]
FUSION, NERVE, SKIN = "cervical-fusion", "hypoglossal-nerve-stimulation", "skin-substitutes"
LINES: tuple[Line, ...] = ("2.2", "2.0")
END = "end-of-clinical-questions"


def bare(slug: str = FUSION, line: Line = "2.2", **changes: Any) -> Json:
    """A first call by our canonical, with nothing inside."""
    return {
        "resourceType": "QuestionnaireResponse",
        "questionnaire": form_of(slug, line).canonical,
        "status": "in-progress",
        "subject": {"reference": "Patient/1"},
    } | changes


def with_answers(slug: str, told: dict[str, Any], source: str | None = "manual") -> Json:
    """A response whose open items are answered step by step, as far as told."""
    form, current = form_of(slug), reply(first_call(form_of(slug)))
    for _ in range(10):
        before = current
        items = copy.deepcopy(current["item"])
        for item in items:
            if "answer" not in item and item["linkId"] in told:
                question = form.rules.by_id[item["linkId"]]
                item["answer"] = answers(question, told[item["linkId"]], source)
        current = current | {"item": items}
        if any("answer" not in item for item in items):
            return current
        current = reply(current)
        if link_ids(current) == link_ids(before):
            return current
    raise AssertionError


def refused(response: Json, line: Line = "2.2") -> list[tuple[str, str | None]]:
    """Code and place of every problem."""
    with pytest.raises(InvalidResource) as caught:
        reply(response, line)
    return [(problem.code, problem.expression) for problem in caught.value.problems]


def changed(response: Json, name: str, answer: list[Json] | None) -> Json:
    """A copy in which one item is answered otherwise, or not at all."""
    copied = copy.deepcopy(response)
    item = next(item for item in copied["item"] if item["linkId"] == name)
    item.pop("answer", None)
    return copied if answer is None else (item.update(answer=answer) or copied)


# What is asked


@pytest.mark.parametrize("line", LINES)
def test_the_first_call_brings_what_can_be_asked_at_once(line: Line) -> None:
    told = reply(first_call(form_of(FUSION, line)), line)
    assert told["status"] == "in-progress"
    assert told["item"] == [
        {"linkId": "cf-path", "text": "Reason for the fusion"},
        {"linkId": "cf-instability", "text": told["item"][1]["text"]},
    ]
    assert link_ids(inside(told)) == ["cf-path", "cf-instability"]
    assert inside(told)["derivedFrom"] == [form_of(FUSION, line).canonical]
    assert all("enableWhen" not in item for item in inside(told)["item"])


def test_a_step_asks_what_the_answers_open_and_nothing_they_settle() -> None:
    unstable = with_answers(FUSION, {"cf-path": "trauma", "cf-instability": True})
    assert unstable["status"] == "completed"
    stable = with_answers(FUSION, {"cf-path": "trauma", "cf-instability": False})
    assert link_ids(stable) == ["cf-path", "cf-instability", "cf-trauma"]
    bent = with_answers(FUSION, {"cf-path": "deformity", "cf-instability": False})
    assert link_ids(bent)[2:] == ["cf-deformity", "cf-function", "cf-progression"]


def test_a_criterion_that_is_not_met_ends_nothing() -> None:
    told = reply(first_call(form_of(NERVE)))
    failing = changed(told, "hgns-age", [{"valueInteger": 3}])
    with pytest.raises(InvalidResource) as caught:
        reply(failing)
    assert len(caught.value.problems) == 10
    unmet = filled(failing, form_of(NERVE).rules, lambda q: False if not q.options else "none")
    assert unmet["item"][0]["answer"] == [{"valueInteger": 3}]


def test_what_software_attested_spares_nobody_a_question() -> None:
    told = {"cf-path": "trauma", "cf-instability": True}
    software = with_answers(FUSION, told, source="auto-client")
    assert link_ids(software) == ["cf-path", "cf-instability", "cf-trauma"]
    assert software["status"] == "in-progress"


def test_what_a_device_wrote_is_softwares() -> None:
    told = with_answers(FUSION, {"cf-path": "trauma", "cf-instability": True})
    for author in (
        {"reference": "Device/1"},
        {"type": "Device", "display": "A robot"},
        {"reference": "#robot"},
    ):
        robot = {"resourceType": "Device", "id": "robot"}
        by_device = told | {"author": author, "contained": [*told["contained"], robot]}
        assert link_ids(reply(by_device))[2:] == ["cf-trauma"]
    person = told | {"author": {"reference": "Practitioner/1"}}
    assert reply(person)["status"] == "completed"


def test_every_form_ends_with_its_clinical_part_closed() -> None:
    for line, slug in itertools.product(LINES, (FUSION, NERVE, SKIN)):
        form = form_of(slug, line)
        *_, last = walk(form, meeting(form.rules))
        assert last["status"] == "completed"
        assert link_ids(inside(last))[-1] == END
        assert END not in link_ids(last)
        assert open_items(last) == []


def test_the_clinical_part_is_closed_as_soon_as_nothing_clinical_can_follow() -> None:
    first, second, *_ = walk(form_of(SKIN), first_choice)
    assert END not in link_ids(inside(first))
    assert link_ids(inside(second))[-1] == END
    one_step = with_answers(NERVE, {})
    assert END not in link_ids(inside(one_step)), "an answer may still open a question"


def test_a_reply_may_be_sent_again() -> None:
    told = with_answers(FUSION, {"cf-path": "trauma", "cf-instability": True})
    assert reply(told) == told
    assert reply(told | {"status": "amended"}) == told
    assert reply(reply(first_call(form_of(FUSION))) | {"item": told["item"]}) == told


# What stays


def test_answers_stay_as_they_came() -> None:
    told = reply(first_call(form_of(SKIN)))
    rest = filled(told, form_of(SKIN).rules, first_choice)
    body = exact.dumps(rest).replace(b'"valueDecimal":30', b'"valueDecimal":100.10')
    sent = exact.loads(body)
    sent["item"][0]["answer"][0]["id"] = "a-1"
    sent["item"][1]["extension"] = [{"url": "http://ehr.example/own", "valueString": "kept"}]
    sent["item"][2].pop("text")
    answered = exact.loads(exact.dumps(reply(sent)))
    assert b'"valueDecimal":100.10' in exact.dumps(answered)
    assert exact.dumps(answered["item"][: len(sent["item"])]) == exact.dumps(sent["item"])
    for key in ("extension", "subject", "authored", "meta"):
        assert answered[key] == sent[key]


def test_new_questions_are_appended_to_those_before() -> None:
    replies = list(walk(form_of(SKIN), first_choice))
    for before, after in itertools.pairwise(replies):
        asked = [name for name in link_ids(inside(before)) if name != END]
        assert link_ids(inside(after))[: len(asked)] == asked
        assert link_ids(after)[: len(asked)] == asked


def test_the_form_inside_keeps_its_place_and_id_and_is_ours() -> None:
    told = reply(first_call(form_of(FUSION)))
    doctor = {"resourceType": "Practitioner", "id": "doctor"}
    form = inside(told) | {"id": "their-name", "title": "Another title"}
    form["item"] = [{**item, "required": False} for item in form["item"]]
    sent = told | {"contained": [doctor, form], "questionnaire": "#their-name"}
    again = reply(filled(sent, form_of(FUSION).rules, meeting(form_of(FUSION).rules)))
    assert again["contained"][0] == doctor
    assert (again["questionnaire"], inside(again)["id"]) == ("#their-name", "their-name")
    assert inside(again)["title"] != "Another title"
    assert all(item["required"] for item in inside(again)["item"] if item["type"] != "display")


@pytest.mark.parametrize("line", LINES)
def test_a_response_that_names_our_form_gets_it_inside(line: Line) -> None:
    told = reply(bare(line=line), line)
    assert link_ids(inside(told)) == ["cf-path", "cf-instability"]
    assert told["authored"] == "2026-11-20T16:00:00+00:00"
    unversioned = bare(line=line)
    unversioned["questionnaire"] = unversioned["questionnaire"].partition("|")[0]
    assert reply(unversioned, line) == told
    answered = filled(told, form_of(FUSION).rules, meeting(form_of(FUSION).rules))
    without = bare(line=line, item=answered["item"], authored="2026-11-01T10:00:00Z")
    assert link_ids(reply(without, line)) == link_ids(reply(answered, line))
    assert reply(without, line)["authored"] == "2026-11-01T10:00:00Z"


# An earlier answer changes


def test_a_question_that_lost_its_say_unanswered_is_taken_out() -> None:
    told = with_answers(FUSION, {"cf-path": "trauma", "cf-instability": False})
    assert link_ids(told)[2:] == ["cf-trauma"]
    instability = form_of(FUSION).rules.by_id["cf-instability"]
    settled = reply(changed(told, "cf-instability", answers(instability, True)))
    assert link_ids(settled) == ["cf-path", "cf-instability"]
    assert settled["status"] == "completed"


def test_a_disabled_answer_stays_while_changing_back_is_possible_and_then_goes() -> None:
    rules = form_of(FUSION).rules
    told = with_answers(
        FUSION, {"cf-path": "trauma", "cf-instability": False, "cf-trauma": "neither"}
    )
    assert told["status"] == "completed"
    other = reply(changed(told, "cf-path", answers(rules.by_id["cf-path"], "tumor")))
    assert other["status"] == "in-progress"
    assert link_ids(other) == ["cf-path", "cf-instability", "cf-trauma", "cf-tumor"]
    assert other["item"][2] == told["item"][2]
    back = reply(changed(other, "cf-path", answers(rules.by_id["cf-path"], "trauma")))
    assert link_ids(back) == ["cf-path", "cf-instability", "cf-trauma"]
    assert back["status"] == "completed"
    done = reply(filled(other, rules, first_choice))
    assert done["status"] == "completed"
    assert link_ids(done) == ["cf-path", "cf-instability", "cf-tumor"]
    assert link_ids(inside(done)) == ["cf-path", "cf-instability", "cf-tumor", END]


def test_a_needless_answer_to_a_question_that_is_asked_stays() -> None:
    rules = form_of(FUSION).rules
    told = with_answers(
        FUSION, {"cf-path": "trauma", "cf-instability": False, "cf-trauma": "with-deficit"}
    )
    both = reply(changed(told, "cf-instability", answers(rules.by_id["cf-instability"], True)))
    assert link_ids(both) == ["cf-path", "cf-instability", "cf-trauma"]
    assert both["status"] == "completed"


# What is refused


def test_a_required_question_that_was_put_wants_an_answer() -> None:
    told = reply(first_call(form_of(FUSION)))
    assert refused(told) == [
        ("required", "QuestionnaireResponse.item[0]"),
        ("required", "QuestionnaireResponse.item[1]"),
    ]
    gone = told | {"item": told["item"][:1]}
    assert refused(gone) == [
        ("required", "QuestionnaireResponse.item[0]"),
        ("required", "QuestionnaireResponse"),
    ]


def test_an_optional_question_may_be_passed_over() -> None:
    rules = form_of(SKIN).rules
    told = reply(first_call(form_of(SKIN)))
    sent = filled(told, rules, lambda q: first_choice(q) if q.required else None)
    asked_again = reply(sent)
    assert {"ctp-abi", "ctp-toe"} <= set(link_ids(asked_again))
    *_, last = walk(form_of(SKIN), lambda q: first_choice(q) if q.required else None)
    assert last["status"] == "completed"
    assert [item["linkId"] for item in open_items(last)] == ["ctp-abi", "ctp-toe"]


CODING = {"system": "https://wiser-fhir.example/fhir/CodeSystem/hgns-cpap", "code": "failure"}


@pytest.mark.parametrize(
    ("name", "answer", "problem"),
    [
        ("hgns-age", [{"valueDecimal": 40.5}], ("value", ".answer[0].value")),
        ("hgns-age", [{"valueString": "40"}], ("value", ".answer[0].value")),
        ("hgns-age", [{"valueInteger": -1}], ("value", "")),
        ("hgns-age", [{}], ("required", ".answer[0]")),
        ("hgns-age", [{"valueInteger": 40}, {"valueInteger": 41}], ("structure", "")),
        ("hgns-central", [{"valueDecimal": 101}], ("value", "")),
        ("hgns-dise", [{"valueCoding": {"code": "Y"}}], ("value", ".answer[0].value")),
        ("hgns-consult-date", [{"valueDate": "2026-05"}], ("value", ".answer[0].value")),
        ("hgns-consult-date", [{"valueDateTime": "2026-05-04"}], ("value", ".answer[0].value")),
        ("hgns-cpap", [{"valueCoding": {"code": "failure"}}], ("code-invalid", ".answer[0].value")),
        (
            "hgns-cpap",
            [{"valueCoding": CODING | {"code": "sometimes"}}],
            ("code-invalid", ".answer[0].value"),
        ),
        (
            "hgns-cpap",
            [{"valueCoding": CODING | {"system": "http://elsewhere.example"}}],
            ("code-invalid", ".answer[0].value"),
        ),
        ("hgns-cpap", [{"valueCoding": {"display": "x"}}], ("code-invalid", ".answer[0].value")),
        ("hgns-cpap", [{"valueCoding": CODING}] * 2, ("structure", "")),
        (
            "hgns-age",
            [{"valueInteger": 40, "item": [{"linkId": "more", "answer": []}]}],
            ("structure", ""),
        ),
    ],
)
def test_an_answer_that_cannot_be(name: str, answer: list[Json], problem: tuple[str, str]) -> None:
    told = reply(first_call(form_of(NERVE)))
    good = filled(told, form_of(NERVE).rules, meeting(form_of(NERVE).rules))
    index = link_ids(good).index(name)
    code, below = problem
    assert refused(changed(good, name, answer)) == [
        (code, f"QuestionnaireResponse.item[{index}]{below}")
    ]


def test_a_forms_own_words_below_an_item_are_no_fault() -> None:
    told = filled(reply(first_call(form_of(NERVE))), form_of(NERVE).rules, first_choice)
    told["item"][1]["answer"][0]["item"] = [{"linkId": "hgns-bmi.help", "text": "Documented in"}]
    told["item"].append({"linkId": END, "text": "The end"})
    answered = reply(told)
    assert answered["item"][1] == told["item"][1]
    assert answered["item"][-1] == {"linkId": END, "text": "The end"}


def test_everything_wrong_is_told_at_once() -> None:
    told = filled(reply(first_call(form_of(NERVE))), form_of(NERVE).rules, first_choice)
    told["status"] = "stopped"
    told["item"][0]["answer"] = [{"valueString": "Jane Doe"}]
    told["item"][1].pop("answer")
    told["item"] += [
        copy.deepcopy(told["item"][2]),
        {"linkId": "hgns-sdm", "answer": [{"valueBoolean": True}]},
        {"linkId": "jane-doe", "answer": [{"valueString": "Jane Doe"}]},
        {"linkId": END, "answer": [{"valueBoolean": True}]},
    ]
    told["contained"][0]["item"] += [{"linkId": "jane-doe"}, {"linkId": "hgns-age"}, 7]
    assert refused(told) == [
        ("value", "QuestionnaireResponse.status"),
        ("structure", "QuestionnaireResponse.contained[0].item[11]"),
        ("structure", "QuestionnaireResponse.contained[0].item[12]"),
        ("structure", "QuestionnaireResponse.contained[0].item[13]"),
        ("value", "QuestionnaireResponse.item[0].answer[0].value"),
        ("structure", "QuestionnaireResponse.item[11]"),
        ("structure", "QuestionnaireResponse.item[12]"),
        ("structure", "QuestionnaireResponse.item[13]"),
        ("structure", "QuestionnaireResponse.item[14]"),
        ("required", "QuestionnaireResponse.item[1]"),
    ]
    with pytest.raises(InvalidResource) as caught:
        reply(told)
    assert "jane" not in repr(caught.value.problems).lower()


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"questionnaire": None}, ".questionnaire"),
        ({"questionnaire": "http://elsewhere.example/Questionnaire/x"}, ".questionnaire"),
        ({"questionnaire": "#nothing"}, ".questionnaire"),
        ({"derivedFrom": None}, ".contained[0].derivedFrom"),
        ({"derivedFrom": []}, ".contained[0].derivedFrom"),
        ({"derivedFrom": "x"}, ".contained[0].derivedFrom"),
        ({"derivedFrom": [7]}, ".contained[0].derivedFrom"),
        ({"derivedFrom": ["a", "b"]}, ".contained[0].derivedFrom"),
        (
            {"derivedFrom": ["https://wiser-fhir.example/fhir/Questionnaire/cervical-fusion"]},
            ".contained[0].derivedFrom",
        ),
        (
            {
                "derivedFrom": [
                    "https://wiser-fhir.example/v2.0/fhir/Questionnaire/cervical-fusion-adaptive"
                ]
            },
            ".contained[0].derivedFrom",
        ),
        (
            {
                "derivedFrom": [
                    "https://wiser-fhir.example/fhir/Questionnaire/cervical-fusion-adaptive|2020"
                ]
            },
            ".contained[0].derivedFrom",
        ),
    ],
)
def test_a_form_that_is_not_ours_or_counts_no_longer(change: Json, place: str) -> None:
    told = reply(first_call(form_of(FUSION)))
    target = told["contained"][0] if "derivedFrom" in change else told
    for key, value in change.items():
        target.pop(key)
        if value is not None:
            target[key] = value
    assert refused(told) == [("not-found", f"QuestionnaireResponse{place}")]


def test_a_form_of_an_earlier_version_counts_as_long_as_it_does(tmp_path: Path) -> None:
    response = bare() | {
        "questionnaire": "https://wiser-fhir.example/fhir/Questionnaire/pump-adaptive|2026-01-15"
    }
    ours = pump_forms(tmp_path)
    read = adaptive_response(response, ours, "2.2", date(2026, 5, 4))
    assert link_ids(next_question(read, NOW).response) == [
        "pump-age",
        "pump-share",
        "pump-way",
        "pump-agreed",
    ]
    with pytest.raises(InvalidResource):
        adaptive_response(response, ours, "2.2", date(2026, 1, 14))


def test_administrative_questions_come_last_behind_the_words_between(tmp_path: Path) -> None:
    ours, at = pump_forms(tmp_path), datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
    rules = pump_catalogue(tmp_path / "again").versions("pump")[0]
    current = bare() | {
        "questionnaire": "https://wiser-fhir.example/fhir/Questionnaire/pump-adaptive"
    }
    steps = []
    for _ in range(5):
        read = adaptive_response(current, ours, "2.2", at.date())
        current = next_question(read, at).response
        steps.append(link_ids(inside(current)))
        current = filled(current, rules, first_choice)
    first = ["pump-age", "pump-share", "pump-way", "pump-agreed"]
    second = [*first, "pump-signs", "pump-begun", END, "pump-office"]
    assert steps == [first, second, second, second, second]


# How it is called


@pytest.mark.parametrize("name", ["questionnaire-response", "questionnaire-response-in", "in"])
def test_a_response_may_come_in_parameters(name: str) -> None:
    response = bare()
    held = {"resourceType": "Parameters", "parameter": [{"name": name, "resource": response}]}
    assert unwrapped(held) == (response, "Parameters.parameter[0].resource")
    assert unwrapped(response) == (response, "QuestionnaireResponse")


@pytest.mark.parametrize(
    "resource",
    [
        {"resourceType": "Patient"},
        {"resourceType": "Parameters"},
        {"resourceType": "Parameters", "parameter": [{"name": "other", "resource": {}}]},
        {
            "resourceType": "Parameters",
            "parameter": [{"name": "in", "resource": {"resourceType": "Patient"}}],
        },
        {"resourceType": "Parameters", "parameter": [{"name": "in", "valueString": "x"}]},
        {"resourceType": "Parameters", "parameter": [{"name": "in", "resource": bare()}] * 2},
    ],
)
def test_anything_else_is_refused(resource: Json) -> None:
    with pytest.raises(InvalidResource):
        unwrapped(resource)


def test_problems_stand_where_the_response_stood() -> None:
    told, place = reply(first_call(form_of(FUSION))), "Parameters.parameter[0].resource"
    with pytest.raises(InvalidResource) as caught:
        adaptive_response(told, forms(), "2.2", NOW.date(), place)
    assert [problem.expression for problem in caught.value.problems] == [
        "Parameters.parameter[0].resource.item[0]",
        "Parameters.parameter[0].resource.item[1]",
    ]


@pytest.mark.parametrize("extension", [7, [7], ["x"], [{"url": 7}], {"url": "x"}])
def test_extensions_are_read_with_care(extension: object) -> None:
    told = with_answers(FUSION, {"cf-path": "trauma", "cf-instability": True}, source=None)
    assert told["status"] == "completed"
    told["item"][0]["answer"][0]["extension"] = extension
    assert reply(told) == told
