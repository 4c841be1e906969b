"""Turns: of each organization one at a time, so that none holds up another with its own work."""

from collections.abc import Callable
from typing import TypeVar, TypeVarTuple
from uuid import UUID

from anyio import CapacityLimiter, to_thread

_Result = TypeVar("_Result")
_Given = TypeVarTuple("_Given")


class Turns:
    """The turn of each organization, to be held while something is done for it."""

    def __init__(self) -> None:
        self._turns: dict[UUID | None, CapacityLimiter] = {}

    def of(self, organization_id: UUID | None) -> CapacityLimiter:
        """The turn of an organization; strangers share one."""
        if organization_id not in self._turns:
            self._turns[organization_id] = CapacityLimiter(1)
        return self._turns[organization_id]


# One organization alone cannot fill them all.
_CLOSE_LOOKS = CapacityLimiter(2)
_turns = Turns()


async def beside(
    organization_id: UUID, work: Callable[[*_Given], _Result], *given: *_Given
) -> _Result:
    """What `work` makes of what is given, worked out beside the event loop: of each organization
    one piece at a time, and few pieces of all.
    """
    async with _turns.of(organization_id):
        return await to_thread.run_sync(work, *given, limiter=_CLOSE_LOOKS)
