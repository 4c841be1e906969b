"""How orders name a service before anybody bills it, as data beside the service."""

from datetime import date
from pathlib import Path

import pytest

from tests.unit.coverage.made_up import SERVICE, bent, make_folder
from wiser_fhir.coverage.catalogue import Catalogue
from wiser_fhir.coverage.loading import CatalogueError
from wiser_fhir.coverage.requested import CPT, Code

IN_MAY = date(2026, 5, 4)
SNOMED = "http://snomed.info/sct"
CLINICAL = """[[clinical_codes]]
system = "SNOMED CT"
code   = "123456"
text   = "The thing, or more of it"
likely = ["99990", "99991"]
source = ["guide"]

"""
BEFORE_QUESTIONS = '[[questions]]\nid       = "agreed"'
WITH_CLINICAL = bent((BEFORE_QUESTIONS, CLINICAL + BEFORE_QUESTIONS))


def load(base: Path, *changes: tuple[str, str]) -> Catalogue:
    files = {"made-up/2026-01-15.toml": bent(*changes, text=WITH_CLINICAL)}
    return Catalogue.load(make_folder(base, files))


def test_a_clinical_code_names_the_likely_procedure_codes(tmp_path: Path) -> None:
    catalogue = load(tmp_path)
    likely = (Code(CPT, "99990"), Code(CPT, "99991"))
    assert catalogue.likely_codes(Code(SNOMED, "123456"), IN_MAY) == likely


@pytest.mark.parametrize(
    ("code", "on"),
    [
        (Code(SNOMED, "99990"), IN_MAY),
        (Code("http://loinc.org", "123456"), IN_MAY),
        (Code(CPT, "99990"), IN_MAY),
        (Code(SNOMED, "123456"), date(2026, 1, 1)),
    ],
)
def test_any_other_code_names_none(tmp_path: Path, code: Code, on: date) -> None:
    assert load(tmp_path).likely_codes(code, on) == ()


@pytest.mark.parametrize(
    ("change", "place"),
    [
        (('likely = ["99990", "99991"]', 'likely = ["99999"]'), "123456 is read as 99999"),
        (('likely = ["99990", "99991"]', "likely = []"), "clinical_codes[123456].likely"),
        (('"SNOMED CT"', '"SNOMED"'), "clinical_codes[123456].system"),
        (("source = [", "sauce = ["), "clinical_codes[123456]"),
        ((CLINICAL, CLINICAL + CLINICAL), "clinical_codes: SNOMED CT 123456 stands twice"),
        (
            (CLINICAL, CLINICAL.replace('["guide"]', '["hearsay"]')),
            "no such source: hearsay",
        ),
    ],
)
def test_a_fault_stops_the_start(tmp_path: Path, change: tuple[str, str], place: str) -> None:
    with pytest.raises(CatalogueError) as caught:
        load(tmp_path, change)
    assert place in str(caught.value)


def test_one_clinical_code_in_two_services(tmp_path: Path) -> None:
    other = WITH_CLINICAL.replace("9999", "8888")
    files = {"one/2026-01-15.toml": WITH_CLINICAL, "two/2026-01-15.toml": other}
    with pytest.raises(CatalogueError, match="both list the code SNOMED CT 123456"):
        Catalogue.load(make_folder(tmp_path, files))


def test_a_service_needs_none(tmp_path: Path) -> None:
    folder = make_folder(tmp_path, {"made-up/2026-01-15.toml": SERVICE})
    assert Catalogue.load(folder).likely_codes(Code(SNOMED, "123456"), IN_MAY) == ()


def test_the_clinical_codes_as_committed() -> None:
    catalogue = Catalogue.load()
    told = {
        entry.code: (rules.slug, entry.likely)
        for rules in catalogue.services_on(IN_MAY)
        for entry in rules.clinical_codes
    }
    assert told == {
        "53976000": ("cervical-fusion", ("22554",)),
        "59703009": ("cervical-fusion", ("22554",)),
        "171787008": ("epidural-steroid-injection", ("62321", "62323", "64479", "64483")),
        "47411002": ("penile-prosthesis", ("54400", "54401", "54405")),
    }
