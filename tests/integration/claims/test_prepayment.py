"""Reviews before payment: opened by claims, moved on by documents and days, ended by clinicians."""

import asyncio
import base64
import hmac
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.cases import REQUESTER_NPI
from tests.clocks import StillClock
from tests.database import MakeOrganization
from tests.integration.claims.deliveries import MBI, deliver
from tests.integration.claims.door import OTHER_NPI, Door, Json, MakeDoor, a_person, billed, rows
from tests.unit.priorauth.wiser_requests import CATALOGUE
from tests.vaults import A_SEALED
from wiser_fhir.auth.people import Reviewer
from wiser_fhir.db.engine import transaction
from wiser_fhir.errors import Forbidden
from wiser_fhir.priorauth.desk import Reviewing
from wiser_fhir.priorauth.numbers import time_ordered_uuid
from wiser_fhir.priorauth.prepayment import Recommendation
from wiser_fhir.priorauth.prepayment_life import PrepaymentLife
from wiser_fhir.priorauth.prepayment_reviews import Opinion, PrepaymentReviews

CLAIM: Json = {
    "claim_number": "C-1",
    "mbi": MBI,
    "provider_npi": REQUESTER_NPI,
    "place_of_service": "11",
    "state": "NJ",
    "lines": [billed(), billed("64483", 2), billed("15271", 3), billed("99213", 4)],
}
PAY = {"recommendation": "pay", "rationale": "The records meet the criteria."}
DENY = {"recommendation": "deny", "rationale": "No imaging.", "reasons": ["0U"]}
# Asked on 1 June 2026, so documents may come until the end of 16 July, Eastern time.
LAST_MOMENT = datetime(2026, 7, 17, 3, 59, 59, tzinfo=UTC)
DAY_46 = datetime(2026, 7, 17, 4, tzinfo=UTC)


@pytest.fixture
def life(app_engine: AsyncEngine, clock: StillClock) -> PrepaymentLife:
    """The jobs."""
    return PrepaymentLife(app_engine, clock, CATALOGUE.process.timeframes)


@pytest.fixture
async def opened(mac: Door) -> Json:
    """The one review of a claim for an injection."""
    answer = await mac.record({**CLAIM, "lines": [billed()]})
    (review,) = answer.json()["reviews"]
    found: Json = review
    return found


@pytest.fixture
async def provider(make_organization: MakeOrganization) -> UUID:
    """Who sends documents."""
    return await make_organization()


async def state_of(mac: Door, review: Json) -> Json:
    """The review as its MAC reads it."""
    answer = await mac.get(f"/claims/reviews/{review['id']}")
    assert answer.status_code == 200, answer.text
    found: Json = answer.json()
    return found


async def test_a_claim_nobody_decided_on_opens_a_review_for_each_service(
    mac: Door, superuser_engine: AsyncEngine
) -> None:
    answer = (await mac.record(CLAIM)).json()
    assert [line["status"] for line in answer["lines"]] == [
        *("utn-missing", "utn-missing", "utn-missing", "not-wiser"),
    ]
    injection, skin = answer["reviews"]
    assert (injection["service"], injection["lines"]) == ("epidural-steroid-injection", [1, 2])
    assert (skin["service"], skin["lines"]) == ("skin-substitutes", [3])
    assert injection["documents_due"] == "2026-07-16"
    assert injection["adr_number"] != skin["adr_number"]
    letters = await rows(superuser_engine, "select kind, recipient, state, review_id from letter")
    assert {str(row.review_id) for row in letters} == {injection["id"], skin["id"]}
    assert {tuple(row)[:3] for row in letters} == {("documentation-request", "provider", "queued")}


async def test_what_needs_no_number_or_has_a_decision_opens_none(mac: Door) -> None:
    lines = [billed(modifiers=["ET"]), billed(line=2, service_date="2026-01-14")]
    assert (await mac.record({**CLAIM, "lines": lines})).json()["reviews"] == []


