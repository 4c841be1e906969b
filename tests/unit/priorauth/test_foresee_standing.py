"""What an order comes to where there are cases already: satisfied, pended, non-affirmed, or new."""

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from tests.unit.priorauth.foreseeing import a_standing, foreseen
from tests.unit.priorauth.wiser_requests import (
    FACILITY_NPI,
    NPI,
    SURGERY_CENTER,
    facility,
    line,
    practitioner,
)
from wiser_fhir.coverage.requested import CPT, Code
from wiser_fhir.priorauth.foresee import Missing, Situation
from wiser_fhir.priorauth.models import CaseStatus, ItemStatus, PartyRole
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


def test_what_else_is_missing_does_not_take_an_affirmation_back() -> None:
    bare = line("64483", site=None, state=None)
    assert foreseen(AFFIRMED, items=(bare,), parties=()).situation is Situation.SATISFIED


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
        ((), (OTHER_NPI,), Situation.SATISFIED),
        ((REQUESTER,), (NPI,), Situation.SATISFIED),
        ((REQUESTER,), (OTHER_NPI,), Situation.MISSING),
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


def test_a_request_in_review_is_pended_and_the_latest_named() -> None:
    later = a_standing(CaseStatus.IN_REVIEW, "62321", number=2)
    found = foreseen(later, PENDED)
    assert (found.situation, found.standing) == (Situation.PENDED, later)
    assert foreseen(later, PENDED, items=(line("64484"),)).situation is Situation.PENDED
    bare = (line("64483", day=None, site=None),)
    assert foreseen(PENDED, items=bare).situation is Situation.PENDED


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
