"""Whatever an order comes to, the answer is valid on both lines and the order is left as it was."""

import copy
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.crd.answering import (
    DAY,
    PERFORMER,
    PLACE,
    a_submission,
    an_occasion,
    an_order,
    catalogue,
    parts,
)
from wiser_fhir.coverage.models import ServiceRules
from wiser_fhir.coverage.requested import CPT, HCPCS, Code, RequestedService
from wiser_fhir.crd.assertion import assertion
from wiser_fhir.crd.configuration import Configuration
from wiser_fhir.crd.coverage_information import extension, same_answer
from wiser_fhir.crd.hook_request import HOOKS, PRIMARY_HOOKS
from wiser_fhir.crd.response import Answered, OrderAnswer, respond
from wiser_fhir.fhir.codes import LINES, Line
from wiser_fhir.fhir.elements import Json
from wiser_fhir.fhir.validation.validator import GuideValidator
from wiser_fhir.priorauth.foresee import Foreseen, Missing, Situation
from wiser_fhir.priorauth.models import (
    CaseStatus,
    ItemRole,
    ItemStatus,
    Party,
    PartyRole,
    RequestedItem,
    Site,
    SiteKind,
    Submission,
)
from wiser_fhir.priorauth.standing import Standing

PROFILE = "http://hl7.org/fhir/us/davinci-crd/StructureDefinition/profile-servicerequest"
CODES = (Code(CPT, "64483"), Code(CPT, "62323"), Code(HCPCS, "E0250"), Code(CPT, "<b>"))
FROM_CASES = (Situation.SATISFIED, Situation.PENDED, Situation.NON_AFFIRMED)

days = st.dates(date(2026, 1, 1), date(2031, 12, 31))
texts = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), max_size=60)
states = st.sampled_from([None, "AZ", "NJ", "OH", "OK", "TX", "WA", "NY"])
services = st.sampled_from([None, *catalogue().services_on(DAY)])


@st.composite
def standings(draw: st.DrawFn) -> Standing:
    """A case in any state; where both its days are told, the first is not after the last."""
    first = draw(st.none() | days)
    last = (first or DAY) + timedelta(days=draw(st.integers(0, 119)))
    return Standing(
        case_id=UUID(int=7),
        reference="R00000000000001",
        status=draw(st.sampled_from(CaseStatus)),
        utn=draw(st.sampled_from([None, "ZZB00000000001"])),
        valid_from=first,
        valid_until=draw(st.sampled_from([None, last])),
        decide_by=draw(st.sampled_from([None, datetime(2026, 11, 23, 16, 0, tzinfo=UTC)])),
        service=None,
        codes=(("64483", ItemStatus.AFFIRMED),),
        npis=(),
        received_at=datetime(2026, 11, 20, 16, 0, tzinfo=UTC),
    )


@st.composite
def foreseen(draw: st.DrawFn) -> Foreseen:
    """Any situation with any facts, told or not; a case wherever the situation rests on one."""
    situation = draw(st.sampled_from(Situation))
    rules: ServiceRules | None = draw(services)
    own = [code.coding for code in rules.codes] if rules else []
    odd = [None, Code(HCPCS, "E0250"), Code("http://snomed.info/sct", "1"), Code(CPT, draw(texts))]
    return Foreseen(
        situation=situation,
        code=draw(st.sampled_from([*own, *odd])),
        role=draw(st.sampled_from(ItemRole)),
        rules=rules,
        missing=tuple(draw(st.lists(st.sampled_from(Missing), max_size=4, unique=True))),
        detail=draw(texts),
        standing=draw(standings() if situation in FROM_CASES else st.none()),
        state=draw(states),
    )


items = st.builds(
    RequestedItem,
    sequence=st.just(1),
    service=st.builds(
        RequestedService,
        codes=st.just(()) | st.lists(st.sampled_from(CODES), max_size=3).map(tuple),
        date_of_service=st.none() | days,
        state=states,
        quantity=st.none() | st.decimals(0, 999, places=1),
    ),
    service_end=st.none() | days,
    modifiers=st.lists(st.sampled_from(["50", "RT", "", "<b>"]), max_size=2).map(tuple),
    site=st.none() | st.builds(Site, kind=st.sampled_from(SiteKind), code=texts),
)
numbers = st.sampled_from([None, PERFORMER, PLACE, "1", "<b>"])
parties = st.lists(st.builds(Party, role=st.sampled_from(PartyRole), npi=numbers), max_size=3)
submissions = st.none() | st.builds(
    a_submission,
    items,
    parties=parties.map(tuple),
    diagnoses=st.lists(st.sampled_from(["M54.16", "E11.621", "<b>"]), max_size=2).map(tuple),
    expedite_requested=st.booleans(),
)
periods = st.fixed_dictionaries({}, optional={"start": days.map(str), "end": days.map(str)})
options = st.dictionaries(
    st.sampled_from(["coverage-info", "claim", "guideline", "limits", "max-cards", "odd"]),
    st.booleans() | st.integers(-2, 4) | st.none() | texts,
)


