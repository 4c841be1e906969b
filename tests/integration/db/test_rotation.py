"""Keys change while everybody works: nothing fails and nothing is lost, whoever is killed."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import LargeBinary, event, select, text, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.cases import a_case, a_submission, a_write
from tests.database import MakeCase, MakeOrganization
from tests.filling import fill, is_empty
from tests.ledger_values import a_call, an_assertion, an_audit, insert_client
from tests.vaults import ENVIRONMENT, INDEX, SECRET
from wiser_fhir.db import rotation
from wiser_fhir.db.embedded import Urls
from wiser_fhir.db.engine import create_engine, transaction
from wiser_fhir.db.envelope import FORMAT, KeyRing, about, data_key_id
from wiser_fhir.db.sealed import SealedColumns
from wiser_fhir.db.tables import metadata
from wiser_fhir.db.vault import Vault, data_key, vault_of
from wiser_fhir.priorauth.ledger import Ledger
from wiser_fhir.priorauth.models import CaseStatus
from wiser_fhir.priorauth.repository import Cases, PriorAuthRepository, SubmitResult

ANOTHER = b"another secret of 32 bytes or so"
ANNOUNCED = 1.5  # seconds: a test has no half minute
BODY, ANSWER = b'{"resourceType": "Bundle", "id": 100.10}', b'{"resourceType": "Bundle"}'

# What stands for a member, and changes with the key of the index.
INDEXES = {("attachment_delivery", "member"), ("claim", "mbi"), ("prior_auth_case", "mbi")}

# Rows that their own rules let nobody change any more.
AT = datetime(2026, 4, 8, 12, tzinfo=UTC)
ENDED: dict[str, dict[str, Any]] = {
    "information_request": {"state": "answered", "answered_at": AT},
    "peer_to_peer": {"state": "declined", "closed_at": AT},
    "attachment_delivery": {"lapsed_at": AT},
    "attachment": {"state": "clear", "checked_at": AT, "scanner": "test"},
    "prepayment_review": {
        **{"state": "recommended", "recommendation": "pay", "clinician_id": UUID(int=1)},
        **{"documents_at": AT, "decide_by": AT, "due_at": AT, "ended_at": AT},
        "rationale": FORMAT + bytes(33),
    },
}

# Neither sealed nor anything about a person: digests, and keys that are wrapped.
NOT_SEALED = {
    *("sha256", "request_sha256", "response_sha256", "input_sha256", "identity", "fingerprint"),
    *("token_hash", "session_hash", "state_hash", "browser_hash", "patient", "mac", "wrapped"),
}


@asynccontextmanager
async def process(url: str, secret: bytes = SECRET, *before: bytes) -> AsyncIterator[AsyncEngine]:
    """What a server has: connections and a vault of its own."""
    vault = Vault(KeyRing(secret, before), announced=ANNOUNCED)
    engine = create_engine(url, pool_size=3, vault=vault, index=INDEX)
    try:
        yield engine
    finally:
        await engine.dispose()


async def reseal(owner: AsyncEngine, organization: UUID) -> int:
    rows = rotation.SealedRows(owner, organization)
    return sum([n for kind in rotation.EVERYTHING async for n in rows.reseal(kind)])


async def closed(owner: AsyncEngine, organization: UUID) -> list[tuple[str, str | None]]:
    """The columns in which a value does not open."""
    rows = rotation.SealedRows(owner, organization)
    return [
        (kind.table, column)
        for kind in rotation.EVERYTHING
        async for column, _, opens in rows.check(kind)
        if not opens
    ]


async def numbers(superuser: AsyncEngine) -> dict[int, int]:
    """How many bodies of messages each key seals."""
    found: dict[int, int] = {}
    async with superuser.connect() as db:
        for body in (await db.execute(text("select body from message"))).scalars():
            number = data_key_id(body)
            found[number] = found.get(number, 0) + 1
    return found


async def sent(engine: AsyncEngine, organization: UUID) -> UUID:
    """A case that came through this process."""
    submission = a_submission(organization)
    case = a_case(submission, CaseStatus.AFFIRMED)
    write = a_write(submission, case, BODY, ANSWER)
    assert (await PriorAuthRepository(engine).submit(write)).result is SubmitResult.STORED
    return case.id


async def works(engine: AsyncEngine, organization: UUID, stop: asyncio.Event) -> int:
    """Sends and reads until told to stop; how often. Whatever fails, fails here."""
    done, known = 0, [await sent(engine, organization)]
    while not stop.is_set():
        known.append(await sent(engine, organization))
        for case_id in (known[0], known[-1]):
            async with transaction(engine, organization) as db:
                stored = await Cases(db).by_id(case_id)
                assert stored.request_body == BODY
                assert await Cases(db).response_body(case_id) == ANSWER
        done += 1
        await asyncio.sleep(0.01)  # whoever changes keys has a turn too
    return done


def test_every_column_of_bytes_is_sealed_or_known_not_to_be() -> None:
    binary = {
        (table.name, column.name)
        for table in metadata.sorted_tables
        for column in table.c
        if isinstance(column.type, LargeBinary) and column.name not in NOT_SEALED
    }
    assert binary == {(kind.table, name) for kind in rotation.EVERYTHING for name in kind.columns}


def test_rows_are_named_by_the_whole_of_their_key() -> None:
    for kind in rotation.EVERYTHING:
        key = [column.name for column in metadata.tables[kind.table].primary_key.columns]
        assert ["organization_id", *kind.key] == key


async def test_the_database_lets_those_columns_and_no_others_be_sealed_anew(
    superuser_engine: AsyncEngine,
) -> None:
    query = "select tgrelid::regclass::text, tgargs from pg_trigger where tgname = 'sealed_anew'"
    async with superuser_engine.connect() as db:
        found = {
            (table, column)
            for table, arguments in await db.execute(text(query))
            for column in arguments.decode().rstrip("\0").split("\0")
        }
    sealed = {(kind.table, name) for kind in rotation.EVERYTHING for name in kind.columns}
    assert found == sealed | INDEXES


async def test_keys_change_under_load_and_nothing_fails(
    database: Urls, make_organization: MakeOrganization, superuser_engine: AsyncEngine
) -> None:
    organization, stop = await make_organization(), asyncio.Event()
    async with (
        process(database.app, SECRET, ANOTHER) as old,
        process(database.app, ANOTHER, SECRET) as new,
        process(database.owner, ANOTHER, SECRET) as owner,
    ):
        await data_key(old, organization)
        working = [
            asyncio.create_task(works(each, organization, stop)) for each in (old, old, new, new)
        ]
        await asyncio.sleep(0.5)
        async with transaction(owner, organization) as db:
            assert await rotation.rewrap(db, vault_of(owner).ring, organization) == 1
            assert await rotation.announce(db, organization) == 2
        await asyncio.sleep(ANNOUNCED)
        vault_of(owner).forget()
        assert await reseal(owner, organization) > 0
        await asyncio.sleep(0.5)
        stop.set()
        assert all(await asyncio.gather(*working))
        await reseal(owner, organization)  # what the first saw before its turn came
        assert set(await numbers(superuser_engine)) == {2}
        assert await closed(owner, organization) == []


async def resealing(database: Urls, folder: Path) -> subprocess.Popen[bytes]:
    """The command itself, which prints a line for each batch."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("WISER_")}
    environment = {
        **clean,
        **ENVIRONMENT,
        "WISER_MODE": "sandbox",
        "WISER_DATABASE_URL": database.app,
        "WISER_DATABASE_OWNER_URL": database.owner,
        "WISER_DATA_DIR": str(folder),
        "WISER_LOG_LEVEL": "error",
    }
    return await asyncio.to_thread(
        subprocess.Popen,
        [sys.executable, "-m", "wiser_fhir.cli", "keys", "reseal"],
        env=environment,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
    )


