"""Case -> ClaimResponse and the Bundle around it, one renderer for both PAS lines.

The lines differ in little: 2.2 knows the reviewer and transmission extensions; the rest is one
shape that both profiles accept.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID, uuid4, uuid5

from wiser_fhir.clock import business_date
from wiser_fhir.fhir import codes
from wiser_fhir.fhir.codes import Line
from wiser_fhir.fhir.elements import Json, extension, extensions
from wiser_fhir.pas.reject_reasons import UPDATE_NOT_SUPPORTED, RejectReasons
from wiser_fhir.pas.request import RequestBundle
from wiser_fhir.priorauth.models import (
    CaseItem,
    CaseStatus,
    FindingStatus,
    ItemStatus,
    PriorAuthorization,
)

# X12 306. Source: PAS 2.2.1, reviewActionCode; the meanings are those of HCR01 in the 278 response.
_ACTIONS = {
    ItemStatus.AFFIRMED: "A1",
    ItemStatus.NON_AFFIRMED: "A3",
    ItemStatus.PENDED: "A4",
    ItemStatus.CANCELLED: "C",
    ItemStatus.NOT_APPLICABLE: "NA",
}

_FINDING_WORDS = {
    FindingStatus.UNMET: "Criterion not met",
    FindingStatus.UNANSWERED: "Not answered",
    FindingStatus.NEEDS_JUDGEMENT: "For the reviewing clinician",
}

_DISPOSITIONS = {
    CaseStatus.DISMISSED: "Dismissed without medical review; this is not a denial.",
    CaseStatus.IN_REVIEW: "Pended: a clinician will review this request.",
    CaseStatus.AFFIRMED: "Provisionally affirmed.",
    CaseStatus.PARTIALLY_AFFIRMED: "Provisionally affirmed in part.",
    CaseStatus.NON_AFFIRMED: "Not affirmed.",
    CaseStatus.CANCELLED: "Cancelled by the submitter.",
}

_SENDERS_AND_RECEIVERS = {
    "applicationSenderCode": "applicationReceiverCode",
    "applicationReceiverCode": "applicationSenderCode",
    "interchangeSenderID": "interchangeReceiverID",
    "interchangeReceiverID": "interchangeSenderID",
}

_BUNDLE_NAMESPACE = UUID("5b1f0a52-3f7e-5c0a-9d1e-6a1a1c0d2f77")
_BUNDLE_IDENTIFIERS = "https://wiser-fhir.example/fhir/NamingSystem/response-bundle"


@dataclass(frozen=True, slots=True)
class Renderer:
    """Turns cases into what one PAS line puts on the wire. `base_url` is that line's own."""

    line: Line
    base_url: str
    reject_reasons: RejectReasons

    def submit_response(self, case: PriorAuthorization, request: RequestBundle) -> Json:
        """The PAS response Bundle. Source: PAS 2.2.1 §spec-30 to §spec-34."""
        response = self.claim_response(case, request, codes.CLAIM_RESPONSE)
        return self._bundle(codes.RESPONSE_BUNDLE, response, request)

    def inquiry_response(self, case: PriorAuthorization, request: RequestBundle) -> Json:
        """The PAS inquiry response Bundle of one case. Source: PAS 2.2.1 §spec-46."""
        response = self.claim_response(case, request, codes.CLAIM_INQUIRY_RESPONSE)
        return self._bundle(codes.INQUIRY_RESPONSE_BUNDLE, response, request)

    def inquiry_answer(self, answers: list[Json], asked: RequestBundle, now: datetime) -> Json:
        """What `$inquire` returns: Parameters with a Bundle each (2.2), or one Bundle (2.0).

        Source: PAS 2.2.1, OperationDefinition Claim-inquiry (`return`, 0..*; the guide's example
        calls it responseBundle, and the definition is the norm); PAS 2.0.1, the same (one Bundle).
        """
        if self.line == "2.2":
            returned = [{"name": "return", "resource": bundle} for bundle in answers]
            return _without_empty(
                {"resourceType": "Parameters", "id": str(uuid4()), "parameter": returned}
            )
        return self._one_bundle(answers, asked, now)

    def _one_bundle(self, answers: list[Json], asked: RequestBundle, now: datetime) -> Json:
        """Every ClaimResponse first, newest first, then what they refer to, each fullUrl once.

        Two requests may carry different editions of one entry: the newest request's stays. Where
        nothing is found the Bundle holds whom the inquiry named, for an empty one is not valid.
        """
        responses = [bundle["entry"][0] for bundle in answers]
        others: dict[str, Json] = {}
        if not answers:
            named = self._frame(asked, uuid4(), now, codes.CLAIM_INQUIRY_RESPONSE)
            others = {entry["fullUrl"]: entry for entry in echoed(asked, named)}
        for bundle in answers:
            for entry in bundle["entry"][1:]:
                others.setdefault(entry["fullUrl"], entry)
        return _without_empty(
            {
                "resourceType": "Bundle",
                "id": str(uuid4()),
                "meta": {"profile": [codes.INQUIRY_RESPONSE_BUNDLE]},
                "type": "collection",
                "timestamp": fhir_instant(now),
                "entry": [*responses, *others.values()],
            }
        )

    def update_refused(self, request: RequestBundle, response_id: UUID, now: datetime) -> Json:
        """The answer to an update or cancel, which this server does not take yet.

        Source: PAS 2.2.1 §spec-64 (a payer may ask for a new request instead).
        """
        response = self._frame(request, response_id, now, codes.CLAIM_RESPONSE) | {
            "outcome": "error",
            "disposition": "Updates and cancellations are not taken yet: send a new request.",
            "error": [self._error(UPDATE_NOT_SUPPORTED)],
        }
        return self._bundle(codes.RESPONSE_BUNDLE, _without_empty(response), request)

    def claim_response(
        self, case: PriorAuthorization, request: RequestBundle, profile: str
    ) -> Json:
        """The ClaimResponse of a case, every element of it this line knows.

        Source: PAS 2.2.1 §spec-34 (an item per requested item), §spec-44 (request named by its
        identifier), response section (the decision is in reviewAction alone, outcome is transport).
        """
        response = self._frame(request, case.id, _answered_at(case), profile)
        response["outcome"] = "error" if case.dismissal else "complete"
        response["disposition"] = _disposition(case)
        if self.line == "2.2" and case.decided_at is not None and case.dismissal is None:
            response["extension"].append(_reviewer(case))
        notes = _notes(case)
        if case.dismissal is not None:
            response["error"] = [self._error(case.dismissal.reason)]
        else:
            response |= _authorization(case)
            response["item"] = [_item(case, i, request, notes) for i in case.items]
        if notes:
            response["processNote"] = [
                {"number": number, "type": "display", "text": text}
                for text, number in notes.items()
            ]
        return _without_empty(response)

    def _frame(
        self, request: RequestBundle, response_id: UUID, now: datetime, profile: str
    ) -> Json:
        claim = request.claim
        return {
            "resourceType": "ClaimResponse",
            "id": str(response_id),
            "meta": {"profile": [profile]},
            "contained": _contained(request),
            "extension": list(self._transmission(claim)),
            "identifier": claim.get("identifier", []),
            "status": "active",
            "type": claim["type"],
            "use": "preauthorization",
            "patient": _reference(request, claim["patient"]),
            "created": fhir_instant(now),
            "insurer": _reference(request, claim["insurer"]),
            "requestor": _reference(request, claim["provider"]),
            "request": _claim_named(claim),
        }

    def _transmission(self, claim: Json) -> Iterator[Json]:
        """Sender and receiver, swapped. Source: PAS 2.2.1 extension-TransmissionIdentifiers."""
        sent = extension(claim, codes.TRANSMISSION_IDENTIFIERS)
        if self.line == "2.2" and sent is not None:
            swapped = [
                part | {"url": _SENDERS_AND_RECEIVERS[part["url"]]}
                for part in sent.get("extension", ())
                if part.get("url") in _SENDERS_AND_RECEIVERS
            ]
            yield {"url": codes.TRANSMISSION_IDENTIFIERS, "extension": swapped}

    def _error(self, reason: str) -> Json:
        reject = self.reject_reasons.reasons[reason]
        return {
            "extension": [
                {
                    "url": codes.ERROR_FOLLOWUP_ACTION,
                    "valueCodeableConcept": _concept(codes.X12_FOLLOWUP_ACTION, reject.followup),
                },
                {"url": codes.ERROR_PATH, "valueString": reject.path},
            ],
            "code": _concept(codes.X12_REJECT_REASON, reject.code),
        }

    def _bundle(self, profile: str, response: Json, request: RequestBundle) -> Json:
        identifier = uuid5(_BUNDLE_NAMESPACE, f"{profile} {response['id']} {response['created']}")
        return {
            "resourceType": "Bundle",
            "id": str(identifier),
            "meta": {"profile": [profile]},
            "identifier": {"system": _BUNDLE_IDENTIFIERS, "value": str(identifier)},
            "type": "collection",
            "timestamp": response["created"],
            "entry": [
                {
                    "fullUrl": f"{self.base_url}/ClaimResponse/{response['id']}",
                    "resource": response,
                },
                *echoed(request, response),
            ],
        }


