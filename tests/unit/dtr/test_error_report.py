"""What is taken over of a report, and what never is."""

import json
from dataclasses import asdict
from types import MappingProxyType
from typing import Any

import pytest

from wiser_fhir.dtr.error_report import (
    FormName,
    Names,
    ReportedIssue,
    element_path,
    read_report,
)
from wiser_fhir.dtr.operations import Parameter, parameters
from wiser_fhir.errors import InvalidResource, TooLarge

WOUNDS = "https://payer.example/Questionnaire/wounds"
NAMES = Names(
    MappingProxyType(
        {
            WOUNDS: FormName("wounds", None),
            f"{WOUNDS}|2026-01-15": FormName("wounds", "2026-01-15"),
        }
    ),
    frozenset({"wound-area", "WiserWounds"}),
)
ERROR = {"severity": "error", "code": "exception"}


def named(canonical: Any, key: str = "valueCanonical") -> dict[str, Any]:
    return {"name": "questionnaire", key: canonical}


def outcome(*issues: Any, name: str = "operationOutcome") -> dict[str, Any]:
    resource = {"resourceType": "OperationOutcome", "issue": list(issues)}
    return {"name": name, "resource": resource}


def given(*entries: dict[str, Any]) -> tuple[Parameter, ...]:
    return parameters({"resourceType": "Parameters", "parameter": list(entries)})


def read(*entries: dict[str, Any]) -> tuple[ReportedIssue, ...]:
    return read_report(given(*entries), NAMES)


def reduced(issue: dict[str, Any]) -> ReportedIssue:
    [only] = read(named(WOUNDS), outcome(issue))
    return only


def test_an_issue_is_reduced_to_words_of_closed_lists() -> None:
    issue = {
        "severity": "fatal",
        "code": "not-found",
        "details": {
            "coding": [
                {
                    "system": "http://terminology.hl7.org/CodeSystem/operation-outcome",
                    "code": "MSG_NO_EXIST",
                }
            ],
            "text": "no wound-area for Jane Doe",
        },
        "diagnostics": "WiserWounds, line 12: 1EG4-TE5-MK73",
        "expression": ["Questionnaire.item.where(linkId='wound-area').initial[0]"],
        "location": ["/f:Questionnaire/f:item[1]"],
    }
    assert reduced(issue) == ReportedIssue(
        form="wounds",
        version=None,
        severity="fatal",
        code="not-found",
        paths=("Questionnaire.item.initial",),
        details=("MSG_NO_EXIST",),
        mentions=("WiserWounds", "wound-area"),
    )


@pytest.mark.parametrize(
    "issue",
    [
        {"diagnostics": "Canarybird"},
        {"details": {"text": "Canarybird", "coding": [{"code": "Canarybird", "system": "x"}]}},
        {
            "details": {
                "coding": [
                    {
                        "code": "Canarybird",
                        "system": "http://terminology.hl7.org/CodeSystem/operation-outcome",
                    }
                ]
            }
        },
        {"expression": ["Canarybird", "Patient.Canarybird", "Patient.name.where(x='Canarybird')"]},
        {"location": ["Canarybird"], "id": "Canarybird", "extension": [{"url": "Canarybird"}]},
        {"diagnostics": ["Canarybird"], "details": "Canarybird", "expression": "Canarybird"},
        {"details": {"coding": "Canarybird"}, "expression": [{"Canarybird": 1}, None]},
        {"details": {"coding": ["Canarybird", {"system": "Canarybird", "code": {}}]}},
    ],
)
def test_no_word_of_the_sender_s_own_is_kept(issue: dict[str, Any]) -> None:
    kept = reduced({**ERROR, **issue})
    assert "canarybird" not in json.dumps(asdict(kept)).lower()
    assert (kept.details, kept.mentions) == ((), ())


@pytest.mark.parametrize(
    ("expression", "path"),
    [
        ("Questionnaire.item[3].item[1].answerOption", "Questionnaire.item.item.answerOption"),
        ("Library.content.where(a = 'b.c').data.id", "Library.content.data.id"),
        ("Questionnaire.item.where(exists(x)).text", "Questionnaire.item.text"),
        ("Questionnaire.item.first().text", "Questionnaire.item.text"),
        ("Questionnaire.item[123456789]", "Questionnaire.item"),
        ("Questionnaire.item.where(x='a)b').text", "Questionnaire"),
        ("Questionnaire.Jane.item", "Questionnaire"),
        ("Library", "Library"),
        ("Jane.item", ""),
        ("item.text", ""),
        ("", ""),
        ("(((((", ""),
        (")Questionnaire)", "Questionnaire"),
        ("Questionnaire" + ".item" * 50, "Questionnaire" + ".item" * 9),
    ],
)  # fmt: skip
def test_a_path_is_made_of_known_elements_alone(expression: str, path: str) -> None:
    assert element_path(expression) == path


