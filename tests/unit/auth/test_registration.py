"""The keys that an operator hands in for a system, before any database is asked."""

import json
from typing import Any

import pytest

from tests.hand_made_jwt import ec_pair, rsa_pair
from wiser_fhir.auth.keys import KeysRefused
from wiser_fhir.auth.registration import read_key_file


def test_a_key_file_is_reduced_to_its_public_keys() -> None:
    content = json.dumps({"keys": [ec_pair().jwk(x5c=["AA=="]), rsa_pair().jwk()]}).encode()
    kept = [ec_pair().jwk(use="sig"), rsa_pair().jwk(use="sig")]
    assert read_key_file(content) == {"keys": kept}


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "sound JSON"),
        (b"\xff", "sound JSON"),
        (b"[" * 60_000, "sound JSON"),
        (b"[]", "a list"),
        (b'{"keys": []}', "no key"),
        (b'{"keys": [], "keys": []}', "sound JSON"),
        (b'{"keys": NaN}', "sound JSON"),
        (b" " * 65_537, "64 KiB"),
        ({"keys": [ec_pair().jwk(**ec_pair().secret())]}, "private"),
        ({"keys": [ec_pair().jwk(), rsa_pair().jwk(**rsa_pair().secret())]}, r"keys\[1\]"),
        ({"keys": [ec_pair().jwk(), ec_pair().jwk()]}, "another key"),
    ],
)
def test_a_key_file_that_cannot_be_used_whole_is_refused(content: Any, why: str) -> None:
    content = content if isinstance(content, bytes) else json.dumps(content).encode()
    with pytest.raises(KeysRefused, match=why):
        read_key_file(content)