async def test_a_mac_reads_its_own_reviews_page_by_page(mac: Door, make_door: MakeDoor) -> None:
    opened = sorted(review["id"] for review in (await mac.record(CLAIM)).json()["reviews"])
    first = (await mac.get("/claims/reviews", size="1")).json()
    second = (await mac.get("/claims/reviews", size="1", after=first["next"])).json()
    assert [each["id"] for each in (*first["reviews"], *second["reviews"])] == opened
    last = (await mac.get("/claims/reviews", size="1", after=second["next"])).json()
    assert last == {"reviews": [], "next": None}
    waiting = (await mac.get("/claims/reviews", state="documents-asked")).json()
    assert len(waiting["reviews"]) == 2
    assert (await mac.get("/claims/reviews", state="no-response")).json()["reviews"] == []
    other = await make_door()
    assert (await other.get("/claims/reviews")).json()["reviews"] == []
    assert (await other.get(f"/claims/reviews/{opened[0]}")).status_code == 404


async def test_nobody_answering_is_told_to_the_mac_once_the_last_day_is_over(
    mac: Door, opened: Json, life: PrepaymentLife, clock: StillClock
) -> None:
    clock.now = LAST_MOMENT
    assert await life.move_on() == 0
    clock.now = DAY_46
    assert await life.move_on() == 1
    told = await state_of(mac, opened)
    assert (told["state"], told["ended_at"]) == ("no-response", "2026-07-17T04:00:00Z")
    assert (told["recommendation"], told["documents_at"]) == (None, None)
    assert told["reported_at"] is None
    clock.now = DAY_46 + timedelta(days=1)
    assert (await state_of(mac, opened))["reported_at"] == "2026-07-17T04:00:00Z"
    assert await life.move_on() == 0


async def test_the_last_document_begins_three_days(
    mac: Door,
    opened: Json,
    provider: UUID,
    life: PrepaymentLife,
    clock: StillClock,
    superuser_engine: AsyncEngine,
) -> None:
    early = datetime(2026, 6, 3, 14, tzinfo=UTC)
    await deliver(superuser_engine, provider, opened["adr_number"], at=early, final=False)
    assert (await life.match_documents(), await life.move_on()) == (1, 0)
    last = datetime(2026, 6, 5, 14, tzinfo=UTC)
    await deliver(superuser_engine, provider, opened["adr_number"], at=last)
    assert (await life.match_documents(), await life.move_on()) == (1, 1)
    told = await state_of(mac, opened)
    assert (told["state"], told["documents_at"]) == ("in-review", "2026-06-05T14:00:00Z")
    assert told["due_at"] == "2026-06-08T14:00:00Z"
    clock.now = DAY_46
    assert (await life.match_documents(), await life.move_on()) == (0, 0)


async def test_documents_without_a_last_one_are_reviewed_after_day_45(
    mac: Door,
    opened: Json,
    provider: UUID,
    life: PrepaymentLife,
    clock: StillClock,
    superuser_engine: AsyncEngine,
) -> None:
    await deliver(superuser_engine, provider, opened["adr_number"], final=False)
    await life.match_documents()
    clock.now = DAY_46
    assert await life.move_on() == 1
    told = await state_of(mac, opened)
    assert (told["state"], told["documents_at"]) == ("in-review", "2026-07-17T04:00:00Z")
    assert told["due_at"] == "2026-07-20T04:00:00Z"


async def test_documents_of_day_46_are_too_late_though_the_job_was_late_too(
    mac: Door,
    opened: Json,
    provider: UUID,
    life: PrepaymentLife,
    clock: StillClock,
    superuser_engine: AsyncEngine,
) -> None:
    await deliver(superuser_engine, provider, opened["adr_number"], at=DAY_46)
    clock.now = DAY_46 + timedelta(hours=1)
    assert (await life.match_documents(), await life.move_on()) == (1, 1)
    assert (await state_of(mac, opened))["state"] == "no-response"


