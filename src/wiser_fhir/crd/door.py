"""The CRD door: one hook call in, one answer out, and a record of both."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

import orjson
from sqlalchemy.ext.asyncio import AsyncEngine

from wiser_fhir import exact
from wiser_fhir.audit.recorder import AuditRow, Recorder
from wiser_fhir.auth.cds_jwt import CdsCaller
from wiser_fhir.clock import Clock, business_date
from wiser_fhir.coverage.catalogue import Catalogue
from wiser_fhir.crd.assertion import assertion
from wiser_fhir.crd.card_table import card_table
from wiser_fhir.crd.cards import Occasion
from wiser_fhir.crd.chart import Chart
from wiser_fhir.crd.configuration import Configuration
from wiser_fhir.crd.coverage_information import assertion_id
from wiser_fhir.crd.gather import Gathered, gather
from wiser_fhir.crd.hook_request import HookRequest, read_hook_request, read_line
from wiser_fhir.crd.orders import Ask, FocalCoverage, NoCoverage, Unusable, asks, focal_coverage
from wiser_fhir.crd.record import Invocation, answered_call, assertion_record, refused_call
from wiser_fhir.crd.response import (
    Answered,
    OrderAnswer,
    Suite,
    respond,
    unanswered,
    without_coverage,
)
from wiser_fhir.egress.client import Egress
from wiser_fhir.errors import InvalidResource, Malformed, Problem, ProfileViolation, WiserError
from wiser_fhir.fhir.codes import Line
from wiser_fhir.fhir.elements import Json
from wiser_fhir.intake.soundness import Soundness
from wiser_fhir.priorauth.foresee import Foreseen, after_failed_fetch, foresee
from wiser_fhir.priorauth.ledger import AssertionRecord, Feedback, Ledger
from wiser_fhir.priorauth.models import ItemRole, Submission
from wiser_fhir.priorauth.numbers import time_ordered_uuid
from wiser_fhir.priorauth.outlook import is_procedure
from wiser_fhir.priorauth.registry import Registry
from wiser_fhir.priorauth.standing import Standing, standing
from wiser_fhir.web.errors import STATUS
from wiser_fhir.web.outcome import operation_outcome

# What can be for something done. The rest is for things, messages and food.
_OF_PROCEDURES = frozenset({"ServiceRequest", "Appointment", "Encounter"})


@dataclass(frozen=True, slots=True)
class _Reading:
    """A call as understood: the orders that can be answered, and those that cannot."""

    call: Invocation
    request: HookRequest
    chart: Chart
    gathered: Gathered
    coverage: FocalCoverage
    asks: tuple[Ask, ...]
    unusable: tuple[Unusable, ...]


@dataclass(frozen=True)
class CrdDoor:
    """What the hook services work with."""

    catalogue: Catalogue
    registry: Registry
    served_states: frozenset[str]
    soundness: Mapping[Line, Soundness]
    engine: AsyncEngine
    ledger: Ledger
    egress: Egress
    recorder: Recorder
    clock: Clock
    suite: Suite

    async def answer(self, call: Invocation) -> bytes:
        """The answer to a hook call, kept with it before it leaves. A refusal is kept too.

        Raises Malformed, InvalidResource, ProfileViolation, Unavailable.
        Source: CRD 2.2.1 §hook-13, §found-37.
        """
        try:
            return await self._answer(call)
        except (Malformed, InvalidResource, ProfileViolation) as refusal:
            await self._keep_refusal(call, refusal)
            raise

    async def _answer(self, call: Invocation) -> bytes:
        """Source: CRD 2.2.1 §hook-16, §found-34."""
        request = read_hook_request(call.parsed, call.hook)
        chart = Chart.of(request)
        gathered = await gather(
            *(request, chart, self.egress),
            fhir_servers=call.caller.fhir_servers,
            tenant=call.organization_id,
        )
        try:
            coverage = focal_coverage(chart, gathered, business_date(call.received_at))
        except NoCoverage as lack:
            answered = _without_coverage(request, lack)
            return await self._kept(call, request, gathered, answered, None)
        reading = self._read(call, request, chart, gathered, coverage)
        answered = await self._answered(reading)
        return await self._kept(call, request, gathered, answered, reading)

    async def keep_feedback(
        self,
        caller: CdsCaller,
        request_id: UUID,
        service_id: str,
        body: bytes,
        entries: Sequence[Feedback],
    ) -> None:
        """Keep what became of cards. Raises NotFound for one that was never shown, Unavailable."""
        organization_id = caller.principal.organization_id
        audit = AuditRow(
            request_id=request_id,
            action="cds-hooks.feedback",
            outcome="kept",
            organization_id=organization_id,
            client_id=caller.principal.client_id,
            detail={"service": service_id, "entries": len(entries)},
        )
        await self.ledger.feedback(organization_id, service_id, body, entries, audit)

    def _read(
        self,
        call: Invocation,
        request: HookRequest,
        chart: Chart,
        gathered: Gathered,
        coverage: FocalCoverage,
    ) -> _Reading:
        """Raises InvalidResource (2.2) or ProfileViolation where nothing asked about is valid.

        What only could not be had is done without. Source: CRD 2.2.1 §found-32, §hook-13.
        """
        found, unusable = asks(
            *(request, chart, coverage, self.catalogue),
            organization_id=call.organization_id,
            received_at=call.received_at,
            gathered=gathered,
            base_problems=self.soundness[request.line],
        )
        invalid = tuple(each for each in unusable if each.is_invalid)
        if invalid and not found:
            problems = [problem for each in invalid for problem in each.problems]
            # Source: CRD 2.0.1, "Hooks" (422 for what breaks FHIR); CRD 2.2.1 §hook-13 (400).
            refusal = InvalidResource if request.line == "2.2" else ProfileViolation
            raise refusal("Nothing that was asked about is valid FHIR R4.", problems)
        return _Reading(call, request, chart, gathered, coverage, found, unusable)

    async def _answered(self, reading: _Reading) -> Answered:
        call, request = reading.call, reading.request
        configuration = Configuration.read(request.configuration)
        held = await self._held(call, reading.asks)
        known = await self._known(call, reading.asks)
        answers = []
        for ask in filter(_can_be_answered, reading.asks):
            await asyncio.sleep(0)  # a call with hundreds of orders lets others have their turn
            foreseen = self._foreseen(reading, ask, held)
            said = assertion(
                foreseen,
                line=request.line,
                hook=request.hook,
                order=ask.reference,
                coverage=reading.coverage.reference,
                day=business_date(call.received_at),
                catalogue=self.catalogue,
                new_id=_new_id,
                assumptions=ask.assumptions,
                dependencies=_dependencies(ask, foreseen),
                asked=ask.submission,
                what_if=configuration.what_if,
            )
            ours = _is_ours(ask, reading.coverage, known)
            answers.append(OrderAnswer(said, ask.resource, ask.carried if ours else None))
        occasion = _occasion(reading)
        return respond(
            answers,
            occasion,
            configuration=configuration,
            catalogue=self.catalogue,
            suite=self.suite,
            unanswered=unanswered(reading.unusable),
        )

    def _foreseen(self, reading: _Reading, ask: Ask, held: Sequence[Standing]) -> Foreseen:
        foreseen = foresee(
            ask.submission,
            held,
            catalogue=self.catalogue,
            registry=self.registry,
            served_states=self.served_states,
            on=business_date(reading.call.received_at),
            excluded=ask.excluded,
            coverage_ended=ask.coverage_ended,
            of_procedure=ask.resource["resourceType"] in _OF_PROCEDURES,
        )
        return after_failed_fetch(foreseen) if ask.technical else foreseen

    async def _held(self, call: Invocation, found: Sequence[Ask]) -> tuple[Standing, ...]:
        """The beneficiary's cases. One call is about one beneficiary."""
        if not found:
            return ()
        asked = [ask.submission for ask in found]
        audit = self._audit(call, "cds-hooks.look-up", "asked", asked)
        npis = {party.npi for each in asked for party in each.parties if party.npi}
        mbi = asked[0].beneficiary.mbi
        return await standing(self.engine, call.organization_id, mbi, sorted(npis), audit)

    async def _known(self, call: Invocation, found: Sequence[Ask]) -> Mapping[str, AssertionRecord]:
        """What the orders carry of answers that were given to this organization, by their ids."""
        ids = [assertion_id(ask.carried) for ask in found if ask.carried is not None]
        told = [each for each in ids if each is not None]
        return await self.ledger.assertions(call.organization_id, told)

    async def _kept(
        self,
        call: Invocation,
        request: HookRequest,
        gathered: Gathered,
        answered: Answered,
        reading: _Reading | None,
    ) -> bytes:
        """The answer's bytes, once call, answer, assertions, cards and audit row are stored."""
        body = exact.dumps(answered.body)
        asked = [ask.submission for ask in reading.asks] if reading else []
        said = {action.order: action.assertion for action in answered.actions}
        patient = f"Patient/{request.patient_id}"
        records = [
            assertion_record(
                own, ask.submission, call.received_at, line=request.line, patient=patient
            )
            for ask in (reading.asks if reading else ())
            if (own := said.get(ask.reference)) is not None
        ]
        await self.ledger.record(
            call.organization_id,
            answered_call(call, request, gathered, body, self.clock()),
            records,
            answered.cards,
            self._audit(call, f"cds-hooks.{call.hook}", "answered", asked),
        )
        return body

    async def _keep_refusal(self, call: Invocation, refusal: WiserError) -> None:
        """The audit row of the refusal itself is written where it is answered."""
        body = orjson.dumps(operation_outcome(refusal.problems))
        status = STATUS[refusal.issue_code]
        kept = refused_call(call, _line_of(call.parsed), status, body, self.clock())
        audit = self._audit(call, f"cds-hooks.{call.hook}", "refused", [])
        await self.ledger.record(call.organization_id, kept, [], [], audit)

    def _audit(
        self, call: Invocation, action: str, outcome: str, asked: Sequence[Submission]
    ) -> AuditRow:
        return AuditRow(
            request_id=call.request_id,
            action=action,
            outcome=outcome,
            organization_id=call.organization_id,
            client_id=call.caller.principal.client_id,
            object_kind="cds-service",
            object_id=call.service_id,
            patient=self.recorder.patient(asked[0].beneficiary.mbi if asked else None),
        )


