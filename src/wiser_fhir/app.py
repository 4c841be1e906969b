"""Builds the application from the settings and owns what lives as long as it: the lifespan."""

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import orjson
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncEngine

from wiser_fhir.audit.recorder import Recorder
from wiser_fhir.auth.cds_jwt import CdsAuthenticator
from wiser_fhir.auth.tokens import Authenticator
from wiser_fhir.clock import Clock, utc_now
from wiser_fhir.coverage.catalogue import Catalogue
from wiser_fhir.crd import routes as crd
from wiser_fhir.crd.door import CrdDoor
from wiser_fhir.crd.response import no_suite
from wiser_fhir.db import migrate
from wiser_fhir.db.embedded import Embedded
from wiser_fhir.db.engine import create_engine, transaction
from wiser_fhir.dtr import conformance_routes, preview
from wiser_fhir.dtr import routes as dtr
from wiser_fhir.dtr.door import DtrDoor
from wiser_fhir.dtr.error_log import ErrorLog
from wiser_fhir.dtr.forms import Forms
from wiser_fhir.dtr.package import Packages
from wiser_fhir.dtr.published import Publications
from wiser_fhir.egress.client import Egress
from wiser_fhir.fhir.codes import LINES, REQUEST_BUNDLE, Line
from wiser_fhir.fhir.validation.validator import GuideValidator
from wiser_fhir.intake.soundness import soundness
from wiser_fhir.pas.claim_response import Renderer
from wiser_fhir.pas.reject_reasons import RejectReasons
from wiser_fhir.pas.routes import PasDoor, router_for
from wiser_fhir.priorauth.decide import Decider, Policy
from wiser_fhir.priorauth.ledger import Ledger
from wiser_fhir.priorauth.numbers import LocalUtnSource, UtnSource
from wiser_fhir.priorauth.registry import InMemoryRegistry, Registry
from wiser_fhir.priorauth.service import PriorAuthService
from wiser_fhir.resources import resource_path
from wiser_fhir.sandbox import ehr
from wiser_fhir.sandbox.suite import SuiteCards
from wiser_fhir.sandbox.tenant import Tenant
from wiser_fhir.settings import SANDBOX_PREFIX, Settings, SettingsError
from wiser_fhir.web import operations
from wiser_fhir.web.application import Look, application
from wiser_fhir.web.discovery import metadata_router

PATHS: Mapping[Line, str] = {"2.2": "/fhir", "2.0": "/v2.0/fhir"}
_AUDIT_KEY_BYTES = 32


@dataclass(frozen=True, slots=True)
class Database:
    """How to reach the database, by role. The owner's URL only where it is known."""

    app: str
    owner: str | None


