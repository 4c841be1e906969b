"""CRDMetricData: a record for each hook call, answered or refused.

Made of the call as it was kept, its assertions, its cards, and what became of those. Which types of
resources were read is not kept by call, so `resources` is left out.

Source: CRD 2.2.1 StructureDefinition CRDMetricData.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from wiser_fhir.fhir.elements import Json, without_empty
from wiser_fhir.fhir.metric_elements import (
    PAYER_SOURCE,
    first,
    instant,
    issues,
    payer,
    provider,
)
from wiser_fhir.priorauth.metric_rows import MetricRows

_ENGAGEMENT = {"accepted": "accept", "overridden": "override", None: "ignore"}


@dataclass(frozen=True, slots=True)
class CrdRecords:
    """The records, with what stands the same in each."""

    rows: MetricRows
    address: str

    async def __call__(self) -> AsyncIterator[Json]:
        """Every record of the days. Raises Unavailable."""
        async for call in self.rows.hook_calls():
            yield self.of_call(call)

    def of_call(self, call: Mapping[str, Any]) -> Json:
        """The record of one hook call."""
        assertions = call["assertions"] or ()
        group = first(call["npis"])
        performer = first([npi for each in assertions for npi in each["performers"] or ()])
        cards = [_card(each) for each in call["cards"] or ()]
        return without_empty(
            {
                "source": PAYER_SOURCE,
                "hookInstance": str(call["hook_instance"] or call["id"]),
                "hookType": call["hook"],
                "providerId": provider(performer or group),
                "groupId": provider(group),
                "payerId": payer(self.address),
                "requestTime": instant(call["received_at"]),
                "responseTime": instant(call["answered_at"]),
                "httpResponse": call["status"],
                "issue": issues(_told(call["response"])),
                "tokenUse": call["token_use"],
                "request": [_request(each, cards) for each in assertions],
            }
        )


def _told(response: bytes | None) -> list[str]:
    """The kinds of problems a refusal told, each once."""
    if response is None:
        return []
    found = orjson.loads(response).get("issue", ())
    return list(dict.fromkeys(each["code"] for each in found))


def _request(assertion: Mapping[str, Any], cards: list[Json]) -> Json:
    """What was asked about and all that was answered. A card is about every order of its call."""
    action = {"type": "coverage-info", "coverageInfo": [_information(assertion)]}
    return {
        "type": assertion["order"].partition("/")[0],
        "orderDetail": {"coding": [{"code": code} for code in assertion["codes"]]}
        if assertion["codes"]
        else {"text": "no code was told"},
        "response": [action, *cards],
    }


def _card(card: Mapping[str, Any]) -> Json:
    return {"type": card["type"], "engagement": _ENGAGEMENT[card["engagement"]]}


def _information(assertion: Mapping[str, Any]) -> Json:
    answer = assertion["answer"]
    return without_empty(
        {
            "covered": answer["covered"],
            "paNeeded": answer["pa-needed"],
            "docNeeded": first(answer["doc-needed"]),
            "infoNeeded": first(answer["info-needed"]),
            "questionnaire": [_form(each) for each in answer["questionnaires"]],
            "assertionId": assertion["id"],
            "satisfiedId": answer["satisfied-pa-id"],
        }
    )


def _form(canonical: str) -> Json:
    """No answer of CRD brings a response that is filled."""
    adaptive = canonical.partition("|")[0].endswith("-adaptive")
    return {"reference": canonical, "adaptive": adaptive, "response": False}
