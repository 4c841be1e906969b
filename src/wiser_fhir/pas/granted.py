"""What is granted, as the line of a Claim it would have been asked as.

A line in this shape is either told on the item it was asked as or added to the answer; that it
differs from the line asked is what makes an item modified.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

from wiser_fhir.coverage.requested import CPT, HCPCS, UNITS_UNTOLD, Code
from wiser_fhir.fhir import codes
from wiser_fhir.fhir.codes import Line
from wiser_fhir.fhir.elements import Json, code_in, codings, extension
from wiser_fhir.pas.building import coded, concept, nested, number, period, told
from wiser_fhir.pas.echo import as_named
from wiser_fhir.pas.request import RequestBundle
from wiser_fhir.priorauth.answer import GrantedDetail
from wiser_fhir.priorauth.determination import ItemDecision
from wiser_fhir.priorauth.models import CaseItem, PriorAuthorization

_ORDERS = ("ServiceRequest", "DeviceRequest", "MedicationRequest", "NutritionOrder")
_UNIT = {"system": "https://codesystem.x12.org/005010/673", "code": "UN"}


@dataclass(frozen=True, slots=True)
class Departure:
    """Where what is granted departs from what was asked; None: as asked. Days are included."""

    code: Code | None = None
    quantity: Decimal | None = None
    first_day: date | None = None
    last_day: date | None = None
    detail: GrantedDetail = field(default_factory=GrantedDetail)


def departure_of(case: PriorAuthorization, item: CaseItem) -> Departure:
    """What is granted of an item otherwise than asked.

    Days count only where a clinician has narrowed those of the whole authorization, and so that
    they leave out something asked for.
    """
    decision = item.decision
    if decision is None:
        return Departure()
    days = (decision.first_day, decision.last_day)
    narrowed = days != (case.valid_from, case.valid_until) and not _within(item, *days)
    return Departure(
        code=decision.code if decision.code != item.code else None,
        quantity=decision.quantity if _units(decision) != _units(item) else None,
        first_day=decision.first_day if narrowed else None,
        last_day=decision.last_day if narrowed else None,
        detail=decision.answer.detail,
    )


def _units(told: CaseItem | ItemDecision) -> Decimal:
    """A line that tells no quantity is one unit, which nobody has to be told."""
    return UNITS_UNTOLD if told.quantity is None else told.quantity


def _within(item: CaseItem, first: date | None, last: date | None) -> bool:
    starts, ends = item.date_of_service, item.service_end or item.date_of_service
    return (starts is None or first is None or first <= starts) and (
        ends is None or last is None or ends <= last
    )


def granted_line(asked: Json, departure: Departure, line: Line) -> Json:
    """A Claim's line as granted: the line asked, but for what departs from it."""
    detail, granted = departure.detail, dict(asked)
    if departure.code is not None:
        granted["productOrService"] = coded(departure.code)
    if departure.quantity is not None:
        granted["quantity"] = {**asked.get("quantity", _UNIT), "value": number(departure.quantity)}
    if departure.first_day is not None or departure.last_day is not None:
        _serve(granted, departure.first_day, departure.last_day)
    if detail.modifiers and detail.modifiers != tuple(map(_code, asked.get("modifier", ()))):
        granted["modifier"] = [_modifier(code) for code in detail.modifiers]
    if detail.unit_price is not None:
        granted["unitPrice"] = {"value": number(detail.unit_price.amount), "currency": "USD"}
    if detail.revenue_code not in (None, _code(asked.get("revenue"))):
        granted["revenue"] = concept(codes.REVENUE_CODES[line], str(detail.revenue_code))
    for system, code in _sites(detail):
        if code_in(asked.get("locationCodeableConcept"), system) != code:
            granted["locationCodeableConcept"] = concept(system, code)
    for stated in _stated(detail):
        _state(granted, stated)
    return granted


def _serve(line: Json, first: date | None, last: date | None) -> None:
    line.pop("servicedDate", None)
    line.pop("servicedPeriod", None)
    if first is not None and first == last:
        line["servicedDate"] = first.isoformat()
    else:
        line["servicedPeriod"] = period(first, last)


def _code(asked: Json | None) -> str | None:
    return next((coding["code"] for coding in codings(asked)), None)


