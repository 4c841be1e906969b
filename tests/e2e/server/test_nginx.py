"""nginx in front, as docs/tls.md sets it up: whose certificate arrives, and whose word."""

import os
import re
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from fastapi import FastAPI

from tests.listening import PATIENCE, Address, listening, telling
from tests.pki import (
    EHR_URI,
    client_tls,
    days_ago,
    issued,
    pki,
    proxy_certificate,
    rogue,
    server_certificate,
    stored,
)
from wiser_fhir.auth.certificates import thumbprint_of
from wiser_fhir.sandbox.authority import Issued
from wiser_fhir.web.tls import TlsFiles

PAGE = Path(__file__).parents[3] / "docs" / "tls.md"
NOBODY = {"thumbprint": None, "uris": None}
HTTP = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    {servers}
}}
"""
Headers = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Place:
    """nginx, and the server behind it."""

    app: FastAPI
    proxy: Address
    direct: Address
    revoked: Issued


def documented(folder: Path, port: int, behind: int) -> str:
    """The configuration of the page, for this machine."""
    [found] = re.findall(r"```nginx\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    block = str(found)
    for shown, here in (
        ("127.0.0.1:8443", f"127.0.0.1:{behind}"),
        ("listen 443 ", f"listen 127.0.0.1:{port} "),
        ("/etc/wiser/", f"{folder}/"),
    ):
        assert shown in block
        block = block.replace(shown, here)
    return block


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        port: int = found.getsockname()[1]
        return port


@contextmanager
def nginx(folder: Path, behind: Address) -> Iterator[Address]:
    """nginx in a process of its own, until the block ends."""
    program = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        pytest.skip("nginx is not installed")
    port = free_port()
    conf = folder / "nginx.conf"
    servers = documented(folder, port, behind[1])
    conf.write_text(HTTP.format(folder=folder, servers=servers))
    log = folder / "error.log"
    with subprocess.Popen([program, "-p", folder, "-c", conf, "-e", log]) as process:
        try:
            wait_for(port, process, log)
            yield "127.0.0.1", port
        finally:
            process.terminate()


def wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 4 * PATIENCE
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=PATIENCE).close()
            return
        except OSError:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)


@pytest.fixture(scope="module")
def revoked() -> Issued:
    return pki().issue((EHR_URI,))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, revoked: Issued) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("nginx")
    (folder / "ca.pem").write_bytes(pki().certificate_pem)
    (folder / "crl.pem").write_bytes(pki().crl([revoked.serial]))
    stored(proxy_certificate(), folder, "proxy")
    chain, key = stored(server_certificate(), folder, "server")
    app = telling(thumbprint_of(proxy_certificate().der))
    files = TlsFiles(chain, key, folder / "ca.pem", folder / "crl.pem")
    with listening(app, files) as [direct], nginx(folder, direct) as proxy:
        yield Place(app, proxy, direct, revoked)


def asked(address: Address, shown: Issued | None, headers: Headers = ()) -> httpx.Response:
    url = f"https://{address[0]}:{address[1]}/who"
    return httpx.get(url, headers=list(headers), verify=client_tls(shown), trust_env=False)


def forged() -> Headers:
    """What would make its sender somebody else."""
    pem = quote(pki().issue((EHR_URI,)).certificate_pem, safe="")
    return [("X-Client-Verify", "SUCCESS"), ("X-Client-Cert", pem)]


def named(certificate: Issued) -> object:
    return {"thumbprint": thumbprint_of(certificate.der), "uris": [EHR_URI]}


def test_a_client_s_certificate_arrives_through_the_proxy(place: Place) -> None:
    assert asked(place.proxy, issued()).json() == named(issued())


def test_who_shows_the_proxy_none_has_none(place: Place) -> None:
    assert asked(place.proxy, None).json() == NOBODY


def test_forged_headers_are_overwritten_by_the_proxy(place: Place) -> None:
    assert asked(place.proxy, None, forged()).json() == NOBODY
    assert asked(place.proxy, issued(), forged()).json() == named(issued())
    twice = [*forged(), *forged()]
    assert asked(place.proxy, None, twice).json() == NOBODY
    assert asked(place.proxy, issued(), twice).json() == named(issued())
    odd = [(name.replace("-", "_"), value) for name, value in forged()]
    assert asked(place.proxy, None, odd).json() == NOBODY


def test_forged_headers_sent_past_the_proxy_are_ignored(place: Place) -> None:
    assert asked(place.direct, None, forged()).json() == NOBODY
    assert asked(place.direct, issued(), forged()).json() == named(issued())


@pytest.mark.parametrize("kind", ["rogue", "expired", "for servers only", "revoked"])
def test_a_certificate_that_proves_nothing_ends_at_the_proxy(place: Place, kind: str) -> None:
    shown = {
        "rogue": lambda: rogue().issue((EHR_URI,)),
        "expired": lambda: days_ago(pki(), 40).issue((EHR_URI,), days=30),
        "for servers only": lambda: pki().issue((EHR_URI,), client=False, server=True),
        "revoked": lambda: place.revoked,
    }[kind]()
    before = place.app.state.asked
    assert asked(place.proxy, shown, forged()).status_code == 400
    assert place.app.state.asked == before


def test_the_proxy_s_connections_are_not_mixed_up_between_clients(place: Place) -> None:
    other = pki().issue((EHR_URI,))
    for _ in range(3):
        for shown in (issued(), other):
            assert asked(place.proxy, shown).json() == named(shown)
        assert asked(place.proxy, None).json() == NOBODY


def test_who_plays_the_server_gets_nothing_from_the_proxy(tmp_path: Path, revoked: Issued) -> None:
    (tmp_path / "ca.pem").write_bytes(pki().certificate_pem)
    (tmp_path / "crl.pem").write_bytes(pki().crl([revoked.serial]))
    stored(proxy_certificate(), tmp_path, "proxy")
    stored(server_certificate(), tmp_path, "server")
    false = rogue().issue(dns=("localhost",), client=False, server=True)
    app = telling()
    with (
        listening(app, TlsFiles(*stored(false, tmp_path, "false"))) as [direct],
        nginx(tmp_path, direct) as proxy,
    ):
        assert asked(proxy, issued()).status_code == 502
    assert app.state.asked == 0


def test_the_proxy_resumes_no_connection_either(place: Place) -> None:
    tls = client_tls(issued())
    tls.maximum_version = ssl.TLSVersion.TLSv1_2
    session = None
    for _ in range(2):
        with (
            socket.create_connection(place.proxy, timeout=PATIENCE) as plain,
            tls.wrap_socket(plain, server_hostname="127.0.0.1", session=session) as peer,
        ):
            assert not peer.session_reused
            session = peer.session
