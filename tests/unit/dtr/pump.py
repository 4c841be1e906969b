"""A made-up service with a question of every sort, and population logic for it."""

import json
from pathlib import Path
from typing import Any

from tests.unit.coverage.made_up import make_folder
from wiser_fhir.coverage.catalogue import Catalogue
from wiser_fhir.dtr.forms import Form, Forms
from wiser_fhir.fhir.codes import Line

Json = dict[str, Any]
BASES: dict[Line, str] = {
    "2.2": "https://payer.example/fhir",
    "2.0": "https://payer.example/v2.0/fhir",
}
WISER = "https://wiser-fhir.example/fhir"

SERVICE = """
name          = "Pumps & valves"
status        = "active"
category      = "made-up"
guide_section = "0.0"
states        = ["NJ"]
policies      = [{ type = "NCD", id = "0.0" }]
sources       = ["guide"]
codes = [
  { code = "99990", system = "CPT", role = "primary", text = "The pump" },
  { code = "Q9999", system = "HCPCS", role = "primary", text = "The valve" },
]

[diagnosis]
table = "B0"
groups = [
  { name = "one", codes = ["A00.0", "A00.1"] },
  { name = "two", codes = ["A00.1", "B00"] },
]

[[chart_codes]]
name   = "pressure"
title  = "Pressure in the pump"
source = ["guide"]
codes  = [
  { system = "LOINC", code = "1-8", text = "Pressure at rest" },
  { system = "CPT", code = "99992", text = "Taking the pressure" },
  { system = "LOINC", code = "2-6", text = "Pressure at work" },
]

[[questions]]
id       = "pump-office"
text     = "Who can be called?"
type     = "text"
kind     = "fact"
unfilled = "No chart says."
administrative = true
required = false
rule     = { op = "answered" }
if_unmet = "info"
source   = ["guide"]

[[questions]]
id       = "pump-age"
text     = "Patient age"
type     = "integer"
kind     = "fact"
unit     = "years"
minimum  = 18
chart    = { read = "age" }
rule     = { op = "gte", value = 21 }
if_unmet = "fail"
source   = ["guide"]

[[questions]]
id       = "pump-share"
text     = "Share of the pressure, in %"
type     = "decimal"
kind     = "fact"
unit     = "%"
chart    = { read = "latest-quantity", codes = "pressure", unit = "%" }
rule     = { op = "gte", value = 50 }
if_unmet = "fail"
evidence = ["pressure-log", "clinical-note"]
source   = ["guide"]

[[questions]]
id       = "pump-way"
text     = "Which way < round?"
type     = "choice"
kind     = "attestation"
options  = [
  { code = "left", label = "To the left", outcome = "meet" },
  { code = "right", label = "To the right" },
]
rule     = { op = "eq", value = "left" }
if_unmet = "fail"
source   = ["guide"]

[[questions]]
id       = "pump-why"
text     = "Why so?"
type     = "text"
kind     = "attestation"
enable_when = { question = "pump-way", not_equals = "left" }
rule     = { op = "answered" }
if_unmet = "review"
source   = ["guide"]

[[questions]]
id       = "pump-signs"
text     = "Does any of these apply?"
type     = "multi_choice"
kind     = "attestation"
enable_when = { question = "pump-way", equals = "left" }
options  = [{ code = "leak", label = "A leak" }, { code = "none", label = "None of these" }]
rule     = { op = "only", value = "none" }
if_unmet = "fail"
source   = ["guide"]

[[questions]]
id       = "pump-begun"
text     = "Since when?"
type     = "date"
kind     = "fact"
unfilled = "No chart says."
enable_when = { question = "pump-agreed", equals = true }
rule     = { op = "answered" }
if_unmet = "info"
source   = ["guide"]

[[questions]]
id       = "pump-agreed"
text     = "Agreed?"
type     = "boolean"
kind     = "attestation"
rule     = { op = "eq", value = true }
if_unmet = "fail"
source   = ["guide"]

[decision]
all = ["pump-age", "pump-agreed"]
"""

CHART: Json = {
    "identifier": {"id": "WiserChart", "version": "1.0.0"},
    "statements": {"def": [{"name": "Older", "type": "FunctionDef", "expression": {}}]},
}


def patient() -> Json:
    """The define that every library has."""
    retrieve = {"type": "Retrieve", "dataType": "{http://hl7.org/fhir}Patient"}
    return {"name": "Patient", "expression": {"type": "SingletonFrom", "operand": retrieve}}


def observations(codes: Json) -> Json:
    """A retrieve of Observations by code."""
    return {
        "type": "Retrieve",
        "dataType": "{http://hl7.org/fhir}Observation",
        "templateId": "http://hl7.org/fhir/StructureDefinition/Observation",
        "codeProperty": "code",
        "codeComparator": "in",
        "codes": codes,
    }


def logic(version: str = "2026-01-15", **changes: Any) -> Json:
    """The compiled library of the service, as `library` of its ELM."""
    by_set = {"type": "ExpandValueSet", "operand": {"type": "ValueSetRef", "name": "pressure"}}
    value_set = {"name": "pressure", "id": f"{WISER}/ValueSet/pump-pressure", "version": version}
    measured = {"type": "FunctionRef", "operand": [observations(by_set)]}
    return {
        "identifier": {"id": "WiserPump", "version": version},
        "includes": {
            "def": [{"localIdentifier": "Chart", "path": "WiserChart", "version": "1.0.0"}]
        },
        "valueSets": {"def": [value_set]},
        "statements": {
            "def": [
                patient(),
                {"name": "pump-age", "expression": {"type": "CalculateAge"}},
                {"name": "pump-share", "expression": measured},
            ]
        },
        **changes,
    }


def logic_folder(base: Path, *libraries: Json) -> Path:
    """Libraries as they lie in igs/wiser."""
    for name in ("cql", "elm"):
        (base / name).mkdir(parents=True)
    for library in libraries or (CHART, logic()):
        stem = "-".join(library["identifier"].values())
        (base / "cql" / f"{stem}.cql").write_text(f"library {stem}")
        (base / "elm" / f"{stem}.json").write_text(json.dumps({"library": library}))
    return base


def pump_catalogue(base: Path, **versions: str) -> Catalogue:
    """A catalogue of the service alone, or of some versions of it: `v2026_01_15=text`."""
    told = versions or {"v2026_01_15": SERVICE}
    files = {f"pump/{name[1:].replace('_', '-')}.toml": text for name, text in told.items()}
    base.mkdir(parents=True, exist_ok=True)
    return Catalogue.load(make_folder(base, files))


def pump_forms(base: Path, text: str = SERVICE) -> Forms:
    """The forms of the service."""
    catalogue = pump_catalogue(base / "catalogue", v2026_01_15=text)
    return Forms.load(catalogue, BASES, logic_folder(base / "logic"))


def pump_form(base: Path, line: Line, *, adaptive: bool = False, text: str = SERVICE) -> Form:
    """One form of the service."""
    catalogue = pump_catalogue(base / "catalogue", v2026_01_15=text)
    forms = Forms.load(catalogue, BASES, logic_folder(base / "logic"))
    found = forms.of(line, catalogue.versions("pump")[0], adaptive=adaptive)
    assert found is not None
    return found