def echoed(request: RequestBundle, response: Json) -> Iterator[Json]:
    """The entries of the request that the answer refers to, as they came, each once.

    What they themselves refer to comes along: 2.0 asks for all descendants, and in 2.2 an entry
    whose references lead nowhere would not be valid. Source: PAS 2.2.1 §spec-31 to §spec-33.
    """
    named = (response["patient"], response["insurer"], response["requestor"])
    wanted = [reference.get("reference", "") for reference in named]
    seen: set[str] = set()
    while wanted:
        resource = request.references.resolve(wanted.pop(0), None)
        full_url = request.references.full_url(resource) if resource else None
        if resource is None or full_url is None or full_url in seen:
            continue
        seen.add(full_url)
        yield {"fullUrl": full_url, "resource": resource}
        targets = (request.target(resource, r) for r in _references(resource))
        wanted.extend(url for t in targets if t and (url := request.references.full_url(t)))


def _references(node: Any) -> Iterator[Json]:
    if isinstance(node, dict):
        if isinstance(node.get("reference"), str):
            yield node
        for value in node.values():
            yield from _references(value)
    elif isinstance(node, list):
        for value in node:
            yield from _references(value)


def _reference(request: RequestBundle, reference: Json) -> Json:
    """The same target by its fullUrl: what was relative to the request is not so to the answer."""
    target = request.target(request.claim, reference)
    full_url = request.references.full_url(target) if target else None
    return {"reference": full_url} if full_url else reference