def test_a_long_expression_takes_no_long_time() -> None:
    assert element_path("a" * 100_000 + "(" * 100_000) == ""


@pytest.mark.parametrize(
    ("canonical", "form", "version"),
    [
        (WOUNDS, "wounds", None),
        (f"{WOUNDS}|2026-01-15", "wounds", "2026-01-15"),
        (f"{WOUNDS}|Canarybird", "wounds", None),
        ("https://elsewhere.example/Questionnaire/Canarybird", None, None),
        ("Canarybird", None, None),
    ],
)
def test_a_form_is_named_only_if_it_is_ours(
    canonical: str, form: str | None, version: str | None
) -> None:
    [issue] = read(named(canonical), outcome(ERROR))
    assert (issue.form, issue.version) == (form, version)


@pytest.mark.parametrize("name", ["operationOutcome", "outcome", "OperationOutcome"])
@pytest.mark.parametrize("key", ["valueCanonical", "valueUri", "valueString"])
def test_parameters_may_be_called_what_either_line_calls_them(name: str, key: str) -> None:
    assert len(read(named(WOUNDS, key), outcome(ERROR, name=name))) == 1


def test_each_issue_counts_for_each_form_and_once() -> None:
    warning = {"severity": "warning", "code": "value"}
    issues = read(
        named(WOUNDS),
        named(WOUNDS),
        named("https://elsewhere.example"),
        outcome(ERROR, {**ERROR, "diagnostics": "told otherwise"}),
        outcome(warning),
    )
    assert [(each.form, each.severity) for each in issues] == [
        ("wounds", "error"),
        ("wounds", "warning"),
        (None, "error"),
        (None, "warning"),
    ]


def problems(*entries: dict[str, Any]) -> list[tuple[str, str | None]]:
    with pytest.raises(InvalidResource) as refused:
        read(*entries)
    return [(each.code, each.expression) for each in refused.value.problems]


def test_both_are_needed() -> None:
    place = "Parameters.parameter"
    assert problems() == [("required", place), ("required", place)]
    assert problems(named(WOUNDS)) == [("required", place)]
    assert problems(outcome(ERROR)) == [("required", place)]


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        (named(5), ("value", "Parameters.parameter[2].value")),
        (named(" "), ("value", "Parameters.parameter[2].value")),
        (named(WOUNDS, "valueCode"), ("value", "Parameters.parameter[2].value")),
        (named("a" * 2_001), ("too-long", "Parameters.parameter[2].value")),
        ({"name": "outcome"}, ("structure", "Parameters.parameter[2]")),
        ({"name": "outcome", "valueString": "a"}, ("structure", "Parameters.parameter[2].value")),
        (
            {"name": "outcome", "resource": {"resourceType": "Patient"}},
            ("structure", "Parameters.parameter[2].resource"),
        ),
        (outcome(), ("required", "Parameters.parameter[2].resource.issue")),
        (
            {"name": "outcome", "resource": {"resourceType": "OperationOutcome", "issue": {}}},
            ("required", "Parameters.parameter[2].resource.issue"),
        ),
        (outcome("a"), ("structure", "Parameters.parameter[2].resource.issue[0]")),
        (
            outcome({"severity": "bad", "code": "exception"}),
            ("code-invalid", "Parameters.parameter[2].resource.issue[0].severity"),
        ),
        (
            outcome({"severity": "error", "code": ["exception"]}),
            ("code-invalid", "Parameters.parameter[2].resource.issue[0].code"),
        ),
    ],
)
def test_what_cannot_be_read_is_refused(entry: dict[str, Any], problem: tuple[str, str]) -> None:
    assert problems(named(WOUNDS), outcome(ERROR), entry) == [problem]


def test_everything_wrong_is_told_at_once() -> None:
    assert problems(named(5), outcome({}), outcome("a", ERROR)) == [
        ("value", "Parameters.parameter[0].value"),
        ("code-invalid", "Parameters.parameter[1].resource.issue[0].severity"),
        ("code-invalid", "Parameters.parameter[1].resource.issue[0].code"),
        ("structure", "Parameters.parameter[2].resource.issue[0]"),
    ]


def test_a_report_has_its_limits() -> None:
    assert len(read(*[named(WOUNDS)] * 20, outcome(*[ERROR] * 100))) == 1
    with pytest.raises(TooLarge):
        read(*[named(WOUNDS)] * 21, outcome(ERROR))
    with pytest.raises(TooLarge):
        read(named(WOUNDS), outcome(*[ERROR] * 60), outcome(*[ERROR] * 41))


def test_the_same_issue_has_the_same_digest_on_a_line() -> None:
    one, other = reduced(ERROR), reduced({**ERROR, "code": "timeout"})
    assert one.digest("2.2") == reduced({**ERROR, "diagnostics": "x"}).digest("2.2")
    assert len({one.digest("2.2"), one.digest("2.0"), other.digest("2.2")}) == 3