def _without_coverage(request: HookRequest, lack: NoCoverage) -> Answered:
    """Line 2.2 refuses, line 2.0 says it on a card; so do both of one that could not be fetched.

    Raises Malformed. Source: CRD 2.2.1 §hook-13, §found-32.
    """
    if request.line == "2.2" and lack.cause != "unreachable":
        text = card_table().without_coverage[lack.cause]
        raise Malformed(text, [Problem("error", "structure", text, "prefetch.coverage")])
    configuration = Configuration.read(request.configuration)
    return without_coverage(lack.cause, request.line, configuration=configuration)


def _occasion(reading: _Reading) -> Occasion:
    request = reading.request
    encounter = f"Encounter/{request.encounter_id}" if request.encounter_id else None
    return Occasion(
        hook=request.hook,
        line=request.line,
        mbi=next((ask.submission.beneficiary.mbi for ask in reading.asks), None),
        patient=f"Patient/{request.patient_id}",
        orders=(*(ask.resource for ask in reading.asks), *_beside(reading)),
        coverage=reading.coverage.received,
        encounter=encounter,
    )


def _beside(reading: _Reading) -> Iterator[Json]:
    """What stands in the context and is not asked about: cards tell which order they mean."""
    asked = {id(ask.resource) for ask in reading.asks}
    for draft in reading.request.drafts:
        named = isinstance(draft.get("resourceType"), str) and isinstance(draft.get("id"), str)
        if id(draft) not in asked and named:
            yield draft


