"""What can be asked for, and that it is kept as it was asked."""

import pytest

from wiser_fhir.priorauth.information import Wanted


@pytest.mark.parametrize(
    "wanted",
    [
        Wanted(code="11504-8", lines=(1, 3), diagnosis="M54.16", modifier="18733-6"),
        Wanted(questionnaire="https://payer.example/Questionnaire/esi|2026-01-15"),
    ],
)
def test_what_is_kept_is_what_was_asked(wanted: Wanted) -> None:
    assert Wanted.of_json(wanted.as_json()) == wanted


@pytest.mark.parametrize("code", [None, "11504-8"])
def test_a_document_or_a_form_is_asked_for_and_not_both(code: str | None) -> None:
    form = "https://payer.example/Questionnaire/esi" if code else None
    with pytest.raises(ValueError, match="either a document"):
        Wanted(code=code, questionnaire=form)