@pytest.mark.parametrize(
    ("states", "changes"),
    [
        (("quarantined",), {}),
        (("clear", "quarantined"), {}),
        (("refused",), {}),
        (("clear",), {"member": "2EG4TE5MK73"}),
        (("clear",), {"attach_to": "preauthorization"}),
        (("clear",), {"tracking_value": "ADR00000000000000"}),
    ],
)
async def test_what_may_not_be_looked_at_or_is_not_meant_is_not_matched(
    opened: Json,
    provider: UUID,
    life: PrepaymentLife,
    superuser_engine: AsyncEngine,
    states: tuple[str, ...],
    changes: Json,
) -> None:
    await deliver(superuser_engine, provider, opened["adr_number"], *states, **changes)
    assert await life.match_documents() == 0


async def test_what_who_does_not_act_for_the_provider_sends_is_not_matched(
    opened: Json,
    make_organization: MakeOrganization,
    life: PrepaymentLife,
    superuser_engine: AsyncEngine,
) -> None:
    stranger = await make_organization("Stranger", "provider", "own", (OTHER_NPI,))
    named = await make_organization("Agent", "clearinghouse", "named", (OTHER_NPI,))
    for sender in (stranger, named):
        await deliver(superuser_engine, sender, opened["adr_number"])
    assert (await life.match_documents(), await life.move_on()) == (0, 0)
    clinic = await make_organization("Clinic", "provider", "own", (OTHER_NPI, REQUESTER_NPI))
    await deliver(superuser_engine, clinic, opened["adr_number"])
    assert (await life.match_documents(), await life.move_on()) == (1, 1)


async def test_workers_at_once_move_a_review_on_once(
    opened: Json, life: PrepaymentLife, clock: StillClock
) -> None:
    clock.now = DAY_46
    moved = await asyncio.gather(*(life.move_on() for _ in range(4)))
    assert sum(moved) == 1


@pytest.fixture
async def in_review(
    opened: Json, provider: UUID, life: PrepaymentLife, superuser_engine: AsyncEngine
) -> Json:
    """A review whose documents are there."""
    await deliver(superuser_engine, provider, opened["adr_number"])
    await life.match_documents()
    assert await life.move_on() == 1
    return opened


@pytest.fixture
async def clinician(superuser_engine: AsyncEngine, mac: Door) -> Door:
    """A licensed clinician who belongs to nobody."""
    return await a_person(superuser_engine, mac.http, npi=OTHER_NPI)


async def test_a_clinician_sees_the_queue_and_the_case(clinician: Door, in_review: Json) -> None:
    queue = (await clinician.get("/review/prepayment")).json()
    (queued,) = queue["reviews"]
    assert (queued["id"], queued["state"]) == (in_review["id"], "in-review")
    assert queued["due_at"] == "2026-06-04T16:00:00Z"
    assert "mbi" not in queued
    file = (await clinician.get(f"/review/prepayment/{in_review['id']}")).json()
    assert (file["mbi"], file["provider_npi"]) == (MBI, REQUESTER_NPI)
    (line,) = file["lines"]
    assert (line["number"], line["code"], line["site"]) == (1, "62323", "11")
    (document,) = file["documents"]
    assert (document["media_type"], document["state"]) == ("application/pdf", "clear")


async def document_of(person: Door, review: Json) -> str:
    """Where the one file of a review is read."""
    url = f"/review/prepayment/{review['id']}"
    (document,) = (await person.get(url)).json()["documents"]
    return f"{url}/documents/{document['id']}"


async def test_a_clinician_opens_a_document_as_a_file(clinician: Door, in_review: Json) -> None:
    answer = await clinician.get(await document_of(clinician, in_review))
    assert (answer.status_code, answer.content) == (200, b"%PDF")
    assert answer.headers["content-type"] == "application/pdf"
    assert answer.headers["content-disposition"] == "attachment"
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("state", ["quarantined", "refused"])
async def test_only_a_clear_document_is_opened(
    clinician: Door, in_review: Json, superuser_engine: AsyncEngine, state: str
) -> None:
    async with superuser_engine.begin() as db:
        await db.execute(text("set local session_replication_role = replica"))
        gone = "null" if state == "refused" else "content"
        checked = "checked_at" if state == "refused" else "null"
        await db.exec_driver_sql(
            f"update attachment set state = '{state}', content = {gone},"  # noqa: S608
            f" checked_at = {checked}, scanner = case when {checked} is not null then scanner end,"
            f" finding = case '{state}' when 'refused' then 'a virus' end"
        )
    answer = await clinician.get(await document_of(clinician, in_review))
    assert answer.status_code == 409


