"""The ledger of CRD: all of a call or nothing, one's own only, and never changed."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from datetime import date, timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.database import MakeOrganization
from tests.ledger_values import (
    CALLED,
    REQUEST,
    RESPONSE,
    SERVICE_ID,
    a_call,
    a_card,
    a_feedback,
    an_assertion,
    an_audit,
    insert_client,
)
from tests.vaults import VAULT, opened_call
from wiser_fhir.db.bodies import open_body
from wiser_fhir.db.embedded import Urls
from wiser_fhir.db.engine import create_engine, transaction
from wiser_fhir.errors import NotFound, Unavailable
from wiser_fhir.priorauth.ledger import CardRecord, Feedback, Ledger
from wiser_fhir.priorauth.situation import Situation

TABLES = ("hook_call", "coverage_assertion", "hook_card", "card_feedback")
BODY = b'{"feedback": [{"overrideReason": {"userComment": "Not for this patient."}}]}'
MakeClient = Callable[[], Awaitable[tuple[UUID, UUID]]]


@pytest.fixture
def ledger(app_engine: AsyncEngine) -> Ledger:
    return Ledger(app_engine)


@pytest.fixture
def make_client(make_organization: MakeOrganization, superuser_engine: AsyncEngine) -> MakeClient:
    async def make() -> tuple[UUID, UUID]:
        organization_id = await make_organization()
        return organization_id, await insert_client(superuser_engine, organization_id)

    return make


@pytest.fixture
async def client(make_client: MakeClient) -> tuple[UUID, UUID]:
    """An organization and its client."""
    return await make_client()


async def rows(engine: AsyncEngine, query: str, **values: Any) -> list[dict[str, Any]]:
    async with engine.connect() as connection:
        return [dict(row) for row in (await connection.execute(text(query), values)).mappings()]


async def counts(superuser: AsyncEngine) -> dict[str, int]:
    return {
        table: (await rows(superuser, f"select count(*) as n from {table}"))[0]["n"]  # noqa: S608
        for table in (*TABLES, "message", "audit_event")
    }


async def a_shown_card(ledger: Ledger, client: tuple[UUID, UUID]) -> CardRecord:
    """A card as the client was shown it."""
    organization_id, client_id = client
    card = a_card()
    await ledger.record(organization_id, a_call(client_id), (), [card], an_audit(organization_id))
    return card


# Recording


async def test_a_call_is_kept_whole(
    ledger: Ledger, client: tuple[UUID, UUID], superuser_engine: AsyncEngine
) -> None:
    organization_id, client_id = client
    call, audit = a_call(client_id), an_audit(organization_id, client_id=client_id)
    assertions, cards = [an_assertion(), an_assertion()], [a_card(), a_card(suggestions=())]
    await ledger.record(organization_id, call, assertions, cards, audit)
    [kept] = await rows(superuser_engine, "select * from hook_call")
    kept = await opened_call(superuser_engine, kept)
    assert kept.pop("request") == REQUEST
    assert kept.pop("response") == RESPONSE
    assert kept.pop("organization_id") == organization_id
    assert kept.pop("response_sha256") == sha256(RESPONSE).digest()
    assert kept == {name: getattr(call, name) for name in kept}
    ids = [each.id for each in assertions]
    assert await ledger.assertions(organization_id, ids) == {each.id: each for each in assertions}
    stored = await rows(superuser_engine, "select * from hook_card order by id")
    assert {(r["id"], r["type"], r["topic"], tuple(r["suggestions"])) for r in stored} == {
        (each.uuid, each.type, each.topic, each.suggestions) for each in cards
    }
    assert {row["hook_call_id"] for row in stored} == {call.id}
    [trail] = await rows(superuser_engine, "select * from audit_event")
    detail = {
        "orders": 1,
        "call": str(call.id),
        "fetched": call.fetched,
        "request-sha256": call.request_sha256.hex(),
        "response-sha256": sha256(RESPONSE).hexdigest(),
    }
    expected = audit.values() | {"detail": detail}
    assert {name: trail[name] for name in expected} == expected


async def test_a_call_without_anything_optional_is_kept(
    ledger: Ledger, client: tuple[UUID, UUID]
) -> None:
    organization_id, client_id = client
    bare = an_assertion(mbi=None, service=None, rules=None, codes=(), asked={}, expires_on=None)
    call = a_call(client_id, hook_instance=None, request=b"", response=b"", status=400, fetched=0)
    audit = an_audit(organization_id, patient=None, detail={})
    await ledger.record(organization_id, call, [bare], (), audit)
    assert await ledger.assertions(organization_id, [bare.id]) == {bare.id: bare}
    assert await ledger.assertions(organization_id, []) == {}
    assert await ledger.assertions(organization_id, ["unheard of"]) == {}


async def test_bodies_are_stored_as_they_are(superuser_engine: AsyncEngine) -> None:
    storage = (
        "select attname, attstorage::text from pg_attribute where attrelid = 'hook_call'::regclass"
        " and attname in ('request', 'response')"
    )
    assert {row["attstorage"] for row in await rows(superuser_engine, storage)} == {"e"}


async def test_twenty_at_once_are_all_kept(
    ledger: Ledger, client: tuple[UUID, UUID], superuser_engine: AsyncEngine
) -> None:
    organization_id, client_id = client
    given = [[an_assertion(), an_assertion()] for _ in range(20)]
    await asyncio.gather(
        *(
            ledger.record(
                *(organization_id, a_call(client_id), each, [a_card()]), an_audit(organization_id)
            )
            for each in given
        )
    )
    found = await counts(superuser_engine)
    assert (found["hook_call"], found["coverage_assertion"], found["hook_card"]) == (20, 40, 20)
    assert found["audit_event"] == 20


@pytest.mark.parametrize("broken", ["assertion", "card", "audit"])
async def test_of_a_call_that_is_refused_nothing_is_kept(
    ledger: Ledger, client: tuple[UUID, UUID], superuser_engine: AsyncEngine, broken: str
) -> None:
    organization_id, client_id = client
    assertion = an_assertion(situation="maybe" if broken == "assertion" else "exempt")
    card = a_card(type="a b" if broken == "card" else "instructions")
    audit = an_audit(organization_id, outcome="A b" if broken == "audit" else "answered")
    with pytest.raises(asyncpg.CheckViolationError):
        await ledger.record(organization_id, a_call(client_id), [assertion], [card], audit)
    assert set((await counts(superuser_engine)).values()) == {0}


async def waiting(superuser: AsyncEngine, somebody: bool = True) -> int:
    """The backend that waits for a lock in the middle of a record; 0 once nobody does."""
    query = (
        "select pid from pg_stat_activity where wait_event_type = 'Lock'"
        " and query like '%record_hook_call%'"
    )
    for _ in range(500):
        found = await rows(superuser, query)
        if bool(found) == somebody:
            return int(found[0]["pid"]) if found else 0
        await asyncio.sleep(0.02)
    raise AssertionError("it stays as it is")


async def test_killed_in_the_middle_nothing_half_is_kept(
    database: Urls,
    ledger: Ledger,
    client: tuple[UUID, UUID],
    superuser_engine: AsyncEngine,
) -> None:
    """The call and its assertions are written when the card waits for another's; then all end."""
    organization_id, client_id = client
    card = a_card()
    engine = create_engine(database.app, pool_size=1, vault=VAULT)
    other = create_engine(database.app, pool_size=1, vault=VAULT)
    async with superuser_engine.connect() as holder:
        call = a_call(client_id)
        await holder.execute(text("set local session_replication_role = replica"))
        await holder.execute(
            text(
                "insert into hook_card (organization_id, id, hook_call_id, type, topic,"
                " suggestions) values (:o, :id, :call, 'a', 'b', '{}')"
            ),
            {"o": organization_id, "id": card.uuid, "call": call.id},
        )
        for broken, end in ((engine, "kill"), (other, "cancel")):
            task = asyncio.create_task(
                Ledger(broken).record(
                    *(organization_id, a_call(client_id), [an_assertion()], [card]),
                    an_audit(organization_id),
                )
            )
            pid = await waiting(superuser_engine)
            if end == "kill":
                await rows(superuser_engine, "select pg_terminate_backend(:pid)", pid=pid)
                with pytest.raises(Unavailable):
                    await task
            else:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
            await waiting(superuser_engine, somebody=False)
        await holder.rollback()
    assert set((await counts(superuser_engine)).values()) == {0}
    await Ledger(engine).record(
        organization_id, call, [an_assertion()], [card], an_audit(organization_id)
    )
    await engine.dispose()
    await other.dispose()


