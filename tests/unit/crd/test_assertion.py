"""Answers as values: what each situation becomes, and what an answer must not say."""

from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from tests.unit.crd.answering import (
    CODE,
    LINES,
    PERFORMER,
    PLACE,
    REFERENCE,
    UTN,
    a_foreseen,
    a_standing,
    a_submission,
    an_asked_item,
    an_assertion,
    rules_of,
)
from wiser_fhir.coverage.requested import CPT, HCPCS, Code, RequestedService
from wiser_fhir.crd.assertion import Assertion, Days, Link
from wiser_fhir.crd.hook_request import HOOKS, PRIMARY_HOOKS, Hook
from wiser_fhir.fhir.codes import Line
from wiser_fhir.priorauth.foresee import Missing, Situation
from wiser_fhir.priorauth.models import (
    CaseStatus,
    ItemStatus,
    Party,
    PartyRole,
    Site,
    SiteKind,
)

NOT_COVERED = (
    Situation.MEDICARE_ADVANTAGE,
    Situation.MEMBER_NOT_FOUND,
    Situation.MEMBER_ENDED,
    Situation.COVERAGE_ENDED,
)
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
    assert _held(an_assertion(Situation.NEEDS_AUTHORIZATION)) == (
        "CPT 64483, delivered in TX, place of service 11, on 2026-12-15,"
        " performed by NPI 1999000015."
    )


def _held(found: Assertion) -> str:
    return str(_values(found)["What this answer holds for"])


def test_all_that_the_answer_hangs_on_is_told() -> None:
    asked = a_submission(
        replace(
            an_asked_item(),
            service=RequestedService((CODE,), date(2026, 12, 15), "TX", Decimal(2)),
            service_end=date(2027, 1, 15),
            modifiers=("50", "RT"),
            site=Site(SiteKind.PLACE_OF_SERVICE, "24"),
        )
    )
    assert _held(an_assertion(Situation.PENDED, asked=asked)) == (
        "CPT 64483, with modifier 50 and RT, quantity 2, delivered in TX, place of service 24,"
        " from 2026-12-15 to 2027-01-15, performed by NPI 1999000015,"
        " billed by the facility with NPI 1999000072."
    )


@pytest.mark.parametrize(
    ("diagnoses", "told"),
    [
        (("E11.621", "M54.16"), "for diagnosis E11.621."),
        (("M54.16",), "for diagnosis M54.16."),
    ],
)
@pytest.mark.parametrize("situation", [Situation.NEEDS_AUTHORIZATION, Situation.DIAGNOSIS_OUTSIDE])
def test_a_diagnosis_is_told_where_a_closed_list_decides(
    situation: Situation, diagnoses: tuple[str, ...], told: str
) -> None:
    skin = a_foreseen(situation, rules=rules_of("15275"), code=Code(CPT, "15275"))
    assert _held(an_assertion(skin, asked=a_submission(diagnoses=diagnoses))).endswith(told)
    assert "diagnosis" not in _held(an_assertion(Situation.NEEDS_AUTHORIZATION))


def test_who_performs_is_no_part_of_an_answer_that_does_not_hang_on_it() -> None:
    assert "NPI" not in _held(an_assertion(Situation.NOT_WISER))


@pytest.mark.parametrize(("site", "npi"), [("11", "1999000015"), ("24", "1999000072")])
def test_who_is_exempt_is_named(site: str, npi: str) -> None:
    item = replace(an_asked_item(), site=Site(SiteKind.PLACE_OF_SERVICE, site))
    found = an_assertion(Situation.EXEMPT, asked=a_submission(item))
    assert f"NPI {npi}" in _held(found)
    assert f"NPI {npi}." in str(_values(found)["Who is exempt"])


def test_each_of_several_who_may_perform_is_named() -> None:
    asked = a_submission(
        parties=(Party(PartyRole.RENDERING, npi=PERFORMER), Party(PartyRole.RENDERING, npi=PLACE))
    )
    found = _held(an_assertion(Situation.PENDED, asked=asked))
    assert found.endswith("performed by NPI 1999000015 or 1999000072.")


def test_a_number_that_is_none_is_not_repeated() -> None:
    asked = a_submission(parties=(Party(PartyRole.RENDERING, npi="<b>1</b>"),))
    assert "NPI" not in _held(an_assertion(Situation.PENDED, asked=asked))


