"""Who hears of what people do with a case: subscribers, of every change of an answer."""

from collections.abc import Awaitable, Callable
from uuid import UUID

import orjson
import pytest
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.ledger_values import insert_client
from tests.reviewing import NOW, affirm, by, determination, rows
from wiser_fhir.auth.people import Reviewer
from wiser_fhir.db.bodies import open_body
from wiser_fhir.db.envelope import FORMAT
from wiser_fhir.db.subscriptions import subscription
from wiser_fhir.priorauth.asked import Asked
from wiser_fhir.priorauth.information import Material, Wanted
from wiser_fhir.priorauth.models import PriorAuthorization
from wiser_fhir.priorauth.numbers import time_ordered_uuid
from wiser_fhir.priorauth.review import ReviewService

Act = Callable[[ReviewService, Reviewer, UUID], Awaitable[object]]
IMAGING = Asked(Material.DOCUMENTS, (Wanted(code="18748-4"),))
AFFIRMED = determination(affirm(1), affirm(2))


async def subscribe(superuser: AsyncEngine, case: PriorAuthorization) -> None:
    """The organization of the case subscribes to its answers."""
    client_id = await insert_client(superuser, case.organization_id)
    async with superuser.begin() as db:
        await db.execute(
            insert(subscription).values(
                organization_id=case.organization_id,
                id=time_ordered_uuid(),
                client_id=client_id,
                line="2.2",
                status="active",
                content="full-resource",
                sealed=FORMAT + bytes(33),
                host="ehr.example",
                base_url="https://wiser-fhir.example/fhir",
                created_at=NOW,
                updated_at=NOW,
            )
        )


async def heard(superuser: AsyncEngine, case_id: UUID) -> list[str]:
    """The states of the case that its subscriber hears of, in order."""
    query = (
        "select m.organization_id, m.id, m.body from subscription_event e join message m"
        " on m.organization_id = e.organization_id and m.id = e.message_id"
        " where e.case_id = :case order by e.number"
    )
    bodies = [
        await open_body(superuser, organization_id, body, "message", "body", message_id)
        for organization_id, message_id, body in await rows(superuser, query, case_id)
    ]
    return [orjson.loads(body)["status"] for body in bodies]


@pytest.mark.parametrize(
    ("act", "states"),
    [
        (lambda review, who, case: review.determine(by(who), case, 1, AFFIRMED), ["affirmed"]),
        (
            lambda review, who, case: review.request_information(by(who), case, 1, [IMAGING]),
            ["in-review"],
        ),
        (lambda review, who, case: review.decline_expedite(by(who), case, 1, "No."), ["in-review"]),
        (lambda review, who, case: review.confirm_expedite(by(who), case, 1), []),
        (lambda review, who, case: review.note(by(who), case, "Called."), []),
        (lambda review, who, case: review.assign(by(who), case), []),
        (lambda review, who, case: review.release(by(who), case), []),
    ],
    ids=["determined", "asked", "declined", "confirmed", "noted", "assigned", "released"],
)
async def test_subscribers_hear_of_what_changes_the_answer(
    review: ReviewService,
    superuser_engine: AsyncEngine,
    expedited: PriorAuthorization,
    clinician: Reviewer,
    act: Act,
    states: list[str],
) -> None:
    await subscribe(superuser_engine, expedited)
    await act(review, clinician, expedited.id)
    assert await heard(superuser_engine, expedited.id) == states