async def test_a_reseal_that_is_killed_leaves_what_opens_and_is_ended_by_the_next(
    database: Urls,
    make_organization: MakeOrganization,
    superuser_engine: AsyncEngine,
    tmp_path: Path,
) -> None:
    organization, stop = await make_organization(), asyncio.Event()
    async with process(database.app) as server, process(database.owner) as owner:
        for _ in range(60):
            await sent(server, organization)
        async with transaction(owner, organization) as db:
            await rotation.announce(db, organization)
        await asyncio.sleep(ANNOUNCED)
        working = asyncio.create_task(works(server, organization, stop))
        killed = await resealing(database, tmp_path)
        assert killed.stderr is not None
        assert b"message: 100 sealed anew" in await asyncio.to_thread(killed.stderr.readline)
        killed.send_signal(signal.SIGKILL)
        await asyncio.to_thread(killed.communicate)
        assert set(await numbers(superuser_engine)) == {1, 2}
        assert await closed(owner, organization) == []
        again = await resealing(database, tmp_path)
        await asyncio.to_thread(again.communicate)
        assert again.returncode == 0
        stop.set()
        assert await working
        assert set(await numbers(superuser_engine)) == {2}
        assert await closed(owner, organization) == []


@pytest.fixture
async def filled(make_organization: MakeOrganization, app_engine: AsyncEngine) -> UUID:
    """An organization with ten cases."""
    organization = await make_organization()
    for _ in range(10):
        await sent(app_engine, organization)
    return organization


