"""The validator, loaded once."""

import pytest

from wiser_fhir.fhir.validation.validator import GuideValidator


@pytest.fixture(scope="session")
def validator() -> GuideValidator:
    return GuideValidator.load("2.2")
