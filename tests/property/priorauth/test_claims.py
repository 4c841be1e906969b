"""What holds of every claim: covered only by a decision that covers it, and never oversold."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from typing import TypeVar
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.claim_values import (
    DAY,
    FACILITY_NPI,
    HOME,
    MBI,
    NPI,
    NUMBER,
    OFFICE,
    ON,
    OUTPATIENT,
    SURGERY_CENTER,
)
from tests.unit.priorauth.wiser_requests import CATALOGUE
from wiser_fhir.priorauth.claim import (
    Authorization,
    AuthorizedItem,
    Claim,
    ClaimLine,
    LineAnswer,
    LineStatus,
)
from wiser_fhir.priorauth.claim_check import check_claim
from wiser_fhir.priorauth.models import CaseStatus, ItemStatus, Party, PartyRole, Site, UtnState
from wiser_fhir.priorauth.registry import InMemoryRegistry
from wiser_fhir.priorauth.rules import site_of_service

CALM = settings(deadline=None, max_examples=120)
OTHER_NUMBER = "ZZB00000000002"
T = TypeVar("T")


def mostly(usual: T, *others: T) -> st.SearchStrategy[T]:
    """The usual value, and now and then another: so that much is covered, and much nearly."""
    return st.sampled_from([usual] * 6 + list(others))


CODES = mostly("62323", "64483", "64484", "15271", "99213")
UNITS = mostly(Decimal(1), Decimal("0.5"), Decimal(2), Decimal(3))
DAYS = mostly(DAY, *(DAY + timedelta(days=n) for n in (-20, -1, 1, 120)))
SITES = mostly(OFFICE, HOME, SURGERY_CENTER, OUTPATIENT)
NPIS = mostly(NPI, FACILITY_NPI)


@st.composite
def lines(draw: st.DrawFn, number: int) -> ClaimLine:
    first = draw(DAYS)
    return ClaimLine(
        number=number,
        code=draw(CODES),
        units=draw(UNITS),
        first_day=first,
        last_day=first + timedelta(days=draw(mostly(0, 2))),
        site=draw(SITES),
        utn=draw(mostly(NUMBER, OTHER_NUMBER, "no number", None)),
        modifiers=draw(mostly((), ("ET",))),
    )


@st.composite
def claims(draw: st.DrawFn) -> Claim:
    count = draw(st.integers(1, 4))
    return Claim(
        mbi=MBI,
        provider_npi=draw(NPIS),
        lines=tuple(draw(lines(number)) for number in range(1, count + 1)),
        state=draw(mostly("NJ", "AZ", "NY", None)),
    )


@st.composite
def items(draw: st.DrawFn, sequence: int) -> AuthorizedItem:
    affirmed = draw(mostly(True, False, None))
    statuses = {True: ItemStatus.AFFIRMED, False: ItemStatus.NON_AFFIRMED}
    other = draw(st.sampled_from([ItemStatus.PENDED, ItemStatus.CANCELLED]))
    return AuthorizedItem(
        sequence=sequence,
        code=draw(CODES),
        status=statuses[affirmed] if affirmed is not None else other,
        affirmed=affirmed,
        quantity=draw(st.none() | UNITS),
        first_day=draw(mostly(None, DAY, DAY + timedelta(days=1))),
        last_day=draw(mostly(None, DAY, DAY - timedelta(days=1))),
        site=draw(st.none() | SITES),
        used=draw(mostly(Decimal(0), Decimal(1), Decimal("0.5"))),
    )


@st.composite
def authorizations(draw: st.DrawFn, number: str) -> Authorization:
    first = draw(mostly(DAY - timedelta(days=10), DAY, DAY + timedelta(days=1)))
    roles = draw(st.lists(mostly(PartyRole.RENDERING, *PartyRole), min_size=1, max_size=3))
    count = draw(st.integers(0, 3))
    return Authorization(
        organization_id=UUID(int=1),
        case_id=UUID(int=2),
        revision=1,
        number=number,
        state=draw(mostly(UtnState.ASSIGNED, UtnState.EXPIRED, UtnState.SUPERSEDED)),
        case_status=draw(mostly(CaseStatus.AFFIRMED, CaseStatus.CANCELLED)),
        service=None,
        valid_from=first,
        valid_until=first + timedelta(days=119),
        parties=tuple(Party(role, npi=draw(NPIS)) for role in roles),
        items=tuple(draw(items(sequence)) for sequence in range(1, count + 1)),
    )


WORLDS = st.tuples(authorizations(NUMBER), authorizations(OTHER_NUMBER))


def said(claim: Claim, world: tuple[Authorization, ...]) -> tuple[LineAnswer, ...]:
    return check_claim(claim, world, CATALOGUE, InMemoryRegistry(), ON)


@CALM
@given(claims(), WORLDS)
def test_covered_rests_on_an_affirmed_line_of_a_standing_number(
    claim: Claim, world: tuple[Authorization, ...]
) -> None:
    by_number = {found.number: found for found in world}
    answers = said(claim, world)
    assert [answer.line for answer in answers] == [line.number for line in claim.lines]
    for line, answer in zip(claim.lines, answers, strict=True):
        assert answer.text
        if answer.status is not LineStatus.COVERED:
            assert answer.uses == ()
            continue
        found = by_number[line.utn]
        assert found.case_status is not CaseStatus.CANCELLED
        assert found.state is not UtnState.SUPERSEDED
        assert claim.provider_npi in {party.npi for party in found.parties}
        assert sum(use.units for use in answer.uses) == line.units
        by_sequence = {item.sequence: item for item in found.items}
        for use in answer.uses:
            assert use.number == line.utn
            assert _covers(found, by_sequence[use.sequence], line)


def _covers(found: Authorization, item: AuthorizedItem, line: ClaimLine) -> bool:
    firsts = [found.valid_from or date.max, item.first_day or date.min]
    lasts = [found.valid_until or date.min, item.last_day or date.max]
    return (
        item.affirmed is True
        and item.code == line.code
        and all(first <= line.first_day for first in firsts)
        and all(line.last_day <= last for last in lasts)
        and (item.site is None or _setting(item.site) == _setting(line.site))
    )


def _setting(site: Site) -> object:
    return site_of_service(site, CATALOGUE.process)


@CALM
@given(st.lists(claims(), min_size=1, max_size=6), WORLDS)
def test_no_sequence_of_claims_uses_more_than_was_authorized(
    arriving: list[Claim], world: tuple[Authorization, ...]
) -> None:
    used: dict[tuple[str, int], Decimal] = {}
    for claim in arriving:
        for answer in said(claim, tuple(_after(found, used) for found in world)):
            for use in answer.uses:
                assert use.units > 0
                key = (use.number, use.sequence)
                used[key] = used.get(key, Decimal(0)) + use.units
    for found in world:
        for item in found.items:
            taken = used.get((found.number or "", item.sequence), Decimal(0))
            assert taken == 0 or taken + item.used <= item.authorized


def _after(found: Authorization, used: Mapping[tuple[str, int], Decimal]) -> Authorization:
    """The number as the claims before have left it."""
    taken = (used.get((found.number or "", item.sequence), Decimal(0)) for item in found.items)
    left = tuple(
        replace(item, used=item.used + units)
        for item, units in zip(found.items, taken, strict=True)
    )
    return replace(found, items=left)


@CALM
@given(claims(), WORLDS)
def test_what_nobody_may_know_of_is_unknown(claim: Claim, world: tuple[Authorization, ...]) -> None:
    told = [answer for answer in said(claim, ()) if answer.utn in (NUMBER, OTHER_NUMBER)]
    allowed = {LineStatus.UTN_UNKNOWN, LineStatus.FOLLOWS_PRIMARY}
    outside = {answer.line for answer in said(claim, world) if answer.status not in _DECIDED}
    assert all(answer.status in allowed or answer.line in outside for answer in told)


_DECIDED = {
    LineStatus.COVERED,
    LineStatus.WRONG_CODE,
    LineStatus.ADD_ON_NOT_REQUESTED,
    LineStatus.WRONG_SITE,
    LineStatus.WRONG_PROVIDER,
    LineStatus.UNITS_EXCEEDED,
    LineStatus.OUT_OF_PERIOD,
    LineStatus.EXPIRED,
    LineStatus.SUPERSEDED,
    LineStatus.NON_AFFIRMED,
    LineStatus.CANCELLED,
}
