"""What is read off a certificate: its URIs, and its thumbprint as tools write it."""

from hashlib import sha256

import pytest

from tests.udap import URI, authority, issued
from wiser_fhir.auth.certificates import read_thumbprint, thumbprint_of, uris_of

DIGEST = sha256(b"der").hexdigest()


def test_the_uris_of_a_certificate_are_those_it_names() -> None:
    assert uris_of(issued(URI, "urn:example:two").certificate) == (URI, "urn:example:two")
    assert uris_of(authority().certificate) == ()


@pytest.mark.parametrize("written", [DIGEST, DIGEST.upper(), thumbprint_of(b"der")])
def test_a_thumbprint_is_read_as_tools_write_it(written: str) -> None:
    assert read_thumbprint(written) == thumbprint_of(b"der")


def test_openssl_puts_colons_between() -> None:
    written = ":".join(DIGEST[at : at + 2] for at in range(0, 64, 2))
    assert read_thumbprint(written) == thumbprint_of(b"der")


@pytest.mark.parametrize("written", ["", DIGEST[:40], thumbprint_of(b"der") + "=", "é" * 43])
def test_what_is_no_thumbprint_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match="a thumbprint is SHA-256"):
        read_thumbprint(written)
