"""From a case and an update to the case's next revision. Pure, but for the numbers it is handed."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime

from wiser_fhir.clock import business_date
from wiser_fhir.coverage.requested import Code
from wiser_fhir.priorauth.answer import CaseAnswer
from wiser_fhir.priorauth.changes import cancelled_lines
from wiser_fhir.priorauth.decide import Decider
from wiser_fhir.priorauth.models import (
    CaseItem,
    CaseStatus,
    Dismissal,
    Finding,
    FindingStatus,
    ItemRole,
    ItemStatus,
    PriorAuthorization,
    RequestedItem,
    Submission,
    UtnState,
)

_CANCELLED = "Cancelled by the submitter."


@dataclass(frozen=True, slots=True)
class Revision:
    """An update on its way to a case. `non_affirmed` are the lines that a clinician, at any time,
    has not affirmed."""

    case: PriorAuthorization
    update: Submission
    non_affirmed: frozenset[int]

    @property
    def cancelled(self) -> frozenset[int]:
        """The lines that are wanted no more."""
        return cancelled_lines(self.case, self.update)

    @property
    def live(self) -> tuple[RequestedItem, ...]:
        """The lines that are still asked for."""
        gone = self.cancelled
        return tuple(item for item in self.update.items if item.sequence not in gone)


def cancelled_case(revision: Revision) -> PriorAuthorization:
    """The case cancelled as a whole, with every line of it. Nothing of it is valid any more.

    Source: PAS 2.2.1, updating section (also while it is in review, which ends the review).
    """
    return replace(
        _next(revision),
        status=CaseStatus.CANCELLED,
        items=_lines(revision, ()),
        decided_at=None,
        valid_from=None,
        valid_until=None,
    )


def redecided_case(
    decider: Decider, revision: Revision, now: datetime
) -> Dismissal | PriorAuthorization:
    """The case as decided anew on all that the update tells; why not, where that is out of scope.

    A case in review keeps its clock and the rules it is reviewed by; a decided one gets new ones.
    """
    case, update = revision.case, revision.update
    asked = replace(update, items=revision.live, kind=case.kind, previous_utn=case.previous_utn)
    pended_on = None if case.decided else business_date(case.received_at)
    found = tuple(_findings(revision))
    fresh = decider.decide(asked, now, on=pended_on, findings=found)
    if fresh.dismissal is not None:
        return fresh.dismissal
    return replace(
        _next(revision),
        status=fresh.status,
        items=_lines(revision, fresh.items),
        superseded_until=None if fresh.decided else _standing_until(case),
        service=fresh.service,
        rules=fresh.rules,
        assessment=fresh.assessment,
        decided_at=fresh.decided_at,
        valid_from=fresh.valid_from,
        valid_until=fresh.valid_until,
        utn=fresh.utn,
        utn_state=fresh.utn_state,
        received_at=update.received_at if case.decided else case.received_at,
        decide_by=fresh.decide_by if case.decided else case.decide_by,
        expedited=fresh.expedited if case.decided else case.expedited,
        expedite_confirmed=None if case.decided else case.expedite_confirmed,
    )


def standing_case(revision: Revision, utn: str | None) -> PriorAuthorization | None:
    """The decided case less the lines that are cancelled: other decisions stand as they were made.

    None where no decided line is left, so that it has to be decided anew. `utn` is its new number.
    """
    case, gone = revision.case, revision.cancelled
    staying = [item for item in case.items if item.sequence not in gone]
    status = _status(staying)
    if status is None:
        return None
    affirmed = status is not CaseStatus.NON_AFFIRMED
    return replace(
        _next(revision),
        status=status,
        items=_lines(revision, staying),
        answer=case.answer,
        valid_from=case.valid_from if affirmed else None,
        valid_until=case.valid_until if affirmed else None,
        utn=utn,
        utn_state=UtnState.PENDING if utn is None else UtnState.ASSIGNED,
        reviewed_by_person=case.reviewed_by_person,
        clinician=case.clinician,
    )


def late_urgency(case: PriorAuthorization, update: Submission) -> bool:
    """Whether an update asks for speed that the request before did not."""
    return update.expedite_requested and not case.expedited and not case.decided


def _next(revision: Revision) -> PriorAuthorization:
    """What of a case any update changes: what was asked of the sender is answered by it."""
    case = revision.case
    return replace(
        case,
        revision=case.revision + 1,
        answer=CaseAnswer(),
        requests=(),
        utn=None,
        utn_state=None,
        superseded_utn=case.utn or case.superseded_utn,
        superseded_until=None,
        reviewed_by_person=False,
        clinician=None,
    )


def _standing_until(case: PriorAuthorization) -> date | None:
    """The last valid day of the number that stands until the case is decided anew."""
    if case.utn is None:
        return case.superseded_until
    return case.valid_until if case.utn_state is UtnState.ASSIGNED else None


def _findings(revision: Revision) -> Iterator[Finding]:
    if revision.non_affirmed:
        yield _judge("A line of this request was not affirmed before.")
    if late_urgency(revision.case, revision.update):
        yield _judge("The update asks for an expedited decision; the clock is the one before.")


def _judge(text: str) -> Finding:
    return Finding("update", FindingStatus.NEEDS_JUDGEMENT, text)


def _cancelled_items(revision: Revision) -> Iterator[CaseItem]:
    """Every cancelled line, as it stood before or as it came."""
    known = {item.sequence: item for item in revision.case.items}
    asked = {item.sequence: item for item in revision.update.items}
    for sequence in revision.cancelled:
        before = known.get(sequence) or _unseen(asked[sequence])
        yield replace(before, status=ItemStatus.CANCELLED, note=_CANCELLED, decision=None)


def _unseen(item: RequestedItem) -> CaseItem:
    """A line that comes and goes in one update: nobody has looked what it is."""
    return CaseItem(
        sequence=item.sequence,
        code=next(iter(item.service.codes), Code("", "")),
        role=ItemRole.NOT_WISER,
        status=ItemStatus.CANCELLED,
        date_of_service=item.service.date_of_service,
        service_end=item.service_end,
        quantity=item.service.quantity,
        site=item.site,
    )


def _lines(revision: Revision, others: Iterable[CaseItem]) -> tuple[CaseItem, ...]:
    """Every line in its order, the cancelled ones too, each with the number it stood under."""
    former = {item.sequence: _former_utn(revision.case, item) for item in revision.case.items}
    found = sorted([*others, *_cancelled_items(revision)], key=lambda item: item.sequence)
    return tuple(replace(item, former_utn=former.get(item.sequence)) for item in found)


def _former_utn(case: PriorAuthorization, item: CaseItem) -> str | None:
    under_its_number = case.utn is not None and item.decision is not None
    return case.utn if under_its_number else item.former_utn


def _status(items: Collection[CaseItem]) -> CaseStatus | None:
    """What decided lines make of a case; None where there is none."""
    found = {item.status for item in items} & {ItemStatus.AFFIRMED, ItemStatus.NON_AFFIRMED}
    if not found:
        return None
    if found == {ItemStatus.AFFIRMED}:
        return CaseStatus.AFFIRMED
    if found == {ItemStatus.NON_AFFIRMED}:
        return CaseStatus.NON_AFFIRMED
    return CaseStatus.PARTIALLY_AFFIRMED
