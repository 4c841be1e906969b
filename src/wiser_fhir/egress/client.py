"""The way out to other servers, in bounds: JSON by GET or for a form, and notices by POST.

Lists of revoked certificates (`crl`) and files for the scanner (`scanner`) go ways of their own.
"""

import asyncio
import re
import ssl
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any
from urllib.parse import urlencode
from uuid import UUID
from weakref import WeakValueDictionary

import anyio
import httpx

from wiser_fhir.egress.addresses import Allowed, is_public, is_public_or_near, read_address
from wiser_fhir.egress.errors import EgressError, Reason
from wiser_fhir.egress.json_object import json_object
from wiser_fhir.egress.transport import (
    CheckedNetwork,
    CheckedTransport,
    Resolve,
    looking_up_for,
    system_resolve,
)
from wiser_fhir.egress.url import Origin, Url, is_within, read_origin, read_url

__all__ = ["Document", "Egress", "EgressError", "is_within"]

MAX_BODY = 5 * 1024 * 1024
PER_TENANT = 8
# A body this large is parsed off the event loop, and one at a time.
LARGE = 256 * 1024
_LARGE_BODIES = anyio.CapacityLimiter(1)
_CHUNKS_IN_A_ROW = 256
# Read of an answer that nobody looks at, so that the connection may be used again.
_MAX_UNREAD = 16 * 1024
_UNREAD_SECONDS = 1.0

_JSON = frozenset({"application/json", "application/fhir+json", "application/jwk-set+json"})
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")  # RFC 6750 §2.1
_MAX_AGE = re.compile(r'max-age\s*=\s*"?([0-9]{1,9})"?', re.IGNORECASE)
_AGE = re.compile("[0-9]+")
_NOT_KEPT = re.compile(r"(?:^|,)\s*no-(?:cache|store)\b", re.IGNORECASE)
_HEADERS = {
    "Accept": "application/fhir+json, application/json",
    "Accept-Encoding": "identity",
    "User-Agent": "wiser-fhir",
}


@dataclass(frozen=True, slots=True)
class Document:
    """A JSON object of another server. `max_age`: how many seconds more it says it is fresh."""

    json: dict[str, Any] = field(repr=False)
    max_age: float | None = None


