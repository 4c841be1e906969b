"""People sign in at a provider that others wrote, and its clients at the sandbox's own one."""

import json
import re
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import httpx
import pytest
from joserfc.jwk import ECKey
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.bundles import request_bundle
from tests.e2e.node.packages import NodePackages
from tests.e2e.node.packages import node_packages as node_packages
from tests.e2e.program import printed
from tests.e2e.serving import sandbox, serving, token
from tests.integration.pas.door import CARE_UNMET, claim_response
from wiser_fhir.db.embedded import Urls

HERE = Path(__file__).parent
NON_AFFIRM = {
    "sequence": 1,
    "outcome": "non-affirmed",
    "rationale": "Four weeks of conservative care are not documented.",
    "resubmission_steps": "Send the notes of the physical therapy.",
    "reasons": ["0M"],
}


@dataclass(frozen=True)
class Place:
    """Our server, and the provider that people sign in at."""

    url: str
    issuer: str
    environment: Mapping[str, str]

    def command(self, *arguments: str) -> str:
        """What a command of ours prints."""
        return printed(self.environment, *arguments)


class Browser:
    """Goes where it is sent, keeps cookies, and fills in the provider's forms."""

    def __init__(self, url: str, http: httpx.Client) -> None:
        self.url = url
        self.http = http
        self.prompts: list[str] = []

    def sign_in(self, person: str, **parameters: str) -> httpx.Response:
        """Go to sign in as somebody; the page that it ends at."""
        answer = self.http.get(f"{self.url}/sign-in", params=parameters)
        while True:
            if answer.is_redirect:
                answer = self.http.get(urljoin(str(answer.url), answer.headers["location"]))
            elif "/interaction/" in answer.url.path:
                answer = self._submitted(answer, person)
            else:
                return answer

    def _submitted(self, page: httpx.Response, person: str) -> httpx.Response:
        action = re.search(r'<form[^>]* action="([^"]+)"', page.text)
        prompt = re.search(r'name="prompt" value="([^"]+)"', page.text)
        assert action is not None
        assert prompt is not None
        self.prompts.append(prompt[1])
        form = {"prompt": prompt[1], "login": person, "password": "any"}
        return self.http.post(urljoin(str(page.url), unescape(action[1])), data=form)

    @property
    def session(self) -> str:
        """The id of its session."""
        return str(self.http.cookies["wiser"])

    def status_with(self, session: str) -> int:
        """What somebody is told who has got hold of a session."""
        headers = {"cookie": f"wiser={session}"}
        return httpx.get(f"{self.url}/review/me", headers=headers).status_code

    def me(self) -> httpx.Response:
        """Who is signed in."""
        return self.http.get(f"{self.url}/sign-in/me")

    def change(self, method: str, path: str, body: Any) -> httpx.Response:
        """A change, as a page of ours sends it."""
        headers = {"origin": self.url, "x-csrf-token": self.me().json()["csrf_token"]}
        return self.http.request(method, f"{self.url}{path}", json=body, headers=headers)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def settings_of(port: int, url: str, key: ECKey) -> str:
    """The provider's: who we are there, and the key that it signs with."""
    own = ECKey.generate_key("P-384")
    public = key.as_dict(private=False, kid=key.thumbprint(), use="sig", alg="ES384")
    signing = own.as_dict(private=True, kid=own.thumbprint(), use="sig", alg="ES384")
    us = {
        "client_id": "wiser",
        "redirect_uris": [f"{url}/sign-in/callback"],
        "token_endpoint_auth_method": "private_key_jwt",
        "token_endpoint_auth_signing_alg": "ES384",
        "id_token_signed_response_alg": "ES384",
        "jwks": {"keys": [public]},
    }
    return json.dumps({"port": port, "clients": [us], "jwks": {"keys": [signing]}})


@pytest.fixture
def place(
    database: Urls, clean_database: None, tmp_path: Path, node_packages: NodePackages
) -> Iterator[Place]:
    """A sandbox whose people sign in elsewhere, where Rhoda has an account."""
    port, key = free_port(), ECKey.generate_key("P-384")
    issuer = f"http://127.0.0.1:{port}"
    pem = tmp_path / "client.pem"
    pem.write_bytes(key.as_pem(private=True))
    environment = sandbox(database, tmp_path / "data") | {
        "WISER_PEOPLE_ISSUER": issuer,
        "WISER_PEOPLE_CLIENT_ID": "wiser",
        "WISER_PEOPLE_CLIENT_KEY": str(pem),
    }
    with serving(environment) as server:
        said = {"PROVIDER_SETTINGS": settings_of(port, server.url, key)}
        with node_packages.running(HERE / "provider.mjs", said):
            found = Place(server.url, issuer, environment)
            found.command(
                *("person", "link", "Rhoda Reviewer", "--issuer", issuer, "--subject", "rhoda")
            )
            yield found


