"""The pended workflow of the input pack with a subscriber: judged as the public suites judge it."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.bundle_values import Json, Line
from tests.clocks import StillClock
from tests.conformance.inferno.pas.build import inputs
from tests.conformance.pas.suite_notification import (
    envelope_faults,
    full_resource_faults,
    id_only_faults,
)
from tests.integration.notify.listening import TAKEN, Listener, listening
from tests.integration.pas.door import Client, MakeClient
from tests.integration.pas.subscribing import may_be_told, subscribed
from tests.integration.sandbox.staging import set_the_stage
from wiser_fhir.egress.client import Egress
from wiser_fhir.notify.sender import Sender
from wiser_fhir.pas.notices import Notices, Trail
from wiser_fhir.sandbox.scripted import Stage

TOKEN = "Authorization: Bearer made-up-token"


@dataclass(frozen=True)
class Told:
    """A client whose system listens, and everybody who makes it hear something."""

    client: Client
    listener: Listener
    sender: Sender
    stage: Stage
    clock: StillClock

    async def subscribe(self) -> Json:
        """The pack's Subscription, with the endpoint and the token that a suite puts in."""
        asked: Any = inputs(self.client.line)["subscription_resource"]
        channel = {**asked["channel"], "endpoint": f"{self.listener.origin}/told"}
        made = await subscribed(self.client, {**asked, "channel": channel | {"header": [TOKEN]}})
        await self.wait(5)
        return made

    async def wait(self, seconds: int) -> None:
        """Time goes by, with workers at their work."""
        self.clock.now += timedelta(seconds=seconds)
        await self.stage()
        await self.sender.deliver_due()
        while self.sender.is_busy:
            await self.sender.deliver_due()

    async def submit(self) -> Json:
        """The pack's pended request."""
        body: Any = inputs(self.client.line)["pended_pa_submit_request_payload"]
        answer: Json = (await self.client.submit(body)).json()
        return answer


@pytest.fixture
async def told(
    app: FastAPI,
    monkeypatch: pytest.MonkeyPatch,
    superuser_engine: AsyncEngine,
    make_client: MakeClient,
    clock: StillClock,
    line: Line,
) -> AsyncIterator[Told]:
    client = await make_client(line)
    stage = await set_the_stage(app, monkeypatch, superuser_engine)
    async with listening(TAKEN) as listener:
        await may_be_told(superuser_engine, client, listener.origin)
        egress = Egress([listener.origin])
        trail = Trail(app.state.recorder)
        sender = Sender(app.state.engine, egress, Notices(), trail, clock)
        yield Told(client, listener, sender, stage, clock)
        await sender.aclose()
        await egress.aclose()


async def test_the_subscription_is_taken_and_greeted(told: Told) -> None:
    made = await told.subscribe()
    assert (made["status"], made["channel"]["type"]) == ("requested", "rest-hook")
    assert made["channel"]["header"] == [TOKEN]
    (greeting,) = told.listener.heard
    assert list(envelope_faults(greeting.notification, "handshake", made)) == []
    assert TOKEN.lower() in greeting.head.lower()
    assert "content-type: application/fhir+json" in greeting.head.lower()


async def test_the_decision_is_told(told: Told) -> None:
    made = await told.subscribe()
    await told.submit()
    await told.wait(4)
    assert told.listener.kinds == ["handshake"]
    await told.wait(2)
    assert told.listener.kinds == ["handshake", "event-notification"]
    event = told.listener.heard[-1]
    assert list(envelope_faults(event.notification, "event-notification", made)) == []
    content = {"2.2": full_resource_faults, "2.0": id_only_faults}[told.client.line]
    assert list(content(event.notification)) == []
    assert TOKEN.lower() in event.head.lower()


async def test_a_repeated_run_hears_it_again(told: Told) -> None:
    """The request is decided already: only who subscribed since is told, and told once."""
    first = await told.subscribe()
    answer = await told.submit()
    await told.wait(6)
    second = await told.subscribe()
    assert told.listener.kinds == ["handshake", "event-notification", "handshake"]
    assert await told.submit() == answer
    await told.wait(6)
    assert await told.submit() == answer
    await told.wait(6)
    assert told.listener.kinds[3:] == ["event-notification"]
    event = told.listener.heard[-1].notification
    assert list(envelope_faults(event, "event-notification", second)) == []
    assert first["id"] != second["id"]
