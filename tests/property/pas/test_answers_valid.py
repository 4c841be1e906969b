"""Whatever a determination says, its answer is one that our own validator accepts."""

import re
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from functools import cache
from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.bundles import Line
from tests.unit.pas import maximal
from tests.unit.pas.maximal import CASES, decision, item, renderer
from wiser_fhir.coverage.requested import CPT, HCPCS, Code
from wiser_fhir.fhir import codes
from wiser_fhir.fhir.validation.validator import GuideValidator
from wiser_fhir.pas.request import RequestBundle
from wiser_fhir.priorauth.answer import (
    ICD_10_CM,
    AddedItem,
    AuthorizedProvider,
    CaseAnswer,
    GrantedDetail,
    ItemAnswer,
    Money,
    StatedError,
    Stay,
)
from wiser_fhir.priorauth.determination import Outcome
from wiser_fhir.priorauth.models import CaseStatus, ItemStatus, PriorAuthorization

PROFILES = {"submit": codes.RESPONSE_BUNDLE, "inquire": codes.INQUIRY_RESPONSE_BUNDLE}
DAYS = st.dates(date(2026, 1, 1), date(2028, 12, 31))
AMOUNTS = st.decimals(0, 10**12, allow_nan=False, allow_infinity=False, places=2)


def _or_none(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | values


TEXTS = st.builds(
    "{}.{}".format,
    *[st.text(st.characters(exclude_categories=("Cs", "Cc", "Cn")) | st.just("\n"), max_size=20)]
    * 2,
)
TOKENS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=12)
PROCEDURES = st.builds(Code, st.sampled_from([CPT, HCPCS]), TOKENS)
DIAGNOSES = st.builds(Code, st.just(ICD_10_CM), TOKENS)
ENTRIES = st.sampled_from([e["fullUrl"] for e in maximal.request("2.2").bundle["entry"]])
NPIS = st.from_regex(re.compile("[12][0-9]{9}", re.ASCII), fullmatch=True)
ROLES = st.sampled_from(["primary", "assist", "supervisor", "other"])
WHO = {"name": _or_none(TEXTS), "entity": _or_none(TOKENS), "role": _or_none(ROLES)}
WHO["qualification"] = _or_none(TOKENS)
PROVIDERS = st.builds(
    AuthorizedProvider, npi=NPIS | st.just(maximal.RENDERING), reference=_or_none(ENTRIES), **WHO
) | st.builds(AuthorizedProvider, npi=st.none(), reference=ENTRIES | TOKENS, **WHO)
DETAILS = st.builds(
    GrantedDetail,
    modifiers=st.lists(TOKENS, max_size=3).map(tuple),
    code_end=_or_none(PROCEDURES),
    unit_price=_or_none(st.builds(Money, AMOUNTS)),
    epsdt=_or_none(st.booleans()),
    rate_limit=_or_none(AMOUNTS),
    order=_or_none(ENTRIES),
    **{
        name: _or_none(TOKENS)
        for name in (
            *("care_level", "residential_status", "revenue_code", "request_type"),
            *("certification_type", "bill_type"),
        )
    },
    place_of_service=_or_none(st.sampled_from(["11", "19", "22", "24"])),
)
STAYS = st.builds(
    lambda first, days: Stay(first, None if days is None else first + timedelta(days=days)),
    DAYS,
    _or_none(st.integers(0, 30)),
)
ITEM_ANSWERS = st.builds(
    ItemAnswer,
    providers=st.lists(PROVIDERS, max_size=2).map(tuple),
    detail=DETAILS,
    admission=_or_none(STAYS),
    discharge=_or_none(DAYS),
    diagnoses=st.lists(DIAGNOSES, max_size=3).map(tuple),
    notes=st.lists(TEXTS, max_size=2).map(tuple),
    second_opinion=_or_none(st.booleans()),
)
ADDED = st.builds(
    AddedItem,
    sequence=st.integers(10, 2**31 - 1),
    code=PROCEDURES,
    quantity=_or_none(AMOUNTS),
    first_day=_or_none(DAYS),
    answer=ITEM_ANSWERS,
)
ERRORS = st.builds(
    StatedError,
    code=TOKENS,
    followup=_or_none(TOKENS),
    path=_or_none(TEXTS),
    element=_or_none(TEXTS),
    sequence=_or_none(st.integers(1, 2)),
    note=_or_none(TEXTS),
)
CASE_ANSWERS = st.builds(
    CaseAnswer,
    added=st.lists(ADDED, max_size=2, unique_by=lambda each: each.sequence).map(tuple),
    errors=st.lists(ERRORS, max_size=2).map(tuple),
    notes=st.lists(TEXTS, max_size=2).map(tuple),
    providers=st.lists(PROVIDERS, max_size=2).map(tuple),
    overall=st.booleans(),
    second_opinion=_or_none(st.booleans()),
    claim_absent=st.booleans(),
)


