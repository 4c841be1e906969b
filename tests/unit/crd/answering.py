"""Foreseen situations, answers and orders with every field filled."""

import copy
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from functools import cache
from itertools import count
from typing import Any
from uuid import UUID

from wiser_fhir.coverage.catalogue import Catalogue
from wiser_fhir.coverage.models import ServiceRules
from wiser_fhir.coverage.requested import CPT, Code, RequestedService
from wiser_fhir.crd.assertion import Assertion, assertion
from wiser_fhir.crd.cards import Occasion
from wiser_fhir.crd.coverage_information import extension
from wiser_fhir.crd.hook_request import Hook
from wiser_fhir.crd.response import OrderAnswer
from wiser_fhir.fhir.codes import Line
from wiser_fhir.fhir.elements import Json
from wiser_fhir.priorauth.foresee import Foreseen, Missing, Situation
from wiser_fhir.priorauth.models import (
    Beneficiary,
    CaseStatus,
    CoverageKind,
    Identifier,
    ItemRole,
    ItemStatus,
    Party,
    PartyRole,
    RequestedItem,
    RequestKind,
    Site,
    SiteKind,
    Submission,
)
from wiser_fhir.priorauth.standing import Standing

DAY = date(2026, 11, 20)
COVERAGE = "Coverage/cov-1"
UTN = "ZZB00000000001"
REFERENCE = "R00000000000001"
CODE = Code(CPT, "64483")
PERFORMER, PLACE = "1999000015", "1999000072"
LINES: tuple[Line, ...] = ("2.2", "2.0")


@cache
def catalogue() -> Catalogue:
    return Catalogue.load()


def rules_of(code: str = CODE.code) -> ServiceRules:
    found = catalogue().rules_for(Code(CPT, code), DAY)
    assert found is not None
    return found


def a_standing(**changes: Any) -> Standing:
    """An affirmed case."""
    found = Standing(
        case_id=UUID(int=7),
        reference=REFERENCE,
        status=CaseStatus.AFFIRMED,
        utn=UTN,
        valid_from=date(2026, 11, 1),
        valid_until=date(2027, 2, 28),
        decide_by=datetime(2026, 11, 23, 16, 0, tzinfo=UTC),
        service="epidural-steroid-injection",
        codes=((CODE.code, ItemStatus.AFFIRMED),),
        npis=("1999000015",),
        received_at=datetime(2026, 11, 20, 16, 0, tzinfo=UTC),
    )
    return replace(found, **changes)


def a_foreseen(situation: Situation, **changes: Any) -> Foreseen:
    """An epidural injection in Texas, whatever it comes to."""
    from_cases = (Situation.SATISFIED, Situation.PENDED, Situation.NON_AFFIRMED)
    missing = (Missing.SITE,) if situation is Situation.MISSING else ()
    found = Foreseen(
        situation=situation,
        code=CODE,
        role=ItemRole.PRIMARY,
        rules=rules_of(),
        missing=missing,
        detail="",
        standing=a_standing() if situation in from_cases else None,
        state="TX",
    )
    return replace(found, **changes)


def an_asked_item() -> RequestedItem:
    service = RequestedService((CODE,), date(2026, 12, 15), "TX", None)
    return RequestedItem(1, service, site=Site(SiteKind.PLACE_OF_SERVICE, "11"))


def a_submission(item: RequestedItem | None = None, **changes: Any) -> Submission:
    """What an order asks: an injection in the office, and who performs it."""
    found = Submission(
        organization_id=UUID(int=1),
        identifier=Identifier(None, "ServiceRequest/order-1"),
        trace=Identifier(None, "ServiceRequest/order-1"),
        kind=RequestKind.INITIAL,
        received_at=datetime(2026, 11, 20, 16, 0, tzinfo=UTC),
        expedite_requested=False,
        beneficiary=Beneficiary("1EG4TE5MK73", "Doe", "Jane", date(1950, 1, 1)),
        coverage=CoverageKind.ORIGINAL_MEDICARE,
        parties=(Party(PartyRole.RENDERING, npi=PERFORMER), Party(PartyRole.FACILITY, npi=PLACE)),
        diagnoses=("M54.16",),
        items=(an_asked_item() if item is None else item,),
        forms=(),
        evidence=0,
    )
    return replace(found, **changes)


def an_assertion(
    situation: Situation | Foreseen,
    line: Line = "2.2",
    hook: Hook = "order-sign",
    order: str = "ServiceRequest/order-1",
    **changes: Any,
) -> Assertion:
    numbers = count(1)
    given: dict[str, Any] = {
        "coverage": COVERAGE,
        "day": DAY,
        "catalogue": catalogue(),
        "new_id": lambda: f"assertion-{next(numbers)}",
        "asked": a_submission(),
    }
    seen = a_foreseen(situation) if isinstance(situation, Situation) else situation
    return assertion(seen, line=line, hook=hook, order=order, **(given | changes))


def an_order(number: int = 1, **changes: Any) -> Json:
    """A draft of an epidural injection that the CRD profiles of both lines accept."""
    order: Json = {
        "resourceType": "ServiceRequest",
        "id": f"order-{number}",
        "status": "draft",
        "intent": "order",
        "code": {"coding": [{"system": CPT, "code": CODE.code}]},
        "subject": {"reference": "Patient/p-1"},
        "occurrenceDateTime": "2026-12-15",
        "authoredOn": "2026-11-20",
        "requester": {"reference": "Practitioner/pr-1"},
    }
    return copy.deepcopy(order | changes)


def an_answer(
    situation: Situation | Foreseen,
    line: Line = "2.2",
    hook: Hook = "order-sign",
    order: Json | None = None,
    carried: Json | None = None,
    **changes: Any,
) -> OrderAnswer:
    resource = an_order() if order is None else order
    reference = f"{resource['resourceType']}/{resource['id']}"
    return OrderAnswer(an_assertion(situation, line, hook, reference, **changes), resource, carried)


def an_occasion(
    *orders: Json, line: Line = "2.2", hook: Hook = "order-sign", mbi: str | None = None
) -> Occasion:
    coverage = {
        "resourceType": "Coverage",
        "id": "cov-1",
        "status": "active",
        "subscriberId": "1EG4TE5MK73",
        "beneficiary": {"reference": "Patient/p-1"},
        "relationship": {"coding": [{"system": _RELATIONSHIP, "code": "self"}]},
        "payor": [{"reference": "Organization/medicare"}],
    }
    return Occasion(hook, line, mbi, "Patient/p-1", orders or (an_order(),), coverage, None)


_RELATIONSHIP = "http://terminology.hl7.org/CodeSystem/subscriber-relationship"


def the_extension(answer: OrderAnswer, line: Line = "2.2") -> Json:
    return extension(answer.assertion, line)


def parts(information: Json, url: str) -> list[Any]:
    """The values of every part of an extension under one url."""
    found = [part for part in information["extension"] if part["url"] == url]
    return [next(v for k, v in part.items() if k not in ("url", "id")) for part in found]


def details(information: Json) -> dict[str, Any]:
    """The value of each detail by its title."""
    found: dict[str, Any] = {}
    for part in parts(information, "detail"):
        inner = {p["url"]: next(v for k, v in p.items() if k != "url") for p in part}
        found.setdefault(inner["code"]["text"], inner["value"])
    return found


def numbered() -> Callable[[], UUID]:
    """UUIDs in order, so that two runs are the same."""
    numbers = count(1)
    return lambda: UUID(int=next(numbers))
