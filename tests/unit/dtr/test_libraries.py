"""CQL libraries as FHIR: source, compiled form, and what they read of a chart."""

import json
from base64 import b64decode
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
    observations,
    patient,
    pump_catalogue,
    pump_form,
)
from wiser_fhir.coverage.loading import CatalogueError
from wiser_fhir.dtr.data_requirements import data_requirements
from wiser_fhir.dtr.forms import Forms
from wiser_fhir.dtr.libraries import Logic, library_name

Json = dict[str, Any]
PATIENT = {"type": "Patient"}


def compiled(*statements: Json, **more: Any) -> Json:
    return {
        "identifier": {"id": "WiserPump", "version": "1"},
        "statements": {"def": [*statements]},
        **more,
    }


def defined(expression: Json) -> Json:
    return {"name": "fact", "expression": expression}


def loaded(base: Path, *libraries: Json) -> Forms:
    catalogue = pump_catalogue(base / "catalogue")
    return Forms.load(catalogue, BASES, logic_folder(base / "logic", *libraries))


def faults(base: Path, *libraries: Json) -> tuple[str, ...]:
    with pytest.raises(CatalogueError) as caught:
        loaded(base, *libraries)
    return caught.value.faults


def test_the_library_of_a_service(tmp_path: Path) -> None:
    library = pump_form(tmp_path, "2.2").libraries[0]
    content = library.pop("content")
    assert library == {
        "resourceType": "Library",
        "id": "WiserPump-2026-01-15",
        "meta": {"profile": ["http://hl7.org/fhir/uv/sdc/StructureDefinition/sdc-library"]},
        "url": "https://wiser-fhir.example/fhir/Library/WiserPump",
        "version": "2026-01-15",
        "name": "WiserPump",
        "title": "What a chart says of: Pumps & valves",
        "status": "active",
        "experimental": False,
        "type": {
            "coding": [
                {
                    "system": "http://terminology.hl7.org/CodeSystem/library-type",
                    "code": "logic-library",
                    "display": "Logic Library",
                }
            ]
        },
        "subjectCodeableConcept": {
            "coding": [{"system": "http://hl7.org/fhir/resource-types", "code": "Patient"}]
        },
        "publisher": "wiser-fhir",
        "description": "What a chart says of: Pumps & valves.",
        "relatedArtifact": [
            {
                "type": "depends-on",
                "display": "WiserChart",
                "url": "https://wiser-fhir.example/fhir/Library/WiserChart",
                "resource": "https://wiser-fhir.example/fhir/Library/WiserChart|1.0.0",
            },
            {
                "type": "depends-on",
                "display": "pump-pressure",
                "url": "https://wiser-fhir.example/fhir/ValueSet/pump-pressure",
                "resource": "https://wiser-fhir.example/fhir/ValueSet/pump-pressure|2026-01-15",
            },
        ],
        "dataRequirement": [
            PATIENT,
            {
                "type": "Observation",
                "profile": ["http://hl7.org/fhir/StructureDefinition/Observation"],
                "codeFilter": [
                    {
                        "path": "code",
                        "valueSet": "https://wiser-fhir.example/fhir/ValueSet/pump-pressure"
                        "|2026-01-15",
                    }
                ],
            },
        ],
    }
    assert [each["contentType"] for each in content] == ["text/cql", "application/elm+json"]
    assert b64decode(content[0]["data"]) == b"library WiserPump-2026-01-15"
    assert json.loads(b64decode(content[1]["data"]))["library"]["identifier"]["id"] == "WiserPump"


def test_what_a_library_includes_comes_with_it(tmp_path: Path) -> None:
    form = pump_form(tmp_path, "2.0")
    assert [each["name"] for each in form.libraries] == ["WiserPump", "WiserChart"]
    shared = form.libraries[1]
    assert shared["version"] == "1.0.0"
    assert "dataRequirement" not in shared
    assert "relatedArtifact" not in shared


def test_a_library_asks_for_what_an_included_one_reads(tmp_path: Path) -> None:
    chart = {**CHART, "statements": {"def": [defined({"type": "Retrieve", **ANY_ENCOUNTER})]}}
    library = loaded(tmp_path, chart, logic()).libraries()[1]
    assert library["name"] == "WiserPump"
    read = [each["type"] for each in library["dataRequirement"]]
    assert read == ["Patient", "Observation", "Encounter"]


ANY_ENCOUNTER = {"dataType": "{http://hl7.org/fhir}Encounter"}


def test_a_retrieve_is_found_wherever_it_stands() -> None:
    deep = {"source": [{"expression": {"operand": [{"type": "Retrieve", **ANY_ENCOUNTER}]}}]}
    required = data_requirements([compiled(patient(), defined(deep), defined(deep))])
    assert required == [PATIENT, {"type": "Encounter"}]


