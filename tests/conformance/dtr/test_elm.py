"""The population logic as published: compiled of its sources, and true to the catalogue."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.dtr.charts_run import (
    LOGIC,
    ROOT,
    compile_to,
    library_name,
    rule_files,
    value_sets,
)
from wiser_fhir.coverage.canonical import CANONICAL

pytestmark = pytest.mark.xdist_group("population-logic")

SERVICES = {library_name(rules): rules for rules in rule_files()}
SHARED = "WiserChart-1.0.0"
SOURCES = sorted(path.stem for path in (LOGIC / "cql").iterdir())


def library(stem: str) -> dict[str, Any]:
    text = (LOGIC / "elm" / f"{stem}.json").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)["library"]
    return found


def nodes(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
    for part in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from nodes(part)


def defines(stem: str) -> set[str]:
    return {each["name"] for each in library(stem)["statements"]["def"]}


def test_there_is_one_library_per_active_service_and_a_shared_one() -> None:
    assert sorted([*SERVICES, SHARED]) == SOURCES
    assert sorted(path.stem for path in (LOGIC / "elm").iterdir()) == SOURCES


def test_the_libraries_are_what_the_translator_makes_of_the_sources(tmp_path: Path) -> None:
    compile_to(tmp_path)
    for stem in SOURCES:
        made = (tmp_path / f"{stem}.json").read_bytes()
        assert made == (LOGIC / "elm" / f"{stem}.json").read_bytes(), f"{stem}: run `make cql`"


@pytest.mark.parametrize("stem", SERVICES)
def test_exactly_the_facts_with_a_place_in_the_chart_are_defined(stem: str) -> None:
    facts = {question.id for question in SERVICES[stem].questions if question.chart is not None}
    assert {name for name in defines(stem) if "-" in name} == facts


@pytest.mark.parametrize("stem", SERVICES)
def test_nothing_bears_the_name_of_a_judgement(stem: str) -> None:
    judged = {question.id for question in SERVICES[stem].questions if question.is_attestation}
    assert not judged & defines(stem)


@pytest.mark.parametrize("stem", SERVICES)
def test_the_value_sets_are_the_catalogues(stem: str) -> None:
    rules = SERVICES[stem]
    named = library(stem).get("valueSets", {"def": []})["def"]
    assert {each["version"] for each in named} <= {rules.version}
    lists = {f"{CANONICAL}/ValueSet/{rules.slug}-{each.name}" for each in rules.chart_codes}
    assert lists <= {each["id"] for each in named} <= value_sets(rules).keys()


@pytest.mark.parametrize("stem", SERVICES)
def test_every_record_is_asked_for_by_a_value_set(stem: str) -> None:
    retrieves = [node for node in nodes(library(stem)) if node.get("type") == "Retrieve"]
    asked = [each for each in retrieves if each["dataType"] != "{http://hl7.org/fhir}Patient"]
    assert all(each["codes"]["type"] == "ValueSetRef" for each in asked)


def test_the_shared_library_asks_for_no_record() -> None:
    retrieves = [node for node in nodes(library(SHARED)) if node.get("type") == "Retrieve"]
    assert {each["dataType"] for each in retrieves} <= {"{http://hl7.org/fhir}Patient"}


def test_every_function_of_the_shared_library_is_of_use() -> None:
    called = {
        node["name"]
        for stem in SOURCES
        for node in nodes(library(stem))
        if node.get("type") == "FunctionRef" and (stem == SHARED or "libraryName" in node)
    }
    assert defines(SHARED) == called | {"Patient"}


@pytest.mark.parametrize("stem", SOURCES)
def test_no_conversion_library_is_needed(stem: str) -> None:
    for path in (LOGIC / "cql" / f"{stem}.cql", LOGIC / "elm" / f"{stem}.json"):
        assert "FHIRHelpers" not in path.read_text(encoding="utf-8")
    included = library(stem).get("includes", {"def": []})["def"]
    assert {each["path"] for each in included} <= {"WiserChart"}


@pytest.mark.parametrize("folder", [LOGIC, ROOT / "pages"], ids=lambda folder: folder.name)
def test_a_lock_file_pins_by_hash_and_names_no_address(folder: Path) -> None:
    text = (folder / "package-lock.json").read_text(encoding="utf-8")
    pinned = [package for place, package in json.loads(text)["packages"].items() if place]
    assert pinned
    assert all("integrity" in package for package in pinned)
    assert "://" not in text


def test_without_node_nothing_passes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RuntimeError, match="node is needed"):
        compile_to(tmp_path)
