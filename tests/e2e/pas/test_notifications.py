"""Subscribers over sockets, with workers and listeners that are killed or misbehave.

Whatever dies, every event arrives, in order, at least once.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import orjson
from sqlalchemy import text

from tests.bundles import Line, affirming_answers, request_bundle
from tests.e2e.pas.subscriber import ListeningProgram, eventually
from tests.e2e.serving import sandbox, serving, token
from tests.e2e.working import started_worker
from tests.subscriptions import SECRET, TOPIC, a_subscription, parameters
from wiser_fhir.clock import utc_now
from wiser_fhir.db.embedded import Urls
from wiser_fhir.db.engine import create_engine, transaction
from wiser_fhir.notify import outbox

SERVICE = "epidural-steroid-injection"
PATHS: dict[Line, str] = {"2.2": "/fhir", "2.0": "/v2.0/fhir"}
KILLS = 3
EVENTS_A_ROUND = 15


@dataclass(frozen=True)
class Ehr:
    """The sandbox's EHR: what it asks of the server, and how it makes an answer be told again."""

    http: httpx.Client
    database: Urls

    def subscribe(self, line: Line, origin: str) -> str:
        """The id of a new subscription."""
        body = a_subscription(line, f"{origin}/told?line={line}")
        answer = self.http.post(f"{PATHS[line]}/Subscription", content=orjson.dumps(body))
        assert answer.status_code == 201, answer.text
        found: str = answer.json()["id"]
        return found

    def active_subscription(self, line: Line, origin: str) -> str:
        """The id of a new subscription whose handshake was answered."""
        found = self.subscribe(line, origin)
        eventually(lambda: self.status(line, found) == "active", 60, "a handshake")
        return found

    def pend(self, line: Line) -> str:
        """The id of a case that a clinician has to look at."""
        answers = affirming_answers(SERVICE) | {"esi-impact": False}
        body = request_bundle(line, service=SERVICE, answers=answers)
        answer = self.http.post(f"{PATHS[line]}/Claim/$submit", content=orjson.dumps(body))
        assert answer.status_code == 200, answer.text
        found: str = answer.json()["entry"][0]["resource"]["id"]
        return found

    def status(self, line: Line, subscription_id: str) -> str:
        """How a subscription stands."""
        answer = self.http.get(f"{PATHS[line]}/Subscription/{subscription_id}")
        found: str = answer.json()["status"]
        return found

    def tell(self, case_id: str, times: int = 1) -> None:
        """Queue the latest answer about a case again, each time in an act of its own."""
        asyncio.run(self._tell(case_id, times))

    async def _tell(self, case_id: str, times: int) -> None:
        engine = create_engine(self.database.superuser, pool_size=1)
        case = text("select organization_id, answer_message_id from prior_auth_case where id = :id")
        try:
            for _ in range(times):
                async with transaction(engine) as db:
                    row = (await db.execute(case, {"id": case_id})).one()
                    at = utc_now()
                    await outbox.put(db, row[0], case_id, row[1], at)  # type: ignore[arg-type]
        finally:
            await engine.dispose()

    def undelivered(self) -> int:
        """How many events wait, of all subscriptions."""
        return asyncio.run(self._undelivered())

    async def _undelivered(self) -> int:
        engine = create_engine(self.database.superuser, pool_size=1)
        query = text("select sum(last_number - delivered_number) from subscription")
        try:
            async with transaction(engine) as db:
                return int((await db.execute(query)).scalar_one())
        finally:
            await engine.dispose()


@contextmanager
def standing(
    database: Urls, folder: Path
) -> Iterator[tuple[Ehr, ListeningProgram, dict[str, str]]]:
    """A server, a listener that every client may be told at, and the workers' environment."""
    listener = ListeningProgram.at_a_free_port(folder)
    environment = sandbox(database, folder / "data") | {"WISER_SANDBOX_HOSTS": listener.origin}
    listener.start()
    try:
        with serving(environment) as server:
            headers = {
                "Authorization": f"Bearer {token(environment)}",
                "Content-Type": "application/fhir+json",
            }
            with httpx.Client(base_url=server.url, headers=headers, timeout=30) as http:
                yield Ehr(http, database), listener, environment
    finally:
        listener.kill()


