"""Documents that come inside requests, from the call to where a reviewer may have them."""

import asyncio
from base64 import b64encode
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.bundles import Json, request_bundle
from tests.clocks import StillClock
from tests.integration.pas.attaching import Away, Clears, Finds, Worker
from tests.integration.pas.door import CARE_UNMET, MET, Client, MakeClient, Rows
from tests.update_bundles import update_of
from wiser_fhir.egress.scanner import ScannerAway, Verdict
from wiser_fhir.errors import Conflict
from wiser_fhir.priorauth.attached import AttachmentState
from wiser_fhir.priorauth.case_file import PaperFacts

HL7 = "http://terminology.hl7.org/CodeSystem"
NOTE = b"Made-up clinical note for testing. History, examination and imaging."


@dataclass
class Sees:
    """A scanner that keeps what it was given, and finds something in what has `bad` in it."""

    bad: bytes | None = None
    seen: list[bytes] = field(default_factory=list)

    async def scan(self, content: bytes) -> Verdict:
        """Clean, unless the bad bytes are there."""
        self.seen.append(content)
        found = self.bad is not None and self.bad in content
        return Verdict("test", "Made-Up-Signature" if found else None)


@pytest.fixture
def worker(app_engine: AsyncEngine, clock: StillClock) -> Worker:
    return Worker(app_engine, clock)


def bringing(bundle: Json, *contents: bytes) -> Json:
    """The request with these files in the place of its document's."""
    paper = document_of(bundle)
    paper["content"] = [
        {"attachment": {"contentType": "text/plain", "data": b64encode(each).decode()}}
        for each in contents
    ]
    return bundle


def document_of(bundle: Json) -> Any:
    resources = (entry["resource"] for entry in bundle["entry"])
    return next(each for each in resources if each["resourceType"] == "DocumentReference")


async def sent(client: Client, *contents: bytes, **fields: Any) -> Json:
    """A request that is pended; what it brought."""
    bundle = request_bundle(client.line, **{"answers": CARE_UNMET} | fields)
    if contents:
        bundle = bringing(bundle, *contents)
    answer = await client.submit(bundle)
    assert answer.status_code == 200, answer.text
    return bundle


async def checks(rows: Rows) -> list[tuple[int, str, str | None]]:
    """Position, state and finding of every verdict, in the order of position."""
    found = await rows.all(
        "select position, state, finding from document_check order by position, case_id"
    )
    return [(row["position"], row["state"], row["finding"]) for row in found]


async def test_what_a_request_brings_waits_for_the_scanner_and_is_cleared(
    client: Client, worker: Worker, rows: Rows
) -> None:
    await sent(client)
    assert await checks(rows) == []
    assert await worker.check_documents() == 1
    assert await checks(rows) == [(1, "clear", None)]
    assert await worker.check_documents() == 0
    assert await rows.all("select kind from case_event") == []


async def test_the_scanner_is_given_the_bytes_that_a_reviewer_would_get(
    client: Client, worker: Worker
) -> None:
    scanner = Sees()
    await sent(client)
    await worker.looking(scanner).run()
    assert scanner.seen == [NOTE]


async def test_what_the_scanner_refuses_stands_in_the_history(
    client: Client, worker: Worker, rows: Rows
) -> None:
    await sent(client, b"Good.", b"Bad.", b"Good as well.")
    assert await worker.looking(Sees(bad=b"Bad")).run() == 3
    assert await checks(rows) == [
        (1, "clear", None),
        (2, "refused", "Made-Up-Signature"),
        (3, "clear", None),
    ]
    (event,) = await rows.all("select kind, detail, person_id from case_event")
    assert event["kind"] == "document-refused"
    assert event["detail"] == {"position": 2, "finding": "Made-Up-Signature"}
    trail = await rows.all("select outcome from audit_event where action = 'document.check'")
    assert trail == [{"outcome": "refused"}]


async def test_a_file_inside_a_result_is_looked_at_too(
    client: Client, worker: Worker, rows: Rows
) -> None:
    bundle = request_bundle(client.line, answers=CARE_UNMET)
    paper = document_of(bundle)
    hidden = {"contentType": "text/plain", "data": b64encode(b"Bad.").decode()}
    result = {
        "resourceType": "DiagnosticReport",
        "status": "final",
        "category": [{"coding": [{"system": f"{HL7}/v2-0074", "code": "LAB"}]}],
        "code": {"coding": [{"system": "http://loinc.org", "code": "24331-1"}]},
        "subject": paper["subject"],
        "effectiveDateTime": "2026-11-01T10:00:00Z",
        "issued": "2026-11-02T10:00:00Z",
        "presentedForm": [{"title": "No file.", "contentType": "text/plain"}, hidden],
    }
    paper.clear()
    paper.update(result)
    answer = await client.submit(bundle)
    assert answer.status_code == 200, answer.text
    await worker.looking(Sees(bad=b"Bad")).run()
    assert await checks(rows) == [(1, "refused", "Made-Up-Signature")]


async def test_without_a_scanner_everything_stays_in_quarantine(
    client: Client, worker: Worker, rows: Rows
) -> None:
    await sent(client)
    assert await worker.looking(None).run() == 0
    assert await checks(rows) == []


async def test_what_software_decided_alone_is_not_looked_at(
    client: Client, worker: Worker, rows: Rows
) -> None:
    await sent(client, answers=MET)
    assert [case["status"] for case in await rows.cases()] == ["affirmed"]
    assert await worker.check_documents() == 0


