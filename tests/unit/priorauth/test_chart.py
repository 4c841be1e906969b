"""Answers held against the chart that came with the request."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.unit.coverage.made_up import make_folder
from tests.unit.priorauth.wiser_requests import ON, form, request
from wiser_fhir.coverage.catalogue import Catalogue
from wiser_fhir.coverage.models import ServiceRules
from wiser_fhir.coverage.requested import Code
from wiser_fhir.priorauth.assess import assess
from wiser_fhir.priorauth.chart import Chart, Comparison, compared
from wiser_fhir.priorauth.models import (
    Answer,
    AnswerOrigin,
    AnswerValue,
    Assessment,
    Beneficiary,
    ChartRecord,
    FindingStatus,
    Origin,
    Recommendation,
)

LOINC = "http://loinc.org"
CPT = "http://www.ama-assn.org/go/cpt"
HCPCS = "http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets"
ICD = "http://hl7.org/fhir/sid/icd-10-cm"
SERVICE = """
name = "A filled form"
status = "active"
category = "made-up"
guide_section = "0.0"
states = ["NJ"]
policies = [{ type = "NCD", id = "0.0" }]
sources = ["guide"]
codes = [{ code = "99990", system = "CPT", role = "primary", text = "The thing" }]

[[chart_codes]]
name = "measured"
title = "Measured"
codes = [{ system = "LOINC", code = "1-1", text = "A measure" }]
source = ["guide"]

[[chart_codes]]
name = "pain"
title = "Pain"
codes = [{ system = "ICD-10-CM", code = "M54.16", text = "Pain" }]
source = ["guide"]

[[chart_codes]]
name = "treated"
title = "Treated"
codes = [{ system = "CPT", code = "99901", text = "A treatment" }]
source = ["guide"]

[[chart_codes]]
name = "image"
title = "An image"
codes = [{ system = "LOINC", code = "2-2", text = "An image" }]
source = ["guide"]

[[questions]]
id = "age"
text = "Age?"
type = "integer"
kind = "fact"
rule = { op = "gte", value = 18 }
if_unmet = "fail"
source = ["guide"]
chart = { read = "age" }

[[questions]]
id = "count"
text = "Count?"
type = "decimal"
kind = "fact"
rule = { op = "gte", value = 15 }
if_unmet = "fail"
source = ["guide"]
chart = { read = "latest-quantity", codes = "measured", unit = "{events}/h" }

[[questions]]
id = "treated-on"
text = "When?"
type = "date"
kind = "fact"
rule = { op = "answered" }
if_unmet = "fail"
source = ["guide"]
chart = { read = "latest-date", codes = "treated" }

[[questions]]
id = "hurts"
text = "Pain?"
type = "boolean"
kind = "fact"
rule = { op = "answered" }
if_unmet = "fail"
source = ["guide"]
chart = { read = "recorded", codes = "pain" }

[[questions]]
id = "why"
text = "Why?"
type = "choice"
kind = "fact"
options = [{ code = "hurt", label = "It hurts" }, { code = "seen", label = "It was seen" },
  { code = "other", label = "Something else" }]
rule = { op = "answered" }
if_unmet = "fail"
source = ["guide"]
chart = { read = "options", codes = { hurt = "pain", seen = "image" } }

[[questions]]
id = "signs"
text = "Signs?"
type = "multi_choice"
kind = "fact"
options = [{ code = "hurt", label = "It hurts" }, { code = "seen", label = "It was seen" },
  { code = "other", label = "Something else" }]
rule = { op = "answered" }
if_unmet = "fail"
source = ["guide"]
required = false
chart = { read = "options", codes = { hurt = "pain", seen = "image" } }

[[questions]]
id = "worked"
text = "Worked out?"
type = "boolean"
kind = "fact"
rule = { op = "answered" }
if_unmet = "fail"
source = ["guide"]
chart = { read = "computed", codes = ["treated", "image"] }

[[questions]]
id = "said"
text = "Said?"
type = "text"
kind = "fact"
rule = { op = "answered" }
if_unmet = "fail"
source = ["guide"]
unfilled = "No record says it."

[[questions]]
id = "agreed"
text = "Agreed?"
type = "boolean"
kind = "attestation"
rule = { op = "eq", value = true }
if_unmet = "fail"
source = ["guide"]

