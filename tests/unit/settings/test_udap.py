"""The settings of UDAP, and what a deployment makes of them."""

from pathlib import Path
from typing import Any

import pytest

from tests.udap import BASES, COMMUNITY, ORIGIN, authority, issued
from wiser_fhir.clock import utc_now
from wiser_fhir.deployment.checks import check_mode
from wiser_fhir.deployment.issuers import udap
from wiser_fhir.sandbox.udap import COMMUNITY as SANDBOX
from wiser_fhir.settings import Settings, SettingsError


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A sandbox with a community of others beside its own."""
    (tmp_path / "root.pem").write_bytes(authority().certificate_pem)
    (tmp_path / "own.pem").write_bytes(issued(*BASES).chain_pem)
    (tmp_path / "own.key").write_bytes(issued(*BASES).key_pem)
    (tmp_path / "crls").mkdir()
    return {
        "WISER_MODE": "sandbox",
        "WISER_DATA_DIR": str(tmp_path),
        "WISER_PUBLIC_URL": ORIGIN,
        "WISER_UDAP_ANCHORS": f"{COMMUNITY}={tmp_path}/root.pem",
        "WISER_UDAP_CERTIFICATE": f"{tmp_path}/own.pem",
        "WISER_UDAP_KEY": f"{tmp_path}/own.key",
        "WISER_UDAP_CRLS": f"{tmp_path}/crls",
        "WISER_UDAP_CRL_URLS": "http://crl.example.org/a.crl, https://crl.example.org/b.crl",
    }


def settings(environment: dict[str, str], **changes: str) -> Settings:
    changed = {**environment, **{f"WISER_{name}": value for name, value in changes.items()}}
    return Settings.from_env({name: value for name, value in changed.items() if value})


def test_lists_are_parted_by_commas(environment: dict[str, str]) -> None:
    read = settings(environment)
    check_mode(read)
    assert read.udap_crl_urls == ("http://crl.example.org/a.crl", "https://crl.example.org/b.crl")


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"UDAP_CRLS": ""}, "WISER_UDAP_ANCHORS: needs WISER_UDAP_CRLS"),
        ({"UDAP_ANCHORS": ""}, "WISER_UDAP_CERTIFICATE: needs WISER_UDAP_ANCHORS"),
        ({"UDAP_CRLS": "/nonexistent"}, "WISER_UDAP_CRLS: no such folder"),
        ({"UDAP_CRL_URLS": "http://user@crl.example.org/"}, "WISER_UDAP_CRL_URLS: needs URLs"),
        ({"UDAP_CRL_URLS": "ldap://crl.example.org/"}, "WISER_UDAP_CRL_URLS: needs URLs"),
    ],
)
def test_what_goes_together_is_asked_for(
    environment: dict[str, str], changes: dict[str, str], why: str
) -> None:
    with pytest.raises(SettingsError, match=why):
        check_mode(settings(environment, **changes))


def test_a_sandbox_has_its_own_community_behind_those_configured(
    environment: dict[str, str],
) -> None:
    found = udap(settings(environment), utc_now)
    assert found is not None
    assert list(found.communities) == list(found.trust.anchors) == [COMMUNITY, SANDBOX]
    assert found.crl is not None
    assert found.crl.exists()


def test_production_has_those_configured_or_none(environment: dict[str, str]) -> None:
    production = settings(environment, MODE="production")
    found = udap(production, utc_now)
    assert found is not None
    assert (list(found.communities), found.crl) == ([COMMUNITY], None)
    nothing: dict[str, Any] = dict.fromkeys(
        ("UDAP_ANCHORS", "UDAP_CERTIFICATE", "UDAP_KEY", "UDAP_CRLS", "UDAP_CRL_URLS"), ""
    )
    assert udap(settings(environment, MODE="production", **nothing), utc_now) is None


def test_where_another_issues_the_tokens_nobody_registers(environment: dict[str, str]) -> None:
    issuer = {"AUTH_MODE": "external", "AUTH_ISSUER": "https://issuer.example"}
    assert udap(settings(environment, **issuer), utc_now) is None


def test_files_that_cannot_be_used_stop_the_start(environment: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match=r"WISER_UDAP_ANCHORS.*nothing\.pem"):
        udap(settings(environment, UDAP_ANCHORS="/nothing.pem"), utc_now)
    with pytest.raises(SettingsError, match="needs its key"):
        udap(settings(environment, UDAP_KEY=""), utc_now)


def test_a_certificate_that_names_no_base_url_stops_the_start(
    environment: dict[str, str],
) -> None:
    with pytest.raises(SettingsError, match=r"names none of https://moved\.example"):
        udap(settings(environment, PUBLIC_URL="https://moved.example"), utc_now)
