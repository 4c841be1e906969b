"""Decisions about lines make the case's own."""

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import UUID

import pytest

from tests.cases import a_case, a_submission
from wiser_fhir.coverage.requested import CPT, Code
from wiser_fhir.priorauth.deciding import Deciding, affirmations, countable, decided_case
from wiser_fhir.priorauth.determination import (
    DecidedBy,
    DecidingClinician,
    Grant,
    ItemDetermination,
    Outcome,
)
from wiser_fhir.priorauth.models import (
    CaseStatus,
    ItemRole,
    ItemStatus,
    PriorAuthorization,
    UtnState,
)

ORGANIZATION = UUID(int=1)
LATE_IN_THE_EVENING = datetime(2026, 12, 2, 3, 30, tzinfo=UTC)  # of December 1 in New York
CLINICIAN = DecidingClinician("1234567893", "207L00000X")


def a_pended_case() -> PriorAuthorization:
    """Two lines, 1 and 2, of one and a half units each."""
    return a_case(a_submission(ORGANIZATION), CaseStatus.IN_REVIEW)


def by_a_clinician(utn: str | None = "ZZB00000000001") -> Deciding:
    return Deciding(LATE_IN_THE_EVENING, DecidedBy.CLINICIAN, 120, utn, CLINICIAN)


def affirm(sequence: int, grant: Grant = Grant()) -> ItemDetermination:  # noqa: B008
    return ItemDetermination(sequence, Outcome.AFFIRMED, grant=grant)


def non_affirm(sequence: int) -> ItemDetermination:
    return ItemDetermination(
        sequence, Outcome.NON_AFFIRMED, "No imaging.", "Send the report.", ("F1",)
    )


@pytest.mark.parametrize(
    ("decisions", "status"),
    [
        ((affirm(1), affirm(2)), CaseStatus.AFFIRMED),
        ((affirm(1), non_affirm(2)), CaseStatus.PARTIALLY_AFFIRMED),
        ((non_affirm(1), non_affirm(2)), CaseStatus.NON_AFFIRMED),
    ],
)
def test_the_case_is_what_its_lines_are(
    decisions: tuple[ItemDetermination, ...], status: CaseStatus
) -> None:
    assert decided_case(a_pended_case(), decisions, by_a_clinician()).status is status


def test_an_affirmation_is_valid_from_its_eastern_day_for_120_days() -> None:
    case = decided_case(a_pended_case(), (affirm(1), affirm(2)), by_a_clinician())
    assert (case.valid_from, case.valid_until) == (date(2026, 12, 1), date(2027, 3, 30))
    assert case.decided_at == LATE_IN_THE_EVENING
    assert (case.utn, case.utn_state) == ("ZZB00000000001", UtnState.ASSIGNED)
    assert case.reviewed_by_person
    assert case.clinician == CLINICIAN


def test_what_is_non_affirmed_is_valid_on_no_day_and_has_a_number() -> None:
    case = decided_case(a_pended_case(), (non_affirm(1), non_affirm(2)), by_a_clinician())
    assert (case.valid_from, case.valid_until) == (None, None)
    assert case.utn == "ZZB00000000001"
    decision = case.items[0].decision
    assert decision is not None
    assert (decision.first_day, decision.last_day) == (None, None)
    assert (decision.rationale, decision.resubmission_steps) == ("No imaging.", "Send the report.")
    assert decision.reasons == ("F1",)


def test_a_number_may_come_later() -> None:
    case = decided_case(a_pended_case(), (affirm(1), affirm(2)), by_a_clinician(utn=None))
    assert (case.utn, case.utn_state) == (None, UtnState.PENDING)


def test_what_is_granted_is_what_was_asked_where_nothing_else_is_said() -> None:
    grant = Grant(Code(CPT, "62323"), Decimal(1), date(2026, 12, 10), date(2026, 12, 20))
    case = decided_case(a_pended_case(), (affirm(1, grant), affirm(2)), by_a_clinician())
    changed, as_asked = (item.decision for item in case.items)
    assert changed is not None
    assert as_asked is not None
    assert (changed.code, changed.quantity) == (Code(CPT, "62323"), Decimal(1))
    assert (changed.first_day, changed.last_day) == (date(2026, 12, 10), date(2026, 12, 20))
    assert (as_asked.code, as_asked.quantity) == (Code(CPT, "77003"), Decimal("1.5"))
    assert (as_asked.first_day, as_asked.last_day) == (date(2026, 12, 1), date(2027, 3, 30))
    assert case.items[0].code == Code(CPT, "62321")


def test_other_lines_stay_as_they_are() -> None:
    case = a_pended_case()
    follows = replace(case.items[1], role=ItemRole.ASSOCIATED, status=ItemStatus.NOT_APPLICABLE)
    case = replace(case, items=(case.items[0], follows))
    assert decided_case(case, (affirm(1),), by_a_clinician()).items[1] == follows


@pytest.mark.parametrize(
    "decisions",
    [(), (affirm(1),), (affirm(1), affirm(2), affirm(3)), (affirm(1), affirm(2), non_affirm(2))],
)
def test_every_undecided_line_is_decided_once(decisions: tuple[ItemDetermination, ...]) -> None:
    with pytest.raises(ValueError, match="every undecided line"):
        decided_case(a_pended_case(), decisions, by_a_clinician())


def test_a_decided_case_is_not_decided_again() -> None:
    decided = a_case(a_submission(ORGANIZATION), CaseStatus.AFFIRMED)
    with pytest.raises(ValueError, match="every undecided line"):
        decided_case(decided, (), by_a_clinician())


def test_software_affirms_every_undecided_line() -> None:
    assert affirmations(a_pended_case()) == (affirm(1), affirm(2))
    software = Deciding(LATE_IN_THE_EVENING, DecidedBy.SOFTWARE, 120, None)
    case = decided_case(a_pended_case(), affirmations(a_pended_case()), software)
    assert not case.reviewed_by_person
    assert case.clinician is None


@pytest.mark.parametrize(
    ("asked", "counted"),
    [(None, None), (Decimal(0), None), (Decimal(-1), None), (Decimal("0.5"), Decimal("0.5"))],
)
def test_units_are_counted_against_a_positive_quantity(
    asked: Decimal | None, counted: Decimal | None
) -> None:
    assert countable(asked) == counted
