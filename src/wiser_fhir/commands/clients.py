"""`wiser-fhir client`: the systems that call, their keys and their rights, as the owner role."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer
from sqlalchemy.ext.asyncio import AsyncConnection

from wiser_fhir.audit.recorder import Detail
from wiser_fhir.auth import client_keys
from wiser_fhir.auth import clients as store
from wiser_fhir.auth.client_keys import read_client_keys
from wiser_fhir.auth.clients import Acceptance, External, Held, Listed, NewClient
from wiser_fhir.auth.registration import Keys, RegistrationRefused
from wiser_fhir.auth.scopes import ALL_SCOPES
from wiser_fhir.auth.tokens import end_of_client
from wiser_fhir.clock import EASTERN, utc_now
from wiser_fhir.commands.environment import (
    acting,
    as_owner,
    done,
    extra_origins,
    settings_of_environment,
)
from wiser_fhir.commands.table import Format, Listing
from wiser_fhir.db.engine import transaction
from wiser_fhir.settings import Settings

commands = typer.Typer(help="The systems of organizations that call.", no_args_is_help=True)

_COLUMNS = (
    "name", "organization", "active", "scopes", "keys", "revision", "certificate_uri",
    "unbound_until", "unbound_because", "external", "cds_issuer", "notify_hosts",
)  # fmt: skip

_Name = Annotated[str, typer.Argument(help="Name of a client that there is.")]
_Scopes = Annotated[list[str], typer.Option("--scope", help=f"May be repeated: {ALL_SCOPES}.")]
_Url = Annotated[str | None, typer.Option(help="Where it keeps its public keys.")]
_File = Annotated[Path | None, typer.Option(help="File of its public keys, a JWKS.")]
_Uri = Annotated[
    str | None, typer.Option(help="URI in its TLS certificate (subject alternative name).")
]
_Until = Annotated[
    datetime | None,
    typer.Option(
        "--unbound-until",
        formats=["%Y-%m-%d"],
        help="Last day it may go without a certificate: at most a year from now.",
    ),
]
_Because = Annotated[
    str | None, typer.Option(help="Why it may go without a certificate; goes with a date.")
]
_External = Annotated[
    tuple[str, str] | None,
    typer.Option(metavar="ISSUER SUBJECT", help="By what name another issuer knows it."),
]

Act = Callable[[AsyncConnection], Awaitable[tuple[Held, Detail]]]


@commands.command()
def add(
    name: Annotated[str, typer.Argument(help="Its `client_id`; no other's.")],
    organization: Annotated[str, typer.Option(help="Name of the organization it belongs to.")],
    scope: _Scopes,
    jwks_url: _Url = None,
    jwks: _File = None,
    certificate_uri: _Uri = None,
    external: _External = None,
    unbound_until: _Until = None,
    because: _Because = None,
) -> None:
    """Register a client with what it proves itself by: keys of its own, by URL or by file, or the
    name by which another issuer of tokens knows it. In production a token is bound to the client's
    certificate, so one is named here, or why there is none.

    Needs WISER_DATABASE_OWNER_URL, except for the sandbox's embedded database.
    """
    settings, now = settings_of_environment(), utc_now()
    keys = _keys(settings, jwks_url, jwks)
    unbound = _acceptance(unbound_until, because)
    known_as = None if external is None else External(*external)
    new = NewClient(name, organization, tuple(scope), certificate_uri, unbound)
    new.check(now)
    proves = keys is not None or known_as is not None
    if proves and not settings.sandbox and certificate_uri is None and unbound is None:
        raise RegistrationRefused(
            "a token is bound to a certificate: name --certificate-uri, or --unbound-until"
        )

    async def act(db: AsyncConnection) -> tuple[Held, Detail]:
        client = await store.add(db, new, now)
        if keys is not None:
            await client_keys.register(db, client.id, client.organization_id, keys)
        if known_as is not None:
            await store.know_elsewhere(db, client, known_as)
        return client, {"scopes": "|".join(client.scopes), **_told(keys, certificate_uri, unbound)}

    _run(settings, "client.add", act)
    print("added")


@commands.command("list")
def list_(
    shape: Annotated[Format, typer.Option("--format", help="csv or jsonl.")] = Format.CSV,
) -> None:
    """Print every client, revoked ones too: its rights, where its keys are, the certificate it
    shows, hosts where it is told (`notify-host`), and its issuer of CDS Hooks JWTs (`cds-client`).
    Needs what `add` needs.
    """
    listing = Listing(sys.stdout, shape, _COLUMNS)
    for each in asyncio.run(_listed()):
        listing.add(asdict(each))


@commands.command()
def rotate(
    name: _Name,
    jwks_url: _Url = None,
    jwks: _File = None,
    certificate_uri: _Uri = None,
    overlap: Annotated[
        bool,
        typer.Option("--overlap", help="Keep the old keys beside, until the next rotation."),
    ] = False,
) -> None:
    """Give a client new keys, or know it by another certificate. The old ones are good no longer,
    and tokens they brought end, but for --overlap. Needs what `add` needs.
    """
    settings, now = settings_of_environment(), utc_now()
    keys = _keys(settings, jwks_url, jwks)
    if keys is None and certificate_uri is None:
        raise RegistrationRefused("name what is new: keys, or a certificate URI")
    if overlap and keys is None:
        raise RegistrationRefused("--overlap is about keys")

    async def act(db: AsyncConnection) -> tuple[Held, Detail]:
        client = await store.in_use(db, name)
        detail = dict(_told(keys, certificate_uri, None)) | {"overlap": overlap}
        if keys is not None:
            new = await client_keys.beside_old(db, client.id, keys) if overlap else keys
            detail["revision"] = await client_keys.register(
                db, client.id, client.organization_id, new
            )
        if certificate_uri is not None:
            await store.rename_certificate(db, client, certificate_uri)
        if not overlap:
            detail["tokens"] = await end_of_client(db, client.id, now)
        return client, detail

    _run(settings, "client.rotate", act)
    print("rotated")


@commands.command()
def scopes(name: _Name, scope: _Scopes) -> None:
    """Register a client for these scopes and no others. If any is taken away its tokens end. Needs
    what `add` needs.
    """

    async def act(db: AsyncConnection) -> tuple[Held, Detail]:
        client = await store.in_use(db, name)
        tokens = await store.change_scopes(db, client, scope, utc_now())
        return client, {"scopes": "|".join(store.checked_scopes(scope)), "tokens": tokens}

    _run(settings_of_environment(), "client.scopes", act)
    print("changed")


@commands.command()
def unbound(
    name: _Name,
    until: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="Last day: at most a year from now."),
    ] = None,
    because: _Because = None,
    end: Annotated[bool, typer.Option("--end", help="It shows a certificate from now on.")] = False,
) -> None:
    """Let a client go without a certificate for a while, at a risk that is written down, or no
    longer; then its tokens end. Needs what `add` needs.
    """
    acceptance, now = _acceptance(until, because), utc_now()
    if end == (acceptance is not None):
        raise RegistrationRefused("name --until and --because, or --end")

    async def act(db: AsyncConnection) -> tuple[Held, Detail]:
        client = await store.in_use(db, name)
        await store.accept_unbound(db, client, acceptance, now)
        if acceptance is not None:
            return client, {"until": acceptance.until.isoformat()}
        return client, {"until": None, "tokens": await end_of_client(db, client.id, now)}

    _run(settings_of_environment(), "client.unbound", act)
    print("ended" if end else "accepted")


@commands.command()
def external(
    name: _Name,
    issuer: Annotated[str, typer.Argument(help="The `iss` of its tokens.")],
    subject: Annotated[str, typer.Argument(help="Their `client_id`, `azp` or `sub`.")],
    revoke: Annotated[bool, typer.Option("--revoke", help="Take them no longer.")] = False,
) -> None:
    """Take tokens of another issuer for a client that it calls by this name, or no longer. Needs
    what `add` needs.
    """
    known_as = External(issuer, subject)

    async def act(db: AsyncConnection) -> tuple[Held, Detail]:
        client = await store.in_use(db, name)
        change = store.forget_elsewhere if revoke else store.know_elsewhere
        await change(db, client, known_as)
        return client, {"issuer": issuer, "revoked": revoke}

    _run(settings_of_environment(), "client.external", act)
    print("revoked" if revoke else "registered")


@commands.command()
def revoke(name: _Name) -> None:
    """Put a client out of use for good: no token, no CDS Hooks JWT, no notice; its tokens end with
    this. Its name is given to no other. Needs what `add` needs.
    """

    async def act(db: AsyncConnection) -> tuple[Held, Detail]:
        client = await store.in_use(db, name)
        await client_keys.revoke(db, client.id)
        return client, {"tokens": await store.revoke(db, client, utc_now())}

    _run(settings_of_environment(), "client.revoke", act)
    print("revoked")


def _keys(settings: Settings, url: str | None, file: Path | None) -> Keys | None:
    """What was said of keys. Raises RegistrationRefused, KeysRefused."""
    if url is None and file is None:
        return None
    keys = Keys(url) if file is None else read_client_keys(file.read_bytes())
    if url is not None and file is not None:
        keys = Keys(url, keys.jwks)
    keys.check(extra_origins(settings))
    return keys


def _acceptance(until: datetime | None, because: str | None) -> Acceptance | None:
    """A day is meant to its end, Eastern time. Raises RegistrationRefused."""
    if (until is None) != (because is None):
        raise RegistrationRefused("a date and why go together")
    if until is None or because is None:
        return None
    return Acceptance(until.replace(tzinfo=EASTERN) + timedelta(days=1), because)


def _told(keys: Keys | None, uri: str | None, unbound: Acceptance | None) -> Detail:
    """What the audit trail holds: where keys are and until when, never a key or a reason."""
    where = None if keys is None else keys.jwks_url or "value"
    until = None if unbound is None else unbound.until.isoformat()
    told = {"keys": where, "certificate_uri": uri, "unbound_until": until}
    return {name: value for name, value in told.items() if value is not None}


def _run(settings: Settings, action: str, act: Act) -> None:
    asyncio.run(_done(settings, action, act))


async def _done(settings: Settings, action: str, act: Act) -> None:
    """An act and its audit row, in one transaction."""
    async with acting(settings, action.replace(".", " ")) as db:
        client, detail = await act(db)
        of = client.organization_id
        await done(db, action, organization_id=of, client_id=client.id, detail=detail)


async def _listed() -> list[Listed]:
    settings = settings_of_environment()
    async with as_owner(settings, "client list") as engine, transaction(engine) as db:
        return await store.listed(db)
