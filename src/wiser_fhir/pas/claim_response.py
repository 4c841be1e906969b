"""Case -> ClaimResponse, one renderer for both PAS lines.

The lines differ in what they have elements for: 2.2 knows the reviewer, the transmission and items
that are added; what 2.0 has no word for it says in a note.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID, uuid4

from wiser_fhir.fhir import codes
from wiser_fhir.fhir.codes import Line
from wiser_fhir.fhir.elements import Json, extension, without_empty
from wiser_fhir.pas.answer_added import added_items
from wiser_fhir.pas.answer_bundle import answer_bundle, in_one, in_parameters, of_transaction
from wiser_fhir.pas.answer_errors import refusal, stated_error
from wiser_fhir.pas.answer_items import AnswerItems
from wiser_fhir.pas.answer_notes import Notes
from wiser_fhir.pas.asking import communication_requests, tasks
from wiser_fhir.pas.authorized_providers import provider_extension
from wiser_fhir.pas.building import concept, fhir_instant, nested, period, told
from wiser_fhir.pas.decision_reasons import DecisionReasons
from wiser_fhir.pas.echo import as_named, contained, echoed
from wiser_fhir.pas.reject_reasons import RejectReasons
from wiser_fhir.pas.request import RequestBundle
from wiser_fhir.pas.review_action import adjudication
from wiser_fhir.priorauth.changes import Refused
from wiser_fhir.priorauth.models import CaseStatus, PriorAuthorization

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


@dataclass(frozen=True, slots=True)
class Renderer:
    """Turns cases into what one PAS line puts on the wire. `base_url` is that line's own."""

    line: Line
    base_url: str
    reject_reasons: RejectReasons
    decision_reasons: DecisionReasons = field(default_factory=DecisionReasons.load)

    def submit_response(
        self, case: PriorAuthorization, request: RequestBundle, at: datetime | None = None
    ) -> Json:
        """The PAS response Bundle. `at` is when the case came to stand so, if not by a decision.

        Source: PAS 2.2.1 §spec-30 to §spec-34.
        """
        response = self.claim_response(case, request, codes.CLAIM_RESPONSE, at)
        wanted = communication_requests(case, request, self.base_url, self.line)
        beside = [*wanted, *tasks(case, request, self.base_url, self.line)]
        profile = codes.RESPONSE_BUNDLE
        bundle = answer_bundle(profile, self.base_url, response, request, beside)
        return of_transaction(bundle, request, self.line)

    def inquiry_response(self, case: PriorAuthorization, request: RequestBundle) -> Json:
        """The PAS inquiry response Bundle of one case.

        It names the Claim and does not bring it along: everything that this server answers stands
        in the ClaimResponse, and the Claim is the asker's own or, for another provider, none of its
        business. Source: PAS 2.2.1 §spec-45, §spec-46.
        """
        response = self.claim_response(case, request, codes.CLAIM_INQUIRY_RESPONSE)
        beside = tasks(case, request, self.base_url, self.line)
        profile = codes.INQUIRY_RESPONSE_BUNDLE
        return answer_bundle(profile, self.base_url, response, request, beside)

    def inquiry_answer(
        self, answers: list[Json], asked: RequestBundle, now: datetime, *, more: bool = False
    ) -> Json:
        """What `$inquire` returns: Parameters with a Bundle each (2.2), or one Bundle (2.0).

        `more`: there are others that are not among the answers.
        """
        if self.line == "2.2":
            return in_parameters(answers, more)
        nobody = self._frame(asked, uuid4(), now, codes.CLAIM_INQUIRY_RESPONSE)
        return in_one(answers, echoed(asked, nobody), now, more)

    def update_refused(
        self, request: RequestBundle, response_id: UUID, now: datetime, refused: Refused
    ) -> Json:
        """The answer to an update or cancel that changes nothing.

        Source: PAS 2.2.1 §spec-64 (a payer may ask for a new request instead).
        """
        response = self._frame(request, response_id, now, codes.CLAIM_RESPONSE) | {
            "outcome": "error",
            "disposition": f"The update is not taken. {refused.detail}",
            "error": [refusal(self.reject_reasons.reasons[refused.reason])],
            "processNote": [{"number": 1, "type": "display", "text": refused.detail}],
        }
        profile = codes.RESPONSE_BUNDLE
        bundle = answer_bundle(profile, self.base_url, without_empty(response), request)
        return of_transaction(bundle, request, self.line)

    def claim_response(
        self,
        case: PriorAuthorization,
        request: RequestBundle,
        profile: str,
        at: datetime | None = None,
    ) -> Json:
        """The ClaimResponse of a case, every element of it this line knows.

        Source: PAS 2.2.1 §spec-34 (an item per requested item), §spec-44 (request named by its
        identifier), response section (the decision is in reviewAction alone, outcome is transport).
        """
        inquiry = profile == codes.CLAIM_INQUIRY_RESPONSE
        notes = Notes.of(case, self.line, inquiry=inquiry)
        response = self._frame(request, case.id, at or _answered_at(case), profile)
        response["extension"] += [*self._reviewer(case), *self._providers(case, request)]
        if case.answer.claim_absent:
            response["request"] = self._no_claim()
        response |= {"outcome": _outcome(case), "disposition": _disposition(case)}
        if case.dismissal is not None:
            response["error"] = [refusal(self.reject_reasons.reasons[case.dismissal.reason])]
        else:
            lines = AnswerItems(case, request, self.line, inquiry, self.decision_reasons, notes)
            response |= self._answered(case, lines)
        if not inquiry:
            wanted = communication_requests(case, request, self.base_url, self.line)
            named = [{"reference": entry["fullUrl"]} for entry in wanted]
            response["communicationRequest"] = named
        return without_empty(response | {"processNote": notes.as_json()})

    def _frame(
        self, request: RequestBundle, response_id: UUID, now: datetime, profile: str
    ) -> Json:
        claim = request.claim
        return {
            "resourceType": "ClaimResponse",
            "id": str(response_id),
            "meta": {"profile": [profile]},
            "contained": contained(request),
            "extension": list(self._transmission(claim)),
            "identifier": claim.get("identifier", []),
            "status": "active",
            "type": claim["type"],
            "use": "preauthorization",
            "patient": as_named(request, claim["patient"]),
            "created": fhir_instant(now),
            "insurer": as_named(request, claim["insurer"]),
            "requestor": as_named(request, claim["provider"]),
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
            yield nested(codes.TRANSMISSION_IDENTIFIERS, swapped)

    def _reviewer(self, case: PriorAuthorization) -> Iterator[Json]:
        """Whether a person decided, and who. Source: PAS 2.2.1, extension-claimResponseReviewer."""
        if self.line == "2.0" or case.decided_at is None or case.dismissal is not None:
            return
        parts = [told("wasHumanReviewedFlag", valueBoolean=case.reviewed_by_person)]
        clinician = case.clinician
        if clinician is not None and clinician.npi is not None:
            npi = {"system": codes.NPI, "value": clinician.npi}
            parts.append(told("reviewerNPI", valueIdentifier=npi))
        if clinician is not None and clinician.specialty is not None:
            specialty = concept(codes.PROVIDER_TAXONOMY, clinician.specialty)
            parts.append(told("reviewerSpecialty", valueCodeableConcept=specialty))
        yield nested(codes.CLAIM_RESPONSE_REVIEWER, parts)

    def _providers(self, case: PriorAuthorization, request: RequestBundle) -> Iterator[Json]:
        """Who may deliver all that is affirmed; line 2.0 says it on each item."""
        if self.line == "2.2":
            for provider in case.answer.providers:
                yield provider_extension(provider, request, self.line, of_item=False)

    def _no_claim(self) -> Json | None:
        """Line 2.0 may leave it out. Source: PAS 2.2.1 §spec-44."""
        absent = {"extension": [told(codes.DATA_ABSENT, valueCode="unknown")]}
        return absent if self.line == "2.2" else None

    def _answered(self, case: PriorAuthorization, lines: AnswerItems) -> Json:
        """Number and validity of the whole, its lines, and what is wrong beside them."""
        return {
            "preAuthRef": case.utn,
            "preAuthPeriod": _validity(case),
            "item": lines.items(),
            "addItem": added_items(lines),
            "adjudication": list(self._overall(case)),
            "error": [stated_error(e, self.line, lines.notes) for e in case.answer.errors],
        }

    def _overall(self, case: PriorAuthorization) -> Iterator[Json]:
        """What holds for all of it together, where that is said; what is decided, the items say.

        Source: PAS 2.2.1, ClaimResponse.adjudication; 2.0 has no such place for it.
        """
        number = case.utn if case.answer.overall else None
        opinion = case.answer.second_opinion
        if self.line == "2.2" and (number is not None or opinion is not None):
            yield adjudication(None, number, second_opinion=opinion)


def _claim_named(claim: Json) -> Json:
    identifiers = claim.get("identifier")
    return {"type": "Claim", "identifier": identifiers[0]} if identifiers else {"type": "Claim"}


def _answered_at(case: PriorAuthorization) -> datetime:
    """When the case came to stand as it does, as far as it tells."""
    asked = [moment for r in case.requests for moment in (r.asked_at, r.answered_at) if moment]
    return max([case.received_at, *([case.decided_at] if case.decided_at else []), *asked])


def _outcome(case: PriorAuthorization) -> str:
    """Source: PAS 2.2.1, ClaimResponseOutcome (pended is complete, too)."""
    if case.dismissal is not None:
        return "error"
    return "partial" if case.answer.errors else "complete"


def _disposition(case: PriorAuthorization) -> str:
    words = _DISPOSITIONS[case.status]
    if case.dismissal is not None:
        return f"{words} {case.dismissal.detail}"
    if case.status is CaseStatus.IN_REVIEW and case.decide_by is not None:
        return f"{words} Decision due by {fhir_instant(case.decide_by)}."
    if case.decided and case.utn is None:
        words = f"{words} The tracking number follows."
    if case.valid_until is not None:
        return f"{words} Last valid day of service: {case.valid_until}."
    return words


def _validity(case: PriorAuthorization) -> Json | None:
    if case.valid_from is None or case.valid_until is None:
        return None
    return period(case.valid_from, case.valid_until)
