"""A browser without a screen: it keeps cookies and follows redirects one by one."""

import re
from dataclasses import dataclass, field
from html import unescape
from typing import Any
from urllib.parse import parse_qs, urlsplit

from fastapi import FastAPI
from httpx import ASGITransport, AsyncClient, Response

ORIGIN = "https://review.example"
SESSION, BEGUN = "__Host-wiser", "__Host-wiser-begun"

Json = dict[str, Any]


def a_browser(app: FastAPI, origin: str = ORIGIN) -> AsyncClient:
    """HTTP to the application, with a jar of cookies of its own."""
    return AsyncClient(transport=ASGITransport(app), base_url=origin)


@dataclass
class Browser:
    """Somebody at a browser."""

    http: AsyncClient
    origin: str = ORIGIN
    csrf: str = ""
    last: Response = field(default_factory=lambda: Response(200))

    @property
    def session(self) -> str | None:
        """The id of its session."""
        return self.http.cookies.get(SESSION)

    async def get(self, url: str, **content: Any) -> Response:
        """GET, without following what it leads to."""
        self.last = await self.http.get(url, **content)
        return self.last

    async def begin(self, **parameters: Any) -> str:
        """Go to sign in; the URL at the provider."""
        answer = await self.get("/sign-in", params=parameters)
        assert answer.status_code == 303, answer.text
        return answer.headers["location"]

    async def pick(self, url: str, person: str) -> str:
        """Pick somebody on the sandbox's page; the URL that leads back."""
        shown = await self.get(url)
        assert shown.status_code == 200, shown.text
        form = {
            unescape(name): unescape(value)
            for name, value in re.findall(r'name="([^"]+)" value="([^"]*)">', shown.text)
            if name != "person"
        }
        path = str(url).partition("?")[0]
        answer = await self.http.post(path, data={**form, "person": person})
        assert answer.status_code == 303, answer.text
        return answer.headers["location"]

    async def sign_in(self, person: str, **parameters: Any) -> Response:
        """All the way; the answer of the callback."""
        back = await self.pick(await self.begin(**parameters), person)
        answer = await self.get(back)
        if answer.status_code == 303:
            self.csrf = (await self.me())["csrf_token"]
        return answer

    async def me(self) -> Json:
        """Who is signed in."""
        answer = await self.http.get("/sign-in/me")
        assert answer.status_code == 200, answer.text
        found: Json = answer.json()
        return found

    async def change(self, method: str, url: str, **content: Any) -> Response:
        """A change as a page of ours sends it."""
        headers = {"origin": self.origin, "x-csrf-token": self.csrf}
        headers |= content.pop("headers", {})
        return await self.http.request(method, url, headers=headers, **content)

    async def sign_out(self) -> Response:
        """Sign out by the form of the welcome page."""
        form = {"csrf": self.csrf}
        return await self.http.post("/sign-out", data=form, headers={"origin": self.origin})


def query(url: str) -> dict[str, str]:
    """The parameters of a URL."""
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
