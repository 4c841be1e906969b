"""An answer of CRD and the decision on the request that followed: they agree, or it says why."""

from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest

from tests.unit.priorauth.wiser_requests import (
    CATALOGUE,
    FACILITY_NPI,
    MBI,
    OFFICE,
    RECEIVED,
    SERVICE,
    SURGERY_CENTER,
    facility,
    line,
    practitioner,
    request,
)
from wiser_fhir.priorauth.honour import facts_of, honouring
from wiser_fhir.priorauth.ledger import AssertionRecord
from wiser_fhir.priorauth.models import (
    CaseStatus,
    Dismissal,
    DismissalReason,
    PriorAuthorization,
    Submission,
)
from wiser_fhir.priorauth.numbers import time_ordered_uuid
from wiser_fhir.priorauth.situation import Situation

ASKED = request()
SAID = "Coverage information of 2026-05-01 (cai-1) said "
REASONS = {
    Situation.EXEMPT: DismissalReason.EXEMPT_PROVIDER,
    Situation.NOT_WISER: DismissalReason.NON_WISER_SERVICE,
    Situation.STATE_OUTSIDE: DismissalReason.NON_WISER_SERVICE,
    Situation.DATE_OUTSIDE: DismissalReason.NON_WISER_SERVICE,
    Situation.SITE_OUTSIDE: DismissalReason.NON_WISER_SERVICE,
    Situation.DIAGNOSIS_OUTSIDE: DismissalReason.NON_WISER_SERVICE,
    Situation.DELAYED: DismissalReason.NON_WISER_SERVICE,
    Situation.RAILROAD: DismissalReason.NON_WISER_SERVICE,
    Situation.EXCLUDED: DismissalReason.NON_WISER_SERVICE,
    Situation.COVERAGE_ENDED: DismissalReason.NON_WISER_SERVICE,
    Situation.OTHER_MODEL_STATE: DismissalReason.WRONG_PARTICIPANT_OR_MAC,
    Situation.MEDICARE_ADVANTAGE: DismissalReason.MEDICARE_ADVANTAGE_OR_MEDICAID,
    Situation.MEMBER_NOT_FOUND: DismissalReason.INVALID_BENEFICIARY,
    Situation.MEMBER_ENDED: DismissalReason.INVALID_BENEFICIARY,
    Situation.INELIGIBLE: DismissalReason.INELIGIBLE_PROVIDER,
}
TAKEN = (
    *(Situation.NEEDS_AUTHORIZATION, Situation.PENDED, Situation.NON_AFFIRMED),
    Situation.ADD_ON_ALONE,
)
OPEN = (Situation.MISSING, Situation.TECHNICAL)


def an_assertion(situation: Situation, **changes: Any) -> AssertionRecord:
    """What was said of the usual order three days before."""
    whole = AssertionRecord(
        id="cai-1",
        order="ServiceRequest/1",
        coverage="Coverage/1",
        mbi=MBI,
        situation=situation,
        service=SERVICE,
        rules="2026-01-15",
        codes=("64483",),
        asked=facts_of(ASKED, ASKED.items[0]),
        answer={},
        made_at=datetime(2026, 5, 1, 14, 0, tzinfo=UTC),
        expires_on=None,
    )
    return replace(whole, **changes)


def a_case(reason: DismissalReason | None = None) -> PriorAuthorization:
    """What the request came to: dismissed for a reason, else in review."""
    return PriorAuthorization(
        id=time_ordered_uuid(),
        organization_id=ASKED.organization_id,
        status=CaseStatus.DISMISSED if reason else CaseStatus.IN_REVIEW,
        reference="R00000000000001",
        received_at=RECEIVED,
        decide_by=None,
        expedited=False,
        items=(),
        service=None if reason else SERVICE,
        dismissal=Dismissal(reason, "Because.") if reason else None,
    )


def remarks(
    situation: Situation,
    reason: DismissalReason | None = None,
    submission: Submission = ASKED,
    **changes: Any,
) -> tuple[str, ...]:
    """What the answer says of an assertion."""
    assertion = an_assertion(situation, **changes)
    found = honouring(a_case(reason), submission, [assertion], CATALOGUE)
    assert found.assertions == ("cai-1",)
    return found.remarks


def test_every_situation_is_told_of() -> None:
    assert {*REASONS, *TAKEN, *OPEN, Situation.SATISFIED} == set(Situation)


@pytest.mark.parametrize("situation", TAKEN)
@pytest.mark.parametrize("reason", [None, DismissalReason.DUPLICATE])
def test_what_was_asked_for_is_taken(situation: Situation, reason: DismissalReason | None) -> None:
    assert remarks(situation, reason) == ()


@pytest.mark.parametrize("situation", REASONS)
def test_what_needed_none_is_dismissed_for_the_same_reason(situation: Situation) -> None:
    assert remarks(situation, REASONS[situation]) == ()


@pytest.mark.parametrize("situation", OPEN)
@pytest.mark.parametrize("reason", [None, *DismissalReason])
def test_an_open_answer_binds_nobody(situation: Situation, reason: DismissalReason | None) -> None:
    assert remarks(situation, reason) == ()


@pytest.mark.parametrize("situation", [*REASONS, Situation.SATISFIED])
def test_a_request_that_is_taken_all_the_same_says_why(situation: Situation) -> None:
    [remark] = remarks(situation)
    assert remark.startswith(SAID)
    assert " This answer differs: " in remark


