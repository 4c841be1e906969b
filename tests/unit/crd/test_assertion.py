"""Answers as values: what each situation becomes, and what an answer must not say."""

from dataclasses import replace
from datetime import date

import pytest

from tests.unit.crd.answering import (
    LINES,
    REFERENCE,
    UTN,
    a_foreseen,
    a_standing,
    an_asked_item,
    an_assertion,
    rules_of,
)
from wiser_fhir.coverage.requested import CPT, HCPCS, Code
from wiser_fhir.crd.assertion import Assertion, Days, Link
from wiser_fhir.crd.hook_request import HOOKS, PRIMARY_HOOKS, Hook
from wiser_fhir.fhir.codes import Line
from wiser_fhir.priorauth.foresee import Missing, Situation
from wiser_fhir.priorauth.models import CaseStatus

SUPPORTING = tuple(hook for hook in HOOKS if hook not in PRIMARY_HOOKS)


def _values(found: Assertion) -> dict[str, object]:
    return {detail.title: detail.value for detail in found.details}


def _texts(found: Assertion) -> str:
    return " ".join([*(r.text for r in found.reasons), *(str(d.value) for d in found.details)])


@pytest.mark.parametrize(("line", "base"), [("2.2", "/fhir"), ("2.0", "/v2.0/fhir")])
def test_what_needs_authorization_names_the_form_of_its_own_line(line: Line, base: str) -> None:
    found = an_assertion(Situation.NEEDS_AUTHORIZATION, line)
    form = f"https://wiser-fhir.example{base}/Questionnaire/epidural-steroid-injection|2026-01-15"
    assert found.questionnaires == (form,)


@pytest.mark.parametrize("line", LINES)
def test_prior_authorization_is_said_to_be_voluntary(line: Line) -> None:
    found = an_assertion(Situation.NEEDS_AUTHORIZATION, line)
    told = _values(found)["Prior authorization, or review of the claim before payment"]
    assert "voluntary" in str(told)


def test_who_is_to_be_asked_is_the_participant_of_the_state_without_its_portal() -> None:
    contact = an_assertion(Situation.NEEDS_AUTHORIZATION).contact
    assert contact is not None
    assert contact.name == "Cohere Health, Inc."
    assert [system for system, _ in contact.telecom] == ["phone", "fax", "email"]
    assert not any("http" in value for _, value in contact.telecom)


def test_nobody_is_named_where_the_state_is_not_known() -> None:
    unplaced = a_foreseen(Situation.MISSING, state=None, missing=(Missing.STATE,))
    assert an_assertion(unplaced).contact is None


def test_the_policy_is_linked_where_the_catalogue_has_its_address() -> None:
    nerve = a_foreseen(Situation.NEEDS_AUTHORIZATION, rules=rules_of("64568"))
    links = [d for d in an_assertion(nerve).details if isinstance(d.value, Link)]
    assert [link.qualification for link in links] == ["NCD 160.18 VNS (NCDId 230)"]
    assert all("cms.gov" in link.value.url for link in links if isinstance(link.value, Link))


def test_a_mirror_of_a_policy_is_not_linked_as_the_policy() -> None:
    spine = a_foreseen(Situation.NEEDS_AUTHORIZATION, rules=rules_of("63655"))
    assert not [d for d in an_assertion(spine).details if isinstance(d.value, Link)]


def test_line_2_0_has_no_place_for_an_address() -> None:
    nerve = a_foreseen(Situation.NEEDS_AUTHORIZATION, rules=rules_of("64568"))
    found = an_assertion(nerve, "2.0")
    assert not [detail for detail in found.details if isinstance(detail.value, Link)]


@pytest.mark.parametrize("hook", SUPPORTING)
@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize("situation", list(Situation))
def test_a_supporting_hook_asks_for_no_documents(
    situation: Situation, line: Line, hook: Hook
) -> None:
    found = an_assertion(situation, line, hook)
    assert (found.doc_needed, found.doc_purpose, found.questionnaires) == ((), (), ())
    assert "What the reviewers will want to see" not in _values(found)


def test_what_is_affirmed_tells_its_number_its_days_and_its_end() -> None:
    found = an_assertion(Situation.SATISFIED)
    assert found.satisfied_pa_id == UTN
    assert found.expiry_date == date(2027, 2, 28)
    days = Days(date(2026, 11, 1), date(2027, 2, 28))
    assert _values(found)["Days of service that the affirmation covers"] == days
    assert an_assertion(Situation.SATISFIED, "2.0").expiry_date is None


def test_until_the_number_comes_our_reference_stands_in_its_place() -> None:
    waiting = a_foreseen(Situation.SATISFIED, standing=a_standing(utn=None))
    assert an_assertion(waiting).satisfied_pa_id == REFERENCE


def test_what_is_in_review_is_not_asked_for_again() -> None:
    found = an_assertion(Situation.PENDED)
    told = _values(found)
    assert told["Request in review"] == f"Our reference: {REFERENCE}."
    assert told["Decision by"] == "To be decided by 2026-11-23 11:00 Eastern time."
    assert (found.doc_needed, found.questionnaires, found.satisfied_pa_id) == ((), (), None)