async def test_pages_and_groups_are_gone_through_to_their_ends(
    database: Urls, filled: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with process(database.owner) as owner:
        whole = await opened_by_check(owner, filled)
        monkeypatch.setattr(rotation, "_PAGE", 3)
        monkeypatch.setattr(rotation, "_BYTES", 200)
        assert await opened_by_check(owner, filled) == whole
        assert len([table for table, *_ in whole if table == "message"]) == 20
        async with transaction(owner, filled) as db:
            assert await rotation.sealed_by(db, filled, rotation.EVERYTHING[0], 1) == 20
            await rotation.announce(db, filled)
        await asyncio.sleep(ANNOUNCED)
        vault_of(owner).forget()
        assert await reseal(owner, filled) > 20
        async with transaction(owner, filled) as db:
            assert await rotation.sealed_by(db, filled, rotation.EVERYTHING[0], 1) == 0


async def opened_by_check(owner: AsyncEngine, organization: UUID) -> list[tuple[Any, ...]]:
    """Every value that there is: where it stands, and whether it opens."""
    rows = rotation.SealedRows(owner, organization)
    return [(kind.table, *told) for kind in rotation.EVERYTHING async for told in rows.check(kind)]


async def test_a_check_asks_once_for_many_rows_and_once_for_each_table(
    database: Urls, filled: UUID
) -> None:
    asked: list[str] = []
    async with process(database.owner) as owner:

        def note(_: object, __: object, statement: str, *___: object) -> None:
            asked.append(statement.split("FROM ")[1].split()[0] if "FROM " in statement else "")

        event.listen(owner.sync_engine, "before_cursor_execute", note)
        assert await closed(owner, filled) == []
    # Its keys, its values, and that there are no more.
    assert asked.count("message") == 3
    assert asked.count("claim") == 1


async def test_a_row_that_goes_during_the_check_is_named(
    database: Urls,
    filled: UUID,
    superuser_engine: AsyncEngine,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rotation, "_BYTES", 1)  # each value by itself
    async with process(database.owner) as owner:
        found = rotation.SealedRows(owner, filled).check(rotation.EVERYTHING[0])
        assert (await anext(found))[0] == "body"
        async with superuser_engine.begin() as db:
            await db.execute(text("set local session_replication_role = replica"))
            last = "select id from message order by id desc limit 1"
            gone = await db.execute(text(f"delete from message where id = ({last}) returning id"))  # noqa: S608
            row = gone.scalar_one()
        rest = [told async for told in found]
    assert rest[-1] == (None, (row,), False)
    assert all(opens for _, _, opens in rest[:-1])


async def test_every_kind_of_value_is_sealed_anew(
    database: Urls, make_case: MakeCase, app_engine: AsyncEngine, superuser_engine: AsyncEngine
) -> None:
    """In whatever state its row is: no rule about changes stands in the way."""
    organization = (await make_case(CaseStatus.AFFIRMED)).organization_id
    client_id = await insert_client(superuser_engine, organization)
    audit = an_audit(organization)
    await Ledger(app_engine).record(organization, a_call(client_id), [an_assertion()], [], audit)
    tables = sorted({kind.table for kind in rotation.EVERYTHING})
    filled = [each for each in tables if await is_empty(superuser_engine, metadata.tables[each])]
    for table in filled:
        ended = ENDED.get(table, {})
        await fill(superuser_engine, table, organization_id=organization, **ended)
    for kind in rotation.EVERYTHING:
        if kind.table in filled:
            await seal_all(superuser_engine, organization, kind)
    async with process(database.owner) as owner:
        assert await closed(owner, organization) == []
        async with transaction(owner, organization) as db:
            await rotation.announce(db, organization)
        await asyncio.sleep(ANNOUNCED)
        vault_of(owner).forget()
        assert await reseal(owner, organization) >= len(rotation.EVERYTHING)
        assert await reseal(owner, organization) == 0
        async with transaction(owner, organization) as db:
            for kind in rotation.EVERYTHING:
                assert await rotation.sealed_by(db, organization, kind, 1) == 0
                assert await rotation.sealed_by(db, organization, kind, 2) >= 1
        assert await closed(owner, organization) == []


async def seal_all(superuser: AsyncEngine, organization: UUID, kind: SealedColumns) -> None:
    """Give the rows of a table values that open, every column of them."""
    table = metadata.tables[kind.table]
    async with superuser.begin() as db:
        await db.execute(text("set local session_replication_role = replica"))
        key = await data_key(db, organization)
        for row in (await db.execute(select(*(table.c[name] for name in kind.key)))).all():
            values = {
                name: key.seal(b"null", about(kind.table, name, *row)) for name in kind.columns
            }
            this = [table.c[name] == value for name, value in zip(kind.key, row, strict=True)]
            await db.execute(update(table).where(*this).values(values))


@pytest.mark.parametrize(
    "words",
    [
        "update message set length = length + 1",
        "update message set body = body, kind = 'other'",
        "update determination set rationale = rationale, outcome = 'non-affirmed'",
        "delete from message",
    ],
)
async def test_whoever_seals_anew_changes_nothing_else(
    owner_engine: AsyncEngine, make_case: MakeCase, words: str
) -> None:
    organization = (await make_case(CaseStatus.AFFIRMED)).organization_id
    with pytest.raises(DBAPIError, match=r"never changed|nothing else"):
        async with transaction(owner_engine, organization) as db:
            await db.execute(text("set local app.resealing = 'on'"))
            await db.execute(text(words))


@pytest.mark.parametrize("resealing", ["on", "off"])
async def test_without_saying_so_or_as_another_nobody_seals_anew(
    superuser_engine: AsyncEngine, owner_engine: AsyncEngine, make_case: MakeCase, resealing: str
) -> None:
    organization = (await make_case(CaseStatus.AFFIRMED)).organization_id
    who = superuser_engine if resealing == "on" else owner_engine
    with pytest.raises(DBAPIError, match="never changed"):
        async with transaction(who, organization) as db:
            await db.execute(text(f"set local app.resealing = '{resealing}'"))
            await db.execute(text("update message set body = body"))


@pytest.mark.parametrize(
    ("table", "column"), [(kind.table, name) for kind in rotation.BODIES for name in kind.columns]
)
@pytest.mark.parametrize(
    "stored",
    [b"{}", b"(\xb5/\xfd" + bytes(60), b"\x02" + bytes(32)],
    ids=["json", "compressed", "nothing"],
)
async def test_nothing_plain_is_stored(
    superuser_engine: AsyncEngine, table: str, column: str, stored: bytes
) -> None:
    with pytest.raises(DBAPIError, match=f"ck_{table}_{column}_sealed"):
        await fill(superuser_engine, table, **{column: stored})


async def test_the_application_makes_a_first_key_and_no_more(
    app_engine: AsyncEngine, make_case: MakeCase
) -> None:
    organization = (await make_case()).organization_id
    forged = {
        "insert into data_key (organization_id, id, wrapped, wrapping_key) select"
        " organization_id, 2, wrapped, wrapping_key from data_key": "row-level security",
        "update data_key set wrapped = wrapped": "permission denied",
        "delete from data_key": "permission denied",
    }
    for words, refusal in forged.items():
        with pytest.raises(DBAPIError, match=refusal):
            async with transaction(app_engine, organization) as db:
                await db.execute(text(words))


@pytest.mark.parametrize(
    "words",
    [
        "update data_key set usable_from = usable_from + interval '1 day'",
        "update data_key set id = 7",
        "delete from data_key",
        "update data_key set wrapped = null",
    ],
)
async def test_a_data_key_stands(
    owner_engine: AsyncEngine, make_case: MakeCase, words: str
) -> None:
    organization = (await make_case()).organization_id
    with pytest.raises(DBAPIError, match=r"data_key|data key"):
        async with transaction(owner_engine, organization) as db:
            await db.execute(text(words))
