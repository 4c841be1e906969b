"""Subscribers of an organization with a case, and senders on a real Postgres."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.clocks import StillClock
from tests.database import MakeCase, MakeOrganization
from tests.integration.notify.listening import TAKEN, Listener, listening
from tests.integration.notify.subscribers import START, MakeSender, MakeSubscriber, Subscriber
from wiser_fhir.audit.recorder import Recorder
from wiser_fhir.egress.client import Egress
from wiser_fhir.notify.sender import Sender
from wiser_fhir.pas.notices import Notices, Trail
from wiser_fhir.priorauth.models import CaseStatus
from wiser_fhir.priorauth.numbers import time_ordered_uuid


@pytest.fixture
def clock() -> StillClock:
    return StillClock(START)


@pytest.fixture
def make_subscriber(
    app_engine: AsyncEngine,
    superuser_engine: AsyncEngine,
    make_organization: MakeOrganization,
    make_case: MakeCase,
    clock: StillClock,
) -> MakeSubscriber:
    """A client of a new organization, registered to be told at `hosts`."""

    async def make(*hosts: str) -> Subscriber:
        organization_id, client_id = await make_organization(), time_ordered_uuid()
        async with superuser_engine.begin() as db:
            await db.execute(
                text(
                    "insert into client (id, organization_id, name, scopes, notify_hosts)"
                    " values (:id, :organization_id, :name, '{}', :hosts)"
                ),
                {
                    "id": client_id,
                    "organization_id": organization_id,
                    "name": f"client-{uuid4()}",
                    "hosts": list(hosts),
                },
            )
        case = await make_case(
            CaseStatus.IN_REVIEW,
            organization_id=organization_id,
            answer=b'{"resourceType": "Bundle", "type": "collection"}',
        )
        return Subscriber(app_engine, superuser_engine, clock, organization_id, client_id, case.id)

    return make


@pytest.fixture
async def listener() -> AsyncIterator[Listener]:
    async with listening(TAKEN) as found:
        yield found


@pytest.fixture
async def subscriber(make_subscriber: MakeSubscriber, listener: Listener) -> Subscriber:
    """A client that may be told at the listener."""
    return await make_subscriber(listener.origin)


@pytest.fixture
async def make_sender(
    app_engine: AsyncEngine, clock: StillClock, listener: Listener
) -> AsyncIterator[MakeSender]:
    """A sender that may call this machine; keywords are those of `Sender`."""
    made: list[Egress] = []

    def make(*origins: str, **changes: Any) -> Sender:
        egress = Egress([listener.origin, *origins])
        made.append(egress)
        trail = Trail(Recorder(app_engine, b"k" * 32))
        return Sender(app_engine, egress, Notices(), trail, clock, **changes)

    yield make
    for egress in made:
        await egress.aclose()


@pytest.fixture
def sender(make_sender: MakeSender) -> Sender:
    return make_sender()
