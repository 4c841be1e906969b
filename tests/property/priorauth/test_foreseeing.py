"""What CRD foresees and what PAS does cannot part, whatever is ordered."""

from dataclasses import replace
from datetime import date
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.priorauth.foreseeing import a_standing
from tests.unit.priorauth.wiser_requests import CATALOGUE, EVERYWHERE, MBI, ON, request
from wiser_fhir.coverage.requested import CPT, Code, RequestedService
from wiser_fhir.priorauth.foresee import TAKEN, Foreseen, Missing, Situation, foresee
from wiser_fhir.priorauth.models import (
    CaseStatus,
    CoverageKind,
    Dismissal,
    Party,
    PartyRole,
    RequestedItem,
    Site,
    SiteKind,
    Submission,
)
from wiser_fhir.priorauth.registry import (
    BeneficiaryRecord,
    Defaults,
    ExemptionRecord,
    InMemoryRegistry,
    ProviderRecord,
    RegistryFile,
    Span,
)
from wiser_fhir.priorauth.scope import ScopeResult, scope

CALM = settings(deadline=None, max_examples=400)

SERVED = frozenset({"NJ", "OH", "WA"})
ENROLLED, EXEMPT, INELIGIBLE = "1234567893", "1999000056", "1999000049"
PERSONS = (MBI, "9XX9XX9XX91", "9XX9XX9XX92", "9XX9XX9XX93", "123", None)
RECORDS = InMemoryRegistry.of(
    RegistryFile(
        defaults=Defaults(beneficiary="known", provider="enrolled"),
        beneficiaries=(
            BeneficiaryRecord(mbi=PERSONS[1] or "", deceased=True),
            BeneficiaryRecord(mbi=PERSONS[2] or "", medicare_advantage=(Span(),)),
            BeneficiaryRecord(mbi=PERSONS[3] or "", nobody=True),
        ),
        providers=(ProviderRecord(npi=INELIGIBLE, status="ineligible"),),
        exemptions=tuple(ExemptionRecord(npi=EXEMPT, service=slug) for slug in CATALOGUE.slugs),
    )
)
NPIS = (ENROLLED, EXEMPT, INELIGIBLE, "1234567890", "", None)
SITES = (
    *(Site(SiteKind.PLACE_OF_SERVICE, code) for code in ("11", "24", "21")),
    *(Site(SiteKind.BILL_TYPE, code) for code in ("131", "111", "1")),
    Site(SiteKind.OTHER, "x"),
    None,
)
# Primary codes, add-ons, codes on a closed list, codes that follow, a delayed one, strange ones.
CODES = ("64483", "64484", "64568", "64582", "15271", "15272", "99152", "61867", "C8007", "99213")
ADD_ONS = {"64484", "15272"}
DAYS = (date(2026, 5, 20), date(2026, 4, 5), date(2026, 1, 14), date(2032, 1, 1), None)


def often(usual: Any, *others: Any) -> st.SearchStrategy[Any]:
    """The usual in most cases, so that many orders come through the first gates."""
    return st.sampled_from((usual,) * 12 + others)


UNREADABLE = (Code("", "64483"), Code(CPT, "6448"), Code("http://snomed.info/sct", "1"))
CODING = st.sampled_from([*(Code(CPT, code) for code in CODES), *UNREADABLE])
CODINGS = st.one_of(st.tuples(CODING), st.tuples(CODING), st.lists(CODING, max_size=3).map(tuple))
ITEMS = st.builds(
    RequestedItem,
    sequence=st.just(1),
    service=st.builds(
        RequestedService,
        codes=CODINGS,
        date_of_service=often(*DAYS),
        state=often("NJ", "WA", "TX", "CA", None),
        quantity=st.none(),
    ),
    modifiers=often((), ("ET",)),
    site=often(*SITES),
)
PARTY = st.builds(Party, role=st.sampled_from(PartyRole), npi=st.sampled_from(NPIS))
PERFORMER = st.builds(Party, role=st.just(PartyRole.RENDERING), npi=often(*NPIS))
PARTIES = st.one_of(
    st.builds(lambda *all_of_them: all_of_them, PERFORMER, PARTY),
    st.lists(PARTY, max_size=3).map(tuple),
)
ORDERS = st.builds(
    request,
    items=ITEMS.map(lambda item: (item,)),
    parties=PARTIES,
    diagnoses=st.sampled_from((("M54.16",), ("G40.011",), ("E11.621",), ())),
    coverage=often(CoverageKind.ORIGINAL_MEDICARE, *CoverageKind),
    beneficiary=st.builds(
        replace,
        st.just(request().beneficiary),
        mbi=often(*PERSONS),
        family=often("Doe", None),
    ),
    forms=st.just(()),
)


def looked_at(submission: Submission, **options: Any) -> Foreseen:
    return foresee(
        submission,
        options.pop("standing", ()),
        catalogue=CATALOGUE,
        registry=RECORDS,
        served_states=options.pop("served", SERVED),
        on=ON,
        **options,
    )


