import base64
from decimal import Decimal
from pathlib import Path

import pytest

from wiser_fhir.deployment.checks import check_mode
from wiser_fhir.deployment.configuration import configuration_page
from wiser_fhir.resources import resource_path
from wiser_fhir.settings import MODEL_STATES, Settings, SettingsError

SANDBOX = {"WISER_MODE": "sandbox"}
PRODUCTION = {
    "WISER_DATABASE_URL": "postgresql://wiser_app:hidden@db.example/wiser",
    "WISER_UTN_SOURCE": "local",
    "WISER_UTN_PREFIX": "WF",
    "WISER_PUBLIC_URL": "https://payer.example",
    "WISER_AUDIT_KEY": base64.b64encode(bytes(32)).decode(),
    "WISER_SECRETS_KEY": base64.b64encode(bytes(32)).decode(),
    "WISER_INDEX_KEY": base64.b64encode(bytes(32)).decode(),
    "WISER_TLS_PROXY": "edge",
}


def refusal(environ: dict[str, str]) -> str:
    with pytest.raises(SettingsError) as caught:
        check_mode(Settings.from_env(environ))
    return str(caught.value)


def test_unset_means_production() -> None:
    assert Settings.from_env({}).mode == "production"


def test_a_sandbox_needs_nothing_more() -> None:
    settings = Settings.from_env(SANDBOX)
    check_mode(settings)
    assert settings.sandbox
    assert settings.affirms_by_software
    assert settings.states == MODEL_STATES
    assert settings.data_dir == Path("var")


def test_production_starts_with_what_it_needs_and_affirms_nothing_by_software() -> None:
    settings = Settings.from_env(PRODUCTION)
    check_mode(settings)
    assert not settings.affirms_by_software


@pytest.mark.parametrize("missing", PRODUCTION)
def test_production_names_what_it_lacks(missing: str) -> None:
    environ = {name: value for name, value in PRODUCTION.items() if name != missing}
    assert missing in refusal(environ)


def test_production_does_not_give_the_sandbox_s_numbers() -> None:
    assert "WISER_UTN_PREFIX" in refusal(PRODUCTION | {"WISER_UTN_PREFIX": "ZZ"})


def test_everything_missing_is_named_in_one_line() -> None:
    text = refusal({})
    assert "\n" not in text
    assert all(name in text for name in PRODUCTION)


def test_production_refuses_sandbox_hosts() -> None:
    assert "WISER_SANDBOX_HOSTS" in refusal({**PRODUCTION, "WISER_SANDBOX_HOSTS": "http://a.test"})


def test_an_unknown_variable_stops_the_start_and_the_likely_one_is_named() -> None:
    assert "did you mean WISER_AUTO_AFFIRM?" in refusal({**SANDBOX, "WISER_AUTOAFFIRM": "1"})