[decision]
all = ["agreed", "age", "count"]
"""
MEASURE, IMAGE = frozenset({Code(LOINC, "1-1")}), frozenset({Code(LOINC, "2-2")})
TREATMENT, PAIN = frozenset({Code(CPT, "99901")}), frozenset({Code(ICD, "M54.16")})
BORN = date(1950, 2, 3)
ANSWERS: Mapping[str, AnswerValue] = {
    "age": 76,
    "count": Decimal("22.4"),
    "treated-on": date(2026, 4, 1),
    "hurts": True,
    "why": "hurt",
    "signs": ("hurt",),
    "worked": True,
    "said": "so",
    "agreed": True,
}


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    folder: Path = tmp_path_factory.mktemp("catalogue")
    return Catalogue.load(make_folder(folder, {"filled/2026-01-15.toml": SERVICE}))


@pytest.fixture
def rules(catalogue: Catalogue) -> ServiceRules:
    return catalogue.versions("filled")[0]


def record(codes: frozenset[Code], *days: date, **more: Any) -> ChartRecord:
    """A record of some days."""
    return ChartRecord(codes, days, **more)


def measured(value: str, day: date | None = None, hour: int | None = None) -> ChartRecord:
    """A measurement in the unit that counts."""
    moment = None if hour is None or day is None else datetime(
        day.year, day.month, day.day, hour, tzinfo=UTC
    )  # fmt: skip
    days = () if day is None else (day,)
    return ChartRecord(MEASURE, days, moment, Decimal(value), "{events}/h")


def said(
    rules: ServiceRules, name: str, value: AnswerValue, *records: ChartRecord
) -> Comparison | None:
    """How one answer stands to a chart of these records."""
    answers = {**ANSWERS, name: value}
    return compared(rules, answers, Chart(records, BORN, ON)).get(name)


AGREES, CONTRADICTS, UNCLEAR = Comparison
MAY, JUNE = date(2026, 3, 1), date(2026, 4, 1)


def test_an_empty_chart_contradicts_nothing(rules: ServiceRules) -> None:
    assert compared(rules, ANSWERS, Chart((), BORN, ON)) == {"age": AGREES}


def test_records_of_other_codes_say_nothing(rules: ServiceRules) -> None:
    other = record(frozenset({Code(LOINC, "9-9"), Code("urn:other", "1-1")}), MAY)
    assert compared(rules, ANSWERS, Chart((other,), BORN, ON)) == {"age": AGREES}


@pytest.mark.parametrize(
    ("born", "on", "age", "told"),
    [
        (date(1950, 5, 4), ON, 76, AGREES),
        (date(1950, 5, 5), ON, 75, AGREES),
        (date(1950, 5, 5), ON, 76, CONTRADICTS),
        (date(1950, 5, 4), ON, 75, CONTRADICTS),
        (date(1952, 2, 29), date(2026, 2, 28), 73, AGREES),
        (None, ON, 76, UNCLEAR),
    ],
)
def test_an_age_in_whole_years_on_the_day_the_form_was_filled(
    rules: ServiceRules, born: date | None, on: date, age: int, told: Comparison
) -> None:
    assert compared(rules, {"age": age}, Chart((), born, on)) == {"age": told}


@pytest.mark.parametrize(
    ("answer", "recorded", "told"),
    [
        (Decimal("22.4"), "22.4", AGREES),
        (Decimal("22.4"), "22.40", AGREES),
        (Decimal("22.4"), "22.43", AGREES),
        (Decimal("22.4"), "22.45", AGREES),
        (Decimal("22.4"), "22.46", CONTRADICTS),
        (Decimal("22"), "22.4", AGREES),
        (22, "22.4", AGREES),
        (22, "21.5", AGREES),
        (22, "21.4", CONTRADICTS),
        (Decimal("1E+2"), "60", CONTRADICTS),
        (Decimal("1E+2"), "100.2", AGREES),
        (Decimal("22.40"), "22.41", CONTRADICTS),
        (15, "14.6", CONTRADICTS),
        (15, "15.4", AGREES),
        (Decimal("15.0"), "14.96", CONTRADICTS),
    ],
)
def test_numbers_compare_as_exactly_as_the_answer_is_and_as_the_rule_sees_them(
    rules: ServiceRules, answer: AnswerValue, recorded: str, told: Comparison
) -> None:
    assert said(rules, "count", answer, measured(recorded, MAY)) is told


@pytest.mark.parametrize(
    ("records", "told"),
    [
        ([measured("10", MAY), measured("22", JUNE)], AGREES),
        ([measured("22", MAY), measured("10", JUNE)], CONTRADICTS),
        ([measured("10", MAY, 8), measured("22", MAY, 9)], AGREES),
        ([measured("22", MAY, 8), measured("10", MAY, 9)], CONTRADICTS),
        ([measured("22", MAY, 8), measured("10", MAY, 8)], CONTRADICTS),
        ([measured("22", MAY), measured("10", MAY, 9)], CONTRADICTS),
        ([measured("10", MAY), measured("22", MAY, 9)], CONTRADICTS),
        ([measured("10", MAY), measured("22", JUNE, 9)], AGREES),
        ([measured("10", MAY, 9), measured("22", JUNE)], AGREES),
        ([measured("22", MAY), measured("10")], CONTRADICTS),
        ([measured("10", MAY), measured("22")], CONTRADICTS),
        ([measured("22")], AGREES),
    ],
    ids=str,
)
def test_any_of_the_latest_measurements_may_contradict(
    rules: ServiceRules, records: Sequence[ChartRecord], told: Comparison
) -> None:
    assert said(rules, "count", 22, *records) is told
    assert said(rules, "count", 22, *reversed(records)) is told


def test_a_period_that_reaches_over_a_later_day_is_not_earlier(rules: ServiceRules) -> None:
    night = record(MEASURE, MAY, JUNE, value=Decimal(10), unit="{events}/h")
    assert said(rules, "count", 22, night, measured("22", JUNE)) is CONTRADICTS


@pytest.mark.parametrize(
    "other",
    [
        record(MEASURE, MAY, value=Decimal(22), unit="/h"),
        record(MEASURE, MAY, value=Decimal(22)),
        record(MEASURE, MAY),
        ChartRecord(MEASURE),
    ],
    ids=["another unit", "no unit", "no value", "codes alone"],
)
def test_what_cannot_be_compared_leaves_it_unclear(rules: ServiceRules, other: ChartRecord) -> None:
    assert said(rules, "count", 22, other) is UNCLEAR
    assert said(rules, "count", 22, other, measured("22", MAY)) is UNCLEAR
    assert said(rules, "count", 22, other, measured("10", MAY)) is CONTRADICTS


@pytest.mark.parametrize(
    ("records", "told"),
    [
        ([record(TREATMENT, JUNE)], AGREES),
        ([record(TREATMENT, MAY)], CONTRADICTS),
        ([record(TREATMENT, MAY), record(TREATMENT, JUNE)], AGREES),
        ([record(TREATMENT, JUNE), record(TREATMENT, date(2026, 4, 2))], CONTRADICTS),
        ([record(TREATMENT, JUNE, date(2026, 4, 2))], AGREES),
        ([record(TREATMENT, MAY, JUNE)], AGREES),
        ([record(TREATMENT)], UNCLEAR),
        ([record(TREATMENT), record(TREATMENT, JUNE)], UNCLEAR),
        ([record(TREATMENT), record(TREATMENT, MAY)], CONTRADICTS),
    ],
    ids=str,
)
def test_the_day_of_the_latest_record(
    rules: ServiceRules, records: Sequence[ChartRecord], told: Comparison
) -> None:
    assert said(rules, "treated-on", JUNE, *records) is told


@pytest.mark.parametrize(
    ("answer", "records", "told"),
    [
        (True, [record(PAIN)], AGREES),
        (False, [record(PAIN)], CONTRADICTS),
        (True, [record(PAIN, negative=True)], CONTRADICTS),
        (False, [record(PAIN, negative=True)], AGREES),
        (True, [record(PAIN, negative=True), record(PAIN)], AGREES),
        (False, [record(PAIN, negative=True), record(PAIN)], CONTRADICTS),
        (True, [], None),
        (False, [], None),
    ],
)
def test_yes_or_no_beside_what_is_recorded(
    rules: ServiceRules, answer: bool, records: list[ChartRecord], told: Comparison | None
) -> None:
    assert said(rules, "hurts", answer, *records) is told


@pytest.mark.parametrize(
    ("answer", "records", "told"),
    [
        ("hurt", [record(PAIN)], AGREES),
        ("seen", [record(PAIN)], CONTRADICTS),
        ("other", [record(PAIN)], CONTRADICTS),
        ("hurt", [record(PAIN), record(IMAGE)], UNCLEAR),
        ("other", [record(PAIN), record(IMAGE)], CONTRADICTS),
        ("other", [record(PAIN, negative=True)], AGREES),
        ("other", [], None),
    ],
)
def test_one_option_beside_what_is_recorded(
    rules: ServiceRules, answer: str, records: list[ChartRecord], told: Comparison | None
) -> None:
    assert said(rules, "why", answer, *records) is told


@pytest.mark.parametrize(
    ("answer", "records", "told"),
    [
        (("hurt",), [record(PAIN)], AGREES),
        (("hurt", "other"), [record(PAIN)], AGREES),
        (("hurt", "seen"), [record(PAIN), record(IMAGE)], AGREES),
        (("hurt",), [record(PAIN), record(IMAGE)], CONTRADICTS),
        (("other",), [record(PAIN)], CONTRADICTS),
    ],
)
def test_several_options_leave_out_none_that_is_recorded(
    rules: ServiceRules, answer: tuple[str, ...], records: list[ChartRecord], told: Comparison
) -> None:
    assert said(rules, "signs", answer, *records) is told


@pytest.mark.parametrize("codes", [TREATMENT, IMAGE])
def test_what_is_worked_out_of_records_cannot_be_compared_with_one(
    rules: ServiceRules, codes: frozenset[Code]
) -> None:
    assert said(rules, "worked", True, record(codes, MAY)) is UNCLEAR
    assert said(rules, "worked", True, record(PAIN, MAY)) is None


@pytest.mark.parametrize(
    ("name", "answer", "records", "told"),
    [
        ("hurts", True, [], UNCLEAR),
        ("hurts", False, [], UNCLEAR),
        ("hurts", True, [record(PAIN)], UNCLEAR),
        ("hurts", False, [record(PAIN)], CONTRADICTS),
        ("why", "other", [], UNCLEAR),
        ("why", "other", [record(PAIN)], CONTRADICTS),
        ("signs", ("hurt",), [record(PAIN)], UNCLEAR),
    ],
)
def test_a_record_that_is_not_settled_leaves_it_unclear(
    rules: ServiceRules,
    name: str,
    answer: AnswerValue,
    records: list[ChartRecord],
    told: Comparison,
) -> None:
    assert said(rules, name, answer, *records, record(PAIN, settled=False)) is told


def test_a_record_that_is_not_settled_is_no_option_of_its_own(rules: ServiceRules) -> None:
    both = (record(PAIN), record(IMAGE, settled=False))
    assert said(rules, "signs", ("hurt",), *both) is UNCLEAR


def test_an_order_counts_only_for_what_is_worked_out_of_records(rules: ServiceRules) -> None:
    for codes, name, answer in (
        (TREATMENT, "treated-on", JUNE),
        (PAIN, "hurts", False),
        (IMAGE, "signs", ("other",)),
    ):
        assert said(rules, name, answer, record(codes, MAY, planned=True)) is None
    assert said(rules, "worked", True, record(TREATMENT, MAY, planned=True)) is UNCLEAR
    both = record(TREATMENT | {Code(CPT, "99990")}, MAY, planned=True)
    assert said(rules, "worked", True, both) is None
    assert said(rules, "signs", ("hurt",), record(PAIN), record(IMAGE, planned=True)) is AGREES


@pytest.mark.parametrize(
    "codes",
    [
        frozenset({Code(ICD, "M5416")}),
        frozenset({Code(ICD, "m54.16"), Code("urn:local", "pain")}),
    ],
)
def test_a_diagnosis_is_the_same_without_its_dot(
    rules: ServiceRules, codes: frozenset[Code]
) -> None:
    assert said(rules, "hurts", False, record(codes)) is CONTRADICTS


def test_a_procedure_is_the_same_under_either_system(rules: ServiceRules) -> None:
    treated = record(frozenset({Code(HCPCS, "99901")}), MAY)
    assert said(rules, "treated-on", JUNE, treated) is CONTRADICTS


# What becomes of it


def assessed(catalogue: Catalogue, *records: ChartRecord, **origins: Origin | None) -> Assessment:
    """The assessment of a request with this chart; `_` in a name stands for `-`."""
    named = {name.replace("_", "-"): origin for name, origin in origins.items()}
    completed = form(
        {name: Answer(value, named.get(name, Origin.MANUAL)) for name, value in ANSWERS.items()},
        questionnaire="https://wiser-fhir.example/fhir/Questionnaire/filled",
    )
    rules = catalogue.service("filled", ON)
    assert rules is not None
    submission = request(
        forms=(completed,), chart=records, beneficiary=Beneficiary("1EG4TE5MK73", "Doe", "A", BORN)
    )
    return assess(rules, submission, catalogue, auto_affirm=True, require_reviewed=False)


def told(assessment: Assessment) -> dict[str, str]:
    """What is said of the criteria that are not met."""
    return {f.criterion: f.text for f in assessment.findings if f.status is not FindingStatus.MET}


@pytest.mark.parametrize("origin", [None, *Origin])
def test_a_fact_that_goes_with_the_chart_is_affirmed_whoever_gave_it(
    catalogue: Catalogue, origin: Origin | None
) -> None:
    assessment = assessed(catalogue, measured("22.4", MAY), count=origin)
    assert assessment.recommendation is Recommendation.AFFIRM
    assert told(assessment) == {}


@pytest.mark.parametrize("origin", [None, *Origin])
def test_a_fact_that_differs_from_the_chart_goes_to_a_clinician_whoever_gave_it(
    catalogue: Catalogue, origin: Origin | None
) -> None:
    assessment = assessed(catalogue, measured("30", MAY), count=origin)
    assert assessment.recommendation is Recommendation.REVIEW
    assert told(assessment) == {
        "count": "Count? (The answer differs from the chart that came along.)"
    }


@pytest.mark.parametrize(
    ("origin", "affirmed"),
    [(None, True), (Origin.MANUAL, True), (Origin.AUTO, True), (Origin.OVERRIDE, False)],
)
def test_an_override_that_cannot_be_compared_goes_to_a_clinician(
    catalogue: Catalogue, origin: Origin | None, affirmed: bool
) -> None:
    records = (record(MEASURE, MAY), record(TREATMENT, JUNE))
    assessment = assessed(catalogue, *records, count=origin, worked=origin)
    assert told(assessment).get("count") == (
        None
        if affirmed
        else "Count? (Changed by hand; the chart that came along cannot be compared.)"
    )
    assert ("worked" in told(assessment)) is not affirmed


def test_an_override_that_nothing_in_the_chart_speaks_to_counts(catalogue: Catalogue) -> None:
    assessment = assessed(catalogue, count=Origin.OVERRIDE, said=Origin.OVERRIDE)
    assert assessment.recommendation is Recommendation.AFFIRM


def test_a_contradiction_outside_the_decision_goes_to_a_clinician_too(
    catalogue: Catalogue,
) -> None:
    negative = record(PAIN, negative=True)
    assessment = assessed(catalogue, negative)
    assert assessment.recommendation is Recommendation.REVIEW
    assert list(told(assessment)) == ["hurts"]


def test_of_every_answer_it_is_kept_who_gave_it_and_whether_it_counted(
    catalogue: Catalogue,
) -> None:
    origins = {"age": Origin.AUTO, "count": Origin.OVERRIDE, "hurts": None, "agreed": Origin.AUTO}
    assessment = assessed(catalogue, **origins)
    kept = {answer.question: answer for answer in assessment.answers}
    assert list(kept) == list(ANSWERS)
    assert kept["age"] == AnswerOrigin("age", Origin.AUTO, True)
    assert kept["count"] == AnswerOrigin("count", Origin.OVERRIDE, True)
    assert kept["hurts"] == AnswerOrigin("hurts", None, True)
    assert kept["agreed"] == AnswerOrigin("agreed", Origin.AUTO, False)


def test_an_attestation_written_over_what_software_filled_does_not_count(
    catalogue: Catalogue,
) -> None:
    assessment = assessed(catalogue, agreed=Origin.OVERRIDE)
    assert assessment.recommendation is Recommendation.REVIEW
    assert told(assessment) == {"agreed": "Agreed? (Answered by software; a person must.)"}


def test_an_age_is_that_of_the_day_the_form_was_filled_not_of_receipt(
    catalogue: Catalogue,
) -> None:
    """It was filled at nine in the evening, Eastern time, of the day before the birthday."""
    rules = catalogue.service("filled", ON)
    assert rules is not None
    completed = form(
        {**ANSWERS, "age": 75},
        questionnaire="https://wiser-fhir.example/fhir/Questionnaire/filled",
        authored=datetime(2026, 5, 4, 1, 0, tzinfo=UTC),
    )
    person = Beneficiary("1EG4TE5MK73", "Doe", "A", date(1950, 5, 4))
    submission = request(forms=(completed,), beneficiary=person)
    later = replace(completed, authored=datetime(2026, 5, 4, 5, 0, tzinfo=UTC))
    for written, told in ((completed, "affirm"), (later, "review")):
        asked = replace(submission, forms=(written,))
        found = assess(rules, asked, catalogue, auto_affirm=True, require_reviewed=False)
        assert found.recommendation == told
