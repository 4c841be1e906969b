"""The review door: what clinicians, coordinators and auditors do with cases, as JSON.

Who may do what is the core's to say; the door tells people from strangers, auditors, who only look,
from the others, and keeps those out who see the queue alone, or nothing here: people of providers.
"""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Body, Depends, Path, Query, Request, Response

from wiser_fhir.auth.people import CLINICIAN, COORDINATOR, STAFF, VIEWERS, Reviewer
from wiser_fhir.clock import business_date
from wiser_fhir.priorauth.desk import Reviewing
from wiser_fhir.priorauth.peer_to_peer import PeerToPeer
from wiser_fhir.review.case_schemas import CaseOut
from wiser_fhir.review.door import ReviewDoor
from wiser_fhir.review.person_route import AS_A_FILE, PersonRoute, for_people, reviewing
from wiser_fhir.review.queue_schemas import QueueIn, QueueOut
from wiser_fhir.review.schemas import (
    AssignmentIn,
    DeterminationIn,
    ExpediteIn,
    MeOut,
    NoteIn,
    PeerChangeIn,
    PeerRequestIn,
    RequestsIn,
    ScheduleIn,
)

PATH = "/review"
_LAST_POSITION = 100_000

router = APIRouter(prefix=PATH, tags=["review"], route_class=PersonRoute)


async def _door(request: Request) -> ReviewDoor:
    found: ReviewDoor = request.app.state.review
    return found


Door = Annotated[ReviewDoor, Depends(_door)]
Staff = Annotated[Reviewing, reviewing(*STAFF)]
Viewer = Annotated[Reviewing, reviewing(*VIEWERS)]
Contributor = Annotated[Reviewing, reviewing(CLINICIAN, COORDINATOR)]
Clinician = Annotated[Reviewing, reviewing(CLINICIAN)]
Position = Annotated[int, Path(ge=1, le=_LAST_POSITION)]


@router.get("/me", **for_people())
async def me(by: Staff, door: Door) -> MeOut:
    """Who calls, and what they may do today."""
    return _me(by.reviewer, licensed=by.reviewer.licensed(business_date(door.review.desk.clock())))


@router.get("/cases", **for_people(422))
async def queue(asked: Annotated[QueueIn, Query()], by: Staff, door: Door) -> QueueOut:
    """A page of the queue: cases in review by deadline, unless filters and order say otherwise."""
    page = await door.queue.page(
        by.reviewer,
        by.request_id,
        asked.wanted(by.reviewer),
        asked.in_order,
        asked.size,
        asked.cursor,
    )
    return QueueOut.model_validate(page)


@router.get("/cases/{case_id}", **for_people(404, 422))
async def case(case_id: UUID, by: Viewer, door: Door) -> CaseOut:
    """Everything there is to see of a case."""
    return await _shown(door, by, case_id)


@router.get(
    "/cases/{case_id}/documents/{position}",
    response_class=Response,
    **for_people(404, 409, 422),
)
async def document(case_id: UUID, position: Position, by: Viewer, door: Door) -> Response:
    """A document that a scanner has cleared; a result that is a resource, as FHIR JSON."""
    found = await door.document(by, case_id, position)
    return Response(found.body, media_type=found.media_type, headers=AS_A_FILE)


@router.get(
    "/cases/{case_id}/attachments/{attachment_id}",
    response_class=Response,
    **for_people(404, 409, 422),
)
async def attachment(case_id: UUID, attachment_id: UUID, by: Viewer, door: Door) -> Response:
    """An attachment that a scanner has cleared."""
    found = await door.papers.attachment(by, case_id, attachment_id)
    return Response(found.body, media_type=found.media_type, headers=AS_A_FILE)


@router.get(
    "/cases/{case_id}/messages/{message_id}", response_class=Response, **for_people(404, 422)
)
async def message(case_id: UUID, message_id: UUID, by: Viewer, door: Door) -> Response:
    """A message about the case, byte for byte as it went, or, for an auditor, as it came."""
    media_type, body = await door.review.message(by, case_id, message_id)
    return Response(body, media_type=media_type, headers=AS_A_FILE)


