"""What an order comes to where there are cases already: satisfied, pended, non-affirmed, or new."""

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest

from tests.unit.priorauth.foreseeing import UTN, a_standing, foreseen
from tests.unit.priorauth.wiser_requests import (
    FACILITY_NPI,
    NPI,
    ON,
    OUTPATIENT,
    SURGERY_CENTER,
    facility,
    line,
    practitioner,
)
from wiser_fhir.coverage.requested import CPT, Code
from wiser_fhir.priorauth.foresee import Missing, Situation
from wiser_fhir.priorauth.models import CaseStatus, ItemStatus, PartyRole, RequestedItem
from wiser_fhir.priorauth.registry import Defaults, ExemptionRecord, InMemoryRegistry, RegistryFile
from wiser_fhir.priorauth.standing import Standing

NEW = Situation.NEEDS_AUTHORIZATION
OTHER_NPI = "1999000015"
AFFIRMED, PENDED = a_standing(), a_standing(CaseStatus.IN_REVIEW)
NON_AFFIRMED = a_standing(CaseStatus.NON_AFFIRMED)
PARTIAL = a_standing(
    CaseStatus.PARTIALLY_AFFIRMED,
    codes=(("64483", ItemStatus.AFFIRMED), ("64484", ItemStatus.NON_AFFIRMED)),
)
WITH_ADD_ON = a_standing(CaseStatus.AFFIRMED, "64483", "64484")
REQUESTER = replace(practitioner(), role=PartyRole.REQUESTER)


def test_an_affirmed_code_within_its_days_is_satisfied() -> None:
    found = foreseen(AFFIRMED)
    assert (found.situation, found.standing) == (Situation.SATISFIED, AFFIRMED)


@pytest.mark.parametrize(
    ("day", "situation"),
    [
        (date(2026, 4, 30), NEW),
        (date(2026, 5, 1), Situation.SATISFIED),
        (date(2026, 8, 28), Situation.SATISFIED),
        (date(2026, 8, 29), NEW),
    ],
)
def test_the_days_of_an_affirmation_are_all_included(day: date, situation: Situation) -> None:
    assert foreseen(AFFIRMED, items=(line("64483", day=day),)).situation is situation


@pytest.mark.parametrize(
    "changes",
    [
        {"utn": None},
        {"valid_from": None},
        {"valid_until": None},
        {"codes": (("64484", ItemStatus.AFFIRMED),)},
        {"codes": (("64483", ItemStatus.CANCELLED),)},
        {"codes": (("64483", ItemStatus.AFFIRMED), ("64483", ItemStatus.PENDED))},
        {"npis": (OTHER_NPI,)},
        {"status": CaseStatus.CANCELLED},
        {"status": CaseStatus.DISMISSED},
    ],
)
def test_nothing_less_satisfies(changes: dict[str, Any]) -> None:
    assert foreseen(replace(AFFIRMED, **changes)).situation is NEW


def test_a_number_past_its_last_day_satisfies_nothing() -> None:
    items = (line("64483", day=date(2026, 8, 20)),)
    last = foreseen(AFFIRMED, items=items, on=date(2026, 8, 28))
    assert last.situation is Situation.SATISFIED
    assert foreseen(AFFIRMED, items=items, on=date(2026, 8, 29)).situation is NEW


def test_a_live_number_without_a_day_to_hold_it_against() -> None:
    found = foreseen(AFFIRMED, items=(line("64483", day=None),))
    assert (found.situation, found.missing) == (Situation.MISSING, (Missing.DATE,))
    assert found.standing == AFFIRMED
    beside = foreseen(AFFIRMED, PENDED, items=(line("64483", day=None),))
    assert beside.situation is Situation.MISSING


@pytest.mark.parametrize(
    ("changes", "missing"),
    [
        ({"items": (line("64483", site=None),)}, (Missing.SITE,)),
        ({"items": (line("64483", state=None),)}, (Missing.STATE,)),
        (
            {"items": (line("64483", site=None, state=None, day=None),)},
            (Missing.SITE, Missing.DATE, Missing.STATE),
        ),
        ({"parties": (practitioner(), replace(REQUESTER, npi="1"))}, (Missing.PERFORMER,)),
    ],
)
def test_an_affirmation_satisfies_only_what_is_told_in_full(
    changes: dict[str, Any], missing: tuple[Missing, ...]
) -> None:
    found = foreseen(AFFIRMED, **changes)
    assert (found.situation, found.missing) == (Situation.MISSING, missing)
    assert found.standing == AFFIRMED


