"""What an update may be, given the request it changes. Pure."""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

from wiser_fhir.errors import Problem
from wiser_fhir.priorauth.models import (
    CaseStatus,
    DismissalReason,
    ItemChange,
    ItemRole,
    ItemStatus,
    PriorAuthorization,
    RequestedItem,
    Submission,
)

_CLAIM = "Bundle.entry[0].resource"

Content = Callable[[Collection[int]], bytes]
"""A digest of all that a request tells, less its lines of these sequences."""


class UpdateRefusal(StrEnum):
    """Why an update changes nothing, beside the reasons of a dismissal.

    Source: PAS 2.2.1 §spec-64 (a payer may ask for a new request instead), additional notes (a
    denied authorization is not updated).
    """

    UNKNOWN = "update-of-unknown-request"
    OUTDATED = "update-of-outdated-request"
    DISMISSED = "update-of-dismissed-request"
    NON_AFFIRMED = "update-of-non-affirmed-request"
    CANCELLED = "update-of-cancelled-request"
    LINE_NON_AFFIRMED = "update-of-non-affirmed-line"
    NOTHING_CHANGED = "update-that-changes-nothing"


@dataclass(frozen=True, slots=True)
class Refused:
    """An update that changes nothing. `detail` tells the provider what to do, in our words."""

    reason: UpdateRefusal | DismissalReason
    detail: str


_DETAILS = {
    UpdateRefusal.UNKNOWN: "No request of this beneficiary has the number that the update names."
    " Name the last one sent, or send a new request.",
    UpdateRefusal.OUTDATED: "The request named was updated before. Name the last update, and tell"
    " all that it told.",
    UpdateRefusal.DISMISSED: "The request was dismissed, so there is nothing to update. Send a new"
    " one.",
    UpdateRefusal.NON_AFFIRMED: "The request was not affirmed. Resubmit it as a new one that names"
    " its tracking number.",
    UpdateRefusal.CANCELLED: "The request was cancelled, which is final. Send a new one.",
    UpdateRefusal.NOTHING_CHANGED: "The update changes nothing: what was decided stands, and so"
    " does its tracking number.",
}

_ENDED = {
    CaseStatus.DISMISSED: UpdateRefusal.DISMISSED,
    CaseStatus.NON_AFFIRMED: UpdateRefusal.NON_AFFIRMED,
    CaseStatus.CANCELLED: UpdateRefusal.CANCELLED,
}


def refused(reason: UpdateRefusal) -> Refused:
    """A refusal in its usual words."""
    return Refused(reason, _DETAILS[reason])


def ended(case: PriorAuthorization) -> Refused | None:
    """Why a case takes no update any more; None for one that does."""
    reason = _ENDED.get(case.status)
    return refused(reason) if reason else None


@dataclass(frozen=True, slots=True)
class Earlier:
    """The request before, as it was read. `materials` are the sequences of its supporting
    information, `content` digests all that it tells."""

    submission: Submission
    materials: frozenset[int]
    content: Content


def missing(case: PriorAuthorization, earlier: Earlier, update: Submission) -> list[Problem]:
    """What an update leaves out of the full picture: lines and materials told before.

    One that cancels everything need not repeat it.
    Source: PAS 2.2.1 §spec-68 (all of it with its sequence, also what is cancelled).
    """
    change = update.change
    if change is None or change.whole:
        return []
    lines = {item.sequence for item in case.items} - {item.sequence for item in update.items}
    materials = earlier.materials - change.materials
    return [
        *_problems(lines, "line", f"{_CLAIM}.item"),
        *_problems(materials, "supporting information", f"{_CLAIM}.supportingInfo"),
    ]


def _problems(sequences: Collection[int], what: str, where: str) -> Iterator[Problem]:
    for sequence in sorted(sequences):
        text = f"An update repeats all that was told before; {what} {sequence} is missing."
        yield Problem("error", "business-rule", text, where)


def cancelled_lines(case: PriorAuthorization, update: Submission) -> frozenset[int]:
    """The lines that are wanted no more. What was cancelled once stays so.

    Source: PAS 2.2.1 §spec-69, updating section.
    """
    gone = {item.sequence for item in case.items if item.status is ItemStatus.CANCELLED}
    if update.change is not None and update.change.whole:
        gone |= {item.sequence for item in case.items}
        gone |= {item.sequence for item in update.items}
    return frozenset(gone | {item.sequence for item in update.items if item.cancelled})


def changed_lines(earlier: Submission, update: Submission) -> frozenset[int]:
    """The lines asked for otherwise than before, whether the update says so or not.

    Neither word of the flag is held against the sender: a line is added where it is new, and
    changed where it is said to be or differs. Source: PAS 2.2.1 §spec-71, §spec-72.
    """
    before = {item.sequence: _asked(item) for item in earlier.items}
    return frozenset(
        item.sequence
        for item in update.items
        if item.sequence in before
        and (item.change is ItemChange.CHANGED or _asked(item) != before[item.sequence])
    )


def _asked(item: RequestedItem) -> RequestedItem:
    """A line without what an update says of it."""
    return replace(item, change=None, cancelled=False)


def line_refusal(non_affirmed: Collection[int], changed: Collection[int]) -> Refused | None:
    """Why lines that a clinician has not affirmed are not changed by an update.

    Source: PAS 2.2.1, additional notes; WISeR Operational Guide 6.0, 4.4.
    """
    lines = sorted(set(non_affirmed).intersection(changed))
    if not lines:
        return None
    detail = (
        f"Line {', '.join(map(str, lines))} was not affirmed and cannot be changed. Resubmit it in"
        " a new request that names the tracking number."
    )
    return Refused(UpdateRefusal.LINE_NON_AFFIRMED, detail)


def only_cancels(
    case: PriorAuthorization, earlier: Earlier, update: Submission, content: Content
) -> bool:
    """Whether an update takes lines away and tells nothing new, so that decisions may stand.

    `content` is the update's. What an update says of its changes is believed where it says that
    there are some, never where it says nothing. Decisions may not stand where the code goes that an
    add-on needs beside it.
    """
    cancelled = cancelled_lines(case, update)
    known = {item.sequence for item in case.items}
    untold = {item.sequence for item in update.items} <= known
    same = not changed_lines(earlier.submission, update) - cancelled
    marked = update.change is not None and update.change.retold
    return (
        untold
        and same
        and not marked
        and earlier.content(cancelled) == content(cancelled)
        and _add_ons_stand(case, cancelled)
    )


def changes_nothing(
    case: PriorAuthorization, earlier: Earlier, update: Submission, content: Content
) -> bool:
    """Whether an update takes no line away and tells just what was told before, however marked."""
    cancelled = cancelled_lines(case, update)
    gone = {item.sequence for item in case.items if item.status is ItemStatus.CANCELLED}
    return cancelled == gone and earlier.content(cancelled) == content(cancelled)


def _add_ons_stand(case: PriorAuthorization, cancelled: Collection[int]) -> bool:
    going = {i.role for i in case.items if i.sequence in cancelled}
    staying = {i.role for i in case.items if i.sequence not in cancelled}
    return not (ItemRole.PRIMARY in going and ItemRole.ADD_ON in staying)
