import pytest

from wiser_fhir.notify.sealing import CannotOpen, Sealer

KEY = bytes(range(32))


def test_what_is_sealed_opens_with_the_same_key_for_the_same_thing() -> None:
    sealed = Sealer(KEY).seal(b"Authorization: Bearer canary", b"one")
    assert b"canary" not in sealed
    assert Sealer(KEY).open(sealed, b"one") == b"Authorization: Bearer canary"


def test_the_same_is_never_sealed_the_same_way() -> None:
    sealer = Sealer(KEY)
    assert sealer.seal(b"plain", b"one") != sealer.seal(b"plain", b"one")


@pytest.mark.parametrize(
    ("key", "about"), [(bytes(32), b"one"), (KEY, b"another")], ids=["key", "row"]
)
def test_it_opens_with_no_other_key_and_for_nothing_else(key: bytes, about: bytes) -> None:
    sealed = Sealer(KEY).seal(b"plain", b"one")
    with pytest.raises(CannotOpen):
        Sealer(key).open(sealed, about)


@pytest.mark.parametrize("at", [0, 1, 20, -1])
def test_a_changed_byte_is_noticed(at: int) -> None:
    sealed = bytearray(Sealer(KEY).seal(b"plain text", b"one"))
    sealed[at] ^= 1
    with pytest.raises(CannotOpen):
        Sealer(KEY).open(bytes(sealed), b"one")


@pytest.mark.parametrize("cut", [b"", b"\x01", b"\x01short"])
def test_what_was_never_sealed_does_not_open(cut: bytes) -> None:
    with pytest.raises(CannotOpen):
        Sealer(KEY).open(cut, b"one")


def test_a_short_key_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 32 bytes"):
        Sealer(KEY[:31])
