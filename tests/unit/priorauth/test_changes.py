"""What an update may be, given the request it changes."""

from collections.abc import Collection
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from tests.cases import a_case
from tests.unit.priorauth.wiser_requests import SURGERY_CENTER, line, request
from wiser_fhir.coverage.requested import RequestedService
from wiser_fhir.priorauth.changes import (
    Content,
    Earlier,
    UpdateRefusal,
    cancelled_lines,
    changed_lines,
    changes_nothing,
    ended,
    line_refusal,
    missing,
    only_cancels,
    refused,
)
from wiser_fhir.priorauth.models import (
    CaseItem,
    CaseStatus,
    Change,
    DismissalReason,
    ItemChange,
    ItemRole,
    ItemStatus,
    PriorAuthorization,
    RequestedItem,
    Submission,
)

FIRST = request(items=(line("64483"), line("64484", sequence=2)))


def _said(told: str, **lines: str) -> Content:
    """A digest of words about all of it and, by its sequence, about each line."""

    def content(without: Collection[int]) -> bytes:
        return f"{told} {[v for n, v in lines.items() if int(n[1:]) not in without]}".encode()

    return content


SAME = _said("all", n1="one", n2="two")
BEFORE = Earlier(FIRST, frozenset({1}), SAME)
NAMED = Change(earlier=(FIRST.trace,), materials=frozenset({1}))


def _update(*items: RequestedItem, **changes: Any) -> Submission:
    """An update of FIRST that repeats it, but for what is told otherwise."""
    return replace(FIRST, items=items or FIRST.items, **{"change": NAMED, **changes})


def _case(*items: CaseItem, status: CaseStatus = CaseStatus.AFFIRMED) -> PriorAuthorization:
    case = a_case(FIRST, CaseStatus.AFFIRMED)
    return replace(case, status=status, items=items or case.items)


# What takes an update


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (CaseStatus.DISMISSED, UpdateRefusal.DISMISSED),
        (CaseStatus.NON_AFFIRMED, UpdateRefusal.NON_AFFIRMED),
        (CaseStatus.CANCELLED, UpdateRefusal.CANCELLED),
        (CaseStatus.IN_REVIEW, None),
        (CaseStatus.AFFIRMED, None),
        (CaseStatus.PARTIALLY_AFFIRMED, None),
    ],
)
def test_what_has_ended_takes_no_update(status: CaseStatus, reason: UpdateRefusal | None) -> None:
    found = ended(_case(status=status))
    assert (found.reason if found else None) == reason


def test_no_reason_is_that_of_a_dismissal() -> None:
    assert {*UpdateRefusal}.isdisjoint(map(str, DismissalReason))


def test_a_refusal_says_what_to_do() -> None:
    assert refused(UpdateRefusal.CANCELLED).detail == (
        "The request was cancelled, which is final. Send a new one."
    )


# The full picture


def test_all_that_was_told_is_told_again() -> None:
    assert missing(_case(), BEFORE, _update()) == []
    more = replace(NAMED, materials=frozenset({1, 2}))
    added = _update(*FIRST.items, line("77003", sequence=3), change=more)
    assert missing(_case(), BEFORE, added) == []


def test_what_is_missing_is_named_all_of_it() -> None:
    update = _update(line("77003", sequence=3), change=replace(NAMED, materials=frozenset({7})))
    found = missing(_case(), BEFORE, update)
    assert [(p.severity, p.code, p.text, p.expression) for p in found] == [
        ("error", "business-rule", f"An update repeats all that was told before; {what}", where)
        for what, where in (
            ("line 1 is missing.", "Bundle.entry[0].resource.item"),
            ("line 2 is missing.", "Bundle.entry[0].resource.item"),
            (
                "supporting information 1 is missing.",
                "Bundle.entry[0].resource.supportingInfo",
            ),
        )
    ]


def test_a_line_from_before_the_last_update_is_missed_too() -> None:
    third = CaseItem(
        3, FIRST.items[0].service.codes[0], ItemRole.PRIMARY, ItemStatus.CANCELLED, None
    )
    (problem,) = missing(_case(*_case().items, third), BEFORE, _update())
    assert problem.text.endswith("line 3 is missing.")


def test_who_cancels_everything_need_not_repeat_it() -> None:
    whole = replace(NAMED, whole=True, materials=frozenset())
    assert missing(_case(), BEFORE, replace(FIRST, items=(), change=whole)) == []


def test_a_new_request_leaves_nothing_out() -> None:
    assert missing(_case(), BEFORE, replace(FIRST, items=(), change=None)) == []


# Lines that go


def test_a_line_goes_where_the_update_cancels_it() -> None:
    first, second = FIRST.items
    assert cancelled_lines(_case(), _update(first, replace(second, cancelled=True))) == {2}


def test_a_line_that_went_before_stays_away() -> None:
    first, second = _case().items
    case = _case(first, replace(second, status=ItemStatus.CANCELLED))
    assert cancelled_lines(case, _update()) == {2}
    assert cancelled_lines(case, replace(FIRST, change=None)) == {2}


