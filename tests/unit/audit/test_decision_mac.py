"""The MAC of a determination: the same however its row was read, another for every change."""

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from wiser_fhir.audit.decision_mac import FIELDS, decision_key, decision_mac

KEY = decision_key(b"an audit key of thirty-two bytes")
AT = datetime(2026, 4, 7, 20, 0, 0, 7, tzinfo=UTC)
ROW: dict[str, Any] = {
    "organization_id": UUID(int=1),
    "case_id": UUID(int=2),
    "sequence": 1,
    "revision": 1,
    "outcome": "non-affirmed",
    "decided_at": AT,
    "decided_by": "clinician",
    "clinician_id": UUID(int=3),
    "signed_in_at": AT - timedelta(minutes=5),
    "rules": "2026-01-15",
    "input_sha256": b"\x01" * 32,
    "code_system": "http://www.ama-assn.org/go/cpt",
    "code": "62323",
    "quantity": Decimal(2),
    "first_day": date(2026, 4, 7),
    "last_day": date(2026, 8, 4),
    "reasons": ["0M"],
}
OTHERWISE: dict[str, Any] = {
    "organization_id": UUID(int=9),
    "case_id": UUID(int=9),
    "sequence": 2,
    "revision": 2,
    "outcome": "affirmed",
    "decided_at": AT + timedelta(microseconds=1),
    "decided_by": "software",
    "clinician_id": None,
    "signed_in_at": None,
    "rules": None,
    "input_sha256": b"\x02" * 32,
    "code_system": None,
    "code": "62321",
    "quantity": Decimal(3),
    "first_day": date(2026, 4, 8),
    "last_day": None,
    "reasons": ["0M", "0N"],
}


@pytest.mark.parametrize("name", FIELDS)
def test_every_column_is_bound(name: str) -> None:
    assert decision_mac(KEY, {**ROW, name: OTHERWISE[name]}) != decision_mac(KEY, ROW)


def test_how_a_row_is_read_changes_nothing() -> None:
    eastern = timezone(timedelta(hours=-4))
    read = {
        **ROW,
        "decided_at": AT.astimezone(eastern),
        "quantity": Decimal("2.00"),
        "input_sha256": memoryview(b"\x01" * 32),
        "reasons": ("0M",),
    }
    assert decision_mac(KEY, read) == decision_mac(KEY, ROW)


def test_values_do_not_move_from_one_column_to_the_next() -> None:
    moved = {**ROW, "code_system": ROW["code"], "code": ROW["code_system"]}
    assert decision_mac(KEY, moved) != decision_mac(KEY, ROW)


def test_the_key_is_not_the_audit_key() -> None:
    master = b"an audit key of thirty-two bytes"
    assert master != decision_key(master)
    assert decision_mac(decision_key(b"another"), ROW) != decision_mac(KEY, ROW)
