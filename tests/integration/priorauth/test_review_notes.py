"""Notes, and who has taken a case up."""

from datetime import timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.database import MakeCase
from tests.reviewing import (
    NOW,
    SERVICE,
    MakePerson,
    affirm,
    by,
    determination,
    history,
    rows,
    told,
)
from wiser_fhir.auth.people import Reviewer
from wiser_fhir.errors import Conflict, Forbidden, NotFound, ProfileViolation
from wiser_fhir.priorauth.asked import Asked
from wiser_fhir.priorauth.information import Material, Wanted
from wiser_fhir.priorauth.models import CaseStatus, PriorAuthorization
from wiser_fhir.priorauth.review import ReviewService

AFFIRMED = determination(affirm(1), affirm(2))
IMAGING = Asked(Material.DOCUMENTS, (Wanted(code="18748-4", lines=(1,)),), "Both views, please.")
THERAPY = Asked(Material.DOCUMENTS, (Wanted(code="11506-3"),))
DAY = timedelta(days=1)


async def test_a_note_is_added_at_any_time_and_told_to_nobody(
    review: ReviewService,
    superuser_engine: AsyncEngine,
    pended: PriorAuthorization,
    clinician: Reviewer,
    coordinator: Reviewer,
) -> None:
    await review.note(by(coordinator), pended.id, "Called the office.")
    await review.determine(by(clinician), pended.id, 1, AFFIRMED)
    await review.note(by(clinician), pended.id, "They called back.")
    assert await history(superuser_engine, pended.id) == [
        ("noted", coordinator.person_id, "Called the office."),
        ("determined", clinician.person_id, None),
        ("noted", clinician.person_id, "They called back."),
    ]
    assert (await told(review, clinician, pended.id))["answers"] == 2


async def test_a_note_says_something(
    review: ReviewService, pended: PriorAuthorization, coordinator: Reviewer
) -> None:
    with pytest.raises(ProfileViolation, match="text"):
        await review.note(by(coordinator), pended.id, "  ")


async def test_an_auditor_changes_nothing(
    review: ReviewService, pended: PriorAuthorization, make_person: MakePerson
) -> None:
    auditor = by(await make_person(roles=("auditor",)))
    for act in (
        review.note(auditor, pended.id, "Seen."),
        review.assign(auditor, pended.id),
        review.release(auditor, pended.id),
        review.request_information(auditor, pended.id, 1, [IMAGING]),
        review.withdraw_request(auditor, pended.id, pended.id),
    ):
        with pytest.raises(Forbidden, match="Only clinicians and coordinators"):
            await act


async def test_a_case_is_taken_handed_over_and_released(
    review: ReviewService,
    superuser_engine: AsyncEngine,
    pended: PriorAuthorization,
    clinician: Reviewer,
    coordinator: Reviewer,
) -> None:
    await review.assign(by(clinician), pended.id)
    taken = (await review.case_file(by(clinician), pended.id)).assigned
    assert taken is not None
    assert (taken.person_id, taken.name, taken.at) == (clinician.person_id, clinician.name, NOW)
    await review.assign(by(coordinator), pended.id, coordinator.person_id)
    handed = (await review.case_file(by(clinician), pended.id)).assigned
    assert handed is not None
    assert handed.person_id == coordinator.person_id
    await review.release(by(clinician), pended.id)
    assert (await review.case_file(by(clinician), pended.id)).assigned is None
    query = "select kind, detail ->> 'to' from case_event where case_id = :case order by at, id"
    assert await rows(superuser_engine, query, pended.id) == [
        ("assigned", str(clinician.person_id)),
        ("assigned", str(coordinator.person_id)),
        ("released", None),
    ]


async def test_an_assignment_locks_nobody_out(
    review: ReviewService,
    pended: PriorAuthorization,
    clinician: Reviewer,
    coordinator: Reviewer,
) -> None:
    await review.assign(by(coordinator), pended.id)
    given = await review.determine(by(clinician), pended.id, 1, AFFIRMED)
    assert given.status is CaseStatus.AFFIRMED


async def test_a_case_is_given_to_those_who_may_review_it(
    review: ReviewService,
    pended: PriorAuthorization,
    make_person: MakePerson,
    coordinator: Reviewer,
) -> None:
    insider = await make_person(organizations=[pended.organization_id])
    with pytest.raises(Forbidden, match="organization they belong to"):
        await review.assign(by(coordinator), pended.id, insider.person_id)
    auditor = await make_person(roles=("auditor",))
    with pytest.raises(Forbidden, match="Only clinicians and coordinators"):
        await review.assign(by(coordinator), pended.id, auditor.person_id)
    gone = await make_person(active=False)
    for nobody in (gone.person_id, pended.id):
        with pytest.raises(NotFound, match="person"):
            await review.assign(by(coordinator), pended.id, nobody)


async def test_what_has_ended_is_given_to_nobody(
    review: ReviewService, make_case: MakeCase, clinician: Reviewer
) -> None:
    decided = await make_case(**SERVICE)
    with pytest.raises(Conflict, match="is affirmed"):
        await review.assign(by(clinician), decided.id)
    with pytest.raises(Conflict, match="is affirmed"):
        await review.release(by(clinician), decided.id)