@st.composite
def determined(draw: st.DrawFn) -> PriorAuthorization:
    """A case with one line affirmed, perhaps otherwise than asked, and one not."""
    first, last = draw(_or_none(DAYS)), draw(_or_none(DAYS))
    affirmed = decision(
        Outcome.AFFIRMED,
        code=draw(_or_none(PROCEDURES)),
        quantity=draw(_or_none(AMOUNTS)),
        first_day=min(filter(None, (first, last)), default=None),
        last_day=max(filter(None, (first, last)), default=None),
        rationale=draw(_or_none(TEXTS)),
        reasons=tuple(draw(st.lists(TOKENS, max_size=2))),
        answer=draw(ITEM_ANSWERS),
    )
    other = decision(
        Outcome.NON_AFFIRMED,
        rationale=draw(TEXTS),
        resubmission_steps=draw(TEXTS),
        reasons=tuple(draw(st.lists(TOKENS, max_size=2))),
        answer=draw(ITEM_ANSWERS),
    )
    return replace(
        maximal.PARTIAL,
        status=CaseStatus.PARTIALLY_AFFIRMED,
        items=(
            item(1, ItemStatus.AFFIRMED, decision=affirmed),
            item(2, ItemStatus.NON_AFFIRMED, decision=other),
        ),
        answer=draw(CASE_ANSWERS),
    )


@cache
def _validator(line: Line) -> GuideValidator:
    return GuideValidator.load(line)


@cache
def _request(line: Line) -> RequestBundle:
    return maximal.request(line)


def _errors(line: Line, case: PriorAuthorization) -> list[str]:
    writer, request = renderer(line), _request(line)
    answers = {
        "submit": writer.submit_response(case, request),
        "inquire": writer.inquiry_response(case, request),
    }
    return [
        f"{line} {name} {problem.expression}: {problem.text}"
        for name, bundle in answers.items()
        for problem in _validator(line).problems(orjson.loads(orjson.dumps(bundle)), PROFILES[name])
        if problem.severity == "error"
    ]


@settings(max_examples=30, deadline=None)
@given(determined())
def test_any_determination_makes_a_valid_answer(case: PriorAuthorization) -> None:
    assert _errors("2.2", case) == []
    assert _errors("2.0", case) == []


@settings(max_examples=20, deadline=None)
@given(CASE_ANSWERS, st.sampled_from(sorted(CASES)))
def test_whatever_the_state_of_the_case(answer: CaseAnswer, state: str) -> None:
    case = replace(CASES[state], answer=answer)
    assert _errors("2.2", case) == []
    assert _errors("2.0", case) == []


@settings(max_examples=50, deadline=None)
@given(ITEM_ANSWERS, CASE_ANSWERS)
def test_what_is_kept_is_what_was_said(item_answer: ItemAnswer, case_answer: CaseAnswer) -> None:
    kept = orjson.loads(orjson.dumps(item_answer.as_json()))
    assert ItemAnswer.of_json(kept) == item_answer
    kept = orjson.loads(orjson.dumps(case_answer.as_json()))
    assert CaseAnswer.of_json(kept) == case_answer


def test_amounts_are_kept_to_the_cent() -> None:
    said = ItemAnswer(detail=GrantedDetail(rate_limit=Decimal("100.10")))
    assert said.as_json() == {"detail": {"rate_limit": "100.10"}}