def asked_for(submission: Submission) -> Dismissal | ScopeResult:
    return scope(submission, CATALOGUE, RECORDS, served_states=SERVED, on=ON)


def test_both_ways_are_tried() -> None:
    """The strategy finds requests that are taken and requests that are not."""
    seen = set()

    @settings(deadline=None, max_examples=500, database=None, derandomize=True)
    @given(ORDERS)
    def look(submission: Submission) -> None:
        seen.add(looked_at(submission).situation)

    look()
    assert len(seen) >= 12, seen
    assert {Situation.NEEDS_AUTHORIZATION, Situation.MISSING, Situation.EXEMPT} <= seen


@CALM
@given(ORDERS)
def test_what_a_request_would_be_taken_for_is_never_said_to_need_none(order: Submission) -> None:
    if isinstance(asked_for(order), ScopeResult):
        assert looked_at(order).situation in TAKEN


@CALM
@given(ORDERS)
def test_what_would_be_dismissed_is_never_said_to_need_authorization(order: Submission) -> None:
    if isinstance(asked_for(order), Dismissal):
        assert looked_at(order).situation is not Situation.NEEDS_AUTHORIZATION


@CALM
@given(ORDERS, st.sampled_from([("64484", "64483"), ("15272", "15271")]))
def test_nor_do_they_part_over_an_add_on_with_its_primary(
    order: Submission, codes: tuple[str, str]
) -> None:
    [item] = order.items
    pair = tuple(
        replace(item, sequence=n, service=replace(item.service, codes=(Code(CPT, code),)))
        for n, code in enumerate(codes, start=1)
    )
    both = replace(order, items=pair)
    found = looked_at(both).situation
    assert found is not Situation.ADD_ON_ALONE
    if isinstance(asked_for(both), ScopeResult):
        assert found in TAKEN
    else:
        assert found is not Situation.NEEDS_AUTHORIZATION


@CALM
@given(ORDERS, st.lists(ITEMS, max_size=3))
def test_what_is_ordered_beside_it_changes_nothing_but_for_add_ons(
    order: Submission, beside: list[RequestedItem]
) -> None:
    alone = looked_at(order)
    together = looked_at(replace(order, items=(*order.items, *beside)))
    if not ADD_ONS.intersection(code.code for code in order.items[0].service.codes):
        assert together.situation is alone.situation
        assert together.missing == alone.missing


@CALM
@given(ORDERS)
def test_what_is_missing_is_named_and_only_then(order: Submission) -> None:
    found = looked_at(order)
    lacks = found.situation in (Situation.MISSING, Situation.ADD_ON_ALONE)
    assert lacks == bool(found.missing)
    assert (Missing.PRIMARY in found.missing) or found.situation is not Situation.ADD_ON_ALONE


@CALM
@given(ORDERS)
def test_no_case_makes_a_certain_no_uncertain(order: Submission) -> None:
    cases = [
        a_standing(status, code, npis=(), service=None)
        for status in (CaseStatus.AFFIRMED, CaseStatus.NON_AFFIRMED, CaseStatus.IN_REVIEW)
        for code in CODES
    ]
    alone, among = looked_at(order), looked_at(order, standing=cases)
    assert (alone.situation in TAKEN) == (among.situation in TAKEN)
    if alone.situation not in TAKEN:
        assert among == alone


@CALM
@given(ORDERS)
def test_an_affirmation_satisfies_nothing_that_lacks_a_fact(order: Submission) -> None:
    cases = [a_standing(CaseStatus.AFFIRMED, code, npis=(), service=None) for code in CODES]
    alone, among = looked_at(order), looked_at(order, standing=cases)
    if set(alone.missing) - {Missing.PRIMARY}:
        assert among.situation in (Situation.MISSING, Situation.ADD_ON_ALONE)
        assert among.situation is alone.situation or alone.situation is Situation.ADD_ON_ALONE


@CALM
@given(ORDERS, st.lists(st.sampled_from(UNREADABLE), min_size=1).map(tuple))
def test_what_nobody_can_read_is_never_said_to_be_none_of_the_model_s(
    order: Submission, codes: tuple[Code, ...]
) -> None:
    [item] = order.items
    asked = replace(order, items=(replace(item, service=replace(item.service, codes=codes)),))
    found = looked_at(asked)
    assert found.situation is not Situation.NOT_WISER
    if found.situation in TAKEN:
        assert Missing.CODE in found.missing


@CALM
@given(ORDERS)
def test_an_inpatient_s_order_never_needs_anything(order: Submission) -> None:
    situation = looked_at(order, excluded=True).situation
    assert situation not in TAKEN
    assert situation is not Situation.OTHER_MODEL_STATE


@CALM
@given(ORDERS)
def test_every_participant_s_orders_are_one_s_own_or_another_s(order: Submission) -> None:
    here, everywhere = looked_at(order), looked_at(order, served=EVERYWHERE)
    if here.situation is not Situation.OTHER_MODEL_STATE:
        assert here == everywhere
    else:
        assert everywhere.situation in TAKEN
