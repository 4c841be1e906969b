"""FHIR's small values as plain ones."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from wiser_fhir.fhir.values import instant


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-20T16:00:00Z", datetime(2026, 11, 20, 16, tzinfo=UTC)),
        (
            "2026-11-20T16:00:00-05:00",
            datetime(2026, 11, 20, 16, tzinfo=timezone(timedelta(hours=-5))),
        ),
        ("2026-11-20", datetime(2026, 11, 20, tzinfo=UTC)),
        ("9999-12-31T23:59:59Z", datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
    ],
)
def test_an_instant_is_read_with_its_zone(text: str, expected: datetime) -> None:
    assert instant(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        *("9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00", "2026-13-01", "2026", ""),
        *("2026-12-31T23:59:60Z", None),
    ],
)
def test_what_names_no_instant_in_utc_is_none(text: str | None) -> None:
    assert instant(text) is None
