# ruff: noqa: S608 - statements of a superuser, made of our own numbers
"""Whatever somebody with all rights does to the trail, the first row of it is named."""

from dataclasses import replace
from datetime import timedelta
from itertools import chain as chained
from itertools import repeat
from pathlib import Path

import pytest

from tests.integration.audit.chained import MASTER, Chained
from tests.integration.audit.conftest import Verify
from wiser_fhir.audit.chain import COLUMNS, Fault, Keyring
from wiser_fhir.audit.checkpoints import SigningKeys, new_signing_key
from wiser_fhir.audit.verifying import Verifier
from wiser_fhir.db.base import audit_event

CHANGES = {
    "at": "at = at + interval '1 microsecond'",
    "xact_id": "xact_id = (xact_id::text::bigint + 1)::text::xid8",
    "organization_id": "organization_id = gen_random_uuid()",
    "client_id": "client_id = null",
    "request_id": "request_id = gen_random_uuid()",
    "action": "action = 'claim.inquire'",
    "outcome": "outcome = 'dismissed'",
    "object_kind": "object_kind = 'claim'",
    "object_id": "object_id = 'another'",
    "patient": "patient = decode(repeat('00', 32), 'hex')",
    "detail": "detail = detail || '{\"number\": 99}'",
    "person_id": "person_id = null",
}
SEAL_CHANGES = {
    "mac": "mac = decode(repeat('07', 32), 'hex')",
    "sealed_at": "sealed_at = sealed_at + interval '1 microsecond'",
    "key_id": "key_id = '0123456789abcdef'",
}


async def found(verifier: Verifier) -> Fault:
    fault = (await verifier.verify()).fault
    assert fault is not None
    return fault


@pytest.fixture
async def chain(chained: Chained) -> Chained:
    """Ten sealed rows and a checkpoint."""
    await chained.write(10)
    await chained.seal()
    await chained.checkpoint()
    return chained


def test_a_seal_covers_every_column_there_is() -> None:
    assert set(COLUMNS) == set(audit_event.columns.keys()) == {"id", *CHANGES}


@pytest.mark.parametrize("at", [1, 5, 10])
@pytest.mark.parametrize("column", CHANGES)
async def test_a_changed_column_is_found(
    column: str, at: int, chain: Chained, verifier: Verify
) -> None:
    audit_id = (await chain.ids())[at - 1]
    await chain.tamper(f"update audit_event set {CHANGES[column]} where id = {audit_id}")
    fault = await found(verifier())
    assert (fault.kind, fault.sequence, fault.audit_id) == ("changed", at, audit_id)


@pytest.mark.parametrize("at", [1, 5, 10])
async def test_another_id_is_found(at: int, chain: Chained, verifier: Verify) -> None:
    audit_id = (await chain.ids())[at - 1]
    names = ", ".join(name for name in COLUMNS if name != "id")
    await chain.tamper(
        f"insert into audit_event (id, {names}) overriding system value"
        f" select 1000000, {names} from audit_event where id = {audit_id}",
        f"delete from audit_event where id = {audit_id}",
    )
    fault = await found(verifier())
    assert (fault.kind, fault.sequence, fault.audit_id) == ("deleted", at, audit_id)
    await chain.tamper(f"update audit_seal set audit_id = 1000000 where sequence = {at}")
    fault = await found(verifier())
    assert (fault.sequence, fault.audit_id) == (at, 1000000)


@pytest.mark.parametrize("at", [1, 5, 10])
@pytest.mark.parametrize("column", SEAL_CHANGES)
async def test_a_changed_seal_is_found(
    column: str, at: int, chain: Chained, verifier: Verify
) -> None:
    audit_id = (await chain.ids())[at - 1]
    await chain.tamper(f"update audit_seal set {SEAL_CHANGES[column]} where sequence = {at}")
    fault = await found(verifier())
    assert (fault.sequence, fault.audit_id) == (at, audit_id)
    certain = {"mac": "changed" if at == 10 else "forged-seal", "sealed_at": "changed"}
    assert fault.kind == certain.get(column, "unknown-key")


async def test_a_deleted_row_is_found(chain: Chained, verifier: Verify) -> None:
    audit_id = (await chain.ids())[3]
    await chain.tamper(f"delete from audit_event where id = {audit_id}")
    fault = await found(verifier())
    assert (fault.kind, fault.sequence, fault.audit_id) == ("deleted", 4, audit_id)


