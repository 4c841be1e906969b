"""Attachments from the call to the case that goes on."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from tests.bundles import MEMBERS, Json, request_bundle
from tests.clocks import StillClock
from tests.database import become_app
from tests.integration.pas.attaching import (
    NOTES,
    PDF,
    Away,
    Clears,
    Finds,
    Worker,
    attach,
    attachment,
    call,
    document,
    said,
)
from tests.integration.pas.door import CARE_UNMET, MET, Client, MakeClient, Rows
from tests.update_bundles import cancel_of, update_of
from tests.vaults import destroy
from wiser_fhir.db.engine import transaction
from wiser_fhir.errors import Conflict, NotFound
from wiser_fhir.priorauth.attachments import Attachments
from wiser_fhir.priorauth.information import Material, Wanted

IMAGING = "18748-4"
FORM = "https://wiser-fhir.example/fhir/Questionnaire/epidural-steroid-injection|2026-01-15"
HELD = "No request of yours has this number and member yet"


@pytest.fixture
def worker(app_engine: AsyncEngine, clock: StillClock) -> Worker:
    return Worker(app_engine, clock)


async def pended(client: Client, rows: Rows, **fields: Any) -> dict[str, Any]:
    """A case in review."""
    usual = {} if "service" in fields else {"answers": CARE_UNMET}
    answer = await client.submit(request_bundle(client.line, **usual, **fields))
    assert answer.status_code == 200, answer.text
    return (await rows.cases())[-1]


async def states(rows: Rows) -> list[str]:
    """Where the requests for information stand, the first asked first."""
    found = await rows.all("select state from information_request order by asked_at, id")
    return [row["state"] for row in found]


async def kept(rows: Rows) -> list[str]:
    """The states of all attachments, the first received first."""
    found = await rows.all("select state from attachment order by id")
    return [row["state"] for row in found]


async def events(rows: Rows) -> list[str]:
    """What the history of all cases says."""
    return [row["kind"] for row in await rows.all("select kind from case_event order by at, id")]


async def test_a_document_that_was_asked_for_brings_its_case_on(
    client: Client, worker: Worker, rows: Rows, clock: StillClock
) -> None:
    case = await pended(client, rows)
    await worker.ask(client, case["id"])
    clock.now += timedelta(hours=1)
    assert "in review" in said(await attach(client, call(case["trace_value"], case["mbi"])))
    assert await states(rows) == ["open"]
    await worker.run()
    assert await states(rows) == ["answered"]
    assert await events(rows) == [
        *("information-requested", "attachment-received"),
        *("attachment-cleared", "information-answered"),
    ]
    (after,) = await rows.cases()
    assert after["status"] == "in-review"
    assert after["decide_by"] == case["decide_by"]
    assert after["answer_message_id"] != case["answer_message_id"]


async def test_an_answered_request_is_asked_for_no_more(
    client: Client, worker: Worker, rows: Rows
) -> None:
    case = await pended(client, rows)
    task = await worker.ask(client, case["id"])
    await attach(client, call(case["trace_value"], case["mbi"]))
    await worker.run()
    assert (await client.get(f"Task/{task}")).json()["status"] == "completed"
    found = (await client.get(f"ClaimResponse/{case['id']}")).json()
    assert "communicationRequest" not in found


@pytest.mark.parametrize("number", ["trace_value", "reference", "acn", "admin"])
async def test_any_number_of_the_request_leads_to_it(
    number: str, client: Client, rows: Rows
) -> None:
    case = await pended(client, rows)
    tracking = {
        "acn": f"{case['reference']}-1",
        "admin": "a number of the sender's own",
    }.get(number) or case[number]
    reference = case["reference"] if number == "admin" else None
    await attach(client, call(tracking, case["mbi"], reference=reference))
    assert await rows.all("select case_id from attachment_delivery") == [{"case_id": case["id"]}]


async def test_every_trace_number_a_request_ever_had_leads_to_it(
    client: Client, rows: Rows
) -> None:
    before = request_bundle(client.line, answers=CARE_UNMET)
    await client.submit(before)
    (first,) = await rows.cases()
    await client.submit(update_of(before))
    (updated,) = await rows.cases()
    assert first["trace_value"] != updated["trace_value"]
    for number in (first["trace_value"], updated["trace_value"]):
        assert "in review" in said(await attach(client, call(number, first["mbi"])))


async def test_our_reference_goes_before_the_trace_number(client: Client, rows: Rows) -> None:
    first = await pended(client, rows, seed="first")
    second = await pended(client, rows, seed="second", service="skin-substitutes")
    body = call(second["trace_value"], first["mbi"], reference=first["reference"])
    await attach(client, body)
    assert await rows.all("select case_id from attachment_delivery") == [{"case_id": first["id"]}]


async def test_a_member_written_with_dashes_is_the_same_member(client: Client, rows: Rows) -> None:
    case = await pended(client, rows)
    mbi = case["mbi"].lower()
    spelled = f"{mbi[:4]}-{mbi[4:7]}-{mbi[7:]}"
    assert "in review" in said(await attach(client, call(case["trace_value"], spelled)))


async def test_the_number_of_somebody_elses_request_looks_like_no_number(
    client: Client, make_client: MakeClient, rows: Rows
) -> None:
    case = await pended(client, rows)
    stranger = await make_client()
    mine = said(await attach(stranger, call(case["trace_value"], case["mbi"])))
    none = said(await attach(stranger, call("no such number", case["mbi"])))
    wrong_member = said(await attach(client, call(case["trace_value"], MEMBERS[1].mbi)))
    assert mine == none == wrong_member
    assert HELD in mine
    assert await rows.all("select case_id from attachment_delivery where case_id is not null") == []


async def test_what_comes_before_its_request_is_held_until_it_comes(
    client: Client, worker: Worker, rows: Rows
) -> None:
    bundle = request_bundle(client.line, answers=CARE_UNMET)
    trace = bundle["entry"][0]["resource"]["identifier"][0]["value"]
    assert HELD in said(await attach(client, call(trace, MEMBERS[0].mbi)))
    await worker.run()
    assert await kept(rows) == ["clear"]
    await client.submit(bundle)
    await worker.run()
    (case,) = await rows.cases()
    assert await rows.all("select case_id from attachment_delivery") == [{"case_id": case["id"]}]
    assert await events(rows) == ["attachment-received"]


async def test_a_dismissed_request_takes_nothing(client: Client, rows: Rows) -> None:
    await client.submit(request_bundle(client.line, payer="medicaid"))
    (case,) = await rows.cases()
    assert case["status"] == "dismissed"
    assert HELD in said(await attach(client, call(case["trace_value"], case["mbi"])))


async def test_a_decided_request_keeps_what_comes_and_does_not_move(
    client: Client, worker: Worker, rows: Rows
) -> None:
    await client.submit(request_bundle(client.line, answers=MET))
    (case,) = await rows.cases()
    answer = said(await attach(client, call(case["trace_value"], case["mbi"])))
    assert "decided or cancelled: nothing changes" in answer
    await worker.run()
    assert await rows.cases() == [case]
    assert await kept(rows) == ["clear"]


async def test_a_cancelled_request_keeps_what_comes(
    client: Client, worker: Worker, rows: Rows
) -> None:
    before = request_bundle(client.line, answers=CARE_UNMET)
    await client.submit(before)
    await client.submit(cancel_of(before))
    (case,) = await rows.cases()
    assert case["status"] == "cancelled"
    answer = said(await attach(client, call(case["reference"], case["mbi"])))
    assert "decided or cancelled: nothing changes" in answer
    await worker.run()
    assert await rows.cases() == [case]


async def test_what_is_cleared_after_a_cancel_answers_nothing(
    client: Client, worker: Worker, rows: Rows
) -> None:
    before = request_bundle(client.line, answers=CARE_UNMET)
    await client.submit(before)
    (case,) = await rows.cases()
    await worker.ask(client, case["id"])
    await attach(client, call(case["reference"], case["mbi"]))
    await client.submit(cancel_of(before))
    await worker.run()
    assert await kept(rows) == ["clear"]
    assert "information-answered" not in await events(rows)


async def test_more_is_waited_for_where_more_was_promised(
    client: Client, worker: Worker, rows: Rows, clock: StillClock
) -> None:
    case = await pended(client, rows)
    await worker.ask(client, case["id"], Wanted(code=NOTES), Wanted(code=IMAGING))
    notes = attachment(code=NOTES)
    answer = await attach(client, call(case["trace_value"], case["mbi"], notes, final=False))
    assert "More is expected" in said(answer)
    await worker.run()
    assert await states(rows) == ["open"]
    imaging = attachment(document(b"\xff\xd8\xff\xe0", "image/jpeg"), code=IMAGING)
    await attach(client, call(case["trace_value"], case["mbi"], imaging, final=False))
    await worker.run()
    assert await states(rows) == ["answered"]


async def test_who_says_that_nothing_follows_has_answered_without_the_rest(
    client: Client, worker: Worker, rows: Rows
) -> None:
    case = await pended(client, rows)
    await worker.ask(client, case["id"], Wanted(code=NOTES), Wanted(code=IMAGING))
    await attach(client, call(case["trace_value"], case["mbi"], attachment(code=NOTES)))
    await worker.run()
    assert await states(rows) == ["answered"]
    query = "select detail from case_event where kind = 'information-answered'"
    (event,) = await rows.all(query)
    assert event["detail"]["missing"] == 1


async def test_that_nothing_follows_holds_until_something_follows(
    client: Client, worker: Worker, rows: Rows, clock: StillClock
) -> None:
    case = await pended(client, rows)
    await worker.ask(client, case["id"], Wanted(code=NOTES), Wanted(code=IMAGING))
    form = attachment(form_response())
    await attach(client, call(case["trace_value"], case["mbi"], form, final=True))
    await worker.run()
    clock.now += timedelta(minutes=1)
    notes = attachment(code=NOTES)
    await attach(client, call(case["trace_value"], case["mbi"], notes, final=False))
    await worker.run()
    assert await states(rows) == ["open"]
    clock.now += timedelta(minutes=1)
    await attach(client, call(case["trace_value"], case["mbi"], notes, final=True))
    await worker.run()
    assert await states(rows) == ["answered"]


async def test_what_was_said_before_the_asking_says_nothing_of_it(
    client: Client, worker: Worker, rows: Rows, clock: StillClock
) -> None:
    case = await pended(client, rows)
    notes = attachment(code=NOTES)
    await attach(client, call(case["trace_value"], case["mbi"], notes, final=True))
    clock.now += timedelta(minutes=1)
    await worker.ask(client, case["id"], Wanted(code=NOTES), Wanted(code=IMAGING))
    await worker.run()
    assert await kept(rows) == ["clear"]
    assert await states(rows) == ["open"]


def form_response(form: str = FORM, status: str = "completed") -> Json:
    return {
        "resourceType": "QuestionnaireResponse",
        "questionnaire": form,
        "status": status,
        "item": [{"linkId": "esi-levels", "answer": [{"valueDecimal": 1.50}]}],
    }


@pytest.mark.parametrize(
    "response",
    [
        form_response(status="in-progress"),
        form_response(FORM.replace("2026-01-15", "2025-01-15")),
        form_response(FORM.replace("epidural-steroid-injection", "cervical-fusion")),
    ],
)
async def test_only_complete_answers_of_the_form_that_is_wanted_settle_it(
    response: Json, client: Client, worker: Worker, rows: Rows
) -> None:
    case = await pended(client, rows)
    await worker.ask(client, case["id"], Wanted(questionnaire=FORM), kind=Material.QUESTIONNAIRE)
    await attach(client, call(case["trace_value"], case["mbi"], attachment(response)))
    await worker.run()
    assert await kept(rows) == ["clear"]
    assert await states(rows) == ["open"]
    entry = {
        "fullUrl": "urn:uuid:0b3c3f57-4a4f-4f5b-9d3e-6f3f3d1f2a10",
        "resource": form_response(status="amended"),
    }
    amended = {"resourceType": "Bundle", "type": "collection", "entry": [entry]}
    answer = await attach(client, call(case["trace_value"], case["mbi"], attachment(amended)))
    assert "in review" in said(answer)
    await worker.run()
    assert await states(rows) == ["answered"]


UNKNOWN_LINE = {
    "severity": "warning",
    "code": "not-found",
    "details": {"text": "The request has no line 99: the attachment counts for the whole request."},
    "expression": ["Parameters.parameter[4].part[1].value"],
}


async def test_a_line_that_the_request_does_not_have_is_told(
    client: Client, worker: Worker, rows: Rows
) -> None:
    case = await pended(client, rows)
    await worker.ask(client, case["id"], Wanted(code=NOTES, lines=(1,)))
    notes = attachment(code=NOTES, lines=("1", " 99 "))
    body = call(case["trace_value"], case["mbi"], notes)
    answer = await attach(client, body)
    assert answer.status_code == 200
    *others, warning = answer.json()["issue"]
    assert {issue["severity"] for issue in others} == {"information"}
    assert warning == UNKNOWN_LINE
    assert (await attach(client, body)).json()["issue"][-1] == UNKNOWN_LINE
    await worker.run()
    assert await states(rows) == ["answered"]


async def test_an_attachment_for_no_line_of_the_request_is_for_all_of_it(
    client: Client, worker: Worker, rows: Rows
) -> None:
    case = await pended(client, rows)
    await worker.ask(client, case["id"], Wanted(code=NOTES, lines=(1,)))
    notes = attachment(code=NOTES, lines=("99",))
    await attach(client, call(case["trace_value"], case["mbi"], notes, final=False))
    await worker.run()
    assert await states(rows) == ["answered"]


async def test_nothing_is_said_of_the_lines_of_what_is_held(client: Client) -> None:
    held = attachment(code=NOTES, lines=("99",))
    assert HELD in said(await attach(client, call("no such number", MEMBERS[0].mbi, held)))


async def test_only_the_answers_of_a_form_answer_for_a_form(
    client: Client, worker: Worker, rows: Rows
) -> None:
    case = await pended(client, rows)
    form = Wanted(questionnaire=FORM)
    await worker.ask(client, case["id"], form, kind=Material.QUESTIONNAIRE)
    await attach(client, call(case["trace_value"], case["mbi"]))
    await worker.run()
    assert await states(rows) == ["open"]
    await attach(client, call(case["trace_value"], case["mbi"], attachment(form_response())))
    await worker.run()
    assert await states(rows) == ["answered"]
    (after,) = await rows.cases()
    assert after["status"] == "in-review"


async def test_the_same_call_again_changes_nothing(
    client: Client, worker: Worker, rows: Rows
) -> None:
    case = await pended(client, rows)
    body = call(case["trace_value"], case["mbi"])
    first, second = await attach(client, body), await attach(client, body)
    assert first.json() == second.json()
    assert len(await rows.all("select 1 from attachment_delivery")) == 1
    assert await kept(rows) == ["quarantined"]
    await worker.run()
    assert "checked and clear: 1" in said(await attach(client, body))
    assert (await rows.audit())[-1] == ("attachment.submit", "replayed")


async def test_the_same_file_in_another_call_is_kept_once(client: Client, rows: Rows) -> None:
    case = await pended(client, rows)
    await attach(client, call(case["trace_value"], case["mbi"], final=False))
    await attach(client, call(case["trace_value"], case["mbi"], final=True))
    twice = call(case["trace_value"], case["mbi"], attachment(), attachment(), final=False)
    await attach(client, twice)
    finals = await rows.all("select final from attachment_delivery order by received_at, id")
    assert [row["final"] for row in finals] == [False, True, False]
    assert await kept(rows) == ["quarantined"]


async def test_the_same_call_at_the_same_time_is_one(client: Client, rows: Rows) -> None:
    case = await pended(client, rows)
    body = call(case["trace_value"], case["mbi"])
    answers = await asyncio.gather(*(attach(client, body) for _ in range(8)))
    assert {said(answer) for answer in answers} == {said(answers[0])}
    assert len(await rows.all("select 1 from attachment_delivery")) == 1
    assert await kept(rows) == ["quarantined"]


async def test_what_the_scanner_refuses_is_not_kept_and_answers_nothing(
    client: Client, worker: Worker, rows: Rows
) -> None:
    case = await pended(client, rows)
    await worker.ask(client, case["id"])
    body = call(case["trace_value"], case["mbi"])
    await attach(client, body)
    await worker.with_scanner(Finds()).run()
    (found,) = await rows.all("select state, content, finding from attachment")
    assert found == {"state": "refused", "content": None, "finding": "Made-Up-Signature"}
    assert await states(rows) == ["open"]
    assert "attachment-refused" in await events(rows)
    assert "refused by the check for malware and not kept: 1" in said(await attach(client, body))


async def test_a_refused_file_of_no_request_is_on_the_audit_trail(
    client: Client, worker: Worker, rows: Rows
) -> None:
    await attach(client, call("no such number", MEMBERS[0].mbi))
    await worker.with_scanner(Finds()).run()
    assert (await rows.audit())[-1] == ("attachment.check", "refused")


async def test_without_a_scanner_everything_stays_in_quarantine(
    client: Client, worker: Worker, rows: Rows
) -> None:
    case = await pended(client, rows)
    await worker.ask(client, case["id"])
    await attach(client, call(case["trace_value"], case["mbi"]))
    await worker.with_scanner(None).run()
    assert await kept(rows) == ["quarantined"]
    assert await states(rows) == ["open"]


async def test_a_scanner_that_was_away_is_asked_again(
    client: Client, worker: Worker, rows: Rows, clock: StillClock
) -> None:
    case = await pended(client, rows)
    await attach(client, call(case["trace_value"], case["mbi"]))
    await worker.with_scanner(Away()).run()
    assert await kept(rows) == ["quarantined"]
    clock.now += timedelta(minutes=5)
    await worker.run()
    assert await kept(rows) == ["clear"]


class Counts(Clears):
    """A scanner that takes its time and counts what it is asked."""

    def __init__(self) -> None:
        self.asked: list[bytes] = []

    async def scan(self, content: bytes) -> Any:
        self.asked.append(content)
        await asyncio.sleep(0.01)
        return await super().scan(content)


async def test_two_workers_share_the_work(client: Client, worker: Worker, rows: Rows) -> None:
    files = [f"%PDF-1.7 page {n}".encode() for n in range(12)]
    attached = [attachment(document(each)) for each in files]
    await attach(client, call("no such number", MEMBERS[0].mbi, *attached))
    scanner = Counts()
    await asyncio.gather(*(worker.with_scanner(scanner).run() for _ in range(3)))
    assert sorted(scanner.asked) == sorted(files)
    assert await kept(rows) == ["clear"] * 12


async def test_of_many_files_of_one_organization_a_worker_takes_some_at_a_time(
    client: Client, worker: Worker, rows: Rows
) -> None:
    attached = [attachment(document(f"%PDF-1.7 page {n}".encode())) for n in range(3)]
    await attach(client, call("no such number", MEMBERS[0].mbi, *attached))
    clearing = replace(worker.with_scanner(Clears()), at_once=2)
    assert await clearing.check_quarantined(client.organization_id) == 2
    assert await clearing.check_quarantined(client.organization_id) == 1
    assert await kept(rows) == ["clear"] * 3


async def test_the_erased_keep_no_file_of_others_in_quarantine(
    make_client: MakeClient, worker: Worker, rows: Rows, owner_engine: AsyncEngine
) -> None:
    erased, ours = await make_client(), await make_client()
    for each in (erased, ours):
        await attach(each, call("no such number", MEMBERS[0].mbi))
    await destroy(owner_engine, erased.organization_id)
    assert await worker.run() == 1
    assert await kept(rows) == ["quarantined", "clear"]


async def test_files_are_stored_as_they_are(db: AsyncConnection) -> None:
    query = """
        select attname, attstorage::text from pg_attribute
        where attrelid = 'attachment'::regclass and attname in ('content', 'resource') order by 1
    """
    found = [tuple(row) for row in (await db.execute(text(query))).all()]
    assert found == [("content", "e"), ("resource", "e")]


async def test_a_verdict_that_comes_second_changes_nothing(
    client: Client, worker: Worker, rows: Rows
) -> None:
    await attach(client, call("no such number", MEMBERS[0].mbi))
    first, second = worker.with_scanner(Clears()), worker.with_scanner(Finds())

    class Overtaken:
        async def scan(self, content: bytes) -> Any:
            clock_of_first = worker.clock.now
            worker.clock.now += timedelta(minutes=6)
            await first.check_quarantined(client.organization_id)
            worker.clock.now = clock_of_first
            return await Finds().scan(content)

    await worker.with_scanner(Overtaken()).run()
    await second.run()
    assert await kept(rows) == ["clear"]


async def test_a_reviewer_reads_what_is_clear_and_nothing_else(
    client: Client, worker: Worker, rows: Rows, app_engine: AsyncEngine
) -> None:
    case = await pended(client, rows)
    body = call(case["trace_value"], case["mbi"], attachment(code=NOTES, lines=("1",)))
    await attach(client, body)

    async def read(of_case: UUID = case["id"]) -> Any:
        async with transaction(app_engine, client.organization_id) as db:
            (facts,) = await Attachments(db).of_case(case["id"])
            return await Attachments(db).content(facts.id, case_id=of_case)

    with pytest.raises(Conflict, match="quarantined"):
        await read()
    await worker.run()
    content = await read()
    assert (content.media_type, content.body) == ("application/pdf", PDF)
    assert (content.facts.code.code, content.facts.lines) == (NOTES, ("1",))
    with pytest.raises(NotFound):
        await read(client.organization_id)


async def test_nobody_reads_what_was_refused(
    client: Client, worker: Worker, rows: Rows, app_engine: AsyncEngine
) -> None:
    case = await pended(client, rows)
    await attach(client, call(case["trace_value"], case["mbi"]))
    await worker.with_scanner(Finds()).run()
    async with transaction(app_engine, client.organization_id) as db:
        (facts,) = await Attachments(db).of_case(case["id"])
        with pytest.raises(Conflict, match="refused"):
            await Attachments(db).content(facts.id, case_id=case["id"])


async def test_what_comes_for_a_claim_waits_for_its_review(
    client: Client, worker: Worker, rows: Rows, app_engine: AsyncEngine
) -> None:
    case = await pended(client, rows)
    body = call("ADR1", case["mbi"], attach_to="claim", service_date="2026-11-02")
    assert "review of the claim" in said(await attach(client, body))
    await worker.run()
    (found,) = await rows.all("select case_id, service_date from attachment_delivery")
    assert (found["case_id"], str(found["service_date"])) == (None, "2026-11-02")
    (row,) = await rows.all("select id from attachment")
    async with transaction(app_engine, client.organization_id) as db:
        content = await Attachments(db).content(row["id"], case_id=None)
    assert content.body == PDF


async def test_nothing_of_a_call_is_kept_that_is_refused(client: Client, rows: Rows) -> None:
    good, bad = attachment(), attachment(document(b"MZ\x90\x00"))
    answer = await attach(client, call("no such number", MEMBERS[0].mbi, good, bad))
    assert answer.status_code == 422
    assert await kept(rows) == []


@pytest.mark.parametrize(
    ("scopes", "status"), [(("system/Claim.u",), 200), (("system/Claim.c",), 403)]
)
async def test_attaching_has_a_scope(
    scopes: tuple[str, ...], status: int, make_client: MakeClient
) -> None:
    client = await make_client(scopes=scopes)
    assert (await attach(client, call("1", MEMBERS[0].mbi))).status_code == status


async def test_attachments_are_posted_and_nothing_else(client: Client) -> None:
    answer = await client.get("$submit-attachment")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


async def test_an_attachment_once_checked_is_never_changed(
    client: Client, worker: Worker, rows: Rows, db: AsyncConnection
) -> None:
    case = await pended(client, rows)
    await attach(client, call(case["trace_value"], case["mbi"]))
    await worker.run()
    await become_app(db, client.organization_id)
    for statement in (
        "update attachment set state = 'quarantined', checked_at = null, scanner = null",
        "update attachment set content = 'x'",
        "update attachment_delivery set case_id = case_id",
        "delete from attachment",
        "delete from attachment_delivery",
        "update attachment set sha256 = sha256",
    ):
        with pytest.raises(DBAPIError, match=r"once|stays there|permission denied"):
            async with db.begin_nested():
                await db.execute(text(statement))


async def test_a_file_in_quarantine_is_not_exchanged(
    client: Client, rows: Rows, db: AsyncConnection
) -> None:
    await attach(client, call("1", MEMBERS[0].mbi))
    await become_app(db, client.organization_id)
    with pytest.raises(DBAPIError, match="checked once"):
        await db.execute(text("update attachment set content = 'x'"))


async def test_what_becomes_of_attachments_is_on_the_trail_with_the_beneficiary(
    client: Client, worker: Worker, rows: Rows
) -> None:
    case = await pended(client, rows)
    await worker.ask(client, case["id"])
    await attach(client, call(case["trace_value"], case["mbi"]))
    await attach(client, call("no such number", MEMBERS[0].mbi))
    await worker.run()
    trail = await rows.all(
        "select action, patient from audit_event where action in ('attachment.submit',"
        " 'attachment.match', 'attachment.check', 'information.answer') order by id"
    )
    patients = {row["action"]: row["patient"] for row in trail}
    assert set(patients) == {
        *("attachment.submit", "attachment.match", "attachment.check", "information.answer")
    }
    assert all(len(row["patient"]) == 32 for row in trail), trail
