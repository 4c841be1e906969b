"""Charts run by what a package delivers answer what a reader of the charts would, on both lines.

The forms come through the door, with their compiled logic and value sets. Expanded on request these
are the same.
"""

from copy import deepcopy
from typing import Any

import pytest

from tests.bundle_values import Line
from tests.conformance.dtr.charts_run import TODAY, charts_of, executed, expected, readable
from tests.form_filling import filled_by_chart
from tests.form_logic import CQF_LIBRARY, INITIAL, FormLogic, form_logic, items, not_delivered
from tests.integration.pas.door import LINES, Client
from tests.package_bodies import CODES, Json, a_call, canonical

pytestmark = pytest.mark.xdist_group("population-logic")


async def packages(client: Client) -> dict[str, Json]:
    """The package of every service, by its name."""
    asked = tuple(canonical(client.line, slug) for slug in CODES)
    answer = await client.post("Questionnaire/$questionnaire-package", a_call(questionnaires=asked))
    assert answer.status_code == 200, answer.text
    found = [each["resource"] for each in answer.json()["parameter"]]
    return {each["entry"][0]["resource"]["url"].rpartition("/")[2]: each for each in found}


async def expansion(client: Client, name: str) -> Json:
    """A value set by its canonical."""
    url, _, version = name.partition("|")
    answer = await client.get(f"ValueSet/$expand?url={url}&valueSetVersion={version}")
    assert answer.status_code == 200, answer.text
    found: Json = answer.json()
    assert (found["url"], found["version"]) == (url, version)
    return found


async def delivered(client: Client) -> dict[str, FormLogic]:
    """What there is to fill the form of every service with: in 2.0 what came along, in 2.2 the
    same with every value set from `$expand`, as a client does that keeps none of a package."""
    found = {}
    for slug, package in (await packages(client)).items():
        form = package["entry"][0]["resource"]
        assert not_delivered(package) == []
        found[slug] = form_logic(package, form)
        if client.line == "2.2":
            bare = {"entry": [e for e in package["entry"] if not is_value_set(e["resource"])]}
            expanded = [await expansion(client, name) for name in not_delivered(bare)]
            asked = form_logic(bare, form, expanded)
            assert codes(asked) == codes(found[slug])
            found[slug] = asked
    return found


def is_value_set(resource: Json) -> bool:
    return bool(resource["resourceType"] == "ValueSet")


def codes(logic: FormLogic) -> dict[tuple[str, str], set[tuple[str, str]]]:
    """The codes of each value set, by its address and version."""
    return {
        (url, version): {(each["system"], each["code"]) for each in contains}
        for url, versions in logic.delivered["valueSets"].items()
        for version, contains in versions.items()
    }


async def test_what_a_package_delivers_answers_as_a_reader_would(client: Client) -> None:
    logics = {
        f"{line} {slug}": logic
        for line in LINES
        for slug, logic in (await delivered(client.at(line))).items()
    }
    assert sorted(logics) == sorted(f"{line} {slug}" for line in LINES for slug in CODES)
    runs = [
        logic.run(f"{key}/{chart}", key, bundle)
        for key, logic in logics.items()
        for chart, bundle in charts_of(key.partition(" ")[2]).items()
    ]
    told = executed({key: logic.delivered for key, logic in logics.items()}, runs, TODAY)
    found = {name: _readable(answers) for name, answers in told.items()}
    assert found == {
        f"{line} {slug}/{chart}": answers
        for line in LINES
        for slug in CODES
        for chart, answers in expected(slug).items()
    }


async def test_the_compiled_expression_is_executed_whatever_the_item_is_called(
    client: Client, line: Line
) -> None:
    package = (await packages(client.at(line)))["hypoglossal-nerve-stimulation"]
    chart = charts_of("hypoglossal-nerve-stimulation")["rich"]
    by_name = {each["linkId"]: each for each in items(package["entry"][0]["resource"])}
    by_name["hgns-bmi"]["extension"] = by_name["hgns-ahi"]["extension"]
    told = filled_by_chart(package, chart, TODAY)
    assert told["hgns-bmi"] == told["hgns-ahi"] == [{"valueDecimal": 41.2}]
    assert told["hgns-age"] == [{"valueInteger": 70}]


async def test_what_is_said_is_what_is_compiled(client: Client, line: Line) -> None:
    """A form where they differ, or that names another library, is not executed here."""
    package = (await packages(client.at(line)))["hypoglossal-nerve-stimulation"]
    form = package["entry"][0]["resource"]
    said, others = deepcopy(form), deepcopy(form)
    [bmi] = [each for each in items(said) if each["linkId"] == "hgns-bmi"]
    [expression] = [each for each in bmi["extension"] if each["url"] == INITIAL]
    expression["valueExpression"]["expression"] = "hgns-ahi"
    [named] = [each for each in others["extension"] if each["url"] == CQF_LIBRARY]
    named["valueCanonical"] = "https://wiser-fhir.example/fhir/Library/WiserChart"
    for broken in (said, others):
        with pytest.raises(AssertionError):
            form_logic(package, broken)
    assert form_logic(package, form).library == "WiserHypoglossalNerveStimulation-2026-01-15"


def _readable(answers: Json) -> dict[str, Any]:
    return {question: readable(value) for question, value in answers.items()}
