"""What is sent to the review door, as the core gets it."""

from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from pydantic import TypeAdapter, ValidationError

from wiser_fhir.auth.people import Reviewer
from wiser_fhir.coverage.requested import Code
from wiser_fhir.priorauth.answer import CaseAnswer, ItemAnswer
from wiser_fhir.priorauth.determination import Determination, Grant, ItemDetermination, Outcome
from wiser_fhir.priorauth.information import Material, Wanted
from wiser_fhir.priorauth.models import CaseStatus
from wiser_fhir.priorauth.queue import QueueFilter, QueueOrder
from wiser_fhir.review.queue_schemas import QueueIn
from wiser_fhir.review.schemas import (
    AskedIn,
    DeterminationIn,
    ExpediteIn,
    NoteIn,
    PeerChangeIn,
    PeerEndIn,
    PeerRequestIn,
    ScheduleIn,
    WantedIn,
)

ME = Reviewer(
    UUID("5a5d0b0c-0000-4000-8000-000000000201"),
    *("Rhoda", frozenset({"clinician"}), None, None, frozenset(), None),
)


def test_a_determination_says_all_that_was_sent() -> None:
    sent = {
        "revision": 2,
        "items": [
            {
                "sequence": 1,
                "outcome": "affirmed",
                "grant": {
                    "code": {"system": "http://www.ama-assn.org/go/cpt", "code": "64483"},
                    "quantity": 2.5,
                    "first_day": "2026-12-01",
                    "last_day": "2026-12-31",
                },
                "answer": {"notes": ["As asked."]},
            },
            {
                "sequence": 2,
                "outcome": "non-affirmed",
                "rationale": "Not met.",
                "resubmission_steps": "Send more.",
                "reasons": ["0M"],
            },
        ],
        "note": "In part.",
        "answer": {"overall": True},
    }
    read = DeterminationIn.model_validate(sent)
    assert read.revision == 2
    days = date(2026, 12, 1), date(2026, 12, 31)
    code = Code("http://www.ama-assn.org/go/cpt", "64483")
    assert read.plain() == Determination(
        items=(
            ItemDetermination(
                1,
                Outcome.AFFIRMED,
                grant=Grant(code, Decimal("2.5"), *days),
                answer=ItemAnswer(notes=("As asked.",)),
            ),
            ItemDetermination(2, Outcome.NON_AFFIRMED, "Not met.", "Send more.", ("0M",)),
        ),
        note="In part.",
        answer=CaseAnswer(overall=True),
    )


def test_what_is_wanted_is_a_document_or_a_form() -> None:
    asked = AskedIn.model_validate(
        {"kind": "documents", "wanted": [{"code": "18776-5", "lines": [1, 2]}], "note": "Please."}
    ).plain()
    assert asked.kind is Material.DOCUMENTS
    assert asked.wanted == (Wanted(code="18776-5", lines=(1, 2)),)
    for sent in ({}, {"code": "18776-5", "questionnaire": "https://x.example|1"}):
        with pytest.raises(ValidationError, match="either a document"):
            WantedIn.model_validate(sent)


@pytest.mark.parametrize(
    ("sent", "taken"),
    [
        ({"confirmed": True}, True),
        ({"confirmed": False, "reason": "No risk."}, True),
        ({"confirmed": False}, False),
        ({"confirmed": True, "reason": "No risk."}, False),
    ],
)
def test_a_reason_goes_with_no_and_only_with_no(sent: dict[str, Any], taken: bool) -> None:
    if taken:
        assert ExpediteIn.model_validate({"revision": 1, **sent}).confirmed is sent["confirmed"]
    else:
        with pytest.raises(ValidationError, match="a reason goes with"):
            ExpediteIn.model_validate({"revision": 1, **sent})


def test_a_conversation_is_scheduled_or_ended() -> None:
    change: TypeAdapter[ScheduleIn | PeerEndIn] = TypeAdapter(PeerChangeIn)
    slot = "2026-11-21T14:00:00Z"
    assert isinstance(change.validate_python({"state": "scheduled", "slot": slot}), ScheduleIn)
    assert isinstance(change.validate_python({"state": "missed"}), PeerEndIn)
    for sent in ({"state": "asked"}, {"state": "missed", "slot": slot}, {"state": "scheduled"}):
        with pytest.raises(ValidationError):
            change.validate_python(sent)


def test_a_queue_that_asks_for_nothing_is_that_of_cases_in_review() -> None:
    asked = QueueIn()
    assert asked.wanted(ME) == QueueFilter(status=CaseStatus.IN_REVIEW)
    assert (asked.in_order, asked.size) == (QueueOrder.DEADLINE, 50)


def test_cases_that_ended_come_newest_first_unless_asked_otherwise() -> None:
    assert QueueIn(status=CaseStatus.AFFIRMED).in_order is QueueOrder.NEWEST
    assert QueueIn(status=CaseStatus.AFFIRMED, order=QueueOrder.AGE).in_order is QueueOrder.AGE


@pytest.mark.parametrize(
    ("assignee", "expected"),
    [
        ("me", (ME.person_id, False)),
        ("nobody", (None, True)),
        (str(ME.person_id), (ME.person_id, False)),
        (None, (None, False)),
    ],
)
def test_an_assignee_is_me_nobody_or_a_person(
    assignee: str | None, expected: tuple[UUID | None, bool]
) -> None:
    wanted = QueueIn.model_validate({"assignee": assignee}).wanted(ME)
    assert (wanted.assignee, wanted.unassigned) == expected


@pytest.mark.parametrize(
    ("priority", "expected"), [("expedited", True), ("standard", False), (None, None)]
)
def test_a_priority_is_which_clock_runs(priority: str | None, expected: bool | None) -> None:
    assert QueueIn.model_validate({"priority": priority}).wanted(ME).expedited is expected


@pytest.mark.parametrize("text", ["\u200b", "\u2060\u200d", " \t", "\u3164"])
def test_a_text_that_nobody_sees_is_refused(text: str) -> None:
    item = {"sequence": 1, "outcome": "affirmed"}
    for sent in (
        {"items": [{**item, "rationale": text}]},
        {"items": [{**item, "resubmission_steps": text}]},
        {"items": [{**item, "answer": {"notes": [text]}}]},
        {"items": [item], "note": text},
        {"items": [item], "answer": {"notes": [text]}},
    ):
        with pytest.raises(ValidationError):
            DeterminationIn.model_validate({"revision": 1, **sent})
    for kind, said in (
        (NoteIn, {"text": text}),
        (ExpediteIn, {"revision": 1, "confirmed": False, "reason": text}),
    ):
        with pytest.raises(ValidationError, match="nothing to be seen"):
            kind.model_validate(said)
    peer = {"revision": 1, "slots": ["2026-12-01T10:00:00Z"] * 3, "specialty": "207L00000X"}
    assert PeerRequestIn.model_validate({**peer, "contact": "+1 555 0100"}).contact == "+1 555 0100"
    with pytest.raises(ValidationError, match="nothing to be seen"):
        PeerRequestIn.model_validate({**peer, "contact": text})


@pytest.mark.parametrize("units", [0, 0.0001, 10_000, 1_000_000_000])
def test_a_grant_is_of_units_that_can_be_counted(units: float) -> None:
    item = {"sequence": 1, "outcome": "affirmed", "grant": {"quantity": units}}
    with pytest.raises(ValidationError, match="quantity"):
        DeterminationIn.model_validate({"revision": 1, "items": [item]})
