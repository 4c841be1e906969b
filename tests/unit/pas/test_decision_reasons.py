"""Our reasons for a decision as codes of X12."""

from pathlib import Path

import pytest

from wiser_fhir.pas.decision_reasons import DecisionReasons


def test_a_reason_is_told_by_its_codes_each_once() -> None:
    reasons = DecisionReasons({"own": ("25", "T1"), "wordless": ()})
    assert reasons.of(["own", "wordless", "T1", "82"]) == ("25", "T1", "82")


def test_our_own_map_says_only_what_x12_has_published() -> None:
    codes = DecisionReasons.load().codes
    assert codes["not-considered"] == ("25",)
    assert {name for name, found in codes.items() if not found} == {
        "criterion-not-met",
        "documentation-missing",
    }


def test_another_file_may_say_more(tmp_path: Path) -> None:
    file = tmp_path / "reasons.toml"
    file.write_text('criterion-not-met = ["82"]\n', encoding="utf-8")
    assert DecisionReasons.load(file).of(["criterion-not-met"]) == ("82",)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("a = 1", "valid tuple"),
        ('a = "25"', "valid tuple"),
        ("a = [25]", "valid string"),
        ("a =", "Invalid value"),
    ],
)
def test_a_file_that_is_no_map_is_refused(text: str, fault: str, tmp_path: Path) -> None:
    file = tmp_path / "reasons.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=fault):
        DecisionReasons.load(file)
