"""PASMetricData: a record for each authorization, each inquiry, and each call that was refused.

An authorization's record has every exchange about it, its lines as they stand now, and when each
got its final answer; so one that is pended today is complete once it is read again later. A
dismissed request has no result by line: it was not reviewed.

Source: PAS 2.2.1 StructureDefinition PASMetricData, PAS 2.2.1 Metrics page.
"""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from wiser_fhir.coverage.process import Process
from wiser_fhir.fhir.codes import CANONICAL_BASE
from wiser_fhir.fhir.elements import Json, without_empty
from wiser_fhir.fhir.metric_elements import (
    PAYER_SOURCE,
    begun,
    first,
    instant,
    payer,
    provider,
    refused_with,
)
from wiser_fhir.intake.systems import LOINC
from wiser_fhir.priorauth.metric_rows import MetricRows
from wiser_fhir.priorauth.models import Site, SiteKind
from wiser_fhir.priorauth.rules import site_of_service

ACTIONS = ("claim.inquire", "claim.update", "request.refused")
ROUTES = ("%/Claim/-submit", "%/Claim/-inquire")

_EXCHANGES = {"submit": "initial", "update": "update", "cancel": "cancel"}
_RESULTS = {
    "affirmed": "approved",
    "non-affirmed": "denied",
    "pended": "pended",
    "cancelled": "cancelled",
}
# An update that named no request of ours is an exchange about none. One that did is its case's.
_NOT_ALONE = ("replayed", "followed")
_PRACTITIONERS = ("ordering", "rendering", "requester")


@dataclass(frozen=True, slots=True)
class PasRecords:
    """The records, with what stands the same in each."""

    rows: MetricRows
    address: str
    process: Process

    async def __call__(self) -> AsyncIterator[Json]:
        """Every record of the days. Raises Unavailable."""
        async for case in self.rows.cases():
            yield self.of_case(case)
        async for event in self.rows.trail(ACTIONS, ROUTES):
            found = self.of_call(event)
            if found is not None:
                yield found

    def of_case(self, case: Mapping[str, Any]) -> Json:
        """The record of one authorization."""
        answers = [datetime.fromisoformat(each) for each in case["answered_at"] or ()]
        exchanges = [_exchange(each, answers) for each in case["exchanges"]]
        base = CANONICAL_BASE[case["line"]]
        return without_empty(
            {
                **self._who(_npis(case["parties"] or ())),
                "exchange": exchanges,
                "itemDetail": [self._item(each, case, answers) for each in case["items"] or ()],
                "supportingDoc": f"{base}/Questionnaire/{case['service']}"
                if case["with_form"] and case["service"]
                else None,
                "requestedDoc": [_requested(each) for each in case["requests"] or ()],
                "businessLine": {"text": case["coverage"]},
            }
        )

    def of_call(self, event: Mapping[str, Any]) -> Json | None:
        """The record of a call about no case of ours; None for one that stands with its case."""
        detail, action = event["detail"], event["action"]
        if action == "claim.update" and (event["object_id"] or event["outcome"] in _NOT_ALONE):
            return None
        inquiry = action == "claim.inquire" or "inquire" in (detail.get("route") or "")
        kind = "query" if inquiry else "update" if action == "claim.update" else "initial"
        exchange = {
            "type": kind,
            "method": "restful",
            "requestTime": instant(begun(event["at"], detail)),
            "responseTime": instant(event["at"]),
            "httpResponse": str(detail.get("status") or 200),
        }
        npi = first(event["npis"])
        issues = refused_with(detail)
        return without_empty({**self._who((npi, npi)), "exchange": [exchange], "issue": issues})

    def _who(self, npis: tuple[str | None, str | None]) -> Json:
        practitioner, group = npis
        return {
            "source": PAYER_SOURCE,
            "providerId": provider(practitioner),
            "groupId": provider(group),
            "payerId": payer(self.address),
        }

    def _item(
        self, item: Mapping[str, Any], case: Mapping[str, Any], answers: Sequence[datetime]
    ) -> Json:
        result = _RESULTS.get(item["status"])
        if result == "approved" and item["modified"]:
            result = "modified"
        submitted = case["submitted_at"]
        if item["added_at"]:
            submitted = datetime.fromisoformat(item["added_at"])
        return without_empty(
            {
                "item": {"coding": [{"system": item["system"], "code": item["code"]}]},
                "assertionId": item["assertion"],
                "initialSubmissionTime": instant(submitted),
                "finalResponseTime": _final(item, case, answers),
                "responsesRequired": len(answers),
                "locationType": self._location(item),
                "result": result,
                "denialReason": item["reason"] if result == "denied" else None,
            }
        )

    def _location(self, item: Mapping[str, Any]) -> str | None:
        if item["site_kind"] is None:
            return None
        site = site_of_service(Site(SiteKind(item["site_kind"]), item["site_code"]), self.process)
        if site is None:
            return None
        return "home" if site.id == "home" else "outpatient"


def _npis(parties: Iterable[Mapping[str, Any]]) -> tuple[str | None, str | None]:
    """The practitioner who asks, and the requester for whom that is done."""
    by_role = {each["role"]: each["npi"] for each in reversed(list(parties)) if each["npi"]}
    return first([by_role[role] for role in _PRACTITIONERS if role in by_role]), by_role.get(
        "requester"
    )


def _exchange(exchange: Mapping[str, Any], answers: Sequence[datetime]) -> Json:
    at = datetime.fromisoformat(exchange["at"])
    answered = _answered(at, answers)
    return without_empty(
        {
            "type": _EXCHANGES[exchange["operation"]],
            "method": "restful",
            "requestTime": instant(at),
            "responseTime": instant(answered) if answered else None,
            "httpResponse": "200",
        }
    )


def _answered(at: datetime, answers: Sequence[datetime]) -> datetime | None:
    """The first answer at an instant or after it."""
    return next((each for each in answers if each >= at), None)


def _final(
    item: Mapping[str, Any], case: Mapping[str, Any], answers: Sequence[datetime]
) -> str | None:
    """When the answer went out after which there was no more to say of a line."""
    if item["status"] == "pended":
        return None
    found = first(answers)
    if item["decided_at"]:
        found = _answered(datetime.fromisoformat(item["decided_at"]), answers)
    elif item["status"] == "cancelled":
        ended = [each["at"] for each in case["exchanges"] if each["operation"] != "submit"]
        found = _answered(datetime.fromisoformat(max(ended)), answers) if ended else None
    return instant(found) if found else None


def _requested(request: Mapping[str, Any]) -> Json:
    """What was asked for: attachment codes, or a form by its canonical."""
    answered = request["answered_at"]
    return without_empty(
        {
            "docRequest": [_wanted(each) for each in request["wanted"]],
            "timeRequested": instant(datetime.fromisoformat(request["asked_at"])),
            "timeSubmitted": instant(datetime.fromisoformat(answered)) if answered else None,
        }
    )


def _wanted(wanted: Mapping[str, Any]) -> Json:
    if wanted.get("code"):
        return {"coding": [{"system": LOINC, "code": wanted["code"]}]}
    return {"text": wanted.get("questionnaire") or "documents"}
