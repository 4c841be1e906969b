"""Another issuer of tokens than we: what it says of itself, and what it says of a token.

Source: RFC 8414; OpenID Connect Discovery 1.0; RFC 7662.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, Protocol
from urllib.parse import urlsplit
from uuid import NAMESPACE_URL, UUID, uuid5

from authlib.oauth2.rfc7523.client import ASSERTION_TYPE

from wiser_fhir.auth.keys import JsonSource
from wiser_fhir.auth.own_key import OwnKey
from wiser_fhir.clock import Clock
from wiser_fhir.egress.errors import EgressError
from wiser_fhir.egress.url import read_url
from wiser_fhir.errors import Unavailable
from wiser_fhir.fhir.elements import Json

log = logging.getLogger(__name__)

FRESH_SECONDS: Final = 3_600.0
RETRY_SECONDS: Final = 5.0
FETCH_SECONDS: Final = 3.0
_BAD_REQUEST = 400
_OIDC = "/.well-known/openid-configuration"
_RFC_8414 = "/.well-known/oauth-authorization-server"
_AWAY = "The issuer of tokens is away."


class FormSource(JsonSource, Protocol):
    """What `egress.client.Egress` does, as far as an issuer needs it."""

    async def post_form(
        self,
        url: str,
        form: Mapping[str, str],
        *,
        headers: Mapping[str, str] = MappingProxyType({}),
        within: Sequence[str],
        tenant: UUID,
        seconds: float = 5.0,
    ) -> dict[str, Any]:
        """The JSON object that a form is answered with. Raises EgressError."""
        ...


class IssuerRefused(ValueError):
    """What was said of an issuer cannot be; the text says why."""


@dataclass(frozen=True, slots=True)
class IssuerMetadata:
    """What an issuer says of itself, as far as we or our clients need it."""

    issuer: str
    token_endpoint: str
    jwks_uri: str | None
    document: Mapping[str, Any] = field(repr=False)


class Issuer:
    """An issuer, by its own metadata: fetched when they are needed, and then held for an hour.

    What cannot be had leaves what is held as it is.
    """

    def __init__(
        self, name: str, source: FormSource, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self.name = name
        self.source = source
        # Its share of what goes out, as an organization has one.
        self.tenant = uuid5(NAMESPACE_URL, name)
        self._monotonic = monotonic
        self._held: IssuerMetadata | None = None
        self._fetched = self._tried = float("-inf")
        self._fetching: asyncio.Task[None] | None = None

    async def metadata(self) -> IssuerMetadata:
        """What it says of itself. Raises Unavailable."""
        now = self._monotonic()
        if self._held is None or now - self._fetched >= FRESH_SECONDS:
            if self._fetching is None and now - self._tried >= RETRY_SECONDS:
                self._tried = now
                self._fetching = asyncio.create_task(self._fetch())
            if self._fetching is not None:
                # Others wait for the same answer, so it outlives the one who asked for it.
                await asyncio.shield(self._fetching)
        if self._held is None:
            raise Unavailable(_AWAY)
        return self._held

    async def _fetch(self) -> None:
        try:
            for url in _places(self.name):
                document = await self._document(url)
                if document is not None:
                    self._held, self._fetched = _read(self.name, document), self._monotonic()
                    return
            log.warning("issuer not read", extra={"error": "away"})
        except IssuerRefused as refused:
            log.warning("issuer not read", extra={"error": str(refused)})
        finally:
            self._fetching = None

    async def _document(self, url: str) -> Json | None:
        try:
            found = await self.source.get_document(
                url, within=[url], tenant=self.tenant, seconds=FETCH_SECONDS
            )
        except EgressError:
            return None
        return found.json


def _places(issuer: str) -> tuple[str, str]:
    """Where an issuer's metadata are: the two documents differ in where its path goes."""
    parts = urlsplit(issuer)
    path = parts.path.rstrip("/")
    origin = f"{parts.scheme}://{parts.netloc}"
    return f"{origin}{path}{_OIDC}", f"{origin}{_RFC_8414}{path}"


def _read(issuer: str, document: Json) -> IssuerMetadata:
    """Raises IssuerRefused, also for the metadata of another: it could lend us its keys."""
    if document.get("issuer") != issuer:
        raise IssuerRefused("other-issuer")
    token_endpoint, jwks_uri = document.get("token_endpoint"), document.get("jwks_uri")
    if not isinstance(token_endpoint, str) or read_url(token_endpoint) is None:
        raise IssuerRefused("token-endpoint")
    if jwks_uri is not None and (not isinstance(jwks_uri, str) or read_url(jwks_uri) is None):
        raise IssuerRefused("jwks-uri")
    return IssuerMetadata(issuer, token_endpoint, jwks_uri, MappingProxyType(document))


@dataclass(frozen=True, slots=True)
class Introspection:
    """Where an issuer is asked about tokens, what it calls us, and by which key of ours."""

    issuer: Issuer
    url: str
    client_id: str
    own: OwnKey
    clock: Clock

    async def of(self, token: str) -> Json | None:
        """What the issuer says of a token, None if it is not live. Raises Unavailable.

        The assertion is for the issuer by its name, so that nobody else could use it. Source: RFC
        7662, 2.
        """
        now = self.clock().timestamp()
        form = {
            "token": token,
            "token_type_hint": "access_token",
            "client_id": self.client_id,
            "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": self.own.assertion(self.client_id, self.issuer.name, now),
        }
        try:
            answer = await self.issuer.source.post_form(
                self.url, form, within=[self.url], tenant=self.issuer.tenant, seconds=FETCH_SECONDS
            )
        except EgressError as error:
            if error.status == _BAD_REQUEST:
                return None  # an issuer that tells about some kinds of token alone says so by this
            log.warning("token not introspected", extra={"error": error.reason})
            raise Unavailable(_AWAY) from None
        return answer if answer.get("active") is True else None
