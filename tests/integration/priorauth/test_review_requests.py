"""What people ask for before deciding; the clock runs on."""

from datetime import timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.cases import RECEIVED
from tests.clocks import StillClock
from tests.reviewing import NOW, affirm, by, determination, history, raced, sent_again, stored, told
from wiser_fhir.auth.people import Reviewer
from wiser_fhir.errors import Conflict, NotFound, ProfileViolation
from wiser_fhir.priorauth.asked import Asked
from wiser_fhir.priorauth.desk import AlreadyDetermined
from wiser_fhir.priorauth.information import Material, RequestState, Wanted
from wiser_fhir.priorauth.models import CaseStatus, PriorAuthorization
from wiser_fhir.priorauth.review import ReviewService

AFFIRMED = determination(affirm(1), affirm(2))
IMAGING = Asked(Material.DOCUMENTS, (Wanted(code="18748-4", lines=(1,)),), "Both views, please.")
THERAPY = Asked(Material.DOCUMENTS, (Wanted(code="11506-3"),))
DAY = timedelta(days=1)
QUESTIONS = Asked(
    Material.QUESTIONNAIRE,
    (
        Wanted(
            questionnaire=(
                "https://wiser-fhir.example/fhir/Questionnaire/"
                "epidural-steroid-injection|2026-01-15"
            )
        ),
    ),
)


async def test_what_is_asked_for_is_in_the_next_answer_and_the_clock_runs_on(
    review: ReviewService,
    app_engine: AsyncEngine,
    superuser_engine: AsyncEngine,
    pended: PriorAuthorization,
    coordinator: Reviewer,
) -> None:
    await review.request_information(by(coordinator), pended.id, 1, [IMAGING])
    case = await stored(app_engine, pended)
    assert (case.status, case.revision) == (CaseStatus.IN_REVIEW, 1)
    assert case.decide_by == pended.decide_by
    (request,) = case.requests
    assert (request.wanted, request.note) == (IMAGING.wanted, "Both views, please.")
    assert (request.asked_at, request.due_at) == (NOW, pended.decide_by)
    latest = await told(review, coordinator, pended.id)
    assert (latest["answers"], latest["asked"]) == (2, ["open"])
    assert await history(superuser_engine, pended.id) == [
        ("information-requested", coordinator.person_id, None)
    ]


async def test_at_the_deadline_a_clinician_decides_on_what_is_there(
    review: ReviewService,
    app_engine: AsyncEngine,
    pended: PriorAuthorization,
    clinician: Reviewer,
    now: StillClock,
) -> None:
    await review.request_information(by(clinician), pended.id, 1, [IMAGING])
    now.now = RECEIVED + 3 * DAY
    with pytest.raises(ProfileViolation) as refused:
        await review.request_information(by(clinician), pended.id, 1, [THERAPY])
    assert [problem.text for problem in refused.value.problems] == [
        "The deadline is past: decide on what is there."
    ]
    now.now = RECEIVED + 4 * DAY
    given = await review.determine(by(clinician), pended.id, 1, AFFIRMED)
    assert [request.state for request in given.requests] == [RequestState.LAPSED]
    case = await stored(app_engine, pended)
    assert [request.state for request in case.requests] == [RequestState.LAPSED]
    assert (await told(review, clinician, pended.id))["asked"] == ["lapsed"]


async def test_something_is_asked_for_once_more_after_it_was_withdrawn(
    review: ReviewService,
    app_engine: AsyncEngine,
    pended: PriorAuthorization,
    coordinator: Reviewer,
) -> None:
    case = await review.request_information(by(coordinator), pended.id, 1, [IMAGING])
    with pytest.raises(ProfileViolation):
        await review.request_information(by(coordinator), pended.id, 1, [IMAGING])
    wanted_id = case.requests[0].id
    await review.withdraw_request(by(coordinator), pended.id, wanted_id)
    assert (await told(review, coordinator, pended.id))["asked"] == ["withdrawn"]
    with pytest.raises(Conflict, match="open no more"):
        await review.withdraw_request(by(coordinator), pended.id, wanted_id)
    await review.request_information(by(coordinator), pended.id, 1, [IMAGING, QUESTIONS])
    states = [request.state for request in (await stored(app_engine, pended)).requests]
    assert sorted(states) == ["open", "open", "withdrawn"]


async def test_what_was_never_asked_for_is_not_withdrawn(
    review: ReviewService, pended: PriorAuthorization, coordinator: Reviewer
) -> None:
    with pytest.raises(NotFound, match="request for information"):
        await review.withdraw_request(by(coordinator), pended.id, pended.id)


async def test_of_what_is_decided_or_changed_nothing_is_asked(
    review: ReviewService,
    app_engine: AsyncEngine,
    pended: PriorAuthorization,
    clinician: Reviewer,
) -> None:
    await sent_again(app_engine, pended)
    with pytest.raises(Conflict, match="revision 2 now"):
        await review.request_information(by(clinician), pended.id, 1, [IMAGING])
    await review.determine(by(clinician), pended.id, 2, AFFIRMED)
    with pytest.raises(AlreadyDetermined):
        await review.request_information(by(clinician), pended.id, 2, [IMAGING])


async def test_a_decision_and_a_question_at_once_take_turns(
    review: ReviewService,
    app_engine: AsyncEngine,
    superuser_engine: AsyncEngine,
    pended: PriorAuthorization,
    clinician: Reviewer,
    coordinator: Reviewer,
) -> None:
    asked, given = await raced(
        app_engine,
        superuser_engine,
        pended,
        review.request_information(by(coordinator), pended.id, 1, [IMAGING]),
        review.determine(by(clinician), pended.id, 1, AFFIRMED),
    )
    assert isinstance(asked, PriorAuthorization)
    assert isinstance(given, PriorAuthorization)
    assert [request.state for request in given.requests] == [RequestState.LAPSED]
