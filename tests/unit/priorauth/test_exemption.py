"""Quarters, what earns an exemption, and the day one can end."""

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from wiser_fhir.clock import business_date
from wiser_fhir.coverage.catalogue import Catalogue
from wiser_fhir.priorauth.exemption import Quarter, Tally, Terms, check_is_due, first_day_lost

PROCESS = Catalogue.load().process.exemption
TERMS = Terms.of(Decimal("0.9"), PROCESS)


@pytest.mark.parametrize(
    ("day", "first_day", "before", "after"),
    [
        (date(2026, 1, 1), date(2026, 1, 1), date(2025, 10, 1), date(2026, 4, 1)),
        (date(2026, 3, 31), date(2026, 1, 1), date(2025, 10, 1), date(2026, 4, 1)),
        (date(2026, 4, 1), date(2026, 4, 1), date(2026, 1, 1), date(2026, 7, 1)),
        (date(2026, 9, 30), date(2026, 7, 1), date(2026, 4, 1), date(2026, 10, 1)),
        (date(2026, 12, 31), date(2026, 10, 1), date(2026, 7, 1), date(2027, 1, 1)),
        (date(2028, 2, 29), date(2028, 1, 1), date(2027, 10, 1), date(2028, 4, 1)),
    ],
)
def test_a_day_lies_in_one_quarter(day: date, first_day: date, before: date, after: date) -> None:
    quarter = Quarter.of(day)
    assert quarter.first_day == first_day
    assert quarter.before.first_day == before
    assert quarter.after.first_day == after


def test_a_year_ends_in_the_east() -> None:
    still_old = business_date(datetime(2027, 1, 1, 4, 59, tzinfo=UTC))
    assert Quarter.of(still_old) == Quarter(2026, 4)
    assert Quarter.of(business_date(datetime(2027, 1, 1, 5, 0, tzinfo=UTC))) == Quarter(2027, 1)


@pytest.mark.parametrize(
    ("decided", "affirmed", "meets", "fails"),
    [
        (10, 9, True, False),
        (10, 10, True, False),
        (9, 9, False, False),
        (9, 0, False, False),
        (10, 8, False, True),
        (19, 17, False, True),
        (20, 18, True, False),
    ],
)
def test_ten_requests_and_the_rate_earn_an_exemption(
    decided: int, affirmed: int, meets: bool, fails: bool
) -> None:
    tally = Tally("1234567893", decided, affirmed)
    assert (TERMS.meets(tally), TERMS.fails(tally)) == (meets, fails)


def test_a_rate_is_met_exactly() -> None:
    third = Terms.of(Decimal("0.7"), PROCESS)
    assert third.meets(Tally("1234567893", 10, 7))
    assert Terms.of(Decimal(1), PROCESS).meets(Tally("1234567893", 12, 12))


def test_figures_add_up() -> None:
    assert Tally("1234567893", 4, 3).plus(6, 6) == Tally("1234567893", 10, 9)


@pytest.mark.parametrize(
    ("first_day", "noticed_on", "lost_on"),
    [
        # 60 days before a quarter, to the day: 2 August to 1 October.
        (date(2026, 7, 1), date(2027, 8, 2), date(2027, 10, 1)),
        (date(2026, 7, 1), date(2027, 8, 3), date(2028, 1, 1)),
        # Over the end of a year, and over a day in February that other years have not.
        (date(2026, 7, 1), date(2027, 11, 2), date(2028, 1, 1)),
        (date(2026, 7, 1), date(2028, 2, 1), date(2028, 4, 1)),
        (date(2026, 7, 1), date(2027, 1, 31), date(2027, 7, 1)),
        # 365 days at least: a year that begins on a quarter's first day may end with the next one,
        (date(2026, 7, 1), date(2026, 7, 1), date(2027, 7, 1)),
        # one that begins a day later may not,
        (date(2026, 7, 2), date(2026, 7, 2), date(2027, 10, 1)),
        # and one over 29 February is over a day before that date comes round.
        (date(2027, 7, 2), date(2027, 7, 2), date(2028, 7, 1)),
    ],
)
def test_a_loss_takes_effect_with_a_quarter_after_its_notice(
    first_day: date, noticed_on: date, lost_on: date
) -> None:
    assert first_day_lost(first_day, noticed_on, PROCESS) == lost_on


def test_an_operator_may_ask_for_a_later_day_but_no_earlier_one() -> None:
    begun, told = date(2026, 1, 1), date(2027, 5, 1)
    assert first_day_lost(begun, told, PROCESS, date(2027, 5, 2)) == date(2027, 7, 1)
    assert first_day_lost(begun, told, PROCESS, date(2027, 7, 1)) == date(2027, 7, 1)
    assert first_day_lost(begun, told, PROCESS, date(2027, 7, 2)) == date(2027, 10, 1)


@pytest.mark.parametrize(
    ("checked_on", "today", "due"),
    [
        (date(2026, 7, 1), date(2027, 6, 30), False),
        (date(2026, 7, 1), date(2027, 7, 1), True),
        (date(2027, 7, 1), date(2028, 6, 29), False),
        (date(2027, 7, 1), date(2028, 6, 30), True),
    ],
)
def test_a_check_is_due_after_365_days(checked_on: date, today: date, due: bool) -> None:
    assert check_is_due(checked_on, today, PROCESS) == due