async def test_a_row_deleted_with_its_seal_is_found(chain: Chained, verifier: Verify) -> None:
    audit_id = (await chain.ids())[3]
    await chain.tamper(
        f"delete from audit_event where id = {audit_id}",
        f"delete from audit_seal where audit_id = {audit_id}",
    )
    fault = await found(verifier())
    assert (fault.kind, fault.sequence) == ("deleted", 4)


async def test_closing_the_gap_does_not_help(chain: Chained, verifier: Verify) -> None:
    ids = await chain.ids()
    await chain.tamper(
        f"delete from audit_event where id = {ids[3]}",
        "delete from audit_seal where sequence = 4",
        *(f"update audit_seal set sequence = {n - 1} where sequence = {n}" for n in range(5, 11)),
    )
    fault = await found(verifier())
    assert (fault.sequence, fault.audit_id) == (4, ids[4])


async def test_a_cut_end_is_found_by_the_checkpoint_alone(chain: Chained, verifier: Verify) -> None:
    ids = await chain.ids()
    await chain.tamper(
        "delete from audit_seal where sequence > 7",
        f"delete from audit_event where id in ({ids[7]}, {ids[8]}, {ids[9]})",
    )
    fault = await found(verifier())
    assert (fault.kind, fault.sequence) == ("truncated", 8)
    blind = await verifier(checkpoints=False).verify()
    assert blind.fault is None
    assert blind.notes == ("no checkpoints: what was cut off the end is not seen",)


async def test_a_trail_that_is_gone_is_found(chain: Chained, verifier: Verify) -> None:
    await chain.tamper("delete from audit_seal", "delete from audit_event")
    fault = await found(verifier())
    assert (fault.kind, fault.sequence) == ("truncated", 1)


async def test_an_end_that_grew_again_is_found(chain: Chained, verifier: Verify) -> None:
    """Even by somebody who has the key of the chain, if not that of the checkpoints."""
    ids = await chain.ids()
    await chain.tamper(
        "delete from audit_seal where sequence > 7",
        f"delete from audit_event where id in ({ids[7]}, {ids[8]}, {ids[9]})",
    )
    await chain.write(5)
    await chain.seal()
    fault = await found(verifier())
    assert (fault.kind, fault.sequence) == ("rewritten", 10)


@pytest.mark.parametrize(("one", "other"), [(3, 4), (2, 9)])
async def test_rows_that_changed_places_are_found(
    one: int, other: int, chain: Chained, verifier: Verify
) -> None:
    ids = await chain.ids()
    await chain.tamper(
        f"update audit_seal set audit_id = -1 where sequence = {one}",
        f"update audit_seal set audit_id = {ids[one - 1]} where sequence = {other}",
        f"update audit_seal set audit_id = {ids[other - 1]} where sequence = {one}",
    )
    fault = await found(verifier())
    assert (fault.kind, fault.sequence, fault.audit_id) == ("reordered", one, ids[other - 1])


async def test_seals_that_changed_places_are_found(chain: Chained, verifier: Verify) -> None:
    ids = await chain.ids()
    await chain.tamper(
        "update audit_seal set sequence = 99 where sequence = 3",
        "update audit_seal set sequence = 3 where sequence = 4",
        "update audit_seal set sequence = 4 where sequence = 99",
    )
    fault = await found(verifier())
    assert (fault.kind, fault.sequence, fault.audit_id) == ("reordered", 3, ids[3])


_FORGED = """
insert into audit_event (request_id, action, outcome, xact_id, at)
select gen_random_uuid(), 'claim.submit', 'affirmed', xact_id, at from audit_event
order by id limit 1 offset {after}
"""


async def test_a_row_put_in_between_is_found(chain: Chained, verifier: Verify) -> None:
    await chain.tamper(_FORGED.format(after=4))
    forged = (await chain.rows("select max(id) as id from audit_event"))[0]["id"]
    fault = await found(verifier())
    assert (fault.kind, fault.audit_id) == ("inserted", forged)


