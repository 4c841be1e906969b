"""Near a deadline and past it: elapsed time, whatever the calendar and the wall clocks do."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.unit.priorauth.wiser_requests import CATALOGUE
from wiser_fhir.priorauth.clocks import LeadTimes, Nearness, nearness
from wiser_fhir.priorauth.rules import decide_by

TIMEFRAMES = CATALOGUE.process.timeframes
LEADS = LeadTimes(standard=timedelta(hours=24), expedited=timedelta(hours=12))


def at(instant: str) -> datetime:
    return datetime.fromisoformat(instant).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ("2026-05-04T14:00:00", None),
        ("2026-05-06T13:59:59", None),
        ("2026-05-06T14:00:00", Nearness.NEAR),
        ("2026-05-07T14:00:00", Nearness.NEAR),
        ("2026-05-07T14:00:01", Nearness.PAST),
        ("2027-05-07T14:00:00", Nearness.PAST),
    ],
)
def test_a_standard_case_is_near_its_deadline_for_its_last_day(
    now: str, expected: Nearness | None
) -> None:
    due = decide_by(at("2026-05-04T14:00:00"), False, TIMEFRAMES)
    assert nearness(due, at(now), LEADS, expedited=False) is expected


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ("2026-05-06T01:59:59", None),
        ("2026-05-06T02:00:00", Nearness.NEAR),
        ("2026-05-06T14:00:00", Nearness.NEAR),
        ("2026-05-06T14:00:01", Nearness.PAST),
    ],
)
def test_an_expedited_case_has_a_lead_of_its_own(now: str, expected: Nearness | None) -> None:
    due = decide_by(at("2026-05-04T14:00:00"), True, TIMEFRAMES)
    assert nearness(due, at(now), LEADS, expedited=True) is expected


@pytest.mark.parametrize(
    ("received", "last_quiet", "near"),
    [
        # Friday to Monday: a weekend does not stop the clock.
        ("2026-05-08T14:00:00", "2026-05-10T13:59:59", "2026-05-10T14:00:00"),
        # Over the hour that is skipped in spring the deadline comes an hour sooner in UTC.
        ("2026-03-06T15:00:00", "2026-03-08T13:59:59", "2026-03-08T14:00:00"),
        # A lead that itself spans the skipped hour is still 24 hours long.
        ("2026-03-05T15:00:00", "2026-03-07T13:59:59", "2026-03-07T14:00:00"),
        # Over the hour that comes twice in autumn it comes an hour later.
        ("2026-10-30T14:00:00", "2026-11-01T14:59:59", "2026-11-01T15:00:00"),
        ("2026-12-30T20:00:00", "2027-01-01T19:59:59", "2027-01-01T20:00:00"),
        ("2028-02-27T12:00:00", "2028-02-29T11:59:59", "2028-02-29T12:00:00"),
        ("2027-02-27T12:00:00", "2027-03-01T11:59:59", "2027-03-01T12:00:00"),
    ],
)
def test_near_begins_a_whole_lead_before_the_deadline(
    received: str, last_quiet: str, near: str
) -> None:
    due = decide_by(at(received), False, TIMEFRAMES)
    assert nearness(due, at(last_quiet), LEADS, expedited=False) is None
    assert nearness(due, at(near), LEADS, expedited=False) is Nearness.NEAR


def test_no_lead_means_that_a_case_is_near_at_its_deadline_only() -> None:
    due = at("2026-05-07T14:00:00")
    none = LeadTimes(standard=timedelta(0), expedited=timedelta(0))
    assert nearness(due, due - timedelta(microseconds=1), none, expedited=False) is None
    assert nearness(due, due, none, expedited=False) is Nearness.NEAR
    assert nearness(due, due + timedelta(microseconds=1), none, expedited=False) is Nearness.PAST


def test_a_lead_longer_than_the_clock_makes_a_case_near_from_receipt() -> None:
    received = at("2026-05-04T14:00:00")
    long = LeadTimes(standard=timedelta(days=10))
    due = decide_by(received, False, TIMEFRAMES)
    assert nearness(due, received, long, expedited=False) is Nearness.NEAR
