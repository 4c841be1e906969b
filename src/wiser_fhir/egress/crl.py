"""Gets lists of revoked certificates from where an operator says they are.

By http too, unlike everything else that leaves here: that is how authorities publish them, and a
list carries its issuer's signature, without which nobody takes it. What it is called for is named
in a setting, never by a certificate or a caller; nothing is sent but the request, no redirect is
followed, and the address must be public.
"""

import asyncio
import ssl
from collections.abc import Collection

import httpx

from wiser_fhir.egress.addresses import is_public, is_public_or_near
from wiser_fhir.egress.errors import EgressError, Reason
from wiser_fhir.egress.transport import CheckedNetwork, CheckedTransport, Resolve, system_resolve
from wiser_fhir.egress.url import read_url

MAX_BODY = 20 * 1024 * 1024
SECONDS = 15.0
_HEADERS = {"Accept-Encoding": "identity", "User-Agent": "wiser-fhir"}


class CrlEgress:
    """`urls` are all that is ever asked for. `near`: so are private addresses, as in a sandbox."""

    def __init__(
        self,
        urls: Collection[str],
        *,
        near: bool = False,
        transport: httpx.AsyncBaseTransport | None = None,
        resolve: Resolve = system_resolve,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._urls = frozenset(urls)
        if transport is None:
            network = CheckedNetwork(resolve, is_public_or_near if near else is_public)
            transport = CheckedTransport(network, tls or ssl.create_default_context())
        self._transport = transport

    async def get(self, url: str) -> bytes:
        """What is at `url`, 20 MiB at most, within 15 seconds. Raises EgressError."""
        place = read_url(url)
        if place is None or url not in self._urls:
            raise EgressError("refused")
        timeout = {"timeout": {"connect": SECONDS}}
        request = httpx.Request("GET", str(place), headers=_HEADERS, extensions=timeout)
        try:
            async with asyncio.timeout(SECONDS):
                return await self._body(request)
        except (TimeoutError, httpx.TimeoutException):
            reason: Reason = "slow"
        except httpx.TransportError:
            reason = "away"
        raise EgressError(reason)

    async def _body(self, request: httpx.Request) -> bytes:
        response = await self._transport.handle_async_request(request)
        try:
            if response.status_code != httpx.codes.OK:
                raise EgressError("status", response.status_code)
            body = bytearray()
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > MAX_BODY:
                    raise EgressError("too-large")
        finally:
            await response.aclose()
        return bytes(body)

    async def aclose(self) -> None:
        """Close every connection."""
        await self._transport.aclose()
