"""The population logic reads out of a chart what a reader of the chart would, and nothing else."""

from typing import Any

import pytest

from tests.conformance.dtr.charts_run import CHARTS, answers, expected, readable, rule_files
from wiser_fhir.coverage.canonical import CANONICAL

pytestmark = pytest.mark.xdist_group("population-logic")

SERVICES = {rules.slug: rules for rules in rule_files()}
KINDS = {"rich", "sparse", "contradicting", "empty"}
ALL_CHARTS = sorted(f"{path.parent.name}/{path.stem}" for path in CHARTS.glob("*/*.json"))

Filled = dict[str, dict[str, dict[str, Any]]]


@pytest.fixture(scope="module")
def filled() -> Filled:
    return answers(SERVICES.values())


@pytest.mark.parametrize("chart", ALL_CHARTS)
def test_a_chart_fills_what_it_says(chart: str, filled: Filled) -> None:
    slug, name = chart.split("/")
    found = {question: readable(value) for question, value in filled[slug][name].items()}
    assert found == expected(slug)[name]


@pytest.mark.parametrize("slug", SERVICES)
def test_every_service_is_run_over_charts_of_every_kind(slug: str) -> None:
    charts = {chart.split("/")[1] for chart in ALL_CHARTS if chart.startswith(f"{slug}/")}
    assert charts >= KINDS
    assert charts == expected(slug).keys()


@pytest.mark.parametrize("slug", SERVICES)
def test_every_fact_with_a_place_in_the_chart_is_filled_by_one_of_them(slug: str) -> None:
    places = {question.id for question in SERVICES[slug].questions if question.chart is not None}
    tables = expected(slug).values()
    found = {name for table in tables for name, value in table.items() if value != "nothing"}
    assert found == places


@pytest.mark.parametrize("slug", SERVICES)
def test_an_empty_chart_answers_nothing(slug: str) -> None:
    assert set(expected(slug)["empty"].values()) <= {"nothing"}


@pytest.mark.parametrize("slug", SERVICES)
def test_a_filled_option_is_one_of_the_form(slug: str, filled: Filled) -> None:
    offered = {
        question.id: [_coding(question.id, option) for option in question.options]
        for question in SERVICES[slug].questions
    }
    for table in filled[slug].values():
        for question, value in table.items():
            chosen = value if isinstance(value, list) else [value]
            for each in chosen:
                assert not isinstance(each, dict) or each in offered[question]


def _coding(question: str, option: Any) -> dict[str, str]:
    system = f"{CANONICAL}/CodeSystem/{question}"
    return {"system": system, "code": option.code, "display": option.label}
