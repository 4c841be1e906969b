"""The value sets of a service, literally, and which of them a package carries."""

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from tests.unit.coverage.made_up import bent
from tests.unit.dtr.pump import SERVICE, WISER, pump_catalogue, pump_form, pump_forms
from wiser_fhir.dtr.value_sets import ValueSets, expanded

Json = dict[str, Any]
PRESSURE = f"{WISER}/ValueSet/pump-pressure"
LOINC = "http://loinc.org"
CPT = "http://www.ama-assn.org/go/cpt"


def size(value_set: Json) -> int:
    """How many codes it has."""
    return sum(len(part["concept"]) for part in value_set["compose"]["include"])


def many(number: int) -> str:
    """The service with so many codes of pressure."""
    one = '{ system = "LOINC", code = "1-8", text = "Pressure at rest" },'
    more = "\n".join(one.replace("1-8", f"9{n}-1") for n in range(number - 3))
    return bent((one, f"{one}\n{more}"), text=SERVICE)


def test_chart_codes_with_our_wording_of_them(tmp_path: Path) -> None:
    (found,) = pump_form(tmp_path, "2.2").value_sets
    rest = {"code": "1-8", "designation": [{"language": "en", "value": "Pressure at rest"}]}
    work = {"code": "2-6", "designation": [{"language": "en", "value": "Pressure at work"}]}
    # CPT's wording is licensed, so its codes carry none, ours neither.
    taking = {"code": "99992"}
    assert found == {
        "resourceType": "ValueSet",
        "id": "pump-pressure-2026-01-15",
        "url": "https://wiser-fhir.example/fhir/ValueSet/pump-pressure",
        "version": "2026-01-15",
        "name": "PumpPressure",
        "title": "Pressure in the pump",
        "status": "active",
        "experimental": False,
        "date": "2026-01-15",
        "publisher": "wiser-fhir",
        "description": "Pressure in the pump. For the documentation of: Pumps & valves.",
        "immutable": True,
        "compose": {
            "include": [
                {"system": LOINC, "concept": [rest, work]},
                {"system": CPT, "concept": [taking]},
            ]
        },
    }
    rules = pump_form(tmp_path / "again", "2.2").rules
    summer = expanded(found, rules, date(2026, 7, 1))["expansion"]
    assert summer == {
        "identifier": summer["identifier"],
        "timestamp": "2026-07-01T00:00:00-04:00",
        "total": 3,
        "offset": 0,
        "contains": [
            {"system": LOINC, **rest},
            {"system": LOINC, **work},
            {"system": CPT, **taking},
        ],
    }
    assert summer["identifier"].startswith("urn:uuid:")
    winter = expanded(found, rules, date(2026, 12, 1))["expansion"]
    assert winter["timestamp"] == "2026-12-01T00:00:00-05:00"
    assert winter["identifier"] != summer["identifier"]


@pytest.mark.parametrize(
    ("day", "codes"),
    [
        (date(2026, 3, 31), ["99990"]),
        (date(2026, 4, 1), ["99990", "Q9999"]),
        (date(2026, 9, 30), ["99990", "Q9999"]),
        (date(2026, 10, 1), ["99990"]),
    ],
)
def test_procedure_codes_are_expanded_as_of_the_day(
    tmp_path: Path, day: date, codes: list[str]
) -> None:
    dates = "effective_from = 2026-04-01, effective_until = 2026-09-30"
    text = bent(('code = "Q9999"', f'code = "Q9999", {dates}'), text=SERVICE)
    catalogue = pump_catalogue(tmp_path / "dated", v2026_01_15=text)
    procedures = ValueSets.of(catalogue).find(f"{WISER}/ValueSet/pump-procedures")
    assert procedures is not None
    found = expanded(procedures, catalogue.versions("pump")[0], day)["expansion"]
    assert [each["code"] for each in found["contains"]] == codes
    assert found["total"] == len(codes)


def test_diagnoses_and_procedures_are_published(tmp_path: Path) -> None:
    forms = pump_forms(tmp_path)
    assert [each["id"] for each in forms.value_sets()] == [
        "pump-pressure-2026-01-15",
        "pump-diagnoses-2026-01-15",
        "pump-procedures-2026-01-15",
    ]
    diagnoses = forms.value_set(f"{WISER}/ValueSet/pump-diagnoses")
    assert diagnoses is not None
    icd = "http://hl7.org/fhir/sid/icd-10-cm"
    codes = [{"code": "A00.0"}, {"code": "A00.1"}, {"code": "B00"}]
    assert diagnoses["compose"]["include"] == [{"system": icd, "concept": codes}]
    procedures = forms.value_set(f"{WISER}/ValueSet/pump-procedures", "2026-01-15")
    assert procedures is not None
    hcpcs = "http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets"
    assert procedures["compose"]["include"] == [
        {"system": CPT, "concept": [{"code": "99990"}]},
        {"system": hcpcs, "concept": [{"code": "Q9999"}]},
    ]


def test_only_what_the_logic_names_is_shipped(tmp_path: Path) -> None:
    for line in ("2.2", "2.0"):
        shipped = pump_form(tmp_path / line, line).value_sets
        assert [each["url"] for each in shipped] == [PRESSURE]


@pytest.mark.parametrize(("codes", "in_2_2"), [(39, True), (40, False)])
def test_large_ones_are_left_to_expand_in_2_2(tmp_path: Path, codes: int, in_2_2: bool) -> None:
    new = pump_form(tmp_path / "new", "2.2", text=many(codes)).value_sets
    assert [size(each) for each in new] == ([codes] if in_2_2 else [])
    (old,) = pump_form(tmp_path / "old", "2.0", text=many(codes)).value_sets
    assert size(old) == codes


def test_what_is_published_is_the_definition_alone(tmp_path: Path) -> None:
    forms = pump_forms(tmp_path)
    assert [each["id"] for each in forms.value_sets() if "expansion" in each] == []
    assert [size(each) for each in forms.value_sets()] == [3, 3, 2]


def test_a_value_set_by_its_canonical(tmp_path: Path) -> None:
    later = bent(('"Pressure at rest"', '"Pressure in peace"'), text=SERVICE)
    catalogue = pump_catalogue(tmp_path / "two", v2026_01_15=SERVICE, v2026_06_01=later)
    sets = ValueSets.of(catalogue)
    newest, first = sets.find(PRESSURE), sets.find(PRESSURE, "2026-01-15")
    assert newest is not None
    assert first is not None
    assert (newest["version"], first["version"]) == ("2026-06-01", "2026-01-15")
    assert sets.find(PRESSURE, "2027-01-01") is None
    assert sets.find(f"{WISER}/ValueSet/none") is None


def test_a_long_name_is_cut_in_the_id(tmp_path: Path) -> None:
    name = "pressure-" * 7 + "end"
    text = SERVICE.replace('"pressure"', f'"{name}"')
    catalogue = pump_catalogue(tmp_path / "catalogue", v2026_01_15=text)
    (found,) = [each for each in ValueSets.of(catalogue).published() if name in each["url"]]
    assert found["id"] == "pump-pressure-pressure-pressure-pressure-pre-2aece439-2026-01-15"
    assert len(found["id"]) == 64
