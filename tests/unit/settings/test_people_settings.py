"""Where people sign in, as the environment says it, and what production refuses of it."""

from pathlib import Path

import pytest
from joserfc.jwk import ECKey

from wiser_fhir.clock import utc_now
from wiser_fhir.deployment.checks import check_mode
from wiser_fhir.deployment.issuers import people_provider, sandbox_issuer
from wiser_fhir.settings import Settings, SettingsError

ISSUER = {"WISER_PEOPLE_ISSUER": "https://login.example", "WISER_PEOPLE_CLIENT_ID": "wiser"}
SECRET = {"WISER_PEOPLE_CLIENT_SECRET": "of ours"}
SANDBOX = {"WISER_MODE": "sandbox"}
PUBLIC = {"WISER_PUBLIC_URL": "https://review.example"}


@pytest.fixture
def key(tmp_path: Path) -> dict[str, str]:
    """A private key in a file."""
    file = tmp_path / "client.pem"
    file.write_bytes(ECKey.generate_key("P-384").as_pem(private=True))
    return {"WISER_PEOPLE_CLIENT_KEY": str(file)}


def problems(environment: dict[str, str]) -> str:
    """What is wrong with it."""
    with pytest.raises(SettingsError) as refused:
        check_mode(Settings.from_env(environment))
    return str(refused.value)


def test_an_issuer_a_name_and_one_proof_are_enough(key: dict[str, str]) -> None:
    for proof in (SECRET, key):
        check_mode(Settings.from_env({**SANDBOX, **ISSUER, **proof}))


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"WISER_PEOPLE_ISSUER": "https://login.example"}, "WISER_PEOPLE_CLIENT_ID"),
        ({"WISER_PEOPLE_CLIENT_ID": "wiser"}, "set both or neither"),
        (ISSUER, "WISER_PEOPLE_CLIENT_KEY"),
        (SECRET, "WISER_PEOPLE_CLIENT_KEY"),
        ({**ISSUER, **SECRET, "WISER_PEOPLE_ISSUER": "login"}, "is no URL of an issuer"),
        ({**ISSUER, **SECRET, "WISER_PEOPLE_ISSUER": "https://a.example?b"}, "is no URL"),
        ({**ISSUER, **SECRET, "WISER_PEOPLE_CLIENT_KEY": "/nowhere.pem"}, "no such file"),
    ],
)
def test_half_a_provider_is_none(environment: dict[str, str], said: str) -> None:
    assert said in problems({**SANDBOX, **environment})


def test_two_proofs_are_one_too_many(key: dict[str, str]) -> None:
    assert "not both" in problems({**SANDBOX, **ISSUER, **SECRET, **key})


def test_production_signs_nobody_in_over_http() -> None:
    plain = {**ISSUER, **SECRET, "WISER_PEOPLE_ISSUER": "http://login.example"}
    assert "WISER_PEOPLE_ISSUER: production needs https" in problems(plain)


def test_production_is_never_its_own_provider(tmp_path: Path) -> None:
    production = Settings.from_env({**PUBLIC, "WISER_DATA_DIR": str(tmp_path)})
    assert people_provider(production) is None
    assert sandbox_issuer(production, utc_now) is None
    assert list(tmp_path.iterdir()) == []


def test_a_sandbox_is_its_own_provider_unless_people_sign_in_elsewhere(tmp_path: Path) -> None:
    folder = {**SANDBOX, **PUBLIC, "WISER_DATA_DIR": str(tmp_path)}
    own = sandbox_issuer(Settings.from_env(folder), utc_now)
    provider = people_provider(Settings.from_env(folder))
    assert own is not None
    assert provider is not None
    assert provider.issuer == own.issuer == "https://review.example/sandbox/issuer"
    elsewhere = Settings.from_env({**folder, **ISSUER, **SECRET, "WISER_PEOPLE_ACR": "phr,mfa"})
    assert sandbox_issuer(elsewhere, utc_now) is None
    other = people_provider(elsewhere)
    assert other is not None
    assert (other.issuer, other.known_as, other.acr) == (
        "https://login.example",
        "",
        ("phr", "mfa"),
    )
    assert other.redirect_uri == "https://review.example/sign-in/callback"


def test_a_key_that_is_none_stops_the_start(tmp_path: Path) -> None:
    file = tmp_path / "client.pem"
    file.write_text("no key")
    settings = Settings.from_env({**SANDBOX, **ISSUER, "WISER_PEOPLE_CLIENT_KEY": str(file)})
    with pytest.raises(SettingsError, match="WISER_PEOPLE_CLIENT_KEY: is no private key"):
        people_provider(settings)
