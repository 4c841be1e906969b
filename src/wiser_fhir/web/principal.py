"""Who calls a route, and whether it may: one dependency that also settles what is spoken."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import cast

from starlette.requests import Request

from wiser_fhir.auth.authenticators import Authenticators
from wiser_fhir.auth.principal import Principal
from wiser_fhir.auth.scopes import grants
from wiser_fhir.errors import OutOfScope
from wiser_fhir.web.connection import peer_certificate
from wiser_fhir.web.limits import admit, asking, unknown_yet
from wiser_fhir.web.negotiation import check_accept, check_content_type, check_form_type

_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})


async def authenticate(request: Request) -> Principal:
    """The caller of this request, looked up once. Raises Unauthenticated, Throttled."""
    known = known_caller(request)
    if known is not None:
        return known
    authenticator = cast(Authenticators, request.app.state.authenticator)
    with unknown_yet(request):
        shown = peer_certificate(request)
        principal = await authenticator.principal(
            request.headers.getlist("authorization"),
            shown.thumbprint if shown else None,
            partial(asking, request),
        )
    request.state.principal = principal
    admit(request, principal.organization_id)
    return principal


def known_caller(request: Request) -> Principal | None:
    """The caller, if `authenticate` found one in this request."""
    return getattr(request.state, "principal", None)


def require(*scopes: str, form: bool = False) -> Callable[[Request], Awaitable[Principal]]:
    """A dependency for FHIR routes: the caller, once it has shown that it may and speaks JSON.

    `form` is for a search by POST, whose parameters come as a form.

    Use as `caller: Annotated[Principal, Depends(require("system/Claim.c"))]`. One dependency for
    all of it, because each costs a few percent of a request. Raises Unauthenticated, Throttled,
    Forbidden, HTTPException 406 and 415.
    """
    needed = grants(scopes)

    async def caller(request: Request) -> Principal:
        principal = await authenticate(request)
        if not principal.may(needed):
            raise OutOfScope(" ".join(scopes))
        check_accept(request)
        if request.method in _WITH_BODY:
            (check_form_type if form else check_content_type)(request)
        return principal

    return caller
