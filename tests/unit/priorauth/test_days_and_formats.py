"""Days, deadlines and formats."""

from datetime import UTC, date, datetime

import pytest

from tests.unit.priorauth.wiser_requests import CATALOGUE
from wiser_fhir.priorauth.models import DismissalReason, Site, SiteKind
from wiser_fhir.priorauth.rules import (
    can_be_utn,
    decide_by,
    facility_type,
    is_mbi,
    is_npi,
    last_valid_day,
    may_issue,
    partial_decision_allowed,
    site_of_service,
)

PROCESS = CATALOGUE.process


@pytest.mark.parametrize(
    ("decided_on", "last"),
    [
        (date(2026, 1, 5), date(2026, 5, 4)),
        (date(2028, 1, 5), date(2028, 5, 3)),
        (date(2026, 12, 31), date(2027, 4, 29)),
    ],
)
def test_the_day_of_the_determination_is_day_one(decided_on: date, last: date) -> None:
    assert last_valid_day(decided_on, PROCESS.timeframes.validity_days) == last


@pytest.mark.parametrize(
    ("received", "expedited", "due"),
    [
        ("2026-05-04T14:00:00+00:00", False, "2026-05-07T14:00:00+00:00"),
        ("2026-05-04T14:00:00+00:00", True, "2026-05-06T14:00:00+00:00"),
        # The clocks go forward on 8 March 2026 and back on 1 November 2026.
        ("2026-03-06T15:00:00+00:00", False, "2026-03-09T14:00:00+00:00"),
        ("2026-10-30T14:00:00+00:00", False, "2026-11-02T15:00:00+00:00"),
        # 02:30 does not exist on 8 March; 01:30 comes twice on 1 November.
        ("2026-03-05T07:30:00+00:00", False, "2026-03-08T07:30:00+00:00"),
        ("2026-10-29T05:30:00+00:00", False, "2026-11-01T05:30:00+00:00"),
        ("2026-11-01T06:30:00+00:00", False, "2026-11-04T06:30:00+00:00"),
        ("2028-02-27T12:00:00+00:00", False, "2028-03-01T12:00:00+00:00"),
        ("2026-12-31T03:00:00+00:00", True, "2027-01-02T03:00:00+00:00"),
    ],
)
def test_a_deadline_keeps_the_eastern_wall_time(received: str, expedited: bool, due: str) -> None:
    deadline = decide_by(datetime.fromisoformat(received), expedited, PROCESS.timeframes)
    assert deadline == datetime.fromisoformat(due)
    assert deadline.tzinfo is UTC


def test_a_deadline_needs_an_aware_instant() -> None:
    with pytest.raises(ValueError, match="aware"):
        decide_by(datetime(2026, 5, 4), False, PROCESS.timeframes)  # noqa: DTZ001


@pytest.mark.parametrize(
    ("received", "allowed"),
    [("2026-04-01T03:59:59+00:00", False), ("2026-04-01T04:00:00+00:00", True)],
)
def test_partial_decisions_begin_with_an_eastern_day(received: str, allowed: bool) -> None:
    assert partial_decision_allowed(datetime.fromisoformat(received), PROCESS) is allowed


@pytest.mark.parametrize("value", ["1EG4TE5MK73", "9AA9AA9AA99", "2A00A00AA00"])
def test_medicare_numbers(value: str) -> None:
    assert is_mbi(value)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "0EG4TE5MK73",
        "1EG4TE5MK7",
        "1EG4TE5MK733",
        "1EG4-TE5-MK73",
        "1eg4te5mk73",
        "1EG4TE5MK7٣",
        "11G4TE5MK73",
        "1E!4TE5MK73",
        *(f"1{letter}G4TE5MK73" for letter in "SLOIBZ"),
        *(f"1E{letter}4TE5MK73" for letter in "SLOIBZ"),
    ],
)
def test_what_is_no_medicare_number(value: str) -> None:
    assert not is_mbi(value)


@pytest.mark.parametrize("value", ["1234567893", "1245319599", "1679576722"])
def test_provider_numbers(value: str) -> None:
    assert is_npi(value)


@pytest.mark.parametrize(
    "value",
    ["", "1234567890", "1234567894", "123456789", "12345678933", "123456789X", "١٢٣٤٥٦٧٨٩٣"],
)
def test_what_is_no_provider_number(value: str) -> None:
    assert not is_npi(value)


@pytest.mark.parametrize(
    ("number", "issue", "accept"),
    [
        ("ZZB00000000001", True, True),
        ("A1A12345678901", True, True),
        ("11H12345678901", True, True),
        ("ZZC12345678901", False, True),
        ("zzb12345678901", False, False),
        ("ZZ112345678901", False, False),
        ("ZZB1234567890", False, False),
        ("ZZB123456789012", False, False),
        ("ZZB12345678901\n", False, False),
    ],
)
def test_tracking_numbers(number: str, issue: bool, accept: bool) -> None:
    assert may_issue(number, PROCESS.utn) is issue
    assert can_be_utn(number, PROCESS.utn) is accept
    assert not issue or len(number) == PROCESS.utn.length


@pytest.mark.parametrize(
    ("bill_type", "facility"),
    [
        ("13", "13"),
        ("13X", "13"),
        ("131", "13"),
        ("0131", "13"),
        ("013X", "13"),
        ("111", "11"),
        ("851", "85"),
        ("1", None),
        ("", None),
        ("13XX", None),
        ("00131", None),
        ("X31", None),
    ],
)
def test_types_of_bill(bill_type: str, facility: str | None) -> None:
    assert facility_type(bill_type) == facility


@pytest.mark.parametrize(
    ("kind", "code", "site"),
    [
        (SiteKind.PLACE_OF_SERVICE, "11", "office"),
        (SiteKind.PLACE_OF_SERVICE, "12", "home"),
        (SiteKind.PLACE_OF_SERVICE, "19", "hospital-outpatient"),
        (SiteKind.PLACE_OF_SERVICE, "22", "hospital-outpatient"),
        (SiteKind.PLACE_OF_SERVICE, "24", "ambulatory-surgical-center"),
        (SiteKind.PLACE_OF_SERVICE, "21", None),
        (SiteKind.BILL_TYPE, "13X", "hospital-outpatient"),
        (SiteKind.BILL_TYPE, "111", None),
        (SiteKind.BILL_TYPE, "none", None),
        (SiteKind.OTHER, "11", None),
    ],
)
def test_sites_of_service(kind: SiteKind, code: str, site: str | None) -> None:
    found = site_of_service(Site(kind, code), PROCESS)
    assert (found.id if found else None) == site


def test_no_site_is_none() -> None:
    assert site_of_service(None, PROCESS) is None


def test_the_process_file_knows_every_reason_for_dismissal() -> None:
    assert {entry.code for entry in PROCESS.dismissal_reasons} == {
        reason.value for reason in DismissalReason
    }
