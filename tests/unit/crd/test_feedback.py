"""Feedback on cards, as CDS Hooks sends it."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from wiser_fhir.crd.feedback import MOST, read_feedback
from wiser_fhir.errors import Malformed

CARD = "fbc9e223-4ba8-4bb9-a31c-4720c14f00d2"
SUGGESTION = "07bc9814-9d2a-41ee-8c90-0242ac120002"


def accepted(**changes: Any) -> dict[str, Any]:
    entry = {
        "card": CARD,
        "outcome": "accepted",
        "acceptedSuggestions": [{"id": SUGGESTION}],
        "outcomeTimestamp": "2026-11-20T09:30:00-05:00",
    }
    return {key: value for key, value in {**entry, **changes}.items() if value is not None}


def overridden(**changes: Any) -> dict[str, Any]:
    return accepted(outcome="overridden", acceptedSuggestions=None, **changes)


def problems(body: dict[str, Any]) -> dict[str | None, str]:
    with pytest.raises(Malformed) as refused:
        read_feedback(body)
    return {problem.expression: problem.text for problem in refused.value.problems}


def test_an_accepted_suggestion() -> None:
    [entry] = read_feedback({"feedback": [accepted()]})
    assert entry.card == UUID(CARD)
    assert entry.outcome == "accepted"
    assert entry.accepted == (UUID(SUGGESTION),)
    assert entry.at == datetime(2026, 11, 20, 14, 30, tzinfo=UTC)


def test_a_card_passed_over_with_its_reason() -> None:
    reason = {"reason": {"code": "contraindicated", "system": "https://ehr.example/reasons"}}
    [entry] = read_feedback({"feedback": [overridden(overrideReason=reason)]})
    assert entry.outcome == "overridden"
    assert (entry.override_code, entry.override_system) == (
        "contraindicated",
        "https://ehr.example/reasons",
    )


def test_a_comment_alone_is_a_reason_too() -> None:
    [entry] = read_feedback({"feedback": [overridden(overrideReason={"userComment": "no"})]})
    assert entry.override_code is None


@pytest.mark.parametrize("body", [{}, {"feedback": []}, {"feedback": {}}, {"feedback": None}])
def test_there_has_to_be_some(body: dict[str, Any]) -> None:
    assert "feedback" in problems(body)


def test_not_too_many_at_once() -> None:
    assert "feedback" in problems({"feedback": [accepted()] * (MOST + 1)})
    assert len(read_feedback({"feedback": [accepted()] * MOST})) == MOST


@pytest.mark.parametrize(
    ("entry", "place"),
    [
        ("text", "feedback[0]"),
        (accepted(outcome="liked"), "feedback[0].outcome"),
        (accepted(card="x"), "feedback[0].card"),
        (accepted(card=7), "feedback[0].card"),
        (accepted(acceptedSuggestions=None), "feedback[0].acceptedSuggestions"),
        (accepted(acceptedSuggestions={}), "feedback[0].acceptedSuggestions"),
        (accepted(acceptedSuggestions=["x"]), "feedback[0].acceptedSuggestions[0].id"),
        (accepted(outcome="overridden"), "feedback[0].acceptedSuggestions"),
        (accepted(outcomeTimestamp="yesterday"), "feedback[0].outcomeTimestamp"),
        (accepted(outcomeTimestamp=None), "feedback[0].outcomeTimestamp"),
        (accepted(outcomeTimestamp=12), "feedback[0].outcomeTimestamp"),
        (accepted(outcomeTimestamp="0001-01-01T00:00:00+14:00"), "feedback[0].outcomeTimestamp"),
        (accepted(outcomeTimestamp="9999-12-31T23:59:59-14:00"), "feedback[0].outcomeTimestamp"),
        (overridden(overrideReason={"reason": "x"}), "feedback[0].overrideReason.reason"),
        (
            overridden(overrideReason={"reason": {"code": "x" * 201}}),
            "feedback[0].overrideReason.reason.code",
        ),
    ],
)
def test_what_cannot_be_read_is_named(entry: Any, place: str) -> None:
    assert place in problems({"feedback": [entry]})


def test_every_problem_at_once() -> None:
    body = {"feedback": [accepted(), accepted(card="x"), accepted(outcome="x")]}
    assert set(problems(body)) == {"feedback[1].card", "feedback[2].outcome"}