@router.put("/cases/{case_id}/determination", **for_people(404, 409, 413, 415, 422))
async def determine(case_id: UUID, body: DeterminationIn, by: Clinician, door: Door) -> CaseOut:
    """Decide every undecided line of a case: affirm it, in part or narrower, or do not."""
    await door.review.determine(by, case_id, body.revision, body.plain())
    return await _shown(door, by, case_id)


@router.post("/cases/{case_id}/requests", **for_people(404, 409, 413, 415, 422))
async def ask(case_id: UUID, body: RequestsIn, by: Contributor, door: Door) -> CaseOut:
    """Ask the provider for documents, or for the answers of a form; the clock runs on."""
    asked = [each.plain() for each in body.requests]
    await door.review.request_information(by, case_id, body.revision, asked)
    return await _shown(door, by, case_id)


@router.delete("/cases/{case_id}/requests/{request_id}", **for_people(404, 409, 422))
async def withdraw(case_id: UUID, request_id: UUID, by: Contributor, door: Door) -> CaseOut:
    """Ask no more for something that has not come."""
    await door.review.withdraw_request(by, case_id, request_id)
    return await _shown(door, by, case_id)


@router.post("/cases/{case_id}/notes", status_code=204, **for_people(404, 413, 415, 422))
async def note(case_id: UUID, body: NoteIn, by: Contributor, door: Door) -> None:
    """Add a note for those who review. The provider never sees it."""
    await door.review.note(by, case_id, body.text)


@router.put("/cases/{case_id}/assignment", status_code=204, **for_people(404, 409, 413, 415, 422))
async def assign(case_id: UUID, body: AssignmentIn, by: Contributor, door: Door) -> None:
    """Give a case to somebody, or take it. It keeps nobody else from it."""
    await door.review.assign(by, case_id, body.person_id)


@router.delete("/cases/{case_id}/assignment", status_code=204, **for_people(404, 409, 422))
async def release(case_id: UUID, by: Contributor, door: Door) -> None:
    """Take a case from whoever has it."""
    await door.review.release(by, case_id)


@router.put("/cases/{case_id}/expedite", **for_people(404, 409, 413, 415, 422))
async def expedite(case_id: UUID, body: ExpediteIn, by: Clinician, door: Door) -> CaseOut:
    """Say whether the risk that expedites a review is seen; if not, the standard clock holds."""
    if body.reason is None:
        await door.review.confirm_expedite(by, case_id, body.revision)
    else:
        await door.review.decline_expedite(by, case_id, body.revision, body.reason)
    return await _shown(door, by, case_id)


@router.post(
    "/cases/{case_id}/peer-to-peer", status_code=201, **for_people(404, 409, 413, 415, 422)
)
async def ask_peer(case_id: UUID, body: PeerRequestIn, by: Contributor, door: Door) -> PeerToPeer:
    """Keep that the provider asks for a conversation, which a resubmission may."""
    return await door.talks.ask(by, case_id, body.revision, body.plain())


@router.put("/cases/{case_id}/peer-to-peer/{peer_id}", **for_people(404, 409, 413, 415, 422))
async def change_peer(
    case_id: UUID,
    peer_id: UUID,
    body: Annotated[PeerChangeIn, Body()],
    by: Contributor,
    door: Door,
) -> PeerToPeer:
    """Fix the time of a conversation and who talks, or tell what became of it."""
    if isinstance(body, ScheduleIn):
        clinician = body.clinician_id or by.reviewer.person_id
        return await door.talks.schedule(by, case_id, peer_id, clinician, body.slot)
    return await door.talks.end(by, case_id, peer_id, body.state, body.outcome)


async def _shown(door: ReviewDoor, by: Reviewing, case_id: UUID) -> CaseOut:
    return CaseOut.of(await door.view(by, case_id), f"{PATH}/cases")


def _me(reviewer: Reviewer, *, licensed: bool) -> MeOut:
    return MeOut(
        id=reviewer.person_id,
        name=reviewer.name,
        roles=tuple(sorted(reviewer.roles)),
        npi=reviewer.npi,
        specialty=reviewer.specialty,
        licence_expires=reviewer.licence_expires,
        licensed=licensed,
    )