async def test_a_database_away_is_unavailable(tmp_path: Any) -> None:
    engine = create_engine(f"postgresql://wiser_app@/wiser?host={tmp_path}", vault=VAULT)
    with pytest.raises(Unavailable):
        await Ledger(engine).record(uuid4(), a_call(uuid4()), (), (), an_audit(uuid4()))
    await engine.dispose()


# One's own, and never changed


async def test_another_organization_s_assertions_are_none(
    ledger: Ledger, make_client: MakeClient
) -> None:
    (mine, my_client), (other, _) = await make_client(), await make_client()
    assertion = an_assertion()
    await ledger.record(mine, a_call(my_client), [assertion], (), an_audit(mine))
    assert list(await ledger.assertions(mine, [assertion.id])) == [assertion.id]
    assert await ledger.assertions(other, [assertion.id]) == {}


async def test_a_call_is_recorded_for_one_s_own_client_only(
    ledger: Ledger, make_client: MakeClient, superuser_engine: AsyncEngine
) -> None:
    (mine, _), (_, their_client) = await make_client(), await make_client()
    with pytest.raises(asyncpg.ForeignKeyViolationError):
        await ledger.record(mine, a_call(their_client), (), (), an_audit(mine))
    assert (await counts(superuser_engine))["hook_call"] == 0


