"""A week of the trail for a person to look at: counts, refusals, and access that stands out.

The rules are simple on purpose, and each line says which one it is of: they point at what to ask
about, and find nobody guilty.

Source: 45 CFR 164.308(a)(1)(ii)(D), 164.312(b).
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import uuid4

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine

from wiser_fhir.audit.recorder import AuditRow, write
from wiser_fhir.audit.vocabulary import failing
from wiser_fhir.db.engine import raw_connection, transaction

WEEK: Final = timedelta(days=7)
# Beyond these somebody is asked about it.
MANY_CASES: Final = 50
MANY_PEOPLE: Final = 5
MANY_REFUSALS: Final = 20
REFUSED_SHARE: Final = 0.1
MANY_BAD_TOKENS: Final = 100

_PATIENCE = 600.0  # seconds for one section: it reads a week of rows
_SPAN = "at >= $1 and at < $2"

_COUNTS = f"""
select action || ' ' || outcome as what, count(*) as found from audit_event
where {_SPAN} group by 1 order by 2 desc, 1
"""  # noqa: S608 - our own words
_REFUSALS = f"""
select coalesce(c.name, 'somebody unknown') as who, count(*) as found
from audit_event a left join client c on c.id = a.client_id
where {_SPAN} and (a.action || ' ' || a.outcome) ~ $3 and a.person_id is null
group by 1 order by 2 desc, 1
"""  # noqa: S608 - our own words
_REFUSED_CLIENTS = f"""
select c.name as who, count(*) filter (where (a.action || ' ' || a.outcome) ~ $3) as found,
    count(*) as all
from audit_event a join client c on c.id = a.client_id where {_SPAN} group by 1
having count(*) filter (where (a.action || ' ' || a.outcome) ~ $3) >= {MANY_REFUSALS}
    and count(*) filter (where (a.action || ' ' || a.outcome) ~ $3)
        >= {REFUSED_SHARE} * count(*)
order by 2 desc, 1
"""  # noqa: S608 - our own words
_BAD_TOKENS = f"""
select count(*) as found from audit_event
where {_SPAN} and action = 'request.refused' and client_id is null and person_id is null
having count(*) >= {MANY_BAD_TOKENS}
"""  # noqa: S608 - our own words
_MANY_CASES = f"""
select p.name as who, count(distinct a.object_id) as found
from audit_event a join person p on p.id = a.person_id
where {_SPAN} and a.object_kind = 'prior-auth-case' group by p.id, p.name
having count(distinct a.object_id) > {MANY_CASES} order by 2 desc, 1
"""  # noqa: S608 - our own words
_AT_NIGHT = f"""
select p.name as who, count(*) as found from audit_event a join person p on p.id = a.person_id
where {_SPAN} and a.patient is not null
    and extract(hour from a.at at time zone 'America/New_York') not between 5 and 21
group by p.id, p.name order by 2 desc, 1
"""  # noqa: S608 - our own words
_ONE_BENEFICIARY = f"""
select encode(a.patient, 'hex') as who, count(distinct a.person_id) as found from audit_event a
where {_SPAN} and a.patient is not null group by 1
having count(distinct a.person_id) > {MANY_PEOPLE} order by 2 desc, 1
"""  # noqa: S608 - our own words

_SECTIONS: Final = (
    ("What happened", _COUNTS, "{found} {what}"),
    ("Refusals by client", _REFUSALS, "{found} {who}"),
    (
        f"Rule 1: a client with {MANY_REFUSALS} refusals or more, a tenth of what it did",
        _REFUSED_CLIENTS,
        "{who}: {found} of {all}",
    ),
    (
        f"Rule 2: {MANY_BAD_TOKENS} refusals or more of tokens that are none",
        _BAD_TOKENS,
        "{found}",
    ),
    (f"Rule 3: a person at more than {MANY_CASES} cases", _MANY_CASES, "{who}: {found}"),
    ("Rule 4: a person at cases between 22:00 and 5:00 Eastern", _AT_NIGHT, "{who}: {found}"),
    (
        f"Rule 5: a beneficiary whom more than {MANY_PEOPLE} people looked at",
        _ONE_BENEFICIARY,
        "{who}: {found}",
    ),
)


@dataclass(frozen=True, slots=True)
class WeeklyReview:
    """Makes the report as the owner role, and leaves a row that it was made."""

    engine: AsyncEngine

    async def lines(self, end: datetime) -> list[str]:
        """The week before an instant. Raises Unavailable."""
        first = end - WEEK
        detail = {"from": f"{first:%Y-%m-%d}", "before": f"{end:%Y-%m-%d}"}
        async with raw_connection(self.engine) as connection, connection.transaction():
            await connection.execute("set local statement_timeout = 0")
            found = [line async for line in _sections(connection, (first, end, failing()))]
        async with transaction(self.engine) as db:
            await write(db, AuditRow(uuid4(), "audit.report", "done", detail=detail))
        return [f"From {first:%Y-%m-%d} to before {end:%Y-%m-%d}, in UTC", *found]


async def _sections(
    connection: asyncpg.Connection, span: tuple[datetime, datetime, str]
) -> AsyncIterator[str]:
    for title, query, shown in _SECTIONS:
        yield ""
        yield title
        given = [value for number, value in enumerate(span, 1) if f"${number}" in query]
        rows = await connection.fetch(query, *given, timeout=_PATIENCE)
        for row in rows:
            yield f"  {shown.format(**row)}"
        if not rows:
            yield "  nothing"
