"""The endpoints of the authorization server: forms in, JSON out, errors by OAuth's own rules.

Source: RFC 6749, 3.2 and 5; RFC 7009, 2; RFC 7662, 2; RFC 6750, 3.
"""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, cast

import orjson
from fastapi import APIRouter, Request, Response
from starlette.exceptions import HTTPException

from wiser_fhir.auth.assertion import OAuthRefused
from wiser_fhir.auth.token_grant import LIFE, Shown, check_grant_type
from wiser_fhir.errors import Malformed, Throttled, TooLarge, Unauthenticated
from wiser_fhir.fhir.elements import Json
from wiser_fhir.oauth.endpoints import INTROSPECT, NOT_STORED, REVOKE, TOKEN
from wiser_fhir.oauth.server import AuthorizationServer, Caller, Form, by_jwt, by_token
from wiser_fhir.web.body import read_form
from wiser_fhir.web.connection import peer_certificate
from wiser_fhir.web.limits import counted, strange
from wiser_fhir.web.negotiation import check_form_type
from wiser_fhir.web.principal import authenticate

Act = Callable[[Request, AuthorizationServer, Form], Awaitable[Json]]

_STATUS: Mapping[str, int] = {"invalid_client": 401, "invalid_token": 401}
_BAD_REQUEST = 400
# One text for each error: who tries learns nothing from another one.
_TEXTS: Mapping[str, str] = {
    "invalid_client": "The client did not prove that it is one of those registered here.",
    "invalid_grant": "The request lacks what the client's registration asks for.",
    "invalid_request": "A form is needed, with each parameter once and none missing.",
    "invalid_scope": "No scope of the request is one that the client is registered for.",
    "invalid_token": "A live bearer token is needed.",
    "slow_down": "Too many requests of one organization, or attempts in vain from one address.",
    "unsupported_grant_type": "The grant is client_credentials.",
}


def _described(answer: str, fields: Mapping[str, str], required: tuple[str, ...]) -> dict[str, Any]:
    """Arguments for `router.post`: a form of text fields, and what comes back."""
    sent = {"type": "object", "properties": {"error": {"type": "string"}}, "required": ["error"]}
    refused = {"application/json": {"schema": sent}}
    properties = {name: {"type": "string", "description": each} for name, each in fields.items()}
    form = {"type": "object", "properties": properties, "required": list(required)}
    content = {"application/json": {"schema": {"type": "object"}}}
    return {
        "response_model": None,
        "responses": {
            200: {"description": answer, "content": content},
            400: {"description": "Not as it should be; the error says how.", "content": refused},
            401: {"description": "Not a registered client.", "content": refused},
            413: {"description": "Too large.", "content": refused},
            429: {"description": "Too many in a short time.", "content": refused},
            503: {"description": "Away for a moment; empty, with Retry-After."},
        },
        "openapi_extra": {
            "requestBody": {
                "required": True,
                "content": {"application/x-www-form-urlencoded": {"schema": form}},
            }
        },
    }


_ASSERTION = {
    "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
    "client_assertion": "A JWT that the client signed.",
}
_GRANT = {"grant_type": "client_credentials", "scope": "Without it all there are.", **_ASSERTION}
_ABOUT = {"token": "A token of the client's own.", **_ASSERTION}

router = APIRouter(tags=["authorization"])


@router.post(TOKEN, **_described("A token.", _GRANT, ("grant_type", *_ASSERTION)))
async def token(request: Request) -> Response:
    """A token for a client that signs a JWT. Source: SMART App Launch 2.2.0, Backend Services."""
    return await _answered(request, TOKEN, _token)


@router.post(INTROSPECT, **_described("Whether it is live.", _ABOUT, ("token",)))
async def introspect(request: Request) -> Response:
    """Whether a token of the client's own is live, and what for. Source: RFC 7662."""
    return await _answered(request, INTROSPECT, _introspect)


@router.post(REVOKE, **_described("It is not live any more.", _ABOUT, ("token",)))
async def revoke(request: Request) -> Response:
    """End a token of the client's own. Source: RFC 7009."""
    return await _answered(request, REVOKE, _revoke)


async def _answered(request: Request, path: str, act: Act) -> Response:
    server = cast(AuthorizationServer, request.app.state.oauth)
    shown_anything = "authorization" in request.headers
    try:
        try:
            form = await _form(request)
            shown_anything = shown_anything or "client_assertion" in form
            return _json(await act(request, server, form))
        except OAuthRefused as refused:
            strange(request)
            if shown_anything:
                await server.record(path, refused, request.state.request_id)
            return _refusal(refused.error, headers=_challenge(request, refused.error))
    except Throttled as throttled:
        return _refusal("slow_down", 429, {"Retry-After": str(throttled.retry_after)})
    except TooLarge:
        return _refusal("invalid_request", 413)