def test_all_go_together_also_those_that_come_with_it() -> None:
    whole = replace(NAMED, whole=True)
    update = _update(line("77003", sequence=3), change=whole)
    assert cancelled_lines(_case(), update) == {1, 2, 3}


# Lines that change


def test_a_repeated_line_is_no_change() -> None:
    first, second = FIRST.items
    assert changed_lines(FIRST, _update()) == frozenset()
    added = replace(first, change=ItemChange.ADDED)
    assert changed_lines(FIRST, _update(added, replace(second, cancelled=True))) == frozenset()


def test_a_line_that_says_so_is_changed() -> None:
    first, second = FIRST.items
    assert changed_lines(FIRST, _update(replace(first, change=ItemChange.CHANGED), second)) == {1}


@pytest.mark.parametrize(
    "other",
    [
        line("64479"),
        line("64483", day=date(2026, 5, 21)),
        line("64483", service_end=date(2026, 5, 21)),
        line("64483", state="TX"),
        line("64483", site=SURGERY_CENTER),
        line("64483", modifiers=("50",)),
        line("64483", revenue_code="0450"),
        line(
            "64483",
            service=RequestedService(
                FIRST.items[0].service.codes, date(2026, 5, 20), "NJ", Decimal(2)
            ),
        ),
    ],
)
def test_so_is_one_that_differs(other: RequestedItem) -> None:
    assert changed_lines(FIRST, _update(other, FIRST.items[1])) == {1}


def test_a_new_line_is_no_changed_one() -> None:
    new = line("77003", sequence=3, change=ItemChange.CHANGED)
    assert changed_lines(FIRST, _update(*FIRST.items, new)) == frozenset()


def test_what_a_clinician_did_not_affirm_is_not_changed() -> None:
    assert line_refusal({2}, {1}) is None
    found = line_refusal({2, 3, 4}, {1, 2, 3})
    assert found is not None
    assert found.reason is UpdateRefusal.LINE_NON_AFFIRMED
    assert found.detail.startswith("Line 2, 3 was not affirmed")


# When decisions may stand


def _without(*sequences: int, **changes: Any) -> Submission:
    """An update that takes lines away and repeats the rest."""
    items = (replace(i, cancelled=i.sequence in sequences) for i in FIRST.items)
    return _update(*items, **changes)


def test_to_take_a_line_away_tells_nothing_new() -> None:
    assert only_cancels(_case(), BEFORE, _without(2), SAME)
    assert only_cancels(_case(), BEFORE, _without(), SAME)
    assert only_cancels(_case(), BEFORE, replace(_without(2), change=None), SAME)


def test_another_way_to_ask_for_what_goes_does_not_matter() -> None:
    first, _ = FIRST.items
    update = _update(first, line("77003", sequence=2, cancelled=True))
    assert only_cancels(_case(), BEFORE, update, _said("all", n1="one", n2="other"))


@pytest.mark.parametrize(
    "changes",
    [
        {"items": (line("64483", day=date(2026, 5, 21)), FIRST.items[1])},
        {"items": (replace(FIRST.items[0], change=ItemChange.CHANGED), FIRST.items[1])},
        {"items": (*FIRST.items, line("77003", sequence=3))},
        {"change": replace(NAMED, retold=True)},
    ],
    ids=["date", "marked line", "line", "marked material"],
)
def test_a_line_that_differs_and_a_mark_are_new(changes: dict[str, Any]) -> None:
    assert not only_cancels(_case(), BEFORE, replace(_update(), **changes), SAME)


@pytest.mark.parametrize(
    "content",
    [_said("other", n1="one", n2="two"), _said("all", n1="other", n2="two")],
    ids=["beside the lines", "in a line that stays"],
)
def test_whatever_else_is_told_is_new_marked_or_not(content: Content) -> None:
    assert not only_cancels(_case(), BEFORE, _without(2), content)
    assert not changes_nothing(_case(), BEFORE, _without(), content)


def test_an_add_on_does_not_stand_without_its_primary() -> None:
    assert not only_cancels(_case(), BEFORE, _without(1), SAME)
    assert only_cancels(_case(), BEFORE, _without(1, 2), SAME)


def test_who_repeats_everything_changes_nothing_whatever_the_marks_say() -> None:
    assert changes_nothing(_case(), BEFORE, _without(), SAME)
    marked = _update(*FIRST.items, change=replace(NAMED, retold=True))
    assert changes_nothing(_case(), BEFORE, marked, SAME)


def test_who_takes_a_line_away_changes_something_once() -> None:
    assert not changes_nothing(_case(), BEFORE, _without(2), SAME)
    first, second = _case().items
    gone = _case(first, replace(second, status=ItemStatus.CANCELLED))
    assert changes_nothing(gone, BEFORE, _without(2), SAME)
