"""What a determination may say, given what was asked: all that is wrong with it, at once."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from wiser_fhir.coverage.models import ServiceRules
from wiser_fhir.coverage.process import Process
from wiser_fhir.coverage.requested import (
    CPT,
    HCPCS,
    MOST_UNITS,
    UNITS_UNTOLD,
    Code,
    are_units,
)
from wiser_fhir.errors import Problem
from wiser_fhir.priorauth.answer import AddedItem, AuthorizedProvider, can_be_seen
from wiser_fhir.priorauth.asked import sendable
from wiser_fhir.priorauth.determination import Determination, ItemDetermination, Outcome
from wiser_fhir.priorauth.models import CaseItem, ItemRole, ItemStatus, PriorAuthorization
from wiser_fhir.priorauth.rules import is_npi, last_valid_day, partial_decision_allowed


@dataclass(frozen=True, slots=True)
class Standard:
    """What a determination is held against.

    `rules` are those pinned to the case, None where there are none any more. `decided_on` is the
    business date of the decision, day 1 of its 120.
    """

    process: Process
    rules: ServiceRules | None
    decided_on: date

    @property
    def last_day(self) -> date:
        """The last day of service that a decision of this day covers."""
        return last_valid_day(self.decided_on, self.process.timeframes.validity_days)


def determination_problems(
    case: PriorAuthorization, determination: Determination, standard: Standard
) -> tuple[Problem, ...]:
    """Everything that keeps a determination from being taken; none when it may be.

    Source: WISeR Operational Guide 6.0, 4.1.2, 4.1.3 and 4.3.
    """
    return tuple(
        Problem("error", "business-rule", text, expression)
        for expression, text in _faults(case, determination, standard)
    )


_Fault = tuple[str | None, str]


def _faults(
    case: PriorAuthorization, determination: Determination, standard: Standard
) -> Iterator[_Fault]:
    asked = {item.sequence: item for item in case.items}
    yield from _each_open_line_once(case, determination)
    yield from _one_outcome(case, determination, standard)
    for position, decision in enumerate(determination.items):
        item = asked.get(decision.sequence)
        if item is not None and item.status is ItemStatus.PENDED:
            for where, text in _line(item, decision, standard):
                yield f"items[{position}].{where}", text
    if determination.note is not None and not sendable(determination.note):
        yield "note", "A note is text that can be printed, and not blank."
    yield from _add_ons(determination, asked, standard)
    yield from _added(determination, asked, standard)
    yield from _providers(determination)


def _each_open_line_once(
    case: PriorAuthorization, determination: Determination
) -> Iterator[_Fault]:
    """Every undecided line of the model is decided, and no other line is.

    What follows a primary, what is no WISeR service and what was cancelled have their answer.
    """
    open_lines = [item.sequence for item in case.items if item.status is ItemStatus.PENDED]
    times = Counter(decision.sequence for decision in determination.items)
    for sequence in open_lines:
        if times[sequence] == 0:
            yield "items", f"Line {sequence} is undecided: decide every line at once."
    for sequence, count in times.items():
        if sequence not in open_lines:
            yield "items", f"Line {sequence} is none that there is to decide."
        elif count > 1:
            yield "items", f"Line {sequence} is decided {count} times."


def _one_outcome(
    case: PriorAuthorization, determination: Determination, standard: Standard
) -> Iterator[_Fault]:
    """Of earlier requests one line that is not affirmed makes all of it non-affirmed.

    Source: WISeR Operational Guide 6.0, 4.1.3.
    """
    outcomes = {decision.outcome for decision in determination.items}
    if len(outcomes) > 1 and not partial_decision_allowed(case.received_at, standard.process):
        first_day = standard.process.partial_decisions_from.isoformat()
        yield "items", f"Lines of one request are decided differently if received from {first_day}."


def _line(item: CaseItem, decision: ItemDetermination, standard: Standard) -> Iterator[_Fault]:
    yield from _texts(decision)
    if decision.outcome is Outcome.NON_AFFIRMED:
        yield from _non_affirmed(decision)
        return
    yield from _quantity(item, decision)
    yield from _days(item, decision, standard)
    yield from _code(item, decision, standard)


def _texts(decision: ItemDetermination) -> Iterator[_Fault]:
    """What is said reaches the provider. That a non-affirmation tells nothing is said elsewhere."""
    for name, text in (
        ("rationale", decision.rationale),
        ("resubmission_steps", decision.resubmission_steps),
    ):
        silent = decision.outcome is Outcome.NON_AFFIRMED and not _tells(text)
        if text is not None and not silent and not sendable(text):
            yield name, "This is text that can be printed, and not blank."


def _non_affirmed(decision: ItemDetermination) -> Iterator[_Fault]:
    """It says what is missing and how to ask again, and grants nothing.

    Source: WISeR Operational Guide 6.0, 4.1.2.
    """
    if not _tells(decision.rationale):
        yield "rationale", "A non-affirmation says everything that is missing or not met."
    if not _tells(decision.resubmission_steps):
        yield "resubmission_steps", "A non-affirmation says how to ask again."
    if decision.grant != type(decision.grant)():
        yield "grant", "What is not affirmed grants nothing."


def _tells(text: str | None) -> bool:
    return any(each.isalnum() and can_be_seen(each) for each in text or "")


def _quantity(item: CaseItem, decision: ItemDetermination) -> Iterator[_Fault]:
    """No more than was asked for, and one where no number of units was told."""
    granted = decision.grant.quantity
    if granted is None:
        return
    asked = UNITS_UNTOLD if item.quantity is None else item.quantity
    if not granted.is_finite() or granted <= 0:
        yield "grant.quantity", "A granted quantity is more than nothing."
    elif granted > asked:
        yield "grant.quantity", f"Not more than the {asked} asked for are granted."


def _days(item: CaseItem, decision: ItemDetermination, standard: Standard) -> Iterator[_Fault]:
    """Dates are narrowed, never moved: inside what was asked and inside the 120 days."""
    grant = decision.grant
    asked_from, asked_to = _asked_days(item)
    for name, day in (("first_day", grant.first_day), ("last_day", grant.last_day)):
        if day is None:
            continue
        if not asked_from <= day <= asked_to:
            yield f"grant.{name}", "The days granted lie within those asked for."
        if not standard.decided_on <= day <= standard.last_day:
            yield f"grant.{name}", "The days granted lie within the 120 from the decision on."
    if grant.first_day and grant.last_day and grant.last_day < grant.first_day:
        yield "grant.last_day", "The days granted end before they begin."


def _asked_days(item: CaseItem) -> tuple[date, date]:
    """The days asked for, both included; without any, all there are."""
    if item.date_of_service is None:
        return date.min, item.service_end or date.max
    return item.date_of_service, item.service_end or item.date_of_service


def _code(item: CaseItem, decision: ItemDetermination, standard: Standard) -> Iterator[_Fault]:
    """Another code is one of the same service and the same role: a different service is not asked.

    Source: WISeR Operational Guide 6.0, 3 (one select service per request), Appendix A.
    """
    code = decision.grant.code
    if code is None or code == item.code:
        return
    entry = standard.rules.by_code.get(code.code) if standard.rules else None
    if entry is None or code.system not in (CPT, HCPCS):
        yield "grant.code", "The code granted is one of the service asked for."
    elif entry.role != item.role:
        yield "grant.code", f"The code granted for this line is a code of the role {item.role}."
    elif not entry.in_effect(decision.grant.first_day or item.date_of_service):
        yield "grant.code", "The code granted is not in effect on the date of service."


def _add_ons(
    determination: Determination, asked: dict[int, CaseItem], standard: Standard
) -> Iterator[_Fault]:
    """An add-on is affirmed with its primary code or not at all, also where it was asked alone.

    What is billed together shares a request, so an affirmation elsewhere does not carry it.
    Source: WISeR Operational Guide 6.0, 3; CGS, WISeR tips (add-on codes).
    """
    affirmed = [
        (position, asked[decision.sequence], decision)
        for position, decision in enumerate(determination.items)
        if decision.outcome is Outcome.AFFIRMED and decision.sequence in asked
    ]
    carrying = {
        _granted_code(item, decision).code
        for _, item, decision in affirmed
        if item.role is ItemRole.PRIMARY
    }
    for position, item, decision in affirmed:
        if item.role is ItemRole.ADD_ON and not carrying & _primaries(
            _granted_code(item, decision), carrying, standard
        ):
            yield f"items[{position}].outcome", "An add-on is affirmed with its primary code only."


def _granted_code(item: CaseItem, decision: ItemDetermination) -> Code:
    return decision.grant.code or item.code


def _primaries(add_on: Code, otherwise: set[str], standard: Standard) -> set[str]:
    """The codes that carry an add-on; `otherwise` where the rules do not know it."""
    entry = standard.rules.by_code.get(add_on.code) if standard.rules else None
    return set(entry.add_on_to) if entry else otherwise


def _added(
    determination: Determination, asked: dict[int, CaseItem], standard: Standard
) -> Iterator[_Fault]:
    """What is granted unasked stands beside something affirmed, within its 120 days."""
    outcomes = {decision.outcome for decision in determination.items}
    for position, added in enumerate(determination.answer.added):
        where = f"answer.added[{position}]"
        if Outcome.AFFIRMED not in outcomes:
            yield where, "Nothing is added to a request of which nothing is affirmed."
        if added.sequence in asked:
            yield f"{where}.sequence", f"Line {added.sequence} was asked for, so it is not added."
        for name, text in _of_the_service(added, asked, standard):
            yield f"{where}.{name}", text
        for name, day in (("first_day", added.first_day), ("last_day", added.last_day)):
            if day is not None and not standard.decided_on <= day <= standard.last_day:
                yield f"{where}.{name}", "The days granted lie within the 120 from the decision on."
    for position, error in enumerate(determination.answer.errors):
        if error.sequence is not None and error.sequence not in asked:
            yield f"answer.errors[{position}].sequence", f"There is no line {error.sequence}."


def _of_the_service(
    added: AddedItem, asked: dict[int, CaseItem], standard: Standard
) -> Iterator[_Fault]:
    """One select service per request, so that nothing of another is added to it.

    Source: WISeR Operational Guide 6.0, 3, Appendix A.
    """
    entry = standard.rules.by_code.get(added.code.code) if standard.rules else None
    if entry is not None and not entry.in_effect(added.first_day or standard.decided_on):
        yield "code", "The code added is not in effect on that day."
    elif entry is None and added.code not in {item.code for item in asked.values()}:
        yield "code", "The code added is one of the service asked for."
    if added.quantity is not None and not are_units(added.quantity):
        yield "quantity", f"A quantity is more than nothing, and at most {MOST_UNITS}."


def _providers(determination: Determination) -> Iterator[_Fault]:
    """Who is authorized by number has one that can be a number."""
    answer = determination.answer
    said: list[tuple[str, tuple[AuthorizedProvider, ...]]] = [
        ("answer", answer.providers),
        *((f"answer.added[{n}].answer", a.answer.providers) for n, a in enumerate(answer.added)),
        *((f"items[{n}].answer", i.answer.providers) for n, i in enumerate(determination.items)),
    ]
    for where, providers in said:
        for position, provider in enumerate(providers):
            if provider.npi is not None and not is_npi(provider.npi):
                yield f"{where}.providers[{position}].npi", "This is no NPI."
