"""The guides' packages, found beside the repository unless the environment says where."""

import os
from pathlib import Path

import pytest

from wiser_fhir.fhir.validation.packages import VARIABLE
from wiser_fhir.fhir.validation.validator import GuideValidator

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="session")
def packages() -> Path:
    named = os.environ.get(VARIABLE)
    folder = Path(named) if named else ROOT.parent / "shared" / "igs"
    assert any(folder.glob("hl7.fhir.r4.core#*.tgz")), f"no packages in {folder}: set {VARIABLE}"
    return folder


@pytest.fixture(scope="session")
def validators() -> dict[str, GuideValidator]:
    return {"2.2": GuideValidator.load("2.2"), "2.0": GuideValidator.load("2.0")}
