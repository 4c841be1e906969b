"""What a reviewer asks for before deciding, and what may be asked."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from wiser_fhir.clock import business_date
from wiser_fhir.coverage.catalogue import Catalogue
from wiser_fhir.errors import Problem
from wiser_fhir.priorauth.answer import CaseAnswer
from wiser_fhir.priorauth.information import InformationRequest, Material, RequestState, Wanted
from wiser_fhir.priorauth.models import ItemStatus, PriorAuthorization
from wiser_fhir.priorauth.numbers import time_ordered_uuid

_LOINC = re.compile("[0-9]{1,7}-[0-9]")


@dataclass(frozen=True, slots=True)
class Asked:
    """Material of one kind that a reviewer wants. `note` is for the provider.

    `due_at` is an instant before the case's deadline; None asks for it by the deadline itself.
    """

    kind: Material
    wanted: tuple[Wanted, ...]
    note: str | None = None
    due_at: datetime | None = None


def requested(
    asked: Sequence[Asked], decide_by: datetime, now: datetime
) -> tuple[InformationRequest, ...]:
    """The requests for information that this asking becomes."""
    return tuple(
        InformationRequest(
            id=time_ordered_uuid(),
            kind=each.kind,
            asked_at=now,
            due_at=each.due_at or decide_by,
            wanted=each.wanted,
            note=each.note,
        )
        for each in asked
    )


def asking_problems(
    case: PriorAuthorization,
    asked: Sequence[Asked],
    catalogue: Catalogue,
    now: datetime,
) -> tuple[Problem, ...]:
    """Everything that keeps this from being asked; none when it may be.

    The clock runs on while an answer is awaited, so that past its end there is nothing left to ask:
    a clinician decides on what is there.
    Source: WISeR Operational Guide 6.0, 4.2 (the time limits know no pause).
    """
    return tuple(
        Problem("error", "business-rule", text, expression)
        for expression, text in _faults(case, asked, catalogue, now)
    )


_Fault = tuple[str, str]


def _faults(
    case: PriorAuthorization,
    asked: Sequence[Asked],
    catalogue: Catalogue,
    now: datetime,
) -> Iterator[_Fault]:
    on = business_date(now)
    if not asked:
        yield "requests", "Nothing is asked for."
    if case.decide_by is not None and now >= case.decide_by:
        yield "requests", "The deadline is past: decide on what is there."
    kinds = [each.kind for each in asked]
    if len(set(kinds)) < len(kinds):
        yield "requests", "What is of one kind is asked for in one request."
    for position, each in enumerate(asked):
        where = f"requests[{position}]"
        yield from _of_one_kind(each, where)
        yield from _timely(case, each, where, now)
        if each.note is not None and not sendable(each.note):
            yield f"{where}.note", "A note is text that can be printed, and not blank."
        for nth, wanted in enumerate(each.wanted):
            for name, text in _wanted(case, wanted, catalogue, on):
                yield f"{where}.wanted[{nth}].{name}", text


def sendable(text: str) -> bool:
    """Whether a text can stand in an answer: not blank, and printable."""
    try:
        CaseAnswer(notes=(text,))
    except ValueError:
        return False
    return True


def _of_one_kind(asked: Asked, where: str) -> Iterator[_Fault]:
    """A request asks for one kind of material. Source: PAS 2.2.1 §ainfo-7."""
    if not asked.wanted:
        yield f"{where}.wanted", "Nothing is asked for."
    by_code = asked.kind is Material.DOCUMENTS
    if any((wanted.code is not None) != by_code for wanted in asked.wanted):
        yield f"{where}.wanted", f"A request for {asked.kind} asks for nothing else."


def _timely(case: PriorAuthorization, asked: Asked, where: str, now: datetime) -> Iterator[_Fault]:
    due, deadline = asked.due_at, case.decide_by
    if due is not None and (due <= now or (deadline is not None and due > deadline)):
        yield f"{where}.due_at", "It is due after now, and by the deadline of the case."


def _wanted(
    case: PriorAuthorization, wanted: Wanted, catalogue: Catalogue, on: date
) -> Iterator[_Fault]:
    undecided = {item.sequence for item in case.items if item.status is ItemStatus.PENDED}
    for sequence in sorted(set(wanted.lines) - undecided):
        yield "lines", f"Line {sequence} is none that there is to decide."
    for name, code in (("code", wanted.code), ("modifier", wanted.modifier)):
        if code is not None and not _LOINC.fullmatch(code):
            yield name, "A document is named by a LOINC code."
    if wanted.questionnaire is not None:
        url, _, version = wanted.questionnaire.partition("|")
        if catalogue.form(url, version, on) is None:
            yield "questionnaire", "There is no such form, in a version that counts today."
    asked_before = (
        wanted in request.wanted for request in case.requests if request.state is RequestState.OPEN
    )
    if any(asked_before):
        name = "code" if wanted.questionnaire is None else "questionnaire"
        yield name, "This was asked for and has not come yet."
