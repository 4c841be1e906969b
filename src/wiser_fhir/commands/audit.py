"""`wiser-fhir audit`: verify, export and review the audit trail, as the owner role."""

import asyncio
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from wiser_fhir.audit.checkpoints import CheckpointFolder, SigningKeys
from wiser_fhir.audit.decisions import all_changed
from wiser_fhir.audit.export import Export
from wiser_fhir.audit.inspection import Finding, Inspection
from wiser_fhir.audit.review import WeeklyReview
from wiser_fhir.audit.sealing import head_of
from wiser_fhir.audit.verifying import UNSEALED_FOR, Verifier
from wiser_fhir.clock import utc_now
from wiser_fhir.commands.environment import as_app, as_owner, settings_of_environment
from wiser_fhir.deployment.addresses import public_origin
from wiser_fhir.deployment.keys import chain_keys, checkpoint_folder, checkpoint_keys, decision_keys
from wiser_fhir.settings import Settings, SettingsError

commands = typer.Typer(help="The audit trail.", no_args_is_help=True)

_Day = Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="A day of UTC.")]


@commands.command()
def verify(
    from_checkpoint: Annotated[
        Path | None,
        typer.Option(help="Begin behind what this checkpoint vouches for.", exists=True),
    ] = None,
    checkpoints: Annotated[
        Path | None, typer.Option(help="Folder of them, if not WISER_AUDIT_CHECKPOINTS.")
    ] = None,
    signed_by: Annotated[
        Path | None,
        typer.Option(help="Public keys (PEM) of checkpoints, if not WISER_AUDIT_SIGNING_KEY."),
    ] = None,
    unsealed_for: Annotated[
        int, typer.Option(help="Seconds a row may wait for its seal.", min=1)
    ] = int(UNSEALED_FOR.total_seconds()),
) -> None:
    """Check every seal, the order of rows and all checkpoints; name the first row that is not as it
    was written, and exit 1. Leaves a row on the trail.

    Needs WISER_AUDIT_KEY and WISER_DATABASE_OWNER_URL, except for the sandbox's embedded database.
    """
    settings = settings_of_environment()
    folder = checkpoint_folder(settings) if checkpoints is None else CheckpointFolder(checkpoints)
    if folder is not None and not folder.path.is_dir():
        raise SettingsError(f"no such folder: {folder.path}")
    signers = _signers(settings, signed_by)
    if folder is not None and signers is None:
        raise SettingsError(f"{folder.path}: needs WISER_AUDIT_SIGNING_KEY or --signed-by")
    waiting = timedelta(seconds=unsealed_for)
    finding = asyncio.run(_verify(settings, folder, signers, from_checkpoint, waiting))
    _tell(finding)


def _signers(settings: Settings, file: Path | None) -> SigningKeys | None:
    if file is None:
        return checkpoint_keys(settings)
    try:
        return SigningKeys.read(file.read_text())
    except ValueError as fault:
        raise SettingsError(f"{file}: {fault}") from fault


async def _verify(
    settings: Settings,
    folder: CheckpointFolder | None,
    signers: SigningKeys | None,
    start: Path | None,
    unsealed_for: timedelta,
) -> Finding:
    async with as_owner(settings, "audit verify") as engine:
        verifier = Verifier(
            engine, chain_keys(settings), utc_now, folder, signers, unsealed_for=unsealed_for
        )
        try:
            changed = partial(all_changed, engine, decision_keys(settings), settings.sandbox)
            return await Inspection(verifier, changed).once(start)
        except ValueError as fault:
            raise SettingsError(f"--from-checkpoint: {fault}") from fault


def _tell(finding: Finding) -> None:
    report = finding.report
    for note in report.notes:
        print(f"note: {note}")
    if finding.decisions is None:
        print("decisions could not be checked")
    for decision in finding.decisions or ():
        print(f"decision changed: {decision}")
    if report.fault is not None:
        print(report.fault)
    if not finding.sound:
        raise typer.Exit(1)
    print(
        f"sound: {report.sealed} rows sealed to sequence {report.sequence},"
        f" {report.checkpoints} checkpoints"
    )


@commands.command()
def status() -> None:
    """Print how far the trail is sealed, and how long the oldest row has waited for its seal."""
    end = asyncio.run(_status(settings_of_environment()))
    print(end)


async def _status(settings: Settings) -> str:
    async with as_app(settings) as engine:
        end = await head_of(engine)
    lag = end.lag(utc_now())
    return f"sequence {end.sequence}, key {end.key_id or 'none'}, lag {lag:.1f} s"


@commands.command()
def export(
    since: _Day,
    until: _Day,
    out: Annotated[Path, typer.Option(help="File to write; it must not be there yet.")],
    fhir: Annotated[
        bool, typer.Option("--fhir", help="AuditEvents instead of rows with their seals.")
    ] = False,
) -> None:
    """Write the events of these days, both included, a JSON object a line. Leaves a row on the
    trail. The file has its name once all is written.

    Without --fhir a line holds what its seal covers, to the byte, and the seal: whoever has the
    chain's key can verify it, see docs/audit.md. Needs WISER_DATABASE_OWNER_URL as `verify` does.
    """
    if until < since:
        raise typer.BadParameter("--until lies before --since")
    first, end = _days(since, until)
    count = asyncio.run(_export(settings_of_environment(), first, end, out, fhir=fhir))
    print(f"{count} events written")


async def _export(
    settings: Settings, first: datetime, end: datetime, out: Path, *, fhir: bool
) -> int:
    async with as_owner(settings, "audit export") as engine:
        return await Export(engine, public_origin(settings)).write(first, end, out, fhir=fhir)


@commands.command()
def report(
    until: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="Last day of the week; yesterday unless given."),
    ] = None,
) -> None:
    """Print a week for review: what happened how often, refusals by client, and access that is
    unusual by simple rules, each with its rule. Leaves a row on the trail.

    Needs WISER_DATABASE_OWNER_URL as `verify` does.
    """
    last = until or utc_now().replace(tzinfo=None) - timedelta(days=1)
    asyncio.run(_report(settings_of_environment(), last))


async def _report(settings: Settings, last: datetime) -> None:
    _, end = _days(last, last)
    async with as_owner(settings, "audit report") as engine:
        for line in await WeeklyReview(engine).lines(end):
            print(line)


def _days(first: datetime, last: datetime) -> tuple[datetime, datetime]:
    """From the first instant of a day of UTC to that after another's last."""
    starts = first.replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=UTC)
    ends = last.replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=UTC)
    return starts, ends + timedelta(days=1)
