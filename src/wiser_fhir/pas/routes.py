"""The PAS door: `Claim/$submit`, `Claim/$inquire` and reading a ClaimResponse, for both lines."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Literal
from uuid import UUID

import orjson
from fastapi import APIRouter, Depends, Request

from wiser_fhir.auth.principal import Principal
from wiser_fhir.auth.scopes import grants
from wiser_fhir.clock import Clock
from wiser_fhir.errors import InvalidResource, NotFound, OutOfScope, Problem, ProfileViolation
from wiser_fhir.fhir import codes
from wiser_fhir.fhir.codes import Line
from wiser_fhir.fhir.elements import Json
from wiser_fhir.fhir.validation.validator import GuideValidator
from wiser_fhir.pas.assertions import assertion_ids
from wiser_fhir.pas.claim_response import Renderer
from wiser_fhir.pas.content import content
from wiser_fhir.pas.inquiry import inquiry
from wiser_fhir.pas.operation_rules import (
    crowded_problems,
    dangling_problems,
    first_entry_problems,
    less_tolerated,
    submit_problems,
)
from wiser_fhir.pas.parties import requester_npis, requester_tins
from wiser_fhir.pas.request import RequestBundle, unwrapped
from wiser_fhir.pas.submission import submission
from wiser_fhir.pas.update import materials
from wiser_fhir.priorauth.changes import Earlier, Refused
from wiser_fhir.priorauth.models import PriorAuthorization, Submission
from wiser_fhir.priorauth.numbers import time_ordered_uuid
from wiser_fhir.priorauth.service import Caller, PriorAuthService, Received
from wiser_fhir.priorauth.updates import Update, UpdateService
from wiser_fhir.web.body import LARGE, parse_json, read_json
from wiser_fhir.web.limits import limits_of
from wiser_fhir.web.openapi import fhir_answer, fhir_operation
from wiser_fhir.web.outcome import FhirResponse
from wiser_fhir.web.principal import require
from wiser_fhir.web.turns import at_work, beside

_OPERATION_STATUSES = (400, 401, 403, 406, 409, 413, 415, 422, 500, 503)
_READ_STATUSES = (401, 403, 404, 406, 500, 503)
_SUBMIT_EXAMPLES = ("epidural-affirmed", "epidural-criterion-unmet")
_INQUIRE_EXAMPLES = ("inquiry-by-member", "inquiry-by-reference")
_TO_CHANGE = grants(["system/Claim.cu"])


@dataclass(frozen=True, slots=True)
class PasDoor:
    """What one line's routes work with."""

    line: Line
    validator: GuideValidator
    renderer: Renderer
    service: PriorAuthService
    updates: UpdateService
    clock: Clock

    async def accept(
        self, resource: Json, size: int, profile: str, organization_id: UUID
    ) -> RequestBundle:
        """The Bundle, once nothing is wrong with it. Unwraps Parameters that hold it alone.

        `size` is that of the body in bytes. What takes longer than ordinary content does is looked
        at beside the event loop, of each organization one body at a time.

        Raises InvalidResource (breaks base R4) or ProfileViolation, each with every problem found.
        Source: PAS 2.2.1 §spec-13, §spec-35; FHIR R4, Operations Framework (a single resource may
        come bare or inside Parameters).
        """
        bundle = unwrapped(resource)
        if size > LARGE or not self.validator.proves(bundle, profile):
            fault = await beside(organization_id, self._fault, bundle, profile)
            if fault is not None:
                raise fault
        request = RequestBundle.of(bundle)
        if problems := first_entry_problems(request):
            raise ProfileViolation("The Bundle does not begin with its Claim.", problems)
        return request

    async def submit(self, who: Caller, bundle: RequestBundle, body: bytes) -> bytes:
        """The answer to a request, an update or a cancel, which is kept with it.

        Raises ProfileViolation, Forbidden, OutOfScope, Conflict, Unavailable.
        """
        if problems := submit_problems(bundle):
            raise ProfileViolation("The request cannot be answered item by item.", problems)
        received_at = self.clock()
        self.service.check_sender(who, requester_npis(bundle), requester_tins(bundle))
        asked = submission(bundle, who.organization_id, received_at)
        received = Received(line=self.line, body=body, assertions=assertion_ids(bundle))
        if asked.change is not None:
            if not who.principal.may(_TO_CHANGE):
                raise OutOfScope("system/Claim.cu")
            return await self._update(who, asked, received, bundle)

        def render(case: PriorAuthorization) -> bytes:
            return orjson.dumps(self.renderer.submit_response(case, bundle))

        return await self.service.submit(who, asked, received, render)

    async def _update(
        self, caller: Caller, asked: Submission, received: Received, bundle: RequestBundle
    ) -> bytes:
        """The answer to an update or a cancel, taken or refused.

        Raises Conflict, ProfileViolation, Unavailable. Source: PAS 2.2.1 §spec-64 to §spec-72.
        """

        def read(body: bytes) -> Earlier:
            before = _request_of(body)
            return Earlier(
                submission(before, caller.organization_id, asked.received_at),
                materials(before),
                partial(content, before),
            )

        def refuse(refusal: Refused) -> bytes:
            answer_id = time_ordered_uuid()
            answer = self.renderer.update_refused(bundle, answer_id, asked.received_at, refusal)
            return orjson.dumps(answer)

        update = Update(asked, received, partial(content, bundle), read, refuse)
        return await self.updates.update(caller, update)

    def _fault(self, bundle: Json, profile: str) -> InvalidResource | ProfileViolation | None:
        """What to refuse a Bundle with. Pure, so it may run beside the event loop."""
        if self.validator.proves(bundle, profile):
            return None
        if problems := crowded_problems(bundle):
            return ProfileViolation("The Bundle is too much to look at.", problems)
        found = less_tolerated(bundle, self.validator.problems(bundle, profile))
        problems = [*found, *dangling_problems(bundle)]
        if not _has_error(problems):
            return None
        if _has_error(less_tolerated(bundle, self.validator.base_problems(bundle))):
            return InvalidResource("The Bundle is not valid FHIR R4.", problems)
        return ProfileViolation("The Bundle does not meet its profile.", problems)


