"""The beneficiary as Patient and Coverage tell of one."""

from typing import Any

import pytest

from wiser_fhir.intake.member import beneficiary


@pytest.mark.parametrize(
    ("names", "family", "given"),
    [
        ([{"family": "Zed", "given": ["Ann"]}], "Zed", "Ann"),
        ([{"text": "Ann Zed"}, {"family": "Zed", "given": ["Ann"]}], "Zed", "Ann"),
        ([{"family": " "}, {"family": "Zed"}], "Zed", None),
        ([{"given": ["Ann"]}, {"text": "Ann Zed"}], None, "Ann"),
        ([], None, None),
    ],
)
def test_the_first_name_that_has_a_family(
    names: list[Any], family: str | None, given: str | None
) -> None:
    person = beneficiary({"name": names}, {})
    assert (person.family, person.given) == (family, given)
    assert person.name_expected
