"""Which jobs a deployment has. The worker does them; a sandbox that serves does them beside."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncEngine

from wiser_fhir.audit.recorder import Recorder
from wiser_fhir.auth import cds_jwt, people, tokens
from wiser_fhir.casework import Casework
from wiser_fhir.clock import Clock
from wiser_fhir.coverage.catalogue import Catalogue
from wiser_fhir.db.engine import create_engine, transaction
from wiser_fhir.deployment import (
    Database,
    audit_key,
    registry,
    scanner,
    secrets_key,
    utn_source,
)
from wiser_fhir.egress.client import Egress
from wiser_fhir.jobs import Job
from wiser_fhir.notify.sealing import Sealer
from wiser_fhir.notify.sender import Sender
from wiser_fhir.pas.notices import Notices, Trail
from wiser_fhir.pas.reading import PasReading
from wiser_fhir.priorauth.clearing import Clearing
from wiser_fhir.priorauth.clocks import escalate
from wiser_fhir.priorauth.document_checks import DocumentChecks
from wiser_fhir.priorauth.exemption import Terms
from wiser_fhir.priorauth.exemption_assessment import ExemptionAssessment
from wiser_fhir.priorauth.prepayment_life import PrepaymentLife
from wiser_fhir.priorauth.utn_life import SourceExchange, UtnLife
from wiser_fhir.settings import Settings

SECOND = 1.0
MINUTE = 60.0
_SENDER_CONNECTIONS = 4
_CONNECTIONS = 3
# A token is kept a day after its end, so that who asks why it was refused can be told.
_TOKENS_KEPT = timedelta(days=1)
# A JWT only until it is over by every server's clock: there may be one for each hook call.
_JWTS_KEPT = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Purge:
    """Forgets tokens and CDS Hooks JWTs that ended. Only the owner role may."""

    owner: AsyncEngine
    clock: Clock

    async def __call__(self) -> int:
        """How many were forgotten. Raises Unavailable."""
        async with transaction(self.owner) as db:
            ended = await tokens.purge(db, self.clock() - _TOKENS_KEPT)
            ended += await people.purge(db, self.clock() - _TOKENS_KEPT)
            return ended + await cds_jwt.purge(db, self.clock() - _JWTS_KEPT)


@asynccontextmanager
async def _sending(settings: Settings, database: Database, clock: Clock) -> AsyncIterator[Sender]:
    """What tells subscribers. Its connections are its own: no other job makes it wait."""
    engine = create_engine(database.app, pool_size=_SENDER_CONNECTIONS)
    egress = Egress(settings.sandbox_hosts)
    sealer = Sealer(secrets_key(settings))
    origins = settings.sandbox_hosts
    trail = Trail(Recorder(engine, audit_key(settings)))
    sender = Sender(engine, egress, sealer, Notices(), trail, clock, origins=origins)
    try:
        yield sender
    finally:
        await sender.aclose()
        await egress.aclose()
        await engine.dispose()


def _assessment(
    settings: Settings, clock: Clock, engine: AsyncEngine, catalogue: Catalogue
) -> ExemptionAssessment:
    """Who earns an exemption, if the operator says what it takes."""
    rules, rate = catalogue.process.exemption, settings.exemption_rate
    terms = None if rate is None else Terms.of(rate, rules)
    return ExemptionAssessment(engine, clock, rules, terms)


def _case_jobs(settings: Settings, clock: Clock, engine: AsyncEngine) -> Iterator[Job]:
    """What there is to do about cases and claims."""
    catalogue = Catalogue.load()
    work_on = Casework.of(settings, clock, engine, catalogue, registry(settings))
    answers = work_on.answers
    exchange = SourceExchange(utn_source(settings))
    numbers = UtnLife(engine, clock, exchange, answers, catalogue.process.utn)
    claims = PrepaymentLife(engine, clock, catalogue.process.timeframes)
    leads = work_on.desk.leads
    clearing = Clearing(engine, work_on.recorder, answers, clock, scanner(settings))
    checks = DocumentChecks(engine, PasReading(), clock, scanner(settings))
    yield Job("clear-attachments", SECOND, clearing.run)
    yield Job("check-documents", SECOND, checks.run)
    yield Job("assign-utns", SECOND, numbers.assign)
    yield Job("expire-utns", MINUTE, numbers.expire)
    yield Job("escalate", MINUTE, lambda: escalate(engine, clock, leads))
    yield Job("match-claim-documents", MINUTE, claims.match_documents)
    yield Job("prepayment", MINUTE, claims.move_on)
    yield Job("assess-exemptions", MINUTE, _assessment(settings, clock, engine, catalogue))
    if work_on.stage is not None:
        yield Job("scripted-answers", SECOND, work_on.stage)


@asynccontextmanager
async def work_of(settings: Settings, database: Database, clock: Clock) -> AsyncIterator[list[Job]]:
    """The jobs of a deployment, with what they work with for as long as they do."""
    engine = create_engine(database.app, pool_size=_CONNECTIONS)
    owner = create_engine(database.owner, pool_size=1) if database.owner else None
    found = list(_case_jobs(settings, clock, engine))
    if owner is not None:
        found.append(Job("purge-tokens", MINUTE, Purge(owner, clock)))
    try:
        async with _sending(settings, database, clock) as sender:
            found.append(Job("notify", SECOND, sender.deliver_due))
            yield found
    finally:
        await engine.dispose()
        if owner is not None:
            await owner.dispose()
