"""Who may add to a case, and who may decide one."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from uuid import UUID

import pytest

from wiser_fhir.auth.people import Reviewer
from wiser_fhir.errors import Forbidden
from wiser_fhir.priorauth.deciders import Interests, check_may_contribute, check_may_decide

SENDER = UUID(int=1)
TODAY = date(2026, 4, 8)
CASE = Interests(SENDER, frozenset({"1234567893", "1987654329"}))
CLINICIAN = Reviewer(
    person_id=UUID(int=9),
    name="Dr. Reviewer",
    roles=frozenset({"clinician"}),
    npi="1245319599",
    specialty="207X00000X",
    organizations=frozenset(),
    licence_expires=TODAY,
)
COORDINATOR = replace(CLINICIAN, roles=frozenset({"coordinator"}), licence_expires=None)
AUDITOR = replace(CLINICIAN, roles=frozenset({"auditor"}))


def refusal(check: Callable[..., None], *facts: object) -> str:
    with pytest.raises(Forbidden) as refused:
        check(*facts)
    return str(refused.value)


def test_a_clinician_decides_up_to_the_last_day_of_the_licence() -> None:
    check_may_decide(CLINICIAN, TODAY)
    said = refusal(check_may_decide, CLINICIAN, date(2026, 4, 9))
    assert said == "The licence of this clinician is not in force."


def test_a_clinician_without_a_licence_decides_nothing() -> None:
    unlicensed = replace(CLINICIAN, licence_expires=None)
    said = refusal(check_may_decide, unlicensed, TODAY)
    assert said == "The licence of this clinician is not in force."


@pytest.mark.parametrize("other", [COORDINATOR, AUDITOR])
def test_nobody_else_decides(other: Reviewer) -> None:
    assert refusal(check_may_decide, other, TODAY) == "Only a clinician decides."


def test_everybody_but_an_auditor_adds_to_a_case() -> None:
    check_may_contribute(CLINICIAN)
    check_may_contribute(COORDINATOR)
    said = refusal(check_may_contribute, AUDITOR)
    assert said == "Only clinicians and coordinators add to cases."
    check_may_contribute(replace(AUDITOR, roles=frozenset({"auditor", "coordinator"})))


@pytest.mark.parametrize(
    ("who", "npis"),
    [
        pytest.param(
            replace(CLINICIAN, organizations=frozenset({SENDER})), frozenset(), id="of the sender"
        ),
        pytest.param(replace(CLINICIAN, npi="1987654329"), frozenset(), id="a party"),
        pytest.param(CLINICIAN, frozenset({"1234567893"}), id="of a party's organization"),
    ],
)
def test_a_case_touches_those_who_belong_to_it(who: Reviewer, npis: frozenset[str]) -> None:
    assert CASE.touch(who, npis)


@pytest.mark.parametrize("npi", ["1245319599", None])
def test_a_case_does_not_touch_others(npi: str | None) -> None:
    other = replace(CLINICIAN, npi=npi, organizations=frozenset({UUID(int=2)}))
    assert not CASE.touch(other, frozenset({"1112223338"}))
    assert not Interests(SENDER, frozenset()).touch(other, frozenset())