async def test_an_id_is_given_once(ledger: Ledger, client: tuple[UUID, UUID]) -> None:
    organization_id, client_id = client
    call, assertion, card = a_call(client_id), an_assertion(), a_card()
    await ledger.record(organization_id, call, [assertion], [card], an_audit(organization_id))
    again: list[tuple[Any, list[Any], list[Any]]] = [
        (call, [], []),
        (a_call(client_id), [assertion], []),
        (a_call(client_id), [], [card]),
    ]
    for written in again:
        with pytest.raises(asyncpg.UniqueViolationError):
            await ledger.record(organization_id, *written, an_audit(organization_id))


@pytest.fixture
async def full(ledger: Ledger, client: tuple[UUID, UUID]) -> UUID:
    """An organization with a row in every table of the ledger."""
    organization_id, client_id = client
    card = a_card()
    audit = an_audit(organization_id)
    await ledger.record(organization_id, a_call(client_id), [an_assertion()], [card], audit)
    await ledger.feedback(organization_id, SERVICE_ID, BODY, [a_feedback(card)], audit)
    return organization_id


@pytest.mark.parametrize("table", TABLES)
async def test_rows_are_seen_by_their_organization_only(
    app_engine: AsyncEngine, full: UUID, make_organization: MakeOrganization, table: str
) -> None:
    seen = []
    for who in (full, await make_organization(), None):
        async with transaction(app_engine, who) as connection:
            seen.append(await connection.scalar(text(f"select count(*) from {table}")))  # noqa: S608
    assert seen == [1, 0, 0]


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize(
    "verb", ["update {} set organization_id = null", "delete from {}", "truncate {} cascade"]
)
async def test_nobody_changes_the_ledger(
    app_engine: AsyncEngine, owner_engine: AsyncEngine, full: UUID, table: str, verb: str
) -> None:
    for engine, says in (
        (app_engine, f"permission denied for table {table}"),
        (owner_engine, "rows are never changed, deleted or truncated"),
    ):
        with pytest.raises(DBAPIError, match=says):
            async with transaction(engine, full) as connection:
                await connection.execute(text(verb.format(table)))


