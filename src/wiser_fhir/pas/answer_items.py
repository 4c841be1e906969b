"""The lines of an answer that were asked for."""

from collections.abc import Iterator
from dataclasses import dataclass

from wiser_fhir.clock import business_date
from wiser_fhir.fhir import codes
from wiser_fhir.fhir.codes import Line
from wiser_fhir.fhir.elements import Json, extensions, without_empty
from wiser_fhir.pas.answer_notes import Notes, item_notes
from wiser_fhir.pas.authorized_providers import provider_extension
from wiser_fhir.pas.building import coded, period, told
from wiser_fhir.pas.decision_reasons import DecisionReasons
from wiser_fhir.pas.granted import authorized_detail, departure_of, granted_line, ordered
from wiser_fhir.pas.request import RequestBundle
from wiser_fhir.pas.review_action import MODIFIED, OF_ITEM, adjudication
from wiser_fhir.pas.update import item_change
from wiser_fhir.priorauth.answer import AuthorizedProvider, ItemAnswer
from wiser_fhir.priorauth.determination import DecidedBy
from wiser_fhir.priorauth.models import CaseItem, ItemChange, ItemStatus, PriorAuthorization

_ADDED = ItemChange.ADDED
_DECIDED = (ItemStatus.AFFIRMED, ItemStatus.NON_AFFIRMED)


@dataclass(frozen=True, slots=True)
class AnswerItems:
    """Writes the lines of one answer. `inquiry`: it answers an inquiry, not a request."""

    case: PriorAuthorization
    request: RequestBundle
    line: Line
    inquiry: bool
    reasons: DecisionReasons
    notes: Notes

    def items(self) -> list[Json]:
        """One for each line of the case. Source: PAS 2.2.1 §spec-34, §spec-46."""
        return [self._item(item) for item in self.case.items]

    def asked(self, item: CaseItem) -> Json:
        """The line of the newest request; a request that cancels all of it may name none."""
        lines = self.request.claim.get("item", ())
        found: Json | None = next((i for i in lines if i["sequence"] == item.sequence), None)
        return found if found is not None else _as_known(item, self.request)

    def granted(self, item: CaseItem) -> Json:
        """The line as it is affirmed."""
        return granted_line(self.asked(item), departure_of(self.case, item), self.line)

    def is_modified(self, item: CaseItem) -> bool:
        """Whether something else is affirmed than was asked."""
        return item.status is ItemStatus.AFFIRMED and self.granted(item) != self.asked(item)

    def numbers(self, item: CaseItem) -> Iterator[Json]:
        """Our number of what is or was under review, and the tracking number before this one.

        A line that did not stand under that number, as one that is added or was cancelled before
        it was given, has none.

        Source: PAS 2.2.1, profile-claimresponse (REF*NT and REF*BB of the 278 response).
        """
        decision = item.decision
        reviewed = decision is not None and decision.decided_by is DecidedBy.CLINICIAN
        if item.status is ItemStatus.PENDED or reviewed:
            yield told(codes.ADMINISTRATION_REFERENCE_NUMBER, valueString=self.case.reference)
        if self._stood_before(item) and item.status is not ItemStatus.NOT_APPLICABLE:
            previous = self.case.superseded_utn or self.case.previous_utn
            yield told(codes.AUTHORIZATION_NUMBER, valueString=previous)

    def _stood_before(self, item: CaseItem) -> bool:
        case = self.case
        if case.superseded_utn is not None:
            return item.former_utn == case.superseded_utn
        return case.previous_utn is not None and item_change(self.asked(item)) is not _ADDED

    def validity(self, item: CaseItem) -> Iterator[Json]:
        """When it was decided, and for which days of service it holds."""
        case, decision = self.case, item.decision
        if item.status not in _DECIDED or case.decided_at is None:
            return
        decided_at = decision.decided_at if decision is not None else case.decided_at
        yield told(codes.ITEM_PREAUTH_ISSUE_DATE, valueDate=business_date(decided_at).isoformat())
        first, last = case.valid_from, case.valid_until
        if decision is not None:
            first, last = decision.first_day or first, decision.last_day or last
        if item.status is ItemStatus.AFFIRMED and first is not None and last is not None:
            yield told(codes.ITEM_PREAUTH_PERIOD, valuePeriod=period(first, last))

    def _item(self, item: CaseItem) -> Json:
        asked = self.asked(item)
        facts = [
            *extensions(asked, codes.ITEM_TRACE_NUMBER),
            *self.numbers(item),
            *_requested_date(asked),
            *self.validity(item),
            *self._detail(item, asked),
            *self._answered(item),
        ]
        notes = item_notes(self.case, item, self.line, inquiry=self.inquiry)
        return without_empty(
            {
                "extension": facts,
                "itemSequence": item.sequence,
                "noteNumber": self.notes.numbered(notes),
                "adjudication": [self._adjudication(item)],
            }
        )

    def _detail(self, item: CaseItem, asked: Json) -> Iterator[Json]:
        """Of a modified item: line 2.2 repeats what was asked, line 2.0 tells what is granted, with
        the order beside it, whose own context lets it stand nowhere else.

        Source: PAS 2.2.1 §spec-36; PAS 2.0.1, profile-claimresponse (authorizedItemDetail).
        """
        if not self.is_modified(item):
            return
        if self.line == "2.2":
            yield authorized_detail(asked, self.line)
        else:
            granted = self.granted(item)
            yield authorized_detail(granted, self.line)
            yield from ordered(granted, self.request)

    def _answered(self, item: CaseItem) -> Iterator[Json]:
        """Who may deliver it, when, and for which diagnosis; an inquiry's answer has room for one.

        Source: PAS 2.2.1 and 2.0.1, profile-claimresponse, profile-claiminquiryresponse.
        """
        if item.decision is None:
            return
        answer = item.decision.answer
        for provider in self._providers(item, answer):
            yield provider_extension(provider, self.request, self.line)
        yield from stay(answer, self.line)
        for diagnosis in answer.diagnoses[:1] if self.inquiry else answer.diagnoses:
            yield told(codes.COMMUNICATED_DIAGNOSIS, valueCodeableConcept=coded(diagnosis))

    def _providers(self, item: CaseItem, answer: ItemAnswer) -> tuple[AuthorizedProvider, ...]:
        """Line 2.0 names those of the whole request on each item, having no other place."""
        if self.line == "2.2" or item.status is not ItemStatus.AFFIRMED:
            return answer.providers
        return tuple(dict.fromkeys((*answer.providers, *self.case.answer.providers)))

    def _adjudication(self, item: CaseItem) -> Json:
        decision = item.decision
        return adjudication(
            MODIFIED if self.is_modified(item) else OF_ITEM[item.status],
            self.case.utn if item.status in _DECIDED else None,
            self.reasons.of(decision.reasons) if decision is not None else (),
            decision.answer.second_opinion if decision is not None else None,
        )


