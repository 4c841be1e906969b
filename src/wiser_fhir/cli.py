"""The `wiser-fhir` command. What hinders a start is said in one line, never in a trace."""

import asyncio
import re
import sys
from datetime import timedelta
from pathlib import Path
from typing import Annotated
from uuid import uuid4

import typer

from wiser_fhir import server, worker
from wiser_fhir.app import create_app, opened, owner_url
from wiser_fhir.audit.recorder import AuditRow, write
from wiser_fhir.auth import tokens
from wiser_fhir.auth.scopes import ALL_SCOPES, ScopeRefused
from wiser_fhir.auth.tokens import IssuedToken
from wiser_fhir.clock import utc_now
from wiser_fhir.coverage.check import check_catalogue
from wiser_fhir.coverage.loading import CatalogueError
from wiser_fhir.db import migrate as migrations
from wiser_fhir.db.embedded import EmbeddedError
from wiser_fhir.db.engine import create_engine, enter, transaction
from wiser_fhir.errors import NotFound, Unavailable
from wiser_fhir.fhir.validation.compiler import CompileError, compile_guides, verify_guides
from wiser_fhir.fhir.validation.packages import PackageError
from wiser_fhir.sandbox import tenant
from wiser_fhir.settings import Settings, SettingsError
from wiser_fhir.web.logs import configure

# What an operator can do something about; its text says what.
_EXPECTED = (
    CatalogueError, CompileError, EmbeddedError, NotFound, OSError, PackageError, ScopeRefused,
    SettingsError, Unavailable, migrations.NotReady,
)  # fmt: skip

_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_SPAN = re.compile(r"([1-9]\d{0,5})([smhd])")

cli = typer.Typer(
    help="The payer side of WISeR prior authorization as a FHIR API. Settings come from WISER_*"
    " variables: docs/configuration.md lists them.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
sandbox = typer.Typer(help="The sandbox's made-up tenant.", no_args_is_help=True)
igs = typer.Typer(help="The implementation guides that are compiled in.", no_args_is_help=True)
coverage = typer.Typer(help="What WISeR covers, as data.", no_args_is_help=True)
cli.add_typer(sandbox, name="sandbox")
cli.add_typer(igs, name="igs")
cli.add_typer(coverage, name="coverage")


def main() -> None:
    """Run the command. An expected error is one line and exit code 1."""
    try:
        cli()
    except _EXPECTED as error:
        sys.exit(f"wiser-fhir: {error}")


def _span(text: str) -> timedelta:
    match = _SPAN.fullmatch(text)
    if match is None:
        raise typer.BadParameter("a number and s, m, h or d, such as 24h")
    return timedelta(seconds=int(match[1]) * _UNITS[match[2]])


def _settings() -> Settings:
    settings = Settings.from_env()
    configure(settings.log_level)
    return settings


@cli.command()
def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port; 0 takes a free one.", min=0, max=65_535)] = 8000,
) -> None:
    """Serve until SIGTERM or SIGINT; print `ready http://HOST:PORT` once it answers.

    In the sandbox this starts, migrates and seeds the embedded database by itself.
    """
    settings = _settings()
    certificate = settings.certificate
    try:
        bound = server.bind(host, port)
    except OSError as fault:
        raise SettingsError(f"cannot listen on {host}:{port}: {fault.strerror}") from fault
    address = server.address_of(bound, host, tls=certificate is not None)
    if settings.sandbox and settings.public_url is None:
        settings = settings.model_copy(update={"public_url": address})
    limits = server.Limits(connections=settings.max_connections)
    with bound:
        app = create_app(settings)
        server.run(app, bound, lambda: print(f"ready {address}", flush=True), limits, certificate)


@cli.command("worker")
def work() -> None:
    """Do what no request waits for, until SIGTERM or SIGINT: end UTNs past their last day, forget
    tokens that ended.
    """
    asyncio.run(worker.run(_settings(), utc_now, lambda: print("working", flush=True)))