@pytest.mark.parametrize("case", [AFFIRMED, PENDED, NON_AFFIRMED])
def test_without_who_performs_nobody_can_say_whose_a_case_is(case: Standing) -> None:
    for parties in ((), (REQUESTER,), (practitioner(npi=None),)):
        found = foreseen(case, parties=parties, registry=InMemoryRegistry())
        assert (found.situation, found.missing) == (Situation.MISSING, (Missing.PERFORMER,))
        assert found.standing is None


@pytest.mark.parametrize(
    ("case", "situation"),
    [
        (AFFIRMED, Situation.SATISFIED),
        (PENDED, Situation.PENDED),
        (NON_AFFIRMED, Situation.NON_AFFIRMED),
    ],
)
def test_a_case_for_another_state_is_about_something_else(
    case: Standing, situation: Situation
) -> None:
    assert foreseen(replace(case, state="NJ")).situation is situation
    assert foreseen(replace(case, state=None)).situation is situation
    elsewhere = foreseen(replace(case, state="OH"))
    assert (elsewhere.situation, elsewhere.detail) == (NEW, "")


OFFICE_ITEM, HOSPITAL_ITEM = line("64483"), line("64483", site=OUTPATIENT)


@pytest.mark.parametrize("status", [CaseStatus.AFFIRMED, CaseStatus.NON_AFFIRMED])
@pytest.mark.parametrize(
    ("utn", "item", "is_the_same"),
    [
        ("ZZB00000000001", OFFICE_ITEM, True),
        ("ZZA00000000001", OFFICE_ITEM, False),
        ("ZZB00000000001", HOSPITAL_ITEM, False),
        ("ZZA00000000001", HOSPITAL_ITEM, True),
        ("ZZH00000000001", OFFICE_ITEM, True),
        ("12A4567", OFFICE_ITEM, True),
    ],
)
def test_a_number_is_for_its_part_of_medicare(
    status: CaseStatus, utn: str, item: RequestedItem, *, is_the_same: bool
) -> None:
    case = a_standing(status, utn=utn, npis=(NPI, FACILITY_NPI))
    found = foreseen(case, items=(item,), parties=(practitioner(), facility()))
    assert (found.standing == case) == is_the_same
    assert (found.situation is NEW) != is_the_same


def test_days_after_the_last_are_not_covered() -> None:
    to_the_end = line("64483", service_end=date(2026, 8, 28))
    assert foreseen(AFFIRMED, items=(to_the_end,)).situation is Situation.SATISFIED
    beyond = line("64483", service_end=date(2026, 8, 29))
    found = foreseen(AFFIRMED, items=(beyond,))
    assert (found.situation, found.standing) == (NEW, None)
    assert found.detail == (
        f"Number {UTN} covers services until 2026-08-28; this one ends on 2026-08-29."
    )
    longer = a_standing(number=2, valid_until=date(2026, 9, 30))
    assert foreseen(longer, AFFIRMED, items=(beyond,)).standing == longer
    assert foreseen(AFFIRMED, PENDED, items=(beyond,)).situation is Situation.PENDED


def of_units(units: str | None) -> RequestedItem:
    item = line("64483")
    quantity = Decimal(units) if units else None
    return replace(item, service=replace(item.service, quantity=quantity))


@pytest.mark.parametrize(
    ("affirmed", "asked", "situation"),
    [
        (("2",), "2", Situation.SATISFIED),
        (("2.0",), "1", Situation.SATISFIED),
        (("2",), "2.5", NEW),
        (("1", "1"), "2", Situation.SATISFIED),
        (("1", "1"), "3", NEW),
        (("1", None), "2", Situation.SATISFIED),
        (("1", None), "9", NEW),
        ((None,), "1", Situation.SATISFIED),
        ((None,), "9", NEW),
        ((), "9", Situation.SATISFIED),
        (("1",), None, Situation.SATISFIED),
    ],
)
def test_no_more_units_than_are_affirmed(
    affirmed: tuple[str | None, ...], asked: str | None, situation: Situation
) -> None:
    case = a_standing(
        CaseStatus.AFFIRMED,
        *("64483" for _ in affirmed),
        quantities=tuple(Decimal(each) if each else None for each in affirmed),
    )
    assert foreseen(case, items=(of_units(asked),)).situation is situation


