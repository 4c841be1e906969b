"""A clinician who decides what a request asked for, through the service that reviewers use."""

from collections.abc import Collection
from dataclasses import replace
from datetime import date
from uuid import UUID, uuid4

from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from wiser_fhir.auth.people import CLINICIAN, Reviewer
from wiser_fhir.pas.routes import PasDoor
from wiser_fhir.priorauth.desk import Desk, Reviewing
from wiser_fhir.priorauth.determination import Determination, ItemDetermination, Outcome
from wiser_fhir.priorauth.models import PriorAuthorization
from wiser_fhir.priorauth.numbers import time_ordered_uuid
from wiser_fhir.priorauth.review import ReviewService

LICENCE_EXPIRES = date(2027, 12, 31)
NPI = "1999990319"
SPECIALTY = "207X00000X"


async def a_clinician(superuser: AsyncEngine, expires: date = LICENCE_EXPIRES) -> Reviewer:
    """A person with a licence who belongs to nobody."""
    person_id, name = time_ordered_uuid(), f"Dr. Made-up {uuid4()}"
    async with superuser.begin() as db:
        await db.execute(
            text(
                "insert into person (id, name, licence_number, licence_state, licence_expires,"
                " roles, npi, specialty) values (:id, :name, :number, 'TX', :expires,"
                " '{clinician}', :npi, :specialty)"
            ),
            {
                "id": person_id,
                "name": name,
                "number": str(person_id),
                "expires": expires,
                "npi": NPI,
                "specialty": SPECIALTY,
            },
        )
    roles = frozenset({CLINICIAN})
    return Reviewer(person_id, name, roles, NPI, SPECIALTY, frozenset(), expires)


def review_of(app: FastAPI) -> ReviewService:
    """What reviewers work with, as the app's own parts make it."""
    door: PasDoor = app.state.pas["2.2"]
    desk = Desk(
        engine=app.state.engine,
        recorder=app.state.recorder,
        clock=door.clock,
        answers=door.updates.answers,
        utn_source=door.updates.decider.utn_source,
        catalogue=door.updates.decider.catalogue,
    )
    return ReviewService(desk)


def just_signed_in(app: FastAPI, reviewer: Reviewer) -> Reviewing:
    """The person at a request of their own, who signed in a moment ago."""
    now = review_of(app).desk.clock()
    return Reviewing(replace(reviewer, signed_in_at=now), time_ordered_uuid())


async def determine(
    app: FastAPI,
    reviewer: Reviewer,
    case_id: str,
    revision: int = 1,
    not_affirmed: Collection[int] = (),
) -> PriorAuthorization:
    """Decide the undecided lines of a case: all are affirmed but those named."""
    review = review_of(app)
    by = just_signed_in(app, reviewer)
    file = await review.case_file(by, UUID(case_id))
    lines = [i.sequence for i in file.case.items if i.status == "pended"]
    decided = tuple(_decision(line, line not in not_affirmed) for line in lines)
    return await review.determine(by, UUID(case_id), revision, Determination(decided))


def _decision(sequence: int, affirmed: bool) -> ItemDetermination:
    if affirmed:
        return ItemDetermination(sequence, Outcome.AFFIRMED)
    return ItemDetermination(
        sequence,
        Outcome.NON_AFFIRMED,
        rationale="Conservative care is not documented.",
        resubmission_steps="Send the notes of four weeks of conservative care.",
    )
