"""Client certificates over real sockets: who gets in, who does not, and what is renewed."""

import asyncio
import hashlib
import json
import socket
import ssl
import subprocess
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http.client import HTTPSConnection
from pathlib import Path
from typing import Any

import pytest
import uvloop
from fastapi import FastAPI

from tests.listening import PATIENCE, Address, Listed, listening, telling
from tests.pki import (
    EHR_URI,
    client_tls,
    days_ago,
    issued,
    pki,
    rogue,
    server_certificate,
    stored,
)
from wiser_fhir.sandbox.authority import Authority, Issued
from wiser_fhir.web.tls import TlsFiles, TlsRefused

WHO = b"GET /who HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


@dataclass(frozen=True, slots=True)
class Place:
    """A server under test, its files and its two listeners."""

    app: FastAPI
    files: TlsFiles
    api: Address
    browsers: Address

    @property
    def crl(self) -> Path:
        assert self.files.crl is not None
        return self.files.crl

    @property
    def client_ca(self) -> Path:
        assert self.files.client_ca is not None
        return self.files.client_ca


def files_in(folder: Path) -> TlsFiles:
    """A server's files, with a list on which nobody stands."""
    (folder / "ca.pem").write_bytes(pki().certificate_pem)
    (folder / "crl.pem").write_bytes(pki().crl())
    chain, key = stored(server_certificate(), folder, "server")
    return TlsFiles(chain, key, folder / "ca.pem", folder / "crl.pem")


@contextmanager
def serving(folder: Path, run: Callable[..., Any] = uvloop.run) -> Iterator[Place]:
    app, files = telling(), files_in(folder)
    with listening(app, files, files.without_clients(), run=run) as [api, browsers]:
        yield Place(app, files, api, browsers)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with serving(tmp_path) as found:
        yield found


def asked(address: Address, tls: ssl.SSLContext, session: ssl.SSLSession | None = None) -> bytes:
    """The answer to "who am I", b"" where the connection ended without one."""
    try:
        with (
            socket.create_connection(address, timeout=PATIENCE) as plain,
            tls.wrap_socket(plain, server_hostname="127.0.0.1", session=session) as peer,
        ):
            peer.sendall(WHO)
            received = b""
            while chunk := peer.recv(65_536):
                received += chunk
            return received
    except (ssl.SSLError, ConnectionError):
        return b""


def who(address: Address, shown: Issued | None, tls: ssl.SSLContext | None = None) -> Any:
    """What the server says of a client with this certificate; None if it does not get in."""
    received = asked(address, tls or client_tls(shown))
    return json.loads(received.partition(b"\r\n\r\n")[2]) if received else None


def is_in(place: Place, shown: Issued) -> bool:
    """Whether a certificate gets in at the listener that asks for one."""
    found = who(place.api, shown)
    return found is not None and found["thumbprint"] is not None


def self_signed() -> Issued:
    return Authority.new(EHR_URI).issue((EHR_URI,))


def by_a_client() -> Issued:
    """A certificate that a client has signed as if its own were an authority's."""
    return issued().authority().issue((EHR_URI,))


STRANGERS: dict[str, Callable[[], Issued]] = {
    "of an unknown authority of the same name": lambda: rogue().issue((EHR_URI,)),
    "expired": lambda: days_ago(pki(), 40).issue((EHR_URI,), days=30),
    "not yet valid": lambda: days_ago(pki(), -2).issue((EHR_URI,)),
    "for servers only": lambda: pki().issue((EHR_URI,), client=False, server=True),
    "of an authority of its own": self_signed,
    "signed by a client": by_a_client,
}


@pytest.mark.parametrize("version", VERSIONS, ids=lambda v: v.name)
def test_a_certificate_and_its_names_reach_the_application(
    place: Place, version: ssl.TLSVersion
) -> None:
    tls = client_tls(issued())
    tls.minimum_version = tls.maximum_version = version
    assert who(place.api, issued(), tls) == {"thumbprint": thumbprint(), "uris": [EHR_URI]}


@pytest.mark.parametrize("version", VERSIONS, ids=lambda v: v.name)
def test_who_shows_none_is_served_and_has_none(place: Place, version: ssl.TLSVersion) -> None:
    tls = client_tls()
    tls.minimum_version = tls.maximum_version = version
    for address in (place.api, place.browsers):
        assert who(address, None, tls) == {"thumbprint": None, "uris": None}


