"""FHIR AuditEvents of the rows of the trail, after IHE's basic patterns.

A row tells ids and words; so does the AuditEvent. A profile of BALP is claimed where the row has
everything that it asks for. What a row does not know, such as the network address of a client, is
said to be unknown.

Source: FHIR R4, AuditEvent; IHE BALP 1.1, "Content Profiles": Create, Read, Update, Delete and
Query and their Patient variants, OAUTHaccessTokenUse.Minimal, PrivacyDisclosure.Source.
"""

from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC
from typing import Any, Final
from uuid import UUID

import orjson

from wiser_fhir.audit.trail import TrailRow
from wiser_fhir.audit.vocabulary import (
    DCM,
    INTERACTION,
    LIFECYCLE,
    Act,
    Meaning,
    meaning,
    outcome_of,
)
from wiser_fhir.fhir.codes import CANONICAL_BASE
from wiser_fhir.fhir.elements import Json, without_empty

BALP: Final = "https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit"
_BALP_ENTITY = "https://profiles.ihe.net/ITI/BALP/CodeSystem/BasicAuditEntityType"
_BALP_USER = "https://profiles.ihe.net/ITI/BALP/CodeSystem/UserAgentTypes"
_PARTICIPATION = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"
_ENTITY = "http://terminology.hl7.org/CodeSystem/audit-entity-type"
_ROLE = "http://terminology.hl7.org/CodeSystem/object-role"
_SOURCE = "http://terminology.hl7.org/CodeSystem/security-source-type"
_ABSENT = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"
_ACTIONS = f"{CANONICAL_BASE['2.2']}/CodeSystem/audit-action"
_URI = "5"
_OUTCOME_ID = "outcome"

_SENDS = {"system": DCM, "code": "110153", "display": "Source Role ID"}
_RECEIVES = {"system": DCM, "code": "110152", "display": "Destination Role ID"}
_AUTHOR = {"system": _PARTICIPATION, "code": "AUT", "display": "author (originator)"}
_READER = {"system": _PARTICIPATION, "code": "IRCP", "display": "information recipient"}
_OAUTH_USER = {"system": _BALP_USER, "code": "UserOauthAgent"}
_UNKNOWN_ADDRESS = {"_address": {"extension": [{"url": _ABSENT, "valueCode": "unknown"}]}}

_PROFILES = {
    Act.CREATE: "Create",
    Act.READ: "Read",
    Act.UPDATE: "Update",
    Act.DELETE: "Delete",
}
# FHIR's issue codes that our refusals name; of another word only that it was refused is said.
_ISSUES = frozenset(
    {
        *("structure", "invalid", "value", "required", "login", "forbidden", "not-found"),
        *("conflict", "too-long", "business-rule", "not-supported", "throttled", "exception"),
        *("transient", "code-invalid", "invariant", "expired", "security", "unknown", "duplicate"),
    }
)


