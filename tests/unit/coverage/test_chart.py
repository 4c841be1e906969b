"""Where a chart holds a fact: what a rule file may say of it, and what stops the start."""

from pathlib import Path

import pytest

from tests.unit.coverage.made_up import SERVICE, bent, make_folder
from wiser_fhir.coverage.catalogue import Catalogue
from wiser_fhir.coverage.chart import (
    CHART_SYSTEMS,
    Age,
    ChartCode,
    ChartReading,
    Computed,
    LatestDate,
    LatestQuantity,
    Recorded,
    RecordedOptions,
    code_lists,
)
from wiser_fhir.coverage.loading import CatalogueError
from wiser_fhir.coverage.models import ServiceRules
from wiser_fhir.coverage.requested import Code

UNFILLED = 'unfilled = "No record says it."\n'
FIRST_QUESTION = '[[questions]]\nid       = "agreed"'
LISTS = """[[chart_codes]]
name   = "score-tests"
title  = "Tests of the score"
codes  = [
  { system = "LOINC", code = "1234-5", text = "A test" },
  { system = "ICD-10-CM", code = "A12.3", text = "An illness" },
]
source = ["guide"]

[[chart_codes]]
name   = "left-signs"
title  = "Signs of the left"
codes  = [{ system = "SNOMED CT", code = "123456", text = "To the left" }]
source = ["guide"]

"""
READ = 'chart    = { read = "latest-quantity", codes = "score-tests", unit = "1" }\n'
WAY = 'chart    = { read = "options", codes = { left = "left-signs" } }\n'


def _said(question: str, old: str, new: str) -> tuple[str, str]:
    """A change of what the file says of one fact, found by its type."""
    return f"{question}\n{old}", f"{question}\n{new}"


SCORE = 'type     = "decimal"'
CHOICE = 'type     = "choice"'
CHARTED = bent(
    (FIRST_QUESTION, LISTS + FIRST_QUESTION),
    _said(SCORE, UNFILLED, READ),
    _said(CHOICE, UNFILLED, WAY),
)


def load(base: Path, *changes: tuple[str, str]) -> ServiceRules:
    files = {"made-up/2026-01-15.toml": bent(*changes, text=CHARTED)}
    return Catalogue.load(make_folder(base, files)).versions("made-up")[0]


def refused(base: Path, *changes: tuple[str, str]) -> str:
    with pytest.raises(CatalogueError) as caught:
        load(base, *changes)
    return str(caught.value)


def test_a_fact_says_where_it_stands(tmp_path: Path) -> None:
    rules = load(tmp_path)
    score = rules.by_id["score"].chart
    assert score == LatestQuantity(read="latest-quantity", codes="score-tests", unit="1")
    assert rules.by_id["way"].chart == RecordedOptions(read="options", codes={"left": "left-signs"})
    assert rules.by_id["begun"].chart is None
    assert rules.by_id["begun"].unfilled == "No record says it."
    assert rules.by_id["agreed"].unfilled is None


def test_a_value_set_is_found_by_its_name(tmp_path: Path) -> None:
    rules = load(tmp_path)
    assert list(rules.chart_codes_by_name) == ["score-tests", "left-signs"]
    found = rules.chart_codes_by_name["score-tests"]
    assert found.title == "Tests of the score"
    assert [each.coding for each in found.codes] == [
        Code("http://loinc.org", "1234-5"),
        Code("http://hl7.org/fhir/sid/icd-10-cm", "A12.3"),
    ]


def test_a_code_is_found_in_every_value_set_that_has_it(tmp_path: Path) -> None:
    again = '{ system = "ICD-10-CM", code = "A12.3", text = "An illness" }, { system = "SNOMED CT"'
    rules = load(tmp_path, ('{ system = "SNOMED CT"', again))
    illness = Code("http://hl7.org/fhir/sid/icd-10-cm", "A123")
    assert rules.chart_lists[illness] == ("score-tests", "left-signs")
    assert rules.chart_lists[Code("http://loinc.org", "1234-5")] == ("score-tests",)


@pytest.mark.parametrize(
    ("system", "url"),
    [
        ("CPT", "http://www.ama-assn.org/go/cpt"),
        ("HCPCS", "http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets"),
        ("ICD-10-CM", "http://hl7.org/fhir/sid/icd-10-cm"),
        ("ICD-10-PCS", "http://www.cms.gov/Medicare/Coding/ICD10"),
        ("LOINC", "http://loinc.org"),
        ("RxNorm", "http://www.nlm.nih.gov/research/umls/rxnorm"),
        ("SNOMED CT", "http://snomed.info/sct"),
    ],
)
def test_a_chart_code_has_the_address_of_its_system(system: str, url: str) -> None:
    code = ChartCode.model_validate({"system": system, "code": "12", "text": "A thing"})
    assert code.coding == Code(url, "12")
    assert len(CHART_SYSTEMS) == 7


@pytest.mark.parametrize(
    ("reading", "names"),
    [
        (Age(read="age"), []),
        (LatestQuantity(read="latest-quantity", codes="a", unit="1"), ["a"]),
        (LatestDate(read="latest-date", codes="b"), ["b"]),
        (Recorded(read="recorded", codes="c"), ["c"]),
        (RecordedOptions(read="options", codes={"x": "d", "y": "e"}), ["d", "e"]),
        (Computed(read="computed", codes=("f", "g")), ["f", "g"]),
    ],
)
def test_a_reading_names_its_value_sets(reading: ChartReading, names: list[str]) -> None:
    assert list(code_lists(reading)) == names


