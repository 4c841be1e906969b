"""What a client reports of a card: taken, or passed over and why."""

from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from wiser_fhir.errors import Malformed, Problem
from wiser_fhir.fhir.elements import Json
from wiser_fhir.fhir.values import instant
from wiser_fhir.priorauth.ledger import Feedback

MOST = 100
_LONGEST_CODE = 200
_OUTCOMES = ("accepted", "overridden")


class _Fault(Exception):
    """One entry cannot be read: what was expected, and where."""

    def __init__(self, text: str, expression: str) -> None:
        super().__init__(text)
        self.problem = Problem("error", "structure", text, expression)


def read_feedback(body: Json) -> tuple[Feedback, ...]:
    """The entries of a feedback request. Raises Malformed with every problem.

    A comment in free text stays in the stored body. Source: CDS Hooks, "Feedback".
    """
    entries = body.get("feedback")
    if not isinstance(entries, list) or not entries:
        raise _refusal([Problem("error", "structure", "A list of feedback is needed.", "feedback")])
    if len(entries) > MOST:
        text = f"No more than {MOST} entries at a time."
        raise _refusal([Problem("error", "too-long", text, "feedback")])
    found: list[Feedback] = []
    problems: list[Problem] = []
    for number, entry in enumerate(entries):
        try:
            found.append(_feedback(entry, f"feedback[{number}]"))
        except _Fault as fault:
            problems.append(fault.problem)
    if problems:
        raise _refusal(problems)
    return tuple(found)


def _refusal(problems: list[Problem]) -> Malformed:
    return Malformed("The feedback cannot be read.", problems)


def _feedback(entry: Any, place: str) -> Feedback:
    if not isinstance(entry, dict):
        raise _Fault("An object is needed.", place)
    outcome = entry.get("outcome")
    if outcome not in _OUTCOMES:
        raise _Fault("The outcome is accepted or overridden.", f"{place}.outcome")
    accepted = tuple(_accepted(entry, place))
    if (outcome == "accepted") != bool(accepted):
        text = "Accepted suggestions are named when, and only when, the outcome is accepted."
        raise _Fault(text, f"{place}.acceptedSuggestions")
    code, system = _override(entry, place)
    return Feedback(
        card=_uuid(entry.get("card"), f"{place}.card"),
        outcome=outcome,
        accepted=accepted,
        override_code=code,
        override_system=system,
        at=_moment(entry.get("outcomeTimestamp"), f"{place}.outcomeTimestamp"),
    )


def _accepted(entry: Json, place: str) -> Iterator[UUID]:
    suggestions = entry.get("acceptedSuggestions", [])
    if not isinstance(suggestions, list):
        raise _Fault("A list is needed.", f"{place}.acceptedSuggestions")
    for number, suggestion in enumerate(suggestions):
        where = f"{place}.acceptedSuggestions[{number}].id"
        yield _uuid(suggestion.get("id") if isinstance(suggestion, dict) else None, where)


def _override(entry: Json, place: str) -> tuple[str | None, str | None]:
    override = entry.get("overrideReason") or {}
    reason = override.get("reason") if isinstance(override, dict) else None
    if reason is None:
        return None, None
    where = f"{place}.overrideReason.reason"
    if not isinstance(reason, dict):
        raise _Fault("A coding is needed.", where)
    return _word(reason.get("code"), f"{where}.code"), _word(
        reason.get("system"), f"{where}.system"
    )


def _word(value: Any, place: str) -> str | None:
    if value is not None and not (isinstance(value, str) and len(value) <= _LONGEST_CODE):
        raise _Fault(f"A text of at most {_LONGEST_CODE} characters is needed.", place)
    return value


def _uuid(value: Any, place: str) -> UUID:
    try:
        return UUID(value)
    except (AttributeError, TypeError, ValueError):
        raise _Fault("A UUID is needed.", place) from None


def _moment(value: Any, place: str) -> datetime:
    moment = instant(value) if isinstance(value, str) else None
    with suppress(OverflowError):  # at the edge of what a date can be
        if moment is not None:
            return moment.astimezone(UTC)
    raise _Fault("A date and time is needed.", place)