@pytest.mark.parametrize(
    ("changes", "constraint"),
    [
        ({"line": "2.1"}, "ck_hook_call_line"),
        ({"hook": "patient-view"}, "ck_hook_call_hook"),
        ({"status": 199}, "ck_hook_call_status"),
        ({"status": 600}, "ck_hook_call_status"),
        ({"token_use": "lost"}, "ck_hook_call_token_use"),
        ({"fetched": -1}, "ck_hook_call_fetched"),
        ({"service_id": ""}, "ck_hook_call_service_id"),
        ({"service_id": "a b"}, "ck_hook_call_service_id"),
        ({"request_sha256": b"\0"}, "ck_hook_call_sha256"),
        ({"answered_at": CALLED - timedelta(seconds=1)}, "ck_hook_call_times"),
    ],
)
async def test_a_call_that_makes_no_sense_is_refused(
    ledger: Ledger, client: tuple[UUID, UUID], changes: dict[str, Any], constraint: str
) -> None:
    organization_id, client_id = client
    call = a_call(client_id, **changes)
    with pytest.raises(asyncpg.CheckViolationError) as refused:
        await ledger.record(organization_id, call, (), (), an_audit(organization_id))
    assert refused.value.constraint_name == constraint


@pytest.mark.parametrize(
    ("changes", "constraint"),
    [
        ({"id": ""}, "ck_coverage_assertion_id"),
        ({"id": "a b"}, "ck_coverage_assertion_id"),
        ({"id": "x" * 201}, "ck_coverage_assertion_id"),
        ({"situation": "denied"}, "ck_coverage_assertion_situation"),
        ({"service": None}, "ck_coverage_assertion_rules"),
    ],
)
async def test_an_assertion_that_makes_no_sense_is_refused(
    ledger: Ledger, client: tuple[UUID, UUID], changes: dict[str, Any], constraint: str
) -> None:
    organization_id, client_id = client
    given = [an_assertion(**changes)]
    with pytest.raises(asyncpg.CheckViolationError) as refused:
        await ledger.record(
            organization_id, a_call(client_id), given, (), an_audit(organization_id)
        )
    assert refused.value.constraint_name == constraint


@pytest.mark.parametrize("situation", Situation)
async def test_every_situation_can_be_kept(
    ledger: Ledger, client: tuple[UUID, UUID], situation: Situation
) -> None:
    organization_id, client_id = client
    given = [an_assertion(situation=situation)]
    await ledger.record(organization_id, a_call(client_id), given, (), an_audit(organization_id))


# Feedback


async def feedback_rows(superuser: AsyncEngine) -> list[dict[str, Any]]:
    return await rows(superuser, "select * from card_feedback order by at")


async def test_feedback_is_kept_with_its_card_and_the_body_beside_it(
    ledger: Ledger, client: tuple[UUID, UUID], superuser_engine: AsyncEngine
) -> None:
    card, other = await a_shown_card(ledger, client), await a_shown_card(ledger, client)
    taken = a_feedback(card)
    passed = Feedback(
        other.uuid, "overridden", (), "patient-refused", "urn:x", CALLED + timedelta(hours=1)
    )
    await ledger.feedback(client[0], SERVICE_ID, BODY, [taken, passed], an_audit(client[0]))
    first, second = await feedback_rows(superuser_engine)
    assert (first["card_id"], first["outcome"], tuple(first["accepted"]), first["at"]) == (
        *(card.uuid, "accepted", card.suggestions[:1], CALLED),
    )
    assert (second["outcome"], second["override_code"]) == ("overridden", "patient-refused")
    [message] = await rows(superuser_engine, "select * from message")
    place = ("message", "body", message["id"])
    assert await open_body(superuser_engine, client[0], message["body"], *place) == BODY
    assert (message["kind"], message["sha256"]) == ("cds-feedback", sha256(BODY).digest())
    assert {first["message_id"], second["message_id"]} == {message["id"]}
    assert "Not for this patient" not in str([first, second])


