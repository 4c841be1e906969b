"""The server is killed under load, again and again: no answer a client got may be lost."""

import asyncio
import random
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import asyncpg
import httpx
import orjson

from tests.bundles import MEMBERS, affirming_answers, request_bundle
from tests.e2e.serving import Running, sandbox, serving, token
from tests.vaults import engine_of
from wiser_fhir.db.bodies import open_body
from wiser_fhir.db.embedded import Urls

KILLS = 50
CLIENTS = 6
FIRST_ANSWER_WITHIN = 20.0
SERVICE = "epidural-steroid-injection"
SYSTEM = "https://ehr.sandbox.example/bundle-id"


@dataclass
class Journal:
    """What the clients know: what they sent, and each answer they got in full."""

    sent: dict[str, bytes] = field(default_factory=dict)
    answered: dict[str, bytes] = field(default_factory=dict)
    unexpected: list[str] = field(default_factory=list)


class Bodies:
    """Requests that differ in identifier and member; every third leaves a criterion unmet."""

    def __init__(self) -> None:
        answers = affirming_answers(SERVICE)
        unmet = answers | {"esi-impact": False}
        self._bundles = [
            request_bundle(
                "2.2", service=SERVICE, answers=each, member=member, identifier="IDENTIFIER"
            )
            for member in MEMBERS
            for each in (answers, answers, unmet)
        ]

    def new(self, identifier: str) -> bytes:
        """A request under this identifier."""
        body = orjson.dumps(random.choice(self._bundles))  # noqa: S311
        return body.replace(b"IDENTIFIER", identifier.encode())


def submit_until(stop: threading.Event, url: str, key: str, bodies: Bodies, log: Journal) -> None:
    """A client that sends one request after another, until told or until nobody listens."""
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/fhir+json"}
    with httpx.Client(base_url=url, headers=headers, timeout=10, verify=False) as client:  # noqa: S501
        while not stop.is_set():
            identifier = str(uuid4())
            body = bodies.new(identifier)
            log.sent[identifier] = body
            try:
                response = client.post("/fhir/Claim/$submit", content=body)
            except httpx.TransportError:
                return
            if response.status_code == httpx.codes.OK:
                log.answered[identifier] = response.content
            else:
                log.unexpected.append(f"{response.status_code} {response.text[:200]}")


def test_no_answer_is_lost_and_no_case_is_half_there(empty_database: Urls, tmp_path: Path) -> None:
    environment = sandbox(empty_database, tmp_path)
    log, bodies = Journal(), Bodies()
    with serving(environment):
        key = token(environment)
    for _ in range(KILLS):
        with serving(environment) as server:
            _kill_under_load(server, key, bodies, log)
    assert log.unexpected == []
    assert len(log.answered) > KILLS
    asyncio.run(_check(empty_database, log))

    with serving(environment) as server:
        _send_again(server, key, log)
    assert asyncio.run(_check(empty_database, log)) == len(log.sent)


def _kill_under_load(server: Running, key: str, bodies: Bodies, log: Journal) -> None:
    stop, before = threading.Event(), len(log.answered)
    clients = [
        threading.Thread(target=submit_until, args=(stop, server.url, key, bodies, log))
        for _ in range(CLIENTS)
    ]
    for client in clients:
        client.start()
    patience = time.monotonic() + FIRST_ANSWER_WITHIN
    while len(log.answered) == before and time.monotonic() < patience:
        time.sleep(0.002)
    time.sleep(random.uniform(0, 0.3))  # noqa: S311
    server.kill()
    stop.set()
    for client in clients:
        client.join(timeout=30)


def _send_again(server: Running, key: str, log: Journal) -> None:
    """What got no answer is sent again and gets one; what got one gets the same."""
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/fhir+json"}
    unanswered = set(log.sent) - set(log.answered)
    with httpx.Client(base_url=server.url, headers=headers, timeout=30) as client:
        for identifier in [*unanswered, *list(log.answered)[:20]]:
            again = client.post("/fhir/Claim/$submit", content=log.sent[identifier])
            assert again.status_code == httpx.codes.OK
            assert log.answered.setdefault(identifier, again.content) == again.content


async def _check(urls: Urls, log: Journal) -> int:
    """Hold the journal against the database; the number of cases in it."""
    connection = await asyncpg.connect(urls.superuser)
    try:
        await _each_answer_is_there(urls, connection, log)
        await _each_case_is_whole(connection)
        return int(await connection.fetchval("select count(*) from prior_auth_case"))
    finally:
        await connection.close()


async def _each_answer_is_there(urls: Urls, connection: "asyncpg.Connection", log: Journal) -> None:
    rows = await connection.fetch(
        "select s.identifier_value as identifier, s.organization_id, a.id as answer_id,"
        " a.body as answer, r.id as request_id, r.body as request"
        " from submission s join prior_auth_case c on c.id = s.case_id"
        " join message a on a.id = s.answer_message_id"
        " join message r on r.id = c.request_message_id where s.identifier_system = $1",
        SYSTEM,
    )
    stored = {row["identifier"]: row for row in rows}
    assert set(log.answered) <= set(stored)
    async with engine_of(urls.superuser) as engine:
        for identifier, answer in log.answered.items():
            row = stored[identifier]
            of = (engine, row["organization_id"])
            kept = await open_body(*of, row["answer"], "message", "body", row["answer_id"])
            asked = await open_body(*of, row["request"], "message", "body", row["request_id"])
            assert (kept, asked) == (answer, log.sent[identifier])
    assert set(stored) <= set(log.sent)


async def _each_case_is_whole(connection: "asyncpg.Connection") -> None:
    """Every part that its status calls for is there, once; nothing is there without a case."""
    halves = await connection.fetch(
        """
        select c.id, c.status from prior_auth_case c where not (
            (select count(*) from submission s where s.case_id = c.id) = 1
            and (select count(*) from case_item i where i.case_id = c.id) = 1
            and (select count(*) from case_party p where p.case_id = c.id) >= 1
            and (select count(*) from message m where m.case_id = c.id) = 2
            and (select count(*) from audit_event a where a.object_id = c.id::text
                and a.action = 'claim.submit' and a.outcome = c.status) = 1
            and (select count(*) from letter n where n.case_id = c.id)
                = (c.status = 'affirmed')::int
            and (select count(*) from determination d where d.case_id = c.id)
                = (c.status = 'affirmed')::int
            and (select count(*) from utn u where u.case_id = c.id) = (c.status = 'affirmed')::int)
        """
    )
    assert halves == []
    orphans = await connection.fetchval(
        "select count(*) from message m where not exists"
        " (select from prior_auth_case c where c.id = m.case_id)"
    )
    assert orphans == 0
    utns = await connection.fetch("select utn from utn group by utn having count(*) > 1")
    assert utns == []
