"""A case as it is shown, with its documents and messages."""

from base64 import b64encode

import pytest
from fastapi import FastAPI

from tests.bundles import request_bundle
from tests.clocks import StillClock
from tests.integration.pas.attaching import PDF, Finds, Worker, attach, call
from tests.integration.pas.door import CARE_UNMET, Client, Rows
from tests.integration.review.door import NON_AFFIRM, MakePerson, Person
from tests.update_bundles import update_of


async def test_a_case_shows_what_was_asked_and_what_the_rules_found(
    clinician: Person, pended: str
) -> None:
    shown = await clinician.case(pended)
    assert shown["status"] == "in-review"
    assert shown["service"] == "epidural-steroid-injection"
    assert shown["recommendation"] == "review"
    assert shown["decide_by"] == "2026-11-23T16:00:00Z"
    assert shown["diagnoses"] == ["M54.16"]
    assert shown["beneficiary"] == {
        "mbi": "1EG4TE5MK73",
        "family": "Testfeather",
        "given": "Ada",
        "birth_date": "1948-03-09",
    }
    (item,) = shown["items"]
    assert (item["sequence"], item["code"]["code"], item["status"]) == (1, "64483", "pended")
    unmet = [each for each in shown["criteria"] if each["finding"]["status"] == "unmet"]
    assert [each["finding"]["criterion"] for each in unmet] == ["esi-conservative"]
    assert unmet[0]["question"]
    assert shown["assigned"] is None
    assert [each["case_id"] for each in shown["chain"]] == [pended]
    assert shown["earlier"] == []


async def test_a_dismissed_request_says_why(clinician: Person, sender: Client) -> None:
    refused = request_bundle("2.2", payer="medicare-advantage")
    case_id = (await sender.submit(refused)).json()["entry"][0]["resource"]["id"]
    shown = await clinician.case(case_id)
    assert shown["status"] == "dismissed"
    assert shown["dismissal"]["reason"] == "medicare-advantage-or-medicaid"
    assert (shown["utn"], shown["recommendation"]) == (None, None)


async def test_answers_are_shown_with_who_gave_them(clinician: Person, pended: str) -> None:
    (form,) = (await clinician.case(pended))["forms"]
    answers = {each["question"]: each for each in form["answers"]}
    assert answers["esi-conservative"]["value"] == "none"
    assert answers["esi-treatments-12m"]["value"] == 2
    assert answers["esi-with-care"]["value"] == "pt"
    assert answers["esi-conservative"]["counted"] is True
    assert answers["esi-conservative"]["text"]


@pytest.fixture
def worker(app: FastAPI, clock: StillClock) -> Worker:
    """The worker's part; its scanner finds nothing."""
    return Worker(app.state.engine, clock)


async def test_a_document_is_downloaded_as_it_came(
    clinician: Person, pended: str, worker: Worker
) -> None:
    await worker.check_documents()
    (document,) = (await clinician.case(pended))["documents"]
    assert (document["state"], document["finding"]) == ("clear", None)
    assert document["href"] == f"/review/cases/{pended}/documents/1"
    answer = await clinician.get(f"cases/{pended}/documents/1")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["content-disposition"] == "attachment"
    policy = "sandbox; default-src 'none'; frame-ancestors 'none'"
    assert answer.headers["content-security-policy"] == policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.text == "Made-up clinical note for testing. History, examination and imaging."
    assert len(answer.content) == document["size"]


async def test_a_document_that_nothing_has_scanned_is_listed_and_not_given(
    clinician: Person, pended: str
) -> None:
    (document,) = (await clinician.case(pended))["documents"]
    assert document["state"] == "quarantined"
    answer = await clinician.get(f"cases/{pended}/documents/1")
    assert answer.status_code == 409
    assert "quarantined" in answer.text
    assert "data" not in answer.text


async def test_a_document_that_the_scanner_refused_is_never_given(
    clinician: Person, auditor: Person, pended: str, worker: Worker
) -> None:
    await worker.looking(Finds()).run()
    shown = await clinician.case(pended)
    (document,) = shown["documents"]
    assert (document["state"], document["finding"]) == ("refused", "Made-Up-Signature")
    assert [each["kind"] for each in shown["history"]] == ["document-refused"]
    for person in (clinician, auditor):
        answer = await person.get(f"cases/{pended}/documents/1")
        assert answer.status_code == 409
        assert "refused" in answer.text


@pytest.mark.parametrize("role", ["clinician", "coordinator"])
async def test_a_request_as_it_came_is_for_auditors_because_its_files_are_unchecked(
    make_person: MakePerson, pended: str, role: str
) -> None:
    person = await make_person(roles=(role,))
    kinds = {each["kind"]: each["id"] for each in (await person.case(pended))["messages"]}
    answer = await person.get(f"cases/{pended}/messages/{kinds['claim-submit']}")
    assert answer.status_code == 403
    assert (await person.get(f"cases/{pended}/messages/{kinds['claim-response']}")).is_success


@pytest.mark.parametrize(
    "path",
    [
        "cases/{other}",
        "cases/{case}/documents/2",
        "cases/{case}/attachments/{other}",
        "cases/{case}/messages/{other}",
    ],
)
async def test_what_is_not_there_is_not_found(clinician: Person, pended: str, path: str) -> None:
    other = "5a5d0b0c-0000-4000-8000-000000000999"
    answer = await clinician.get(path.format(case=pended, other=other))
    assert answer.status_code == 404
    assert answer.json()["issue"][0]["code"] == "not-found"


