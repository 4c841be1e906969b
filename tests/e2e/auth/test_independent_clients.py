"""Clients of others against a sandbox as it is served: oauth4webapi, openid-client and jose."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from joserfc.jwk import ECKey, RSAKey
from typer.testing import CliRunner

from tests.database import run_sql
from tests.e2e.auth.test_external_issuer import KEPT_OUT, LET_IN, SOMETHING
from tests.e2e.node.packages import NodePackages, node_packages
from tests.e2e.program import printed
from tests.e2e.serving import Running, sandbox, serving
from wiser_fhir.cli import cli
from wiser_fhir.db.embedded import Embedded, Urls
from wiser_fhir.priorauth.numbers import time_ordered_uuid

__all__ = ["node_packages"]

pytestmark = pytest.mark.xdist_group("independent-clients")  # one server for them all

HERE = Path(__file__).parent
LIBRARIES = ("oauth4webapi", "openid-client")
# What it is registered for in another order, and something that it is not.
ASKED = "system/ClaimResponse.rs system/Claim.c system/Task.rs"
REGISTERED = {"system/Claim.c", "system/ClaimResponse.rs"}
URI = "https://ehr.sandbox.example"
PERSON = "rhoda-reviewer"
BACK = "http://127.0.0.1:9/back"


def new_key(algorithm: str) -> dict[str, Any]:
    """A private key as a JWK."""
    key = ECKey.generate_key("P-384") if algorithm == "ES384" else RSAKey.generate_key(2048)
    return dict(key.as_dict(private=True, kid=key.thumbprint(), alg=algorithm, use="sig"))


def registered(
    environment: dict[str, str], folder: Path, name: str, key: dict[str, Any], *more: str
) -> None:
    """Have the command register a client with the public half of a key."""
    secret = {"d", "p", "q", "dp", "dq", "qi"}
    public = {each: value for each, value in key.items() if each not in secret}
    file = folder / f"{name}.jwks"
    file.write_text(json.dumps({"keys": [public]}), encoding="utf-8")
    scopes = [part for each in sorted(REGISTERED) for part in ("--scope", each)]
    organization = ("--organization", "Sandbox Clearinghouse")
    printed(environment, "client", "add", name, *organization, *scopes, "--jwks", str(file), *more)


def order(server: Running, library: str, name: str, key: dict[str, Any]) -> dict[str, Any]:
    """What the system's script is told."""
    return {
        "library": library,
        "issuer": server.url,
        "client": name,
        "key": key,
        "scope": ASKED,
        "path": SOMETHING,
    }


@pytest.fixture(scope="module")
def own_database(postgres: Embedded, template: str) -> Iterator[Urls]:
    """A database that no other test empties."""
    name = f"wiser_{time_ordered_uuid().hex}"
    run_sql(postgres, f"create database {name} owner wiser_owner template {template}")
    yield postgres.urls(name)
    run_sql(postgres, f"drop database {name} with (force)")


@pytest.fixture(scope="module")
def keys() -> dict[str, dict[str, Any]]:
    """A private key of each kind that SMART names."""
    return {algorithm: new_key(algorithm) for algorithm in ("ES384", "RS384")}


@pytest.fixture(scope="module")
def server(
    own_database: Urls, keys: dict[str, dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    """A sandbox that knows a client of each kind."""
    folder = tmp_path_factory.mktemp("data")
    environment = sandbox(own_database, folder)
    for algorithm, key in keys.items():
        registered(environment, folder, f"client-{algorithm}", key)
    with serving(environment) as running:
        yield running


@pytest.mark.parametrize("algorithm", ["ES384", "RS384"])
@pytest.mark.parametrize("library", LIBRARIES)
def test_a_system_gets_uses_asks_about_and_ends_its_token(
    node_packages: NodePackages,
    server: Running,
    keys: dict[str, dict[str, Any]],
    library: str,
    algorithm: str,
) -> None:
    name = f"client-{algorithm}"
    seen = node_packages.run(HERE / "system.mjs", order(server, library, name, keys[algorithm]))
    assert seen["issuer"] == server.url
    assert (seen["token"]["token_type"].lower(), seen["token"]["expires_in"]) == ("bearer", 300)
    assert set(seen["token"]["scope"].split()) == REGISTERED
    assert (seen["about"]["active"], seen["about"]["client_id"]) == (True, name)
    assert seen["about"]["scope"] == seen["token"]["scope"]
    assert (seen["used"], seen["ended"]) == (LET_IN, KEPT_OUT)
    assert seen["over"] == {"active": False}


@pytest.mark.parametrize("library", LIBRARIES)
def test_over_mutual_tls_a_token_is_good_with_its_certificate_alone(
    node_packages: NodePackages,
    empty_database: Urls,
    keys: dict[str, dict[str, Any]],
    tmp_path: Path,
    library: str,
) -> None:
    made = CliRunner().invoke(cli, ["sandbox", "certificates", "--out", str(tmp_path)])
    assert made.exit_code == 0, made.output
    environment = sandbox(empty_database, tmp_path / "data") | {
        "WISER_TLS_CERT": str(tmp_path / "server.pem"),
        "WISER_TLS_KEY": str(tmp_path / "server.key"),
        "WISER_TLS_CLIENT_CA": str(tmp_path / "ca.pem"),
        "WISER_TLS_CRL": str(tmp_path / "crl.pem"),
    }
    key = keys["ES384"]
    registered(environment, tmp_path, "bound", key, "--certificate-uri", URI)
    pem = {
        name: (tmp_path / file).read_text(encoding="utf-8")
        for name, file in (
            ("ca", "ca.pem"),
            ("certificate", "sandbox-ehr.pem"),
            ("private", "sandbox-ehr.key"),
        )
    }
    with serving(environment) as running:
        seen = node_packages.run(HERE / "system.mjs", order(running, library, "bound", key) | pem)
    assert seen["issuer"].startswith("https://")
    assert list(seen["about"]["cnf"]) == ["x5t#S256"]
    assert (seen["used"], seen["stolen"], seen["ended"]) == (LET_IN, KEPT_OUT, KEPT_OUT)


def test_an_app_signs_people_in_at_the_sandbox_s_issuer(
    node_packages: NodePackages, server: Running
) -> None:
    issuer = f"{server.url}/sandbox/issuer"
    given = {"issuer": issuer, "client": "sandbox-app", "back": BACK, "person": PERSON}
    seen = node_packages.run(HERE / "relying_party.mjs", given)
    claims = seen["claims"]
    assert (claims["iss"], claims["sub"], claims["aud"]) == (issuer, PERSON, "sandbox-app")
    assert (seen["algorithm"], seen["named"]) == ("RS256", issuer)
    assert (seen["otherVerifier"], seen["twice"]) == ("invalid_grant", "invalid_grant")


@pytest.mark.parametrize("path", ["/fhir", "/v2.0/fhir"])
def test_signed_metadata_hold_by_the_certificate_that_comes_with_them(
    node_packages: NodePackages, server: Running, path: str
) -> None:
    base = f"{server.url}{path}"
    seen = node_packages.run(HERE / "signed_metadata.mjs", {"base": base})
    assert (seen["alg"], seen["same"]) == ("RS256", True)
    assert f"URI:{base}" in seen["names"].split(", ")
    assert 0 < seen["days"] <= 365