def _modifier(code: str) -> Json:
    """The numeric modifiers are the AMA's, the others CMS's."""
    return concept(CPT if code.isdigit() else HCPCS, code)


def _sites(detail: GrantedDetail) -> Iterator[tuple[str, str]]:
    if detail.place_of_service is not None:
        yield codes.PLACE_OF_SERVICE, detail.place_of_service
    elif detail.bill_type is not None:
        yield codes.TYPE_OF_BILL, detail.bill_type


def _stated(detail: GrantedDetail) -> Iterator[Json]:
    """Those parts of a line that are extensions."""
    if detail.code_end is not None:
        yield told(codes.PRODUCT_OR_SERVICE_CODE_END, valueCodeableConcept=coded(detail.code_end))
    if detail.epsdt is not None:
        yield told(codes.EPSDT_INDICATOR, valueBoolean=detail.epsdt)
    if detail.rate_limit is not None:
        yield told(codes.REVENUE_UNIT_RATE_LIMIT, valueDecimal=number(detail.rate_limit))
    if detail.order is not None:
        yield told(codes.REQUESTED_SERVICE, valueReference={"reference": detail.order})
    for url, system, code in (
        (codes.NURSING_HOME_LEVEL_OF_CARE, codes.X12_NURSING_HOME_LEVEL_OF_CARE, detail.care_level),
        (
            codes.NURSING_HOME_RESIDENTIAL_STATUS,
            codes.X12_NURSING_HOME_RESIDENTIAL_STATUS,
            detail.residential_status,
        ),
        (codes.SERVICE_ITEM_REQUEST_TYPE, codes.X12_REQUEST_TYPE, detail.request_type),
        (codes.CERTIFICATION_TYPE, codes.X12_CERTIFICATION_TYPE, detail.certification_type),
    ):
        if code is not None:
            yield told(url, valueCodeableConcept=concept(system, code))


def _state(line: Json, stated: Json) -> None:
    """Put an extension in the place of the one with its url, where that says something else."""
    there = extension(line, stated["url"])
    if there is not None and _same(there, stated):
        return
    others = [e for e in line.get("extension", ()) if e["url"] != stated["url"]]
    line["extension"] = [*others, stated]


def _same(there: Json, stated: Json) -> bool:
    kind = "valueCodeableConcept"
    if kind in stated:
        return _code(there.get(kind)) == _code(stated[kind])
    return there == stated


def authorized_detail(granted: Json, line: Line) -> Json:
    """A line as an item tells it, by those parts that may stand inside the extension.

    The guides list others, whose own contexts do not let them be here. On line 2.2 an added item
    has them, on line 2.0 a note. Source: PAS 2.2.1 and 2.0.1, extension-itemAuthorizedDetail.
    """
    parts = [told("productOrServiceCode", valueCodeableConcept=granted["productOrService"])]
    parts += [told("modifier", valueCodeableConcept=m) for m in granted.get("modifier", ())]
    if "unitPrice" in granted:
        parts.append(told("unitPrice", valueMoney=granted["unitPrice"]))
    if "quantity" in granted:
        parts.append(told("quantity", valueQuantity=granted["quantity"]))
    if line == "2.0":
        parts += revenue(granted, line)
    return nested(codes.ITEM_AUTHORIZED_DETAIL, parts)


def revenue(granted: Json, line: Line) -> Iterator[Json]:
    """The revenue code of a line, in the system that the line of the guide knows."""
    code = _code(granted.get("revenue"))
    if code is not None:
        url = codes.REVENUE_CODE if line == "2.2" else "revenue"
        yield told(url, valueCodeableConcept=concept(codes.REVENUE_CODES[line], code))


def ordered(granted: Json, request: RequestBundle) -> Iterator[Json]:
    """The order that a line is about, by its fullUrl; what is no order of the request is not one.

    Source: PAS 2.2.1 and 2.0.1, extension-requestedService.
    """
    stated = extension(granted, codes.REQUESTED_SERVICE) or {}
    order = request.target(request.claim, stated.get("valueReference"))
    if order is not None and order["resourceType"] in _ORDERS:
        reference = as_named(request, stated["valueReference"])
        yield told(codes.REQUESTED_SERVICE, valueReference=reference)
