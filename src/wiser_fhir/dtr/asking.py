"""`$next-question` at the door: read, extended, told what CRD asserted, and forgotten.

Nothing of a call is kept but that it was made, with which form, whether the form is complete, and
of a complete one how many answers came from where (DTR 2.2.0 §sec-10, DTRMetricData).
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import TypeVar, TypeVarTuple

from wiser_fhir import exact
from wiser_fhir.audit.recorder import AuditRow, Detail, took
from wiser_fhir.clock import business_date
from wiser_fhir.dtr.checked_response import checked_response
from wiser_fhir.dtr.coverage_answer import assertion_ids, with_coverage_answers
from wiser_fhir.dtr.door import DtrDoor
from wiser_fhir.dtr.forms import Form
from wiser_fhir.dtr.next_question import Reply, next_question, unwrapped
from wiser_fhir.errors import TooLarge
from wiser_fhir.fhir.answers import answers_by_link_id
from wiser_fhir.fhir.elements import Json
from wiser_fhir.priorauth.ledger import AssertionRecord
from wiser_fhir.priorauth.service import Caller
from wiser_fhir.web.body import BOM
from wiser_fhir.web.turns import beside

MOST_BYTES = 1024 * 1024
# A response of the longest form, its narrative and all, is no longer; more is looked at beside.
_ORDINARY = 32 * 1024
_Result = TypeVar("_Result")
_Given = TypeVarTuple("_Given")


async def ask_next(dtr: DtrDoor, caller: Caller, body: bytes, resource: Json) -> bytes:
    """The response of a call with what is asked next, or completed. `resource` is `body` parsed.

    Raises InvalidResource with all that is wrong, TooLarge, Unavailable.
    """
    if len(body) > MOST_BYTES:
        raise TooLarge(f"A response is no larger than {MOST_BYTES // 1024} KiB.")
    call = _Call(dtr, caller, body, resource, dtr.clock())
    form, reply = await call.worked_out(call.reply)
    proven: Mapping[str, AssertionRecord] = {}
    if reply.completed:
        ids = assertion_ids(reply.response)
        proven = await dtr.ledger.assertions(caller.organization_id, ids)
    answer = await call.worked_out(call.written, form, reply, proven)
    row = _audit(caller, form, reply)
    spent = {"line": dtr.line, "ms": took(call.at, dtr.clock())}
    detail = {**_facts(reply, proven), **spent}
    await dtr.recorder.record(replace(row, detail=detail))
    return answer


@dataclass(frozen=True, slots=True)
class _Call:
    """A call as it came in."""

    dtr: DtrDoor
    caller: Caller
    body: bytes
    resource: Json
    at: datetime

    @property
    def on(self) -> date:
        """The business date of the call."""
        return business_date(self.at)

    async def worked_out(self, work: Callable[[*_Given], _Result], *given: *_Given) -> _Result:
        """What a step comes to: at once for an ordinary call, else beside the event loop."""
        if len(self.body) <= _ORDINARY:
            return work(*given)
        return await beside(self.caller.organization_id, work, *given)

    def reply(self) -> tuple[Form, Reply]:
        """What to answer, with every number as it was written. Raises InvalidResource."""
        resource = self.resource
        if exact.needs_care(self.body):
            resource = exact.loads(self.body.removeprefix(BOM))
        response, place = unwrapped(resource)
        dtr = self.dtr
        read = checked_response(response, dtr.soundness, dtr.forms, dtr.line, self.on, place)
        return read.form, next_question(read, self.at)

    def written(self, form: Form, reply: Reply, proven: Mapping[str, AssertionRecord]) -> bytes:
        """The reply as it goes out; completed, with what CRD asserted and nothing else of that."""
        response = reply.response
        if reply.completed:
            response = with_coverage_answers(response, proven, form=form, on=self.on)
        return exact.dumps(response)


def _facts(reply: Reply, proven: Mapping[str, AssertionRecord]) -> Detail:
    """What the measures tell of a form once it is complete: how many questions, and how many of
    the answers came from where. Source: DTR 2.2.0 DTRMetricData.questionnaire.
    """
    if not reply.completed:
        return {}
    answers = answers_by_link_id(reply.response).values()
    origins = Counter(next(iter(given.origins), None) for given in answers)
    return {
        "assertion": next(iter(proven), None),
        "questions": len(answers),
        "auto": origins["auto"],
        "override": origins["override"],
        "manual": origins["manual"],
    }


def _audit(caller: Caller, form: Form, reply: Reply) -> AuditRow:
    return AuditRow(
        request_id=caller.request_id,
        action="dtr.next-question",
        outcome="completed" if reply.completed else "asked",
        organization_id=caller.organization_id,
        client_id=caller.principal.client_id,
        object_kind="questionnaire",
        object_id=form.questionnaire["id"],
    )
