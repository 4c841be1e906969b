"""Whether a review is expedited, a clinician says."""

from datetime import timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.cases import RECEIVED
from tests.clocks import StillClock
from tests.reviewing import affirm, by, determination, history, rows, stored, told
from wiser_fhir.auth.people import Reviewer
from wiser_fhir.errors import Conflict, Forbidden, ProfileViolation
from wiser_fhir.priorauth.asked import Asked
from wiser_fhir.priorauth.clocks import Nearness
from wiser_fhir.priorauth.information import Material, Wanted
from wiser_fhir.priorauth.models import PriorAuthorization
from wiser_fhir.priorauth.review import ReviewService

AFFIRMED = determination(affirm(1), affirm(2))
IMAGING = Asked(Material.DOCUMENTS, (Wanted(code="18748-4", lines=(1,)),), "Both views, please.")
THERAPY = Asked(Material.DOCUMENTS, (Wanted(code="11506-3"),))
DAY = timedelta(days=1)


async def test_a_confirmed_risk_keeps_the_expedited_clock(
    review: ReviewService,
    app_engine: AsyncEngine,
    superuser_engine: AsyncEngine,
    expedited: PriorAuthorization,
    clinician: Reviewer,
) -> None:
    await review.confirm_expedite(by(clinician), expedited.id, 1)
    case = await stored(app_engine, expedited)
    assert (case.expedited, case.expedite_confirmed) == (True, True)
    assert case.decide_by == expedited.decide_by
    assert (await told(review, clinician, expedited.id))["answers"] == 1
    assert await history(superuser_engine, expedited.id) == [
        ("expedite-confirmed", clinician.person_id, None)
    ]


async def test_a_risk_that_is_not_seen_gives_the_standard_clock_from_receipt_and_a_notice(
    review: ReviewService,
    app_engine: AsyncEngine,
    superuser_engine: AsyncEngine,
    expedited: PriorAuthorization,
    clinician: Reviewer,
) -> None:
    await review.decline_expedite(by(clinician), expedited.id, 1, "Pain is stable for weeks.")
    case = await stored(app_engine, expedited)
    assert (case.expedited, case.expedite_confirmed) == (False, False)
    assert case.decide_by == RECEIVED + 3 * DAY
    letters = "select kind, recipient, revision, state from letter where case_id = :case"
    assert await rows(superuser_engine, letters, expedited.id) == [
        ("expedite-notice", "provider", 1, "queued")
    ]
    assert await history(superuser_engine, expedited.id) == [
        ("expedite-declined", clinician.person_id, "Pain is stable for weeks.")
    ]
    latest = await told(review, clinician, expedited.id)
    said = "Reviewed within the standard time: the risk that would expedite is not seen."
    assert (latest["answers"], latest["notes"]) == (2, [said, "Pain is stable for weeks."])


async def test_the_notice_is_still_told_with_the_decision(
    review: ReviewService, expedited: PriorAuthorization, clinician: Reviewer
) -> None:
    await review.decline_expedite(by(clinician), expedited.id, 1, "Pain is stable for weeks.")
    said = determination(affirm(1), affirm(2), note="Call us with questions.")
    await review.determine(by(clinician), expedited.id, 1, said)
    assert (await told(review, clinician, expedited.id))["notes"] == [
        "Reviewed within the standard time: the risk that would expedite is not seen.",
        "Pain is stable for weeks.",
        "Call us with questions.",
    ]


async def test_a_standard_deadline_that_is_over_is_shown_as_over(
    review: ReviewService,
    app_engine: AsyncEngine,
    expedited: PriorAuthorization,
    clinician: Reviewer,
    now: StillClock,
) -> None:
    now.now = RECEIVED + 5 * DAY
    await review.decline_expedite(by(clinician), expedited.id, 1, "Pain is stable for weeks.")
    assert (await stored(app_engine, expedited)).decide_by == RECEIVED + 3 * DAY
    assert (await review.case_file(by(clinician), expedited.id)).nearness is Nearness.PAST


async def test_whether_a_review_is_expedited_is_said_once(
    review: ReviewService, expedited: PriorAuthorization, clinician: Reviewer
) -> None:
    await review.confirm_expedite(by(clinician), expedited.id, 1)
    with pytest.raises(Conflict, match="said already"):
        await review.decline_expedite(by(clinician), expedited.id, 1, "No.")
    with pytest.raises(Conflict, match="said already"):
        await review.confirm_expedite(by(clinician), expedited.id, 1)


async def test_what_nobody_asked_to_expedite_is_not_expedited(
    review: ReviewService, pended: PriorAuthorization, clinician: Reviewer
) -> None:
    with pytest.raises(Conflict, match="No expedited review"):
        await review.confirm_expedite(by(clinician), pended.id, 1)


async def test_whether_a_risk_is_real_a_clinician_says(
    review: ReviewService, expedited: PriorAuthorization, coordinator: Reviewer
) -> None:
    with pytest.raises(Forbidden, match="Only a clinician"):
        await review.confirm_expedite(by(coordinator), expedited.id, 1)
    with pytest.raises(Forbidden, match="Only a clinician"):
        await review.decline_expedite(by(coordinator), expedited.id, 1, "No.")


@pytest.mark.parametrize("reason", ["", " ", "a\x00"])
async def test_it_is_not_declined_without_a_reason(
    review: ReviewService, expedited: PriorAuthorization, clinician: Reviewer, reason: str
) -> None:
    with pytest.raises(ProfileViolation, match="reason"):
        await review.decline_expedite(by(clinician), expedited.id, 1, reason)
