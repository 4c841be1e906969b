"""What metadata says, and what really answers: the same, in both directions."""

from typing import Any

import pytest
from fastapi import FastAPI
from httpx import AsyncClient

from wiser_fhir.auth.scopes import grants
from wiser_fhir.deployment.addresses import PATHS
from wiser_fhir.dtr.reading import SEARCHED
from wiser_fhir.fhir.codes import Line
from wiser_fhir.pas.subscription_query import SEARCHED as OF_SUBSCRIPTIONS
from wiser_fhir.sandbox.issuer import PATH as ISSUER

_INTERACTIONS = {
    "create": {("POST", "")},
    "read": {("GET", "/{}")},
    "update": {("PUT", "/{}")},
    "delete": {("DELETE", "/{}")},
    "search-type": {("GET", ""), ("POST", "/_search")},
}
# Every operation is posted to; what may also be asked otherwise, at its type and at the base.
_EITHER_WAY = {("GET", ""), ("GET", "/{}"), ("POST", "/{}")}
_ALSO_AT_TYPE = {"expand": _EITHER_WAY, "status": _EITHER_WAY}
_OF_ONE = {"events": {("GET", "/{}"), ("POST", "/{}")}}
_ALSO_AT_BASE = {"expand": {("GET", "")}}
_SEARCH_PARAMETERS = {
    "_id": "token",
    "name": "string",
    "status": "token",
    "title": "string",
    "url": "uri",
    "version": "token",
}
_SEARCHED_OTHERWISE = {"Subscription": {"_id": "token", "status": "token", "url": "uri"}}


def declared(statement: dict[str, Any]) -> set[tuple[str, str]]:
    """Methods and paths of everything a CapabilityStatement lists, below its base."""
    found = {
        ("GET", "/metadata"),
        ("GET", "/.well-known/smart-configuration"),
        ("GET", "/.well-known/udap"),
    }
    [rest] = statement["rest"]
    for operation in rest["operation"]:
        name = operation["name"]
        for method, place in {("POST", "")} | _ALSO_AT_BASE.get(name, set()):
            found.add((method, f"{place}/${name}"))
    for resource in rest["resource"]:
        base = f"/{resource['type']}"
        for interaction in resource.get("interaction", []):
            for method, rest_of_path in _INTERACTIONS[interaction["code"]]:
                found.add((method, base + rest_of_path))
        for operation in resource.get("operation", []):
            name = operation["name"]
            at_type = {("POST", "")} | _ALSO_AT_TYPE.get(name, set())
            for method, place in _OF_ONE.get(name, at_type):
                found.add((method, f"{base}{place}/${name}"))
    return found


def offered(app: FastAPI, base: str) -> set[tuple[str, str]]:
    """Methods and paths of every route below a base path."""
    return {
        (method, "/".join("{}" if "{" in part else part for part in path[len(base) :].split("/")))
        for path, methods in app.state.routes.paths().items()
        if path.startswith(f"{base}/")
        for method in methods
    }


@pytest.mark.parametrize("line", PATHS)
async def test_what_is_declared_is_offered_and_what_is_offered_is_declared(
    app: FastAPI, anonymous: AsyncClient, line: Line
) -> None:
    base = PATHS[line]
    statement = (await anonymous.get(f"{base}/metadata")).json()
    assert declared(statement) == offered(app, base)


@pytest.mark.parametrize(("line", "guide"), [("2.2", "2.2.0"), ("2.0", "2.0.1")])
async def test_the_guide_s_payer_service_is_instantiated_at_its_version(
    anonymous: AsyncClient, line: Line, guide: str
) -> None:
    statement = (await anonymous.get(f"{PATHS[line]}/metadata")).json()
    dtr = "http://hl7.org/fhir/us/davinci-dtr"
    assert statement["instantiates"] == [f"{dtr}/CapabilityStatement/dtr-payer-service|{guide}"]
    named = f"{dtr}/ImplementationGuide/hl7.fhir.us.davinci-dtr|{guide}"
    assert named in statement["implementationGuide"]
    expected = {"questionnaire-package", "next-question", "expand", "log-questionnaire-errors"}
    [rest] = statement["rest"]
    assert {each["name"] for each in rest["operation"]} == expected | {"submit-attachment"}
    own = [each["definition"] for each in rest["operation"] if each["definition"].startswith(dtr)]
    assert all(each.endswith(f"|{guide}") for each in own)


