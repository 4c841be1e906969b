"""The DTR door: what its routes call."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime

from wiser_fhir import exact
from wiser_fhir.audit.recorder import AuditRow, Detail, Recorder, took
from wiser_fhir.clock import Clock, business_date
from wiser_fhir.coverage.catalogue import Catalogue
from wiser_fhir.dtr.choice import Choice, Wanted, choose
from wiser_fhir.dtr.context import PLACE, Context, of_assertion, of_case
from wiser_fhir.dtr.coverage_answer import coverage_information
from wiser_fhir.dtr.coverage_faults import coverage_faults
from wiser_fhir.dtr.draft import Occasion, draft
from wiser_fhir.dtr.forms import Forms
from wiser_fhir.dtr.known_answers import known_answers
from wiser_fhir.dtr.package import Packages
from wiser_fhir.dtr.package_request import PackageRequest, package_request
from wiser_fhir.errors import Problem, ProfileViolation
from wiser_fhir.fhir.codes import Line
from wiser_fhir.fhir.elements import Json
from wiser_fhir.fhir.item_traces import names_item
from wiser_fhir.intake.soundness import Soundness
from wiser_fhir.priorauth.ledger import Ledger
from wiser_fhir.priorauth.numbers import time_ordered_uuid
from wiser_fhir.priorauth.registry import Registry
from wiser_fhir.priorauth.service import Caller, PriorAuthService
from wiser_fhir.web.body import BOM
from wiser_fhir.web.turns import beside

ORDINARY = 64 * 1024
"""Bytes of a call that are read at once. What is larger is read beside the event loop, one call of
an organization at a time."""
_LONGEST_CONTEXT = 200


@dataclass(frozen=True, slots=True)
class DtrDoor:
    """What one line's routes work with."""

    line: Line
    forms: Forms
    catalogue: Catalogue
    packages: Packages
    soundness: Soundness
    ledger: Ledger
    cases: PriorAuthService
    registry: Registry
    recorder: Recorder
    clock: Clock

    async def package(self, caller: Caller, resource: Json, size: int) -> bytes:
        """The forms that a call asks for, each in a package. `size` is that of the body in bytes.

        Nothing of the call is kept but who asked for which forms (DTR 2.2.0 §sec-9).
        Raises InvalidResource, ProfileViolation, TooLarge, Unavailable.
        """
        request = await self._read(caller, resource, size)
        now = self.clock()
        on = business_date(now)
        faults = coverage_faults(request, self.registry, on)
        if faults:
            raise ProfileViolation("The Coverage cannot be used.", faults)
        context = await self._context(caller, request, on)
        choice = choose(request, context, self.forms, self.catalogue, line=self.line, on=on)
        earlier = await self._earlier(caller, context)
        packed = []
        for each in choice.wanted:
            response = self._draft(each, occasion_of(request, each, now), context, earlier)
            packed.append((each.form, response, time_ordered_uuid()))
        answer = self.packages.answer(packed, choice.remarks, on)
        facts = _facts(context, [response for _, response, _ in packed])
        row = self._audit(caller, request, choice)
        spent = {"line": self.line, "ms": took(now, self.clock())}
        await self.recorder.record(replace(row, detail={**row.detail, **facts, **spent}))
        return answer

    async def _read(self, caller: Caller, resource: Json, size: int) -> PackageRequest:
        if size <= ORDINARY:
            return package_request(resource, self.line, self.soundness)
        return await beside(
            caller.organization_id, package_request, resource, self.line, self.soundness
        )

    async def _context(self, caller: Caller, request: PackageRequest, on: date) -> Context | None:
        """What the context leads to: an answer of CRD to the caller's organization, or one of its
        own requests, for the member of the Coverage.

        Raises ProfileViolation for one that is not known. Source: DTR 2.2.0 §spec-110, §spec-130.
        """
        told = request.context
        if told is None:
            return None
        mbi = request.mbi
        if len(told) <= _LONGEST_CONTEXT:
            known = await self.ledger.assertions(caller.organization_id, [told])
            if told in known and (mbi is None or known[told].mbi in (None, mbi)):
                return of_assertion(known[told], self.catalogue, on)
            stored = None
            if mbi is not None:
                stored = await self.cases.by_trace(caller, mbi, told, names_item)
            if stored is not None:
                return of_case(stored, self.catalogue, on)
        text = "The context is not known here for the member of the Coverage."
        raise ProfileViolation(text, [Problem("error", "not-found", text, PLACE)])

    async def _earlier(self, caller: Caller, context: Context | None) -> Json | None:
        """The request that a trace number leads to, its numbers as they were written."""
        if context is None or context.stored is None:
            return None
        body = context.stored.request_body.removeprefix(BOM)
        if len(body) <= ORDINARY:
            return exact.loads(body)  # type: ignore[no-any-return]
        return await beside(caller.organization_id, exact.loads, body)

    def _draft(
        self,
        wanted: Wanted,
        occasion: Occasion,
        context: Context | None,
        earlier: Json | None,
    ) -> Json:
        """The draft of one form. What the context tells goes into the form it is about."""
        form = wanted.form
        if context is None or not context.is_about(form.rules.slug):
            return draft(form, occasion)
        if not occasion.orders and context.order is not None:
            occasion = replace(occasion, orders=({"reference": context.order},))
        information = None
        if context.assertion is not None and form.adaptive:
            day = business_date(occasion.at)
            information = coverage_information(context.assertion, form, day)
        known = known_answers(earlier, form.rules) if earlier and not form.adaptive else {}
        return draft(form, occasion, known, information)

    def _audit(self, caller: Caller, request: PackageRequest, choice: Choice) -> AuditRow:
        forms = [each.form.questionnaire["id"] for each in choice.wanted]
        return AuditRow(
            request_id=caller.request_id,
            action="dtr.package",
            outcome="sent" if forms else "none",
            organization_id=caller.organization_id,
            client_id=caller.principal.client_id,
            object_kind="questionnaire" if forms else None,
            object_id=forms[0] if forms else None,
            patient=self.recorder.patient(request.mbi),
            detail={f"form-{number}": each for number, each in enumerate(forms, start=1)},
        )


def _facts(context: Context | None, drafts: Sequence[Json]) -> Detail:
    """What the measures tell of a package beyond its forms: what it was asked by, and whether we
    put answers into it. Source: DTR 2.2.0 DTRMetricData.
    """
    assertion = context.assertion if context else None
    return {
        "by": None if context is None else "assertion" if assertion else "request",
        "assertion": assertion.id if assertion else None,
        "populated": any("answer" in item for each in drafts for item in each.get("item", ())),
    }


def occasion_of(request: PackageRequest, wanted: Wanted, now: datetime) -> Occasion:
    """What a form is filled for, as far as the call itself tells."""
    return Occasion(
        subject=request.subject,
        coverages=tuple(each.reference for each in request.coverages),
        orders=tuple(each.reference for each in wanted.orders),
        at=now,
    )
