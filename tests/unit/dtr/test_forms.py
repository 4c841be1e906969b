"""Which form a service, a canonical or a day leads to, and the adaptive forms."""

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from tests.unit.coverage.made_up import bent
from tests.unit.dtr.pump import (
    BASES,
    CHART,
    SERVICE,
    WISER,
    logic,
    logic_folder,
    pump_catalogue,
    pump_form,
)
from wiser_fhir.coverage.catalogue import Catalogue
from wiser_fhir.dtr.forms import Forms, contained_questionnaire
from wiser_fhir.fhir.codes import Line

Json = dict[str, Any]
CORE = "http://hl7.org/fhir/StructureDefinition/"
SDC = "http://hl7.org/fhir/uv/sdc/StructureDefinition/"
DTR = "http://hl7.org/fhir/us/davinci-dtr/StructureDefinition/"
PUMP = f"{WISER}/Questionnaire/pump"
EARLY, LATE = date(2026, 5, 31), date(2026, 6, 1)


@pytest.fixture
def catalogue(tmp_path: Path) -> Catalogue:
    """Two versions; forms of the first still count for ten days."""
    later = bent(
        ('status        = "active"', 'status = "active"\nprevious_forms_until = 2026-06-10'),
        text=SERVICE,
    )
    return pump_catalogue(tmp_path / "two", v2026_01_15=SERVICE, v2026_06_01=later)


@pytest.fixture
def forms(catalogue: Catalogue, tmp_path: Path) -> Forms:
    folder = logic_folder(tmp_path / "logic", CHART, logic(), logic("2026-06-01"))
    return Forms.load(catalogue, BASES, folder)


def canonical(forms: Forms, line: Line, asked: str, on: date) -> str | None:
    found = forms.by_canonical(line, asked, on)
    return None if found is None else found.canonical


def test_the_form_of_a_service(forms: Forms, catalogue: Catalogue) -> None:
    first, second = catalogue.versions("pump")
    new, old = forms.of("2.2", first), forms.of("2.0", second)
    assert new is not None
    assert old is not None
    assert new.canonical == "https://wiser-fhir.example/fhir/Questionnaire/pump|2026-01-15"
    assert old.canonical == "https://wiser-fhir.example/v2.0/fhir/Questionnaire/pump|2026-06-01"
    assert (new.rules, new.line, new.adaptive) == (first, "2.2", False)
    adaptive = forms.of("2.2", first, adaptive=True)
    assert adaptive is not None
    assert adaptive.canonical == f"{PUMP}-adaptive|2026-01-15"
    assert adaptive.adaptive


@pytest.mark.parametrize(
    ("asked", "on", "why"),
    [
        (f"{WISER}/v2.0/fhir/Questionnaire/pump", EARLY, "No form has this address."),
        (
            "https://wiser-fhir.example/v2.0/fhir/Questionnaire/pump|9",
            EARLY,
            "The form of this address is for another version of the guide: here it has another"
            " address.",
        ),
        (f"{PUMP}|2020-01-01", EARLY, "The form of this address has no such version."),
        (f"{PUMP}-adaptive|Jane", EARLY, "The form of this address has no such version."),
        (f"{PUMP}|2026-06-01", EARLY, "This version of the form is not in force yet."),
        (PUMP, date(2026, 1, 4), "This version of the form is not in force yet."),
        (f"{PUMP}|2026-01-15", date(2026, 6, 11), "This version of the form counts no longer."),
    ],
)
def test_why_there_is_no_form(forms: Forms, asked: str, on: date, why: str) -> None:
    assert forms.by_canonical("2.2", asked, on) is None
    assert forms.why_none("2.2", asked, on) == why


def test_a_delayed_service_has_no_form(tmp_path: Path) -> None:
    catalogue = pump_catalogue(tmp_path / "catalogue")
    forms = Forms.load(catalogue, BASES, logic_folder(tmp_path / "logic"))
    real = Catalogue.load()
    assert forms.of("2.2", real.versions("deep-brain-stimulation")[0]) is None


@pytest.mark.parametrize(
    ("asked", "on", "found"),
    [
        (PUMP, EARLY, f"{PUMP}|2026-01-15"),
        (PUMP, LATE, f"{PUMP}|2026-06-01"),
        (f"{PUMP}-adaptive", LATE, f"{PUMP}-adaptive|2026-06-01"),
        (f"{PUMP}|2026-01-15", EARLY, f"{PUMP}|2026-01-15"),
        (f"{PUMP}|2026-01-15", date(2026, 6, 10), f"{PUMP}|2026-01-15"),
        (f"{PUMP}|2026-01-15", date(2026, 6, 11), None),
        (f"{PUMP}|2026-06-01", EARLY, None),
        (f"{PUMP}|2025-01-01", LATE, None),
        (PUMP, date(2026, 1, 14), None),
        (f"{WISER}/Questionnaire/valve", LATE, None),
        ("https://wiser-fhir.example/v2.0/fhir/Questionnaire/pump", LATE, None),
        ("https://payer.example/fhir/Questionnaire/pump", LATE, None),
        ("pump", LATE, None),
        ("", LATE, None),
    ],
)
def test_the_form_a_canonical_names(forms: Forms, asked: str, on: date, found: str | None) -> None:
    assert canonical(forms, "2.2", asked, on) == found


