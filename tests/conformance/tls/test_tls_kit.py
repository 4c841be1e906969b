"""What the TLS tests of the public suites ask of an address: versions, and a trusted certificate.

They connect without a client certificate and verify ours: `standalone_auth_tls`,
`standalone_token_tls`, `ehr_auth_tls`, `ehr_token_tls`, `smart_backend_services_token_tls_version`.
What the libraries of today no longer speak is sent by hand, as a first message of its version.
"""

import secrets
import socket
import ssl
import struct
from collections.abc import Iterator

import pytest

from tests.listening import PATIENCE, Address, listening, telling
from tests.pki import client_tls, pki, server_certificate, stored
from wiser_fhir.web.tls import TlsFiles

REQUEST = b"GET /who HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
ALERT, HANDSHAKE = 21, 22
# An event loop may close before its alert is out.
REFUSED = (b"", bytes([ALERT]))
OLD = {"SSL 3.0": 0x0300, "TLS 1.0": 0x0301, "TLS 1.1": 0x0302}
# ECDHE with ECDSA and RSA, then RSA alone, each with AES in CBC: what the old versions have.
CIPHERS = (0xC00A, 0xC009, 0xC014, 0xC013, 0x0035, 0x002F)
SSL_2_HELLO = bytes.fromhex(
    "802e0100020015000000100100800200800300800400800500800600400700c0"
) + bytes(16)


@pytest.fixture(scope="module")
def addresses(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Address]]:
    folder = tmp_path_factory.mktemp("tls")
    (folder / "ca.pem").write_bytes(pki().certificate_pem)
    (folder / "crl.pem").write_bytes(pki().crl())
    chain, key = stored(server_certificate(), folder, "server")
    files = TlsFiles(chain, key, folder / "ca.pem", folder / "crl.pem")
    with listening(telling(), files, files.without_clients()) as [machines, browsers]:
        yield {"machines": machines, "browsers": browsers}


@pytest.fixture(params=["machines", "browsers"])
def address(request: pytest.FixtureRequest, addresses: dict[str, Address]) -> Address:
    return addresses[request.param]


def client_hello(version: int) -> bytes:
    """A first message that offers one old version, with the extensions its ciphers need."""
    groups = struct.pack("!HHHH", 10, 4, 2, 23)  # secp256r1
    formats = struct.pack("!HHBB", 11, 2, 1, 0)  # uncompressed
    signatures = struct.pack("!HHHH", 13, 4, 2, 0x0403)  # ECDSA with SHA-256, for TLS 1.2
    ciphers = struct.pack(f"!{len(CIPHERS)}H", *CIPHERS)
    body = struct.pack("!H", version) + secrets.token_bytes(32) + b"\0"
    body += struct.pack("!H", len(ciphers)) + ciphers + b"\1\0"
    if version > OLD["SSL 3.0"]:
        extensions = groups + formats + signatures
        body += struct.pack("!H", len(extensions)) + extensions
    message = b"\1" + len(body).to_bytes(3, "big") + body
    return struct.pack("!BHH", HANDSHAKE, min(version, 0x0301), len(message)) + message


def first_record(address: Address, sent: bytes) -> bytes:
    """The kind of the first record of the answer, b"" where the connection is just closed."""
    with socket.create_connection(address, timeout=PATIENCE) as peer:
        peer.sendall(sent)
        try:
            return peer.recv(1)
        except ConnectionError:
            return b""


@pytest.mark.parametrize("name", OLD)
def test_an_old_version_is_refused(address: Address, name: str) -> None:
    assert first_record(address, client_hello(OLD[name])) in REFUSED


def test_the_hand_made_first_message_would_be_taken_of_a_version_that_is_spoken(
    address: Address,
) -> None:
    """So that what is refused above is the version, and not the message."""
    modern = client_hello(0x0303).replace(
        struct.pack("!H", CIPHERS[0]), struct.pack("!H", 0xC02B)
    )  # ECDHE-ECDSA-AES128-GCM-SHA256
    assert first_record(address, modern) == bytes([HANDSHAKE])


def test_ssl_2_is_refused(address: Address) -> None:
    assert first_record(address, SSL_2_HELLO) in REFUSED


@pytest.mark.parametrize(
    "version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=lambda v: v.name
)
def test_a_version_of_today_is_spoken_with_who_shows_no_certificate_and_ours_is_trusted(
    address: Address, version: ssl.TLSVersion
) -> None:
    tls = client_tls()
    tls.minimum_version = tls.maximum_version = version
    with (
        socket.create_connection(address, timeout=PATIENCE) as plain,
        tls.wrap_socket(plain, server_hostname="127.0.0.1") as peer,
    ):
        assert peer.version() == version.name.replace("_", ".")
        peer.sendall(REQUEST)
        assert peer.recv(4096).startswith(b"HTTP/1.1 200")


def test_our_certificate_is_trusted_for_its_names_alone(address: Address) -> None:
    with (
        socket.create_connection(address, timeout=PATIENCE) as plain,
        pytest.raises(ssl.SSLCertVerificationError),
    ):
        client_tls().wrap_socket(plain, server_hostname="payer.example")
