"""TLS as an operator sets it up: certificates by a command, two listeners, faults said at once."""

import os
import re
import ssl
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from typer.testing import CliRunner

from tests.e2e.pas.subscriber import eventually
from tests.e2e.serving import sandbox, token
from tests.pki import EHR_URI, rogue, stored
from wiser_fhir.auth.certificates import thumbprint_of
from wiser_fhir.cli import cli
from wiser_fhir.db.embedded import Urls
from wiser_fhir.sandbox.authority import Issued

WITHIN = 60
PATH = "/fhir/metadata"
ABSENT = "/fhir/ClaimResponse/0190a1b2-0000-7000-8000-000000000001"


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "wiser_fhir.cli", *arguments]


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certificates")
    written(folder)
    return folder


def written(folder: Path, *arguments: str) -> str:
    done = CliRunner().invoke(cli, ["sandbox", "certificates", "--out", str(folder), *arguments])
    assert done.exit_code == 0, done.output
    return done.stdout


def environment(urls: Urls, data: Path, certificates: Path) -> dict[str, str]:
    files = {
        "TLS_CERT": "server.pem",
        "TLS_KEY": "server.key",
        "TLS_CLIENT_CA": "ca.pem",
        "TLS_CRL": "crl.pem",
    }
    named = {f"WISER_{name}": str(certificates / file) for name, file in files.items()}
    return sandbox(urls, data) | named


@pytest.fixture(scope="module")
def env(
    database: Urls, certificates: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    proxy = thumbprint(certificates, "proxy")
    ours = environment(database, tmp_path_factory.mktemp("data"), certificates)
    return ours | {"WISER_TLS_PROXY_CERTIFICATES": proxy}


@pytest.fixture(scope="module")
def addresses(env: dict[str, str]) -> Iterator[list[str]]:
    both = command("serve", "--port", "0", "--browser-port", "0")
    with subprocess.Popen(both, env=env, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            ready = process.stdout.readline().strip()
            assert re.fullmatch(r"ready( https://127\.0\.0\.1:\d+){2}", ready), ready
            yield ready.split()[1:]
        finally:
            process.terminate()


def pem(certificates: Path, name: str) -> bytes:
    return (certificates / f"{name}.pem").read_bytes()


def thumbprint(certificates: Path, name: str) -> str:
    return thumbprint_of(Issued(pem(certificates, name), b"", b"").der)


def tls(certificates: Path, shown: tuple[Path, Path] | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=certificates / "ca.pem")
    if shown is not None:
        context.load_cert_chain(*shown)
    return context


def own(certificates: Path, name: str) -> tuple[Path, Path]:
    return certificates / f"{name}.pem", certificates / f"{name}.key"


def status(url: str, context: ssl.SSLContext) -> int | None:
    try:
        return httpx.get(url + PATH, verify=context, trust_env=False, timeout=WITHIN).status_code
    except (httpx.ConnectError, httpx.ReadError, httpx.RemoteProtocolError):
        return None


def test_both_listeners_answer_and_the_first_asks_for_a_certificate(
    addresses: list[str], certificates: Path, tmp_path: Path
) -> None:
    machines, browsers = addresses
    stranger = tls(certificates, stored(rogue().issue((EHR_URI,)), tmp_path, "stranger"))
    client = tls(certificates, own(certificates, "sandbox-ehr"))
    for context in (tls(certificates), client):
        assert (status(machines, context), status(browsers, context)) == (200, 200)
    assert (status(machines, stranger), status(browsers, stranger)) == (None, 200)


def test_a_certificate_revoked_by_the_command_is_refused_without_a_restart(
    addresses: list[str], certificates: Path
) -> None:
    context = tls(certificates, own(certificates, "sandbox-clinic"))
    assert status(addresses[0], context) == 200
    written(certificates, "--revoke", "sandbox-clinic")
    assert status(addresses[0], context) is None
    written(certificates)
    assert status(addresses[0], context) is None
    assert status(addresses[0], tls(certificates, own(certificates, "sandbox-clinic"))) == 200


def test_a_certificate_that_an_operator_takes_back_is_refused_itself_and_through_a_proxy(
    addresses: list[str], certificates: Path, env: dict[str, str]
) -> None:
    headers = {
        "Authorization": f"Bearer {token(env)}",
        "X-Client-Verify": "SUCCESS",
        "X-Client-Cert": quote(pem(certificates, "sandbox-mac"), safe=""),
    }

    def seen(name: str) -> int:
        context = tls(certificates, own(certificates, name))
        with httpx.Client(verify=context, trust_env=False, headers=headers) as client:
            return client.get(addresses[0] + ABSENT).status_code

    shown = ("sandbox-mac", "sandbox-ehr", "proxy")
    assert [seen(name) for name in shown] == [404, 404, 404]
    taken = thumbprint(certificates, "sandbox-mac")
    subprocess.run(
        command("certificate", "revoke", taken, "--because", "key lost"),
        env=env,
        capture_output=True,
        timeout=WITHIN,
        check=True,
    )
    eventually(lambda: seen("sandbox-mac") == 401, WITHIN, "the list to be read")
    assert [seen(name) for name in shown] == [401, 404, 401]


def test_thumbprints_are_printed_as_the_settings_take_them(tmp_path: Path) -> None:
    lines = written(tmp_path).splitlines()
    assert all(re.fullmatch(rf"[A-Za-z0-9_-]{{43}}  {tmp_path}/[a-z-]+\.pem", one) for one in lines)
    assert any(one.endswith("/proxy.pem") for one in lines)


def refused(env: Mapping[str, str], *arguments: str) -> str:
    """The one line that a start which cannot be ends with."""
    done = subprocess.run(
        command("serve", "--port", "0", *arguments),
        env=dict(env),
        capture_output=True,
        text=True,
        timeout=WITHIN,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    [line] = done.stderr.splitlines()
    return line


def test_a_list_that_cannot_be_read_stops_the_start(
    database: Urls, certificates: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "crl.pem"
    broken.write_text("half")
    env = environment(database, tmp_path, certificates) | {"WISER_TLS_CRL": str(broken)}
    assert str(broken) in refused(env)
    env["WISER_TLS_CRL"] = str(tmp_path / "absent")
    assert "WISER_TLS_CRL: no such file" in refused(env)


def test_our_own_certificate_that_makes_no_sense_stops_the_start(
    database: Urls, certificates: Path, tmp_path: Path
) -> None:
    env = environment(database, tmp_path, certificates)
    env["WISER_TLS_CLIENT_CERT"] = str(certificates / "notifier.pem")
    env["WISER_TLS_CLIENT_KEY"] = str(certificates / "proxy.key")
    assert "notifier.pem" in refused(env)


def test_a_second_listener_makes_no_sense_where_the_first_asks_for_nothing() -> None:
    ours = {name: value for name, value in os.environ.items() if not name.startswith("WISER_")}
    line = refused(ours | {"WISER_MODE": "sandbox"}, "--browser-port", "0")
    assert line == "wiser-fhir: --browser-port: needs WISER_TLS_CLIENT_CA"


def test_nobody_can_be_revoked_who_has_no_certificate(tmp_path: Path) -> None:
    nobody = ["sandbox", "certificates", "--out", str(tmp_path), "--revoke", "nobody"]
    done = CliRunner().invoke(cli, nobody)
    assert done.exit_code == 2
    assert "sandbox-ehr" in done.stderr
    assert list(tmp_path.iterdir()) == []