class Egress:
    """Gets JSON from other servers, and posts to them. Where to is another's word, and not trusted.

    It follows no redirect, keeps no cookie, knows no proxy of the environment and logs nothing.
    `extra_origins`: where http, loopback and private addresses are allowed. `transport` replaces
    the network, not the rules for URLs. Raises ValueError for an extra origin that is none.
    """

    def __init__(
        self,
        extra_origins: Collection[str] = (),
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        resolve: Resolve = system_resolve,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._extra = frozenset(map(_extra_origin, extra_origins))
        # Two pools, so that without extra origins none that reaches a private address is in use.
        if transport is None:
            tls = tls or ssl.create_default_context()
            self._public: httpx.AsyncBaseTransport = _network(resolve, is_public, tls)
            self._near: httpx.AsyncBaseTransport = _network(resolve, is_public_or_near, tls)
        else:
            self._public = self._near = transport
        self._turns: WeakValueDictionary[UUID, asyncio.Semaphore] = WeakValueDictionary()

    async def get_json(
        self,
        url: str,
        *,
        within: Sequence[str],
        tenant: UUID,
        token: str | None = None,
        seconds: float = 5.0,
    ) -> dict[str, Any]:
        """The JSON object at `url`; as for `get_document`. Raises EgressError."""
        document = await self.get_document(
            url, within=within, tenant=tenant, token=token, seconds=seconds
        )
        return document.json

    async def get_document(
        self,
        url: str,
        *,
        within: Sequence[str],
        tenant: UUID,
        token: str | None = None,
        seconds: float = 5.0,
    ) -> Document:
        """The JSON object at `url`, which is one of the bases `within` or lies below one.

        `seconds` are for everything: waiting for a turn among the tenant's own, the name, the
        connection, the last byte. `token` goes into the Authorization header. Raises EgressError.
        """
        place = self._checked(url, within)
        return await self._asked(_request(place, token, seconds), place, tenant, seconds)

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
        """The JSON object that a form is answered with, as a token endpoint is asked.

        Everything else is as for `get_document`. Raises EgressError.
        """
        place = self._checked(url, within)
        sent = {
            "Accept": "application/json",
            "Content-Type": "application/x-www-form-urlencoded",
            **headers,
        }
        request = _posted(place, urlencode(form).encode(), list(sent.items()), seconds)
        return (await self._asked(request, place, tenant, seconds)).json

    async def _asked(
        self, request: httpx.Request, place: Url, tenant: UUID, seconds: float
    ) -> Document:
        turn = self._turns.setdefault(tenant, asyncio.Semaphore(PER_TENANT))
        try:
            async with asyncio.timeout(seconds), turn:
                with looking_up_for(tenant):
                    return await self._get(request, place)
        except (TimeoutError, httpx.TimeoutException):
            reason: Reason = "slow"
        except httpx.TransportError:
            reason = "away"
        # Raised out here, it carries no error of httpx, which holds the request and its token.
        raise EgressError(reason)

    async def post(
        self,
        url: str,
        body: bytes,
        *,
        headers: Sequence[tuple[str, str]],
        within: Sequence[str],
        tenant: UUID,
        seconds: float,
    ) -> None:
        """Send a body to `url`, which is as for `get_json`; any 2xx says that it was taken.

        Nothing of the answer but its status is looked at. `seconds` are the peer's: for everything
        until then, but not for waiting for a turn among the tenant's own, which is no fault of the
        peer. Raises EgressError.
        """
        place = self._checked(url, within)
        request = _posted(place, body, headers, seconds)
        turn = self._turns.setdefault(tenant, asyncio.Semaphore(PER_TENANT))
        try:
            async with turn, asyncio.timeout(seconds):
                with looking_up_for(tenant):
                    response = await self._transport(place).handle_async_request(request)
            await _pass_over(response)
        except (TimeoutError, httpx.TimeoutException):
            reason: Reason = "slow"
        except httpx.TransportError:
            reason = "away"
        else:
            if not response.is_success:
                raise EgressError("status", response.status_code)
            return
        raise EgressError(reason)

    async def aclose(self) -> None:
        """Close every connection."""
        for transport in {self._public, self._near}:
            await transport.aclose()

    def _checked(self, url: str, within: Sequence[str]) -> Url:
        """`url` if it may be asked for, by what can be said without the network."""
        place = read_url(url)
        if place is None or not any(is_within(url, base) for base in within):
            raise EgressError("refused")
        extra = place.origin in self._extra
        if place.scheme != "https" and not extra:
            raise EgressError("refused")
        address = read_address(place.host)
        allowed = is_public_or_near if extra else is_public
        if address is not None and not allowed(address):
            raise EgressError("refused")
        return place

    def _transport(self, place: Url) -> httpx.AsyncBaseTransport:
        return self._near if place.origin in self._extra else self._public

    async def _get(self, request: httpx.Request, place: Url) -> Document:
        response = await self._transport(place).handle_async_request(request)
        try:
            _check_headers(response)
            body = await _body(response)
        finally:
            await response.aclose()
        if len(body) < LARGE:
            parsed = json_object(body)
        else:
            parsed = await anyio.to_thread.run_sync(json_object, body, limiter=_LARGE_BODIES)
        if parsed is None:
            raise EgressError("not-json")
        return Document(parsed, _max_age(response))


def _network(resolve: Resolve, allowed: Allowed, tls: ssl.SSLContext) -> CheckedTransport:
    return CheckedTransport(CheckedNetwork(resolve, allowed), tls)


def _extra_origin(text: str) -> Origin:
    origin = read_origin(text)
    if origin is None:
        raise ValueError("an extra origin must be scheme://host or scheme://host:port")
    return origin


def _request(place: Url, token: str | None, seconds: float) -> httpx.Request:
    headers = dict(_HEADERS)
    if token is not None:
        if not _TOKEN.fullmatch(token):
            raise EgressError("refused")
        headers["Authorization"] = f"Bearer {token}"
    timeout = {"timeout": {"connect": seconds}}
    return httpx.Request("GET", str(place), headers=headers, extensions=timeout)


def _posted(
    place: Url, body: bytes, headers: Sequence[tuple[str, str]], seconds: float
) -> httpx.Request:
    sent = [("User-Agent", _HEADERS["User-Agent"]), ("Accept-Encoding", "identity"), *headers]
    timeout = {"timeout": {"connect": seconds}}
    try:
        return httpx.Request("POST", str(place), headers=sent, content=body, extensions=timeout)
    except UnicodeEncodeError:
        raise EgressError("refused") from None


async def _pass_over(response: httpx.Response) -> None:
    """Read the rest of an answer if it is short and comes at once; close it otherwise."""
    read = 0
    try:
        async with asyncio.timeout(_UNREAD_SECONDS):
            async for chunk in response.aiter_raw():
                read += len(chunk)
                if read > _MAX_UNREAD:
                    break
    except (TimeoutError, httpx.HTTPError):
        pass  # the status has told all
    finally:
        await response.aclose()


def _check_headers(response: httpx.Response) -> None:
    if response.status_code != httpx.codes.OK:
        raise EgressError("status", response.status_code)
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if kind not in _JSON or encoding != "identity":
        raise EgressError("not-json")


def _max_age(response: httpx.Response) -> float | None:
    """How long an answer is fresh yet, if Cache-Control tells. Source: RFC 9111, 5.1 and 5.2.2."""
    said = response.headers.get("cache-control", "")
    if _NOT_KEPT.search(said):
        return 0.0
    found = _MAX_AGE.search(said)
    if found is None:
        return None
    age = _AGE.match(response.headers.get("age", ""))
    return max(0.0, float(found[1]) - (float(age[0]) if age else 0.0))


async def _body(response: httpx.Response) -> bytes:
    """The body as sent, never decompressed."""
    body = bytearray()  # not a list of chunks: they may be of one byte each
    chunks = 0
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > MAX_BODY:
            raise EgressError("too-large")
        chunks += 1
        if chunks % _CHUNKS_IN_A_ROW == 0:  # one read may hold thousands, and none of them waits
            await asyncio.sleep(0)
    return bytes(body)
