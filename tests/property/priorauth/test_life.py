"""Whatever becomes of requests: nothing that people, providers and jobs do, in any order, makes a
forbidden state, and after every step bare SQL is refused what would.
"""

from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.property.priorauth.acts import ACTS
from tests.property.priorauth.forbidden import ATTEMPTS, outcomes
from tests.property.priorauth.lives import STARTS, World, a_world
from tests.reviewing import insert_person
from wiser_fhir.audit.decision_mac import decision_key
from wiser_fhir.audit.decisions import all_changed
from wiser_fhir.errors import WiserError

KEYS = [decision_key(b"a key of thirty-two bytes, all ours")]

# What may follow what, one act later; what stays is not listed.
MAY_FOLLOW = {
    "in-review": {"affirmed", "partially-affirmed", "non-affirmed", "cancelled"},
    "affirmed": {"in-review", "cancelled", "partially-affirmed"},
    "partially-affirmed": {"in-review", "cancelled", "affirmed", "non-affirmed"},
    "non-affirmed": set[str](),
    "cancelled": set[str](),
    "dismissed": set[str](),
}
NUMBER_MAY_FOLLOW = {
    "pending": {"assigned", "failed", "superseded"},
    "failed": {"assigned", "superseded"},
    "assigned": {"expired", "superseded"},
    "expired": set[str](),
    "superseded": set[str](),
}

# Each finds what must never be, in any case of any organization.
NEVER = {
    "a status that the lines do not bear out": """
        select c.id from prior_auth_case c where c.status is distinct from (
            select case
                when c.dismissal_reason is not null then 'dismissed'
                when bool_or(i.status = 'pended') then 'in-review'
                when bool_or(i.status = 'affirmed') and bool_or(i.status = 'non-affirmed')
                    then 'partially-affirmed'
                when bool_or(i.status = 'affirmed') then 'affirmed'
                when bool_or(i.status = 'non-affirmed') then 'non-affirmed'
                else 'cancelled' end
            from case_item i where i.case_id = c.id)
    """,
    "a pended line beside a decided one": """
        select case_id from case_item group by case_id
        having bool_or(status = 'pended') and bool_or(outcome is not null)
    """,
    "a decided line without its determination of this revision": """
        select i.case_id from case_item i join prior_auth_case c on c.id = i.case_id
        left join determination d on d.case_id = i.case_id and d.sequence = i.sequence
            and d.revision = c.revision
        where i.outcome is not null and i.outcome is distinct from d.outcome
    """,
    "a non-affirmation by software": """
        select case_id from determination
        where decided_by = 'software' and outcome <> 'affirmed'
    """,
    "an affirmation by software over a clinician's non-affirmation": """
        select d.case_id from determination d join determination e on e.case_id = d.case_id
            and e.sequence = d.sequence and e.revision < d.revision
        where d.decided_by = 'software' and e.outcome = 'non-affirmed'
    """,
    "two live numbers": """
        select case_id from utn where state in ('pending', 'assigned', 'failed')
        group by case_id having count(*) > 1
    """,
    "a decided case without its number": """
        select c.id from prior_auth_case c
        left join utn u on u.case_id = c.id and u.revision = c.revision
        where c.status in ('affirmed', 'partially-affirmed', 'non-affirmed')
            and coalesce(u.state, 'superseded') = 'superseded'
    """,
    "an ended case with a live number": """
        select c.id from prior_auth_case c join utn u on u.case_id = c.id
        where c.status in ('dismissed', 'cancelled')
            and u.state in ('pending', 'assigned', 'failed')
    """,
    "a number superseded by nothing": """
        select u.case_id from utn u join prior_auth_case c on c.id = u.case_id
        where u.state = 'superseded' and c.status <> 'cancelled' and not exists (
            select from utn v where v.case_id = u.case_id and v.revision > u.revision)
    """,
    "an affirmation that does not last 120 days": """
        select c.id from prior_auth_case c
        where c.status in ('affirmed', 'partially-affirmed')
            and (c.valid_until - c.valid_from + 1 is distinct from 120 or c.valid_from <>
                (c.decided_at at time zone 'America/New_York')::date)
    """,
    "a number that does not last 120 days": """
        select case_id from utn where valid_until - valid_from + 1 <> 120
            or (valid_from is null) <> (valid_until is null)
    """,
    "days of a number and of its case that differ": """
        select c.id from prior_auth_case c join utn u
            on u.case_id = c.id and u.revision = c.revision
        where c.status <> 'in-review' and c.valid_until is distinct from u.valid_until
    """,
    "a grant beyond the 120 days": """
        select case_id from determination
        where first_day < (decided_at at time zone 'America/New_York')::date
            or last_day > (decided_at at time zone 'America/New_York')::date + 119
    """,
    "a grant of more than was asked for": """
        select d.case_id from determination d join case_item i on i.case_id = d.case_id
            and i.sequence = d.sequence and i.revision = d.revision
        where d.quantity > i.quantity
    """,
    "an add-on without its primary": """
        select case_id from case_item where status = 'affirmed' group by case_id
        having bool_and(role <> 'primary')
    """,
    "lines decided differently too early": """
        select id from prior_auth_case where status = 'partially-affirmed'
            and received_at < timestamptz '2026-04-01 00:00 America/New_York'
    """,
    "a number that ended too early": """
        select case_id from utn where state = 'expired'
            and (ended_at at time zone 'America/New_York')::date <= valid_until
    """,
    "something asked for in a case that is not in review": """
        select r.case_id from information_request r join prior_auth_case c on c.id = r.case_id
        where r.state = 'open' and (c.status <> 'in-review' or r.revision <> c.revision)
    """,
    "an event number that is missing": """
        select s.id from subscription s left join subscription_event e
            on e.subscription_id = s.id
        group by s.id, s.last_number
        having count(e.number) <> s.last_number or coalesce(max(e.number), 0) <> s.last_number
    """,
    "an answer after the first that was not told": """
        select m.case_id from message m join submission f
            on f.case_id = m.case_id and f.operation = 'submit'
        where m.direction = 'out' and m.id <> f.answer_message_id and (
            select count(*) from subscription_event e where e.message_id = m.id) <> 2
    """,
    "a decision without the beneficiary's letter": """
        select d.case_id from determination d where not exists (
            select from letter l where l.case_id = d.case_id and l.revision = d.revision
                and l.kind = 'determination-copy' and l.recipient = 'beneficiary')
    """,
}
_WRONG = text(
    " union all ".join(
        f"select $${name}$$ as wrong, found.* from ({query}) found"  # noqa: S608
        for name, query in NEVER.items()
    )
)
_KEPT = text("""
select md5(d::text) from determination d union all select md5(e::text) from case_event e
union all select md5(m::text) from message m
""")
_STANDING = text("select id, status, revision from prior_auth_case")
_NUMBERS = text("select case_id, revision, state, utn from utn")


