"""The indexes that the reviewers' queue is read by, a mirror of what the migration makes."""

from sqlalchemy import Index, text

from wiser_fhir.db.base import prior_auth_case as case

_IN_REVIEW = "status = 'in-review'"
_ENDED = "status <> 'in-review'"


def _index(name: str, where: str, *names: str) -> Index:
    columns = (case.c[each] for each in names)
    return Index(f"ix_prior_auth_case_{name}", *columns, postgresql_where=text(where))


INDEXES = (
    Index("ix_prior_auth_case_id", case.c.id),
    _index("deadline", _IN_REVIEW, "decide_by", "id"),
    _index("received", _IN_REVIEW, "received_at", "id"),
    Index(
        "ix_prior_auth_case_urgency",
        text("(1 - expedited::int)"),
        case.c.decide_by,
        case.c.id,
        postgresql_where=text(_IN_REVIEW),
    ),
    _index("service", _IN_REVIEW, "service", "decide_by", "id"),
    _index("state", _IN_REVIEW, "state", "decide_by", "id"),
    _index(
        "assigned", f"{_IN_REVIEW} and assigned_to is not null", "assigned_to", "decide_by", "id"
    ),
    _index("unassigned", f"{_IN_REVIEW} and assigned_to is null", "decide_by", "id"),
    _index(
        "escalated", f"{_IN_REVIEW} and escalation is not null", "escalation", "decide_by", "id"
    ),
    _index("ended", _ENDED, "status", "received_at", "id"),
    _index("ended_service", _ENDED, "status", "service", "received_at", "id"),
    _index("ended_state", _ENDED, "status", "state", "received_at", "id"),
)
