"""Which person calls a route, and whether it may: one dependency, as `web.principal` has it.

A person calls with the cookie of a session or with a bearer token. A browser sends a cookie of its
own accord, so with one every change has to come from our own pages and show the session's token.
"""

from collections.abc import Awaitable, Callable
from typing import cast

from starlette.requests import Request

from wiser_fhir.auth.people import PersonAuthenticator, Reviewer
from wiser_fhir.auth.sessions import Sessions, is_csrf_token
from wiser_fhir.errors import Forbidden
from wiser_fhir.web.limits import admit, unknown_yet
from wiser_fhir.web.session_cookie import cookies, session_of

CSRF_HEADER = "x-csrf-token"

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


async def authenticate_person(request: Request) -> Reviewer:
    """The person behind this request, looked up once.

    Raises Unauthenticated, Throttled, Forbidden.
    """
    known = known_person(request)
    if known is not None:
        return known
    authorization = request.headers.getlist("authorization")
    session = session_of(request)
    with unknown_yet(request):
        if authorization or session is None:
            people = cast(PersonAuthenticator, request.app.state.people)
            reviewer = await people.reviewer(authorization)
        else:
            sessions = cast(Sessions, request.app.state.sessions)
            reviewer = await sessions.reviewer(session)
    request.state.person = reviewer
    admit(request, reviewer.person_id)
    if not authorization and session is not None and request.method not in _SAFE:
        check_own_page(request, session, request.headers.get(CSRF_HEADER, ""))
    return reviewer


def check_own_page(request: Request, session: str, token: str) -> None:
    """Whether a page of ours sent this: its origin, and the token of the session.

    Browsers tell the origin with every change they send. Raises Forbidden.
    """
    if request.headers.getlist("origin") != [cookies(request).origin]:
        raise Forbidden("Changes come from our own pages: the Origin is another, or is not told.")
    if not is_csrf_token(token, session):
        raise Forbidden("Send the session's token, as /sign-in/me tells it, in X-CSRF-Token.")


def known_person(request: Request) -> Reviewer | None:
    """The person, if `authenticate_person` found one in this request."""
    return getattr(request.state, "person", None)


def require_person(*roles: str) -> Callable[[Request], Awaitable[Reviewer]]:
    """A dependency: the person who calls, once it has shown that it has one of these roles.

    Without roles everybody on the list may. Raises Unauthenticated, Forbidden.
    """

    async def caller(request: Request) -> Reviewer:
        reviewer = await authenticate_person(request)
        if roles and not reviewer.may(*roles):
            raise Forbidden(f"This is for a {' or a '.join(roles)}.")
        return reviewer

    return caller
