"""What clients reported of our forms, over all organizations, for those who maintain them."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from sqlalchemy import RowMapping, select
from sqlalchemy.ext.asyncio import AsyncEngine

from wiser_fhir.db.base import questionnaire_error
from wiser_fhir.db.engine import transaction
from wiser_fhir.dtr.error_report import ReportedIssue
from wiser_fhir.priorauth.retelling import organizations

_ADAPTIVE = "-adaptive"
_FOREIGN = "(no form of ours)"


@dataclass(frozen=True, slots=True)
class Sighting:
    """One issue as one organization reported it on one day."""

    organization_id: UUID
    line: str
    issue: ReportedIssue
    at: datetime


@dataclass(frozen=True, slots=True)
class ErrorGroup:
    """The same issue, whoever reported it. Within a day an organization counts once."""

    line: str
    issue: ReportedIssue
    reports: int
    organizations: int
    last: datetime


async def sightings(
    engine: AsyncEngine, since: date | None = None, slug: str | None = None
) -> list[Sighting]:
    """What was reported since a day, itself included, of a service's forms. Raises Unavailable."""
    table = questionnaire_error
    query = select(table)
    if since is not None:
        query = query.where(table.c.reported_on >= since)
    if slug is not None:
        query = query.where(table.c.form.in_([slug, slug + _ADAPTIVE]))
    found: list[Sighting] = []
    for organization_id in await organizations(engine):
        async with transaction(engine, organization_id) as connection:
            rows = (await connection.execute(query)).mappings()
            found += [_sighting(row) for row in rows]
    return found


def _sighting(row: RowMapping) -> Sighting:
    issue = ReportedIssue(
        form=row["form"],
        version=row["version"],
        severity=row["severity"],
        code=row["code"],
        paths=tuple(row["paths"]),
        details=tuple(row["details"]),
        mentions=tuple(row["mentions"]),
    )
    return Sighting(row["organization_id"], row["line"], issue, row["at"])


def grouped(seen: Iterable[Sighting]) -> list[ErrorGroup]:
    """The same issues together, the one seen last first."""
    found: dict[tuple[str, ReportedIssue], list[Sighting]] = defaultdict(list)
    for each in seen:
        found[each.line, each.issue].append(each)
    groups = [
        ErrorGroup(
            line=line,
            issue=issue,
            reports=len(together),
            organizations=len({each.organization_id for each in together}),
            last=max(each.at for each in together),
        )
        for (line, issue), together in found.items()
    ]
    return sorted(groups, key=lambda group: (group.last, group.reports), reverse=True)


def listing(groups: Iterable[ErrorGroup]) -> str:
    """The groups as text, one line of head and lines of what is known for each."""
    return "\n".join(line for group in groups for line in _lines(group)) or "no errors reported"


def _lines(group: ErrorGroup) -> Iterator[str]:
    issue = group.issue
    form = issue.form or _FOREIGN
    version = f"|{issue.version}" if issue.version else ""
    yield (
        f"{group.last:%Y-%m-%d %H:%M}Z  {group.reports} times by {group.organizations}"
        f"  {issue.severity} {issue.code}  {form}{version} (line {group.line})"
    )
    for name in ("paths", "details", "mentions"):
        words = getattr(issue, name)
        if words:
            yield f"    {name}: {', '.join(words)}"
