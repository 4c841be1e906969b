"""Whatever a request says of a person stays in the case: a journey whose every text is a canary.

The trail, the log, the figures and the bodies of refusals are looked through for all of them (I3).
"""

from typing import Any

import pytest
from fastapi import FastAPI
from httpx import AsyncClient
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.bundles import inquiry_bundle, request_bundle
from tests.integration.pas.door import CARE_UNMET, Client, claim_response
from tests.integration.review.door import NON_AFFIRM, Person
from wiser_fhir.web.logs import access_log, configure
from wiser_fhir.web.shell import Shell

Json = dict[str, Any]
CANARY = "Canarybird"
MBI = "1EG4TE5MK73"
# Elements whose texts are codes and addresses of the guide's, or tie resources together.
_MEANT = frozenset(
    {
        *("resourceType", "id", "fullUrl", "reference", "url", "system", "code", "profile", "use"),
        *("status", "type", "gender", "birthDate", "created", "timestamp", "linkId", "authored"),
        *("questionnaire", "focal", "outcome", "intent", "priority", "value", "start", "end"),
        *("contentType", "versionId", "lastUpdated", "authoredOn", "preAuthRef", "version"),
        *("servicedDate", "subscriberId", "dateTime", "date", "language", "data", "hash"),
    }
)


def with_canaries(value: Any, name: str = "") -> Any:
    """The same with every text that is words for people replaced by a canary of its own."""
    if isinstance(value, dict):
        return {key: with_canaries(each, key) for key, each in value.items()}
    if isinstance(value, list):
        return [with_canaries(each, name) for each in value]
    if isinstance(value, str) and name not in _MEANT and not name.startswith(("value", "_")):
        return f"{CANARY}{name}"
    return value


def canaries_in(value: Any) -> set[str]:
    """The canaries that a resource holds."""
    if isinstance(value, dict):
        return set().union(*map(canaries_in, value.values()))
    if isinstance(value, list):
        return set().union(*map(canaries_in, value))
    return {value} if isinstance(value, str) and value.startswith(CANARY) else set()


async def test_nothing_of_a_person_is_in_trail_log_figures_or_refusals(
    app: FastAPI,
    sender: Client,
    clinician: Person,
    auditor: Person,
    stranger: AsyncClient,
    superuser_engine: AsyncEngine,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    configure("debug")
    assert (await stranger.get("/healthz")).status_code == 200  # which builds the middleware
    monkeypatch.setattr(_shell(app), "_access", access_log("debug"))
    request = with_canaries(request_bundle("2.2", answers=CARE_UNMET))
    names = canaries_in(request)
    assert {f"{CANARY}family", f"{CANARY}given", f"{CANARY}line"} <= names
    sent = await sender.submit(request)
    assert sent.status_code == 200, sent.text
    case_id = claim_response(sent)["id"]
    refusals = [
        await sender.submit(_broken(request)),
        await sender.submit({**request, "anything": CANARY}),
        await sender.submit(f'{{"resourceType": "Bundle", "id": "{CANARY} {MBI}"}}'.encode()),
        await sender.submit(f'{{"id": "{CANARY}'.encode()),
        await sender.get(f"ClaimResponse/{CANARY}"),
        await sender.get(f"{CANARY}/{MBI}"),
        await sender.get(f"Questionnaire?{CANARY}={MBI}"),
        await clinician.get(f"cases/{CANARY}"),
        await clinician.put(f"cases/{case_id}/determination", {"anything": MBI}),
        await auditor.get("audit/AuditEvent", patient=MBI),
        await auditor.get(f"audit/AuditEvent/{CANARY}"),
    ]
    assert {each.status_code // 100 for each in refusals} <= {2, 4}
    inquired = await sender.inquire(inquiry_bundle("2.2", any_service=True))
    assert inquired.status_code == 200
    shown = await clinician.case(case_id)
    assert CANARY in str(shown)  # the case itself holds them
    await clinician.post(f"cases/{case_id}/notes", {"text": f"{CANARY} of a note"})
    body = {
        "revision": shown["revision"],
        "items": [{**NON_AFFIRM, "rationale": f"{CANARY} of a reason, for {MBI}."}],
    }
    decided = await clinician.put(f"cases/{case_id}/determination", body)
    assert decided.status_code == 200, decided.text
    hunted = [CANARY, MBI, MBI.lower(), "1EG4-TE5-MK73"]
    told = await auditor.get("audit/AuditEvent", _count=500)
    log = capfd.readouterr()
    looked_through = {
        "trail": await _trail(superuser_engine),
        "events": told.text,
        "figures": (await stranger.get("/metrics")).text,
        "log": log.err,
        "output": log.out,
        **{f"refusal {n}": each.text for n, each in enumerate(refusals) if each.is_error},
    }
    assert len(looked_through) > 10
    assert "claim.submit" in looked_through["trail"]
    assert '"event":"request"' in looked_through["log"]
    found = [
        (place, hunted_for)
        for place, content in looked_through.items()
        for hunted_for in hunted
        if hunted_for in content
    ]
    assert found == []


def _shell(app: FastAPI) -> Shell:
    """Our own middleware, which writes the line about each request."""
    layer: Any = app.middleware_stack
    while not isinstance(layer, Shell):
        layer = layer.app
    return layer


def _broken(request: Json) -> Json:
    """A request in which a canary stands where a code or a date should."""
    broken: Json = {**request, "identifier": {"system": "urn:x", "value": CANARY}}
    broken["timestamp"] = CANARY
    return broken


async def _trail(superuser: AsyncEngine) -> str:
    async with superuser.connect() as db:
        rows = await db.scalars(text("select to_jsonb(a)::text from audit_event a"))
        return "\n".join(rows)