def test_a_kind_of_place_is_no_place_of_service() -> None:
    item = replace(an_asked_item(), site=Site(SiteKind.OTHER, "OF"))
    assert "OF" not in _held(an_assertion(Situation.PENDED, asked=a_submission(item)))


SECOND = Code(CPT, "62323")


def _for_both(situation: Situation, *others: Code, **changes: Any) -> Assertion:
    item = an_asked_item()
    service = replace(item.service, codes=(CODE, *others))
    asked = a_submission(replace(item, service=service, modifiers=changes.pop("modifiers", ())))
    line = changes.pop("line", "2.2")
    return an_assertion(a_foreseen(situation, **changes), line, asked=asked)


def test_every_code_that_the_answer_holds_for_is_a_billing_code() -> None:
    found = _for_both(Situation.NEEDS_AUTHORIZATION, SECOND, Code(CPT, "99213"))
    assert found.billing_codes == (CODE, SECOND)
    assert _held(found).startswith("CPT 64483 or CPT 62323, ")


def test_codes_of_no_service_share_the_answer_that_nothing_is_needed() -> None:
    visits = Code(CPT, "99213"), Code(CPT, "99214")
    found = _for_both(Situation.NOT_WISER, visits[1], rules=None, code=visits[0])
    assert found.billing_codes == visits
    assert _for_both(Situation.STATE_OUTSIDE, visits[0]).billing_codes == (CODE, visits[0])
    assert _for_both(Situation.EXEMPT, visits[0]).billing_codes == (CODE,)
    other_service = Code(CPT, "22554")
    assert _for_both(Situation.STATE_OUTSIDE, other_service).billing_codes == (CODE,)


@pytest.mark.parametrize(
    ("situation", "status"),
    [
        (Situation.SATISFIED, ItemStatus.AFFIRMED),
        (Situation.NON_AFFIRMED, ItemStatus.NON_AFFIRMED),
        (Situation.PENDED, ItemStatus.PENDED),
    ],
)
def test_a_decision_holds_for_the_codes_that_it_was_made_on(
    situation: Situation, status: ItemStatus
) -> None:
    of_one = a_standing(codes=((CODE.code, status),))
    assert _for_both(situation, SECOND, standing=of_one).billing_codes == (CODE,)
    of_both = a_standing(codes=((CODE.code, status), (SECOND.code, status)))
    assert _for_both(situation, SECOND, standing=of_both).billing_codes == (CODE, SECOND)


def test_where_the_code_is_lacking_none_is_named_as_the_one_to_bill() -> None:
    found = _for_both(Situation.MISSING, Code(CPT, "99213"), missing=(Missing.CODE,))
    assert found.billing_codes == ()
    assert "64483" not in _held(found)


@pytest.mark.parametrize(
    ("line", "expected"), [("2.2", ("64483:50:RT", "62323:50:RT")), ("2.0", ("64483", "62323"))]
)
def test_modifiers_stand_behind_the_code(line: Line, expected: tuple[str, ...]) -> None:
    found = _for_both(Situation.NEEDS_AUTHORIZATION, SECOND, line=line, modifiers=("50", "RT"))
    assert tuple(code.code for code in found.billing_codes) == expected


def test_a_modifier_goes_behind_no_code_of_another_system() -> None:
    foreseen = a_foreseen(Situation.NOT_WISER, code=Code(HCPCS, "E0250"), rules=None)
    asked = a_submission(replace(an_asked_item(), modifiers=("RT",)))
    assert an_assertion(foreseen, asked=asked).billing_codes == (Code(HCPCS, "E0250"),)


def test_a_remark_on_a_need_is_told_but_not_to_a_question_only() -> None:
    remarked = a_foreseen(Situation.NEEDS_AUTHORIZATION, detail="Another request, R1, is there.")
    assert _values(an_assertion(remarked))["About this order"] == "Another request, R1, is there."
    asked = an_assertion(remarked, what_if=True)
    assert "R1" not in repr(asked)
    assert "left out" in str(_values(asked)["Asked as a question only"])
    assert "About this order" not in _values(an_assertion(Situation.NEEDS_AUTHORIZATION))


