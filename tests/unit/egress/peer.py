"""Another server as an httpx transport, and how the tests ask it."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any
from uuid import UUID

import httpx
import pytest

from wiser_fhir.egress.client import Egress, EgressError

BASE = "https://ehr.example/fhir"
PATIENT = f"{BASE}/Patient/ada"
TENANT = UUID(int=1)
OTHER_TENANT = UUID(int=2)
TOKEN = "canary.token-0123456789"
FHIR = {"Content-Type": "application/fhir+json;charset=UTF-8"}


class Peer(httpx.AsyncBaseTransport):
    """Another server: answers always the same, remembers what it was sent."""

    def __init__(
        self,
        content: bytes | AsyncIterator[bytes] = b'{"resourceType": "Patient"}',
        *,
        status: int = 200,
        headers: dict[str, str] | Sequence[tuple[str, str]] = FHIR,
        error: Exception | None = None,
    ) -> None:
        self.content = content
        self.status = status
        self.headers = headers
        self.error = error
        self.requests: list[httpx.Request] = []
        self.closed = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        if self.error is not None:
            raise self.error
        self.body = Content(self.content)
        return httpx.Response(self.status, headers=self.headers, stream=self.body)

    async def aclose(self) -> None:
        self.closed += 1


class Content(httpx.AsyncByteStream):
    """A body as it comes over the wire."""

    def __init__(self, content: bytes | AsyncIterator[bytes]) -> None:
        self.content = content
        self.closed = False

    async def aclose(self) -> None:
        self.closed = True

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if isinstance(self.content, bytes):
            yield self.content
        else:
            async for chunk in self.content:
                yield chunk


async def get(peer: httpx.AsyncBaseTransport, url: str = PATIENT, **more: Any) -> Any:
    egress = Egress(transport=peer)
    return await egress.get_json(url, **{"within": [BASE], "tenant": TENANT, **more})


async def failure(peer: httpx.AsyncBaseTransport, url: str = PATIENT, **more: Any) -> EgressError:
    with pytest.raises(EgressError) as caught:
        await get(peer, url, **more)
    return caught.value


class Waiting(httpx.AsyncBaseTransport):
    """Answers when it is told to; counts who waits."""

    def __init__(self) -> None:
        self.waiting = 0
        self.go = asyncio.Event()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.waiting += 1
        await self.go.wait()
        return httpx.Response(200, headers=FHIR, stream=Content(b"{}"))
