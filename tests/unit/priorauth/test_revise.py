"""The next revision of a case: cancelled, decided anew, or with its decisions as they were."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from tests.unit.priorauth.wiser_requests import (
    CATALOGUE,
    EVERYWHERE,
    FIRST_INJECTION,
    RECEIVED,
    REGISTRY,
    form,
    line,
    request,
)
from wiser_fhir.priorauth.answer import CaseAnswer
from wiser_fhir.priorauth.decide import Decider, Policy
from wiser_fhir.priorauth.models import (
    CaseStatus,
    Change,
    CoverageKind,
    Dismissal,
    DismissalReason,
    Document,
    ItemRole,
    ItemStatus,
    PriorAuthorization,
    Submission,
    UtnState,
)
from wiser_fhir.priorauth.numbers import LocalUtnSource
from wiser_fhir.priorauth.revise import (
    Revision,
    cancelled_case,
    late_urgency,
    redecided_case,
    standing_case,
)

DECIDER = Decider(CATALOGUE, REGISTRY, Policy(EVERYWHERE, True, False), LocalUtnSource())
PAPER = Document("DocumentReference", "urn:1", "application/pdf", 9)
WANTED = request(items=(line("64483"), line("64484", sequence=2)), documents=(PAPER,), evidence=1)
UNMET = replace(WANTED, forms=(form({**FIRST_INJECTION, "esi-conservative": "none"}),))
LATER = RECEIVED + timedelta(days=10)


def _decided(asked: Submission) -> PriorAuthorization:
    return DECIDER.decide(asked, asked.received_at)


AFFIRMED, PENDED = _decided(WANTED), _decided(UNMET)


def _update(
    asked: Submission = WANTED, *, gone: tuple[int, ...] = (), **changes: Any
) -> Submission:
    items = tuple(replace(i, cancelled=i.sequence in gone) for i in asked.items)
    told = {"items": items, "received_at": LATER, "change": Change((asked.trace,)), **changes}
    return replace(asked, **told)


def _revision(
    case: PriorAuthorization, update: Submission, non_affirmed: frozenset[int] = frozenset()
) -> Revision:
    return Revision(case, update, non_affirmed)


def _again(revision: Revision) -> PriorAuthorization:
    found = redecided_case(DECIDER, revision, LATER)
    assert isinstance(found, PriorAuthorization)
    return found


def _statuses(case: PriorAuthorization) -> dict[int, ItemStatus]:
    return {item.sequence: item.status for item in case.items}


def test_the_cases_to_begin_with() -> None:
    assert (AFFIRMED.status, PENDED.status) == (CaseStatus.AFFIRMED, CaseStatus.IN_REVIEW)


# Cancelled


@pytest.mark.parametrize("case", [AFFIRMED, PENDED], ids=["affirmed", "pended"])
def test_a_cancelled_case_has_nothing_left(case: PriorAuthorization) -> None:
    whole = _update(change=Change((WANTED.trace,), whole=True), items=())
    after = cancelled_case(_revision(case, whole))
    assert (after.status, after.revision) == (CaseStatus.CANCELLED, 2)
    assert _statuses(after) == {1: ItemStatus.CANCELLED, 2: ItemStatus.CANCELLED}
    assert {item.note for item in after.items} == {"Cancelled by the submitter."}
    assert (after.utn, after.valid_from, after.valid_until, after.decided_at) == (None,) * 4
    assert after.superseded_utn == case.utn
    assert after.id == case.id


def test_a_line_that_nobody_knew_is_cancelled_as_it_came() -> None:
    nameless = replace(line("99999", sequence=4), cancelled=True)
    service = replace(nameless.service, codes=())
    more = _update(items=(*_update(gone=(1, 2)).items, replace(nameless, service=service)))
    after = cancelled_case(_revision(AFFIRMED, more))
    last = after.items[-1]
    assert (last.sequence, last.role, last.status) == (4, ItemRole.NOT_WISER, ItemStatus.CANCELLED)


# Decided anew


def test_a_decided_case_gets_a_new_clock_and_a_new_number() -> None:
    after = _again(_revision(AFFIRMED, _update()))
    assert (after.status, after.revision) == (CaseStatus.AFFIRMED, 2)
    assert (after.valid_from, after.valid_until) == (date(2026, 5, 14), date(2026, 9, 10))
    assert after.received_at == LATER
    assert after.decide_by == datetime(2026, 5, 17, 14, 0, tzinfo=UTC)
    assert after.utn is not None
    assert (after.superseded_utn, after.utn == AFFIRMED.utn) == (AFFIRMED.utn, False)
    assert after.reference == AFFIRMED.reference


def test_a_case_in_review_keeps_its_clock() -> None:
    after = _again(_revision(PENDED, _update(UNMET)))
    assert (after.status, after.revision) == (CaseStatus.IN_REVIEW, 2)
    assert (after.received_at, after.decide_by) == (RECEIVED, PENDED.decide_by)


def test_it_may_be_affirmed_now() -> None:
    after = _again(_revision(PENDED, _update()))
    assert (after.status, after.decided_at) == (CaseStatus.AFFIRMED, LATER)
    assert after.received_at == RECEIVED


def test_what_is_cancelled_is_not_decided() -> None:
    after = _again(_revision(PENDED, _update(gone=(2,))))
    assert _statuses(after) == {1: ItemStatus.AFFIRMED, 2: ItemStatus.CANCELLED}


def test_a_decided_case_may_go_back_into_review() -> None:
    after = _again(_revision(AFFIRMED, _update(UNMET)))
    assert after.status is CaseStatus.IN_REVIEW
    assert (after.utn, after.utn_state, after.valid_from, after.decided_at) == (None,) * 4
    assert after.superseded_utn == AFFIRMED.utn
    assert after.superseded_until == AFFIRMED.valid_until == date(2026, 8, 31)


def test_only_lines_that_were_decided_stood_under_the_number_before() -> None:
    more = _update(replace(UNMET, items=(*UNMET.items, line("64484", sequence=3))))
    after = _again(_revision(AFFIRMED, more))
    assert {i.sequence: i.former_utn for i in after.items} == {
        1: AFFIRMED.utn,
        2: AFFIRMED.utn,
        3: None,
    }


def test_lines_of_a_case_without_a_number_stood_under_none() -> None:
    after = _again(_revision(PENDED, _update(UNMET)))
    assert {i.former_utn for i in after.items} == {None}


def test_what_is_cancelled_under_a_number_stood_under_it() -> None:
    after = _again(_revision(AFFIRMED, _update(UNMET, gone=(2,))))
    assert after.items[1].former_utn == AFFIRMED.utn
    last = cancelled_case(_revision(after, _update(UNMET, gone=(1, 2))))
    assert [i.former_utn for i in last.items] == [AFFIRMED.utn, AFFIRMED.utn]


def test_a_number_that_ended_stands_through_no_review() -> None:
    expired = replace(AFFIRMED, utn_state=UtnState.EXPIRED)
    assert _again(_revision(expired, _update(UNMET))).superseded_until is None


def test_a_number_stands_until_the_next_decision() -> None:
    reopened = _again(_revision(AFFIRMED, _update(UNMET)))
    waiting = _again(_revision(reopened, _update(UNMET)))
    assert waiting.superseded_until == date(2026, 8, 31)
    assert _again(_revision(waiting, _update())).superseded_until is None
    gone = cancelled_case(_revision(waiting, _update(gone=(1, 2))))
    assert gone.superseded_until is None


def test_a_number_from_before_is_remembered_through_a_review() -> None:
    reopened = _again(_revision(AFFIRMED, _update(UNMET)))
    after = _again(_revision(reopened, _update(UNMET)))
    assert (after.revision, after.superseded_utn) == (3, AFFIRMED.utn)


def test_what_is_out_of_scope_now_is_dismissed_by_its_gate() -> None:
    found = redecided_case(
        DECIDER, _revision(PENDED, _update(coverage=CoverageKind.MEDICAID)), LATER
    )
    assert isinstance(found, Dismissal)
    assert found.reason is DismissalReason.MEDICARE_ADVANTAGE_OR_MEDICAID


def test_after_a_non_affirmation_only_a_person_decides() -> None:
    after = _again(_revision(PENDED, _update(), frozenset({2})))
    assert after.status is CaseStatus.IN_REVIEW
    assert after.assessment is not None
    assert after.assessment.findings[0].text == "A line of this request was not affirmed before."


def test_urgency_told_late_is_for_a_person_and_moves_no_clock() -> None:
    urgent = _update(expedite_requested=True)
    after = _again(_revision(PENDED, urgent))
    assert (after.status, after.expedited) == (CaseStatus.IN_REVIEW, False)
    assert after.decide_by == PENDED.decide_by
    assert late_urgency(PENDED, urgent)


def test_urgency_of_a_new_clock_is_not_late() -> None:
    urgent = _update(expedite_requested=True)
    after = _again(_revision(AFFIRMED, urgent))
    assert (after.status, after.expedited) == (CaseStatus.AFFIRMED, True)
    assert not late_urgency(AFFIRMED, urgent)
    assert not late_urgency(replace(PENDED, expedited=True), urgent)
    assert not late_urgency(PENDED, _update())


def test_what_a_person_said_of_urgency_holds_as_long_as_the_clock() -> None:
    asked = replace(UNMET, expedite_requested=True)
    case = replace(_decided(asked), expedite_confirmed=True)
    assert _again(_revision(case, _update(asked))).expedite_confirmed
    decided = replace(AFFIRMED, expedite_confirmed=True)
    assert _again(_revision(decided, _update())).expedite_confirmed is None


# Decisions that stand


def test_decisions_stand_without_a_line() -> None:
    noted = replace(AFFIRMED, answer=CaseAnswer(notes=("Said before.",)), reviewed_by_person=True)
    after = standing_case(_revision(noted, _update(gone=(2,))), "ZZB00000000009")
    assert after is not None
    assert _statuses(after) == {1: ItemStatus.AFFIRMED, 2: ItemStatus.CANCELLED}
    assert (after.status, after.revision) == (CaseStatus.AFFIRMED, 2)
    assert (after.utn, after.utn_state) == ("ZZB00000000009", UtnState.ASSIGNED)
    assert (after.decided_at, after.valid_until) == (AFFIRMED.decided_at, AFFIRMED.valid_until)
    assert (after.answer, after.reviewed_by_person) == (noted.answer, True)
    assert after.items[1].decision is None


def test_their_number_may_come_later() -> None:
    after = standing_case(_revision(AFFIRMED, _update(gone=(2,))), None)
    assert after is not None
    assert (after.utn, after.utn_state) == (None, UtnState.PENDING)


def _with(*statuses: ItemStatus) -> PriorAuthorization:
    items = zip(AFFIRMED.items, statuses, strict=True)
    return replace(AFFIRMED, items=tuple(replace(i, status=s) for i, s in items))


@pytest.mark.parametrize(
    ("first", "second", "status"),
    [
        (ItemStatus.AFFIRMED, ItemStatus.NON_AFFIRMED, CaseStatus.PARTIALLY_AFFIRMED),
        (ItemStatus.NON_AFFIRMED, ItemStatus.NON_AFFIRMED, CaseStatus.NON_AFFIRMED),
        (ItemStatus.NON_AFFIRMED, ItemStatus.NOT_APPLICABLE, CaseStatus.NON_AFFIRMED),
        (ItemStatus.NOT_APPLICABLE, ItemStatus.AFFIRMED, CaseStatus.AFFIRMED),
    ],
)
def test_the_lines_that_stay_say_how_the_case_stands(
    first: ItemStatus, second: ItemStatus, status: CaseStatus
) -> None:
    after = standing_case(_revision(_with(first, second), _update()), None)
    assert after is not None
    assert after.status is status
    affirmed = status is not CaseStatus.NON_AFFIRMED
    assert (after.valid_from is not None, after.valid_until is not None) == (affirmed, affirmed)


def test_without_a_decided_line_nothing_stands() -> None:
    left = _with(ItemStatus.AFFIRMED, ItemStatus.NOT_APPLICABLE)
    assert standing_case(_revision(left, _update(gone=(1,))), None) is None
