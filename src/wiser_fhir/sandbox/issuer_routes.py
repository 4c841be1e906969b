"""The pages and endpoints of the sandbox's own OpenID provider."""

from collections.abc import Mapping
from html import escape
from typing import Any

from authlib.common.urls import add_params_to_uri
from fastapi import APIRouter, Request, Response
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse

from wiser_fhir.egress.url import read_url
from wiser_fhir.sandbox.issuer import PATH, Asked, Issuer, Refused, Unknown
from wiser_fhir.sign_in.pages import message, page
from wiser_fhir.web.body import read_form
from wiser_fhir.web.negotiation import check_form_type

_SEE_OTHER = 303
_BAD_REQUEST, _UNAUTHORIZED = 400, 401


def router(issuer: Issuer) -> APIRouter:
    """Its routes. Only a sandbox has them."""
    found = APIRouter(prefix=PATH, tags=["sandbox"], include_in_schema=False)

    @found.get("/.well-known/openid-configuration")
    async def metadata() -> dict[str, Any]:
        """What the provider offers."""
        return issuer.metadata()

    @found.get("/jwks")
    async def jwks() -> dict[str, Any]:
        """The keys that sign its ID tokens."""
        return issuer.jwks()

    @found.get("/authorize", response_class=HTMLResponse, response_model=None)
    async def authorize(request: Request) -> Response:
        """A page to pick somebody on."""
        query = _once(request.query_params.multi_items())
        return _picking(issuer, query)

    @found.post("/authorize", response_class=HTMLResponse, response_model=None)
    async def picked(request: Request) -> Response:
        """Send the browser back with a code for who was picked."""
        check_form_type(request)
        form = _once(await read_form(request))
        try:
            asked = issuer.asked(form)
            code = issuer.code(asked, form.get("person", ""))
        except Unknown:
            return _unknown()
        except Refused as refused:
            return _back(issuer, form, {"error": refused.error})
        return _back(issuer, form, {"code": code})

    @found.post("/token", response_model=None)
    async def token(request: Request) -> Response:
        """An ID token for a code."""
        check_form_type(request)
        try:
            return JSONResponse(issuer.token(_once(await read_form(request))))
        except Refused as refused:
            stranger = refused.error == "invalid_client"
            status = _UNAUTHORIZED if stranger else _BAD_REQUEST
            return JSONResponse({"error": refused.error}, status)

    return found


def _once(pairs: list[tuple[str, str]]) -> dict[str, str]:
    """Parameters by name; of one that stands twice nothing is left. Source: RFC 6749, 3.1."""
    names = [name for name, _ in pairs]
    return {name: value for name, value in pairs if names.count(name) == 1}


def _picking(issuer: Issuer, query: Mapping[str, str]) -> Response:
    try:
        asked = issuer.asked(query)
    except Unknown:
        return _unknown()
    except Refused as refused:
        return _back(issuer, query, {"error": refused.error})
    return _page(issuer, asked, query)


def _page(issuer: Issuer, asked: Asked, query: Mapping[str, str]) -> HTMLResponse:
    kept = "".join(
        f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">'
        for name, value in query.items()
        if name != "person"
    )
    people = "".join(
        f'<li><button name="person" value="{escape(subject)}">{escape(name)}</button></li>'
        for subject, name in issuer.people.items()
    )
    body = (
        f"<p>{escape(asked.client_id)} asks who you are. Everybody here is made up:"
        " pick one, there is no password.</p>"
        f'<form method="post" action="{PATH}/authorize">{kept}<ul>{people}</ul></form>'
    )
    place = read_url(asked.redirect_uri)
    host = f"[{place.host}]" if place and ":" in place.host else place.host if place else ""
    origin = f"{place.scheme}://{host}:{place.port}" if place else ""
    return page("Sandbox: who are you?", body, forms_to=origin)


def _unknown() -> HTMLResponse:
    lines = ["No such client, or it may not be gone back to at that address."]
    return message("This cannot be asked", lines, _BAD_REQUEST, again=False)


def _back(issuer: Issuer, query: Mapping[str, str], said: Mapping[str, str]) -> RedirectResponse:
    """To the client, which `asked` or `destination` has found to be one."""
    state = {"state": query["state"]} if "state" in query else {}
    answer = {**said, **state, "iss": issuer.issuer}
    url: str = add_params_to_uri(issuer.destination(query), list(answer.items()))
    return RedirectResponse(url, _SEE_OTHER)
