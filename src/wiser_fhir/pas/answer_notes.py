"""The notes of an answer: every text once, by its number."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from wiser_fhir.fhir.codes import Line
from wiser_fhir.fhir.elements import Json
from wiser_fhir.priorauth.answer import AddedItem, GrantedDetail, ItemAnswer
from wiser_fhir.priorauth.models import (
    CaseItem,
    CaseStatus,
    FindingStatus,
    ItemStatus,
    PriorAuthorization,
)

_FINDING_WORDS = {
    FindingStatus.UNMET: "Criterion not met",
    FindingStatus.UNANSWERED: "Not answered",
    FindingStatus.NEEDS_JUDGEMENT: "For the reviewing clinician",
}


@dataclass(frozen=True, slots=True)
class Notes:
    """Numbers by text, counted from 1. Source: PAS 2.2.1, ClaimResponse.processNote."""

    numbers: Mapping[str, int]

    @classmethod
    def of(cls, case: PriorAuthorization, line: Line, *, inquiry: bool) -> "Notes":
        """Those of the lines first, then of what is wrong, of the whole request, and remarks."""
        texts = _dismissed(case) if case.dismissal is not None else _answered(case, line, inquiry)
        once = dict.fromkeys((*texts, *case.remarks))
        return cls({text: number for number, text in enumerate(once, start=1)})

    def numbered(self, texts: Iterable[str]) -> list[int]:
        """The numbers of some of the texts."""
        return [self.numbers[text] for text in texts]

    def as_json(self) -> list[Json]:
        """The notes as the answer lists them."""
        return [
            {"number": number, "type": "display", "text": text}
            for text, number in self.numbers.items()
        ]


def _dismissed(case: PriorAuthorization) -> Iterator[str]:
    if case.dismissal is not None:
        yield case.dismissal.detail


def _answered(case: PriorAuthorization, line: Line, inquiry: bool) -> Iterator[str]:
    for item in case.items:
        yield from item_notes(case, item, line, inquiry=inquiry)
    for added in case.answer.added:
        yield from added_notes(added, line)
    yield from (error.note for error in case.answer.errors if error.note is not None)
    yield from _standing(case)
    yield from case.answer.notes


def _standing(case: PriorAuthorization) -> Iterator[str]:
    """That a number holds through the review of what an update changed."""
    if case.status is CaseStatus.IN_REVIEW and case.superseded_until is not None:
        yield (
            f"The tracking number {case.superseded_utn} stays valid until {case.superseded_until},"
            " while this is decided."
        )


def item_notes(
    case: PriorAuthorization, item: CaseItem, line: Line, *, inquiry: bool
) -> tuple[str, ...]:
    """What is to say of a line: why it is decided so and how to ask again, or what is open.

    A non-affirmation gives its reason and the steps in words. Source: WISeR Operational Guide 6.0,
    4.1.2; 42 CFR 422.122 as the regulations page of PAS 2.2.1 sums it up (a specific reason).
    """
    return tuple(dict.fromkeys(_of_item(case, item, line, inquiry)))


def _of_item(case: PriorAuthorization, item: CaseItem, line: Line, inquiry: bool) -> Iterator[str]:
    if item.note:
        yield item.note
    decision = item.decision
    if decision is not None:
        if decision.rationale:
            yield decision.rationale
        if decision.resubmission_steps:
            yield f"To ask again: {decision.resubmission_steps}"
        yield from _of_answer(decision.answer, line)
        if inquiry:
            yield from (f"Diagnosis: {code.code}" for code in decision.answer.diagnoses[1:])
    if item.status is ItemStatus.PENDED and case.assessment is not None:
        for finding in case.assessment.findings:
            if finding.status is not FindingStatus.MET and not finding.internal:
                yield f"{_FINDING_WORDS[finding.status]} ({finding.criterion}): {finding.text}"


def added_notes(added: AddedItem, line: Line) -> tuple[str, ...]:
    """What is to say of something granted unasked. Line 2.0 has no other word for its decision."""
    first = () if line == "2.2" else (f"Affirmed though not asked for: {added.code.code}.",)
    return tuple(dict.fromkeys((*first, *_of_answer(added.answer, line))))


def _of_answer(answer: ItemAnswer, line: Line) -> Iterator[str]:
    """The words, and on line 2.0 what it has no element for."""
    if line == "2.0":
        yield from _stay(answer)
        yield from _detail(answer.detail)
    yield from answer.notes


def _stay(answer: ItemAnswer) -> Iterator[str]:
    if answer.admission is not None:
        stay = answer.admission
        until = f" to {stay.last}" if stay.last is not None else ""
        yield f"Admission authorized: {stay.first}{until}."
    if answer.discharge is not None:
        yield f"Discharge authorized: {answer.discharge}."


def _detail(detail: GrantedDetail) -> Iterator[str]:
    said = {
        "last code of the range": detail.code_end.code if detail.code_end is not None else None,
        "EPSDT": None if detail.epsdt is None else "yes" if detail.epsdt else "no",
        "nursing home level of care": detail.care_level,
        "nursing home residential status": detail.residential_status,
        "rate limit": detail.rate_limit,
        "type of request": detail.request_type,
        "certification type": detail.certification_type,
        "place of service": detail.place_of_service,
        "type of bill": detail.bill_type,
    }
    yield from (
        f"Authorized, {what}: {value}." for what, value in said.items() if value is not None
    )
