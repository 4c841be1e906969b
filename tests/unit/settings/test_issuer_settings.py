"""Whose tokens clients bring: what goes together and what stops the start."""

from pathlib import Path

import pytest

from wiser_fhir.deployment.checks import check_mode
from wiser_fhir.settings import Settings, SettingsError

ISSUER = "https://sso.example/realms/payer"


def settings(**given: str) -> Settings:
    names = {f"WISER_{name.upper()}": value for name, value in given.items()}
    return Settings.from_env({"WISER_MODE": "sandbox", **names})


@pytest.mark.parametrize("mode", ["external", "both"])
def test_another_issuer_is_named_where_it_counts(mode: str, tmp_path: Path) -> None:
    check_mode(settings(auth_mode=mode, auth_issuer=ISSUER))
    key = tmp_path / "own.key"
    key.write_text("checked when it is read")
    check_mode(
        settings(
            auth_mode=mode,
            auth_issuer=ISSUER,
            auth_audience="urn:payer",
            auth_introspection_url=f"{ISSUER}/introspect",
            auth_client_id="the-payer",
            auth_client_key=str(key),
        )
    )


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"auth_mode": "external"}, "WISER_AUTH_ISSUER: WISER_AUTH_MODE=external needs it"),
        ({"auth_mode": "both"}, "WISER_AUTH_ISSUER: WISER_AUTH_MODE=both needs it"),
        ({"auth_issuer": ISSUER}, "WISER_AUTH_ISSUER: goes with"),
        ({"auth_audience": "x"}, "WISER_AUTH_AUDIENCE: needs"),
        ({"auth_introspection_url": ISSUER}, "set all with WISER_AUTH_ISSUER, or none"),
        (
            {"auth_mode": "both", "auth_issuer": ISSUER, "auth_client_id": "the-payer"},
            "set all with WISER_AUTH_ISSUER, or none",
        ),
        (
            {"auth_mode": "both", "auth_issuer": ISSUER, "auth_client_key": "/nowhere"},
            "WISER_AUTH_CLIENT_KEY: no such file",
        ),
    ],
)
def test_what_does_not_go_together_stops_the_start(given: dict[str, str], said: str) -> None:
    with pytest.raises(SettingsError) as refused:
        check_mode(settings(**given))
    assert said in str(refused.value)


@pytest.mark.parametrize(
    "given",
    [
        {"auth_mode": "none"},
        {"auth_issuer": "sso.example"},
        {"auth_issuer": f"{ISSUER}?x"},
        {"auth_issuer": "https://a@sso.example"},
        {"auth_introspection_url": "ftp://sso.example"},
        {"auth_client_id": ""},
    ],
)
def test_what_is_malformed_is_named(given: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match=f"WISER_{next(iter(given)).upper()}: "):
        settings(**given)


def test_production_wants_https() -> None:
    given = {
        "WISER_AUTH_MODE": "both",
        "WISER_AUTH_ISSUER": "http://sso.example",
        "WISER_AUTH_INTROSPECTION_URL": "http://sso.example/introspect",
    }
    with pytest.raises(SettingsError) as refused:
        check_mode(Settings.from_env(given))
    for name in ("WISER_AUTH_ISSUER", "WISER_AUTH_INTROSPECTION_URL"):
        assert f"{name}: production needs https" in str(refused.value)