def test_each_line_has_canonicals_of_its_own(forms: Forms) -> None:
    old = "https://wiser-fhir.example/v2.0/fhir/Questionnaire/pump"
    assert canonical(forms, "2.0", old, EARLY) == f"{old}|2026-01-15"
    assert canonical(forms, "2.0", PUMP, EARLY) is None


def test_what_is_in_force_on_a_day(forms: Forms) -> None:
    found = forms.current("2.2", LATE)
    names = [f"{PUMP}|2026-06-01", f"{PUMP}-adaptive|2026-06-01"]
    assert [each.canonical for each in found] == names
    assert forms.current("2.2", date(2026, 1, 14)) == ()


def test_everything_that_is_published(forms: Forms) -> None:
    assert [each["id"] for each in forms.questionnaires("2.0")] == [
        "pump-2026-01-15",
        "pump-adaptive-2026-01-15",
        "pump-2026-06-01",
        "pump-adaptive-2026-06-01",
    ]
    assert [each["id"] for each in forms.libraries()] == [
        "WiserChart-1.0.0",
        "WiserPump-2026-01-15",
        "WiserPump-2026-06-01",
    ]


def test_an_adaptive_form_as_packaged(tmp_path: Path) -> None:
    for line, base in BASES.items():
        form = pump_form(tmp_path / line, line, adaptive=True)
        packaged = form.questionnaire
        assert packaged["meta"] == {"profile": [DTR + "dtr-questionnaire-adapt-search"]}
        assert "item" not in packaged
        assert packaged["title"] == "Pumps & valves, question by question"
        told = [each for each in packaged["extension"] if each["url"].startswith(SDC)]
        url = SDC + "sdc-questionnaire-questionnaireAdaptive"
        assert told == [{"url": url, "valueUrl": base}]
        assert [each["name"] for each in form.libraries] == ["WiserPump", "WiserChart"]


def test_there_is_none_where_nothing_can_be_left_out(tmp_path: Path) -> None:
    conditions = [line for line in SERVICE.splitlines() if line.startswith("enable_when")]
    text = bent(*((line, "") for line in conditions), text=SERVICE)
    catalogue = pump_catalogue(tmp_path / "catalogue", v2026_01_15=text)
    forms = Forms.load(catalogue, BASES, logic_folder(tmp_path / "logic"))
    assert forms.of("2.2", catalogue.versions("pump")[0], adaptive=True) is None
    one = bent(*((line, "") for line in conditions[1:]), text=SERVICE)
    assert pump_form(tmp_path / "one", "2.2", adaptive=True, text=one).adaptive


def test_a_step_asks_without_conditions_in_the_order_of_the_form(tmp_path: Path) -> None:
    form = pump_form(tmp_path, "2.2", adaptive=True)
    inside = contained_questionnaire(form, {"pump-office", "pump-signs", "pump-age", "unknown"})
    items = inside["item"]
    assert [each["linkId"] for each in items] == ["pump-age", "pump-signs", "pump-office"]
    assert "enableWhen" not in str(items)
    assert items[1]["repeats"] is True


def test_the_form_inside_a_response_in_2_2(tmp_path: Path) -> None:
    form = pump_form(tmp_path, "2.2", adaptive=True)
    inside = contained_questionnaire(form, ["pump-age"])
    assert inside["id"] == "adaptive-form"
    assert inside["meta"] == {"profile": [DTR + "dtr-questionnaire-adapt"]}
    assert inside["url"] == f"{PUMP}-adaptive-asked"
    assert inside["derivedFrom"] == [f"{PUMP}-adaptive|2026-01-15"]
    assert "version" not in inside
    assert [each["linkId"] for each in inside["item"]] == ["pump-age"]
    assert [each["url"].rpartition("/")[2] for each in inside["extension"]] == [
        "sdc-questionnaire-questionnaireAdaptive",
        "cqf-library",
        "questionnaireAudience",
        "questionnaireAudience",
        "estimated-completion-time",
        "request-specific",
        "sdc-questionnaire-launchContext",
    ]


def test_the_form_inside_a_response_in_2_0(tmp_path: Path) -> None:
    form = pump_form(tmp_path, "2.0", adaptive=True)
    inside = contained_questionnaire(form, ["pump-why"])
    assert "url" not in inside
    derived = "https://wiser-fhir.example/v2.0/fhir/Questionnaire/pump-adaptive|2026-01-15"
    assert inside["derivedFrom"] == [derived]
    assert "<li>Why so?</li>" in inside["text"]["div"]
    assert [each["url"].rpartition("/")[2] for each in inside["extension"]] == [
        "sdc-questionnaire-questionnaireAdaptive",
        "cqf-library",
    ]


def test_the_end_of_the_clinical_questions_is_said_once_it_is_known(tmp_path: Path) -> None:
    form = pump_form(tmp_path, "2.2", adaptive=True)
    ids = ["pump-office", "pump-age"]
    open_ended = contained_questionnaire(form, ids)["item"]
    closed = contained_questionnaire(form, ids, clinical_complete=True)["item"]
    assert [each["linkId"] for each in open_ended] == ["pump-age", "pump-office"]
    assert [each["linkId"] for each in closed] == [
        "pump-age",
        "end-of-clinical-questions",
        "pump-office",
    ]


def test_a_response_may_begin_without_questions(tmp_path: Path) -> None:
    form = pump_form(tmp_path, "2.2", adaptive=True)
    assert "item" not in contained_questionnaire(form, ())
