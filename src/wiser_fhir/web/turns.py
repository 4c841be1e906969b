"""Turns: of each organization a few at a time, so that none holds up another with its own work."""

from collections.abc import Callable
from typing import TypeVar, TypeVarTuple
from uuid import UUID

from anyio import CapacityLimiter, to_thread

_Result = TypeVar("_Result")
_Given = TypeVarTuple("_Given")


class Turns:
    """The turn of each organization, to be held while something is done for it."""

    def __init__(self, at_once: int = 1) -> None:
        self._at_once = at_once
        self._turns: dict[UUID | None, CapacityLimiter] = {}

    def of(self, organization_id: UUID | None) -> CapacityLimiter:
        """The turn of an organization; strangers share one."""
        if organization_id not in self._turns:
            self._turns[organization_id] = CapacityLimiter(self._at_once)
        return self._turns[organization_id]


# One organization alone cannot fill them all.
_CLOSE_LOOKS = CapacityLimiter(2)
_turns = Turns()
# As many as an organization's share of the database keeps busy; more would only stand in the way.
_at_work = Turns(8)


def at_work(organization_id: UUID) -> CapacityLimiter:
    """An organization's turn to have a request of its own worked on, to be held meanwhile.

    The event loop serves whoever came first, so of a flood all would come before the next caller.
    """
    return _at_work.of(organization_id)


async def beside(
    organization_id: UUID, work: Callable[[*_Given], _Result], *given: *_Given
) -> _Result:
    """What `work` makes of what is given, worked out beside the event loop: of each organization
    one piece at a time, and few pieces of all.
    """
    async with _turns.of(organization_id):
        return await to_thread.run_sync(work, *given, limiter=_CLOSE_LOOKS)