def test_other_peoples_variables_are_none_of_ours() -> None:
    Settings.from_env({**SANDBOX, "PATH": "/bin", "DATABASE_URL": "x"})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("WISER_MODE", "sandbx"),
        ("WISER_DATABASE_URL", "sqlite:///x"),
        ("WISER_DATABASE_POOL", "many"),
        ("WISER_DATABASE_POOL", "0"),
        ("WISER_PUBLIC_URL", "https://payer.example/fhir"),
        ("WISER_PUBLIC_URL", "payer.example"),
        ("WISER_PUBLIC_URL", "https://user@payer.example"),
        ("WISER_PUBLIC_URL", "https://payer.example:port"),
        ("WISER_TLS_CERT", "/no/such/file"),
        ("WISER_REGISTRY", "/no/such/file"),
        ("WISER_UTN_SOURCE", "esmd"),
        ("WISER_AUTO_AFFIRM", "perhaps"),
        ("WISER_STATES", "NJ,CA"),
        ("WISER_STATES", ""),
        ("WISER_SANDBOX_HOSTS", "http://a.test/path"),
        ("WISER_SANDBOX_HOSTS", "http://a.test/"),
        ("WISER_SANDBOX_HOSTS", "http://a.test:"),
        ("WISER_SANDBOX_HOSTS", "http://a.test."),
        ("WISER_SANDBOX_HOSTS", "http://*.a.test"),
        ("WISER_SANDBOX_HOSTS", "http://0x7f.0.0.1:9000"),
        ("WISER_SANDBOX_HOSTS", "http://127.1:9000"),
        ("WISER_SANDBOX_HOSTS", "http://a\\b.test"),
        ("WISER_SANDBOX_HOSTS", "http://\uff41.test"),
        ("WISER_SANDBOX_HOSTS", "http://a.test,a.test"),
        ("WISER_AUDIT_KEY", "not base64!"),
        ("WISER_AUDIT_KEY", "c2hvcnQ="),
        ("WISER_SECRETS_KEY", "c2hvcnQ="),
        ("WISER_INDEX_KEY", "c2hvcnQ="),
        ("WISER_AUDIT_KEYS_BEFORE", "c2hvcnQ="),
        ("WISER_SECRETS_KEYS_BEFORE", "not base64!"),
        ("WISER_SCANNER", "tcp://clamav"),
        ("WISER_SCANNER", "tcp://clamav:99999"),
        ("WISER_LOG_LEVEL", "loud"),
    ],
)
def test_a_malformed_value_is_one_line_that_names_it(name: str, value: str) -> None:
    text = refusal({**SANDBOX, name: value})
    assert name in text
    assert "\n" not in text


def test_secrets_show_neither_in_errors_nor_in_the_settings() -> None:
    text = refusal({**SANDBOX, "WISER_DATABASE_URL": "mysql://u:hidden@h/d"})
    assert "hidden" not in text + repr(Settings.from_env(PRODUCTION))


def test_lists_are_separated_by_commas() -> None:
    environ = {**SANDBOX, "WISER_STATES": "NJ, OH", "WISER_SANDBOX_HOSTS": "http://127.0.0.1:9000"}
    settings = Settings.from_env(environ)
    assert settings.states == ("NJ", "OH")
    assert settings.sandbox_hosts == ("http://127.0.0.1:9000",)


def test_sandbox_hosts_are_kept_as_they_were_said() -> None:
    hosts = "http://127.0.0.1:9000,https://[::1]:9443,http://ehr:8080"
    settings = Settings.from_env({**SANDBOX, "WISER_SANDBOX_HOSTS": hosts})
    check_mode(settings)
    assert settings.sandbox_hosts == tuple(hosts.split(","))


def test_certificate_and_key_come_together(tmp_path: Path) -> None:
    file = tmp_path / "cert.pem"
    file.touch()
    assert "WISER_TLS_KEY" in refusal({**SANDBOX, "WISER_TLS_CERT": str(file)})
    settings = Settings.from_env(
        {**SANDBOX, "WISER_TLS_CERT": str(file), "WISER_TLS_KEY": str(file)}
    )
    assert settings.certificate == (file, file)


def test_the_page_of_settings_is_what_the_settings_say() -> None:
    """Renew it with `make docs`."""
    assert (resource_path("docs") / "configuration.md").read_text() == configuration_page()


def test_every_setting_is_described() -> None:
    assert all(field.description for field in Settings.model_fields.values())


@pytest.mark.parametrize("rate", ["0", "-0.1", "1.01", "nine in ten", "NaN"])
def test_a_rate_of_affirmations_is_a_share(rate: str) -> None:
    assert "WISER_EXEMPTION_RATE" in refusal(SANDBOX | {"WISER_EXEMPTION_RATE": rate})


def test_a_rate_is_taken_as_it_is_written() -> None:
    assert Settings.from_env(SANDBOX).exemption_rate is None
    settings = Settings.from_env(SANDBOX | {"WISER_EXEMPTION_RATE": "0.9"})
    assert settings.exemption_rate == Decimal("0.9")