async def test_a_row_put_at_the_end_with_a_seal_is_found(chain: Chained, verifier: Verify) -> None:
    await chain.write()
    await chain.tamper(
        "insert into audit_seal select 11, max(id), decode(repeat('05', 32), 'hex'), now(),"
        " (select key_id from audit_seal limit 1) from audit_event"
    )
    forged = (await chain.rows("select max(id) as id from audit_event"))[0]["id"]
    fault = await found(verifier())
    assert (fault.kind, fault.sequence, fault.audit_id) == ("changed", 11, forged)


async def test_rows_that_nobody_seals_are_found(chain: Chained, verifier: Verify) -> None:
    await chain.write()
    assert (await verifier().verify()).fault is None
    fault = await found(verifier(later=timedelta(minutes=6)))
    assert (fault.kind, fault.sequence) == ("unsealed", 11)


async def test_a_chain_made_with_another_key_is_found(chained: Chained, verifier: Verify) -> None:
    await chained.write(3)
    await chained.seal(bytes(32))
    key_id = Keyring.of(MASTER).current.id
    await chained.tamper(f"update audit_seal set key_id = '{key_id}'")
    fault = await found(verifier())
    assert (fault.kind, fault.sequence) == ("changed", 1)


async def test_a_checkpoint_that_was_changed_is_found(chain: Chained, verifier: Verify) -> None:
    [file] = chain.folder.files()
    file.chmod(0o600)
    head, payload, signature = file.read_bytes().split(b".")
    file.write_bytes(b".".join([head, payload[:-4] + b"AAAA", signature]))
    fault = await found(verifier())
    assert fault.kind == "checkpoint"
    assert file.name in fault.text


async def test_a_checkpoint_of_somebody_else_is_none(
    chain: Chained, verifier: Verify, owner_engine: object
) -> None:
    stranger = SigningKeys.read(new_signing_key().decode())
    made = verifier()
    fault = await found(Verifier(made.engine, made.keys, made.clock, made.folder, stranger))
    assert fault.kind == "checkpoint"


async def test_an_empty_checkpoint_is_told_of(chain: Chained, verifier: Verify) -> None:
    chain.folder.file(99).touch()
    report = await verifier().verify()
    assert report.fault is None
    assert report.checkpoints == 1
    assert report.notes == (
        "0000000000000099.jws is empty and vouches for nothing; the next counts on it",
    )


async def test_a_checkpoint_is_never_written_twice(chain: Chained) -> None:
    [file] = chain.folder.files()
    before = file.read_bytes()
    await chain.checkpoint()
    assert chain.folder.files() == [file]
    assert file.read_bytes() == before
    await chain.write()
    await chain.seal()
    await chain.checkpoint()
    assert [each.stem for each in chain.folder.files()] == [f"{10:016d}", f"{11:016d}"]


async def test_one_may_begin_at_a_checkpoint(chain: Chained, verifier: Verify) -> None:
    """As after a fault that is known: what lies before is not looked at."""
    await chain.tamper("update audit_event set outcome = 'x' where outcome = 'affirmed'")
    await chain.write(2)
    await chain.seal()
    [file] = chain.folder.files()
    report = await verifier().verify(file)
    assert (report.fault, report.sealed, report.sequence) == (None, 2, 12)
    assert (await found(verifier())).sequence == 1


async def test_one_does_not_begin_at_what_is_no_checkpoint(
    chain: Chained, verifier: Verify, tmp_path: Path
) -> None:
    no_checkpoint = tmp_path / "no-checkpoint"
    no_checkpoint.write_text("a.b.c")
    with pytest.raises(ValueError, match="not signed by a key of ours"):
        await verifier().verify(no_checkpoint)


async def test_what_cannot_be_checked_is_no_beginning(chain: Chained, verifier: Verify) -> None:
    [file] = chain.folder.files()
    assert (await verifier().verify(file)).sealed == 0
    with pytest.raises(ValueError, match="without the key that signed it"):
        await verifier(checkpoints=False).verify(file)
    with pytest.raises(ValueError, match="none of ours"):
        await verifier(Keyring.of(bytes(32))).verify(file)
    empty = chain.folder.file(99)
    empty.touch()
    with pytest.raises(ValueError, match="is empty"):
        await verifier().verify(empty)


async def cut(chain: Chained, after: int) -> None:
    """Take away the seals behind a sequence and their rows."""
    behind = f"select audit_id from audit_seal where sequence > {after}"
    await chain.tamper(
        f"delete from audit_event where id in ({behind})",
        f"delete from audit_seal where sequence > {after}",
    )