def _has_error(problems: list[Problem]) -> bool:
    return any(problem.severity == "error" for problem in problems)


def router_for(line: Line) -> APIRouter:
    """The routes of one line, to be mounted at its base path."""
    router = APIRouter()
    door = Depends(_door_of(line))

    @router.post("/Claim/$submit", name=f"submit-{line}", **_described(line, "submit"))
    async def submit(
        request: Request,
        pas: Annotated[PasDoor, door],
        caller: Annotated[Principal, Depends(require("system/Claim.c"))],
    ) -> FhirResponse:
        """Take a prior authorization request and answer it. Source: PAS 2.2.1 §spec-7, §spec-12."""
        body, resource = await read_json(request)
        async with at_work(caller.organization_id):
            bundle = await pas.accept(
                resource, len(body), codes.REQUEST_BUNDLE, caller.organization_id
            )
            return FhirResponse(await pas.submit(_caller(request, caller), bundle, body))

    @router.post("/Claim/$inquire", name=f"inquire-{line}", **_described(line, "inquire"))
    async def inquire(
        request: Request,
        pas: Annotated[PasDoor, door],
        caller: Annotated[Principal, Depends(require("system/ClaimResponse.rs"))],
    ) -> FhirResponse:
        """Say how authorizations stand now. Source: PAS 2.2.1 §spec-43 to §spec-48."""
        body, resource = await read_json(request)
        bundle = await pas.accept(resource, len(body), codes.INQUIRY_BUNDLE, caller.organization_id)
        asked = inquiry(bundle)
        misses = limits_of(request).misses
        misses.check(caller.organization_id)
        found = await pas.service.inquire(_caller(request, caller), asked)
        misses.note(caller.organization_id, max(0, len(asked.utns) - len(found.cases)))
        answers = [
            pas.renderer.inquiry_response(stored.case, _request_of(stored.request_body))
            for stored in found.cases
        ]
        now = pas.clock()
        return FhirResponse(pas.renderer.inquiry_answer(answers, bundle, now, more=found.more))

    @router.get(
        "/ClaimResponse/{claim_response_id}",
        name=f"claim-response-{line}",
        **fhir_answer("ClaimResponse", _READ_STATUSES),
    )
    async def read_claim_response(
        claim_response_id: str,
        request: Request,
        pas: Annotated[PasDoor, door],
        caller: Annotated[Principal, Depends(require("system/ClaimResponse.rs"))],
    ) -> FhirResponse:
        """The current state of one of the caller's own cases."""
        stored = await pas.service.read(_caller(request, caller), _uuid(claim_response_id))
        bundle = _request_of(stored.request_body)
        return FhirResponse(pas.renderer.claim_response(stored.case, bundle, codes.CLAIM_RESPONSE))

    return router


def _described(line: Line, operation: Literal["submit", "inquire"]) -> dict[str, Any]:
    """What OpenAPI says of an operation."""
    if operation == "submit":
        profile, names, answer = codes.REQUEST_BUNDLE, _SUBMIT_EXAMPLES, "Bundle"
    else:
        profile, names = codes.INQUIRY_BUNDLE, _INQUIRE_EXAMPLES
        answer = "Parameters" if line == "2.2" else "Bundle"
    examples = [f"{line}/{name}.json" for name in names]
    return fhir_operation(answer, _OPERATION_STATUSES, profile, examples)


def _door_of(line: Line) -> Callable[[Request], Awaitable[PasDoor]]:
    async def door(request: Request) -> PasDoor:
        found: PasDoor = request.app.state.pas[line]
        return found

    return door


def _caller(request: Request, principal: Principal) -> Caller:
    return Caller(principal=principal, request_id=request.state.request_id)


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise NotFound("ClaimResponse") from None


def _request_of(body: bytes) -> RequestBundle:
    """What was stored once passed `read_json`, byte order mark and all."""
    return RequestBundle.of(unwrapped(parse_json(body)))