def _can_be_answered(ask: Ask) -> bool:
    """A visit as such asks for nothing that we know of: only one that names a procedure does."""
    codes = ask.submission.items[0].service.codes
    return ask.resource["resourceType"] != "Encounter" or any(map(is_procedure, codes))


def _is_ours(ask: Ask, coverage: FocalCoverage, known: Mapping[str, AssertionRecord]) -> bool:
    """Whether the answer an order carries was given to it: to this very order, under this coverage
    and Medicare number. A copied order is another one.

    Source: CRD 2.2.1 §resp-35.
    """
    record = known.get(assertion_id(ask.carried) or "") if ask.carried is not None else None
    own = (ask.reference, coverage.reference, ask.submission.beneficiary.mbi)
    return record is not None and (record.order, record.coverage, record.mbi) == own


def _new_id() -> str:
    return str(time_ordered_uuid())


def _dependencies(ask: Ask, foreseen: Foreseen) -> tuple[str, ...]:
    """The orders of the primary codes that an add-on goes with. Source: CRD 2.2.1, `dependency`."""
    rules, code = foreseen.rules, foreseen.code
    if foreseen.role is not ItemRole.ADD_ON or rules is None or code is None:
        return ()
    primaries = rules.by_code[code.code].add_on_to
    beside = zip(ask.companions, ask.submission.items[1:], strict=True)
    return tuple(
        order
        for order, item in beside
        if any(coding.code in primaries for coding in item.service.codes)
    )


def _line_of(parsed: Json) -> Line:
    """The line a refused call may have meant."""
    try:
        return read_line(parsed)
    except Malformed:
        return "2.0"
