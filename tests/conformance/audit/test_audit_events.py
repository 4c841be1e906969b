"""AuditEvents as they are sent: base R4 by our validator and by HL7's engine, BALP restated.

The package of BALP is not among the guides that are compiled in, so what its profiles ask for is
written down here once more.
"""

import base64
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson
import pytest

from tests.oracle.judge import Judge
from wiser_fhir.audit.audit_event import BALP, AuditEvents
from wiser_fhir.audit.trail import TrailRow
from wiser_fhir.fhir.validation.validator import GuideValidator

Json = dict[str, Any]
ORIGIN = "https://payer.example"
AT = datetime(2026, 5, 20, 9, 30, 1, 250_000, tzinfo=UTC)
CLIENT, PERSON, ORGANIZATION = UUID(int=1), UUID(int=2), UUID(int=3)
DCM = "http://dicom.nema.org/resources/ontology/DCM"


def row(action: str, outcome: str = "done", **facts: Any) -> TrailRow:
    """A row of a client about a case of a patient, unless told otherwise."""
    usual: dict[str, Any] = {
        "client_id": CLIENT,
        "organization_id": ORGANIZATION,
        "object_kind": "prior-auth-case",
        "object_id": str(UUID(int=9)),
        "patient": bytes(range(32)),
    }
    return TrailRow(7, AT, UUID(int=5), action, outcome, **usual | facts)


NOBODY: Json = {"client_id": None, "organization_id": None}
BARE: Json = {**NOBODY, "object_kind": None, "object_id": None, "patient": None}
ROWS: dict[str, tuple[TrailRow, str | None]] = {
    "create": (row("claim.submit", "affirmed", detail={"rules": "2026-01-15"}), "PatientCreate"),
    "read": (row("claim-response.read", "read"), "PatientRead"),
    "read by a person": (row("case.look", "read", **NOBODY, person_id=PERSON), "PatientRead"),
    "read of nobody's": (row("dtr.read", "sent", patient=None, object_id="form"), "Read"),
    "update": (row("claim.update", "in-review"), "PatientUpdate"),
    "decision": (row("case.determined", "x", **NOBODY, person_id=PERSON), "PatientUpdate"),
    "delete": (row("claim.cancel", "cancelled"), "PatientDelete"),
    "query": (row("claim.inquire", "answered", object_id=None), "PatientQuery"),
    "query of nobody's": (row("dtr.search", "sent", patient=None, object_id=None), "Query"),
    "operation": (row("cds-hooks.order-sign", "answered", detail={"call": "a"}), None),
    "notification": (row("notify.event", "heard"), "PrivacyDisclosure.Source"),
    "refusal": (
        row(
            "request.refused",
            "not-found",
            patient=None,
            object_id=None,
            detail={"status": 404, "method": "GET", "route": "/x", "issues": "not-found|value"},
        ),
        None,
    ),
    "failure": (row("request.failed", "exception", object_id=None), None),
    "refusal by a word of ours": (row("person.sign-in", "refused", **BARE), None),
    "nobody's job": (row("utn.assign", "done", **NOBODY), None),
    "start": (row("service.start", "done", **BARE, detail={"settings": "a" * 64}), None),
    "person added": (row("person.add", "done", **BARE), None),
    "search of the trail": (row("audit.search", "found", **BARE, person_id=PERSON), None),
    "gate": (row("gate.open-twin", "none", object_id=None), None),
    "nothing told": (row("new-thing.done", "done", **BARE), None),
}


def event_of(name: str) -> Json:
    return AuditEvents(ORIGIN).of(ROWS[name][0])


def codes(parts: list[Json], key: str = "type") -> list[str]:
    found = [part[key] for part in parts]
    return [each["coding"][0]["code"] if "coding" in each else each["code"] for each in found]


@pytest.fixture(scope="module")
def validator() -> GuideValidator:
    return GuideValidator.load("2.2")


@pytest.mark.parametrize("name", ROWS)
def test_every_event_is_valid_r4(name: str, validator: GuideValidator) -> None:
    problems = validator.base_problems(event_of(name))
    assert [each for each in problems if each.severity == "error"] == []
    # Codes of BALP's and of ours, where FHIR's own set may be extended.
    assert {each.code for each in problems} <= {"code-invalid"}


@pytest.mark.oracle
@pytest.mark.xdist_group("oracle")
@pytest.mark.parametrize("name", ROWS)
def test_hl7_agrees(name: str, judge: Judge) -> None:
    """Without the profiles that it has no package of."""
    event = event_of(name)
    event["meta"] = {"source": ORIGIN}
    issues = judge.validate(event, "2.2")
    assert [f"{i.expression}: {i.text}" for i in issues if i.is_error] == []


