"""What the measures of the guides are made from, read page by page out of what is stored anyway.

No act writes a row for it: a case, a hook call and the audit trail already say what was asked, when
and how it ended. Every page is a transaction of its own, so a reader may take its time, and never
more than a page is held.
"""

from base64 import b64decode
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncEngine

from wiser_fhir.audit.recorder import AuditRow, Detail, write
from wiser_fhir.clock import EASTERN
from wiser_fhir.db.bodies import opened as opened_body
from wiser_fhir.db.engine import transaction
from wiser_fhir.db.sealed import ASSERTION, INFORMATION_REQUEST
from wiser_fhir.db.vault import DataKey, data_key
from wiser_fhir.priorauth.in_turn import readable

Row = dict[str, Any]
_Opened = Callable[[DataKey, Row], Awaitable[Row]]
"""A row with what is sealed in it opened. Raises CannotOpen."""

PAGE = 200

# An authorization as a whole: who asked, each exchange with its answer, each line as it stands now.
# Of the messages only their times are read.
_CASES = text("""
with page as (
    select case_id, line, received_at from submission
    where organization_id = :organization_id and operation = 'submit' and case_id > :after
        and received_at >= :starts and received_at < :ends
    order by case_id limit :page
)
select c.id, p.line, c.status, c.service, c.coverage, c.expedited, c.dismissal_reason,
    p.received_at as submitted_at, c.received_at, c.decided_at,
    c.with_form,
    (select jsonb_agg(jsonb_build_object('role', t.role, 'npi', t.npi) order by t.position)
        from case_party t where t.organization_id = c.organization_id and t.case_id = c.id
    ) as parties,
    (select jsonb_agg(jsonb_build_object('operation', s.operation, 'at', s.received_at)
            order by s.received_at, s.operation)
        from submission s where s.organization_id = c.organization_id and s.case_id = c.id
    ) as exchanges,
    (select jsonb_agg(m.at order by m.at)
        from message m where m.organization_id = c.organization_id and m.case_id = c.id
            and m.direction = 'out'
    ) as answered_at,
    (select jsonb_agg(jsonb_build_object(
            'system', i.code_system, 'code', i.code, 'status', i.status,
            'site_kind', i.site_kind, 'site_code', i.site_code,
            'decided_at', d.decided_at, 'reason', d.reasons[1],
            'modified', coalesce(d.code <> i.code, false)
                or coalesce(d.quantity < coalesce(i.quantity, 1), false),
            'added_at', (select min(e.at) from case_event e
                where e.organization_id = i.organization_id and e.case_id = i.case_id
                    and e.kind = 'updated'
                    and e.detail -> 'added' @> to_jsonb(i.sequence)),
            'assertion', (select min(a.id) from coverage_assertion a
                where a.organization_id = c.organization_id and a.id = any (c.assertions)
                    and i.code = any (a.codes))) order by i.sequence)
        from case_item i left join determination d
            on d.organization_id = i.organization_id and d.case_id = i.case_id
            and d.sequence = i.sequence and d.revision = i.revision
        where i.organization_id = c.organization_id and i.case_id = c.id
    ) as items,
    (select jsonb_agg(jsonb_build_object('id', r.id, 'wanted', encode(r.wanted, 'base64'),
            'asked_at', r.asked_at, 'answered_at', r.answered_at) order by r.asked_at, r.id)
        from information_request r
        where r.organization_id = c.organization_id and r.case_id = c.id
    ) as requests
from page p join prior_auth_case c
    on c.organization_id = :organization_id and c.id = p.case_id
order by c.id
""")

_CALLS = text("""
with page as (
    select * from hook_call
    where organization_id = :organization_id and id > :after
        and received_at >= :starts and received_at < :ends
    order by id limit :page
)
select p.id, p.hook, p.hook_instance, p.line, p.received_at, p.answered_at, p.status,
    p.token_use, o.npis,
    case when p.status >= 400 then p.response end as response,
    (select jsonb_agg(jsonb_build_object('order', a.order_reference, 'codes', a.codes,
            'id', a.id, 'told', encode(a.told, 'base64')) order by a.id)
        from coverage_assertion a
        where a.organization_id = p.organization_id and a.hook_call_id = p.id
    ) as assertions,
    (select jsonb_agg(jsonb_build_object('type', d.type, 'engagement',
            (select f.outcome from card_feedback f
                where f.organization_id = d.organization_id and f.card_id = d.id
                order by f.at desc limit 1)) order by d.id)
        from hook_card d where d.organization_id = p.organization_id and d.hook_call_id = p.id
    ) as cards
from page p join organization o on o.id = p.organization_id
order by p.id
""")