async def test_the_same_feedback_again_is_kept_once(
    ledger: Ledger, client: tuple[UUID, UUID], superuser_engine: AsyncEngine
) -> None:
    card = await a_shown_card(ledger, client)
    both = a_feedback(card, accepted=card.suggestions)
    turned = a_feedback(card, accepted=card.suggestions[::-1])
    audit = an_audit(client[0], action="hook.feedback")
    for entries in ([both, both], [turned], [both]):
        await ledger.feedback(client[0], SERVICE_ID, BODY, entries, audit)
    await asyncio.gather(
        *(ledger.feedback(client[0], SERVICE_ID, BODY, [both], audit) for _ in range(5))
    )
    assert len(await feedback_rows(superuser_engine)) == 1
    assert (await counts(superuser_engine))["message"] == 1
    trail = await rows(
        superuser_engine, "select outcome from audit_event where action = 'hook.feedback'"
    )
    assert sorted(row["outcome"] for row in trail) == ["answered", *["repeated"] * 7]


async def test_two_who_tell_the_same_at_once_leave_one_row(
    ledger: Ledger, client: tuple[UUID, UUID], superuser_engine: AsyncEngine
) -> None:
    card = await a_shown_card(ledger, client)
    told = [a_feedback(card)]
    await asyncio.gather(
        *(ledger.feedback(client[0], SERVICE_ID, BODY, told, an_audit(client[0])) for _ in range(8))
    )
    found = await counts(superuser_engine)
    assert (found["card_feedback"], found["message"]) == (1, 1)


async def test_another_outcome_later_is_another_row(
    ledger: Ledger, client: tuple[UUID, UUID], superuser_engine: AsyncEngine
) -> None:
    card = await a_shown_card(ledger, client)
    later = Feedback(card.uuid, "overridden", (), None, None, CALLED + timedelta(minutes=1))
    for told in (a_feedback(card), later):
        await ledger.feedback(client[0], SERVICE_ID, BODY, [told], an_audit(client[0]))
    assert [row["outcome"] for row in await feedback_rows(superuser_engine)] == [
        "accepted",
        "overridden",
    ]


async def test_feedback_on_what_is_not_one_s_own_is_not_found(
    ledger: Ledger, make_client: MakeClient, superuser_engine: AsyncEngine
) -> None:
    mine, other = await make_client(), await make_client()
    own, foreign = await a_shown_card(ledger, mine), await a_shown_card(ledger, other)
    strange = a_feedback(own, accepted=foreign.suggestions[:1])
    tries: list[tuple[str, list[Feedback]]] = [
        (SERVICE_ID, [a_feedback(foreign)]),
        (SERVICE_ID, [a_feedback(own), a_feedback(foreign)]),
        (SERVICE_ID, [a_feedback(a_card())]),
        (SERVICE_ID, [strange]),
        ("order-select-crd", [a_feedback(own)]),
    ]
    for service_id, entries in tries:
        with pytest.raises(NotFound):
            await ledger.feedback(mine[0], service_id, BODY, entries, an_audit(mine[0]))
    found = await counts(superuser_engine)
    assert (found["card_feedback"], found["message"], found["audit_event"]) == (0, 0, 2)


@pytest.mark.parametrize(
    ("changes", "constraint"),
    [
        ({"outcome": "ignored", "accepted": ()}, "ck_card_feedback_outcome"),
        ({"outcome": "overridden"}, "ck_card_feedback_accepted"),
        ({"override_code": "x"}, "ck_card_feedback_override"),
    ],
)
async def test_feedback_that_makes_no_sense_is_refused(
    ledger: Ledger, client: tuple[UUID, UUID], changes: dict[str, Any], constraint: str
) -> None:
    card = await a_shown_card(ledger, client)
    told = [a_feedback(card, **changes)]
    with pytest.raises(DBAPIError, match=constraint):
        await ledger.feedback(client[0], SERVICE_ID, BODY, told, an_audit(client[0]))


def test_a_digest_tells_what_was_told() -> None:
    card = a_card()
    told = a_feedback(card)
    others = [
        replace(told, at=CALLED + timedelta(seconds=1)),
        replace(told, accepted=()),
        replace(told, outcome="overridden", accepted=()),
        replace(told, override_system="urn:x"),
    ]
    assert len({each.digest() for each in (told, *others)}) == 5
    assert date(2026, 4, 7) == told.at.date()
