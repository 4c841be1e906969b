"""Whatever is changed of a chain, the first link that is not as it was made is named."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from wiser_fhir.audit.chain import (
    COLUMNS,
    GENESIS,
    Fault,
    Keyring,
    Link,
    Verification,
    canonical,
)

KEYS = Keyring.of(b"new" * 12, [b"old" * 12])
START = datetime(2026, 5, 20, tzinfo=UTC)

_words = st.sampled_from(["claim.submit", "claim.inquire", "request.refused", "found"])
_rows = st.fixed_dictionaries(
    {
        "request_id": st.uuids(),
        "action": _words,
        "outcome": _words,
        "organization_id": st.none() | st.uuids(),
        "client_id": st.none() | st.uuids(),
        "person_id": st.none() | st.uuids(),
        "object_kind": st.none() | _words,
        "object_id": st.none() | _words,
        "patient": st.none() | st.binary(min_size=32, max_size=32),
        "detail": st.sampled_from(["{}", '{"a": 1}', '{"a": "1"}']),
    }
)


@st.composite
def chains(draw: st.DrawFn) -> list[Link]:
    """An honest chain: some rows share a transaction, and a key takes over somewhere."""
    rows = draw(st.lists(_rows, min_size=1, max_size=12))
    turn = draw(st.integers(0, len(rows)))
    transaction, mac, links = 700, GENESIS, []
    for n, drawn in enumerate(rows):
        transaction += draw(st.integers(0, 2))
        row = drawn | {"id": 40 + n, "xact_id": str(transaction), "at": START + timedelta(n)}
        key = KEYS.keys[n >= turn]
        sealed_at = START + timedelta(days=30 + n)
        mac = key.mac(mac, canonical(row, n + 1, sealed_at, key.id))
        links.append(Link(n + 1, 40 + n, mac, sealed_at, key.id, row))
    return links


def first_fault(links: list[Link]) -> Fault | None:
    chain = Verification(KEYS)
    for link in links:
        fault = chain.follow(link)
        if fault is not None:
            return fault
    return chain.end()


def other(value: Any) -> Any:
    """Another value that the same column could hold."""
    if isinstance(value, datetime):
        return value + timedelta(microseconds=1)
    if isinstance(value, bytes):
        return bytes([value[0] ^ 1, *value[1:]])
    if isinstance(value, UUID):
        return UUID(int=value.int ^ 1)
    if isinstance(value, int):
        return value + 1
    if isinstance(value, str) and value.isdigit():
        return str(int(value) + 1)
    return "another" if value is None else None


@given(chains())
def test_an_honest_chain_has_no_fault(links: list[Link]) -> None:
    assert first_fault(links) is None


@given(chains(), st.data())
def test_a_changed_column_is_named(links: list[Link], data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(links) - 1))
    column = data.draw(st.sampled_from(COLUMNS))
    row = dict(links[at].row or {})
    links[at] = replace(links[at], row=row | {column: other(row[column])})
    fault = first_fault(links)
    assert fault is not None
    assert (fault.sequence, fault.audit_id) == (at + 1, links[at].audit_id)
    assert fault.kind in {"changed", "reordered"}


@given(chains(), st.data())
def test_a_changed_seal_is_named(links: list[Link], data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(links) - 1))
    column = data.draw(st.sampled_from(["mac", "sealed_at", "key_id"]))
    links[at] = replace(links[at], **{column: other(getattr(links[at], column))})
    if column == "key_id":
        links[at] = replace(links[at], key_id="0" * 16)
    fault = first_fault(links)
    assert fault is not None
    assert (fault.sequence, fault.audit_id) == (at + 1, links[at].audit_id)


@given(chains(), st.data())
def test_a_missing_row_is_named(links: list[Link], data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(links) - 1))
    links[at] = replace(links[at], row=None)
    fault = first_fault(links)
    assert fault is not None
    assert (fault.kind, fault.sequence) == ("deleted", at + 1)


@given(chains(), st.data())
def test_missing_links_are_named_and_a_shorter_chain_is_a_chain(
    links: list[Link], data: st.DataObject
) -> None:
    first = data.draw(st.integers(0, len(links) - 1))
    behind = data.draw(st.integers(first + 1, len(links)))
    fault = first_fault(links[:first] + links[behind:])
    if behind == len(links):  # what only a checkpoint tells
        assert fault is None
    else:
        assert fault is not None
        assert (fault.kind, fault.sequence) == ("deleted", first + 1)


@given(chains(), st.data())
def test_links_that_changed_places_are_named(links: list[Link], data: st.DataObject) -> None:
    if len(links) == 1:
        return
    one = data.draw(st.integers(0, len(links) - 2))
    two = data.draw(st.integers(one + 1, len(links) - 1))
    links[one], links[two] = (
        replace(links[one], audit_id=links[two].audit_id, row=links[two].row),
        replace(links[two], audit_id=links[one].audit_id, row=links[one].row),
    )
    fault = first_fault(links)
    assert fault is not None
    assert (fault.kind, fault.sequence) == ("reordered", one + 1)


@given(chains(), st.data())
def test_a_link_put_in_is_named(links: list[Link], data: st.DataObject) -> None:
    """The rest moves on by one place, as far as somebody without the key can make it fit."""
    at = data.draw(st.integers(0, len(links) - 1))
    put_in = replace(links[at], audit_id=999, mac=data.draw(st.binary(min_size=32, max_size=32)))
    moved = [replace(each, sequence=each.sequence + 1) for each in links[at:]]
    fault = first_fault([*links[:at], put_in, *moved])
    assert fault is not None
    assert fault.sequence == at + 1
