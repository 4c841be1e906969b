"""Foreseeing with everything as in the sandbox, and cases to foresee by, bent in one place."""

from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

from tests.unit.priorauth.wiser_requests import CATALOGUE, EVERYWHERE, NPI, ON, REGISTRY, request
from wiser_fhir.priorauth.foresee import Foreseen, foresee
from wiser_fhir.priorauth.models import CaseStatus, ItemStatus
from wiser_fhir.priorauth.registry import Registry
from wiser_fhir.priorauth.standing import Standing

UTN = "ZZB00000000001"
_STATUS = {
    CaseStatus.AFFIRMED: ItemStatus.AFFIRMED,
    CaseStatus.PARTIALLY_AFFIRMED: ItemStatus.AFFIRMED,
    CaseStatus.NON_AFFIRMED: ItemStatus.NON_AFFIRMED,
    CaseStatus.IN_REVIEW: ItemStatus.PENDED,
    CaseStatus.CANCELLED: ItemStatus.CANCELLED,
}


def a_standing(
    status: CaseStatus = CaseStatus.AFFIRMED, *codes: str, number: int = 1, **changes: Any
) -> Standing:
    """A case for these codes (64483) of the usual provider; affirmed from 1 May to 28 August."""
    affirmed = status in (CaseStatus.AFFIRMED, CaseStatus.PARTIALLY_AFFIRMED)
    decided = affirmed or status is CaseStatus.NON_AFFIRMED
    whole = Standing(
        case_id=UUID(int=number),
        reference=f"R{number:014}",
        status=status,
        utn=UTN if decided else None,
        valid_from=date(2026, 5, 1) if affirmed else None,
        valid_until=date(2026, 8, 28) if affirmed else None,
        decide_by=datetime(2026, 5, 4, tzinfo=UTC),
        service="epidural-steroid-injection",
        codes=tuple((code, _STATUS[status]) for code in codes or ("64483",)),
        npis=(NPI,),
        received_at=datetime(2026, 5, number, tzinfo=UTC),
    )
    return replace(whole, **changes)


def foreseen(
    *standing: Standing,
    served: frozenset[str] = EVERYWHERE,
    registry: Registry = REGISTRY,
    on: date = ON,
    excluded: bool = False,
    coverage_ended: bool = False,
    of_procedure: bool = True,
    **changes: Any,
) -> Foreseen:
    """What the usual request, so bent, comes to."""
    return foresee(
        request(**changes),
        standing,
        catalogue=CATALOGUE,
        registry=registry,
        served_states=served,
        on=on,
        excluded=excluded,
        coverage_ended=coverage_ended,
        of_procedure=of_procedure,
    )
