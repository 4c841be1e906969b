"""Builds the application from the settings and owns what lives as long as it: the lifespan."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import orjson
from fastapi import APIRouter, FastAPI
from sqlalchemy.ext.asyncio import AsyncEngine

from wiser_fhir.audit.audit_event import AuditEvents
from wiser_fhir.audit.recorder import Recorder
from wiser_fhir.audit.startup import record_start
from wiser_fhir.audit.trail import AuditTrail
from wiser_fhir.auth.assertion import ClientAssertions
from wiser_fhir.auth.cds_jwt import CdsAuthenticator
from wiser_fhir.auth.issuer import Issuer
from wiser_fhir.auth.keys import JwksCache
from wiser_fhir.auth.oidc import RelyingParty
from wiser_fhir.auth.people import PersonAuthenticator
from wiser_fhir.auth.revoked_certificates import RevokedCertificates
from wiser_fhir.auth.sessions import Sessions
from wiser_fhir.auth.tokens import Authenticator
from wiser_fhir.casework import Casework
from wiser_fhir.claims import routes as claims
from wiser_fhir.clock import Clock, utc_now
from wiser_fhir.coverage.catalogue import Catalogue
from wiser_fhir.crd import routes as crd
from wiser_fhir.crd.door import CrdDoor
from wiser_fhir.crd.response import no_suite
from wiser_fhir.db import migrate
from wiser_fhir.db.engine import transaction
from wiser_fhir.deployment.addresses import PATHS, base_urls, public_origin
from wiser_fhir.deployment.checks import check_mode
from wiser_fhir.deployment.database import Database, opened
from wiser_fhir.deployment.issuers import (
    authenticators,
    other_issuer,
    people_party,
    people_provider,
    sandbox_issuer,
    udap,
)
from wiser_fhir.deployment.keys import audit_key, audit_keys_before, settings_digest
from wiser_fhir.deployment.policies import decision_reasons, registry, reject_reasons
from wiser_fhir.dtr import conformance_routes, preview
from wiser_fhir.dtr import routes as dtr
from wiser_fhir.dtr.door import DtrDoor
from wiser_fhir.dtr.error_log import ErrorLog
from wiser_fhir.dtr.forms import Forms
from wiser_fhir.dtr.package import Packages
from wiser_fhir.dtr.published import Publications
from wiser_fhir.egress.client import Egress
from wiser_fhir.egress.tls import outgoing
from wiser_fhir.fhir.codes import LINES, REQUEST_BUNDLE, Line
from wiser_fhir.fhir.validation.validator import GuideValidator
from wiser_fhir.intake.soundness import soundness
from wiser_fhir.jobs import Job, work
from wiser_fhir.oauth import discovery as oauth_discovery
from wiser_fhir.oauth import external_discovery, udap_discovery, udap_routes
from wiser_fhir.oauth import routes as oauth
from wiser_fhir.oauth.endpoints import Endpoints
from wiser_fhir.oauth.server import AuthorizationServer
from wiser_fhir.oauth.udap_door import UdapDoor
from wiser_fhir.pas import information_routes, subscription_routes
from wiser_fhir.pas.notices import Notices
from wiser_fhir.pas.reading import PasReading
from wiser_fhir.pas.routes import PasDoor, router_for
from wiser_fhir.pas.subscription import Place
from wiser_fhir.pas.subscription_service import SubscriptionService
from wiser_fhir.priorauth.attachments import AttachmentService
from wiser_fhir.priorauth.claims import ClaimService
from wiser_fhir.priorauth.exemption_list import ExemptionList, ListedRegistry
from wiser_fhir.priorauth.information_reading import InformationReader
from wiser_fhir.priorauth.ledger import Ledger
from wiser_fhir.priorauth.prepayment_reviews import PrepaymentReviews
from wiser_fhir.priorauth.registry import Registry
from wiser_fhir.resources import resource_path
from wiser_fhir.review import audit_routes, prepayment_routes
from wiser_fhir.review import routes as review
from wiser_fhir.review.door import ReviewDoor
from wiser_fhir.sandbox import issuer_routes
from wiser_fhir.sandbox.suite import SuiteCards
from wiser_fhir.settings import Settings
from wiser_fhir.sign_in import routes as sign_in
from wiser_fhir.sign_in.door import SignInDoor
from wiser_fhir.web import operations
from wiser_fhir.web.application import Look, application, installed_version
from wiser_fhir.web.connection import Trust
from wiser_fhir.web.discovery import metadata_router
from wiser_fhir.web.limits import CallerLimits, Limits, MissBudget, StrangerLimits
from wiser_fhir.web.session_cookie import Cookies
from wiser_fhir.work import SECOND, work_of


def create_app(settings: Settings, clock: Clock = utc_now, *, works: bool = False) -> FastAPI:
    """The application: nothing is opened before its lifespan begins.

    `works`: it does the jobs of a worker beside, as a sandbox may that is a single process.

    Raises SettingsError for settings that its mode refuses. The lifespan raises NotReady,
    EmbeddedError, Unavailable, CatalogueError.
    """
    check_mode(settings)
    reject_reasons(settings)
    decision_reasons(settings)
    people_provider(settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        loading = asyncio.create_task(asyncio.to_thread(_load_data))
        async with opened(settings) as database:
            catalogue, validators = await loading
            engine = database.engine(pool_size=settings.database_pool)
            egress = Egress(settings.sandbox_hosts, tls=outgoing(settings.egress_ca))
            try:
                async with transaction(engine) as db:
                    await migrate.check_mode(db, settings.mode)
                    await migrate.check_application_role(db)
                    digest = settings_digest(settings)
                    await record_start(db, "server", digest, installed_version())
                revoked = RevokedCertificates(engine)
                async with (
                    _kept_up(ExemptionList(engine), revoked) as exempt,
                    other_issuer(settings) as other,
                    people_party(settings, clock) as party,
                ):
                    app.state.trust = Trust(revoked, frozenset(settings.tls_proxy_certificates))
                    known = ListedRegistry(registry(settings), exempt)
                    tools = _Tools(settings, clock, engine, egress, catalogue, validators, known)
                    _furnish(app, tools, other)
                    _let_people_in(app, tools, party)
                    async with _working(settings, database, clock, works=works):
                        yield
            finally:
                await egress.aclose()
                await engine.dispose()

    pas = [(PATHS[line], router_for(line)) for line in LINES]
    asking = [(PATHS[line], information_routes.router_for(line)) for line in LINES]
    telling = [(PATHS[line], subscription_routes.router_for(line)) for line in LINES]
    published = [(PATHS[line], conformance_routes.router_for(line)) for line in LINES]
    forms = [(PATHS[line], dtr.router_for(line)) for line in LINES]
    metadata = [(PATHS[line], metadata_router(f"metadata-{line}")) for line in LINES]
    authorization = _authorization(settings)
    look = Look(
        protected=tuple(f"{path}/" for path in PATHS.values()),
        people=(f"{review.PATH}/",),
        docs=settings.sandbox,
        https=(settings.public_url or "").startswith("https:"),
        log_level=settings.log_level,
    )
    pages = preview.router(lambda r: r.app.state.forms, clock, open_to_all=settings.sandbox)
    reviews = [("", prepayment_routes.router), ("", audit_routes.router), ("", review.router)]
    others = [("", operations.router), ("", crd.router()), ("", claims.router), ("", pages)]
    fhir = [*metadata, *pas, *asking, *telling, *forms, *published]
    routers = [*fhir, *authorization, *_sign_in(settings, clock), *reviews, *others]
    app = application(lifespan, routers, look)
    for path, files in preview.static_files().items():
        app.mount(path, files)
    return app


def _authorization(settings: Settings) -> list[tuple[str, APIRouter]]:
    """The authorization server, or where another is found instead."""
    smart = oauth_discovery.smart_router
    if settings.auth_mode == "external":
        told = external_discovery.smart_configuration
        return [(path, smart(f"smart-{n}", told, (503,))) for n, path in PATHS.items()]
    by_udap = [(path, udap_discovery.router_for(path)) for path in PATHS.values()]
    by_udap += [("", udap_routes.router), ("", udap_discovery.crl_router())]
    told = oauth_discovery.smart_configuration
    by_smart = [(path, smart(f"smart-{n}", told)) for n, path in PATHS.items()]
    return [*by_smart, ("", oauth_discovery.server_router()), ("", oauth.router), *by_udap]


def _sign_in(settings: Settings, clock: Clock) -> list[tuple[str, APIRouter]]:
    """Where people sign in; a sandbox may be the provider itself."""
    issuer = sandbox_issuer(settings, clock)
    own = [] if issuer is None else [("", issuer_routes.router(issuer))]
    return [("", sign_in.router), *own]


def _udap_door(tools: "_Tools", recorder: Recorder, trust: Trust) -> UdapDoor | None:
    """Where systems register by UDAP, if they may here."""
    found = udap(tools.settings, tools.clock)
    if found is None:
        return None
    origin, denied = public_origin(tools.settings), trust.revoked.names
    return UdapDoor.of(found, origin, tools.engine, recorder, tools.clock, denied)


def _let_people_in(app: FastAPI, tools: "_Tools", party: RelyingParty | None) -> None:
    """Put on `app.state` what signing in, and being signed in, take."""
    state, engine, clock = app.state, tools.engine, tools.clock
    state.cookies = Cookies(public_origin(tools.settings))
    state.sessions = Sessions(engine, clock)
    state.sign_in = party and SignInDoor(party, engine, state.recorder, clock)


@asynccontextmanager
async def _working(
    settings: Settings, database: Database, clock: Clock, *, works: bool
) -> AsyncIterator[None]:
    """The jobs of a deployment, done for as long as the block lasts."""
    if not works:
        yield
        return
    stop = asyncio.Event()
    async with work_of(settings, database, clock) as found:
        working = asyncio.create_task(work(found, stop))
        try:
            yield
        finally:
            stop.set()
            await working


@asynccontextmanager
async def _kept_up(
    exempt: ExemptionList, revoked: RevokedCertificates
) -> AsyncIterator[ExemptionList]:
    """The list of exempt providers, and that of revoked certificates, at most a second behind the
    database's.
    """
    await exempt.refresh()
    await revoked.refresh()
    stop = asyncio.Event()
    lists = [
        Job("exemptions", SECOND, exempt.refresh),
        Job("revoked-certificates", SECOND, revoked.refresh),
    ]
    refreshing = asyncio.create_task(work(lists, stop))
    try:
        yield exempt
    finally:
        stop.set()
        await refreshing


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
    registry: Registry


def _furnish(app: FastAPI, tools: _Tools, other: Issuer | None) -> None:
    """Put on `app.state` what the routes ask for."""
    settings, engine, clock = tools.settings, tools.engine, tools.clock
    state = app.state
    state.public_url = settings.public_url
    callers = CallerLimits(settings.caller_requests, settings.caller_rate)
    state.limits = Limits(callers, StrangerLimits(settings.stranger_rate), MissBudget())
    state.engine = engine
    embedded = Authenticator(engine, clock)
    state.authenticator = authenticators(settings, engine, clock, embedded, other)
    state.other_issuer = other
    state.people = PersonAuthenticator(engine, clock)
    state.cds_authenticator = CdsAuthenticator(engine, clock, tools.egress)
    known = tools.registry
    work_on = Casework.of(settings, clock, engine, tools.catalogue, known)
    state.recorder, service = work_on.recorder, work_on.service
    door = state.udap = _udap_door(tools, state.recorder, state.trust)
    by_certificate = None if door is None else door.clients
    state.oauth = AuthorizationServer(
        engine=engine,
        recorder=work_on.recorder,
        assertions=ClientAssertions(engine, clock, JwksCache(tools.egress), by_certificate),
        endpoints=Endpoints(public_origin(settings), settings.mtls_url, registers=door is not None),
        clock=clock,
        forget=embedded.forget,
        unbound=settings.sandbox,
    )
    state.review = ReviewDoor.of(work_on.desk, PasReading())
    trail = AuditTrail(engine, (audit_key(settings), *audit_keys_before(settings)))
    state.audit = audit_routes.AuditDoor(trail, AuditEvents(public_origin(settings)))
    state.prepayment = PrepaymentReviews(engine, work_on.recorder, clock)
    claims_service = ClaimService(engine, tools.catalogue, known, state.recorder, clock)
    state.claims = claims.ClaimDoor(claims_service, state.prepayment)
    state.pas = {
        line: PasDoor(
            line=line,
            validator=tools.validators[line],
            renderer=work_on.renderers[line],
            service=service,
            updates=work_on.updates,
            clock=clock,
        )
        for line in LINES
    }
    bases = base_urls(settings)
    state.information = {
        line: information_routes.InformationDoor(
            line=line,
            base_url=bases[line],
            validator=tools.validators[line],
            attachments=AttachmentService(engine, state.recorder),
            reader=InformationReader(engine, work_on.recorder),
            clock=clock,
        )
        for line in LINES
    }
    state.forms = Forms.load(tools.catalogue, bases)
    state.subscriptions = {
        line: subscription_routes.SubscriptionDoor(
            SubscriptionService(
                engine=engine,
                recorder=work_on.recorder,
                validator=tools.validators[line],
                place=Place(line, bases[line]),
                clock=clock,
                origins=settings.sandbox_hosts,
            ),
            Notices(),
            clock,
        )
        for line in LINES
    }
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
