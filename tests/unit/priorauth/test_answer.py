"""What an answer may say: nothing by default, nothing that could not be sent, kept as it was."""

from collections.abc import Callable
from datetime import date
from decimal import Decimal

import pytest

from wiser_fhir.coverage.requested import CPT, Code
from wiser_fhir.priorauth.answer import (
    ICD_10_CM,
    AddedItem,
    AuthorizedProvider,
    CaseAnswer,
    GrantedDetail,
    ItemAnswer,
    Money,
    StatedError,
    Stay,
)

A_CODE = Code(CPT, "77003")


def test_nothing_is_said_by_default() -> None:
    assert ItemAnswer().as_json() == {}
    assert CaseAnswer().as_json() == {}
    assert ItemAnswer.of_json(None) == ItemAnswer.of_json({}) == ItemAnswer()
    assert CaseAnswer.of_json(None) == CaseAnswer.of_json({}) == CaseAnswer()


def test_an_items_answer_is_kept() -> None:
    said = ItemAnswer(
        providers=(AuthorizedProvider(npi="1999990200", role="primary"),),
        detail=GrantedDetail(unit_price=Money(Decimal("250.50"))),
        admission=Stay(date(2026, 12, 15), date(2026, 12, 16)),
        diagnoses=(Code(ICD_10_CM, "M54.16"),),
        second_opinion=False,
    )
    kept = {
        "providers": [{"npi": "1999990200", "role": "primary"}],
        "detail": {"unit_price": {"amount": "250.50"}},
        "admission": {"first": "2026-12-15", "last": "2026-12-16"},
        "diagnoses": [{"system": ICD_10_CM, "code": "M54.16"}],
        "second_opinion": False,
    }
    assert said.as_json() == kept
    assert ItemAnswer.of_json(kept) == said


def test_a_cases_answer_is_kept() -> None:
    said = CaseAnswer(
        added=(AddedItem(9, A_CODE, Decimal("1.5"), date(2026, 12, 15), date(2026, 12, 15)),),
        errors=(StatedError("33", sequence=1),),
        overall=True,
    )
    kept = {
        "added": [
            {
                "sequence": 9,
                "code": {"system": CPT, "code": "77003"},
                "quantity": "1.5",
                "first_day": "2026-12-15",
                "last_day": "2026-12-15",
            }
        ],
        "errors": [{"code": "33", "sequence": 1}],
        "overall": True,
    }
    assert said.as_json() == kept
    assert CaseAnswer.of_json(kept) == said


@pytest.mark.parametrize(
    ("said", "fault"),
    [
        (lambda: AuthorizedProvider(name="Dr. T."), "named by its NPI"),
        (lambda: AuthorizedProvider(npi="1999990200", entity="S J"), "holds a space"),
        (lambda: AuthorizedProvider(npi="1999990200", name=" "), "blank"),
        (lambda: Stay(date(2026, 12, 16), date(2026, 12, 15)), "ends before it begins"),
        (lambda: Money(Decimal("-0.01")), "negative"),
        (lambda: Money(Decimal("NaN")), "negative"),
        (lambda: Money(Decimal("1000000000000.01")), "larger than anything is"),
        (lambda: GrantedDetail(modifiers=("50", "")), "empty"),
        (lambda: GrantedDetail(rate_limit=Decimal("Infinity")), "negative"),
        (lambda: GrantedDetail(code_end=Code("urn:other", "1")), "CPT or HCPCS"),
        (lambda: ItemAnswer(diagnoses=(Code(CPT, "77003"),)), "ICD-10-CM"),
        (lambda: ItemAnswer(notes=("\x00",)), "cannot be printed"),
        (lambda: AddedItem(0, A_CODE), "positive number"),
        (lambda: AddedItem(2**31, A_CODE), "positive number"),
        (lambda: AddedItem(1, A_CODE, Decimal(-1)), "negative"),
        (
            lambda: AddedItem(1, A_CODE, first_day=date(2026, 12, 16), last_day=date(2026, 12, 15)),
            "ends before it begins",
        ),
        (lambda: StatedError(""), "empty"),
        (lambda: StatedError("33", sequence=0), "positive number"),
        (lambda: CaseAnswer(added=(AddedItem(9, A_CODE), AddedItem(9, A_CODE))), "one sequence"),
        (lambda: CaseAnswer.of_json({"errors": [{"code": "3 3"}]}), "holds a space"),
        (lambda: ItemAnswer.of_json({"unheard": "of", "notes": [""]}), "blank"),
    ],
)
def test_what_could_not_be_sent_is_not_said(said: Callable[[], object], fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        said()