async def test_a_document_is_opened_with_its_own_review_only(
    superuser_engine: AsyncEngine, mac: Door, clinician: Door, provider: UUID, in_review: Json
) -> None:
    await deliver(superuser_engine, provider, "ADR00000000000000")
    own = await document_of(clinician, in_review)
    (other,) = await rows(
        superuser_engine,
        "select a.id from attachment a join attachment_delivery d on d.id = a.delivery_id"
        " where d.tracking_value = 'ADR00000000000000'",
    )
    path = f"/review/prepayment/{in_review['id']}/documents/{other.id}"
    assert (await clinician.get(path)).status_code == 404
    insider = await a_person(superuser_engine, mac.http, npi=REQUESTER_NPI)
    assert (await insider.get(own)).status_code == 404
    assert (await mac.get(own)).status_code == 401


async def test_whoever_looks_or_recommends_is_on_the_trail_with_the_beneficiary(
    superuser_engine: AsyncEngine, mac: Door, clinician: Door, in_review: Json
) -> None:
    await clinician.get(await document_of(clinician, in_review))
    await clinician.put(f"/review/prepayment/{in_review['id']}/recommendation", PAY)
    trail = await rows(
        superuser_engine,
        "select action, outcome, organization_id, patient from audit_event"
        " where person_id = :person and action like 'prepayment.%' order by id",
        person=clinician.client_id,
    )
    patient = hmac.digest(b"k" * 32, MBI.encode(), "sha256")
    assert [tuple(row) for row in trail] == [
        ("prepayment.open", "done", mac.organization_id, patient),
        ("prepayment.document", "done", mac.organization_id, patient),
        ("prepayment.recommend", "pay", mac.organization_id, patient),
    ]


async def test_the_queue_is_paged_by_what_is_due(mac: Door, clinician: Door) -> None:
    for number in range(3):
        await mac.record({**CLAIM, "claim_number": f"P-{number}", "lines": [billed()]})
    seen: list[str] = []
    query = {"state": "documents-asked", "size": "2"}
    while True:
        page = (await clinician.get("/review/prepayment", **query)).json()
        seen += [each["claim_number"] for each in page["reviews"]]
        if page["next"] is None:
            break
        query["cursor"] = page["next"]
    assert seen == ["P-0", "P-1", "P-2"]
    for cursor in (
        "x",
        "MjAyNi0wMS0wMSBi",
        "MjAyNi0wMS0wMSAwMDAwMDAwMC0wMDAwLTAwMDAtMDAwMC0wMDAwMDAwMDAwMDA=",
        base64.urlsafe_b64encode(f"0001-01-01T00:00:00+14:00 {UUID(int=0)}".encode()).decode(),
        base64.urlsafe_b64encode(f"9999-12-31T23:59:59-14:00 {UUID(int=0)}".encode()).decode(),
    ):
        assert (await clinician.get("/review/prepayment", cursor=cursor)).status_code == 422


@pytest.mark.parametrize("opinion", [PAY, DENY])
async def test_a_clinician_recommends_and_the_mac_reads_it(
    mac: Door, clinician: Door, in_review: Json, opinion: Json
) -> None:
    url = f"/review/prepayment/{in_review['id']}/recommendation"
    answer = await clinician.put(url, opinion)
    assert answer.status_code == 200, answer.text
    told = await state_of(mac, in_review)
    assert (told["state"], told["recommendation"]) == ("recommended", opinion["recommendation"])
    assert (told["rationale"], told["reasons"]) == (
        opinion["rationale"],
        opinion.get("reasons", []),
    )
    assert (await clinician.put(url, opinion)).status_code == 409


