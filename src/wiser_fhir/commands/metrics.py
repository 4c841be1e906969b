"""`wiser-fhir metrics`: the guides' measures and figures for publication, as the owner role."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, Any

import orjson
import typer

from wiser_fhir.clock import utc_now
from wiser_fhir.commands.environment import as_owner, settings_of_environment
from wiser_fhir.commands.table import Format, Listing
from wiser_fhir.coverage.catalogue import Catalogue
from wiser_fhir.crd.metric_records import CrdRecords
from wiser_fhir.dtr.metric_records import DtrRecords
from wiser_fhir.fhir.codes import CANONICAL_BASE
from wiser_fhir.fhir.elements import Json
from wiser_fhir.pas.metric_records import PasRecords
from wiser_fhir.priorauth.metric_rows import Days, MetricRows
from wiser_fhir.priorauth.metric_summary import Summary
from wiser_fhir.settings import Settings

commands = typer.Typer(help="Measures of what was asked and answered.", no_args_is_help=True)

_From = Annotated[datetime, typer.Option("--from", formats=["%Y-%m-%d"], help="First day.")]
_To = Annotated[datetime, typer.Option("--to", formats=["%Y-%m-%d"], help="Last day.")]
_Shape = Annotated[Format, typer.Option("--format", help="jsonl or csv.")]
_Records = Callable[[], AsyncIterator[Json]]


@dataclass(frozen=True, slots=True)
class _Kind:
    """A kind of record: how it is made, and which of its elements head a table."""

    name: str
    of: Callable[[MetricRows, str], _Records]
    columns: tuple[str, ...]


_PAS = _Kind(
    "pas",
    lambda rows, address: PasRecords(rows, address, Catalogue.load().process),
    (
        *("source", "providerId", "groupId", "payerId", "exchange", "issue", "itemDetail"),
        *("supportingDoc", "requestedDoc", "businessLine"),
    ),
)
_CRD = _Kind(
    "crd",
    CrdRecords,
    (
        *("source", "hookInstance", "hookType", "providerId", "groupId", "payerId"),
        *("requestTime", "responseTime", "httpResponse", "issue", "tokenUse", "request"),
    ),
)
_DTR = _Kind(
    "dtr",
    DtrRecords,
    (
        *("source", "providerId", "groupId", "payerId", "assertionId", "launchMode"),
        *("orderItem", "action", "questionnaire"),
    ),
)


@commands.command()
def pas(first: _From, last: _To, shape: _Shape = Format.JSONL) -> None:
    """Print PASMetricData of authorizations first asked for on these Eastern days, of inquiries and
    of refused calls.

    Needs WISER_DATABASE_OWNER_URL, except for the sandbox's embedded database.
    """
    _export(_PAS, first, last, shape)


@commands.command()
def crd(first: _From, last: _To, shape: _Shape = Format.JSONL) -> None:
    """Print CRDMetricData of the hook calls of these Eastern days.

    Needs WISER_DATABASE_OWNER_URL, except for the sandbox's embedded database.
    """
    _export(_CRD, first, last, shape)


@commands.command()
def dtr(first: _From, last: _To, shape: _Shape = Format.JSONL) -> None:
    """Print DTRMetricData of the packages and next questions of these Eastern days.

    Needs WISER_DATABASE_OWNER_URL, except for the sandbox's embedded database.
    """
    _export(_DTR, first, last, shape)


@commands.command()
def summary(first: _From, last: _To) -> None:
    """Print figures over the requests first sent on these Eastern days: shares of approvals and
    denials, average and median time to a decision, how old pended ones are.

    Needs WISER_DATABASE_OWNER_URL, except for the sandbox's embedded database.
    """
    found = asyncio.run(_summary(settings_of_environment(), _days(first, last)))
    print(orjson.dumps(found, option=orjson.OPT_INDENT_2).decode())


def _days(first: datetime, last: datetime) -> Days:
    if last < first:
        raise typer.BadParameter("--to lies before --from")
    return Days(first.date(), last.date())


def _export(kind: _Kind, first: datetime, last: datetime, shape: Format) -> None:
    """In a table what is more than a word or a number stands as JSON."""
    days = _days(first, last)
    asyncio.run(_written(settings_of_environment(), kind, days, shape))


async def _written(settings: Settings, kind: _Kind, days: Days, shape: Format) -> None:
    listing = Listing(sys.stdout, shape, kind.columns)
    address = settings.public_url or CANONICAL_BASE["2.2"]
    async with as_owner(settings, f"metrics {kind.name}") as engine:
        rows, count = MetricRows(engine, days), 0
        await rows.record(kind.name, "begun")
        async for record in kind.of(rows, address)():
            listing.add(_flat(record) if shape is Format.CSV else record)
            count += 1
        await rows.record(kind.name, "done", count)


def _flat(record: Json) -> dict[str, Any]:
    return {
        name: orjson.dumps(value).decode() if isinstance(value, (dict, list)) else value
        for name, value in record.items()
    }


async def _summary(settings: Settings, days: Days) -> dict[str, Any]:
    async with as_owner(settings, "metrics summary") as engine:
        rows, found = MetricRows(engine, days), Summary(utc_now())
        await rows.record("summary", "begun")
        await found.read(rows)
        await rows.record("summary", "done")
        span: dict[str, date] = {"from": days.first, "to": days.last}
        return {**span, **found.figures()}
