"""DTRMetricData as a payer sees it: a record for each package and each next question.

A payer is called by what it cannot see, so nothing ties calls to one session: each is a record of
its own, and what only the app knows (how long a form was open, who typed) is left out as unknown.

Source: DTR 2.2.0 StructureDefinition DTRMetricData.
"""

import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

from wiser_fhir.fhir.codes import CANONICAL_BASE, Line
from wiser_fhir.fhir.elements import Json, without_empty
from wiser_fhir.fhir.metric_elements import (
    PAYER_SOURCE,
    UNKNOWN,
    begun,
    first,
    instant,
    payer,
    provider,
    refused_with,
)
from wiser_fhir.priorauth.metric_rows import MetricRows

ACTIONS = ("dtr.package", "dtr.next-question", "request.refused")
_PACKAGE, _NEXT = "-questionnaire-package", "-next-question"
ROUTES = (f"%/{_PACKAGE}", f"%/{_NEXT}")

_LAUNCHES = {"assertion": "crdlaunch", "request": "cdexlaunch"}
_FORM = re.compile(r"(?P<name>.+)-(?P<version>\d{4}-\d\d-\d\d)")
_ADAPTIVE = "-adaptive"


@dataclass(frozen=True, slots=True)
class DtrRecords:
    """The records, with what stands the same in each."""

    rows: MetricRows
    address: str

    async def __call__(self) -> AsyncIterator[Json]:
        """Every record of the days. Raises Unavailable."""
        async for event in self.rows.trail(ACTIONS, ROUTES):
            yield self.of_call(event)

    def of_call(self, event: Mapping[str, Any]) -> Json:
        """The record of one call."""
        detail = event["detail"]
        forms = _forms(event)
        npi = first(event["npis"])
        who = provider(npi) if npi else None
        assertion = detail.get("assertion")
        return without_empty(
            {
                "source": PAYER_SOURCE,
                "providerId": who,
                "groupId": who,
                "payerId": payer(self.address),
                "assertionId": [assertion] if assertion else [],
                "launchMode": _LAUNCHES.get(detail.get("by")),
                "orderItem": [{"text": each} for each in _services(forms)] or [UNKNOWN],
                "action": [_action(event, forms)],
                "questionnaire": [_questionnaire(each, event) for each in forms],
            }
        )


def _forms(event: Mapping[str, Any]) -> list[str]:
    """The canonicals of the forms a call was about."""
    detail = event["detail"]
    line: Line = detail.get("line") or "2.2"
    numbered = (name for name in detail if name.startswith("form-"))
    ids = [detail[name] for name in sorted(numbered, key=lambda name: int(name[5:]))]
    if event["action"] == "dtr.next-question":
        ids = [event["object_id"]]
    return [_canonical(each, line) for each in ids]


def _canonical(form_id: str, line: Line) -> str:
    found = _FORM.fullmatch(form_id)
    if found is None:
        return f"{CANONICAL_BASE[line]}/Questionnaire/{form_id}"
    return f"{CANONICAL_BASE[line]}/Questionnaire/{found['name']}|{found['version']}"


def _name(canonical: str) -> str:
    return canonical.rpartition("/")[2].partition("|")[0]


def _services(forms: list[str]) -> list[str]:
    return list(dict.fromkeys(_name(each).removesuffix(_ADAPTIVE) for each in forms))


def _action(event: Mapping[str, Any], forms: list[str]) -> Json:
    detail = event["detail"]
    asked = event["action"] == "dtr.next-question" or _NEXT in (detail.get("route") or "")
    return without_empty(
        {
            "actionDetail": "nextq" if asked else "qpackage",
            "requestTime": instant(begun(event["at"], detail)),
            "responseTime": instant(event["at"]),
            "httpResponse": detail.get("status") or 200,
            "questionnaire": first(forms),
            "issue": refused_with(detail),
        }
    )


def _questionnaire(canonical: str, event: Mapping[str, Any]) -> Json:
    """A form that was sent, or the one that was gone on with; its figures once it is complete."""
    detail = event["detail"]
    counts = ((name, detail.get(name)) for name in ("override", "manual"))
    return without_empty(
        {
            "reference": canonical,
            "adaptive": _name(canonical).endswith(_ADAPTIVE),
            "populated": detail.get("populated"),
            "enabledQuestions": detail.get("questions") or None,
            "autoPopulated": detail.get("auto") or None,
            "roleInteraction": [
                {"role": UNKNOWN, "roleAction": name, "count": count}
                for name, count in counts
                if count
            ],
            "_elapsedTime": UNKNOWN,
        }
    )
