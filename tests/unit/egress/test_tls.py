"""What a call to another server is made with, from files."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
)

from tests.pki import issued, stored
from wiser_fhir.egress.tls import EgressTlsRefused, outgoing
from wiser_fhir.sandbox.authority import read_key


def test_a_key_behind_a_password_is_none_and_nobody_is_asked_for_it(tmp_path: Path) -> None:
    chain, key = stored(issued(), tmp_path, "ours")
    locked = tmp_path / "locked.key"
    secret = BestAvailableEncryption(b"secret")
    locked.write_bytes(
        read_key(key.read_bytes()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, secret)
    )
    with pytest.raises(EgressTlsRefused, match=r"locked\.key"):
        outgoing(certificate=(chain, locked))
    outgoing(certificate=(chain, key))