def stay(answer: ItemAnswer, line: Line) -> Iterator[Json]:
    """Admission and discharge. Line 2.0 has no such elements: there a note says it."""
    if line == "2.0":
        return
    if answer.admission is not None:
        first, last = answer.admission.first, answer.admission.last
        if last is None:
            yield told(codes.ADMISSION_DATES, valueDate=first.isoformat())
        else:
            yield told(codes.ADMISSION_DATES, valuePeriod=period(first, last))
    if answer.discharge is not None:
        yield told(codes.DISCHARGE_DATE, valueDate=answer.discharge.isoformat())


def _as_known(item: CaseItem, request: RequestBundle) -> Json:
    """A line that the newest request does not name, as far as the case knows it.

    Its trace number stands in the Claim before, which such a request brings along.
    Source: PAS 2.2.1 §spec-34 (an item is traced by its number), §spec-65.
    """
    line: Json = {
        "sequence": item.sequence,
        "productOrService": coded(item.code),
        "extension": _traces_before(item, request),
    }
    days = period(item.date_of_service, item.service_end)
    if days and item.service_end in (None, item.date_of_service):
        return line | {"servicedDate": days["start"]}
    return line | ({"servicedPeriod": days} if days else {})


def _traces_before(item: CaseItem, request: RequestBundle) -> list[Json]:
    return [
        number
        for related in request.claim.get("related", ())
        for line in (request.target(request.claim, related.get("claim")) or {}).get("item", ())
        if line.get("sequence") == item.sequence
        for number in extensions(line, codes.ITEM_TRACE_NUMBER)
    ]


def _requested_date(asked: Json) -> Iterator[Json]:
    if "servicedDate" in asked:
        yield told(codes.ITEM_REQUESTED_SERVICE_DATE, valueDateTime=asked["servicedDate"])
    elif "servicedPeriod" in asked:
        yield told(codes.ITEM_REQUESTED_SERVICE_DATE, valuePeriod=asked["servicedPeriod"])
