"""From decisions about lines to the case they make. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal

from wiser_fhir.clock import business_date
from wiser_fhir.priorauth.determination import (
    DecidedBy,
    DecidingClinician,
    ItemDecision,
    ItemDetermination,
    Outcome,
)
from wiser_fhir.priorauth.models import (
    CaseItem,
    CaseStatus,
    ItemStatus,
    PriorAuthorization,
    UtnState,
)
from wiser_fhir.priorauth.rules import last_valid_day

_STATUSES = {
    Outcome.AFFIRMED: ItemStatus.AFFIRMED,
    Outcome.NON_AFFIRMED: ItemStatus.NON_AFFIRMED,
}


@dataclass(frozen=True, slots=True)
class Deciding:
    """The circumstances of a decision. `utn` is None where its number comes later.

    `valid_days` counts the day of the decision as the first.
    """

    at: datetime
    by: DecidedBy
    valid_days: int
    utn: str | None
    clinician: DecidingClinician | None = None


def affirmations(case: PriorAuthorization) -> tuple[ItemDetermination, ...]:
    """What affirms each undecided line of a case, as asked."""
    return tuple(
        ItemDetermination(item.sequence, Outcome.AFFIRMED)
        for item in case.items
        if item.status is ItemStatus.PENDED
    )


def decided_case(
    case: PriorAuthorization, decisions: Sequence[ItemDetermination], deciding: Deciding
) -> PriorAuthorization:
    """The case once each of its undecided lines is decided; other lines stay as they are.

    Something affirmed makes it valid for the days of the program, counted from the Eastern day of
    the decision. Raises ValueError unless `decisions` are about just the undecided lines.
    Source: WISeR Operational Guide 6.0, 4.1 and 4.3.
    """
    by_sequence = {decision.sequence: decision for decision in decisions}
    pended = {item.sequence for item in case.items if item.status is ItemStatus.PENDED}
    if not pended or by_sequence.keys() != pended or len(by_sequence) < len(decisions):
        raise ValueError("every undecided line is decided, once, and no other")
    affirmed = any(decision.outcome is Outcome.AFFIRMED for decision in decisions)
    first = business_date(deciding.at) if affirmed else None
    last = last_valid_day(first, deciding.valid_days) if first is not None else None
    return replace(
        case,
        status=_case_status(decisions),
        items=tuple(_decided(item, by_sequence, deciding, (first, last)) for item in case.items),
        decided_at=deciding.at,
        valid_from=first,
        valid_until=last,
        utn=deciding.utn,
        utn_state=UtnState.PENDING if deciding.utn is None else UtnState.ASSIGNED,
        superseded_until=None,
        reviewed_by_person=deciding.by is DecidedBy.CLINICIAN,
        clinician=deciding.clinician,
    )


def _case_status(decisions: Sequence[ItemDetermination]) -> CaseStatus:
    outcomes = {decision.outcome for decision in decisions}
    if outcomes == {Outcome.AFFIRMED}:
        return CaseStatus.AFFIRMED
    if outcomes == {Outcome.NON_AFFIRMED}:
        return CaseStatus.NON_AFFIRMED
    return CaseStatus.PARTIALLY_AFFIRMED


def _decided(
    item: CaseItem,
    decisions: Mapping[int, ItemDetermination],
    deciding: Deciding,
    days: tuple[date | None, date | None],
) -> CaseItem:
    decision = decisions.get(item.sequence)
    if decision is None:
        return item
    first, last = days if decision.outcome is Outcome.AFFIRMED else (None, None)
    kept = ItemDecision(
        outcome=decision.outcome,
        decided_by=deciding.by,
        decided_at=deciding.at,
        code=decision.grant.code or item.code,
        quantity=decision.grant.quantity or countable(item.quantity),
        first_day=decision.grant.first_day or first,
        last_day=decision.grant.last_day or last,
        rationale=decision.rationale,
        resubmission_steps=decision.resubmission_steps,
        reasons=decision.reasons,
        answer=decision.answer,
    )
    return replace(item, status=_STATUSES[decision.outcome], decision=kept)


def countable(quantity: Decimal | None) -> Decimal | None:
    """A quantity that units can be counted against; None where the request tells none."""
    return quantity if quantity is not None and quantity > 0 else None
