"""Of each organization one piece of work at a time, and none waits for another's."""

import threading
from uuid import UUID

import anyio
import anyio.from_thread
import pytest

from wiser_fhir.web.turns import Turns, beside

ONE, OTHER = UUID(int=1), UUID(int=2)


def test_every_organization_has_one_turn() -> None:
    turns = Turns()
    assert turns.of(ONE) is turns.of(ONE)
    assert turns.of(ONE) is not turns.of(OTHER)
    assert turns.of(None) is turns.of(None)


async def test_the_work_of_one_holds_up_nobody_else() -> None:
    gate, started = threading.Event(), anyio.Event()
    begun: list[str] = []

    def wait(name: str) -> str:
        begun.append(name)
        anyio.from_thread.run_sync(started.set)
        assert gate.wait(10)
        return name

    async with anyio.create_task_group() as tasks:
        for name in ("first", "second", "third"):
            tasks.start_soon(beside, ONE, wait, name)
        await started.wait()
        with anyio.fail_after(5):
            assert await beside(OTHER, lambda a, b: a + b, 2, 3) == 5
        assert begun == ["first"]
        gate.set()
    assert begun == ["first", "second", "third"]


async def test_what_goes_wrong_is_told_and_the_turn_passes_on() -> None:
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            await beside(ONE, lambda: 1 // 0)