@cli.command()
def migrate() -> None:
    """Bring the database to the newest schema and write its mode into it, as the owner role.

    Needs WISER_DATABASE_OWNER_URL, except for the sandbox's embedded database.
    """
    settings = _settings()
    url = owner_url(settings)
    if url is not None:
        asyncio.run(migrations.upgrade(url, settings.mode))
    elif settings.sandbox and settings.database_url is None:
        asyncio.run(_open_once(settings))
    else:
        raise SettingsError("WISER_DATABASE_OWNER_URL: migrate needs it")
    print("migrated")


async def _open_once(settings: Settings) -> None:
    async with opened(settings):
        pass


@cli.command()
def demo() -> None:
    """Send three requests through a sandbox of its own and show what came of them."""
    from wiser_fhir.demo import run

    raise typer.Exit(run(_sandbox_only("demo")))


@cli.command()
def token(
    client: Annotated[str, typer.Option(help="The client, for instance sandbox-ehr.")],
    ttl: Annotated[timedelta, typer.Option(parser=_span, help="Life, such as 30m, 24h, 7d.")] = (
        "24h"  # type: ignore[assignment]
    ),
    scope: Annotated[
        list[str] | None,
        typer.Option(help=f"May be repeated; without it all of the client's: {ALL_SCOPES}."),
    ] = None,
) -> None:
    """Print a bearer token for a client of the sandbox. It is shown once and kept nowhere."""
    settings = _sandbox_only("token")
    print(asyncio.run(_issue(settings, client, scope or [], ttl)).token)


async def _issue(settings: Settings, client: str, scopes: list[str], ttl: timedelta) -> IssuedToken:
    async with opened(settings) as database:
        engine = create_engine(database.app, pool_size=1)
        try:
            async with transaction(engine) as db:
                issued = await tokens.issue(db, client, scopes, ttl, utc_now())
                await enter(db, issued.organization_id)
                row = AuditRow(
                    request_id=uuid4(),
                    action="token.issue",
                    outcome="done",
                    organization_id=issued.organization_id,
                    client_id=issued.client_id,
                    detail={"seconds": int(ttl.total_seconds()), "by": "command"},
                )
                await write(db, row)
        finally:
            await engine.dispose()
    return issued


@sandbox.command()
def reset() -> None:
    """Delete every case of the sandbox, with all messages and UTNs. Clients and tokens stay, and so
    does the audit trail.
    """
    asyncio.run(_reset(_sandbox_only("sandbox reset")))
    print("the sandbox is empty")


async def _reset(settings: Settings) -> None:
    async with opened(settings) as database:
        if database.owner is None:
            raise SettingsError("WISER_DATABASE_OWNER_URL: sandbox reset needs it")
        engine = create_engine(database.owner, pool_size=1)
        try:
            async with transaction(engine) as db:
                await tenant.empty(db)
                await write(db, AuditRow(uuid4(), action="sandbox.reset", outcome="done"))
        finally:
            await engine.dispose()


@igs.command("compile")
def compile_(
    out: Annotated[Path, typer.Option(help="Folder to write to.")] = Path("igs/compiled"),
) -> None:
    """Compile the pinned guides into what the validator reads. Needs WISER_FHIR_PACKAGES."""
    for line, file, records, size in compile_guides(_packages(), out).written:
        print(f"{line}  {file:22} {records:6,} records {size:12,} bytes")


@igs.command()
def verify() -> None:
    """Compile again and compare with what is committed; fail on a byte of difference."""
    differences = verify_guides(_packages())
    for difference in differences:
        print(difference)
    if differences:
        raise typer.Exit(1)
    print("igs/compiled is what the guides compile to")


def _packages() -> Path:
    folder = Settings.from_env().fhir_packages
    if folder is None or not folder.is_dir():
        raise SettingsError("WISER_FHIR_PACKAGES: name a folder of <id>#<version>.tgz files")
    return folder


@coverage.command()
def check() -> None:
    """Read every rule file, run every example, and print the whole as a table."""
    print(check_catalogue())


def _sandbox_only(command: str) -> Settings:
    settings = _settings()
    if not settings.sandbox:
        raise SettingsError(f"WISER_MODE: `{command}` is for the sandbox: set WISER_MODE=sandbox")
    settings.check_mode()
    return settings


if __name__ == "__main__":
    main()