def test_a_request_that_was_not_affirmed_may_be_sent_again_under_its_number() -> None:
    standing = a_standing(status=CaseStatus.NON_AFFIRMED, valid_from=None, valid_until=None)
    found = an_assertion(a_foreseen(Situation.NON_AFFIRMED, standing=standing))
    told = _values(found)
    assert told["Earlier request"] == f"Its number is {UTN}. A new request names it."
    assert "without limit" in str(told["Sending it again"])
    assert found.questionnaires


def test_another_participant_is_named_with_its_state() -> None:
    found = an_assertion(a_foreseen(Situation.OTHER_MODEL_STATE, state="NJ"))
    assert found.contact is not None
    assert found.contact.name == "Genzeon Corporation"
    assert "Novitas Solutions, Inc. (JL)" in str(_values(found)["Who reviews it"])
    assert found.questionnaires == ()


@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize(
    ("missing", "info"),
    [
        ((Missing.PERFORMER,), ("performer",)),
        ((Missing.SITE, Missing.STATE), ("location",)),
        ((Missing.DATE,), ("timeframe",)),
        ((Missing.DIAGNOSIS, Missing.CODE, Missing.PRIMARY), ("OTH",)),
        ((Missing.SITE, Missing.DATE, Missing.CODE), ("location", "timeframe", "OTH")),
        ((), ("OTH",)),
    ],
)
def test_what_is_missing_is_asked_for_by_its_code(
    missing: tuple[Missing, ...], info: tuple[str, ...], line: Line
) -> None:
    found = an_assertion(a_foreseen(Situation.MISSING, missing=missing), line)
    assert found.info_needed == info
    assert found.reasons


def test_what_is_missing_is_named_in_words() -> None:
    missing = (Missing.SITE, Missing.DATE, Missing.PERFORMER)
    found = an_assertion(a_foreseen(Situation.MISSING, missing=missing))
    kinds = "at what kind of place (place of service or type of bill)"
    told = f"Tell {kinds}, on which day and who performs the service, and ask again."
    assert _values(found)["What is still needed"] == told


def test_the_answer_tells_what_it_holds_for() -> None:
    told = _values(an_assertion(Situation.NEEDS_AUTHORIZATION))["What this answer holds for"]
    assert told == "CPT 64483, delivered in TX, place of service 11, on 2026-12-15."


def test_a_place_of_the_request_is_not_repeated_unless_it_is_a_code() -> None:
    item = an_asked_item()
    assert item.site is not None
    odd = replace(item, site=replace(item.site, code="<b>11</b>"))
    assert "<b>" not in _texts(an_assertion(Situation.NEEDS_AUTHORIZATION, asked=odd))


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (Code(HCPCS, "64483"), (Code(CPT, "64483"),)),
        (Code(HCPCS, "E0250"), (Code(HCPCS, "E0250"),)),
        (Code("http://snomed.info/sct", "231249005"), ()),
        (Code(CPT, "not a code"), ()),
        (None, ()),
    ],
)
def test_billing_codes_are_procedure_codes_under_their_own_system(
    code: Code | None, expected: tuple[Code, ...]
) -> None:
    foreseen = a_foreseen(Situation.NOT_WISER, code=code)
    assert an_assertion(foreseen).billing_codes == expected


def test_an_answer_about_the_person_is_bound_to_no_code() -> None:
    assert an_assertion(Situation.MEMBER_NOT_FOUND).billing_codes == ()


def test_what_was_assumed_and_what_it_hangs_on_is_told() -> None:
    found = an_assertion(
        Situation.NEEDS_AUTHORIZATION,
        assumptions=("SNOMED CT 231249005 read as CPT 62323",),
        dependencies=("ServiceRequest/order-2",),
    )
    assert _values(found)["Assumption"] == "SNOMED CT 231249005 read as CPT 62323"
    assert found.dependencies == ("ServiceRequest/order-2",)


@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize(
    "situation", [Situation.SATISFIED, Situation.PENDED, Situation.NON_AFFIRMED]
)
def test_a_what_if_call_is_answered_by_the_rule_and_names_no_case(
    situation: Situation, line: Line
) -> None:
    found = an_assertion(situation, line, what_if=True)
    assert found.situation is Situation.NEEDS_AUTHORIZATION
    assert (found.pa_needed, found.satisfied_pa_id) == ("auth-needed", None)
    assert found.questionnaires
    assert UTN not in repr(found)
    assert REFERENCE not in repr(found)
    assert "left out" in str(_values(found)["Asked as a question only"])


def test_a_what_if_call_changes_nothing_where_no_case_is_told() -> None:
    assert an_assertion(Situation.EXEMPT, what_if=True) == an_assertion(Situation.EXEMPT)


def test_a_provider_who_may_not_bill_leaves_the_question_to_who_performs() -> None:
    found = an_assertion(Situation.INELIGIBLE)
    assert (found.pa_needed, found.info_needed) == ("conditional", ("performer",))
