"""The `wiser-fhir` command. What hinders a start is said in one line, never in a trace."""

import asyncio
import contextlib
import re
import sys
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Annotated
from uuid import UUID, uuid4

import orjson
import typer

from wiser_fhir import server, worker
from wiser_fhir.app import create_app
from wiser_fhir.audit.recorder import AuditRow, Detail, write
from wiser_fhir.auth import cds_clients, people, tokens
from wiser_fhir.auth.clients import client_named
from wiser_fhir.auth.keys import KeysRefused
from wiser_fhir.auth.registration import RegistrationRefused
from wiser_fhir.auth.scopes import ALL_SCOPES, ScopeRefused
from wiser_fhir.auth.staff import PersonRefused
from wiser_fhir.auth.udap_communities import CommunityRefused
from wiser_fhir.clock import utc_now
from wiser_fhir.commands import audit as audit_commands
from wiser_fhir.commands import certificates as certificate_commands
from wiser_fhir.commands import clients as client_commands
from wiser_fhir.commands import exemptions as exemption_commands
from wiser_fhir.commands import keys as key_commands
from wiser_fhir.commands import metrics as metric_commands
from wiser_fhir.commands import organizations as organization_commands
from wiser_fhir.commands import people as people_commands
from wiser_fhir.commands import udap as udap_commands
from wiser_fhir.commands import utn as utn_commands
from wiser_fhir.commands.assertions import assertion
from wiser_fhir.commands.cds_clients import cds_client
from wiser_fhir.commands.environment import as_app, as_owner, sandbox_only, settings_of_environment
from wiser_fhir.commands.issuer_keys import issuer_keys
from wiser_fhir.commands.notify_hosts import notify_host
from wiser_fhir.commands.sandbox_certificates import sandbox_certificates
from wiser_fhir.coverage.check import check_catalogue
from wiser_fhir.coverage.loading import CatalogueError
from wiser_fhir.db import migrate as migrations
from wiser_fhir.db.embedded import EmbeddedError
from wiser_fhir.db.engine import enter, transaction
from wiser_fhir.db.vault import CannotOpen, NoVault
from wiser_fhir.deployment.checks import check_mode
from wiser_fhir.deployment.database import opened, owner_url
from wiser_fhir.deployment.keys import ehr_key
from wiser_fhir.dtr.error_listing import grouped, listing, sightings
from wiser_fhir.egress.tls import EgressTlsRefused
from wiser_fhir.errors import Conflict, NotFound, Unavailable
from wiser_fhir.fhir.validation.compiler import CompileError, compile_guides, verify_guides
from wiser_fhir.fhir.validation.packages import PackageError
from wiser_fhir.notify.hosts import HostRefused
from wiser_fhir.priorauth.retelling import organizations, retold
from wiser_fhir.sandbox import ehr, tenant
from wiser_fhir.settings import Settings, SettingsError
from wiser_fhir.web.tls import TlsFiles, TlsRefused

# What an operator can do something about; its text says what.
_EXPECTED = (
    CannotOpen, CatalogueError, CommunityRefused, CompileError, Conflict, EgressTlsRefused,
    EmbeddedError, HostRefused, KeysRefused, NotFound, NoVault, PackageError,
    PersonRefused, RegistrationRefused, ScopeRefused, SettingsError, TlsRefused, Unavailable,
    migrations.NotReady,
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
sandbox.command("certificates")(sandbox_certificates)
cli.add_typer(audit_commands.commands, name="audit")
cli.add_typer(people_commands.commands, name="person")
cli.add_typer(organization_commands.commands, name="organization")
cli.add_typer(client_commands.commands, name="client")
cli.add_typer(certificate_commands.commands, name="certificate")
cli.command("notify-host")(notify_host)
cli.command("cds-client")(cds_client)
cli.command("assertion")(assertion)
cli.command("issuer-keys")(issuer_keys)
cli.add_typer(key_commands.commands, name="keys")
cli.add_typer(udap_commands.commands, name="udap")
cli.add_typer(utn_commands.commands, name="utn")
cli.add_typer(exemption_commands.commands, name="exemption")
cli.add_typer(metric_commands.commands, name="metrics")
cli.add_typer(igs, name="igs")
cli.add_typer(coverage, name="coverage")


def main() -> None:
    """Run the command. An expected error is one line and exit code 1."""
    try:
        cli()
    except OSError as error:
        told = f"{error.filename}: {error.strerror}" if error.filename else error
        sys.exit(f"wiser-fhir: {told}")
    except _EXPECTED as error:
        sys.exit(f"wiser-fhir: {error}")


def _span(text: str) -> timedelta:
    match = _SPAN.fullmatch(text)
    if match is None:
        raise typer.BadParameter("a number and s, m, h or d, such as 24h")
    return timedelta(seconds=int(match[1]) * _UNITS[match[2]])


@cli.command()
def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port; 0 takes a free one.", min=0, max=65_535)] = 8000,
    browser_port: Annotated[
        int | None,
        typer.Option(
            help="Port of a second listener that asks for no client certificate.",
            min=0,
            max=65_535,
        ),
    ] = None,
) -> None:
    """Serve until SIGTERM or SIGINT; print `ready http://HOST:PORT` once it answers.

    With a second listener both are named, the one that asks for client certificates first. In the
    sandbox this starts, migrates and seeds the embedded database by itself.
    """
    settings = settings_of_environment()
    with contextlib.ExitStack() as held:
        listeners = _listeners(settings, held, host, port, browser_port)
        addresses = [server.address_of(each.bound, host, tls=bool(each.tls)) for each in listeners]
        if settings.sandbox and settings.public_url is None:
            settings = settings.model_copy(update={"public_url": addresses[0]})
        limits = server.Limits(connections=settings.max_connections)
        app = create_app(settings, works=settings.sandbox)
        ready = " ".join(["ready", *addresses])
        server.run(app, listeners, lambda: print(ready, flush=True), limits)


