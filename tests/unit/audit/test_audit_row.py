from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import create_async_engine

from wiser_fhir.audit.recorder import AuditRow, Recorder, took

MBI = "1EG4TE5MK73"
ENGINE = create_async_engine("postgresql+asyncpg://nowhere/nothing")


def test_a_beneficiary_is_a_keyed_hash() -> None:
    one, other = Recorder(ENGINE, b"k" * 32), Recorder(ENGINE, b"l" * 32)
    hashed = one.patient(MBI)
    assert hashed is not None
    assert len(hashed) == 32
    assert hashed == one.patient(MBI) != other.patient(MBI)
    assert one.patient(None) is None
    assert b"kkk" not in repr(one).encode()


def test_text_is_reduced_to_a_word_of_bounded_length() -> None:
    row = AuditRow(UUID(int=0), "a", "b", detail={"x": "a b\n\u00e9{$}" + "y" * 500, "n": 1})
    detail = row.values()["detail"]
    assert "a-b-----y" in detail
    assert len(detail) < 230


def test_what_a_clock_that_was_set_back_makes_of_a_time_is_none() -> None:
    begun = datetime(2026, 1, 5, tzinfo=UTC)
    assert took(begun, begun + timedelta(milliseconds=12.4)) == 12
    assert took(begun, begun - timedelta(seconds=1)) == 0
