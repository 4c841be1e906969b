"""What became of a card: kept once, beside the card, for the service that showed it to whom.

Source: CDS Hooks, "Feedback"; CRD 2.2.1 §found-38.
"""

from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.bundle_values import Json, Line
from tests.crd_bodies import LONG, Record, hook_call
from tests.integration.crd.conftest import AnotherEhr
from tests.integration.crd.door import HookClient, answered, at, service
from tests.integration.pas.door import NOW, Rows, outcome_of

FEEDBACK = "select * from card_feedback order by card_id"


async def cards_of(hooks: HookClient, line: Line) -> list[Json]:
    """Cards that were shown: one to read, and one with a suggestion."""
    record = Record.of(line)
    order = record.order("64483", **LONG)
    cards: list[Json] = answered(await hooks.call(hook_call("order-sign", record, order)))["cards"]
    assert [("suggestions" in card) for card in cards] == [False, True]
    return cards


def accepted(shown: Json, /, **changes: Any) -> Json:
    """The suggestion of a card was taken."""
    taken = [{"id": each["uuid"]} for each in shown["suggestions"]]
    entry = {"card": shown["uuid"], "outcome": "accepted", "acceptedSuggestions": taken}
    return {"feedback": [{**entry, "outcomeTimestamp": at(), **changes}]}


def overridden(shown: Json, /, **changes: Any) -> Json:
    """A card was passed over, for a reason."""
    reason = {"code": "not-now", "system": "https://ehr.sandbox.example/reasons"}
    entry = {
        "card": shown["uuid"],
        "outcome": "overridden",
        "overrideReason": {"reason": reason, "userComment": "Canarybird said so"},
        "outcomeTimestamp": at(),
    }
    return {"feedback": [{**entry, **changes}]}


async def test_what_became_of_a_card_stands_beside_it(
    hooks: HookClient, line: Line, rows: Rows
) -> None:
    to_read, to_take = await cards_of(hooks, line)
    for body in (overridden(to_read), accepted(to_take)):
        answer = await hooks.feedback("order-sign", body)
        assert answer.status_code == 200, answer.text
    kept = {row["card_id"]: row for row in await rows.all(FEEDBACK)}
    assert set(kept) == {UUID(to_read["uuid"]), UUID(to_take["uuid"])}
    passed_over, taken = kept[UUID(to_read["uuid"])], kept[UUID(to_take["uuid"])]
    assert (passed_over["outcome"], passed_over["override_code"]) == ("overridden", "not-now")
    assert list(taken["accepted"]) == [UUID(to_take["suggestions"][0]["uuid"])]
    assert "Canarybird" not in str(kept)
    assert {row["organization_id"] for row in kept.values()} == {hooks.organization_id}


async def test_several_at_once_are_kept_together(hooks: HookClient, line: Line, rows: Rows) -> None:
    to_read, to_take = await cards_of(hooks, line)
    both = {"feedback": overridden(to_read)["feedback"] + accepted(to_take)["feedback"]}
    assert (await hooks.feedback("order-sign", both)).status_code == 200
    assert len(await rows.all(FEEDBACK)) == 2


async def test_told_again_it_is_kept_once(hooks: HookClient, line: Line, rows: Rows) -> None:
    to_read, _ = await cards_of(hooks, line)
    for _ in range(3):
        assert (await hooks.feedback("order-sign", overridden(to_read))).status_code == 200
    assert len(await rows.all(FEEDBACK)) == 1
    acts = [row for row in await rows.audit() if row[0] == "cds-hooks.feedback"]
    assert acts == [("cds-hooks.feedback", each) for each in ("kept", "repeated", "repeated")]


async def test_an_instant_without_a_zone_is_read_as_utc(
    hooks: HookClient, line: Line, rows: Rows
) -> None:
    to_read, _ = await cards_of(hooks, line)
    body = overridden(to_read, outcomeTimestamp="2026-11-20T16:00:00")
    assert (await hooks.feedback("order-sign", body)).status_code == 200
    [row] = await rows.all(FEEDBACK)
    assert row["at"] == NOW


async def test_a_jwt_for_the_service_itself_will_do(hooks: HookClient, line: Line) -> None:
    to_read, _ = await cards_of(hooks, line)
    path = service("order-sign")
    answer = await hooks.post(f"{path}/feedback", overridden(to_read), hooks.token(path))
    assert answer.status_code == 200


async def test_a_card_that_another_organization_was_shown_is_404(
    hooks: HookClient, another_ehr: AnotherEhr, line: Line, rows: Rows
) -> None:
    to_read, _ = await cards_of(hooks, line)
    other = await another_ehr()
    assert outcome_of(await other.feedback("order-sign", overridden(to_read)), 404)
    assert await rows.all(FEEDBACK) == []


async def test_a_card_of_another_service_is_404(hooks: HookClient, line: Line) -> None:
    to_read, _ = await cards_of(hooks, line)
    assert outcome_of(await hooks.feedback("order-select", overridden(to_read)), 404)


async def test_a_card_or_a_suggestion_that_was_never_shown_is_404(
    hooks: HookClient, line: Line, rows: Rows
) -> None:
    to_read, to_take = await cards_of(hooks, line)
    unknown = [{"id": str(uuid4())}]
    for body in (
        overridden(to_read, card=str(uuid4())),
        accepted(to_take, acceptedSuggestions=unknown),
        accepted(to_take, card=to_read["uuid"]),
    ):
        assert outcome_of(await hooks.feedback("order-sign", body), 404)
    assert await rows.all(FEEDBACK) == []


async def test_one_that_is_unknown_among_known_ones_keeps_none(
    hooks: HookClient, line: Line, rows: Rows
) -> None:
    to_read, to_take = await cards_of(hooks, line)
    entries = overridden(to_read)["feedback"] + accepted(to_take, card=str(uuid4()))["feedback"]
    assert outcome_of(await hooks.feedback("order-sign", {"feedback": entries}), 404)
    assert await rows.all(FEEDBACK) == []


BAD: dict[str, Json] = {
    "no card": {"card": None},
    "a card that is no UUID": {"card": "1"},
    "no outcome": {"outcome": None},
    "an outcome of its own": {"outcome": "liked"},
    "accepted without a suggestion": {"outcome": "accepted"},
    "a day that is none": {"outcomeTimestamp": "yesterday"},
    "no instant": {"outcomeTimestamp": None},
    "a reason that is a text": {"overrideReason": {"reason": "because"}},
}


@pytest.mark.parametrize("fault", BAD)
async def test_bad_feedback_is_400_and_says_where(
    fault: str, hooks: HookClient, line: Line, rows: Rows
) -> None:
    to_read, _ = await cards_of(hooks, line)
    issues = outcome_of(await hooks.feedback("order-sign", overridden(to_read, **BAD[fault])), 400)
    assert all(name.startswith("feedback[0]") for i in issues for name in i["expression"])
    assert await rows.all(FEEDBACK) == []


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"feedback": []}', b'{"feedback": {}}', b'{"feedback": [7]}']
)
async def test_what_is_no_feedback_is_400(body: bytes, hooks: HookClient) -> None:
    assert outcome_of(await hooks.feedback("order-sign", body), 400)
