"""What a scanner of TLS finds at both listeners: nothing.

sslyze runs in an environment of its own (requirements/tls-scan.txt, `make test` installs it).
"""

import json
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.listening import listening, telling
from tests.pki import pki, server_certificate, stored
from wiser_fhir.sandbox.authority import Issued
from wiser_fhir.server import Limits
from wiser_fhir.web.tls import TlsFiles

SSLYZE = Path(__file__).parents[3] / "build" / "tls-scan" / "bin" / "sslyze"
OLD = ("ssl_2_0", "ssl_3_0", "tls_1_0", "tls_1_1")
LOOKED_FOR = (
    "sslv2", "sslv3", "tlsv1", "tlsv1_1", "tlsv1_2", "tlsv1_3", "compression", "early_data",
    "openssl_ccs", "fallback", "heartbleed", "robot", "reneg", "resum", "elliptic_curves", "ems",
)  # fmt: skip
# The scanner waits for five seconds to see whether a certificate is really optional.
PATIENT = Limits(header_seconds=20)
LISTENERS = ["machines", "browsers"]
KEYS = ["ec", "rsa"]


@dataclass(frozen=True, slots=True)
class Scan:
    """What was found at one listener, by the scanner's names."""

    found: Mapping[str, Any]

    def __getitem__(self, name: str) -> Any:
        entry = self.found[name]
        assert entry["status"] == "COMPLETED", entry["error_trace"]
        return entry["result"]

    def ciphers(self, version: str) -> dict[str, dict[str, Any]]:
        accepted = self[f"{version}_cipher_suites"]["accepted_cipher_suites"]
        return {each["cipher_suite"]["openssl_name"]: each for each in accepted}


def certificate(kind: str) -> Issued:
    if kind == "ec":
        return server_certificate()
    return pki().issue(ips=("127.0.0.1",), client=False, server=True, rsa=True)


def scanned(folder: Path, ports: list[int]) -> list[Scan]:
    out = folder / "scan.json"
    options = [f"--{each}" for each in LOOKED_FOR]
    targets = [f"127.0.0.1:{port}" for port in ports]
    subprocess.run(
        [SSLYZE, *options, "--mozilla_config=disable", f"--json_out={out}", *targets],
        check=True,
        capture_output=True,
        timeout=120,
    )
    results = json.loads(out.read_text())["server_scan_results"]
    by_port = {each["server_location"]["port"]: each for each in results}
    assert {each["scan_status"] for each in results} == {"COMPLETED"}
    return [Scan(by_port[port]["scan_result"]) for port in ports]


@pytest.fixture(scope="module", params=KEYS)
def scans(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Scan]]:
    if not SSLYZE.exists():
        pytest.skip("build/tls-scan is not installed")
    folder = tmp_path_factory.mktemp("scan")
    (folder / "ca.pem").write_bytes(pki().certificate_pem)
    (folder / "crl.pem").write_bytes(pki().crl())
    chain, key = stored(certificate(request.param), folder, "server")
    files = TlsFiles(chain, key, folder / "ca.pem", folder / "crl.pem")
    with listening(telling(), files, files.without_clients(), limits=PATIENT) as addresses:
        found = scanned(folder, [port for _, port in addresses])
        yield dict(zip(LISTENERS, found, strict=True))


@pytest.fixture(params=LISTENERS)
def scan(request: pytest.FixtureRequest, scans: dict[str, Scan]) -> Scan:
    return scans[request.param]


def test_only_tls_1_2_and_1_3_are_spoken(scan: Scan) -> None:
    assert [version for version in OLD if scan.ciphers(version)] == []
    assert scan.ciphers("tls_1_2")
    assert scan.ciphers("tls_1_3")


def test_every_cipher_has_forward_secrecy_and_authenticates_what_it_encrypts(scan: Scan) -> None:
    for name, each in scan.ciphers("tls_1_2").items():
        assert name.startswith("ECDHE-")
        assert name.endswith(("GCM-SHA256", "GCM-SHA384", "CHACHA20-POLY1305"))
        assert each["ephemeral_key"]["size"] >= 253
    for name in scan.ciphers("tls_1_3"):
        assert name.endswith(("GCM_SHA256", "GCM_SHA384", "CHACHA20_POLY1305_SHA256"))


def test_no_curve_is_weak(scan: Scan) -> None:
    names = {each["name"] for each in scan["elliptic_curves"]["supported_curves"]}
    assert names <= {"X25519", "X448", "secp256r1", "secp384r1", "secp521r1"}


def test_nothing_is_resumed_and_nothing_is_sent_early(scan: Scan) -> None:
    resumption = scan["session_resumption"]
    assert resumption["session_id_resumption_result"] == "NOT_SUPPORTED"
    assert resumption["tls_ticket_resumption_result"] == "NOT_SUPPORTED"
    assert scan["tls_1_3_early_data"]["supports_early_data"] is False


def test_nothing_is_compressed_or_negotiated_again(scan: Scan) -> None:
    assert scan["tls_compression"]["supports_compression"] is False
    renegotiation = scan["session_renegotiation"]
    assert renegotiation["supports_secure_renegotiation"] is True
    assert renegotiation["is_vulnerable_to_client_renegotiation_dos"] is False
    assert renegotiation["client_renegotiations_success_count"] == 0


def test_no_known_hole_is_open(scan: Scan) -> None:
    assert scan["heartbleed"]["is_vulnerable_to_heartbleed"] is False
    assert scan["openssl_ccs_injection"]["is_vulnerable_to_ccs_injection"] is False
    assert scan["robot"]["robot_result"] == "NOT_VULNERABLE_RSA_NOT_SUPPORTED"
    assert scan["tls_fallback_scsv"]["supports_fallback_scsv"] is True
    assert scan["tls_extended_master_secret"]["supports_ems_extension"] is True