@pytest.mark.parametrize("situation", [Situation.NEEDS_AUTHORIZATION, Situation.NON_AFFIRMED])
def test_an_urgent_order_is_told_of_the_shorter_time(situation: Situation) -> None:
    found = an_assertion(situation, asked=a_submission(expedite_requested=True))
    told = str(_values(found)["Urgent order"])
    assert "within 2 days if the risk to the patient is confirmed" in told
    assert "Urgent order" not in _values(an_assertion(situation))


@pytest.mark.parametrize(
    ("day", "told"),
    [
        (date(2027, 3, 19), None),  # decided today, day 120
        (date(2027, 3, 20), "2026-11-21"),
        (date(2027, 6, 1), "2027-02-02"),
    ],
)
def test_a_day_that_no_affirmation_of_today_reaches_is_better_asked_for_later(
    day: date, told: str | None
) -> None:
    item = an_asked_item()
    asked = a_submission(replace(item, service=replace(item.service, date_of_service=day)))
    found = _values(an_assertion(Situation.NEEDS_AUTHORIZATION, asked=asked))
    expected = (
        f"A request now would cover services of the next 120 days only, and {day} lies after them."
        f" It is best sent on {told} or later."
    )
    assert found.get("When to ask") == (expected if told else None)


@pytest.mark.parametrize(
    ("site", "parties", "told"),
    [
        ("24", (), "which facility bills the service (its NPI)"),
        ("24", (Party(PartyRole.RENDERING, npi=PERFORMER),), "which facility bills"),
        (
            "24",
            (Party(PartyRole.FACILITY, npi=PLACE), Party(PartyRole.FACILITY, npi=PERFORMER)),
            "which facility bills",
        ),
        ("24", (Party(PartyRole.FACILITY, npi=PLACE),), "who performs the service"),
        ("11", (), "who performs the service"),
    ],
)
def test_where_a_facility_bills_it_is_what_is_asked_for(
    site: str, parties: tuple[Party, ...], told: str
) -> None:
    item = replace(an_asked_item(), site=Site(SiteKind.PLACE_OF_SERVICE, site))
    foreseen = a_foreseen(Situation.MISSING, missing=(Missing.PERFORMER,))
    found = an_assertion(foreseen, asked=a_submission(item, parties=parties))
    assert told in found.reasons[0].text
    assert found.info_needed == ("performer",)


def test_a_code_of_no_service_is_said_not_to_be_on_the_list() -> None:
    foreseen = a_foreseen(Situation.NOT_WISER, detail="No line carries a code of the model. X.")
    told = _values(an_assertion(foreseen))["About this order"]
    assert told == "This code is not on the WISeR list. X."


@pytest.mark.parametrize(
    ("situation", "told"),
    [
        (Situation.STATE_OUTSIDE, "it reviews Epidural steroid injections"),
        (Situation.DATE_OUTSIDE, "services from 2026-01-15 to 2031-12-31."),
        (Situation.SITE_OUTSIDE, "ambulatory surgical center, office and home."),
        (Situation.DIAGNOSIS_OUTSIDE, "Appendix B, Table B3, of the WISeR Operational Guide."),
    ],
)
def test_what_lies_outside_is_told_in_whole_sentences(situation: Situation, told: str) -> None:
    rules = rules_of("15275") if situation is Situation.DIAGNOSIS_OUTSIDE else rules_of()
    found = an_assertion(a_foreseen(situation, rules=rules, detail="GATE"))
    assert told in found.reasons[1].text
    assert "GATE" not in _texts(found)


@pytest.mark.parametrize("situation", NOT_COVERED)
def test_line_2_0_leaves_open_what_another_payer_wants_and_says_whom_to_ask(
    situation: Situation,
) -> None:
    found = an_assertion(situation, "2.0")
    assert (found.covered, found.pa_needed) == ("not-covered", "conditional")
    assert found.info_needed == ("OTH",)
    assert "sk the " in found.reasons[0].text


def test_a_place_of_the_request_is_not_repeated_unless_it_is_a_code() -> None:
    item = an_asked_item()
    assert item.site is not None
    odd = replace(item, site=replace(item.site, code="<b>11</b>"))
    assert "<b>" not in _texts(an_assertion(Situation.NEEDS_AUTHORIZATION, asked=a_submission(odd)))


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
    assert an_assertion(foreseen, asked=None).billing_codes == expected


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
