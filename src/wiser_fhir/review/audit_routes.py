"""The audit trail at the review door: AuditEvents, for auditors alone.

It is one trail over all organizations, so no organization's conflict keeps an auditor from any of
it; it names no beneficiary. To look for one the number is sent in a form, never in a URL; events
show a keyed hash in its place, by which a URL may ask.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Any, Final, cast
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Request, Response

from wiser_fhir.audit.audit_event import AuditEvents
from wiser_fhir.audit.trail import LARGEST_PAGE, AuditTrail, TrailPage, Wanted
from wiser_fhir.audit.vocabulary import Act
from wiser_fhir.auth.people import AUDITOR
from wiser_fhir.errors import Problem, ProfileViolation
from wiser_fhir.fhir.elements import Json, without_empty
from wiser_fhir.priorauth.desk import Reviewing
from wiser_fhir.review.person_route import PersonRoute, for_people, reviewing
from wiser_fhir.web.body import read_form
from wiser_fhir.web.negotiation import check_form_type
from wiser_fhir.web.outcome import FhirResponse

PATH: Final = "/review/audit/AuditEvent"
_ORDINARY_PAGE = 50
_LAST_ID = 2**63 - 1
_NAMES = ("date", "patient", "agent", "action", "subtype", "entity", "outcome")
_MANY = frozenset({"date"})

_HASHES = re.compile("[0-9a-f]{64}(,[0-9a-f]{64}){0,20}")
_MBI = re.compile("[0-9A-Za-z-]{1,20}")
_WORD = re.compile("[a-z0-9.-]{1,64}")
_ID = re.compile("[A-Za-z0-9._:/|@+-]{1,200}")
# Instants that Postgres and everybody's calendar know.
_DATE = re.compile(
    r"(eq|ge|gt|le|lt)?(2[01]\d\d-\d\d-\d\d(?:T\d\d:\d\d:\d\d(?:Z|[+-]\d\d:\d\d))?)", re.ASCII
)
_OUTCOMES = ("0", "4", "8")

router = APIRouter(prefix=PATH, tags=["audit"], route_class=PersonRoute)

Pairs = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class AuditDoor:
    """What the routes work with."""

    trail: AuditTrail
    events: AuditEvents


async def _door(request: Request) -> AuditDoor:
    return cast(AuditDoor, request.app.state.audit)


Door = Annotated[AuditDoor, Depends(_door)]
Auditor = Annotated[Reviewing, reviewing(AUDITOR)]


@router.get("", response_class=Response, **for_people(422))
async def search(request: Request, by: Auditor, door: Door) -> Response:
    """Events, newest first, by date, agent, action, subtype, entity, outcome, and patient as the
    hash that events show.
    """
    return await _found(door, by, request.query_params.multi_items(), in_form=False)


@router.post("/_search", response_class=Response, **for_people(413, 415, 422))
async def search_by_form(request: Request, by: Auditor, door: Door) -> Response:
    """The same with a form, in which `patient` may be the number of a beneficiary."""
    check_form_type(request)
    return await _found(door, by, await read_form(request), in_form=True)


@router.get("/{audit_id}", response_class=Response, **for_people(404, 422))
async def read(
    audit_id: Annotated[int, Path(ge=1, le=_LAST_ID)], by: Auditor, door: Door
) -> Response:
    """One event."""
    row = await door.trail.one(by.reviewer.person_id, by.request_id, audit_id)
    return FhirResponse(door.events.of(row))


async def _found(door: AuditDoor, by: Reviewing, pairs: Pairs, *, in_form: bool) -> Response:
    asked = _Asked.of(pairs)
    wanted = asked.wanted(door.trail, numbers=in_form)
    reader = by.reviewer.person_id
    page = await door.trail.page(reader, by.request_id, wanted, asked.size, asked.before)
    return FhirResponse(_bundle(door, page, asked, wanted))


def _bundle(door: AuditDoor, page: TrailPage, asked: "_Asked", wanted: Wanted) -> Json:
    base = f"{door.events.origin}{PATH}"
    links = [("self", asked.link(wanted, asked.before))]
    if page.next is not None:
        links.append(("next", asked.link(wanted, page.next)))
    entries = [
        {
            "fullUrl": f"{base}/{row.id}",
            "resource": door.events.of(row),
            "search": {"mode": "match"},
        }
        for row in page.rows
    ]
    bundle: Json = {
        "resourceType": "Bundle",
        "type": "searchset",
        "link": [{"relation": name, "url": f"{base}?{query}"} for name, query in links],
        "entry": entries,
    }
    return without_empty(bundle)


@dataclass(frozen=True, slots=True)
class _Asked:
    """The parameters of a search, each known; `size` and `before` are of its page."""

    values: Mapping[str, list[str]]
    size: int
    before: int | None

    @classmethod
    def of(cls, pairs: Pairs) -> "_Asked":
        """Raises ProfileViolation for what is not understood: the answer would be to another."""
        values: dict[str, list[str]] = {}
        for name, value in pairs:
            values.setdefault(name, []).append(value)
        known = (*_NAMES, "_count", "_before", "_format")
        wrong = [name for name in values if name not in known]
        wrong += [n for n, found in values.items() if len(found) > 1 and n not in _MANY]
        if wrong:
            raise _refused("is not known here, or stands more than once", wrong)
        size = _number(values, "_count", LARGEST_PAGE) or _ORDINARY_PAGE
        before = _number(values, "_before", _LAST_ID)
        return cls({n: v for n, v in values.items() if n in _NAMES}, size, before)

    def wanted(self, trail: AuditTrail, *, numbers: bool) -> Wanted:
        """Raises ProfileViolation. `numbers`: a beneficiary may be named by number."""
        first, end = _span(self.values.get("date", ()))
        return Wanted(
            from_at=first,
            before_at=end,
            patients=self._patients(trail, numbers=numbers),
            agent=self._agent(),
            act=self._act(),
            action=self._one("subtype", _WORD),
            ended=self._ended(),
            entity=self._one("entity", _ID),
        )

    def link(self, wanted: Wanted, before: int | None) -> str:
        """The query of a page of this search. A beneficiary stands in it as the hash."""
        pairs = [(n, v) for n, found in self.values.items() if n != "patient" for v in found]
        if wanted.patients is not None:
            pairs.append(("patient", ",".join(each.hex() for each in wanted.patients)))
        pairs.append(("_count", str(self.size)))
        if before is not None:
            pairs.append(("_before", str(before)))
        return urlencode(pairs)

    def _one(self, name: str, form: re.Pattern[str]) -> str | None:
        found = self.values.get(name)
        if found is None:
            return None
        if not form.fullmatch(found[0]):
            raise _refused("is not written as it should be", [name])
        return found[0]

    def _patients(self, trail: AuditTrail, *, numbers: bool) -> tuple[bytes, ...] | None:
        found = self.values.get("patient")
        if found is None:
            return None
        if _HASHES.fullmatch(found[0]):
            return tuple(bytes.fromhex(each) for each in found[0].split(","))
        if not numbers:
            told = "is the hash that events show; send a number by POST _search"
            raise _refused(told, ["patient"])
        if not _MBI.fullmatch(found[0]):
            raise _refused("is neither a number nor a hash", ["patient"])
        return trail.patients(found[0])

    def _agent(self) -> UUID | None:
        found = self.values.get("agent")
        if found is None:
            return None
        try:
            return UUID(found[0].rpartition("/")[2])
        except ValueError:
            raise _refused("is the id of a client or of a person", ["agent"]) from None

    def _act(self) -> Act | None:
        found = self.values.get("action")
        if found is None:
            return None
        try:
            return Act(found[0])
        except ValueError:
            raise _refused(f"is one of {', '.join(Act)}", ["action"]) from None

    def _ended(self) -> str | None:
        found = self.values.get("outcome")
        if found is not None and found[0] not in _OUTCOMES:
            raise _refused(f"is one of {', '.join(_OUTCOMES)}", ["outcome"])
        return None if found is None else found[0]


def _refused(problem: str, names: Iterable[str]) -> ProfileViolation:
    """A refusal in our words: parameters are named by a stranger, so only ours are repeated."""
    ours = (*_NAMES, "_count", "_before")
    shown = sorted({name if name in ours else "a parameter" for name in names})
    problems = [Problem("error", "value", f"{name} {problem}.") for name in shown]
    return ProfileViolation(problems[0].text, problems)


def _number(values: Mapping[str, Any], name: str, most: int) -> int | None:
    if name not in values:
        return None
    text = values[name][0]
    if not (text.isascii() and text.isdecimal() and len(text) < 20 and 1 <= int(text) <= most):
        raise _refused(f"is a number from 1 to {most}", [name])
    return int(text)


def _span(dates: Sequence[str]) -> tuple[datetime | None, datetime | None]:
    """From when on, and before when. Raises ProfileViolation."""
    first: datetime | None = None
    end: datetime | None = None
    for each in dates:
        match = _DATE.fullmatch(each)
        if match is None:
            raise _refused("is a day or an instant, such as ge2026-05-20", ["date"])
        prefix, (starts, ends) = match[1] or "eq", _instants(match[2])
        if prefix in ("eq", "ge", "gt"):
            begins = ends if prefix == "gt" else starts
            first = begins if first is None else max(first, begins)
        if prefix in ("eq", "le", "lt"):
            closes = starts if prefix == "lt" else ends
            end = closes if end is None else min(end, closes)
    return first, end


def _instants(text: str) -> tuple[datetime, datetime]:
    """The first instant of what is written, and the first one after it. A day is one of UTC."""
    try:
        if "T" not in text:
            day = datetime.combine(date.fromisoformat(text), time(), UTC)
            return day, day + timedelta(days=1)
        at = datetime.fromisoformat(text)
        return at, at + timedelta(seconds=1)
    except ValueError:
        raise _refused("is a day or an instant, such as ge2026-05-20", ["date"]) from None
