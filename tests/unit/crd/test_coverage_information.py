"""The extension as written on both lines, and how an order gets it."""

import copy
from typing import Any

import pytest

from tests.unit.crd.answering import (
    COVERAGE,
    LINES,
    a_foreseen,
    an_assertion,
    an_order,
    details,
    parts,
    rules_of,
)
from wiser_fhir.coverage.requested import CPT
from wiser_fhir.crd.coverage_information import (
    CRD_CODES,
    DETAIL_CODES,
    assertion_id,
    carried,
    extension,
    informed,
    same_answer,
    without_documentation,
)
from wiser_fhir.fhir.codes import COVERAGE_INFORMATION, Line
from wiser_fhir.priorauth.foresee import Situation

S = Situation


def _information(situation: S, line: Line = "2.2", **changes: Any) -> dict[str, Any]:
    return extension(an_assertion(situation, line, **changes), line)


@pytest.mark.parametrize("line", LINES)
def test_what_every_answer_has(line: Line) -> None:
    found = _information(S.NEEDS_AUTHORIZATION, line)
    assert found["url"] == COVERAGE_INFORMATION
    assert parts(found, "coverage") == [{"reference": COVERAGE}]
    assert parts(found, "covered") == ["covered"]
    assert parts(found, "pa-needed") == ["auth-needed"]
    assert parts(found, "date") == ["2026-11-20"]
    assert parts(found, "coverage-assertion-id") == ["assertion-1"]
    assert parts(found, "billingCode") == [{"system": CPT, "code": "64483"}]
    assert parts(found, "response") == []


def test_contact_is_a_detail_on_one_line_and_points_on_the_other() -> None:
    new, old = (parts(_information(S.NEEDS_AUTHORIZATION, line), "contact") for line in LINES)
    assert [contact["name"] for contact in new] == ["Cohere Health, Inc."]
    assert [point["system"] for point in new[0]["telecom"]] == ["phone", "fax", "email"]
    assert old == new[0]["telecom"]


def test_a_detail_has_category_and_codes_on_line_2_2() -> None:
    found = parts(_information(S.PENDED), "detail")
    assert {part["url"] for detail in found for part in detail} == {"category", "code", "value"}
    codings = [p["valueCodeableConcept"]["coding"] for d in found for p in d if p["url"] == "code"]
    expected = [{"system": s, "code": "instructions"} for s in (DETAIL_CODES, CRD_CODES)]
    assert all(coding == expected for coding in codings)


def test_a_detail_is_named_by_its_text_on_line_2_0_but_for_the_period() -> None:
    found = parts(_information(S.SATISFIED, "2.0"), "detail")
    concepts = [p["valueCodeableConcept"] for d in found for p in d if p["url"] == "code"]
    assert [c.get("coding") for c in concepts] == [
        [{"system": CRD_CODES, "code": "allowed-period"}],
        None,
    ]
    assert not [p for d in found for p in d if p["url"] == "category"]
    period = {"start": "2026-11-01", "end": "2027-02-28"}
    title = "Days of service that the affirmation covers"
    assert details(_information(S.SATISFIED, "2.0"))[title] == period


def test_a_policy_is_an_address_with_its_name_beside_it() -> None:
    nerve = a_foreseen(S.NEEDS_AUTHORIZATION, rules=rules_of("64568"))
    found = extension(an_assertion(nerve), "2.2")
    policy = next(d for d in parts(found, "detail") if any("valueUrl" in p for p in d))
    codes = [c["code"] for c in policy[1]["valueCodeableConcept"]["coding"]]
    assert codes == ["policy-link", "policy-link"]
    assert policy[-1] == {"url": "qualification", "valueString": "NCD 160.18 VNS (NCDId 230)"}


def test_the_number_stands_there_exactly_where_authorization_is_satisfied() -> None:
    for situation in Situation:
        for line in LINES:
            found = _information(situation, line)
            satisfied = parts(found, "pa-needed") == ["satisfied"]
            assert bool(parts(found, "satisfied-pa-id")) == satisfied


def test_only_line_2_2_has_an_expiry() -> None:
    assert parts(_information(S.SATISFIED), "expiry-date") == ["2027-02-28"]
    assert parts(_information(S.SATISFIED, "2.0"), "expiry-date") == []