@pytest.mark.parametrize("line", PATHS)
async def test_every_search_parameter_that_is_declared_is_known_and_the_other_way_round(
    http: AsyncClient, line: Line
) -> None:
    statement = (await http.get(f"{PATHS[line]}/metadata")).json()
    [rest] = statement["rest"]
    for resource in rest["resource"]:
        parameters = {each["name"]: each["type"] for each in resource.get("searchParam", [])}
        if parameters:
            assert parameters == _SEARCHED_OTHERWISE.get(resource["type"], _SEARCH_PARAMETERS)
        for name in parameters:
            url = f"{PATHS[line]}/{resource['type']}?{name}=nothing"
            answer = await http.get(url, headers={"Prefer": "handling=strict"})
            assert (answer.status_code, answer.json()["total"]) == (200, 0)
    assert {*SEARCHED} == _SEARCH_PARAMETERS.keys()
    assert {*OF_SUBSCRIPTIONS} == _SEARCHED_OTHERWISE["Subscription"].keys()


async def test_every_scope_in_the_table_can_be_granted(anonymous: AsyncClient) -> None:
    statement = (await anonymous.get("/fhir/metadata")).json()
    text = statement["rest"][0]["security"]["description"]
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    scopes = {row[1] for row in rows[2:]}
    assert grants(scopes)
    assert "system/Questionnaire.rs" in scopes
    assert "system/Library.rs" in scopes
    assert "system/ValueSet.rs" in scopes


@pytest.mark.parametrize("line", PATHS)
async def test_the_address_is_the_configured_one_whatever_the_host_header_says(
    anonymous: AsyncClient, line: Line
) -> None:
    response = await anonymous.get(f"{PATHS[line]}/metadata")
    assert response.headers["content-type"] == "application/fhir+json"
    assert response.headers["access-control-allow-origin"] == "*"
    assert response.json()["implementation"]["url"] == f"https://payer.example{PATHS[line]}"
    assert "deployment.invalid" not in response.text
    assert "wrong.host" not in response.text


async def test_metadata_is_json_or_nothing(anonymous: AsyncClient) -> None:
    refused = await anonymous.get("/fhir/metadata", headers={"Accept": "application/fhir+xml"})
    assert refused.status_code == 406


async def test_every_route_is_closed_to_strangers_but_for_those_named_here(
    app: FastAPI, anonymous: AsyncClient
) -> None:
    opened = {
        "/healthz", "/readyz", "/metrics", "/docs", "/openapi.json",
        "/fhir/metadata", "/v2.0/fhir/metadata", "/cds-services",
        "/fhir/.well-known/smart-configuration", "/v2.0/fhir/.well-known/smart-configuration",
        "/.well-known/oauth-authorization-server",
        "/oauth/token", "/oauth/introspect", "/oauth/revoke", "/oauth/register",
        "/fhir/.well-known/udap", "/v2.0/fhir/.well-known/udap", "/udap/crl",
        "/dtr/preview", "/dtr/preview/{service}",
        "/sign-in", "/sign-in/callback", "/sign-in/signed-out", "/sign-in/keys", "/sign-out",
        f"{ISSUER}/.well-known/openid-configuration", f"{ISSUER}/jwks", f"{ISSUER}/authorize",
        f"{ISSUER}/token",
    }  # fmt: skip
    for path, methods in app.state.routes.paths().items():
        for method in methods:
            url = path.replace("{service_id}", "order-sign-crd").replace("{", "").replace("}", "")
            response = await anonymous.request(method, url)
            assert (response.status_code != 401) == (path in opened), (method, path)


@pytest.mark.parametrize("path", PATHS.values())
@pytest.mark.parametrize("rest", ["Claim/$submit", "Claim/$nothing", "Patient", "Claim/1", ""])
async def test_strangers_learn_nothing_of_the_paths(
    anonymous: AsyncClient, path: str, rest: str
) -> None:
    for method in ("GET", "POST", "PUT", "DELETE", "PATCH"):
        assert (await anonymous.request(method, f"{path}/{rest}")).status_code == 401


async def test_readiness_asks_the_database(anonymous: AsyncClient) -> None:
    assert (await anonymous.get("/healthz")).json() == {"status": "ok"}
    assert (await anonymous.get("/readyz")).json() == {"status": "ready"}