def test_units_that_are_too_many_are_told() -> None:
    codes = (("64483", ItemStatus.AFFIRMED), ("77003", ItemStatus.NOT_APPLICABLE))
    case = replace(AFFIRMED, codes=codes, quantities=(Decimal("10.0"), Decimal(1)))
    found = foreseen(case, items=(of_units("20"),))
    assert (found.situation, found.standing) == (NEW, None)
    assert found.detail == f"Number {UTN} covers 10 units of 64483; this order is for 20."


def test_a_day_that_has_passed_cannot_be_asked_for_any_more() -> None:
    gone = foreseen(items=(line("64483", day=ON - timedelta(days=1)),))
    assert gone.situation is NEW
    assert "reviewed before it is paid" in gone.detail
    assert foreseen(items=(line("64483", day=ON),)).detail == ""
    covered = a_standing(valid_from=date(2026, 4, 1))
    assert foreseen(covered, items=(line("64483", day=date(2026, 4, 30)),)).detail == ""


def test_a_certain_no_wins_over_cases() -> None:
    exempt = InMemoryRegistry.of(
        RegistryFile(
            defaults=Defaults(beneficiary="known", provider="enrolled"),
            exemptions=(ExemptionRecord(npi=NPI, service="epidural-steroid-injection"),),
        )
    )
    for case in (AFFIRMED, PENDED, NON_AFFIRMED):
        assert foreseen(case, registry=exempt).situation is Situation.EXEMPT
        outside = (line("64483", state="CA"),)
        assert foreseen(case, items=outside).situation is Situation.STATE_OUTSIDE


def test_of_several_affirmations_the_latest_received_is_named() -> None:
    later = a_standing(number=2)
    assert foreseen(later, AFFIRMED).standing == later
    assert foreseen(AFFIRMED, later).standing == later


@pytest.mark.parametrize(
    ("parties", "npis", "situation"),
    [
        ((practitioner(),), (), Situation.SATISFIED),
        ((practitioner(npi=OTHER_NPI), REQUESTER), (NPI,), NEW),
        ((practitioner(), facility()), (OTHER_NPI, NPI), Situation.SATISFIED),
    ],
)
def test_an_affirmation_is_its_provider_s(
    parties: tuple[Any, ...], npis: tuple[str, ...], situation: Situation
) -> None:
    known = InMemoryRegistry()
    case = replace(AFFIRMED, npis=npis)
    assert foreseen(case, parties=parties, registry=known).situation is situation


@pytest.mark.parametrize(
    ("npis", "situation"), [((NPI,), NEW), ((NPI, FACILITY_NPI), Situation.SATISFIED)]
)
def test_where_a_facility_bills_it_is_the_facility_s(
    npis: tuple[str, ...], situation: Situation
) -> None:
    items, parties = (line("64483", site=SURGERY_CENTER),), (practitioner(), facility())
    case = replace(AFFIRMED, npis=npis)
    assert foreseen(case, items=items, parties=parties).situation is situation


def test_a_partial_affirmation_counts_by_code() -> None:
    assert foreseen(PARTIAL).situation is Situation.SATISFIED
    add_on = foreseen(PARTIAL, items=(line("64484"), line("64483")))
    assert (add_on.situation, add_on.standing) == (Situation.NON_AFFIRMED, PARTIAL)


def test_an_add_on_that_is_affirmed_stands_alone() -> None:
    assert foreseen(WITH_ADD_ON, items=(line("64484"),)).situation is Situation.SATISFIED
    primary_only = foreseen(AFFIRMED, items=(line("64484"),))
    assert primary_only.situation is Situation.ADD_ON_ALONE
    apart = a_standing(CaseStatus.AFFIRMED, "64484", number=2)
    assert foreseen(AFFIRMED, apart, items=(line("64484"),)).situation is Situation.SATISFIED