def test_a_retrieve_by_a_code() -> None:
    codes = {"type": "ToList", "operand": {"type": "CodeRef", "name": "rest"}}
    library = compiled(
        defined(observations(codes)),
        codeSystems={"def": [{"name": "LOINC", "id": "http://loinc.org"}]},
        codes={"def": [{"name": "rest", "id": "1-8", "codeSystem": {"name": "LOINC"}}]},
    )
    (required,) = data_requirements([library])
    coding = {"system": "http://loinc.org", "code": "1-8"}
    assert required["codeFilter"] == [{"path": "code", "code": [coding]}]


def test_a_retrieve_by_codes_that_its_caller_names_cannot_be_published() -> None:
    library = compiled(defined(observations({"type": "OperandRef", "name": "codes"})))
    with pytest.raises(ValueError, match="WiserPump: a retrieve by codes that are not named"):
        data_requirements([library])


def test_the_name_of_a_library() -> None:
    assert library_name("knee-arthroscopy-oa") == "WiserKneeArthroscopyOa"


def test_a_fact_of_the_chart_is_defined(tmp_path: Path) -> None:
    assert faults(tmp_path, CHART, logic(statements={"def": [patient()]})) == (
        "WiserPump-2026-01-15: does not define pump-age",
        "WiserPump-2026-01-15: does not define pump-share",
    )


def test_without_a_library_no_fact_is_defined(tmp_path: Path) -> None:
    assert faults(tmp_path, CHART) == (
        "WiserPump-2026-01-15: does not define pump-age",
        "WiserPump-2026-01-15: does not define pump-share",
    )


def test_a_judgement_is_not_defined(tmp_path: Path) -> None:
    statements = [*logic()["statements"]["def"], {"name": "pump-agreed", "expression": {}}]
    assert faults(tmp_path, CHART, logic(statements={"def": statements})) == (
        "WiserPump-2026-01-15: defines pump-agreed, which no chart tells",
    )


def test_value_sets_are_those_of_the_catalogue(tmp_path: Path) -> None:
    other = {"name": "pressure", "id": f"{WISER}/ValueSet/pump-pressure", "version": "2025-01-15"}
    assert faults(tmp_path, CHART, logic(valueSets={"def": [other]})) == (
        "WiserPump-2026-01-15: names https://wiser-fhir.example/fhir/ValueSet/pump-pressure"
        "|2025-01-15, no value set of the catalogue",
    )


def test_what_is_included_is_there(tmp_path: Path) -> None:
    assert faults(tmp_path, logic()) == (
        "WiserPump-2026-01-15: includes WiserChart-1.0.0, which is not there",
    )


def test_a_file_is_named_as_the_library_inside(tmp_path: Path) -> None:
    folder = logic_folder(tmp_path / "logic")
    for kind, ending in (("cql", "cql"), ("elm", "json")):
        file = folder / kind / f"WiserChart-1.0.0.{ending}"
        file.rename(file.with_stem("Chart-1.0.0"))
    with pytest.raises(CatalogueError) as caught:
        Forms.load(pump_catalogue(tmp_path / "catalogue"), BASES, folder)
    assert caught.value.faults == ("Chart-1.0.0: the library inside is WiserChart-1.0.0",)


def test_a_library_that_is_not_compiled_is_not_there(tmp_path: Path) -> None:
    folder = logic_folder(tmp_path / "logic")
    (folder / "elm" / "WiserPump-2026-01-15.json").unlink()
    read = Logic.load(pump_catalogue(tmp_path / "catalogue"), folder)
    assert [*read.sources] == [("WiserChart", "1.0.0")]


def test_a_form_that_nothing_fills_needs_no_library(tmp_path: Path) -> None:
    unfilled = 'unfilled = "No chart says."'
    age = 'chart    = { read = "age" }'
    share = 'chart    = { read = "latest-quantity", codes = "pressure", unit = "%" }'
    start = SERVICE.index("[[chart_codes]]")
    plain = SERVICE[:start] + SERVICE[SERVICE.index("[[questions]]") :]
    text = bent((age, unfilled), (share, unfilled), text=plain)
    catalogue = pump_catalogue(tmp_path / "catalogue", v2026_01_15=text)
    forms = Forms.load(catalogue, BASES, logic_folder(tmp_path / "logic", CHART))
    form = forms.of("2.2", catalogue.versions("pump")[0])
    assert form is not None
    assert (form.libraries, form.value_sets) == ((), ())
    assert "cqf-library" not in str(form.questionnaire)
    assert "initialExpression" not in str(form.questionnaire)
