"""The cookies of people who sign in: one for a session, one for a sign-in on its way.

Source: RFC 6265bis, 4.1.3.2 (`__Host-`): set by us alone over TLS, sent to no other host.
"""

import re
from dataclasses import dataclass
from typing import Final, Literal

from starlette.requests import Request
from starlette.responses import Response

from wiser_fhir.auth.sessions import BEGUN_FOR

_NAMES: Final = {"session": "wiser", "begun": "wiser-begun"}
_ID = re.compile(r"[A-Za-z0-9_-]{43}")

Kind = Literal["session", "begun"]


@dataclass(frozen=True, slots=True)
class Cookies:
    """How cookies are set where browsers find us at `origin`.

    Over http, which only a sandbox speaks, browsers keep neither the prefix nor `Secure`.
    """

    origin: str

    @property
    def secure(self) -> bool:
        """Whether browsers come over TLS."""
        return self.origin.startswith("https:")

    def name(self, kind: Kind) -> str:
        """What the cookie is called."""
        return f"__Host-{_NAMES[kind]}" if self.secure else _NAMES[kind]

    def read(self, request: Request, kind: Kind) -> str | None:
        """The id in a cookie, None without one and for what we never gave."""
        value = request.cookies.get(self.name(kind), "")
        return value if _ID.fullmatch(value) else None

    def give(self, response: Response, kind: Kind, value: str) -> None:
        """Set it. A session's goes when the browser is closed; the other lives ten minutes."""
        response.set_cookie(
            self.name(kind),
            value,
            max_age=int(BEGUN_FOR.total_seconds()) if kind == "begun" else None,
            path="/",
            secure=self.secure,
            httponly=True,
            samesite="lax",
        )

    def take_away(self, response: Response, kind: Kind) -> None:
        """Have the browser forget it."""
        response.delete_cookie(
            self.name(kind), path="/", secure=self.secure, httponly=True, samesite="lax"
        )


def cookies(request: Request) -> Cookies:
    """How this application sets them."""
    found: Cookies = request.app.state.cookies
    return found


def session_of(request: Request) -> str | None:
    """The id of a session that a request shows, whether or not there is such a session."""
    return cookies(request).read(request, "session")