async def test_the_newest_request_of_a_case_comes_first(
    client: Client, worker: Worker, rows: Rows
) -> None:
    before = await sent(client, b"Of the first request.")
    changed = bringing(update_of(before), b"Of the update.", b"And more of it.")
    assert (await client.submit(changed)).status_code == 200
    scanner = Sees()
    assert await worker.looking(scanner).run() == 3
    assert scanner.seen == [b"Of the update.", b"And more of it.", b"Of the first request."]
    assert [position for position, _, _ in await checks(rows)] == [1, 2, 3]


async def test_the_same_bytes_are_looked_at_once_when_they_are_clean(
    client: Client, worker: Worker, rows: Rows
) -> None:
    scanner = Sees()
    await sent(client, b"The same.", b"The same.")
    assert await worker.looking(scanner).run() == 2
    assert scanner.seen == [b"The same."]
    assert [state for _, state, _ in await checks(rows)] == ["clear", "clear"]


async def test_another_organizations_verdict_is_none_of_ours(
    make_client: MakeClient, worker: Worker
) -> None:
    scanner = Sees()
    await sent(await make_client(), b"The same.")
    await sent(await make_client(), b"The same.", service="skin-substitutes", answers=None)
    await worker.looking(scanner).run()
    assert scanner.seen == [b"The same.", b"The same."]


async def test_two_workers_write_one_verdict(client: Client, worker: Worker, rows: Rows) -> None:
    await sent(client, b"One.", b"Two.")
    both = Together(2)
    done = await asyncio.gather(worker.looking(both).run(), worker.looking(both).run())
    assert sum(done) == 2
    assert [state for _, state, _ in await checks(rows)] == ["refused", "refused"]
    assert len(await rows.all("select id from case_event")) == 2


@dataclass
class Together:
    """A scanner that gives no first verdict before so many have asked for it."""

    how_many: int
    asked: int = 0
    all_there: asyncio.Event = field(default_factory=asyncio.Event)

    async def scan(self, content: bytes) -> Verdict:
        """Not clean."""
        self.asked += 1
        if self.asked == self.how_many:
            self.all_there.set()
        await self.all_there.wait()
        return Verdict("test", "Made-Up-Signature")


async def test_a_scanner_that_is_away_leaves_it_for_later(
    client: Client, worker: Worker, rows: Rows, clock: StillClock
) -> None:
    await sent(client)
    job = worker.looking(Away())
    assert await job.run() == 0
    job = worker.looking(OnceAway())
    assert await job.run() == 0
    assert await job.run() == 0
    assert await checks(rows) == []
    clock.now += timedelta(minutes=1)
    assert await job.run() == 1
    assert await checks(rows) == [(1, "clear", None)]


async def test_what_was_looked_at_before_the_scanner_went_away_stays_looked_at(
    client: Client, worker: Worker, rows: Rows, clock: StillClock
) -> None:
    await sent(client, b"One.", b"Two.")
    job = worker.looking(OnceAway(at=2))
    await job.run()
    assert await checks(rows) == [(1, "clear", None)]
    clock.now += timedelta(minutes=1)
    assert await job.run() == 1
    assert await checks(rows) == [(1, "clear", None), (2, "clear", None)]


async def test_a_document_no_scanner_can_take_does_not_keep_others_waiting(
    client: Client, worker: Worker, rows: Rows
) -> None:
    await sent(client, b"Too large for it.", seed="first")
    await sent(client, b"Small.", seed="second", service="skin-substitutes", answers=None)
    job = worker.looking(OnceAway())
    assert await job.run() == 0
    assert await job.run() == 1
    assert [state for _, state, _ in await checks(rows)] == ["clear"]


@dataclass
class OnceAway:
    """A scanner that gives no answer once: the first time unless told otherwise."""

    at: int = 1
    asked: int = 0

    async def scan(self, content: bytes) -> Verdict:
        """Clean, every other time."""
        self.asked += 1
        if self.asked == self.at:
            raise ScannerAway("no answer")
        return Verdict("test")


async def test_a_document_that_its_request_no_longer_shows_is_refused(
    client: Client, worker: Worker, rows: Rows
) -> None:
    await sent(client)
    async with rows.engine.begin() as db:
        await db.exec_driver_sql(
            "insert into document (organization_id, case_id, position, kind)"
            " select organization_id, id, 2, 'DocumentReference' from prior_auth_case"
        )
    assert await worker.check_documents() == 2
    assert await checks(rows) == [(1, "clear", None), (2, "refused", "Not-Readable")]


async def test_a_verdict_is_never_changed(
    client: Client, worker: Worker, owner_engine: AsyncEngine, rows: Rows
) -> None:
    await sent(client)
    await worker.looking(Finds()).run()
    assert await worker.looking(Clears()).run() == 0
    assert await checks(rows) == [(1, "refused", "Made-Up-Signature")]
    with pytest.raises(DBAPIError, match="never changed, deleted or truncated"):
        async with owner_engine.begin() as db:
            await db.exec_driver_sql("update document_check set state = 'clear'")


@pytest.mark.parametrize(
    ("state", "said"),
    [(AttachmentState.QUARANTINED, "quarantined"), (AttachmentState.REFUSED, "refused")],
)
def test_a_document_that_is_not_clear_is_given_to_nobody(state: AttachmentState, said: str) -> None:
    paper = PaperFacts(1, 1, "DocumentReference", None, "text/plain", 9, state)
    with pytest.raises(Conflict, match=said):
        paper.check_clear()


def test_a_clear_document_is_given() -> None:
    PaperFacts(
        1, 1, "DocumentReference", None, "text/plain", 9, AttachmentState.CLEAR
    ).check_clear()