QUESTION_FAULTS = {
    "a judgement with a chart": (
        ('kind     = "attestation"\n', 'kind     = "attestation"\nchart = { read = "age" }\n'),
        "agreed: a question of judgement is not filled from a chart",
    ),
    "a judgement that says why it has none": (
        ('kind     = "attestation"\n', f'kind     = "attestation"\n{UNFILLED}'),
        "agreed: a question of judgement is not filled from a chart",
    ),
    "both a chart and none": (
        (READ, READ + UNFILLED),
        "score: chart and unfilled exclude each other",
    ),
    "neither of them": (
        _said('type     = "multi_choice"', UNFILLED, ""),
        "questions: signs: a fact has chart, or unfilled says why not",
    ),
    "no reading": ((READ, "chart = { codes = 'score-tests' }\n"), "questions[score].chart"),
    "an unknown reading": ((READ, 'chart = { read = "guess" }\n'), "questions[score].chart"),
    "a quantity without unit": ((', unit = "1"', ""), "questions[score].chart"),
    "an option that is none": (
        ('{ left = "left-signs" }', '{ left = "left-signs", up = "left-signs" }'),
        "way: chart names 'up', which is no option",
    ),
    "no option at all": (('codes = { left = "left-signs" }', "codes = {}"), "questions[way].chart"),
}


@pytest.mark.parametrize("case", QUESTION_FAULTS)
def test_a_fault_of_a_question_stops_the_start(tmp_path: Path, case: str) -> None:
    change, place = QUESTION_FAULTS[case]
    assert place in refused(tmp_path, change)


@pytest.mark.parametrize(
    ("kind", "reading"),
    [
        ("date", '{ read = "age" }'),
        ("date", '{ read = "latest-quantity", codes = "score-tests", unit = "1" }'),
        ("decimal", '{ read = "latest-date", codes = "score-tests" }'),
        ("decimal", '{ read = "recorded", codes = "score-tests" }'),
        ("decimal", '{ read = "options", codes = { left = "score-tests" } }'),
    ],
)
def test_a_reading_fits_the_type_of_the_question(tmp_path: Path, kind: str, reading: str) -> None:
    old = READ if kind == "decimal" else UNFILLED
    change = _said(f'type     = "{kind}"', old, f"chart = {reading}\n")
    name = reading.split('"')[1]
    assert f"a {kind} question is not read as {name}" in refused(tmp_path, change)


@pytest.mark.parametrize("kind", ["decimal", "date"])
def test_what_is_worked_out_fits_any_type(tmp_path: Path, kind: str) -> None:
    old = READ if kind == "decimal" else UNFILLED
    computed = 'chart = { read = "computed", codes = ["score-tests", "left-signs"] }\n'
    rules = load(tmp_path, _said(f'type     = "{kind}"', old, computed))
    name = {"decimal": "score", "date": "begun"}[kind]
    assert rules.by_id[name].chart == Computed(read="computed", codes=("score-tests", "left-signs"))


LIST_FAULTS = {
    "a list twice": (
        ('name   = "left-signs"', 'name   = "score-tests"'),
        "chart_codes: score-tests stands twice",
    ),
    "a list nobody made": (
        ('{ left = "left-signs" }', '{ left = "right-signs" }'),
        "questions: no such chart_codes: right-signs",
    ),
    "a list nobody reads": (
        ('{ left = "left-signs" }', '{ left = "score-tests" }'),
        "chart_codes: no question reads left-signs",
    ),
    "an empty list": (
        (
            'codes  = [{ system = "SNOMED CT", code = "123456", text = "To the left" }]',
            "codes = []",
        ),
        "chart_codes[1].codes",
    ),
    "a system that is none": (('"SNOMED CT"', '"SNOMED"'), "chart_codes[1].codes"),
    "a code that can be none": (('code = "123456"', 'code = "12 34"'), "chart_codes[1]"),
    "a source nobody knows": (
        ('source = ["guide"]', 'source = ["hearsay"]'),
        "services/made-up/2026-01-15.toml: no such source: hearsay",
    ),
    "a code without text": ((', text = "To the left"', ""), "chart_codes[1].codes"),
}


@pytest.mark.parametrize("case", LIST_FAULTS)
def test_a_fault_of_a_value_set_stops_the_start(tmp_path: Path, case: str) -> None:
    change, place = LIST_FAULTS[case]
    assert place in refused(tmp_path, change)


def test_a_delayed_service_owes_no_word_about_its_facts(tmp_path: Path) -> None:
    text = SERVICE.replace(UNFILLED, "").partition("[decision]")[0]
    begin, end = text.index("[[codes]]"), text.index("[[questions]]")
    delayed = text[:begin] + text[end:]
    delayed = delayed.replace('status        = "active"', 'status = "delayed"')
    files = {
        "made-up/2026-01-15.toml": SERVICE.replace("9999", "7777"),
        "late/2026-01-15.toml": delayed,
    }
    rules = Catalogue.load(make_folder(tmp_path, files)).versions("late")[0]
    assert [question.id for question in rules.questions if question.unfilled is None] == [
        "agreed",
        "way",
        "signs",
        "begun",
        "seen",
        "score",
    ]