@pytest.fixture
def browser(place: Place) -> Iterator[Browser]:
    """Somebody's browser, closed at the end."""
    with httpx.Client(timeout=20) as http:
        yield Browser(place.url, http)


async def test_a_clinician_signs_in_steps_up_decides_and_signs_out(
    place: Place, browser: Browser, superuser_engine: AsyncEngine
) -> None:
    welcome = browser.sign_in("rhoda", return_to="/sign-in/welcome")
    assert (welcome.status_code, "Rhoda Reviewer" in welcome.text) == (200, True)
    assert browser.prompts == ["login", "consent"]
    assert browser.me().json()["roles"] == ["clinician"]
    case_id = pended_case(place)
    async with superuser_engine.begin() as db:
        older = "update person_session set signed_in_at = signed_in_at - interval '16 minutes'"
        await db.execute(text(older))
    decision = {"revision": 1, "items": [NON_AFFIRM]}
    path = f"/review/cases/{case_id}/determination"
    refused = browser.change("PUT", path, decision)
    assert refused.status_code == 401
    assert "insufficient_user_authentication" in refused.headers["www-authenticate"]
    before = browser.session
    browser.sign_in("rhoda", step_up="true")
    assert browser.prompts == ["login", "consent", "login"]
    assert browser.session != before
    decided = browser.change("PUT", path, decision)
    assert (decided.status_code, decided.json()["status"]) == (200, "non-affirmed")
    session = browser.session
    csrf = browser.me().json()["csrf_token"]
    out = browser.http.post(
        f"{place.url}/sign-out", data={"csrf": csrf}, headers={"origin": place.url}
    )
    assert out.status_code == 303
    for dead in (before, session):
        assert browser.status_with(dead) == 401
    browser.sign_in("rhoda")
    assert browser.prompts == ["login", "consent", "login", "login"]


async def test_who_has_an_account_there_and_is_not_on_our_list_does_not_get_in(
    browser: Browser,
) -> None:
    page = browser.sign_in("somebody-else")
    assert (page.status_code, "not on the list" in page.text) == (403, True)
    assert browser.me().status_code == 401


def pended_case(place: Place) -> str:
    """The id of a case that waits for a clinician."""
    headers = {
        "authorization": f"Bearer {token(place.environment)}",
        "content-type": "application/fhir+json",
    }
    sent = httpx.post(
        f"{place.url}/fhir/Claim/$submit",
        json=request_bundle("2.2", answers=CARE_UNMET),
        headers=headers,
        timeout=20,
    )
    assert sent.status_code == 200, sent.text
    case_id: str = claim_response(sent.json())["id"]
    return case_id


async def test_openid_client_signs_in_at_the_sandboxs_own_provider(
    database: Urls, clean_database: None, tmp_path: Path, node_packages: NodePackages
) -> None:
    with serving(sandbox(database, tmp_path)) as server:
        issuer = f"{server.url}/sandbox/issuer"
        given = {
            "issuer": issuer,
            "redirect": f"http://127.0.0.1:{free_port()}/back",
            "person": "cora-coordinator",
        }
        said = node_packages.run(HERE / "client.mjs", given)
        assert said["replayed"] == "invalid_grant"
        claims = said["claims"]
        assert (claims["iss"], claims["sub"]) == (issuer, "cora-coordinator")


async def test_our_own_server_signs_in_at_the_sandboxs_own_provider(
    database: Urls, clean_database: None, tmp_path: Path
) -> None:
    with serving(sandbox(database, tmp_path)) as server:
        assert picked(server.url, "cora-coordinator") == "Cora Coordinator"


def picked(url: str, person: str) -> str:
    """Pick somebody on the sandbox's page; who is signed in then."""
    with httpx.Client(base_url=url) as browser:
        page = browser.get(browser.get("/sign-in").headers["location"]).text
        hidden = dict(re.findall(r'name="([^"]+)" value="([^"]*)">', page))
        form = {name: unescape(value) for name, value in hidden.items()} | {"person": person}
        back = browser.post("/sandbox/issuer/authorize", data=form).headers["location"]
        assert browser.get(back).status_code == 303
        return str(browser.get("/sign-in/me").json()["name"])