@pytest.mark.parametrize("version", VERSIONS, ids=lambda v: v.name)
@pytest.mark.parametrize("kind", STRANGERS)
def test_a_certificate_that_proves_nothing_never_reaches_the_application(
    place: Place, kind: str, version: ssl.TLSVersion
) -> None:
    shown = STRANGERS[kind]()
    tls = client_tls(shown)
    tls.minimum_version = tls.maximum_version = version
    assert who(place.api, shown, tls) is None
    assert place.app.state.asked == 0
    assert is_in(place, issued())


def test_a_self_signed_certificate_never_reaches_the_application(
    place: Place, tmp_path: Path
) -> None:
    key, chain = tmp_path / "own.key", tmp_path / "own.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-keyout", key, "-out", chain, "-days", "2", "-subj", "/CN=x",
         "-addext", f"subjectAltName=URI:{EHR_URI}", "-addext", "extendedKeyUsage=clientAuth"],
        check=True,
        capture_output=True,
    )  # fmt: skip
    tls = client_tls()
    tls.load_cert_chain(chain, key)
    assert who(place.api, None, tls) is None
    assert place.app.state.asked == 0


def test_the_listener_for_browsers_asks_for_no_certificate(place: Place) -> None:
    for shown in (issued(), rogue().issue((EHR_URI,))):
        assert who(place.browsers, shown) == {"thumbprint": None, "uris": None}


@pytest.mark.parametrize("run", [uvloop.run, asyncio.run], ids=["uvloop", "asyncio"])
def test_a_new_list_of_revoked_certificates_holds_for_the_next_connection(
    tmp_path: Path, run: Callable[..., Any]
) -> None:
    gone = pki().issue((EHR_URI,))
    with serving(tmp_path, run) as place:
        assert is_in(place, gone)
        place.crl.write_bytes(pki().crl([gone.serial]))
        assert not is_in(place, gone)
        assert is_in(place, issued())


def test_a_list_out_of_date_keeps_everybody_out_but_who_shows_none(place: Place) -> None:
    place.crl.write_bytes(days_ago(pki(), 10).crl(days=7))
    assert not is_in(place, issued())
    assert who(place.api, None) == {"thumbprint": None, "uris": None}


def test_an_authority_without_a_list_keeps_its_clients_out(place: Place) -> None:
    second = Authority.new("Second")
    place.client_ca.write_bytes(pki().certificate_pem + second.certificate_pem)
    shown = second.issue((EHR_URI,))
    assert not is_in(place, shown)
    place.crl.write_bytes(pki().crl() + second.crl())
    assert is_in(place, shown)
    assert is_in(place, issued())


def test_a_list_signed_by_somebody_else_keeps_everybody_out(place: Place) -> None:
    place.crl.write_bytes(rogue().crl())
    assert not is_in(place, issued())


def test_an_authority_below_needs_a_list_and_may_be_revoked_itself(place: Place) -> None:
    below = pki().issue(ca=True)
    shown = below.authority().issue((EHR_URI,))
    assert not is_in(place, shown)
    place.crl.write_bytes(pki().crl() + below.authority().crl())
    assert is_in(place, shown)
    place.crl.write_bytes(pki().crl([below.serial]) + below.authority().crl())
    assert not is_in(place, shown)


def test_a_new_authority_is_trusted_and_an_old_one_no_longer_from_the_next_connection_on(
    place: Place,
) -> None:
    new = Authority.new("New")
    place.client_ca.write_bytes(new.certificate_pem)
    place.crl.write_bytes(new.crl())
    assert is_in(place, new.issue((EHR_URI,)))
    assert not is_in(place, issued())


def test_a_renewed_certificate_of_the_server_is_the_one_that_is_shown(
    place: Place, tmp_path: Path
) -> None:
    renewed = pki().issue(ips=("127.0.0.1",), client=False, server=True)
    stored(renewed, tmp_path, "server")
    with (
        socket.create_connection(place.api, timeout=PATIENCE) as plain,
        client_tls().wrap_socket(plain, server_hostname="127.0.0.1") as peer,
    ):
        assert peer.getpeercert(binary_form=True) == renewed.der


