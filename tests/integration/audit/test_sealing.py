"""The chain grows by what is final, in order, whoever seals and whatever comes between."""

import asyncio
import logging
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.integration.audit.chained import MASTER, Chained, others_are_done
from tests.integration.audit.conftest import Verify
from wiser_fhir.audit.chain import ChainKey, Keyring
from wiser_fhir.audit.recorder import AuditRow, write
from wiser_fhir.audit.sealing import Seen, TrailSealer, head_of
from wiser_fhir.clock import utc_now
from wiser_fhir.db.engine import transaction
from wiser_fhir.errors import Unavailable


async def sealed(chained: Chained) -> list[int]:
    found = await chained.rows("select sequence from audit_seal order by sequence")
    return [each["sequence"] for each in found]


async def test_rows_are_sealed_without_a_gap(chained: Chained, verifier: Verify) -> None:
    await chained.write(7)
    assert await chained.seal(batch=2) == 7
    await chained.write(2)
    assert await chained.seal() == 2
    assert await sealed(chained) == list(range(1, 10))
    report = await verifier().verify()
    assert (report.fault, report.sequence, report.sealed) == (None, 9, 9)


async def test_an_empty_trail_is_sound(chained: Chained, verifier: Verify) -> None:
    assert await chained.seal() == 0
    assert (await verifier().verify()).fault is None


async def test_a_row_that_is_committed_late_is_sealed_late_and_not_passed_over(
    chained: Chained, app_engine: AsyncEngine, verifier: Verify
) -> None:
    await chained.write()
    async with transaction(app_engine) as late:
        await write(late, AuditRow(uuid4(), "late.act", "done"))
        await chained.write(2)
        assert await chained.seal() == 1  # what came after might yet have something before it
    assert await chained.seal() == 3
    actions = await chained.rows(
        "select action from audit_seal join audit_event on id = audit_id order by sequence"
    )
    assert [each["action"] for each in actions] == [
        *("claim.submit", "late.act", "claim.submit", "claim.submit")
    ]
    assert (await verifier().verify()).fault is None


async def test_what_is_rolled_back_leaves_no_gap(
    chained: Chained, app_engine: AsyncEngine, verifier: Verify
) -> None:
    await chained.write()
    with pytest.raises(ZeroDivisionError):
        async with transaction(app_engine) as db:
            await write(db, AuditRow(uuid4(), "never.done", "done"))
            raise ZeroDivisionError
    await chained.write()
    assert await chained.seal() == 2
    assert (await verifier().verify()).fault is None


async def test_many_write_while_two_seal(chained: Chained, verifier: Verify) -> None:
    over = asyncio.Event()

    async def sealing() -> None:
        while not over.is_set():
            await chained.seal(batch=3)
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as group:
        sealers = [group.create_task(sealing()) for _ in range(2)]
        async with asyncio.TaskGroup() as writers:
            for _ in range(5):
                writers.create_task(chained.write(12))
        over.set()
        await asyncio.gather(*sealers)
    await chained.seal()
    assert await sealed(chained) == list(range(1, 61))
    assert (await verifier().verify()).fault is None


async def test_a_sealer_that_dies_before_its_commit_leaves_nothing_behind(
    chained: Chained, app_engine: AsyncEngine, verifier: Verify
) -> None:
    await chained.write(3)

    class Dying(ChainKey):
        """After rows were read, before they are sealed."""

        def mac(self, before: bytes, content: bytes) -> bytes:
            raise SystemError

    await others_are_done(chained.superuser)
    with pytest.raises(SystemError):
        await TrailSealer(app_engine, Keyring((Dying.of(MASTER),)), utc_now)()
    assert await sealed(chained) == []
    assert await chained.seal() == 3
    assert (await verifier().verify()).fault is None


async def test_the_application_seals_only_what_is_next(
    chained: Chained, app_engine: AsyncEngine
) -> None:
    await chained.write(3)
    rows = await chained.rows("select id from audit_event order by xact_id, id")
    first, second, third = (each["id"] for each in rows)
    for after, ids, macs in (
        (0, [second], 1),
        (0, [second, first], 2),
        (0, [first, third], 2),
        (0, [first, second], 1),
        (1, [first], 1),
    ):
        with pytest.raises((DBAPIError, Unavailable)):
            async with transaction(app_engine) as db:
                await db.execute(
                    text("select gate.audit_seal(:after, :ids, :macs, '0123456789abcdef')"),
                    {"after": after, "ids": ids, "macs": [bytes(32)] * macs},
                )
    assert await sealed(chained) == []


