"""The requests that the matrix sends, by name: what they name is of whoever's names are given."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import orjson

from tests.bundle_values import Json, valid_npi
from tests.bundles import inquiry_bundle, request_bundle
from tests.crd_bodies import Record, hook_call
from tests.integration.isolation.world import Tenant
from tests.integration.pas.attaching import call
from tests.integration.pas.door import MET
from tests.integration.review.door import AFFIRM
from tests.package_bodies import a_call, an_order
from tests.subscriptions import a_subscription
from wiser_fhir.fhir.codes import CANONICAL_BASE, Line

FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class Sending:
    """Who sends in which line, and the names of what it is about."""

    sender: Tenant
    line: Line
    names: Mapping[str, str]


def content_of(body: str | None, sending: Sending, method: str) -> tuple[bytes | None, str]:
    """The content of a request and its type."""
    if body is None or method in ("GET", "HEAD"):
        return None, ""
    made = BODIES[body](sending)
    if isinstance(made, str):
        return made.encode(), FORM
    return orjson.dumps(made), "application/json"


def _request(sending: Sending) -> Json:
    seed = f"matrix {sending.line}"
    tenant = sending.sender
    mbi = tenant.mbi(50 if sending.line == "2.2" else 51)
    return request_bundle(sending.line, answers=MET, member=tenant.member, mbi=mbi, seed=seed)


def _inquiry(sending: Sending) -> Json:
    member = sending.sender.member
    return inquiry_bundle(sending.line, member=member, utn=sending.names["utn"])


def _attachment(sending: Sending) -> Json:
    return call(sending.names["trace"], sending.sender.mbi(0))


def _changed_subscription(sending: Sending) -> Json:
    own_id = sending.names.get(f"own_id {sending.line}", "none")
    return a_subscription(sending.line) | {"id": own_id, "reason": "To hear more."}


def _error_report(sending: Sending) -> Json:
    form = f"{CANONICAL_BASE[sending.line]}/Questionnaire/epidural-steroid-injection|2026-01-15"
    issue = {"severity": "error", "code": "exception", "diagnostics": "WiserChart failed"}
    outcome = {"resourceType": "OperationOutcome", "issue": [issue]}
    return _parameters(
        {"name": "questionnaire", "valueCanonical": form},
        {"name": "operationOutcome", "resource": outcome},
    )


def _expansion(sending: Sending) -> Json:
    url = f"{CANONICAL_BASE['2.2']}/ValueSet/epidural-steroid-injection-procedures"
    return _parameters({"name": "url", "valueUri": url})


def _parameters(*parameters: Json) -> Json:
    return {"resourceType": "Parameters", "parameter": [*parameters]}


def _hook(sending: Sending) -> Json:
    record = Record.of("2.2", sending.sender.member)
    return hook_call("order-sign", record, record.order("64483"))


def _feedback(sending: Sending) -> Json:
    entry = {
        "card": sending.names["card"],
        "outcome": "overridden",
        "outcomeTimestamp": "2026-11-20T16:00:00Z",
    }
    return {"feedback": [entry]}


def _check(sending: Sending) -> Json:
    line = {
        "line": 1,
        "code": "64483",
        "units": 1,
        "service_date": "2026-12-15",
        "utn": sending.names["utn"],
    }
    return {
        "mbi": sending.sender.member.mbi,
        "provider_npi": valid_npi("199999010"),
        "place_of_service": "24",
        "state": "TX",
        "lines": [line],
    }


def _claim(sending: Sending) -> Json:
    return _check(sending) | {"claim_number": "matrix"}


def _of(value: Any) -> Callable[[Sending], Any]:
    return lambda _: value


_SLOTS = [f"2026-11-2{day}T16:00:00Z" for day in (3, 4, 5)]
_WANTED = {"kind": "documents", "wanted": [{"code": "18776-5"}]}

BODIES: Mapping[str, Callable[[Sending], Any]] = {
    "request": _request,
    "inquiry": _inquiry,
    "attachment": _attachment,
    "subscription": lambda sending: a_subscription(sending.line),
    "changed_subscription": _changed_subscription,
    "package": _of(a_call(an_order())),
    "error_report": _error_report,
    "expansion": _expansion,
    "no_parameters": _of({"resourceType": "Parameters"}),
    "search_form": _of(""),
    "hook": _hook,
    "feedback": _feedback,
    "check": _check,
    "claim": _claim,
    "determination": _of({"revision": 1, "items": [AFFIRM]}),
    "documents_wanted": _of({"revision": 1, "requests": [_WANTED]}),
    "note": _of({"text": "Called the clinic."}),
    "nothing": _of({}),
    "expedite": _of({"revision": 1, "confirmed": True}),
    "talk": _of({"revision": 1, "slots": _SLOTS, "contact": "555", "specialty": "208100000X"}),
    "talk_missed": _of({"state": "missed"}),
    "recommendation": _of({"recommendation": "pay", "rationale": "The records meet the criteria."}),
    "grant": _of(urlencode({"grant_type": "client_credentials", "client_id": "sandbox-ehr"})),
    "about_a_token": lambda sending: urlencode({"token": sending.names["token"]}),
}