async def _form(request: Request) -> Form:
    """The parameters by name. One without a value is as one that is not there.

    Raises OAuthRefused, TooLarge. Source: RFC 6749, 3.2.
    """
    try:
        check_form_type(request)
        pairs = await read_form(request)
    except (HTTPException, Malformed):
        raise OAuthRefused("invalid_request", "form") from None
    form = dict(pairs)
    if len(form) < len(pairs):
        raise OAuthRefused("invalid_request", "twice")
    return {name: value for name, value in form.items() if value}


async def _token(request: Request, server: AuthorizationServer, form: Form) -> Json:
    check_grant_type(form)
    _check_ways(request, form)
    if "authorization" in request.headers:
        raise OAuthRefused("invalid_client", "authentication")
    shown = _shown(request)
    made = await server.proof(form, TOKEN)
    with counted(request, made.client.organization_id):
        issued = await server.token(form, made, shown, request.state.request_id)
    return {
        "access_token": issued.token,
        "token_type": "Bearer",
        "expires_in": int(LIFE.total_seconds()),
        "scope": " ".join(issued.scopes),
    }


async def _introspect(request: Request, server: AuthorizationServer, form: Form) -> Json:
    caller = await _caller(request, server, form, INTROSPECT)
    with _counted(request, caller):
        return await server.introspect(form, caller, request.state.request_id)


async def _revoke(request: Request, server: AuthorizationServer, form: Form) -> Json:
    caller = await _caller(request, server, form, REVOKE)
    with _counted(request, caller):
        await server.revoke(form, caller, request.state.request_id)
    return {}


def _check_ways(request: Request, form: Form) -> None:
    """A client shows itself in one way only. Raises OAuthRefused. Source: RFC 6749, 2.3."""
    ways = ("authorization" in request.headers, "client_assertion" in form, "client_secret" in form)
    if sum(ways) > 1:
        raise OAuthRefused("invalid_request", "authentication")


async def _caller(request: Request, server: AuthorizationServer, form: Form, path: str) -> Caller:
    """Who asks: by a JWT in the form, or by a live token in the header. Raises OAuthRefused."""
    _check_ways(request, form)
    if "authorization" not in request.headers:
        _shown(request)
        return by_jwt(await server.proof(form, path))
    if _tries_basic(request):
        raise OAuthRefused("invalid_client", "authentication")
    try:
        return by_token(await authenticate(request))
    except Unauthenticated:
        raise OAuthRefused("invalid_token", "token") from None


def _counted(request: Request, caller: Caller) -> AbstractContextManager[None]:
    """Whoever asks by a token was counted when it was looked up."""
    if caller.assertion is None:
        return nullcontext()
    return counted(request, caller.organization_id)


def _shown(request: Request) -> Shown | None:
    """The certificate of the connection. Raises OAuthRefused for one that was taken back."""
    try:
        peer = peer_certificate(request)
    except Unauthenticated:
        raise OAuthRefused("invalid_client", "certificate-revoked") from None
    return None if peer is None else Shown(peer.thumbprint, peer.uris)


def _json(body: Json, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(
        orjson.dumps(body),
        status,
        media_type="application/json",
        headers={**NOT_STORED, **(headers or {})},
    )


def _refusal(
    error: str, status: int | None = None, headers: Mapping[str, str] | None = None
) -> Response:
    body = {"error": error, "error_description": _TEXTS[error]}
    return _json(body, status or _STATUS.get(error, _BAD_REQUEST), headers)


def _challenge(request: Request, error: str) -> Mapping[str, str]:
    """The header that goes with each 401: the scheme that was tried, and else that of OAuth.

    For a JWT in a form there is no scheme. Basic would have a client send a secret, and a browser
    ask for a password; `Bearer` does neither, and `error` says what was wrong.
    Source: RFC 9110, 15.5.2; RFC 6749, 5.2.
    """
    if error not in _STATUS:
        return {}
    if _tries_basic(request):
        return {"WWW-Authenticate": 'Basic realm="wiser-fhir"'}
    return {"WWW-Authenticate": f'Bearer error="{error}"'}


def _tries_basic(request: Request) -> bool:
    return request.headers.get("authorization", "").split(" ")[0].lower() == "basic"
