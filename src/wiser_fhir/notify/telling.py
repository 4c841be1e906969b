"""What senders are handed: how a notification is put, and where it is put on record."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from wiser_fhir.notify.subscriptions import Event, Subscription

Kind = Literal["handshake", "event-notification", "heartbeat"]


@dataclass(frozen=True, slots=True)
class Channel:
    """Where a subscriber listens, and what it wants to be sent there each time."""

    endpoint: str = field(repr=False)
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    media_type: str
    seconds: float | None = None


class Wording(Protocol):
    """How a notification is put. `at` is the instant of sending."""

    def channel(self, told: Subscription) -> Channel:
        """Where and how to tell it."""
        ...

    def handshake(self, told: Subscription, at: datetime) -> bytes:
        """Asks whether anybody listens."""
        ...

    def event(self, told: Subscription, event: Event, at: datetime) -> bytes:
        """Tells of one event."""
        ...

    def heartbeat(self, told: Subscription, at: datetime) -> bytes:
        """Says that there is nothing to tell."""
        ...


@dataclass(frozen=True, slots=True)
class Told:
    """What is put on record: something was heard, or no more is tried (`outcome` gave-up).

    `carried` is when the answer was given that the notification held, None where it only named one.
    """

    at: datetime
    organization_id: UUID
    client_id: UUID
    subscription_id: UUID
    kind: Kind
    outcome: Literal["heard", "gave-up"]
    number: int | None = None
    case_id: UUID | None = None
    carried: datetime | None = None


Record = Callable[[AsyncConnection, Told], Awaitable[None]]
