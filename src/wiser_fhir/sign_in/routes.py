"""Signing in and out, and who is signed in.

Pages are for people in a browser; only `/sign-in/me` and `/sign-in/keys` are JSON.
"""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, ConfigDict
from starlette.responses import HTMLResponse, RedirectResponse

from wiser_fhir.auth.oidc import NotAnew, SignInFailed
from wiser_fhir.auth.people import Reviewer
from wiser_fhir.auth.sessions import csrf_token
from wiser_fhir.errors import Unauthenticated
from wiser_fhir.sign_in import pages
from wiser_fhir.sign_in.door import NotOnTheList, SignInDoor
from wiser_fhir.sign_in.return_path import WELCOME, is_own_path
from wiser_fhir.web.body import read_form
from wiser_fhir.web.limits import strange
from wiser_fhir.web.negotiation import check_form_type
from wiser_fhir.web.openapi import json_answer, person_operation
from wiser_fhir.web.people import (
    CSRF_HEADER,
    authenticate_person,
    check_own_page,
    require_person,
)
from wiser_fhir.web.session_cookie import cookies, session_of

PATH = "/sign-in"
CALLBACK = f"{PATH}/callback"

_SEE_OTHER = 303

router = APIRouter(tags=["sign-in"], include_in_schema=False)


class MeOut(BaseModel):
    """Who calls. `csrf_token` goes with every change, in X-CSRF-Token; null with a bearer token."""

    model_config = ConfigDict(frozen=True)

    id: UUID
    name: str
    roles: tuple[str, ...]
    signed_in_at: datetime | None
    csrf_token: str | None


def _page(*statuses: int) -> dict[str, Any]:
    """Arguments for a route that answers with a page."""
    said = {each: {"description": "A page that says why."} for each in statuses}
    return {"response_class": HTMLResponse, "response_model": None, "responses": said}


def _door(request: Request) -> SignInDoor | None:
    found: SignInDoor | None = request.app.state.sign_in
    return found


Door = Annotated[SignInDoor | None, Depends(_door)]
Anybody = Annotated[Reviewer, Depends(require_person())]


@router.get(PATH, **_page(303, 400, 404, 503))
async def begin(
    request: Request, door: Door, return_to: str = WELCOME, step_up: bool = False
) -> Response:
    """Send the browser to the identity provider, where the person authenticates anew.

    With `step_up` the trail says that it was for a decision.
    """
    if door is None:
        return pages.nowhere()
    if not is_own_path(return_to):
        return pages.bad_return()
    strange(request)  # each beginning is kept for a while
    try:
        url, browser = await door.begin(return_to, step_up=step_up)
    except SignInFailed:
        return pages.away()
    answer = RedirectResponse(url, _SEE_OTHER)
    cookies(request).give(answer, "begun", browser)
    return answer


@router.get(CALLBACK, **_page(303, 400, 403, 404, 503))
async def callback(request: Request, door: Door) -> Response:
    """Where the provider sends the browser back to: a new session, or why there is none."""
    if door is None:
        return pages.nowhere()
    strange(request)
    answer: dict[str, list[str]] = {}
    for name, value in request.query_params.multi_items():
        answer.setdefault(name, []).append(value)
    ours = cookies(request)
    browser, before = ours.read(request, "begun"), session_of(request)
    try:
        signed_in = await door.finish(answer, browser, before, request.state.request_id)
    except NotOnTheList:
        return _without_begun(request, pages.not_on_the_list())
    except NotAnew:
        return _without_begun(request, pages.not_anew())
    except SignInFailed as failed:
        return _without_begun(request, pages.away() if failed.away else pages.failed())
    done = RedirectResponse(signed_in.return_to, _SEE_OTHER)
    ours.give(done, "session", signed_in.session)
    return _without_begun(request, done)


@router.get(WELCOME, **_page(401))
async def welcome(request: Request) -> Response:
    """Who is signed in, with the way out."""
    session = session_of(request)
    try:
        who = await authenticate_person(request)
    except Unauthenticated:
        lines = ["There is no session, or it has ended."]
        return pages.message("You are not signed in", lines, 401)
    return pages.welcome(who, csrf_token(session) if session else "")


@router.post("/sign-out", **_page(303, 403, 413, 415))
async def sign_out(request: Request, door: Door) -> Response:
    """End the session, here and everywhere. The token comes in the form, or in its header."""
    session = session_of(request)
    if session is not None:
        check_own_page(request, session, await _token(request))
        if door is not None:
            await door.sign_out(session, request.state.request_id)
    answer = RedirectResponse(f"{PATH}/signed-out", _SEE_OTHER)
    cookies(request).take_away(answer, "session")
    return answer


@router.get(f"{PATH}/signed-out", **_page())
async def signed_out() -> Response:
    """Where a browser goes after the end of its session."""
    return pages.signed_out()


_REFUSED = {401: "No session, and no bearer token of a person.", 503: "Away for a moment."}


@router.get(f"{PATH}/me", **person_operation(_REFUSED))
async def me(request: Request, who: Anybody) -> MeOut:
    """Who is signed in, with which roles and since when."""
    session = None if "authorization" in request.headers else session_of(request)
    return MeOut(
        id=who.person_id,
        name=who.name,
        roles=tuple(sorted(who.roles)),
        signed_in_at=who.signed_in_at,
        csrf_token=csrf_token(session) if session else None,
    )


@router.get(f"{PATH}/keys", **json_answer("A JWKS.", (503,)))
async def keys(door: Door) -> dict[str, Any]:
    """The public keys we authenticate with at the provider, for its registration."""
    return {"keys": []} if door is None else door.party.public_keys()


async def _token(request: Request) -> str:
    if CSRF_HEADER in request.headers:
        return request.headers[CSRF_HEADER]
    check_form_type(request)
    return dict(await read_form(request)).get("csrf", "")


def _without_begun(request: Request, answer: Response) -> Response:
    cookies(request).take_away(answer, "begun")
    return answer