@dataclass(frozen=True, slots=True)
class AuditEvents:
    """Makes AuditEvents. `origin` is where this server is found, and what its ids belong to."""

    origin: str

    def of(self, row: TrailRow) -> Json:
        """The AuditEvent of a row."""
        means, outcome = meaning(row.action), outcome_of(row.action, row.outcome)
        entities = list(self._entities(row, means, outcome))
        event: Json = {
            "resourceType": "AuditEvent",
            "id": str(row.id),
            "meta": without_empty({"profile": _profiles(row, means, outcome)}),
            "contained": _contained(row, outcome),
            "type": _coding(means.type.system, means.type.code, means.type.display),
            "subtype": _subtypes(row, means),
            "action": means.act.value,
            "recorded": row.at.astimezone(UTC).isoformat(timespec="milliseconds"),
            "outcome": outcome,
            "outcomeDesc": row.outcome,
            "agent": list(self._agents(row, means)),
            "source": self._source(),
            "entity": entities,
        }
        return without_empty(event)

    def _source(self) -> Json:
        return {
            "site": self.origin,
            "observer": self._who("Device", "server", "wiser-fhir"),
            "type": [_coding(_SOURCE, "4", "Application Server")],
        }

    def _who(self, kind: str, of: str, value: str | UUID) -> Json:
        identifier = {"system": f"{self.origin}/audit/{of}", "value": str(value)}
        return {"type": kind, "identifier": identifier}

    def _agents(self, row: TrailRow, means: Meaning) -> Iterator[Json]:
        """Who asked from where, we ourselves, and by whose authority."""
        outward = means.act is Act.READ  # data goes from us to them
        token = row.detail.get("jti") or row.detail.get("token")
        asked = row.client_id is not None or row.person_id is not None
        if asked or means.disclosure:
            device = row.client_id or "workbench"
            yield {
                "type": {"coding": [_RECEIVES if outward else _SENDS]},
                "who": self._who("Device", "client", device),
                "requestor": row.person_id is None and not token and not means.disclosure,
                "network": _UNKNOWN_ADDRESS,
            }
        yield {
            "type": {"coding": [_SENDS if outward else _RECEIVES]},
            "who": self._source()["observer"],
            "requestor": not asked or means.disclosure,
            "network": {"address": self.origin, "type": _URI},
        }
        if row.person_id is not None:
            reads = means.act in (Act.READ, Act.EXECUTE)
            yield {
                "type": {"coding": [_READER if reads else _AUTHOR]},
                "who": self._who("Practitioner", "person", row.person_id),
                "requestor": True,
            }
        elif token and asked:
            yield {
                "type": {"coding": [_OAUTH_USER]},
                "requestor": True,
                "policy": [str(token)],
            }

    def _entities(self, row: TrailRow, means: Meaning, outcome: str) -> Iterator[Json]:
        yield {
            "what": {"identifier": {"value": str(row.request_id)}},
            "type": _coding(_BALP_ENTITY, "XrequestId"),
        }
        if row.patient is not None:
            yield {
                "what": self._who("Patient", "patient", row.patient.hex()),
                "type": _coding(_ENTITY, "1", "Person"),
                "role": _coding(_ROLE, "1", "Patient"),
            }
        if row.organization_id is not None:
            yield {
                "what": self._who("Organization", "organization", row.organization_id),
                "type": _coding(_ENTITY, "3", "Organization"),
                "role": _coding(_ROLE, "8", "Stakeholder"),
            }
        if means.interaction == "search":
            yield {
                "type": _coding(_ENTITY, "2", "System Object"),
                "role": _coding(_ROLE, "24", "Query"),
                "query": b64encode(_asked(row)).decode(),
            }
        elif row.object_id is not None or row.detail:
            yield self._data(row)
        if outcome != "0":
            yield {
                "what": {"reference": f"#{_OUTCOME_ID}"},
                "type": _coding("http://hl7.org/fhir/resource-types", "OperationOutcome"),
            }

    def _data(self, row: TrailRow) -> Json:
        what = None
        if row.object_id is not None:
            system = f"{self.origin}/audit/{row.object_kind or 'object'}"
            what = {"identifier": {"system": system, "value": row.object_id}}
        details = [
            {"type": name, "valueString": str(value)}
            for name, value in row.detail.items()
            if value not in (None, "")
        ]
        entity: Json = {
            "what": what,
            "type": _coding(_ENTITY, "2", "System Object"),
            "role": _coding(_ROLE, "4", "Domain Resource"),
            "detail": details,
        }
        return without_empty(entity)


def _coding(system: str, code: str, display: str | None = None) -> Json:
    return without_empty({"system": system, "code": code, "display": display})


def _asked(row: TrailRow) -> bytes:
    """What a search was about, as far as a row tells: never the number of a beneficiary."""
    told: dict[str, Any] = {"action": row.action, **row.detail}
    return orjson.dumps(told, option=orjson.OPT_SORT_KEYS, default=str)


def _subtypes(row: TrailRow, means: Meaning) -> list[Json]:
    own = {"system": _ACTIONS, "code": row.action}
    if means.disclosure:
        return [_coding(LIFECYCLE, "disclose", "Disclose Record Lifecycle Event"), own]
    if means.interaction is None:
        return [own]
    return [_coding(INTERACTION, means.interaction, means.interaction), own]


def _contained(row: TrailRow, outcome: str) -> list[Json]:
    """Why it did not end well. The patterns are for what did; the rest is FHIR's own."""
    if outcome == "0":
        return []
    said = str(row.detail.get("issues") or row.outcome).split("|")
    codes = dict.fromkeys(each if each in _ISSUES else "processing" for each in said)
    issues = [{"severity": "error", "code": each} for each in codes]
    return [{"resourceType": "OperationOutcome", "id": _OUTCOME_ID, "issue": issues}]


def _profiles(row: TrailRow, means: Meaning, outcome: str) -> list[str]:
    """The patterns that a row has everything for."""
    if outcome != "0":
        return []
    asked = row.client_id is not None or row.person_id is not None
    found = []
    if means.disclosure and row.patient is not None and row.object_id is not None:
        found.append(f"{BALP}.PrivacyDisclosure.Source")
    elif asked and means.interaction is not None:
        variant = "Patient" if row.patient is not None else ""
        if means.interaction == "search":
            found.append(f"{BALP}.{variant}Query")
        elif means.act in _PROFILES and row.object_id is not None:
            found.append(f"{BALP}.{variant}{_PROFILES[means.act]}")
    if asked and row.person_id is None and (row.detail.get("jti") or row.detail.get("token")):
        found.append(f"{BALP}.OAUTHaccessTokenUse.Minimal")
    return found
