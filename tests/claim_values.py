"""Claims and what their numbers stand for, for tests to bend in one place."""

from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

from wiser_fhir.priorauth.claim import Authorization, AuthorizedItem, Claim, ClaimLine
from wiser_fhir.priorauth.models import (
    CaseStatus,
    ItemStatus,
    Party,
    PartyRole,
    Site,
    SiteKind,
    UtnState,
)

MBI = "1EG4TE5MK73"
NPI = "1234567893"
FACILITY_NPI = "1245319599"
ORDERING_NPI = "1112223338"
NUMBER = "ZZB00000000001"
ESI = "epidural-steroid-injection"
OFFICE = Site(SiteKind.PLACE_OF_SERVICE, "11")
HOME = Site(SiteKind.PLACE_OF_SERVICE, "12")
SURGERY_CENTER = Site(SiteKind.PLACE_OF_SERVICE, "24")
HOSPITAL = Site(SiteKind.PLACE_OF_SERVICE, "22")
OUTPATIENT = Site(SiteKind.BILL_TYPE, "131")
DAY = date(2026, 5, 20)
ON = date(2026, 6, 1)


def a_line(code: str = "62323", **changes: Any) -> ClaimLine:
    """One unit in an office, inside the number's days."""
    line = ClaimLine(
        number=1, code=code, units=Decimal(1), first_day=DAY, last_day=DAY, site=OFFICE, utn=NUMBER
    )
    return replace(line, **changes)


def a_claim(*lines: ClaimLine, **changes: Any) -> Claim:
    """A claim of the provider for the member; its lines are numbered in their order."""
    numbered = tuple(replace(line, number=n) for n, line in enumerate(lines or (a_line(),), 1))
    return replace(Claim(mbi=MBI, provider_npi=NPI, lines=numbered, state="NJ"), **changes)


def an_item(code: str = "62323", **changes: Any) -> AuthorizedItem:
    """An affirmed line of two units in an office."""
    item = AuthorizedItem(
        sequence=1,
        code=code,
        status=ItemStatus.AFFIRMED,
        affirmed=True,
        quantity=Decimal(2),
        first_day=date(2026, 5, 4),
        last_day=date(2026, 8, 31),
        site=OFFICE,
    )
    return replace(item, **changes)


def an_authorization(*items: AuthorizedItem, **changes: Any) -> Authorization:
    """An affirmed case of the provider; its items are numbered in their order."""
    numbered = tuple(replace(item, sequence=n) for n, item in enumerate(items or (an_item(),), 1))
    authorization = Authorization(
        organization_id=UUID(int=1),
        case_id=UUID(int=2),
        revision=1,
        number=NUMBER,
        state=UtnState.ASSIGNED,
        case_status=CaseStatus.AFFIRMED,
        service=ESI,
        valid_from=date(2026, 5, 4),
        valid_until=date(2026, 8, 31),
        parties=(Party(PartyRole.RENDERING, npi=NPI), Party(PartyRole.ORDERING, npi=ORDERING_NPI)),
        items=numbered,
    )
    return replace(authorization, **changes)
