"""The envelope: what opens, what does not, and what a ring of keys still unwraps."""

from uuid import UUID

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from wiser_fhir.db.envelope import OVERHEAD, CannotOpen, DataKey, Erased, KeyRing, about

OURS, ANOTHERS = UUID(int=1), UUID(int=2)
OLD, NEW = b"an old secret of at least 32 bytes", b"a new secret of at least 32 bytes"
ROW = UUID("01890a5d-ac96-774b-bcce-b302099a8057")
PLACE = about("message", "body", ROW)
KEY = bytes(range(32))


def a_key(organization: UUID = OURS, number: int = 1, secret: bytes = KEY) -> DataKey:
    return DataKey(organization, number, {number: AESGCM(secret)})


@given(st.binary(max_size=2_000))
def test_what_is_sealed_opens_and_is_as_much_longer_as_is_said(plain: bytes) -> None:
    sealed = a_key().seal(plain, PLACE)
    assert len(sealed) == len(plain) + OVERHEAD
    assert a_key().open(sealed, PLACE) == plain


def test_the_same_is_never_sealed_the_same_way() -> None:
    assert a_key().seal(b"plain", PLACE) != a_key().seal(b"plain", PLACE)


@pytest.mark.parametrize(
    ("key", "place"),
    [
        (a_key(organization=ANOTHERS), PLACE),
        (a_key(secret=bytes(32)), PLACE),
        (a_key(number=2), PLACE),
        (a_key(), about("message", "body", UUID(int=7))),
        (a_key(), about("claim", "body", ROW)),
        (a_key(), about("message", "sha256", ROW)),
        (a_key(), about("message", "body", ROW, 1)),
    ],
    ids=["organization", "key", "number", "row", "table", "column", "version"],
)
def test_it_opens_with_no_other_key_and_nowhere_else(key: DataKey, place: bytes) -> None:
    sealed = a_key().seal(b"plain", PLACE)
    with pytest.raises(CannotOpen):
        key.open(sealed, place)


@pytest.mark.parametrize("at", [0, 1, 4, 5, 16, 17, -1])
def test_a_changed_byte_is_noticed(at: int) -> None:
    sealed = bytearray(a_key().seal(b"plain text", PLACE))
    sealed[at] ^= 1
    with pytest.raises(CannotOpen):
        a_key().open(bytes(sealed), PLACE)


def test_a_key_of_one_number_cannot_pass_for_another_s() -> None:
    """The number is bound too, should two numbers ever have one key."""
    both = DataKey(OURS, 1, {1: AESGCM(KEY), 2: AESGCM(KEY)})
    sealed = both.seal(b"plain", PLACE)
    with pytest.raises(CannotOpen):
        both.open(sealed[:1] + (2).to_bytes(4) + sealed[5:], PLACE)


@pytest.mark.parametrize("cut", [b"", b"\x02", b"\x02" + bytes(31), b"(\xb5/\xfd" + bytes(40)])
def test_what_was_never_sealed_does_not_open(cut: bytes) -> None:
    with pytest.raises(CannotOpen):
        a_key().open(cut, PLACE)


def test_what_an_erased_key_sealed_is_gone_and_nothing_is_sealed_with_it() -> None:
    sealed = a_key().seal(b"plain", PLACE)
    erased = DataKey(OURS, 1, {1: None})
    with pytest.raises(Erased):
        erased.open(sealed, PLACE)
    with pytest.raises(Erased):
        erased.seal(b"plain", PLACE)


def test_a_ring_unwraps_what_its_older_keys_wrapped() -> None:
    before = KeyRing(OLD)
    wrapped = before.wrap(KEY, OURS, 1)
    assert KEY not in wrapped
    turned = KeyRing(NEW, [OLD])
    assert turned.unwrap(wrapped, before.current, OURS, 1) == KEY
    assert turned.current == KeyRing(NEW).current != before.current


def test_a_ring_without_the_key_names_it() -> None:
    before = KeyRing(OLD)
    with pytest.raises(CannotOpen, match=before.current):
        KeyRing(NEW).unwrap(before.wrap(KEY, OURS, 1), before.current, OURS, 1)


@pytest.mark.parametrize(
    ("organization", "number", "at"), [(ANOTHERS, 1, None), (OURS, 2, None), (OURS, 1, 20)]
)
def test_a_wrapped_key_is_its_organization_s_and_number_s(
    organization: UUID, number: int, at: int | None
) -> None:
    ring = KeyRing(OLD)
    wrapped = bytearray(ring.wrap(KEY, OURS, 1))
    if at is not None:
        wrapped[at] ^= 1
    with pytest.raises(CannotOpen):
        ring.unwrap(bytes(wrapped), ring.current, organization, number)


def test_a_short_secret_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 32 bytes"):
        KeyRing(OLD[:31])
    with pytest.raises(ValueError, match="at least 32 bytes"):
        KeyRing(NEW, [OLD[:31]])