def test_every_event_arrives_in_order_whoever_is_killed(
    empty_database: Urls, tmp_path: Path
) -> None:
    with standing(empty_database, tmp_path) as (ehr, listener, environment):
        workers = [started_worker(environment) for _ in range(2)]
        try:
            own = [ehr.active_subscription(line, listener.origin) for line in PATHS]
            case_id = ehr.pend("2.2")
            for round_ in range(KILLS):
                ehr.tell(case_id, EVENTS_A_ROUND)
                workers[round_ % 2].kill()
                listener.kill()
                ehr.tell(case_id, EVENTS_A_ROUND)
                listener.start()
                workers[round_ % 2] = started_worker(environment)
            eventually(lambda: ehr.undelivered() == 0, 120, "the last event")
        finally:
            for worker in workers:
                worker.kill()
        for own_id in own:
            numbers = listener.numbers(own_id)
            assert sorted(numbers) == numbers
            assert sorted(set(numbers)) == list(range(1, 2 * KILLS * EVENTS_A_ROUND + 1))
        assert {each["authorization"] for each in listener.heard()} == {"Bearer canary-0123456789"}
        assert SECRET.endswith("canary-0123456789")


def test_without_a_crash_nothing_is_told_twice_and_both_lines_get_their_shape(
    empty_database: Urls, tmp_path: Path
) -> None:
    with standing(empty_database, tmp_path) as (ehr, listener, environment):
        workers = [started_worker(environment) for _ in range(2)]
        try:
            own = [ehr.active_subscription(line, listener.origin) for line in PATHS]
            case_id = ehr.pend("2.2")
            ehr.tell(case_id, 40)
            eventually(lambda: ehr.undelivered() == 0, 60, "the last event")
        finally:
            for worker in workers:
                worker.end()
        for own_id in own:
            assert listener.kinds(own_id) == ["handshake"] + ["event-notification"] * 40
            assert listener.numbers(own_id) == list(range(1, 41))
        bundles: dict[str, dict[str, Any]] = {
            each["path"]: each["notification"] for each in listener.heard()
        }
        by_id, whole = bundles["/told?line=2.0"], bundles["/told?line=2.2"]
        [event] = parameters(by_id)["notification-event"]
        assert (len(by_id["entry"]), event["focus"].rpartition("/")[2]) == (1, case_id)
        [event] = parameters(whole)["notification-event"]
        assert parameters(whole)["topic"] == TOPIC
        assert whole["entry"][1]["fullUrl"] == event["focus"]
        answer = whole["entry"][1]["resource"]
        assert (answer["resourceType"], answer["type"]) == ("Bundle", "collection")
        assert answer["entry"][0]["resource"]["id"] == case_id


def test_a_listener_that_misbehaves_for_a_while_misses_nothing(
    empty_database: Urls, tmp_path: Path
) -> None:
    with standing(empty_database, tmp_path) as (ehr, listener, environment):
        listener.behave("500")
        worker = started_worker(environment)
        try:
            own_id = ehr.subscribe("2.0", listener.origin)
            eventually(lambda: len(listener.heard()) >= 2, 30, "a second handshake")
            assert ehr.status("2.0", own_id) == "requested"
            listener.behave("endless")
            eventually(lambda: ehr.status("2.0", own_id) == "active", 60, "a handshake")
            listener.behave("redirect")
            case_id = ehr.pend("2.0")
            ehr.tell(case_id, 3)
            eventually(lambda: len(listener.numbers(own_id)) >= 2, 60, "a second try")
            listener.behave("slow")
            eventually(lambda: len(listener.numbers(own_id)) >= 3, 60, "a third try")
            listener.behave("ok")
            eventually(lambda: ehr.undelivered() == 0, 120, "the last event")
        finally:
            worker.kill()
        numbers = listener.numbers(own_id)
        assert numbers[:3] == [1, 1, 1]
        assert numbers[-3:] == [1, 2, 3]
        assert sorted(numbers) == numbers
        assert {each["path"] for each in listener.heard()} == {"/told?line=2.0"}
