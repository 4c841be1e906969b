"""The command inside the test's own process: what needs no server and no database."""

import os
import sys

import pytest
from typer.testing import CliRunner

from wiser_fhir.cli import cli, main

CDS_CLIENT = ("cds-client", "--client", "an-ehr", "--iss", "https://ehr.example")
DAYS = ("--from", "2026-07-01", "--to", "2026-07-31")
NEAR = {"WISER_SANDBOX_HOSTS": "http://x.example"}  # which production does not heed


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("WISER_"):
            monkeypatch.delenv(name)


@pytest.mark.parametrize(
    ("arguments", "settings", "named"),
    [
        (["serve"], {}, "WISER_DATABASE_URL"),
        (["serve"], {"WISER_MODE": "sandbx"}, "WISER_MODE"),
        (["serve"], {"WISER_MOED": "sandbox"}, "did you mean WISER_MODE?"),
        (["worker"], {}, "WISER_UTN_SOURCE"),
        (["migrate"], {}, "WISER_DATABASE_OWNER_URL"),
        (["token", "--client", "sandbox-ehr"], {}, "WISER_MODE"),
        (["cds-token", "--client", "sandbox-ehr", "https://x.example"], {}, "WISER_MODE"),
        ([*CDS_CLIENT, "--jwks-url", "https://x.example"], {}, "WISER_DATABASE_OWNER_URL"),
        ([*CDS_CLIENT, "--jwks-url", "http://x.example"], {}, "needs https"),
        ([*CDS_CLIENT, "--jwks-url", "http://x.example"], NEAR, "needs https"),
        ([*CDS_CLIENT], {}, "one of the two"),
        ([*CDS_CLIENT, "--jwks", "/no/such"], {}, "No such file"),
        ([*CDS_CLIENT, "--revoke"], {}, "--client alone"),
        (["cds-client", "--client", "x", "--jwks-url", "https://x.example"], {}, "issuer"),
        (["cds-client", "--client", "x", "--revoke"], {}, "WISER_DATABASE_OWNER_URL"),
        (["form-errors"], {}, "WISER_DATABASE_OWNER_URL"),
        (["exemption", "list", "--on", "2026-07-01"], {}, "WISER_DATABASE_OWNER_URL"),
        (["metrics", "pas", *DAYS], {}, "WISER_DATABASE_OWNER_URL"),
        (["metrics", "summary", *DAYS], {}, "WISER_DATABASE_OWNER_URL"),
        (["person", "list"], {}, "WISER_DATABASE_OWNER_URL"),
        (["person", "add", "X", "--role", "auditor"], {}, "WISER_DATABASE_OWNER_URL"),
        (["person", "add", "X", "--role", "clinician"], {}, "has a licence"),
        (["token", "--person", "X"], {}, "WISER_MODE"),
        (["sandbox", "reset"], {}, "WISER_MODE"),
        (["igs", "compile"], {}, "WISER_FHIR_PACKAGES"),
        (["igs", "verify"], {"WISER_FHIR_PACKAGES": "/no/such"}, "WISER_FHIR_PACKAGES"),
    ],
)
def test_what_hinders_a_start_is_one_line(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str], settings: dict[str, str], named: str
) -> None:
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "argv", ["wiser-fhir", *arguments])
    with pytest.raises(SystemExit) as caught:
        main()
    assert isinstance(caught.value.code, str)
    assert named in caught.value.code
    assert "\n" not in caught.value.code


@pytest.mark.parametrize(
    "command",
    [
        "",
        "serve",
        "worker",
        "migrate",
        "demo",
        "token",
        "cds-token",
        "cds-client",
        "person",
        "person add",
        "person list",
        "exemption",
        "exemption list",
        "exemption notices",
        "exemption revoke",
        "metrics",
        "metrics pas",
        "metrics crd",
        "metrics dtr",
        "metrics summary",
        "sandbox",
        "sandbox reset",
        "igs",
        "igs compile",
        "igs verify",
        "coverage",
        "coverage check",
    ],
)
def test_every_command_explains_itself(command: str) -> None:
    done = CliRunner().invoke(cli, [*command.split(), "--help"])
    assert done.exit_code == 0
    assert len(done.stdout.split()) > 10


@pytest.mark.parametrize("ttl", ["", "24", "h", "0h", "-1h", "1w", "1.5h", "9999999d"])
def test_a_life_is_a_number_and_a_unit(ttl: str) -> None:
    done = CliRunner().invoke(cli, ["token", "--client", "sandbox-ehr", "--ttl", ttl])
    assert done.exit_code == 2


def test_coverage_check_prints_the_catalogue() -> None:
    done = CliRunner().invoke(cli, ["coverage", "check"])
    assert done.exit_code == 0
    assert "epidural-steroid-injection" in done.stdout