def _listeners(
    settings: Settings, held: contextlib.ExitStack, host: str, port: int, browser_port: int | None
) -> list[server.Listener]:
    """What is listened on. Raises SettingsError, TlsRefused."""
    check_mode(settings)  # it names the setting of a file that is not there
    if browser_port is not None and settings.tls_client_ca is None:
        raise SettingsError("--browser-port: needs WISER_TLS_CLIENT_CA")
    ports = [port] if browser_port is None else [port, browser_port]
    bound = []
    for each in ports:
        try:
            bound.append(held.enter_context(server.bind(host, each)))
        except OSError as fault:
            raise SettingsError(f"cannot listen on {host}:{each}: {fault.strerror}") from fault
    if settings.certificate is None:
        return [server.Listener(each) for each in bound]
    files = TlsFiles(*settings.certificate, settings.tls_client_ca, settings.tls_crl)
    asking = [files, files.without_clients()]
    return [server.Listener(one, tls.context()) for one, tls in zip(bound, asking, strict=False)]


@cli.command("worker")
def work() -> None:
    """Do what no request waits for, until SIGTERM or SIGINT: have files scanned, get UTNs and end
    them past their last day, tell subscribers, escalate what nears its deadline, move prepayment
    reviews on, assess exemptions, seal and verify the audit trail, get lists of revoked
    certificates, forget tokens and sessions that ended.
    """
    asyncio.run(
        worker.run(settings_of_environment(), utc_now, lambda: print("working", flush=True))
    )


@cli.command()
def migrate() -> None:
    """Bring the database to the newest schema and write its mode into it, as the owner role.

    Needs WISER_DATABASE_OWNER_URL, except for the sandbox's embedded database.
    """
    settings = settings_of_environment()
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

    raise typer.Exit(run(sandbox_only("demo")))


@cli.command()
def token(
    client: Annotated[
        str | None, typer.Option(help="The client, for instance sandbox-ehr; or --person.")
    ] = None,
    person: Annotated[
        str | None, typer.Option(help="Who reviews, for instance 'Rhoda Reviewer'; or --client.")
    ] = None,
    ttl: Annotated[timedelta, typer.Option(parser=_span, help="Life, such as 30m, 24h, 7d.")] = (
        "24h"  # type: ignore[assignment]
    ),
    scope: Annotated[
        list[str] | None,
        typer.Option(help=f"May be repeated; without it all of the client's: {ALL_SCOPES}."),
    ] = None,
) -> None:
    """Print a bearer token for a client of the sandbox, or for a person who reviews there. It is
    shown once and kept nowhere.
    """
    settings = sandbox_only("token")
    if client is not None and person is None:
        print(asyncio.run(_issue(settings, client, scope or [], ttl)))
    elif person is not None and client is None and not scope:
        print(asyncio.run(_issue_to_person(settings, person, ttl)))
    else:
        raise SettingsError("token: name a --client, with --scope or without, or a --person")