@pytest.mark.parametrize("name", ROWS)
def test_the_profile_that_fits_is_claimed(name: str) -> None:
    profile = ROWS[name][1]
    expected = [] if profile is None else [f"{BALP}.{profile}"]
    assert event_of(name).get("meta", {}).get("profile", []) == expected


INTERACTIONS = {
    "Create": ("C", "create", ["110153", "110152"]),
    "Read": ("R", "read", ["110152", "110153"]),
    "Update": ("U", "update", ["110153", "110152"]),
    "Delete": ("D", "delete", ["110153", "110152"]),
    "Query": ("E", "search", ["110153", "110152"]),
}


@pytest.mark.parametrize(
    "name", [name for name, (_, profile) in ROWS.items() if profile and "Disclosure" not in profile]
)
def test_a_pattern_of_an_interaction_has_what_balp_asks_for(name: str) -> None:
    """IHE BALP 1.1: Create, Read, Update, Delete, Query; with `Patient` before it, a patient."""
    event, profile = event_of(name), str(ROWS[name][1])
    act, interaction, roles = INTERACTIONS[profile.removeprefix("Patient")]
    assert event["type"]["code"] == "rest"
    assert event["subtype"][0] == {
        "system": "http://hl7.org/fhir/restful-interaction",
        "code": interaction,
        "display": interaction,
    }
    assert (event["action"], event["outcome"]) == (act, "0")
    assert event["recorded"] == "2026-05-20T09:30:01.250+00:00"
    assert codes(event["agent"])[:2] == roles
    assert all(agent["who"] and agent["network"] for agent in event["agent"][:2])
    assert sum(agent["requestor"] for agent in event["agent"]) == 1
    kinds = codes(event["entity"])
    assert kinds.count("XrequestId") == 1
    assert kinds.count("1") == ("Patient" in profile)
    [data] = [each for each in event["entity"] if each["type"]["code"] == "2"]
    if interaction == "search":
        assert data["role"]["code"] == "24"
        assert not {"what", "detail"} & set(data)
        assert orjson.loads(base64.b64decode(data["query"]))["action"] == ROWS[name][0].action
    else:
        assert data["role"]["code"] == "4"
        assert data["what"]["identifier"]["value"]


def test_a_person_is_an_agent_without_a_network() -> None:
    [*_, reader] = event_of("read by a person")["agent"]
    [*_, author] = event_of("decision")["agent"]
    assert codes([reader, author]) == ["IRCP", "AUT"]
    assert reader["who"]["identifier"]["value"] == str(PERSON)
    assert "network" not in reader


def test_a_patient_is_a_hash_and_nothing_else() -> None:
    [patient] = [e for e in event_of("create")["entity"] if e["type"]["code"] == "1"]
    assert patient["what"] == {
        "type": "Patient",
        "identifier": {"system": f"{ORIGIN}/audit/patient", "value": bytes(range(32)).hex()},
    }


def test_a_notification_is_a_disclosure() -> None:
    """IHE BALP 1.1, PrivacyDisclosure.Source: we are the source, and the one that recorded it."""
    event = event_of("notification")
    assert (event["type"]["system"], event["type"]["code"]) == (DCM, "110106")
    assert event["subtype"][0]["code"] == "disclose"
    assert event["action"] == "R"
    recipient, source = event["agent"]
    assert codes([recipient, source]) == ["110152", "110153"]
    assert source["who"] == event["source"]["observer"]
    assert codes(event["entity"])[:2] == ["XrequestId", "1"]


@pytest.mark.parametrize(
    ("name", "outcome", "issues"),
    [
        ("refusal", "4", ["not-found", "value"]),
        ("failure", "8", ["exception"]),
        ("refusal by a word of ours", "4", ["processing"]),
    ],
)
def test_what_ended_badly_says_how(name: str, outcome: str, issues: list[str]) -> None:
    event = event_of(name)
    assert event["outcome"] == outcome
    [contained] = event["contained"]
    assert [each["code"] for each in contained["issue"]] == issues
    assert event["entity"][-1]["what"]["reference"] == f"#{contained['id']}"


def test_a_token_that_is_known_is_named_by_its_id() -> None:
    """IHE BALP 1.1, OAUTHaccessTokenUse.Minimal."""
    event = AuditEvents(ORIGIN).of(row("claim.submit", "affirmed", detail={"jti": "abc"}))
    assert f"{BALP}.OAUTHaccessTokenUse.Minimal" in event["meta"]["profile"]
    [user] = [agent for agent in event["agent"] if "policy" in agent]
    assert codes([user]) == ["UserOauthAgent"]
    assert (user["policy"], user["requestor"]) == (["abc"], True)
    assert sum(agent["requestor"] for agent in event["agent"]) == 1