@pytest.fixture(scope="session")
def validators() -> dict[Line, GuideValidator]:
    return {line: GuideValidator.load(line) for line in LINES}


def _order(period: dict[str, str]) -> Json:
    return an_order(occurrencePeriod=period) if period else an_order()


def _holds(information: Json, line: Line, primary: bool) -> None:
    """The invariants of the guide as their words say them. Source: CRD 2.2.1, crd-ci-q1 to q9."""
    codes = {url: parts(information, url) for url in ("covered", "pa-needed", "doc-needed")}
    info, purposes = parts(information, "info-needed"), parts(information, "doc-purpose")
    reasons = parts(information, "reason")
    told = [code for found in codes.values() for code in found]
    assert not parts(information, "questionnaire") or codes["doc-needed"]
    assert ("conditional" in told) == bool(info)
    assert "withpa" not in purposes or codes["pa-needed"] == ["auth-needed"]
    satisfied = codes["pa-needed"] == ["satisfied"]
    assert len(parts(information, "satisfied-pa-id")) == satisfied
    assert reasons
    assert all(reason["text"].strip() for reason in reasons)
    if line == "2.2":
        assert not (codes["covered"] == ["not-covered"] and codes["pa-needed"])
    else:
        assert "indeterminate" not in told
        assert codes["pa-needed"]
        assert len(codes["doc-needed"]) <= 1
    if not primary:
        assert (codes["doc-needed"], purposes) == ([], [])
        assert not parts(information, "questionnaire")


def _sound_cards(found: Answered) -> None:
    """What CDS Hooks and the guide ask of every card. Source: CRD 2.2.1 §resp-3 to §resp-24."""
    for card in found.body["cards"]:
        assert 0 < len(card["summary"]) < 140
        assert [] not in card.values()
        assert "" not in card.values()
        assert ("suggestions" in card) == ("selectionBehavior" in card)
        assert all(s["uuid"] and s["actions"] for s in card.get("suggestions", []))


# The first resource by a profile has its definitions read.
@settings(deadline=None)
@given(data=st.data(), seen=foreseen(), asked=submissions, period=periods, told=options)
def test_every_answer_is_valid_and_leaves_the_order_as_it_was(
    data: st.DataObject,
    seen: Foreseen,
    asked: Submission | None,
    period: dict[str, str],
    told: dict[str, Any],
    validators: dict[Line, GuideValidator],
) -> None:
    line: Line = data.draw(st.sampled_from(LINES))
    hook = data.draw(st.sampled_from(HOOKS))
    what_if = data.draw(st.booleans())
    order = _order(period)
    before = copy.deepcopy(order)
    made = assertion(
        seen,
        line=line,
        hook=hook,
        order="ServiceRequest/order-1",
        coverage="Coverage/cov-1",
        day=DAY,
        catalogue=catalogue(),
        new_id=lambda: "assertion-1",
        assumptions=data.draw(st.lists(texts.filter(bool), max_size=2)),
        dependencies=("ServiceRequest/order-2",),
        asked=asked,
        what_if=what_if,
    )
    configuration = Configuration.read(told | ({"unsolicited-determ": False} if what_if else {}))
    found = respond(
        [OrderAnswer(made, order)],
        an_occasion(order, line=line, hook=hook),
        configuration=configuration,
        catalogue=catalogue(),
    )
    assert order == before
    _holds(extension(made, line), line, hook in PRIMARY_HOOKS)
    _sound_cards(found)
    assert len(found.body["cards"]) <= configuration.max_cards
    assert bool(found.actions) == configuration.gives_coverage_information
    for action in found.actions:
        rest = {key: value for key, value in action.resource.items() if key != "extension"}
        assert rest == before
        problems = validators[line].problems(action.resource, PROFILE)
        known = {p.text for p in validators[line].problems(before, PROFILE)}
        errors = [p.text for p in problems if p.severity == "error" and p.text not in known]
        assert errors == []
    assert "<b>" not in repr(extension(made, line))
    if what_if:
        assert "ZZB00000000001" not in repr(found.body)
        assert "R00000000000001" not in repr(found.body)


@given(seen=foreseen(), line=st.sampled_from(LINES), hook=st.sampled_from(HOOKS))
def test_the_same_facts_get_the_same_answer(seen: Foreseen, line: Line, hook: Any) -> None:
    first, second = (
        extension(
            assertion(
                seen,
                line=line,
                hook=hook,
                order="ServiceRequest/order-1",
                coverage="Coverage/cov-1",
                day=day,
                catalogue=catalogue(),
                new_id=lambda name=name: name,  # type: ignore[misc]
            ),
            line,
        )
        for name, day in (("one", DAY), ("two", date(2026, 11, 21)))
    )
    assert first != second
    assert same_answer(first, second)