async def test_of_two_recommendations_at_once_one_counts(
    superuser_engine: AsyncEngine, clinician: Door, in_review: Json
) -> None:
    other = await a_person(superuser_engine, clinician.http)
    url = f"/review/prepayment/{in_review['id']}/recommendation"
    answers = await asyncio.gather(clinician.put(url, PAY), other.put(url, DENY))
    assert sorted(answer.status_code for answer in answers) == [200, 409]


async def test_nothing_is_recommended_while_documents_may_come(
    clinician: Door, opened: Json
) -> None:
    url = f"/review/prepayment/{opened['id']}/recommendation"
    assert (await clinician.put(url, PAY)).status_code == 409


@pytest.mark.parametrize(
    "body",
    [
        {"recommendation": "pay"},
        {"recommendation": "pay", "rationale": "..."},
        {"recommendation": "deny", "rationale": "No imaging."},
        {"recommendation": "maybe", "rationale": "No imaging."},
        {**DENY, "reasons": ["a reason"]},
        {**PAY, "rationale": "Bell \x07 rings."},
        {**PAY, "rationale": "Half \x85 a line."},
        {**PAY, "rationale": "No character: \ufffe."},
    ],
)
async def test_a_recommendation_says_why(clinician: Door, in_review: Json, body: Json) -> None:
    url = f"/review/prepayment/{in_review['id']}/recommendation"
    assert (await clinician.put(url, body)).status_code == 422


async def test_only_a_licensed_clinician_recommends(
    superuser_engine: AsyncEngine, mac: Door, in_review: Json
) -> None:
    url = f"/review/prepayment/{in_review['id']}/recommendation"
    coordinator = await a_person(superuser_engine, mac.http, role="coordinator")
    lapsed = await a_person(superuser_engine, mac.http, expires=date(2026, 5, 31))
    for person in (coordinator, lapsed):
        assert (await person.put(url, PAY)).status_code == 403


async def test_nobody_recommends_on_a_claim_of_their_own(
    superuser_engine: AsyncEngine, mac: Door, make_organization: MakeOrganization, in_review: Json
) -> None:
    clinic = await make_organization("Clinic", "provider", "own", (REQUESTER_NPI,))
    url = f"/review/prepayment/{in_review['id']}"
    belonging = [
        {"npi": REQUESTER_NPI},
        {"organizations": (clinic,)},
        {"organizations": (mac.organization_id,)},
    ]
    for fields in belonging:
        person = await a_person(superuser_engine, mac.http, **fields)  # type: ignore[arg-type]
        assert (await person.put(f"{url}/recommendation", PAY)).status_code == 404
        assert (await person.get(url)).status_code == 404
        assert (await person.get("/review/prepayment")).json() == {"reviews": [], "next": None}


async def test_a_review_there_is_not_is_not_found(clinician: Door) -> None:
    url = f"/review/prepayment/{time_ordered_uuid()}"
    assert (await clinician.get(url)).status_code == 404
    assert (await clinician.put(f"{url}/recommendation", PAY)).status_code == 404


async def test_systems_do_not_come_in_by_the_door_of_people(mac: Door) -> None:
    assert (await mac.get("/review/prepayment")).status_code == 401


RECOMMEND = """
update prepayment_review set state = 'recommended', recommendation = :recommendation,
    rationale = :rationale, reasons = cast(:reasons as text[]), clinician_id = :clinician,
    ended_at = now()
"""


