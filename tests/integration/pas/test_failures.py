"""When something breaks: no half case, no false answer, safe to send again."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import orjson
import pytest
from fastapi import FastAPI
from httpx import AsyncClient, Response
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.apps import sandbox_app
from tests.bundles import Line, inquiry_bundle, request_bundle
from tests.clocks import StillClock
from tests.integration.pas.deciders import decide_with
from tests.integration.pas.door import (
    MET,
    ORIGIN,
    Client,
    Rows,
    actions,
    caller,
    claim_response,
    register,
)
from tests.vaults import ENVIRONMENT
from wiser_fhir.db.embedded import Urls
from wiser_fhir.priorauth.models import Site

# The numbers we give


@dataclass
class Scripted:
    """A UtnSource that gives these numbers, one after the other, the last one for ever."""

    numbers: list[str]
    given: list[str] = field(default_factory=list)

    def new(self, site: Site | None) -> str:
        number = self.numbers.pop(0) if len(self.numbers) > 1 else self.numbers[0]
        self.given.append(number)
        return number


async def test_a_taken_number_is_not_given_again(
    app: FastAPI, client: Client, line: Line, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = Scripted(["ZZB00000000001", "ZZB00000000001", "ZZB00000000002"])
    decide_with(app, monkeypatch, utn_source=source)
    first = await client.at(line).submit(request_bundle(line, answers=MET, seed="first"))
    second = await client.at(line).submit(request_bundle(line, answers=MET, seed="second"))
    numbers = [claim_response(answer)["preAuthRef"] for answer in (first, second)]
    assert numbers == ["ZZB00000000001", "ZZB00000000002"]
    assert source.given == ["ZZB00000000001", "ZZB00000000001", "ZZB00000000002"]
    assert (await rows.counts())["utn"] == 2
    stored = {row["utn"] for row in await rows.all("select utn from utn")}
    assert stored == set(numbers)


async def test_where_no_number_is_free_nothing_is_stored(
    app: FastAPI, client: Client, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    decide_with(app, monkeypatch, utn_source=Scripted(["ZZB00000000001"]))
    await client.submit(request_bundle(answers=MET, seed="first"))
    before = await rows.counts()
    answer = await client.submit(request_bundle(answers=MET, seed="second"))
    _is_transient(answer)
    assert await rows.counts() == before


def _is_transient(answer: Response) -> None:
    """503, when to come back, and not a word: the guide wants no OperationOutcome on a 5xx."""
    assert answer.status_code == 503
    assert answer.content == b""
    assert int(answer.headers["retry-after"]) > 0


# A commit that fails


@pytest.fixture
async def no_commit(superuser_engine: AsyncEngine) -> AsyncIterator[None]:
    """Every transaction that writes a case fails at its very end."""
    async with superuser_engine.begin() as connection:
        await connection.execute(
            text(
                "create function refuse() returns trigger language plpgsql as"
                " $$ begin raise exception 'not today'; end $$"
            )
        )
        await connection.execute(
            text(
                "create constraint trigger refuses after insert on prior_auth_case"
                " deferrable initially deferred for each row execute function refuse()"
            )
        )
    yield
    await _let_commit(superuser_engine)


async def _let_commit(superuser: AsyncEngine) -> None:
    async with superuser.begin() as connection:
        await connection.execute(text("drop trigger if exists refuses on prior_auth_case"))
        await connection.execute(text("drop function if exists refuse"))


async def test_a_commit_that_fails_is_no_answer(
    client: Client, line: Line, rows: Rows, no_commit: None, superuser_engine: AsyncEngine
) -> None:
    body = orjson.dumps(request_bundle(line, answers=MET))
    failed = await client.at(line).submit(body)
    assert failed.status_code == 500
    assert failed.content == b""
    assert set((await rows.counts()).values()) == {0}
    await _let_commit(superuser_engine)
    assert actions(claim_response(await client.at(line).submit(body))) == {1: "A1"}


# A database that goes away


@dataclass
class Cable:
    """A connection to the database that can be pulled out."""

    server: asyncio.Server
    open_ends: set[asyncio.StreamWriter]

    async def pull(self) -> None:
        """Cut what is connected, refuse what tries."""
        self.server.close()
        for end in list(self.open_ends):
            end.transport.abort()


@asynccontextmanager
async def plugged(url: str, folder: Path) -> AsyncIterator[tuple[str, Cable]]:
    """A URL that leads to the same database through a cable."""
    target = make_url(url)
    there = f"{target.query['host']}/.s.PGSQL.{target.query.get('port', target.port or 5432)}"
    ends: set[asyncio.StreamWriter] = set()

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ends.add(writer)
        try:
            while chunk := await reader.read(65536):
                writer.write(chunk)
                await writer.drain()
        except OSError:
            pass
        finally:
            ends.discard(writer)
            writer.close()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_unix_connection(there)
        await asyncio.gather(pump(reader, far_writer), pump(far_reader, writer))

    server = await asyncio.start_unix_server(connected, folder / ".s.PGSQL.5432")
    cable = Cable(server, ends)
    rerouted = target.set(query={**target.query, "host": str(folder), "port": "5432"})
    try:
        yield rerouted.render_as_string(hide_password=False), cable
    finally:
        await cable.pull()


@pytest.fixture
async def cabled(
    database: Urls, clock: StillClock, tmp_path: Path, clean_database: None
) -> AsyncIterator[tuple[AsyncClient, Cable]]:
    """The app with its database behind a cable."""
    async with plugged(database.app, tmp_path) as (url, cable):
        running = sandbox_app(url, clock, tmp_path, ORIGIN, **ENVIRONMENT)
        async with running as app, caller(app) as http:
            yield http, cable


@pytest.mark.parametrize("known", [True, False], ids=["known token", "new token"])
async def test_without_its_database_it_asks_to_come_back(
    known: bool,
    cabled: tuple[AsyncClient, Cable],
    line: Line,
    superuser_engine: AsyncEngine,
    rows: Rows,
) -> None:
    http, cable = cabled
    client = (await register(superuser_engine, http)).at(line)
    if known:
        claim_response(await client.submit(request_bundle(line, answers=MET, seed="before")))
    before = await rows.counts()
    await cable.pull()
    _is_transient(await client.submit(request_bundle(line, answers=MET)))
    _is_transient(await client.inquire(inquiry_bundle(line, any_service=True)))
    _is_transient(await client.get("ClaimResponse/0197d6a4-0000-7000-8000-000000000000"))
    assert await rows.counts() == before


async def test_a_replay_without_the_database_is_no_answer_either(
    cabled: tuple[AsyncClient, Cable], superuser_engine: AsyncEngine
) -> None:
    http, cable = cabled
    client = await register(superuser_engine, http)
    body = orjson.dumps(request_bundle(answers=MET))
    claim_response(await client.submit(body))
    await cable.pull()
    _is_transient(await client.submit(body))


# A client that goes away


async def test_a_lost_answer_is_safe_to_ask_for_again(client: Client, rows: Rows) -> None:
    """Given up at any moment, the request is there wholly or not at all; the next one tells."""
    body = orjson.dumps(request_bundle(answers=MET))
    for milliseconds in (0, 1, 2, 4, 8, 16, 32, 64):
        sending = asyncio.create_task(client.submit(body))
        await asyncio.sleep(milliseconds / 1000)
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
    answer = claim_response(await client.submit(body))
    counts = await rows.counts()
    assert (counts["prior_auth_case"], counts["utn"], counts["case_item"]) == (1, 1, 1)
    (number,) = await rows.all("select utn from utn")
    assert number["utn"] == answer["preAuthRef"]
    assert re.fullmatch("ZZB[0-9]{11}", answer["preAuthRef"])