async def test_a_message_is_read_byte_for_byte(auditor: Person, sender: Client, rows: Rows) -> None:
    bundle = request_bundle("2.2", answers=CARE_UNMET)
    case_id = (await sender.submit(bundle)).json()["entry"][0]["resource"]["id"]
    messages = (await auditor.case(case_id))["messages"]
    kinds = {each["kind"]: each for each in messages}
    answer = await auditor.get(f"cases/{case_id}/messages/{kinds['claim-submit']['id']}")
    assert answer.headers["content-type"] == "application/fhir+json"
    assert [answer.content] == await rows.received()


async def test_every_look_is_on_the_trail_with_who_looked(
    clinician: Person, auditor: Person, pended: str, rows: Rows
) -> None:
    await clinician.case(pended)
    await auditor.get(f"cases/{pended}/documents/1")
    looks = await rows.all(
        "select distinct person_id, action, outcome, object_id from audit_event"
        " where action = 'case.look' and patient is not null"
    )
    assert {(each["person_id"], each["object_id"]) for each in looks} == {
        (clinician.id, pended),
        (auditor.id, pended),
    }


async def test_nobody_sees_a_case_of_an_organization_they_belong_to(
    make_person: MakePerson, sender: Client, pended: str, rows: Rows
) -> None:
    insider = await make_person(organizations=[sender.organization_id])
    answer = await insider.get(f"cases/{pended}")
    assert answer.status_code == 404
    assert (await insider.queue())["cases"] == []
    (gate,) = await rows.all(
        "select outcome, object_id from audit_event where action = 'gate.case-organization'"
    )
    assert gate == {"outcome": "own", "object_id": pended}


async def test_nobody_sees_a_case_that_names_them_or_their_organization(
    make_person: MakePerson, sender: Client, pended: str, rows: Rows
) -> None:
    parties = await rows.all("select npi from case_party where role = 'requester'")
    named = await make_person(npi=parties[0]["npi"])
    assert (await named.get(f"cases/{pended}")).status_code == 404
    assert (await named.queue())["cases"] == []


async def test_a_chain_of_resubmissions_is_shown_from_either_end(
    clinician: Person, sender: Client, pended: str, rows: Rows, worker: Worker
) -> None:
    decided = {"revision": 1, "items": [NON_AFFIRM]}
    assert (await clinician.put(f"cases/{pended}/determination", decided)).status_code == 200
    ((utn,),) = [row.values() for row in await rows.all("select utn from utn")]
    again = request_bundle("2.2", answers=CARE_UNMET, seed="again", previous_utn=utn)
    second = (await sender.submit(again)).json()["entry"][0]["resource"]["id"]
    for case_id in (pended, second):
        chain = (await clinician.case(case_id))["chain"]
        assert [(each["case_id"], each["status"], each["follows"]) for each in chain] == [
            (pended, "non-affirmed", None),
            (second, "in-review", pended),
        ]
    (before,) = (await clinician.case(second))["earlier"]
    assert before["href"] == f"/review/cases/{pended}"
    assert [each["rationale"] for each in before["determinations"]] == [NON_AFFIRM["rationale"]]
    (document,) = before["documents"]
    assert document["state"] == "quarantined"
    await worker.check_documents()
    answer = await clinician.get(document["href"].removeprefix("/review/"))
    assert answer.text.startswith("Made-up clinical note")


async def test_the_documents_of_each_request_of_a_case_are_there(
    clinician: Person, sender: Client, pended: str, worker: Worker
) -> None:
    changed = update_of(request_bundle("2.2", answers=CARE_UNMET), add=("64484",))
    (paper,) = (
        entry["resource"]["content"][0]["attachment"]
        for entry in changed["entry"]
        if entry["resource"]["resourceType"] == "DocumentReference"
    )
    paper["data"] = b64encode(b"What the update brought.").decode()
    assert (await sender.submit(changed)).status_code == 200
    await worker.check_documents()
    shown = await clinician.case(pended)
    assert shown["revision"] == 2
    texts = {
        document["revision"]: (await clinician.get(document["href"].removeprefix("/review/"))).text
        for document in shown["documents"]
    }
    assert texts[1].startswith("Made-up clinical note")
    assert texts[2] == "What the update brought."


async def test_an_attachment_is_there_once_a_scanner_has_cleared_it(
    clinician: Person,
    sender: Client,
    pended: str,
    rows: Rows,
    app: FastAPI,
    clock: StillClock,
) -> None:
    (case,) = await rows.cases()
    await attach(sender, call(case["trace_value"], case["mbi"]))
    (quarantined,) = (await clinician.case(pended))["attachments"]
    assert (quarantined["state"], quarantined["media_type"]) == ("quarantined", "application/pdf")
    url = quarantined["href"].removeprefix("/review/")
    assert (await clinician.get(url)).status_code == 409
    await Worker(app.state.engine, clock).run()
    answer = await clinician.get(url)
    assert (answer.headers["content-type"], answer.content) == ("application/pdf", PDF)
    looks = await rows.all("select person_id from audit_event where action = 'case.attachment'")
    assert looks == [{"person_id": clinician.id}]
