"""Tokens of an issuer that others wrote, over sockets: JWTs, introspection, beside our own."""

import json
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest

from tests.bundles import request_bundle
from tests.e2e.auth.issuing import RESOURCE, Member, RunningIssuer, issuing
from tests.e2e.node.packages import NodePackages, node_packages
from tests.e2e.program import printed
from tests.e2e.serving import sandbox, serving, token
from tests.pki import client_tls, issued, pki, server_certificate, stored
from wiser_fhir.db.embedded import Urls

__all__ = ["node_packages"]

CLIENT = "a-system"
SOMETHING = "/fhir/ClaimResponse/00000000-0000-4000-8000-000000000000"
A_TASK = "/fhir/Task/00000000-0000-4000-8000-000000000000"
LET_IN, KEPT_OUT, TOO_LITTLE = 404, 401, 403
SUBMIT = "/fhir/Claim/$submit"


def trusting(environment: Mapping[str, str], issuer: RunningIssuer, mode: str) -> dict[str, str]:
    """The environment of a server that takes the issuer's tokens for one client."""
    printed(
        environment,
        *("client", "add", CLIENT, "--organization", "Sandbox Clearinghouse"),
        *("--scope", "system/Claim.c", "--scope", "system/ClaimResponse.rs"),
        *("--external", issuer.url, CLIENT),
    )
    return {
        **environment,
        "WISER_AUTH_MODE": mode,
        "WISER_AUTH_ISSUER": issuer.url,
        "WISER_AUTH_AUDIENCE": RESOURCE,
    }


def asking(
    environment: Mapping[str, str], issuer: RunningIssuer, us: Member, folder: Path
) -> dict[str, str]:
    """The same, asking the issuer about each token."""
    key = folder / "own.key"
    key.write_bytes(us.key.as_pem(private=True))
    return {
        **environment,
        "WISER_AUTH_INTROSPECTION_URL": issuer.introspection,
        "WISER_AUTH_CLIENT_ID": us.name,
        "WISER_AUTH_CLIENT_KEY": str(key),
    }


def answer(url: str, token: str, verify: object = True, path: str = SOMETHING) -> int:
    """How a read is answered."""
    headers = {"Authorization": f"Bearer {token}"}
    with httpx.Client(verify=verify) as http:  # type: ignore[arg-type]
        return http.get(f"{url}{path}", headers=headers).status_code


def submitted(url: str, token: str) -> int:
    """How a request is answered."""
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/fhir+json"}
    body = json.dumps(request_bundle("2.2"))
    return httpx.post(f"{url}{SUBMIT}", content=body, headers=headers).status_code


def test_jwts_of_an_issuer_open_what_it_and_we_both_grant(
    node_packages: NodePackages, empty_database: Urls, tmp_path: Path
) -> None:
    system, stranger = Member.new(CLIENT), Member.new("a-stranger")
    with issuing(node_packages, "jwt", system, stranger) as issuer:
        environment = trusting(sandbox(empty_database, tmp_path), issuer, "external")
        with serving(environment) as server:
            described = httpx.get(f"{server.url}/fhir/.well-known/smart-configuration").json()
            assert described["token_endpoint"] == issuer.token_endpoint
            assert "client-confidential-asymmetric" in described["capabilities"]
            whole = issuer.token(system)
            assert answer(server.url, whole) == LET_IN
            assert submitted(server.url, whole) == 200
            # The issuer grants it, we do not; we do, the issuer did not; nobody knows who it is.
            assert answer(server.url, whole, path=A_TASK) == TOO_LITTLE
            assert submitted(server.url, issuer.token(system, "system/Task.rs")) == TOO_LITTLE
            assert answer(server.url, issuer.token(stranger)) == KEPT_OUT
            assert answer(server.url, token(environment)) == KEPT_OUT
            for path in ("/oauth/token", "/oauth/introspect", "/oauth/revoke"):
                assert httpx.post(f"{server.url}{path}", data={"a": "b"}).status_code == 404
            known = f"{server.url}/.well-known/oauth-authorization-server"
            assert httpx.get(known).status_code == 404
            printed(environment, "client", "external", CLIENT, issuer.url, CLIENT, "--revoke")
            assert answer(server.url, issuer.token(system)) == KEPT_OUT


def test_an_issuer_is_asked_about_each_token(
    node_packages: NodePackages, empty_database: Urls, tmp_path: Path
) -> None:
    system, us = Member.new(CLIENT), Member.new("the-payer")
    with issuing(node_packages, "opaque", system, us) as issuer:
        environment = trusting(sandbox(empty_database, tmp_path), issuer, "both")
        environment = asking(environment, issuer, us, tmp_path)
        keys = json.loads(printed(environment, "issuer-keys"))["keys"]
        assert [each["kid"] for each in keys] == [us.key.thumbprint()]
        assert "d" not in keys[0]
        with serving(environment) as server:
            assert answer(server.url, issuer.token(system)) == LET_IN
            assert submitted(server.url, issuer.token(system, "system/Task.rs")) == TOO_LITTLE
            taken_back = issuer.token(system)
            issuer.revoke(system, taken_back)
            assert answer(server.url, taken_back) == KEPT_OUT
            assert answer(server.url, token(environment)) == LET_IN
            assert answer(server.url, "x" * 43) == KEPT_OUT
            assert answer(server.url, "a.b.c") == KEPT_OUT
            described = httpx.get(f"{server.url}/fhir/.well-known/smart-configuration").json()
            assert described["token_endpoint"] == f"{server.url}/oauth/token"


@pytest.mark.parametrize("shape", ["jwt", "opaque"])
def test_a_token_bound_to_a_certificate_is_good_with_that_one_alone(
    node_packages: NodePackages, empty_database: Urls, tmp_path: Path, shape: str
) -> None:
    system, us = Member.new(CLIENT, bound=True), Member.new("the-payer")
    chain, key = stored(server_certificate(), tmp_path, "server")
    authority = tmp_path / "authority.pem"
    authority.write_bytes(pki().certificate_pem)
    with issuing(node_packages, shape, system, us) as issuer:
        environment = trusting(sandbox(empty_database, tmp_path), issuer, "external")
        if shape == "opaque":
            environment = asking(environment, issuer, us, tmp_path)
        tls = {
            "WISER_TLS_CERT": str(chain),
            "WISER_TLS_KEY": str(key),
            "WISER_TLS_CLIENT_CA": str(authority),
        }
        own, other = issued(), issued(number=2)
        with serving({**environment, **tls}) as server:
            bound = issuer.token(system, certificate=quote(own.certificate_pem))
            assert answer(server.url, bound, client_tls(own)) == LET_IN
            assert answer(server.url, bound, client_tls(other)) == KEPT_OUT
            assert answer(server.url, bound, client_tls()) == KEPT_OUT


def test_while_the_issuer_is_away_the_answer_is_that_it_is(
    node_packages: NodePackages, empty_database: Urls, tmp_path: Path
) -> None:
    system = Member.new(CLIENT)
    with issuing(node_packages, "jwt", system) as issuer:
        environment = trusting(sandbox(empty_database, tmp_path), issuer, "external")
        good = issuer.token(system)
    with serving(environment) as server:
        assert answer(server.url, good) == 503
        assert answer(server.url, "not.a.token") == KEPT_OUT
        known = f"{server.url}/fhir/.well-known/smart-configuration"
        assert httpx.get(known).status_code == 503
