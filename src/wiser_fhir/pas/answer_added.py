"""The lines of an answer that nobody asked for so: granted instead of a line, or beside it."""

from collections.abc import Iterator

from wiser_fhir.clock import business_date
from wiser_fhir.fhir import codes
from wiser_fhir.fhir.elements import Json, extension, extensions, without_empty
from wiser_fhir.pas.answer_items import AnswerItems, stay
from wiser_fhir.pas.answer_notes import added_notes, item_notes
from wiser_fhir.pas.authorized_providers import added_provider
from wiser_fhir.pas.building import period, told
from wiser_fhir.pas.granted import Departure, granted_line, ordered, revenue
from wiser_fhir.pas.review_action import OF_ITEM, SUBMITTED, adjudication
from wiser_fhir.priorauth.answer import AddedItem, ItemAnswer
from wiser_fhir.priorauth.models import CaseItem, ItemStatus

_STATED = (
    codes.EPSDT_INDICATOR,
    codes.NURSING_HOME_RESIDENTIAL_STATUS,
    codes.NURSING_HOME_LEVEL_OF_CARE,
    codes.PRODUCT_OR_SERVICE_CODE_END,
    codes.REVENUE_UNIT_RATE_LIMIT,
    codes.SERVICE_ITEM_REQUEST_TYPE,
    codes.CERTIFICATION_TYPE,
)
_ALIKE = (
    *("productOrService", "modifier", "servicedDate", "servicedPeriod", "unitPrice"),
    *("locationCodeableConcept", "quantity"),
)


def added_items(lines: AnswerItems) -> list[Json]:
    """What is granted otherwise than asked, under the sequence asked, and what is granted unasked.

    Line 2.0 tells the first on the item itself.
    Source: PAS 2.2.1 §spec-36, §spec-37, response section.
    """
    modified = [i for i in lines.case.items if lines.line == "2.2" and lines.is_modified(i)]
    return [
        *(_instead(lines, item) for item in modified),
        *(_beside(lines, added) for added in lines.case.answer.added),
    ]


def _instead(lines: AnswerItems, item: CaseItem) -> Json:
    granted = lines.granted(item)
    answer = item.decision.answer if item.decision is not None else ItemAnswer()
    facts = [
        *extensions(granted, codes.ITEM_TRACE_NUMBER),
        *lines.validity(item),
        *lines.numbers(item),
        *_stated(lines, granted),
    ]
    notes = item_notes(lines.case, item, lines.line, inquiry=lines.inquiry)
    return _with_decision(lines, granted, item.sequence, answer, facts, notes)


def _beside(lines: AnswerItems, added: AddedItem) -> Json:
    """Line 2.0 knows no extension and no sequence here: a note says that it is affirmed."""
    wanted = (added.code, added.quantity, added.first_day, added.last_day, added.answer.detail)
    granted = granted_line({}, Departure(*wanted), lines.line)
    notes = added_notes(added, lines.line)
    if lines.line == "2.2":
        facts = [*_validity(lines, added), *_stated(lines, granted)]
        return _with_decision(lines, granted, added.sequence, added.answer, facts, notes)
    return without_empty(
        {
            **_alike(lines, granted, added.answer),
            "noteNumber": lines.notes.numbered(notes),
            "adjudication": [{"category": SUBMITTED}],
        }
    )


def _with_decision(
    lines: AnswerItems,
    granted: Json,
    sequence: int,
    answer: ItemAnswer,
    facts: list[Json],
    notes: tuple[str, ...],
) -> Json:
    """Source: PAS 2.2.1, ClaimResponse.addItem."""
    affirmed = OF_ITEM[ItemStatus.AFFIRMED]
    return without_empty(
        {
            "extension": [*facts, *stay(answer, lines.line)],
            "itemSequence": [sequence],
            **_alike(lines, granted, answer),
            "noteNumber": lines.notes.numbered(notes),
            "adjudication": [
                adjudication(affirmed, lines.case.utn, second_opinion=answer.second_opinion)
            ],
        }
    )


def _alike(lines: AnswerItems, granted: Json, answer: ItemAnswer) -> Json:
    """What an added item says in the words of a Claim's."""
    providers = [added_provider(p, lines.request, lines.line) for p in answer.providers]
    return {"provider": providers} | {n: granted[n] for n in _ALIKE if n in granted}


def _stated(lines: AnswerItems, granted: Json) -> Iterator[Json]:
    yield from (found for url in _STATED if (found := extension(granted, url)) is not None)
    yield from revenue(granted, lines.line)
    yield from ordered(granted, lines.request)
    if "category" in granted:
        yield told(codes.ITEM_CATEGORY, valueCodeableConcept=granted["category"])


def _validity(lines: AnswerItems, added: AddedItem) -> Iterator[Json]:
    case = lines.case
    if case.decided_at is not None:
        issued = business_date(case.decided_at).isoformat()
        yield told(codes.ITEM_PREAUTH_ISSUE_DATE, valueDate=issued)
    first, last = added.first_day or case.valid_from, added.last_day or case.valid_until
    if first is not None and last is not None and last < first:
        first, last = added.first_day, added.last_day
    if days := period(first, last):
        yield told(codes.ITEM_PREAUTH_PERIOD, valuePeriod=days)
