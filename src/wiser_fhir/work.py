"""Which jobs a deployment has. The worker does them; a sandbox that serves does them beside."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from sqlalchemy.ext.asyncio import AsyncEngine

from wiser_fhir.audit.checkpoints import CheckpointWriter
from wiser_fhir.audit.decisions import all_changed
from wiser_fhir.audit.inspection import Inspection
from wiser_fhir.audit.recorder import Recorder
from wiser_fhir.audit.sealing import TrailSealer, head_of
from wiser_fhir.audit.verifying import UNSEALED_FOR, Verifier
from wiser_fhir.auth import assertion, cds_jwt, people, sessions, tokens
from wiser_fhir.auth.udap_lists import ListsKeptNew
from wiser_fhir.casework import Casework
from wiser_fhir.clock import Clock
from wiser_fhir.coverage.catalogue import Catalogue
from wiser_fhir.db.engine import transaction
from wiser_fhir.deployment.database import Database
from wiser_fhir.deployment.issuers import sandbox_community
from wiser_fhir.deployment.keys import (
    audit_key,
    chain_keys,
    checkpoint_folder,
    checkpoint_keys,
    decision_keys,
)
from wiser_fhir.deployment.policies import registry, scanner, utn_source
from wiser_fhir.egress.client import Egress
from wiser_fhir.egress.crl import CrlEgress
from wiser_fhir.egress.tls import outgoing
from wiser_fhir.jobs import Job
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
HOUR = 3_600.0
_SENDER_CONNECTIONS = 4
_CONNECTIONS = 3
_CATCHING_UP_SECONDS = 60
# A token is kept a day after its end, so that who asks why it was refused can be told.
_TOKENS_KEPT = timedelta(days=1)
# A JWT only until it is over by every server's clock: there may be one for each hook call.
_JWTS_KEPT = timedelta(hours=1)
_PURGED = (
    *((each.purge, _TOKENS_KEPT) for each in (tokens, people, sessions)),
    *((each.purge, _JWTS_KEPT) for each in (assertion, cds_jwt)),
)


@dataclass(frozen=True, slots=True)
class Purge:
    """Forgets tokens and JWTs of clients that ended. Only the owner role may.

    Some thousand of each kind at a time: what has piled up goes in as many turns as it takes.
    """

    owner: AsyncEngine
    clock: Clock

    async def __call__(self) -> int:
        """How many were forgotten. Raises Unavailable."""
        ended = 0
        for purge, kept in _PURGED:
            async with transaction(self.owner) as db:
                ended += await purge(db, self.clock() - kept)
        return ended


@asynccontextmanager
async def _sending(settings: Settings, database: Database, clock: Clock) -> AsyncIterator[Sender]:
    """What tells subscribers. Its connections are its own: no other job makes it wait."""
    engine = database.engine(pool_size=_SENDER_CONNECTIONS)
    tls = outgoing(settings.egress_ca, settings.client_certificate)
    egress = Egress(settings.sandbox_hosts, tls=tls)
    origins = settings.sandbox_hosts
    trail = Trail(Recorder(engine, audit_key(settings)))
    sender = Sender(engine, egress, Notices(), trail, clock, origins=origins)
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


def _sealing_jobs(settings: Settings, clock: Clock, engine: AsyncEngine) -> list[Job]:
    """What keeps the audit trail sealed, in the order that is right at the end of a worker."""
    found = [Job("seal-audit", SECOND, TrailSealer(engine, chain_keys(settings), clock))]
    keys, folder = checkpoint_keys(settings), checkpoint_folder(settings)
    if keys is not None and keys.signing is not None and folder is not None:
        writer = CheckpointWriter(engine, folder, keys.signing, clock)
        found.append(Job("write-checkpoint", HOUR, writer))
    return found


@asynccontextmanager
async def _trusting(settings: Settings, clock: Clock) -> AsyncIterator[list[Job]]:
    """What keeps lists of revoked certificates new, for UDAP."""
    found = []
    if settings.sandbox:
        found.append(Job("renew-sandbox-crl", HOUR, sandbox_community(settings, clock).renew))
    if settings.udap_crls is None or not settings.udap_crl_urls:
        yield found
        return
    places = CrlEgress(settings.udap_crl_urls, near=settings.sandbox)
    lists = ListsKeptNew(settings.udap_crls, settings.udap_crl_urls, places, clock)
    try:
        yield [*found, Job("get-crls", HOUR, lists)]
    finally:
        await places.aclose()


async def _seal_the_last(sealing: list[Job]) -> None:
    """All that the worker has left unsealed, and a checkpoint behind it."""
    for job in sealing:
        while await job.once():
            pass


async def _catch_up(engine: AsyncEngine, clock: Clock, sealing: list[Job]) -> None:
    """Seal and vouch for what a worker left that was killed: it may be old by now.

    It waits a minute at most for another worker that seals.
    """
    for _ in range(_CATCHING_UP_SECONDS):
        await _seal_the_last(sealing)
        if (await head_of(engine)).lag(clock()) < UNSEALED_FOR.total_seconds():
            return
        await asyncio.sleep(1)


@asynccontextmanager
async def _inspecting(
    settings: Settings,
    clock: Clock,
    database: Database,
    caught_up: Callable[[], Awaitable[None]],
) -> AsyncIterator[list[Job]]:
    """What looks at the audit trail every day: only the owner role sees all of it. Its connection
    is its own, for it is long at work.
    """
    owner = database.owner_engine()
    if owner is None:
        yield []
        return
    folder, signers = checkpoint_folder(settings), checkpoint_keys(settings)
    changed = partial(all_changed, owner, decision_keys(settings), settings.sandbox)
    verifier = Verifier(owner, chain_keys(settings), clock, folder, signers)
    inspection = Inspection(verifier, changed)

    async def look() -> int:
        await caught_up()
        return await inspection.daily()

    try:
        yield [Job("verify-audit", HOUR, look)]
    finally:
        await owner.dispose()


@asynccontextmanager
async def work_of(settings: Settings, database: Database, clock: Clock) -> AsyncIterator[list[Job]]:
    """The jobs of a deployment, with what they work with for as long as they do."""
    engine = database.engine(pool_size=_CONNECTIONS)
    owner = database.owner_engine()
    sealing = _sealing_jobs(settings, clock, engine)
    catch_up = partial(_catch_up, engine, clock, sealing)
    found = [*_case_jobs(settings, clock, engine), *sealing]
    if owner is not None:
        found.append(Job("purge-tokens", MINUTE, Purge(owner, clock)))
    try:
        async with (
            _sending(settings, database, clock) as sender,
            _inspecting(settings, clock, database, catch_up) as inspecting,
            _trusting(settings, clock) as trusting,
        ):
            found += [Job("notify", SECOND, sender.deliver_due), *inspecting, *trusting]
            yield found
        await _seal_the_last(sealing)
    finally:
        await engine.dispose()
        if owner is not None:
            await owner.dispose()