async def test_a_seal_says_when_it_was_put_whatever_the_clock_of_the_sealer(
    chained: Chained, app_engine: AsyncEngine, verifier: Verify
) -> None:
    await chained.write(2)
    await others_are_done(chained.superuser)
    keys = Keyring.of(MASTER)
    began = await chained.rows("select now() as at")
    assert await TrailSealer(app_engine, keys, lambda: utc_now() - timedelta(days=1_000), 1)() == 1
    async with transaction(app_engine) as db:
        found = await db.execute(text("select id from gate.audit_unsealed(1)"))
        seal = text("select gate.audit_seal(1, :ids, :macs, :key)")
        values = {"ids": list(found.scalars()), "macs": [bytes(32)], "key": keys.current.id}
        await db.execute(seal, values)
    times = await chained.rows("select sealed_at from audit_seal order by sequence")
    assert len(times) == 2
    assert all(began[0]["at"] <= each["sealed_at"] for each in times)
    fault = (await verifier().verify()).fault
    assert fault is not None
    assert (fault.kind, fault.sequence) == ("changed", 2)


@pytest.mark.parametrize(
    "statement",
    [
        "select * from audit_seal",
        "select * from gate.trail",
        "insert into audit_seal values (1, 1, decode(repeat('00', 32), 'hex'), now(), 'x')",
        "update audit_event set outcome = 'changed'",
        "delete from audit_event",
        "insert into audit_event (request_id, action, outcome, at)"
        " values (gen_random_uuid(), 'a', 'b', '2020-01-01')",
        "insert into audit_event (request_id, action, outcome, xact_id)"
        " values (gen_random_uuid(), 'a', 'b', '1')",
    ],
)
async def test_the_application_may_not(
    statement: str, chained: Chained, app_engine: AsyncEngine
) -> None:
    with pytest.raises(DBAPIError, match="permission denied"):
        async with transaction(app_engine) as db:
            await db.execute(text(statement))


async def test_nobody_changes_a_seal(chained: Chained, superuser_engine: AsyncEngine) -> None:
    await chained.write()
    await chained.seal()
    for statement in ("update audit_seal set key_id = key_id", "delete from audit_seal",
                      "truncate audit_seal"):  # fmt: skip
        with pytest.raises(DBAPIError, match="never changed"):
            async with superuser_engine.begin() as db:
                await db.execute(text(statement))


async def test_a_new_key_takes_over_from_a_sequence(chained: Chained, verifier: Verify) -> None:
    new = bytes(range(1, 33))
    await chained.write(2)
    await chained.seal()
    await chained.write(2)
    await chained.seal(new, [MASTER])
    assert (await verifier(Keyring.of(new, [MASTER])).verify()).fault is None
    fault = (await verifier(Keyring.of(new)).verify()).fault
    assert fault is not None
    assert (fault.kind, fault.sequence) == ("unknown-key", 1)
    fault = (await verifier(Keyring.of(MASTER)).verify()).fault
    assert fault is not None
    assert (fault.kind, fault.sequence) == ("unknown-key", 3)


async def test_what_an_old_key_seals_behind_a_new_one_is_forged(
    chained: Chained, verifier: Verify
) -> None:
    """As by whoever takes the old one for the newer."""
    new = bytes(range(1, 33))
    for key, before in ((MASTER, []), (new, [MASTER]), (MASTER, [new])):
        await chained.write()
        assert await chained.seal(key, before) == 1
    fault = (await verifier(Keyring.of(new, [MASTER])).verify()).fault
    assert fault is not None
    assert (fault.kind, fault.sequence) == ("forged-seal", 3)


async def test_a_worker_that_has_not_heard_of_a_new_key_seals_nothing_behind_it(
    chained: Chained, app_engine: AsyncEngine, verifier: Verify, caplog: pytest.LogCaptureFixture
) -> None:
    new = bytes(range(1, 33))
    behind, ahead = (
        TrailSealer(app_engine, keys, utc_now)
        for keys in (Keyring.of(MASTER), Keyring.of(new, [MASTER]))
    )
    done = []
    for sealer in (behind, ahead, behind, ahead):
        await chained.write()
        await others_are_done(chained.superuser)
        done.append(await sealer())
    assert done == [1, 1, 0, 2]
    errors = [each.message for each in caplog.records if each.levelno == logging.ERROR]
    assert errors == ["audit trail is sealed by an unknown key"]
    assert (await verifier(Keyring.of(new, [MASTER])).verify()).fault is None