@dataclass(frozen=True)
class Seen:
    """What there was at one moment: rows that stay, cases and numbers by what they are."""

    kept: frozenset[str]
    cases: dict[Any, Any]
    numbers: dict[Any, Any]


async def seen(watcher: AsyncEngine) -> Seen:
    """Everything, once nothing of it is wrong."""
    async with watcher.connect() as db:
        assert (await db.execute(_WRONG)).all() == []
        kept = frozenset((await db.execute(_KEPT)).scalars())
        cases = {row.id: (row.status, row.revision) for row in await db.execute(_STANDING)}
        found = await db.execute(_NUMBERS)
        numbers = {(row.case_id, row.revision): (row.state, row.utn) for row in found}
    return Seen(kept, cases, numbers)


def check(before: Seen, after: Seen) -> None:
    """Only what may follow has followed."""
    assert before.kept <= after.kept
    for case_id, (status, revision) in before.cases.items():
        now, number = after.cases[case_id]
        assert now == status or now in MAY_FOLLOW[status]
        assert number in (revision, revision + 1)
        stays = number == revision and status != "in-review"
        assert not stays or now == status
    for key, (state, utn) in before.numbers.items():
        now, own = after.numbers[key]
        assert now == state or now in NUMBER_MAY_FOLLOW[state]
        assert utn is None or own == utn


@dataclass(frozen=True)
class Tried:
    """Who tries what is forbidden."""

    app: AsyncEngine
    lapsed: UUID
    insider: UUID

    async def about(self, world: World, case_id: UUID) -> dict[str, str]:
        """What came of every attempt; none may come to anything."""
        people = {"person": world.who.person_id, "lapsed": self.lapsed, "insider": self.insider}
        found = await outcomes(self.app, world.organization_id, {"case": case_id, **people})
        wrong = {
            name: said
            for name, said in found.items()
            if said != "nothing" and said not in ATTEMPTS[name].refused_by
        }
        assert wrong == {}
        return found


async def lived(
    app: AsyncEngine, watcher: AsyncEngine, start: datetime, names: list[str]
) -> set[str]:
    """Live through acts and check after each; which attempts found something to change.

    An act that is refused, or finds no case, changes nothing that counts.
    """
    world = await a_world(app, watcher, start)
    async with watcher.begin() as db:
        lapsed = await insert_person(db, licence_expires=date(2026, 1, 31))
        insider = await insert_person(db, organizations=[world.organization_id])
    tried = Tried(app, lapsed.person_id, insider.person_id)
    before, refused = await seen(watcher), set[str]()
    await ACTS["asks"](world)
    for name in names:
        with suppress(WiserError, ValueError):
            await ACTS[name](world)
        after = await seen(watcher)
        check(before, after)
        found = await tried.about(world, world.case_id)
        refused |= {each for each, said in found.items() if said != "nothing"}
        before = after
    return refused


async def test_a_life_gives_every_forbidden_move_its_chance(
    app_engine: AsyncEngine,
    superuser_engine: AsyncEngine,
    owner_engine: AsyncEngine,
    clean_database: None,
) -> None:
    names = [
        *("affirms nothing", "asks for two approaches", "affirms the first", "updates", "affirms"),
        *("cancels the second line", "cancels", "asks for what is no service", "asks for two"),
        *("asks for notes", "attaches", "clears", "affirms", "waits 120 days", "expires"),
    ]
    refused = await lived(app_engine, superuser_engine, STARTS[0], ["asks for two approaches"])
    refused |= await lived(app_engine, superuser_engine, STARTS[1], names)
    assert refused == set(ATTEMPTS)
    assert await all_changed(owner_engine, KEYS) == []


@settings(
    deadline=None,
    max_examples=30,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(start=st.sampled_from(STARTS), names=st.lists(st.sampled_from(sorted(ACTS)), max_size=15))
async def test_no_life_reaches_what_is_forbidden(
    app_engine: AsyncEngine,
    superuser_engine: AsyncEngine,
    owner_engine: AsyncEngine,
    clean_database: None,
    start: datetime,
    names: list[str],
) -> None:
    await lived(app_engine, superuser_engine, start, names)
    assert await all_changed(owner_engine, KEYS) == []
