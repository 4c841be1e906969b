"""What the words of the audit trail are in FHIR: which kind of event an action is, how it ended.

Actions are `subject.verb`. The verb tells FHIR's code, the subject what the event is about. A word
that is new is an operation, which is never wrong.

Source: FHIR R4, AuditEvent; IHE BALP 1.1, "Content Profiles".
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

DCM: Final = "http://dicom.nema.org/resources/ontology/DCM"
REST: Final = "http://terminology.hl7.org/CodeSystem/audit-event-type"
INTERACTION: Final = "http://hl7.org/fhir/restful-interaction"
LIFECYCLE: Final = "http://terminology.hl7.org/CodeSystem/iso-21089-lifecycle"

_FAILED_PATTERN = "refus|fail|denied|invalid|forbidden|gave-up"
_FAILED = re.compile(_FAILED_PATTERN)
BROKEN: Final = "request.failed"


class Act(StrEnum):
    """FHIR's code for what was done."""

    CREATE = "C"
    READ = "R"
    UPDATE = "U"
    DELETE = "D"
    EXECUTE = "E"


_ACTS: Mapping[str, Act] = {
    **dict.fromkeys(("submit", "add", "register", "issue", "answer", "create"), Act.CREATE),
    **dict.fromkeys(("noted", "information-requested"), Act.CREATE),
    **dict.fromkeys(("read", "look", "document", "message", "attachment"), Act.READ),
    **dict.fromkeys(("update", "assign", "match", "expire", "rotate", "escalate"), Act.UPDATE),
    **dict.fromkeys(("assigned", "released", "determined", "change"), Act.UPDATE),
    **dict.fromkeys(("expedite-confirmed", "expedite-declined"), Act.UPDATE),
    **dict.fromkeys(("revoke", "reset", "delete", "remove", "lapse", "cancel"), Act.DELETE),
    "information-withdrawn": Act.DELETE,
}
# What is asked for without naming it: a search, though it comes as an operation.
_QUERIES = frozenset({"inquire", "search", "trace", "list", "look-up", "queue"})


@dataclass(frozen=True, slots=True)
class EventType:
    """FHIR's type of an event."""

    system: str
    code: str
    display: str


_RESTFUL = EventType(REST, "rest", "Restful Operation")
_EXPORT = EventType(DCM, "110106", "Export")
_LOG_USED = EventType(DCM, "110101", "Audit Log Used")
_AUTHENTICATION = EventType(DCM, "110114", "User Authentication")
_ROLES = EventType(DCM, "110136", "Security Roles Changed")
_ATTRIBUTES = EventType(DCM, "110137", "User Security Attributes Changed")
_CONFIGURATION = EventType(DCM, "110131", "Software Configuration")
_QUERY = EventType(DCM, "110112", "Query")
_TYPES: Mapping[str, EventType] = {
    "notify": _EXPORT,
    "audit": _LOG_USED,
    "token": _AUTHENTICATION,
    "assertion": _AUTHENTICATION,
    "cds-token": _AUTHENTICATION,
    "sign-in": _AUTHENTICATION,
    "person": _ROLES,
    "client": _ATTRIBUTES,
    "organization": _ATTRIBUTES,
    "certificate": _ATTRIBUTES,
    "cds-client": _ATTRIBUTES,
    "notify-host": _ATTRIBUTES,
    "udap": _ATTRIBUTES,
    "data-key": _ATTRIBUTES,
    "service": _CONFIGURATION,
    "gate": _QUERY,
}


@dataclass(frozen=True, slots=True)
class Meaning:
    """What an action is in FHIR. `interaction` is None where it is none over REST."""

    act: Act
    type: EventType
    interaction: str | None
    disclosure: bool = False


_INTERACTIONS: Mapping[Act, str] = {
    Act.CREATE: "create",
    Act.READ: "read",
    Act.UPDATE: "update",
    Act.DELETE: "delete",
    Act.EXECUTE: "operation",
}


def meaning(action: str) -> Meaning:
    """What an action is in FHIR."""
    subject, _, verb = action.rpartition(".")
    subject = subject.partition(".")[0]
    if subject == "notify":
        return Meaning(Act.READ, _EXPORT, None, disclosure=True)
    act = act_of(action)
    kind = _TYPES.get(subject, _RESTFUL)
    if kind is not _RESTFUL:
        return Meaning(act, kind, None)
    return Meaning(act, kind, "search" if verb in _QUERIES else _INTERACTIONS[act])


def act_of(action: str) -> Act:
    """FHIR's code for an action. Who is told of something reads it."""
    if action.startswith("notify."):
        return Act.READ
    return _ACTS.get(action.rpartition(".")[2], Act.EXECUTE)


def verbs_of(act: Act) -> tuple[list[str] | None, list[str] | None]:
    """By which verbs actions of this code end, or, for Act.EXECUTE, by which they do not."""
    if act is Act.EXECUTE:
        return None, list(_ACTS)
    return [verb for verb, each in _ACTS.items() if each is act], None


def outcome_of(action: str, outcome: str) -> str:
    """FHIR's code for how it ended: 0 well, 4 refused, 8 by a failure of ours."""
    if action == BROKEN:
        return "8"
    return "4" if _FAILED.search(f"{action} {outcome}") else "0"


def failing() -> str:
    """The pattern of `action outcome` that did not end well, for the database."""
    return _FAILED_PATTERN