def _contained(request: RequestBundle) -> list[Json]:
    """Of those the answer names, who has no entry but is contained in the Claim, each once."""
    claim = request.claim
    named = (claim["patient"], claim["insurer"], claim["provider"])
    inside = {r["reference"]: r for r in named if r.get("reference", "").startswith("#")}
    found = (request.target(claim, reference) for reference in inside.values())
    return [resource for resource in found if resource is not None]


def _claim_named(claim: Json) -> Json:
    identifiers = claim.get("identifier")
    return {"type": "Claim", "identifier": identifiers[0]} if identifiers else {"type": "Claim"}


def _answered_at(case: PriorAuthorization) -> datetime:
    return case.decided_at or case.received_at


def _disposition(case: PriorAuthorization) -> str:
    words = _DISPOSITIONS[case.status]
    if case.dismissal is not None:
        return f"{words} {case.dismissal.detail}"
    if case.status is CaseStatus.IN_REVIEW and case.decide_by is not None:
        return f"{words} Decision due by {fhir_instant(case.decide_by)}."
    if case.valid_until is not None:
        return f"{words} Last valid day of service: {case.valid_until}."
    return words


def _authorization(case: PriorAuthorization) -> Json:
    """Number and validity of the whole answer, where something is affirmed."""
    found: Json = {}
    if case.utn is not None:
        found["preAuthRef"] = case.utn
    if case.valid_from is not None and case.valid_until is not None:
        found["preAuthPeriod"] = _period(case.valid_from, case.valid_until)
    return found