@pytest.mark.parametrize(
    ("person", "changes", "constraint"),
    [
        ({}, {"recommendation": "maybe"}, "ck_prepayment_review_recommended"),
        ({}, {"rationale": None}, "ck_prepayment_review_recommended"),
        ({}, {"rationale": b"No imaging."}, "ck_prepayment_review_rationale_sealed"),
        ({}, {"reasons": []}, "ck_prepayment_review_reasons"),
        ({}, {"clinician": None}, "recommendation_live_licence"),
        ({"role": "coordinator"}, {}, "recommendation_live_licence"),
        ({"expires": date(2026, 5, 31)}, {}, "recommendation_live_licence"),
        ({"npi": REQUESTER_NPI}, {}, "recommendation_by_an_outsider"),
    ],
)
async def test_the_database_refuses_what_the_door_would(
    superuser_engine: AsyncEngine,
    app_engine: AsyncEngine,
    mac: Door,
    in_review: Json,
    person: Json,
    changes: Json,
    constraint: str,
) -> None:
    somebody = await a_person(superuser_engine, mac.http, **person)
    values = {
        "recommendation": "deny",
        "rationale": A_SEALED,
        "reasons": ["0U"],
        "clinician": somebody.client_id,
        **changes,
    }
    with pytest.raises(DBAPIError) as error:
        async with transaction(app_engine, mac.organization_id) as db:
            await db.execute(text(RECOMMEND), values)
    cause = error.value.orig.__cause__ if error.value.orig else None
    assert getattr(cause, "constraint_name", None) == constraint


@pytest.mark.parametrize(
    ("statement", "constraint"),
    [
        (
            "update prepayment_review set state = 'no-response', ended_at = now(),"
            " documents_at = null, decide_by = null",
            "review_moves_forward",
        ),
        (
            "update prepayment_review set state = 'documents-asked', documents_at = null,"
            " decide_by = null",
            "review_moves_forward",
        ),
        (
            "update prepayment_review set decide_by = decide_by + interval '1 day',"
            " due_at = due_at + interval '1 day'",
            "review_moves_forward",
        ),
    ],
)
async def test_a_review_only_moves_forward(
    app_engine: AsyncEngine, mac: Door, in_review: Json, statement: str, constraint: str
) -> None:
    await _refused(app_engine, mac, statement, constraint)


@pytest.mark.parametrize(
    ("statement", "constraint"),
    [
        (
            "update prepayment_review set state = 'no-response',"
            " ended_at = '2026-07-16T12:00:00-04:00'",
            "review_waits_for_documents",
        ),
        ("update prepayment_review set state = 'recommended'", "review_moves_forward"),
        ("update prepayment_review set reported_at = now()", "ck_prepayment_review_reported"),
        (
            "insert into prepayment_review (organization_id, id, claim_id, service, adr_number,"
            " state, asked_at, documents_due, due_at, ended_at) select organization_id,"
            " gen_random_uuid(), claim_id, 'other', 'ADR00000000000001', 'no-response', asked_at,"
            " documents_due, due_at, now() from prepayment_review",
            "review_begins_with_a_request",
        ),
    ],
)
async def test_a_review_begins_by_waiting_for_documents(
    app_engine: AsyncEngine, mac: Door, opened: Json, statement: str, constraint: str
) -> None:
    await _refused(app_engine, mac, statement, constraint)


async def test_what_ended_stays_as_it_is(
    app_engine: AsyncEngine,
    mac: Door,
    opened: Json,
    life: PrepaymentLife,
    clock: StillClock,
) -> None:
    clock.now = DAY_46
    await life.move_on()
    again = "update prepayment_review set ended_at = now()"
    await _refused(app_engine, mac, again, "review_moves_forward")


async def _refused(engine: AsyncEngine, mac: Door, statement: str, constraint: str) -> None:
    with pytest.raises(DBAPIError) as error:
        async with transaction(engine, mac.organization_id) as db:
            await db.exec_driver_sql(statement)
    cause = error.value.orig.__cause__ if error.value.orig else None
    assert getattr(cause, "constraint_name", None) == constraint


async def test_the_service_itself_asks_for_a_clinician(
    reviews: PrepaymentReviews, in_review: Json
) -> None:
    coordinator = Reviewer(
        person_id=time_ordered_uuid(),
        name="Cora",
        roles=frozenset({"coordinator"}),
        npi=None,
        specialty=None,
        organizations=frozenset(),
        licence_expires=None,
    )
    by = Reviewing(coordinator, time_ordered_uuid())
    opinion = Opinion(Recommendation.PAY, "The records meet the criteria.")
    with pytest.raises(Forbidden, match="clinician"):
        await reviews.recommend(by, UUID(in_review["id"]), opinion)
