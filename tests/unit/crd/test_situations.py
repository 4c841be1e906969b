"""The table of situations: what stands in it, and that it cannot be half there."""

import tomllib
from pathlib import Path

import pytest

from tests.unit.crd.answering import LINES
from wiser_fhir.crd import situations as module
from wiser_fhir.crd.card_table import card_table
from wiser_fhir.crd.situations import answer_words, filled, situations
from wiser_fhir.priorauth.foresee import Missing, Situation

S = Situation
NO_AUTHORIZATION = (
    *(S.EXEMPT, S.NOT_WISER, S.STATE_OUTSIDE, S.DATE_OUTSIDE, S.SITE_OUTSIDE),
    *(S.DIAGNOSIS_OUTSIDE, S.DELAYED, S.EXCLUDED, S.RAILROAD),
)
AUTHORIZATION = (S.NEEDS_AUTHORIZATION, S.OTHER_MODEL_STATE, S.PENDED, S.NON_AFFIRMED)
NOT_COVERED = (S.MEDICARE_ADVANTAGE, S.MEMBER_NOT_FOUND, S.MEMBER_ENDED, S.COVERAGE_ENDED)
CONDITIONAL = (S.MISSING, S.ADD_ON_ALONE, S.INELIGIBLE)

# Ours is 'regular coverage applies'; 2.0 wants a pa-needed beside `not-covered` (see the table).
EXPECTED = {
    **{(s, line): ("covered", "no-auth") for s in NO_AUTHORIZATION for line in LINES},
    **{(s, line): ("covered", "auth-needed") for s in AUTHORIZATION for line in LINES},
    **{(s, line): ("covered", "conditional") for s in CONDITIONAL for line in LINES},
    **{(s, "2.2"): ("not-covered", None) for s in NOT_COVERED},
    **{(s, "2.0"): ("not-covered", "conditional") for s in NOT_COVERED},
    **{(S.SATISFIED, line): ("covered", "satisfied") for line in LINES},
    (S.TECHNICAL, "2.2"): ("covered", "indeterminate"),
    (S.TECHNICAL, "2.0"): ("covered", "conditional"),
}


def test_every_situation_has_its_answer_on_both_lines() -> None:
    found = {key: (row.covered, row.pa_needed) for key, row in situations().items()}
    assert found == EXPECTED


def test_documents_are_asked_for_where_a_request_can_be_made_and_nowhere_else() -> None:
    asking = {situation for (situation, _), row in situations().items() if row.doc_needed}
    assert asking == {S.NEEDS_AUTHORIZATION, S.NON_AFFIRMED}
    assert {row.doc_needed for row in situations().values()} == {(), ("clinical",)}


def test_only_the_line_whose_rules_allow_it_names_the_purpose_by_its_code() -> None:
    purposes = {key: row.doc_purpose for key, row in situations().items() if row.doc_purpose}
    asking = (S.NEEDS_AUTHORIZATION, S.NON_AFFIRMED)
    assert purposes == {(situation, "2.0"): ("withpa",) for situation in asking}


def test_reason_codes_are_those_that_the_line_knows() -> None:
    codes = {
        line: {r.code for (_, own), row in situations().items() if own == line for r in row.reasons}
        for line in LINES
    }
    assert codes["2.0"] == {None, "gold-card"}
    assert codes["2.2"] == {
        *(None, "gold-card", "technical", "no-member-found", "no-active-coverage"),
    }


def test_nobody_is_promised_a_payment() -> None:
    for row in situations().values():
        for text in (reason.text.lower() for reason in row.reasons):
            assert "will be paid" not in text
            assert "guarantee" not in text


def test_a_code_without_text_would_say_nothing_to_a_person() -> None:
    assert all(reason.text for row in situations().values() for reason in row.reasons)


@pytest.mark.parametrize("missing", list(Missing))
def test_every_missing_datum_has_a_word_and_a_code(missing: Missing) -> None:
    words = answer_words().missing[missing]
    expected = {
        Missing.PERFORMER: "performer",
        Missing.SITE: "location",
        Missing.STATE: "location",
        Missing.DATE: "timeframe",
    }
    assert words.info == expected.get(missing, "OTH")


def test_a_text_whose_fact_nobody_knows_is_no_text() -> None:
    assert filled("To be decided by {deadline}.", {"reference": "R1"}) is None
    assert filled("Our reference: {reference}.", {"reference": "{utn}"}) == "Our reference: {utn}."


def test_every_card_a_situation_names_is_in_the_table_of_cards() -> None:
    named = {name for row in situations().values() for name in row.cards}
    assert named == set(card_table().cards)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (("[technical]", "[tecnical]"), "missing or unknown: tecnical"),
        (('"covered"', '"coverred"'), "needs-authorization, 2.2"),
        (("{number}", "{nummber}"), "no such fact: nummber"),
        (('text = "The provider named', 'text = "{detail} named'), "no reason can always be given"),
    ],
)
def test_a_table_with_a_mistake_stops_the_start(
    change: tuple[str, str], complaint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = Path(module.__file__).with_name("situations.toml")
    wrong = file.read_text(encoding="utf-8").replace(*change)
    assert tomllib.loads(wrong)
    (tmp_path / "situations.toml").write_text(wrong, encoding="utf-8")
    monkeypatch.setattr(module, "_file", lambda name: tmp_path / name)
    with pytest.raises(ValueError, match=complaint):
        situations.__wrapped__()
