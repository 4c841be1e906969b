"""What a seal is made of, worked out by hand beside the code."""

import hashlib
import hmac
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import pytest

from wiser_fhir.audit.chain import (
    COLUMNS,
    GENESIS,
    ChainKey,
    Keyring,
    Link,
    Verification,
    canonical,
)

AT = datetime(2026, 5, 20, 9, 0, 0, 5, tzinfo=UTC)
ROW = dict.fromkeys(COLUMNS) | {
    "id": 7,
    "at": AT,
    "xact_id": "812",
    "request_id": UUID(int=1),
    "action": "claim.submit",
    "outcome": "affirmed",
    "patient": bytes(32),
    "detail": '{"b": 1, "aa": [true]}',
}


def test_the_canonical_json_is_this() -> None:
    """Names in order, no blanks: whoever holds an export and the key can do it over."""
    covered = {
        "event": {
            "action": "claim.submit",
            "at": "2026-05-20T09:00:00.000005+00:00",
            "detail": '{"b": 1, "aa": [true]}',
            "id": 7,
            "outcome": "affirmed",
            "patient": "00" * 32,
            "request_id": "00000000-0000-0000-0000-000000000001",
            "xact_id": "812",
        },
        "key": "0123456789abcdef",
        "sealed_at": "2026-05-20T09:00:00.000005+00:00",
        "sequence": 3,
    }
    expected = json.dumps(covered, separators=(",", ":"), sort_keys=True).encode()
    assert canonical(ROW, 3, AT, "0123456789abcdef") == expected


def test_an_instant_is_the_same_in_every_zone() -> None:
    elsewhere = AT.astimezone(timezone(timedelta(hours=-5)))
    assert canonical(ROW, 3, elsewhere, "k") == canonical(ROW, 3, AT, "k")


def test_a_mac_binds_a_row_to_the_one_before() -> None:
    key = ChainKey.of(bytes(range(32)))
    expected = hmac.new(key.secret, GENESIS + b"content", hashlib.sha256).digest()
    assert key.mac(GENESIS, b"content") == expected
    assert key.mac(expected, b"content") != expected


def test_the_key_is_derived_and_its_id_tells_nothing_of_it() -> None:
    master = bytes(range(32))
    key = ChainKey.of(master)
    assert key.secret != master
    assert not key.secret.hex().startswith(key.id)
    assert key == ChainKey.of(master)
    assert key.id != ChainKey.of(bytes(32)).id
    assert key.secret.hex() not in repr(key)


@pytest.mark.parametrize(("master", "age"), [(b"a" * 32, 2), (b"b" * 32, 1), (b"c" * 32, 0)])
def test_keys_are_known_by_their_age(master: bytes, age: int) -> None:
    keys = Keyring.of(b"a" * 32, [b"b" * 32, b"c" * 32])
    assert keys.age(ChainKey.of(master).id) == age
    assert keys.current == ChainKey.of(b"a" * 32)
    assert keys.age("0123456789abcdef") is None


KEYS = Keyring.of(bytes(range(32)))


def three_links() -> list[Link]:
    """An honest chain."""
    mac, links = GENESIS, []
    for sequence in (1, 2, 3):
        row = ROW | {"id": sequence}
        mac = KEYS.current.mac(mac, canonical(row, sequence, AT, KEYS.current.id))
        links.append(Link(sequence, sequence, mac, AT, KEYS.current.id, row))
    return links


@pytest.mark.parametrize("after", [{"row": None}, {"key_id": "0123456789abcdef"}, {"mac": GENESIS}])
def test_a_changed_row_is_named_though_what_follows_it_tells_nothing_more(
    after: dict[str, object],
) -> None:
    one, two, three = three_links()
    changed = replace(two, row=dict(two.row or {}) | {"outcome": "another"})
    chain = Verification(KEYS)
    assert chain.follow(one) is None
    assert chain.follow(changed) is None
    fault = chain.follow(replace(three, **after))  # type: ignore[arg-type]
    assert fault is not None
    assert (fault.kind, fault.sequence, fault.audit_id) == ("changed", 2, 2)


def test_a_seal_that_the_next_one_contradicts_is_forged() -> None:
    one, two, three = three_links()
    chain = Verification(KEYS)
    assert chain.follow(one) is None
    assert chain.follow(replace(two, mac=GENESIS)) is None
    fault = chain.follow(three)
    assert fault is not None
    assert (fault.kind, fault.sequence) == ("forged-seal", 2)