def test_the_same_answer_on_another_day_is_the_same() -> None:
    old = _information(S.NEEDS_AUTHORIZATION)
    new = copy.deepcopy(old)
    later = {
        "date": {"valueDate": "2026-11-21"},
        "coverage-assertion-id": {"valueString": "other"},
    }
    new["extension"] = [part | later.get(part["url"], {}) for part in new["extension"]]
    assert new != old
    assert same_answer(old, new)


def test_order_and_element_ids_of_parts_do_not_count() -> None:
    old = _information(S.NEEDS_AUTHORIZATION)
    new = copy.deepcopy(old)
    new["extension"].reverse()
    for part in new["extension"]:
        part["id"] = f"x-{part['url']}"
        if isinstance(part.get("extension"), list):
            part["extension"].reverse()
    assert same_answer(old, new)


@pytest.mark.parametrize("situation", [s for s in Situation if s is not S.NEEDS_AUTHORIZATION])
def test_another_situation_is_another_answer(situation: Situation) -> None:
    assert not same_answer(_information(S.NEEDS_AUTHORIZATION), _information(situation))


@pytest.mark.parametrize(
    "odd",
    [
        {},
        {"extension": None},
        {"extension": "x"},
        {"extension": [None, 1, {"url": ["date"]}]},
        {"extension": [{"url": "covered", "valueCode": "\ud800"}]},
    ],
)
def test_an_extension_that_is_none_is_another_answer_and_harms_nothing(odd: Any) -> None:
    assert not same_answer(odd, _information(S.EXEMPT))
    assert assertion_id(odd) is None


@pytest.mark.parametrize("situation", [S.NEEDS_AUTHORIZATION, S.NON_AFFIRMED])
@pytest.mark.parametrize("line", LINES)
def test_without_its_documents_an_answer_is_that_of_a_supporting_hook(
    line: Line, situation: Situation
) -> None:
    full, bare = (_information(situation, line, hook=h) for h in ("order-sign", "order-select"))
    assert not same_answer(full, bare)
    assert without_documentation(full) | {"extension": []} == bare | {"extension": []}
    assert same_answer(without_documentation(full), bare)
    assert without_documentation(bare) == bare


def test_the_last_day_of_a_form_goes_with_it_and_that_of_an_affirmation_stays() -> None:
    last = {"url": "expiry-date", "valueDate": "2027-01-01"}
    form = _information(S.NEEDS_AUTHORIZATION)
    form["extension"].append(last)
    assert parts(without_documentation(form), "expiry-date") == []
    affirmed = _information(S.SATISFIED)
    assert without_documentation(affirmed) == affirmed


def test_an_order_gets_the_extension_and_nothing_else_changes() -> None:
    order = an_order(extension=[{"url": "https://ehr.example/x", "valueString": "y"}])
    before = copy.deepcopy(order)
    information = _information(S.NEEDS_AUTHORIZATION)
    found = informed(order, information)
    assert order == before
    assert found["extension"] == [*before["extension"], information]
    assert {key: value for key, value in found.items() if key != "extension"} == {
        key: value for key, value in before.items() if key != "extension"
    }
    assert list(found) == list(before)


@pytest.mark.parametrize("reference", [COVERAGE, f"https://ehr.example/fhir/{COVERAGE}"])
def test_a_new_answer_takes_the_place_of_the_old_about_the_same_coverage(reference: str) -> None:
    old = _information(S.NEEDS_AUTHORIZATION, coverage=reference)
    other = _information(S.NEEDS_AUTHORIZATION, coverage="Coverage/another")
    new = _information(S.SATISFIED)
    order = an_order(extension=[old, other])
    assert carried(order, COVERAGE) == [old]
    assert informed(order, new)["extension"] == [other, new]


@pytest.mark.parametrize("odd", ["x", {}, None, [None, "x", {"url": COVERAGE_INFORMATION}]])
def test_what_a_client_wrote_among_the_extensions_is_read_with_care(odd: Any) -> None:
    order = an_order(extension=odd)
    assert carried(order, COVERAGE) == []
    information = _information(S.EXEMPT)
    kept = odd if isinstance(odd, list) else []
    assert informed(order, information)["extension"] == [*kept, information]
