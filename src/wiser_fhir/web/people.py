"""Which person calls a route, and whether it may: one dependency, as `web.principal` has it."""

from collections.abc import Awaitable, Callable
from typing import cast

from starlette.requests import Request

from wiser_fhir.auth.people import PersonAuthenticator, Reviewer
from wiser_fhir.errors import Forbidden


async def authenticate_person(request: Request) -> Reviewer:
    """The person behind this request, looked up once. Raises Unauthenticated."""
    known = known_person(request)
    if known is not None:
        return known
    people = cast(PersonAuthenticator, request.app.state.people)
    reviewer = await people.reviewer(request.headers.getlist("authorization"))
    request.state.person = reviewer
    return reviewer


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