def create_app(settings: Settings, clock: Clock = utc_now) -> FastAPI:
    """The application: nothing is opened before its lifespan begins.

    Raises SettingsError for settings that its mode refuses. The lifespan raises NotReady,
    EmbeddedError, Unavailable, CatalogueError.
    """
    settings.check_mode()
    reject_reasons(settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        loading = asyncio.create_task(asyncio.to_thread(_load_data))
        async with opened(settings) as database:
            catalogue, validators = await loading
            engine = create_engine(database.app, pool_size=settings.database_pool)
            egress = Egress(settings.sandbox_hosts)
            try:
                async with transaction(engine) as db:
                    await migrate.check_mode(db, settings.mode)
                    await migrate.check_application_role(db)
                tools = _Tools(settings, clock, engine, egress, catalogue, validators)
                _furnish(app, tools)
                yield
            finally:
                await egress.aclose()
                await engine.dispose()

    pas = [(PATHS[line], router_for(line)) for line in LINES]
    published = [(PATHS[line], conformance_routes.router_for(line)) for line in LINES]
    forms = [(PATHS[line], dtr.router_for(line)) for line in LINES]
    metadata = [(PATHS[line], metadata_router(f"metadata-{line}")) for line in LINES]
    look = Look(
        protected=tuple(f"{path}/" for path in PATHS.values()),
        docs=settings.sandbox,
        https=(settings.public_url or "").startswith("https:"),
        log_level=settings.log_level,
    )
    pages = preview.router(lambda r: r.app.state.forms, clock, open_to_all=settings.sandbox)
    others = [("", operations.router), ("", crd.router()), ("", pages)]
    app = application(lifespan, [*metadata, *pas, *forms, *published, *others], look)
    for path, files in preview.static_files().items():
        app.mount(path, files)
    return app


def _load_data() -> tuple[Catalogue, Mapping[Line, GuideValidator]]:
    return Catalogue.load(), {line: _ready_validator(line) for line in LINES}


def _ready_validator(line: Line) -> GuideValidator:
    """A validator that has seen a request, so that the first one need not wait for its making."""
    validator = GuideValidator.load(line)
    example = orjson.loads(resource_path(f"examples/{line}/epidural-affirmed.json").read_bytes())
    validator.accepts(example, REQUEST_BUNDLE)
    return validator


@dataclass(frozen=True, slots=True)
class _Tools:
    """What everything on `app.state` is made from."""

    settings: Settings
    clock: Clock
    engine: AsyncEngine
    egress: Egress
    catalogue: Catalogue
    validators: Mapping[Line, GuideValidator]


def _furnish(app: FastAPI, tools: _Tools) -> None:
    """Put on `app.state` what the routes ask for."""
    settings, engine, clock = tools.settings, tools.engine, tools.clock
    state = app.state
    state.public_url = settings.public_url
    state.engine = engine
    state.authenticator = Authenticator(engine, clock)
    state.cds_authenticator = CdsAuthenticator(engine, clock, tools.egress)
    state.recorder = Recorder(engine, audit_key(settings))
    known = registry(settings)
    decider = Decider(tools.catalogue, known, policy(settings), utn_source(settings))
    service = PriorAuthService(engine, decider, state.recorder, clock)
    reasons = reject_reasons(settings)
    state.pas = {
        line: PasDoor(
            line=line,
            validator=tools.validators[line],
            renderer=Renderer(line, f"{settings.public_url}{PATHS[line]}", reasons),
            service=service,
            clock=clock,
        )
        for line in LINES
    }
    bases = {line: f"{settings.public_url}{PATHS[line]}" for line in LINES}
    state.forms = Forms.load(tools.catalogue, bases)
    log = ErrorLog(engine)
    state.publications = {
        line: Publications.of(line, bases[line], state.forms, tools.catalogue, log, clock)
        for line in LINES
    }
    sound = {line: soundness(validator) for line, validator in tools.validators.items()}
    state.dtr = {
        line: DtrDoor(
            line=line,
            forms=state.forms,
            catalogue=tools.catalogue,
            packages=Packages(line, bases[line]),
            soundness=sound[line],
            ledger=Ledger(engine),
            cases=service,
            registry=known,
            recorder=state.recorder,
            clock=clock,
        )
        for line in LINES
    }
    state.crd = CrdDoor(
        catalogue=tools.catalogue,
        registry=known,
        served_states=frozenset(settings.states),
        soundness=sound,
        engine=engine,
        ledger=Ledger(engine),
        egress=tools.egress,
        recorder=state.recorder,
        clock=clock,
        suite=SuiteCards.load() if settings.sandbox else no_suite,
    )


def utn_source(settings: Settings) -> UtnSource:
    """Who gives numbers. There is one source yet; `check_mode` has seen to its prefix."""
    return LocalUtnSource(SANDBOX_PREFIX if settings.sandbox else settings.utn_prefix or "")


def reject_reasons(settings: Settings) -> RejectReasons:
    """From our reasons to the codes of X12. Raises SettingsError for a file that does not say."""
    try:
        return RejectReasons.load(settings.reject_reasons)
    except (AttributeError, TypeError, ValueError) as fault:
        raise SettingsError(f"WISER_REJECT_REASONS: {fault}") from fault


def policy(settings: Settings) -> Policy:
    """What the operator decided, with what the mode decides where nothing was said."""
    return Policy(
        served_states=frozenset(settings.states),
        auto_affirm=settings.affirms_by_software,
        require_reviewed=not settings.sandbox,
    )


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Database]:
    """The database of these settings. A sandbox starts its own, migrates it and seeds the tenant.

    Raises NotReady, EmbeddedError, Unavailable.
    """
    if settings.database_url is not None:
        database = Database(settings.database_url.get_secret_value(), owner_url(settings))
        if settings.sandbox and database.owner is not None:
            await _prepare_sandbox(database.owner, settings)
        yield database
        return
    server = await asyncio.to_thread(Embedded.start, settings.data_dir)
    try:
        urls = server.urls()
        await _prepare_sandbox(urls.owner, settings)
        yield Database(urls.app, urls.owner)
    finally:
        await asyncio.to_thread(server.stop)


def owner_url(settings: Settings) -> str | None:
    """The owner role's URL, if it was given."""
    url = settings.database_owner_url
    return None if url is None else url.get_secret_value()


async def _prepare_sandbox(url: str, settings: Settings) -> None:
    tenant = Tenant.load()
    jwks = ehr.public_keys(ehr_key(settings))
    await migrate.upgrade(url, "sandbox")
    engine = create_engine(url, pool_size=1)
    try:
        async with transaction(engine) as db:
            await tenant.seed(db)
            await tenant.seed_cds_clients(db, jwks, settings.sandbox_hosts)
    finally:
        await engine.dispose()


def registry(settings: Settings) -> Registry:
    """What is known of people beyond a request: a file, the sandbox's, or nothing."""
    if settings.registry is not None:
        return InMemoryRegistry.load(settings.registry)
    if settings.sandbox:
        return InMemoryRegistry.of(Tenant.load().registry)
    return InMemoryRegistry()


def audit_key(settings: Settings) -> bytes:
    """The key that stands between the audit trail and a beneficiary's number."""
    if settings.audit_key is not None:
        return settings.audit_key.get_secret_value()
    return _kept_key(settings.data_dir / "audit.key", lambda: secrets.token_bytes(_AUDIT_KEY_BYTES))


def ehr_key(settings: Settings) -> bytes:
    """The private key of the sandbox's EHR, as PEM."""
    return _kept_key(settings.data_dir / "sandbox-ehr.key", ehr.new_key)


def _kept_key(file: Path, new_key: Callable[[], bytes]) -> bytes:
    """The key in a file that is made where missing; of two commands at once one makes it."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not file.exists():
        new = file.with_name(f"{file.name}.{os.getpid()}")
        new.touch(mode=0o600)
        new.write_bytes(new_key())
        try:
            file.hardlink_to(new)
        except FileExistsError:
            pass
        finally:
            new.unlink()
    return file.read_bytes()