async def test_nor_does_one_that_was_told_the_new_key_alone(
    chained: Chained, verifier: Verify
) -> None:
    new = bytes(range(1, 33))
    await chained.write()
    assert await chained.seal() == 1
    await chained.write()
    assert await chained.seal(new) == 0
    assert await chained.seal(new, [MASTER]) == 1
    assert (await verifier(Keyring.of(new, [MASTER])).verify()).fault is None


async def test_the_lag_is_told(
    chained: Chained, app_engine: AsyncEngine, caplog: pytest.LogCaptureFixture
) -> None:
    assert (await head_of(app_engine)).lag(utc_now()) == 0
    await chained.write()
    later = utc_now() + timedelta(seconds=60)
    assert (await head_of(app_engine)).lag(later) > 50
    await others_are_done(chained.superuser)
    with caplog.at_level(logging.WARNING, "wiser_fhir"):
        await TrailSealer(app_engine, Keyring.of(MASTER), lambda: later)()
    assert [each.message for each in caplog.records] == ["audit trail waits for its seal"]
    assert (await head_of(app_engine)).lag(later) == 0


async def test_a_deleted_end_is_neither_sealed_over_nor_stops_the_sealer(
    chained: Chained, verifier: Verify
) -> None:
    await chained.write(2)
    await chained.seal()
    await chained.tamper("delete from audit_event where id = (select max(id) from audit_event)")
    await chained.write()
    assert await chained.seal() == 1
    fault = (await verifier().verify()).fault
    assert fault is not None
    assert (fault.kind, fault.sequence) == ("deleted", 2)


CUT = (
    "delete from audit_event where id in (select audit_id from audit_seal where sequence > 2)",
    "delete from audit_seal where sequence > 2",
)


@pytest.mark.parametrize("again", [0, 2, 4])
async def test_a_sealer_that_runs_does_not_grow_over_a_cut(
    again: int, chained: Chained, app_engine: AsyncEngine, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever has not seen what was cut goes on: to less than there was, as much, or more."""
    sealer = TrailSealer(app_engine, Keyring.of(MASTER), utc_now)
    await chained.write(4)
    await others_are_done(chained.superuser)
    assert await sealer() == 4
    await chained.tamper(*CUT)
    if again == 4:  # it finds the cut before the chain has grown beyond it
        assert await sealer() == 0
    await chained.write(again)
    assert await chained.seal() == again
    await chained.write()
    await others_are_done(chained.superuser)
    caplog.clear()
    assert [await sealer(), await sealer()] == [0, 0]
    told = [(each.message, each.__dict__["count"]) for each in caplog.records]
    assert told == [("audit trail was cut", 2 + again)] * 2
    assert await TrailSealer(app_engine, Keyring.of(MASTER), utc_now)() == 1


async def test_what_others_have_sealed_is_no_cut(
    chained: Chained, app_engine: AsyncEngine, verifier: Verify
) -> None:
    one, other = (TrailSealer(app_engine, Keyring.of(MASTER), utc_now) for _ in range(2))
    for sealer in (one, other, other, one):
        await chained.write()
        await others_are_done(chained.superuser)
        assert await sealer() == 1
    await chained.tamper(
        "delete from audit_event where id in (select audit_id from audit_seal where sequence = 4)",
        "delete from audit_seal where sequence = 4",
    )
    assert (await other(), other.seen.cut, await one(), one.seen.cut) == (0, False, 0, True)


async def test_what_was_rolled_back_was_not_cut(
    chained: Chained, app_engine: AsyncEngine, verifier: Verify
) -> None:
    class Failing(TrailSealer):
        async def _seal(self, *arguments: Any) -> bytes:
            await super()._seal(*arguments)
            raise SystemError

    seen = Seen()
    await chained.write(2)
    await others_are_done(chained.superuser)
    with pytest.raises(SystemError):
        await Failing(app_engine, Keyring.of(MASTER), utc_now, seen=seen)()
    assert await TrailSealer(app_engine, Keyring.of(MASTER), utc_now, seen=seen)() == 2
    assert (await verifier().verify()).fault is None


def test_who_comes_late_with_less_does_not_forget() -> None:
    """As when one process seals twice at once, and hears of the first last."""
    seen = Seen()
    seen.reach(4, b"four")
    seen.reach(3, b"three")
    assert (seen.sequence, seen.mac, seen.cut) == (4, b"four", False)