@pytest.mark.parametrize("situation", TAKEN)
@pytest.mark.parametrize("reason", sorted(set(DismissalReason) - {DismissalReason.DUPLICATE}))
def test_a_request_that_is_dismissed_all_the_same_says_why(
    situation: Situation, reason: DismissalReason
) -> None:
    [remark] = remarks(situation, reason)
    assert remark.startswith(SAID)


def test_an_authorization_that_was_there_is_no_reason_to_take_none() -> None:
    assert remarks(Situation.SATISFIED, DismissalReason.DUPLICATE) == ()
    [remark] = remarks(Situation.SATISFIED)
    assert remark == (
        f"{SAID}that an authorization is there already."
        " This answer differs: this is a request by itself."
    )


@pytest.mark.parametrize(
    ("submission", "changes", "words"),
    [
        (request(), {}, "the provider is not exempt any more"),
        (request(items=(line("62321"),)), {}, "the code is another"),
        (request(items=(line("64483", system="urn:x"),)), {}, "the code is another"),
        (request(items=(line("64483", day=date(2026, 6, 1)),)), {}, "the date of service is"),
        (request(items=(line("64483", state="OH"),)), {}, "the state of the service is another"),
        (request(items=(line("64483", site=SURGERY_CENTER),)), {}, "the place of service is"),
        (request(parties=(facility(),)), {}, "the provider is another"),
        (request(diagnoses=("M54.12",)), {}, "the diagnosis is another"),
        (request(), {"expires_on": date(2026, 5, 3)}, "that held until 2026-05-03"),
        (request(), {"rules": "2026-01-05"}, "the rules of 2026-01-15 are in force now"),
    ],
)
def test_the_remark_names_what_changed(
    submission: Submission, changes: dict[str, Any], words: str
) -> None:
    [remark] = remarks(Situation.EXEMPT, None, submission, **changes)
    assert words in remark
    assert remark.startswith(f"{SAID}that the provider is exempt. This answer differs: ")
    assert ";" not in remark


def test_several_changes_are_all_named() -> None:
    [remark] = remarks(
        Situation.EXEMPT, None, request(items=(line("64483", state="OH", day=date(2026, 6, 1)),))
    )
    assert "the date of service is another; the state of the service is another." in remark


@pytest.mark.parametrize(
    ("submission", "changes"),
    [
        (request(items=(line("64483", day=None, state=None, site=None),)), {}),
        (request(parties=(), diagnoses=()), {}),
        (request(parties=(practitioner(), facility())), {}),
        (request(beneficiary=replace(ASKED.beneficiary, mbi=None)), {}),
        (request(), {"mbi": None, "rules": None, "asked": {}}),
        (request(), {"service": None, "rules": None}),
        (request(), {"service": "unheard-of"}),
        (request(), {"expires_on": date(2026, 5, 4)}),
    ],
)
def test_what_one_side_does_not_tell_has_not_changed(
    submission: Submission, changes: dict[str, Any]
) -> None:
    [remark] = remarks(Situation.EXEMPT, None, submission, **changes)
    assert remark.endswith("the provider is not exempt any more.")


def test_where_the_records_changed_that_is_said() -> None:
    [remark] = remarks(Situation.NEEDS_AUTHORIZATION, DismissalReason.EXEMPT_PROVIDER)
    assert remark.endswith("the provider is exempt now.")
    [remark] = remarks(Situation.EXEMPT, DismissalReason.INELIGIBLE_PROVIDER)
    assert remark.endswith("it rests on what the request and the records tell now.")


def test_of_several_lines_the_one_with_the_code_is_compared() -> None:
    lines = (line("99213", state="CA"), line("64483", sequence=2))
    [remark] = remarks(Situation.EXEMPT, None, request(items=lines))
    assert "state" not in remark


def test_each_assertion_is_kept_and_a_remark_said_once() -> None:
    both = [
        an_assertion(Situation.EXEMPT),
        an_assertion(Situation.EXEMPT),
        an_assertion(Situation.MISSING, id="cai-2"),
    ]
    found = honouring(a_case(), ASKED, both, CATALOGUE)
    assert found.assertions == ("cai-1", "cai-1", "cai-2")
    assert len(found.remarks) == 1


def test_an_answer_about_another_beneficiary_is_none() -> None:
    theirs = an_assertion(Situation.EXEMPT, id="cai-2", mbi="9XX9XX9XX94")
    found = honouring(a_case(), ASKED, [theirs, an_assertion(Situation.MISSING)], CATALOGUE)
    assert (found.assertions, found.remarks) == (("cai-1",), ())


def test_the_facts_of_a_line() -> None:
    bare = request(items=(line("64483", day=None, state=None, site=None),), parties=())
    assert facts_of(ASKED, ASKED.items[0]) == {
        "date": "2026-05-20",
        "state": "NJ",
        "site": f"{OFFICE.kind}:11",
        "performers": ["1234567893"],
        "diagnoses": ["M54.16"],
    }
    assert facts_of(bare, bare.items[0]) == {
        "date": None,
        "state": None,
        "site": None,
        "performers": [],
        "diagnoses": ["M54.16"],
    }
    both = request(parties=(practitioner(), facility()))
    assert facts_of(both, both.items[0])["performers"] == ["1234567893", FACILITY_NPI]