@pytest.mark.parametrize("after", [9, 3])
async def test_a_chain_that_was_cut_is_found_though_one_begins_at_a_checkpoint(
    after: int, chain: Chained, verifier: Verify
) -> None:
    [file] = chain.folder.files()
    await cut(chain, after)
    report = await verifier().verify(file)
    assert report.fault is not None
    assert (report.fault.kind, report.fault.sequence) == ("truncated", 10)


async def test_so_is_one_that_grew_again(chain: Chained, verifier: Verify) -> None:
    [file] = chain.folder.files()
    await cut(chain, 7)
    await chain.write(5)
    await chain.seal()
    report = await verifier().verify(file)
    assert report.fault is not None
    assert (report.fault.kind, report.fault.sequence) == ("rewritten", 10)


async def test_behind_a_row_that_is_known_to_be_gone_the_chain_goes_on(
    chain: Chained, verifier: Verify
) -> None:
    await chain.write(2)
    await chain.seal()
    await chain.tamper(f"delete from audit_event where id = {(await chain.ids())[9]}")
    [file] = chain.folder.files()
    report = await verifier().verify(file)
    assert (report.fault, report.sealed) == (None, 2)
    assert (await found(verifier())).sequence == 10


async def test_without_the_key_that_signed_them_checkpoints_are_none(
    chain: Chained, verifier: Verify
) -> None:
    made = verifier()
    fault = await found(Verifier(made.engine, made.keys, made.clock, made.folder))
    assert (fault.kind, "not signed by a key of ours" in fault.text) == ("checkpoint", True)


async def test_a_folder_that_was_emptied_is_found(
    chain: Chained, verifier: Verify, tmp_path: Path
) -> None:
    [file] = chain.folder.files()
    kept = file.rename(tmp_path / "kept.jws")
    young = await verifier().verify()
    assert young.fault is None
    assert young.notes == ("no checkpoint yet: what was cut off the end is not seen",)
    late = timedelta(hours=2, minutes=1)
    fault = await found(verifier(later=late))
    assert (fault.kind, fault.sequence) == ("checkpoint", 1)
    assert (await verifier(later=late).verify(kept)).fault is None
    assert (await verifier(checkpoints=False, later=late).verify()).fault is None


async def test_seals_that_nothing_vouches_for_in_two_hours_are_found(
    chain: Chained, verifier: Verify
) -> None:
    await chain.write(2)
    await chain.seal()
    assert (await verifier(later=timedelta(hours=1, minutes=59)).verify()).fault is None
    fault = await found(verifier(later=timedelta(hours=2, minutes=1)))
    assert (fault.kind, fault.sequence) == ("checkpoint", 11)


async def test_what_was_vouched_for_while_the_chain_was_read_is_not_among_them(
    chain: Chained, verifier: Verify
) -> None:
    await chain.write(2)
    await chain.seal()
    begun = verifier()
    instants = chained([begun.clock()], repeat(begun.clock() + timedelta(hours=3)))
    assert (await replace(begun, clock=lambda: next(instants)).verify()).fault is None


@pytest.mark.parametrize("gone", [10, 12])
async def test_a_checkpoint_that_is_gone_is_found_by_the_next(
    gone: int, chain: Chained, verifier: Verify
) -> None:
    for count in (2, 3):
        await chain.write(count)
        await chain.seal()
        await chain.checkpoint()
    assert (await verifier().verify()).checkpoints == 3
    chain.folder.file(gone).unlink()
    fault = await found(verifier())
    assert (fault.kind, fault.sequence) == ("checkpoint", gone)
    last = chain.folder.file(15)
    assert (await verifier().verify(last)).fault is None


async def test_one_that_a_killed_worker_left_empty_is_not_gone(
    chain: Chained, verifier: Verify
) -> None:
    await chain.write()
    await chain.seal()
    chain.folder.file(11).touch()
    await chain.write(2)
    await chain.seal()
    await chain.checkpoint()
    report = await verifier().verify()
    assert (report.fault, report.checkpoints) == (None, 2)


async def test_of_a_chain_that_has_not_begun_there_is_no_checkpoint(chained: Chained) -> None:
    await chained.write()
    await chained.checkpoint()
    assert chained.folder.files() == []
