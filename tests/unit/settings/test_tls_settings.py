"""Settings of TLS: what goes together, what makes no sense, and how thumbprints are written."""

import base64
from pathlib import Path

import pytest

from wiser_fhir.deployment.checks import check_mode
from wiser_fhir.settings import Settings, SettingsError

HEX = bytes(range(32)).hex()
THUMBPRINT = base64.urlsafe_b64encode(bytes(range(32))).decode().rstrip("=")


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    """A setting for each file, all there."""
    names = ("TLS_CERT", "TLS_KEY", "TLS_CLIENT_CA", "TLS_CRL", "TLS_CLIENT_CERT", "TLS_CLIENT_KEY")
    found = {}
    for name in (*names, "EGRESS_CA"):
        (tmp_path / name).touch()
        found[name] = str(tmp_path / name)
    return found


def settings(mode: str = "sandbox", **given: str) -> Settings:
    return Settings.from_env({"WISER_MODE": mode} | {f"WISER_{k}": v for k, v in given.items()})


def refusal(mode: str = "sandbox", **given: str) -> str:
    with pytest.raises(SettingsError) as caught:
        check_mode(settings(mode, **given))
    return str(caught.value)


def test_all_of_it_together_is_taken(files: dict[str, str]) -> None:
    found = settings(**files, TLS_PROXY_CERTIFICATES=HEX, MTLS_URL="https://api.payer.example")
    check_mode(found)
    assert found.client_certificate == (
        Path(files["TLS_CLIENT_CERT"]),
        Path(files["TLS_CLIENT_KEY"]),
    )


@pytest.mark.parametrize(
    ("name", "needed"),
    [
        ("TLS_CLIENT_CA", "TLS_CERT"),
        ("TLS_CRL", "TLS_CLIENT_CA"),
        ("TLS_CLIENT_CERT", "TLS_CLIENT_KEY"),
        ("TLS_CLIENT_KEY", "TLS_CLIENT_CERT"),
    ],
)
def test_what_does_nothing_alone_is_refused(files: dict[str, str], name: str, needed: str) -> None:
    text = refusal(**{name: files[name]})
    assert f"WISER_{name}" in text
    assert f"WISER_{needed}" in text


def test_a_proxy_s_certificate_without_an_authority_to_verify_it_is_refused(
    files: dict[str, str],
) -> None:
    text = refusal(TLS_CERT=files["TLS_CERT"], TLS_KEY=files["TLS_KEY"], TLS_PROXY_CERTIFICATES=HEX)
    assert text == "WISER_TLS_PROXY_CERTIFICATES: needs WISER_TLS_CLIENT_CA"


@pytest.mark.parametrize("name", ["TLS_CLIENT_CA", "TLS_CRL", "TLS_CLIENT_CERT", "EGRESS_CA"])
def test_a_file_that_is_not_there_is_named(files: dict[str, str], name: str) -> None:
    Path(files[name]).unlink()
    assert f"WISER_{name}: no such file" in refusal(**files)


@pytest.mark.parametrize(
    "written",
    [
        HEX,
        HEX.upper(),
        ":".join(HEX[at : at + 2] for at in range(0, 64, 2)).upper(),
        THUMBPRINT,
    ],
    ids=["hex", "upper", "colons", "x5t"],
)
def test_a_thumbprint_may_be_written_as_tools_print_it(written: str) -> None:
    found = settings(TLS_PROXY_CERTIFICATES=f" {written} , {THUMBPRINT}")
    assert found.tls_proxy_certificates == (THUMBPRINT, THUMBPRINT)


@pytest.mark.parametrize("written", [HEX[:40], HEX + "00", "edge", THUMBPRINT + "=", "x" * 44])
def test_what_is_no_sha_256_thumbprint_is_refused(written: str) -> None:
    assert "WISER_TLS_PROXY_CERTIFICATES: is not a list" in refusal(TLS_PROXY_CERTIFICATES=written)


@pytest.mark.parametrize("url", ["api.payer.example", "https://a.example/", "ftp://a.example"])
def test_the_url_of_the_other_listener_is_an_origin(url: str) -> None:
    assert "WISER_MTLS_URL" in refusal(MTLS_URL=url)


def test_in_production_it_is_https() -> None:
    said = "WISER_MTLS_URL: production needs https"
    assert said in refusal("production", MTLS_URL="http://api.payer.example")
    assert said not in refusal("production", MTLS_URL="https://api.payer.example")