# The trail is one sequence over all organizations, in the order of its time.
_TRAIL_SPAN = text("""
select min(id) - 1, max(id) from audit_event where at >= :starts and at < :ends
""")
_TRAIL = text("""
select e.id, e.at, e.action, e.outcome, e.object_id, e.organization_id, e.client_id, e.detail,
    o.npis
from audit_event e left join organization o on o.id = e.organization_id
where e.id > :after and e.id <= :last and e.action = any (:actions)
    and (e.action <> 'request.refused' or e.detail ->> 'route' like any (:routes))
order by e.id limit :page
""")


@dataclass(frozen=True, slots=True)
class Days:
    """Eastern days, both included."""

    first: date
    last: date

    @property
    def starts(self) -> datetime:
        """Their first instant."""
        return datetime.combine(self.first, time(), EASTERN)

    @property
    def ends(self) -> datetime:
        """The first instant after them."""
        return datetime.combine(self.last + timedelta(days=1), time(), EASTERN)


@dataclass(frozen=True, slots=True)
class MetricRows:
    """The rows, read as the owner role. `page` is how many are held at most.

    What was erased is not measured.
    """

    engine: AsyncEngine
    days: Days
    page: int = PAGE

    async def cases(self) -> AsyncIterator[Row]:
        """Authorizations first asked for on the days, one organization after another.

        Raises Unavailable.
        """
        async for row in self._of_all(_CASES, _case):
            yield row

    async def hook_calls(self) -> AsyncIterator[Row]:
        """Hook calls of the days. Raises Unavailable."""
        async for row in self._of_all(_CALLS, _hook_call):
            yield row

    async def trail(self, actions: Sequence[str], routes: Sequence[str] = ()) -> AsyncIterator[Row]:
        """What the audit trail holds of these acts, and of calls to these routes that were refused.

        `routes` are patterns of SQL's LIKE, as the trail spells a route. Raises Unavailable.
        """
        async with transaction(self.engine) as db:
            bounds = {"starts": self.days.starts, "ends": self.days.ends}
            after, last = (await db.execute(_TRAIL_SPAN, bounds)).one()
        if last is None:
            return
        values = {"actions": list(actions), "routes": list(routes), "last": last}
        while True:
            async with transaction(self.engine) as db:
                turn = {**values, "after": after, "page": self.page}
                rows = (await db.execute(_TRAIL, turn)).mappings().all()
            for row in rows:
                yield dict(row)
            if len(rows) < self.page:
                return
            after = rows[-1]["id"]

    async def _of_all(self, query: TextClause, opened: _Opened) -> AsyncIterator[Row]:
        for organization_id in await readable(self.engine):
            async for row in self._of_one(query, organization_id, opened):
                yield row

    async def _of_one(
        self, query: TextClause, organization_id: UUID, opened: _Opened
    ) -> AsyncIterator[Row]:
        values: dict[str, Any] = {
            "organization_id": organization_id,
            "starts": self.days.starts,
            "ends": self.days.ends,
            "after": UUID(int=0),
            "page": self.page,
        }
        while True:
            async with transaction(self.engine, organization_id) as db:
                key = await data_key(db, organization_id)
                rows = (await db.execute(query, values)).mappings().all()
            for row in rows:
                yield await opened(key, dict(row))
            if len(rows) < self.page:
                return
            values["after"] = rows[-1]["id"]

    async def record(self, of: str, outcome: str, count: int | None = None) -> None:
        """Put on the audit trail that measures were read."""
        detail: Detail = {
            "from": self.days.first.isoformat(),
            "to": self.days.last.isoformat(),
            "count": count,
        }
        async with transaction(self.engine) as db:
            await write(db, AuditRow(uuid4(), f"metrics.{of}", outcome, detail=detail))


async def _case(key: DataKey, row: Row) -> Row:
    """With what was asked for of each request for information."""
    requests = row["requests"] or ()
    opened = [INFORMATION_REQUEST.open(key, _decoded(each, "wanted")) for each in requests]
    return {**row, "requests": opened or None}


async def _hook_call(key: DataKey, row: Row) -> Row:
    """With the body of a refusal, and what each assertion was about and said."""
    response, assertions = row["response"], row["assertions"] or ()
    if response is not None:
        response = await opened_body(key, response, "hook_call", "response", row["id"])
    return {
        **row,
        "response": response,
        "assertions": [_assertion(key, each) for each in assertions] or None,
    }


def _assertion(key: DataKey, row: Row) -> Row:
    told = ASSERTION.open(key, _decoded(row, "told"))["told"]
    return {**row, "answer": told["answer"], "performers": told["asked"].get("performers")}


def _decoded(row: Row, column: str) -> Row:
    return {**row, column: b64decode(row[column])}
