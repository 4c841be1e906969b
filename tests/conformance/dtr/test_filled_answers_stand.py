"""What the population logic fills from a chart, PAS finds in that chart again.

So a form that software filled and a person attested is not pended for its own chart.
"""

import json
import tomllib
from datetime import date
from decimal import Decimal

import pytest

from tests.conformance.dtr.charts_run import CHARTS, rule_files
from wiser_fhir.coverage.evaluate import Value, fitting
from wiser_fhir.coverage.models import ServiceRules
from wiser_fhir.fhir.elements import Json
from wiser_fhir.fhir.values import full_date
from wiser_fhir.intake.chart_facts import chart_records, is_chart_record
from wiser_fhir.pas.request import RequestBundle
from wiser_fhir.priorauth.chart import Chart, Comparison, compared

SERVICES = {rules.slug: rules for rules in rule_files()}
ALL_CHARTS = sorted(f"{path.parent.name}/{path.stem}" for path in CHARTS.glob("*/*.json"))
FILLED_ON = date(2026, 3, 2)


def chart_of(bundle: Json) -> Chart:
    """The records of a chart about its patient."""
    around = RequestBundle.of(bundle)
    resources = [entry["resource"] for entry in bundle["entry"]]
    patient: Json = next((r for r in resources if r["resourceType"] == "Patient"), {})
    of_patient = [
        each
        for each in resources
        if around.target(each, each.get("subject") or each.get("patient")) is patient
    ]
    records = (
        record
        for each in of_patient
        if is_chart_record(each)
        for record in chart_records(each, each, around)
    )
    return Chart(tuple(records), full_date(patient.get("birthDate")), FILLED_ON)


def expected(rules: ServiceRules, chart: str) -> dict[str, Value]:
    """The answers that a reader of the chart gives to what is filled from one."""
    text = (CHARTS / rules.slug / "expected.toml").read_text(encoding="utf-8")
    given = tomllib.loads(text, parse_float=Decimal).get(chart, {})
    found: dict[str, Value] = {}
    for name, value in given.items():
        if value != "nothing" and rules.by_id[name].chart is not None:
            fit = fitting(rules.by_id[name], tuple(value) if isinstance(value, list) else value)
            assert fit is not None, name
            found[name] = fit
    return found


@pytest.mark.parametrize("name", ALL_CHARTS)
def test_no_answer_contradicts_the_chart_it_was_filled_from(name: str) -> None:
    slug, chart = name.split("/")
    rules = SERVICES[slug]
    answers = expected(rules, chart)
    bundle = json.loads((CHARTS / slug / f"{chart}.json").read_text(encoding="utf-8"))
    told = compared(rules, answers, chart_of(bundle))
    assert [n for n, comparison in told.items() if comparison is Comparison.CONTRADICTS] == []
    assert answers.keys() == told.keys()