def _item(
    case: PriorAuthorization, item: CaseItem, request: RequestBundle, notes: dict[str, int]
) -> Json:
    asked = next(i for i in request.claim["item"] if i["sequence"] == item.sequence)
    return _without_empty(
        {
            "extension": [*extensions(asked, codes.ITEM_TRACE_NUMBER), *_facts(case, item, asked)],
            "itemSequence": item.sequence,
            "noteNumber": [notes[text] for text in _item_notes(case, item)],
            "adjudication": [_adjudication(case, item)],
        }
    )


def _facts(case: PriorAuthorization, item: CaseItem, asked: Json) -> Iterator[Json]:
    """What is authorized. Source: PAS 2.2.1, profile-claimresponse item extensions."""
    if item.status is ItemStatus.PENDED:
        yield {"url": codes.ADMINISTRATION_REFERENCE_NUMBER, "valueString": case.reference}
    if "servicedDate" in asked:
        yield {"url": codes.ITEM_REQUESTED_SERVICE_DATE, "valueDateTime": asked["servicedDate"]}
    elif "servicedPeriod" in asked:
        yield {"url": codes.ITEM_REQUESTED_SERVICE_DATE, "valuePeriod": asked["servicedPeriod"]}
    if item.status in (ItemStatus.AFFIRMED, ItemStatus.NON_AFFIRMED) and case.decided_at:
        issued = business_date(case.decided_at).isoformat()
        yield {"url": codes.ITEM_PREAUTH_ISSUE_DATE, "valueDate": issued}
    if item.status is ItemStatus.AFFIRMED and case.valid_from and case.valid_until:
        period = _period(case.valid_from, case.valid_until)
        yield {"url": codes.ITEM_PREAUTH_PERIOD, "valuePeriod": period}


def _adjudication(case: PriorAuthorization, item: CaseItem) -> Json:
    action: list[Json] = []
    decided = item.status in (ItemStatus.AFFIRMED, ItemStatus.NON_AFFIRMED)
    if decided and case.utn is not None:
        action.append({"url": "number", "valueString": case.utn})
    action.append(
        {
            "url": codes.REVIEW_ACTION_CODE,
            "valueCodeableConcept": _concept(codes.X12_ACTION, _ACTIONS[item.status]),
        }
    )
    return {
        "extension": [{"url": codes.REVIEW_ACTION, "extension": action}],
        "category": _concept(codes.ADJUDICATION, "submitted"),
    }


def _notes(case: PriorAuthorization) -> dict[str, int]:
    """Every note of the case with its number, each text once; remarks come last."""
    if case.dismissal is not None:
        texts = [case.dismissal.detail]
    else:
        texts = [text for item in case.items for text in _item_notes(case, item)]
    texts += case.remarks
    return {text: number for number, text in enumerate(dict.fromkeys(texts), start=1)}


def _item_notes(case: PriorAuthorization, item: CaseItem) -> list[str]:
    notes = [item.note] if item.note else []
    if item.status is ItemStatus.PENDED and case.assessment is not None:
        notes += [
            f"{_FINDING_WORDS[finding.status]} ({finding.criterion}): {finding.text}"
            for finding in case.assessment.findings
            if finding.status is not FindingStatus.MET
        ]
    return list(dict.fromkeys(notes))


def _reviewer(case: PriorAuthorization) -> Json:
    """Whether a person decided. Source: PAS 2.2.1, extension-claimResponseReviewer."""
    flag = {"url": "wasHumanReviewedFlag", "valueBoolean": case.reviewed_by_person}
    return {"url": codes.CLAIM_RESPONSE_REVIEWER, "extension": [flag]}


def _period(first: date, last: date) -> Json:
    return {"start": first.isoformat(), "end": last.isoformat()}


def _concept(system: str, code: str) -> Json:
    return {"coding": [{"system": system, "code": code}]}


def _without_empty(element: Json) -> Json:
    return {name: value for name, value in element.items() if value not in ([], {}, None)}


def fhir_instant(moment: datetime) -> str:
    """An instant with milliseconds in UTC."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