@pytest.mark.parametrize("content", [b"", b"half", pki().certificate_pem], ids=["", "half", "ca"])
def test_a_file_that_cannot_be_read_changes_nothing_until_it_can(
    place: Place, content: bytes
) -> None:
    gone = pki().issue((EHR_URI,))
    place.crl.write_bytes(pki().crl([gone.serial]))
    assert not is_in(place, gone)
    place.crl.write_bytes(content)
    assert is_in(place, issued())
    assert not is_in(place, gone)
    place.crl.unlink()
    assert not is_in(place, gone)
    place.crl.write_bytes(pki().crl())
    assert is_in(place, gone)


@pytest.mark.parametrize("version", VERSIONS, ids=lambda v: v.name)
def test_no_connection_is_resumed_so_a_revoked_certificate_is_not_either(
    place: Place, version: ssl.TLSVersion
) -> None:
    shown = pki().issue((EHR_URI,))
    tls = client_tls(shown)
    tls.minimum_version = tls.maximum_version = version
    session = remembered(place.api, tls)
    assert reused(place.api, tls, session) is False
    place.crl.write_bytes(pki().crl([shown.serial]))
    assert asked(place.api, tls, session) == b""


def remembered(address: Address, tls: ssl.SSLContext) -> ssl.SSLSession | None:
    """What a client keeps of a connection, to resume it. Never a ticket."""
    with (
        socket.create_connection(address, timeout=PATIENCE) as plain,
        tls.wrap_socket(plain, server_hostname="127.0.0.1") as peer,
    ):
        peer.sendall(WHO)
        while peer.recv(65_536):
            pass
        assert peer.session is None or not peer.session.has_ticket
        return peer.session


def reused(address: Address, tls: ssl.SSLContext, session: ssl.SSLSession | None) -> bool | None:
    with (
        socket.create_connection(address, timeout=PATIENCE) as plain,
        tls.wrap_socket(plain, server_hostname="127.0.0.1", session=session) as peer,
    ):
        return peer.session_reused


def test_a_certificate_on_the_list_of_the_database_is_refused_on_a_connection_that_stands(
    tmp_path: Path,
) -> None:
    revoked = Listed()
    with listening(telling(revoked=revoked), files_in(tmp_path)) as [address]:
        peer = HTTPSConnection(*address, timeout=PATIENCE, context=client_tls(issued()))
        with closing(peer):
            assert status(peer) == 200
            stands = peer.sock
            revoked.thumbprints.add(thumbprint())
            assert status(peer) == 401
            assert peer.sock is stands


def status(peer: HTTPSConnection) -> int:
    peer.request("GET", "/who")
    answer = peer.getresponse()
    answer.read()
    return answer.status


def thumbprint() -> str:
    """That of the certificate that tests show, worked out by hand. Source: RFC 8705 §3.1."""
    return urlsafe_b64encode(hashlib.sha256(issued().der).digest()).decode().rstrip("=")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("ca.pem", b""),
        ("ca.pem", b"no PEM"),
        ("ca.pem", pki().crl()),
        ("ca.pem", issued().certificate_pem),
        ("ca.pem", pki().certificate_pem + issued().key_pem),
        ("crl.pem", b""),
        ("crl.pem", b"-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n"),
        ("crl.pem", pki().certificate_pem),
        ("crl.pem", pki().crl() + rogue().certificate_pem),
        ("server.key", issued().key_pem),
        ("server.pem", b"no PEM"),
    ],
    ids=range(11),
)
def test_files_that_make_no_sense_stop_the_start_and_are_named(
    tmp_path: Path, name: str, content: bytes
) -> None:
    files = files_in(tmp_path)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(TlsRefused, match=str(tmp_path / name)):
        files.context()


def test_an_encrypted_key_stops_the_start_and_nobody_is_asked_for_a_password(
    tmp_path: Path,
) -> None:
    files = files_in(tmp_path)
    locked = tmp_path / "locked.key"
    subprocess.run(
        ["openssl", "pkey", "-in", files.key, "-aes256", "-passout", "pass:x", "-out", locked],
        check=True,
    )
    locked.replace(files.key)
    with pytest.raises(TlsRefused):
        files.context()
