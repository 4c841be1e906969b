"""What is attached to a case, as those who review find it."""

from collections.abc import Awaitable, Callable
from hashlib import sha256
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import insert, text
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.reviewing import NOW, MakePerson, by
from tests.vaults import A_SEALED, INDEX
from wiser_fhir.auth.people import Reviewer
from wiser_fhir.db.attachments import attachment, attachment_delivery
from wiser_fhir.db.base import client
from wiser_fhir.db.bodies import seal_body
from wiser_fhir.errors import Conflict, NotFound
from wiser_fhir.priorauth.desk import Desk
from wiser_fhir.priorauth.models import PriorAuthorization
from wiser_fhir.priorauth.numbers import time_ordered_uuid
from wiser_fhir.priorauth.papers import PaperService

PDF = b"%PDF-1.7\nmade up"

Attach = Callable[..., Awaitable[UUID]]


@pytest.fixture
def papers(desk: Desk) -> PaperService:
    return PaperService(desk)


@pytest.fixture
def attach(superuser_engine: AsyncEngine, pended: PriorAuthorization) -> Attach:
    """Commits a file attached to the case: `await attach(state="clear")`."""

    async def commit(state: str) -> UUID:
        organization = {"organization_id": pended.organization_id}
        sender, delivery, attached = (time_ordered_uuid() for _ in range(3))
        cleared: dict[str, Any] = (
            {} if state == "quarantined" else {"checked_at": NOW, "scanner": "test"}
        )
        async with superuser_engine.begin() as db:
            await db.execute(
                insert(client).values(**organization, id=sender, name=str(sender), scopes=[])
            )
            await db.execute(
                insert(attachment_delivery).values(
                    **organization,
                    id=delivery,
                    fingerprint=delivery.bytes * 2,
                    client_id=sender,
                    line="2.2",
                    received_at=NOW,
                    attach_to="preauthorization",
                    tracking_value="trace-1",
                    member=INDEX.of("1EG4TE5MK73"),
                    sealed_member=A_SEALED,
                    named={},
                    final=False,
                    case_id=pended.id,
                    matched_at=NOW,
                )
            )
            place = ("attachment", "content", attached)
            content = await seal_body(db, pended.organization_id, PDF, *place)
            await db.execute(
                insert(attachment).values(
                    **organization,
                    id=attached,
                    delivery_id=delivery,
                    identity=attached.bytes * 2,
                    lines=[],
                    kind="file",
                    resource_type="DocumentReference",
                    media_type="application/pdf",
                    size=len(PDF),
                    sha256=sha256(PDF).digest(),
                    content=content,
                    state=state,
                    **cleared,
                )
            )
        return attached

    return commit


async def test_a_clear_attachment_is_listed_and_read(
    papers: PaperService, attach: Attach, clinician: Reviewer, pended: PriorAuthorization
) -> None:
    attached = await attach("clear")
    (facts,) = await papers.attachments(by(clinician), pended.id)
    assert (facts.id, facts.state, facts.size) == (attached, "clear", len(PDF))
    content = await papers.attachment(by(clinician), pended.id, attached)
    assert (content.media_type, content.body) == ("application/pdf", PDF)


async def test_what_no_scanner_has_cleared_is_listed_and_not_read(
    papers: PaperService, attach: Attach, clinician: Reviewer, pended: PriorAuthorization
) -> None:
    attached = await attach("quarantined")
    assert len(await papers.attachments(by(clinician), pended.id)) == 1
    with pytest.raises(Conflict):
        await papers.attachment(by(clinician), pended.id, attached)


async def test_an_insider_finds_neither_list_nor_attachment(
    papers: PaperService, attach: Attach, make_person: MakePerson, pended: PriorAuthorization
) -> None:
    attached = await attach("clear")
    insider = await make_person(organizations=[pended.organization_id])
    with pytest.raises(NotFound):
        await papers.attachments(by(insider), pended.id)
    with pytest.raises(NotFound):
        await papers.attachment(by(insider), pended.id, attached)


async def test_that_an_attachment_was_read_is_on_the_trail(
    papers: PaperService,
    attach: Attach,
    clinician: Reviewer,
    pended: PriorAuthorization,
    superuser_engine: AsyncEngine,
) -> None:
    await papers.attachment(by(clinician), pended.id, await attach("clear"))
    query = "select person_id, outcome, object_id from audit_event where action = 'case.attachment'"
    async with superuser_engine.connect() as db:
        trail = [tuple(row) for row in await db.execute(text(query))]
    assert trail == [(clinician.person_id, "read", str(pended.id))]