async def _issue(settings: Settings, client: str, scopes: list[str], ttl: timedelta) -> str:
    async with as_app(settings) as engine, transaction(engine) as db:
        issued = await tokens.issue(db, client, scopes, ttl, utc_now())
        await enter(db, issued.organization_id)
        detail: Detail = {"seconds": int(ttl.total_seconds()), "by": "command"}
        await write(db, _by(issued.client_id, issued.organization_id, "token.issue", detail))
    return issued.token


async def _issue_to_person(settings: Settings, name: str, ttl: timedelta) -> str:
    async with as_app(settings) as engine, transaction(engine) as db:
        issued = await people.issue_person_token(db, name, ttl, utc_now())
        row = AuditRow(
            request_id=uuid4(),
            action="token.issue",
            outcome="done",
            person_id=issued.person_id,
            detail={"seconds": int(ttl.total_seconds()), "by": "command"},
        )
        await write(db, row)
    return issued.token


@cli.command("cds-token")
def cds_token(
    url: Annotated[str, typer.Argument(help="The hook service, as clients see its URL.")],
    client: Annotated[str, typer.Option(help="The client, for instance sandbox-ehr.")],
) -> None:
    """Print a CDS Hooks JWT of the sandbox's EHR for one hook service. It lives five minutes and is
    good for fifty calls.
    """
    print(asyncio.run(_cds_token(sandbox_only("cds-token"), client, url)))


async def _cds_token(settings: Settings, client: str, url: str) -> str:
    issuers = {each.client: each.iss for each in tenant.Tenant.load().cds_clients}
    if client not in issuers:
        raise NotFound("CDS client of the sandbox")
    async with as_app(settings) as engine, transaction(engine) as db:
        client_id, organization_id = await client_named(db, client)
        if not await cds_clients.is_registered(db, client_id, issuers[client]):
            raise RegistrationRefused(f"{client} is revoked, or has keys of its own")
        await enter(db, organization_id)
        await write(db, _by(client_id, organization_id, "cds-token.issue", {"by": "command"}))
    return ehr.cds_token(ehr_key(settings), issuers[client], url, utc_now())


def _by(client_id: UUID, organization_id: UUID, action: str, detail: Detail) -> AuditRow:
    return AuditRow(
        request_id=uuid4(),
        action=action,
        outcome="done",
        organization_id=organization_id,
        client_id=client_id,
        detail=detail,
    )


@cli.command("hook-call")
def hook_call(
    name: Annotated[str, typer.Argument(help="Id of the call, of an assertion, or of a card.")],
) -> None:
    """Print what a CDS Hooks call asked and what was answered, as kept. It is data about a patient;
    that it was read is audited.
    """
    print(asyncio.run(_hook_call(settings_of_environment(), name)))


async def _hook_call(settings: Settings, name: str) -> str:
    async with as_owner(settings, "hook-call") as engine:
        for organization_id in await organizations(engine):
            async with transaction(engine, organization_id) as db:
                found = await retold(db, name)
                if found is not None:
                    row = AuditRow(
                        request_id=uuid4(),
                        action="hook-call.read",
                        outcome="done",
                        organization_id=organization_id,
                        object_kind="hook-call",
                        object_id=str(found["id"]),
                    )
                    await write(db, row)
                    return orjson.dumps(found, default=str, option=orjson.OPT_INDENT_2).decode()
    raise NotFound("hook call, assertion or card")


@cli.command("form-errors")
def form_errors(
    since: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="First day of report.")
    ] = None,
    questionnaire: Annotated[
        str | None, typer.Option(help="The service, such as skin-substitutes.")
    ] = None,
) -> None:
    """Print what clients reported of our forms, newest first, the same together. As the owner role;
    no report holds a sender's own words.
    """
    day = None if since is None else since.date()
    print(asyncio.run(_form_errors(settings_of_environment(), day, questionnaire)))


async def _form_errors(settings: Settings, since: date | None, slug: str | None) -> str:
    async with as_owner(settings, "form-errors") as engine:
        return listing(grouped(await sightings(engine, since, slug)))


@sandbox.command()
def reset() -> None:
    """Delete every case of the sandbox, with all messages and UTNs. Clients and tokens stay, and so
    does the audit trail.
    """
    asyncio.run(_reset(sandbox_only("sandbox reset")))
    print("the sandbox is empty")


async def _reset(settings: Settings) -> None:
    async with as_owner(settings, "sandbox reset") as engine, transaction(engine) as db:
        await tenant.empty(db)
        await write(db, AuditRow(uuid4(), action="sandbox.reset", outcome="done"))


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


if __name__ == "__main__":
    main()
