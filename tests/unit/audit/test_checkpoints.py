"""Checkpoints as files: signed, named by their sequence, never written twice."""

from datetime import UTC, datetime
from pathlib import Path

import orjson
import pytest
from joserfc import jws
from joserfc.jwk import ECKey, RSAKey

from wiser_fhir.audit.checkpoints import (
    Checkpoint,
    CheckpointFolder,
    KeyRefused,
    SigningKeys,
    new_signing_key,
    read_checkpoint,
)

AT = datetime(2026, 5, 20, 9, tzinfo=UTC)
CHECKPOINT = Checkpoint(12, bytes(range(32)), "0123456789abcdef", AT, 5)
KEY = new_signing_key().decode()


def keys(pem: str = KEY) -> SigningKeys:
    return SigningKeys.read(pem)


def signed(checkpoint: Checkpoint = CHECKPOINT, pem: str = KEY) -> bytes:
    signing = keys(pem).signing
    assert signing is not None
    return checkpoint.signed(signing)


def public(pem: str) -> str:
    return ECKey.import_key(pem).as_pem(private=False).decode()


def test_what_is_signed_is_read_back() -> None:
    assert Checkpoint.of(signed(), keys()) == CHECKPOINT
    assert Checkpoint.of(signed(), keys(public(KEY))) == CHECKPOINT


def test_a_public_key_signs_nothing() -> None:
    assert keys(public(KEY)).signing is None


def test_keys_of_earlier_days_follow_the_one_in_use() -> None:
    new = new_signing_key().decode()
    ring = keys(new + public(KEY))
    assert Checkpoint.of(signed(), ring) == CHECKPOINT
    assert Checkpoint.of(signed(pem=new), ring) == CHECKPOINT
    assert ring.signing == ring.verifying[0]
    with pytest.raises(ValueError, match="not signed by a key of ours"):
        Checkpoint.of(signed(), keys(new))


@pytest.mark.parametrize(
    ("pem", "told"),
    [
        ("", "no key in PEM"),
        (ECKey.generate_key("P-256").as_pem(private=True).decode(), "another curve"),
        (RSAKey.generate_key(2048).as_pem(private=True).decode(), "no key of an elliptic curve"),
        ("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----", "no key of an elliptic"),
    ],
    ids=["nothing", "P-256", "RSA", "rubbish"],
)
def test_another_key_is_refused(pem: str, told: str) -> None:
    with pytest.raises(KeyRefused, match=told):
        keys(pem)


def test_what_is_signed_for_something_else_is_no_checkpoint() -> None:
    key = ECKey.import_key(KEY)
    registry = jws.JWSRegistry(algorithms=["ES384"])
    header = {"alg": "ES384", "typ": "JWT"}
    token = jws.serialize_compact(header, orjson.dumps({"sequence": 1}), key, registry=registry)
    with pytest.raises(ValueError, match="no checkpoint"):
        Checkpoint.of(token.encode(), keys())


def test_a_file_is_written_once(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path)
    assert folder.write(12, b"first")
    assert not folder.write(12, b"second")
    assert folder.file(12).read_bytes() == b"first"
    assert folder.file(12).stat().st_mode & 0o222 == 0


def test_a_checkpoint_under_another_name_is_refused(tmp_path: Path) -> None:
    """As a copy of an old one would be, put in the place of a newer."""
    folder = CheckpointFolder(tmp_path)
    folder.write(13, signed())
    with pytest.raises(ValueError, match="vouches for sequence 12"):
        read_checkpoint(folder.file(13), keys())


def test_other_files_in_the_folder_are_left_alone(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path)
    folder.write(12, signed())
    (tmp_path / "README").touch()
    (tmp_path / "lost+found").mkdir()
    assert folder.files() == [folder.file(12)]
    assert folder.last_before(12) == 0
    assert folder.last_before(13) == 12


def as_checkpoint(told: object) -> bytes:
    """Something that is signed as a checkpoint is."""
    key = ECKey.import_key(KEY)
    registry = jws.JWSRegistry(algorithms=["ES384"])
    header = {"alg": "ES384", "typ": "audit-checkpoint+jws"}
    return jws.serialize_compact(header, orjson.dumps(told), key, registry=registry).encode()


@pytest.mark.parametrize(
    "told",
    [
        {},
        {"sequence": 1, "mac": "00", "key": "k", "at": "2026-05-20T09:00:00Z"},
        {"sequence": None, "mac": "00", "key": "k", "at": "2026-05-20T09:00:00Z", "count": 1},
        {"sequence": 1, "mac": "no", "key": "k", "at": "2026-05-20T09:00:00Z", "count": 1},
        {"sequence": 1, "mac": "00", "key": "k", "at": "once", "count": 1},
        [1],
        "twelve",
        None,
    ],
)
def test_what_is_signed_and_lacks_something_is_refused_too(tmp_path: Path, told: object) -> None:
    folder = CheckpointFolder(tmp_path)
    folder.write(1, as_checkpoint(told))
    with pytest.raises(ValueError, match=r"."):
        read_checkpoint(folder.file(1), keys())


def test_one_may_be_handed_over_under_any_name_that_is_no_number(tmp_path: Path) -> None:
    file = tmp_path / "the-last.jws"
    file.write_bytes(signed())
    assert read_checkpoint(file, keys()) == CHECKPOINT