@pytest.mark.parametrize(
    "codes",
    [
        (("64484", ItemStatus.AFFIRMED),),
        (("64484", ItemStatus.AFFIRMED), ("64483", ItemStatus.NON_AFFIRMED)),
    ],
)
def test_an_add_on_is_worth_nothing_without_its_primary(
    codes: tuple[tuple[str, ItemStatus], ...],
) -> None:
    case = a_standing(CaseStatus.PARTIALLY_AFFIRMED, codes=codes)
    assert foreseen(case, items=(line("64484"),)).situation is Situation.ADD_ON_ALONE
    beside = foreseen(case, items=(line("64484"), line("64483")))
    assert (beside.situation, beside.standing) == (NEW, None)
    assert "no code that it is an add-on to" in beside.detail


def test_a_request_in_review_is_pended_and_the_latest_named() -> None:
    later = a_standing(CaseStatus.IN_REVIEW, "62321", "64483", number=2)
    found = foreseen(later, PENDED)
    assert (found.situation, found.standing) == (Situation.PENDED, later)
    bare = (line("64483", day=None, site=None),)
    assert foreseen(PENDED, items=bare).situation is Situation.PENDED


def test_another_code_of_a_service_in_review_has_to_wait() -> None:
    found = foreseen(PENDED, items=(line("62321"),))
    assert (found.situation, found.standing) == (NEW, None)
    assert "has to wait for its decision" in found.detail
    before = a_standing(CaseStatus.NON_AFFIRMED, "62321")
    again = foreseen(PENDED, before, items=(line("62321"),))
    assert (again.situation, again.detail) == (Situation.NON_AFFIRMED, found.detail)
    assert foreseen(PENDED, items=(line("64484"),)).situation is Situation.ADD_ON_ALONE
    given_up = replace(PENDED, codes=(("64483", ItemStatus.CANCELLED),))
    assert foreseen(given_up).situation is NEW


@pytest.mark.parametrize(
    "changes", [{"service": "skin-substitutes"}, {"service": None}, {"npis": (OTHER_NPI,)}]
)
def test_a_review_of_something_else_pends_nothing(changes: dict[str, Any]) -> None:
    assert foreseen(replace(PENDED, **changes)).situation is NEW


def test_a_live_number_goes_before_a_review() -> None:
    assert foreseen(PENDED, AFFIRMED).situation is Situation.SATISFIED


def test_the_last_decision_counts() -> None:
    found = foreseen(NON_AFFIRMED)
    assert (found.situation, found.standing) == (Situation.NON_AFFIRMED, NON_AFFIRMED)
    ended = a_standing(number=2, utn=None)
    assert foreseen(ended, NON_AFFIRMED).situation is NEW
    again = a_standing(CaseStatus.NON_AFFIRMED, number=3)
    assert foreseen(ended, NON_AFFIRMED, again).standing == again
    assert foreseen(NON_AFFIRMED, a_standing(CaseStatus.IN_REVIEW)).situation is Situation.PENDED


@pytest.mark.parametrize("case", [AFFIRMED, a_standing(number=2)])
def test_a_live_number_outlives_a_non_affirmation(case: Standing) -> None:
    assert foreseen(case, NON_AFFIRMED).situation is Situation.SATISFIED


def test_a_non_affirmation_of_another_code_or_provider_says_nothing() -> None:
    for changes in ({"codes": (("62321", ItemStatus.NON_AFFIRMED),)}, {"npis": (OTHER_NPI,)}):
        assert foreseen(replace(NON_AFFIRMED, **changes)).situation is NEW


def test_what_is_missing_comes_with_the_last_decision() -> None:
    found = foreseen(NON_AFFIRMED, items=(line("64483", site=None),))
    assert (found.situation, found.missing) == (Situation.MISSING, (Missing.SITE,))
    assert found.standing == NON_AFFIRMED


def test_an_order_that_may_mean_a_code_affirmed_or_another() -> None:
    item = line("62321")
    both = replace(item.service, codes=(Code(CPT, "62321"), Code(CPT, "64483")))
    found = foreseen(AFFIRMED, items=(replace(item, service=both),))
    assert (found.situation, found.missing) == (Situation.MISSING, (Missing.CODE,))
    assert found.standing is None
    of_both = a_standing(CaseStatus.AFFIRMED, "62321", "64483")
    found = foreseen(of_both, items=(replace(item, service=both),))
    assert found.situation is Situation.SATISFIED
