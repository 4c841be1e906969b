"""What a determination may say of a case."""

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import UUID

import pytest

from tests.unit.priorauth.wiser_requests import CATALOGUE
from wiser_fhir.coverage.requested import CPT, HCPCS, Code
from wiser_fhir.priorauth.answer import (
    AddedItem,
    AuthorizedProvider,
    CaseAnswer,
    ItemAnswer,
    StatedError,
)
from wiser_fhir.priorauth.determination import Determination, Grant, ItemDetermination, Outcome
from wiser_fhir.priorauth.determination_rules import Standard, determination_problems
from wiser_fhir.priorauth.models import (
    CaseItem,
    CaseStatus,
    ItemRole,
    ItemStatus,
    PriorAuthorization,
)

DECIDED_ON = date(2026, 5, 5)  # the last of its 120 days is 1 September
RULES = CATALOGUE.version("percutaneous-vertebral-augmentation", "2026-01-15")
STANDARD = Standard(CATALOGUE.process, RULES, DECIDED_ON)
PRIMARY = CaseItem(
    sequence=1,
    code=Code(CPT, "22510"),
    role=ItemRole.PRIMARY,
    status=ItemStatus.PENDED,
    date_of_service=date(2026, 5, 20),
    service_end=date(2026, 6, 20),
    quantity=Decimal(3),
)
ADD_ON = replace(PRIMARY, sequence=2, code=Code(CPT, "22512"), role=ItemRole.ADD_ON)
FOLLOWS = replace(
    PRIMARY,
    sequence=3,
    code=Code(CPT, "01935"),
    role=ItemRole.ASSOCIATED,
    status=ItemStatus.NOT_APPLICABLE,
)
GONE = replace(PRIMARY, sequence=4, status=ItemStatus.CANCELLED)
NON_AFFIRMED = ItemDetermination(
    1, Outcome.NON_AFFIRMED, "No imaging of the level.", "Send the imaging report."
)


def case(*items: CaseItem, received: str = "2026-05-04T14:00:00") -> PriorAuthorization:
    at = datetime.fromisoformat(received).replace(tzinfo=UTC)
    return PriorAuthorization(
        id=UUID(int=1),
        organization_id=UUID(int=2),
        status=CaseStatus.IN_REVIEW,
        reference="R00000000000001",
        received_at=at,
        decide_by=at,
        expedited=False,
        items=items or (PRIMARY,),
    )


def affirmed(sequence: int = 1, grant: Grant | None = None) -> ItemDetermination:
    return ItemDetermination(sequence, Outcome.AFFIRMED, grant=grant or Grant())


def non_affirmed(sequence: int) -> ItemDetermination:
    return replace(NON_AFFIRMED, sequence=sequence)


def faults(
    about: PriorAuthorization,
    *decisions: ItemDetermination,
    answer: CaseAnswer | None = None,
    standard: Standard = STANDARD,
) -> list[tuple[str | None, str]]:
    determination = Determination(decisions, answer=answer or CaseAnswer())
    problems = determination_problems(about, determination, standard)
    assert all((p.severity, p.code) == ("error", "business-rule") for p in problems)
    return [(problem.expression, problem.text) for problem in problems]


def where(found: list[tuple[str | None, str]]) -> list[str | None]:
    return [expression for expression, _ in found]


def test_every_undecided_line_is_decided_and_no_other() -> None:
    about = case(PRIMARY, ADD_ON, FOLLOWS, GONE)
    assert faults(about, affirmed(1), affirmed(2)) == []
    assert faults(about, affirmed(1)) == [
        ("items", "Line 2 is undecided: decide every line at once.")
    ]
    assert faults(about, affirmed(1), affirmed(2), affirmed(3), affirmed(4), affirmed(5)) == [
        ("items", "Line 3 is none that there is to decide."),
        ("items", "Line 4 is none that there is to decide."),
        ("items", "Line 5 is none that there is to decide."),
    ]


def test_a_line_is_decided_once() -> None:
    assert faults(case(), affirmed(1), affirmed(1)) == [("items", "Line 1 is decided 2 times.")]


def test_a_determination_of_nothing_leaves_everything_open() -> None:
    assert faults(case(PRIMARY, ADD_ON)) == [
        ("items", "Line 1 is undecided: decide every line at once."),
        ("items", "Line 2 is undecided: decide every line at once."),
    ]


def test_lines_are_decided_differently_from_the_first_of_april_on() -> None:
    about = case(PRIMARY, ADD_ON, received="2026-04-01T04:00:00")
    assert faults(about, affirmed(1), non_affirmed(2)) == []
    before = case(PRIMARY, ADD_ON, received="2026-04-01T03:59:59")
    assert faults(before, affirmed(1), non_affirmed(2)) == [
        ("items", "Lines of one request are decided differently if received from 2026-04-01.")
    ]
    assert faults(before, non_affirmed(1), non_affirmed(2)) == []
    assert faults(before, affirmed(1), affirmed(2)) == []


@pytest.mark.parametrize("nothing", [None, "", "  ", "...", "-"])
def test_a_non_affirmation_says_why_and_how_to_ask_again(nothing: str | None) -> None:
    said = replace(NON_AFFIRMED, rationale=nothing)
    why = "A non-affirmation says everything that is missing or not met."
    assert faults(case(), said) == [("items[0].rationale", why)]
    said = replace(NON_AFFIRMED, resubmission_steps=nothing)
    how = "A non-affirmation says how to ask again."
    assert faults(case(), said) == [("items[0].resubmission_steps", how)]


def test_reasons_can_be_sent() -> None:
    unprintable = "Level \x00 is missing."
    said = replace(NON_AFFIRMED, rationale=unprintable, resubmission_steps=unprintable)
    assert faults(case(), said) == [
        ("items[0].rationale", "This is text that can be printed, and not blank."),
        ("items[0].resubmission_steps", "This is text that can be printed, and not blank."),
    ]
    for nothing in (unprintable, "", " "):
        said = replace(affirmed(), rationale=nothing)
        assert where(faults(case(), said)) == ["items[0].rationale"]
    assert faults(case(), replace(affirmed(), rationale="Criteria 1 to 4 are met.")) == []


@pytest.mark.parametrize("note", ["", " ", "a\x01b"])
def test_a_note_says_something_and_can_be_sent(note: str) -> None:
    said = Determination((affirmed(1),), note)
    problems = determination_problems(case(), said, STANDARD)
    assert [problem.expression for problem in problems] == ["note"]
    assert determination_problems(case(), replace(said, note="Thank you."), STANDARD) == ()


def test_a_non_affirmation_grants_nothing() -> None:
    said = replace(NON_AFFIRMED, grant=Grant(quantity=Decimal(1)))
    assert faults(case(), said) == [("items[0].grant", "What is not affirmed grants nothing.")]


@pytest.mark.parametrize("granted", ["0.5", "1", "3"])
def test_less_may_be_granted_than_was_asked(granted: str) -> None:
    assert faults(case(), affirmed(1, Grant(quantity=Decimal(granted)))) == []


@pytest.mark.parametrize("granted", ["0", "-1", "3.01", "NaN", "Infinity"])
def test_neither_more_than_asked_nor_nothing_is_granted(granted: str) -> None:
    found = faults(case(), affirmed(1, Grant(quantity=Decimal(granted))))
    assert where(found) == ["items[0].grant.quantity"]


def test_where_no_quantity_was_asked_it_was_one() -> None:
    unsaid = replace(PRIMARY, quantity=None)
    assert faults(case(unsaid), affirmed(1, Grant(quantity=Decimal(1)))) == []
    assert faults(case(unsaid), affirmed(1, Grant(quantity=Decimal("1.5")))) == [
        ("items[0].grant.quantity", "Not more than the 1 asked for are granted.")
    ]


@pytest.mark.parametrize(
    ("first", "last"),
    [
        (date(2026, 5, 20), date(2026, 6, 20)),
        (date(2026, 6, 1), date(2026, 6, 1)),
        (date(2026, 6, 1), None),
        (None, date(2026, 6, 1)),
    ],
)
def test_days_are_narrowed(first: date | None, last: date | None) -> None:
    grant = Grant(first_day=first, last_day=last)
    assert faults(case(), affirmed(1, grant)) == []


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [
        (date(2026, 5, 19), None, ["items[0].grant.first_day"]),
        (None, date(2026, 6, 21), ["items[0].grant.last_day"]),
        (date(2026, 6, 21), None, ["items[0].grant.first_day"]),
        (date(2026, 6, 2), date(2026, 6, 1), ["items[0].grant.last_day"]),
    ],
)
def test_days_are_never_moved(first: date | None, last: date | None, expected: list[str]) -> None:
    grant = Grant(first_day=first, last_day=last)
    assert where(faults(case(), affirmed(1, grant))) == expected


@pytest.mark.parametrize(
    ("day", "inside"),
    [
        (date(2026, 5, 4), False),
        (date(2026, 5, 5), True),
        (date(2026, 9, 1), True),
        (date(2026, 9, 2), False),
    ],
)
def test_days_lie_within_the_120_of_the_decision(day: date, inside: bool) -> None:
    open_ended = replace(PRIMARY, date_of_service=None, service_end=None)
    found = faults(case(open_ended), affirmed(1, Grant(first_day=day, last_day=day)))
    both = ["items[0].grant.first_day", "items[0].grant.last_day"]
    assert where(found) == ([] if inside else both)


@pytest.mark.parametrize(
    ("decided_on", "last"),
    [
        (date(2026, 11, 1), date(2027, 2, 28)),
        (date(2027, 11, 2), date(2028, 2, 29)),
        (date(2026, 3, 8), date(2026, 7, 5)),
    ],
)
def test_the_120_days_run_over_year_ends_leap_days_and_moved_clocks(
    decided_on: date, last: date
) -> None:
    assert Standard(CATALOGUE.process, RULES, decided_on).last_day == last


def test_a_line_of_one_day_is_granted_for_that_day() -> None:
    one_day = replace(PRIMARY, service_end=None)
    same = Grant(first_day=date(2026, 5, 20), last_day=date(2026, 5, 20))
    assert faults(case(one_day), affirmed(1, same)) == []
    longer = Grant(last_day=date(2026, 5, 21))
    assert where(faults(case(one_day), affirmed(1, longer))) == ["items[0].grant.last_day"]


@pytest.mark.parametrize("code", [Code(CPT, "22511"), Code(HCPCS, "22513"), PRIMARY.code])
def test_another_primary_code_of_the_service_is_granted(code: Code) -> None:
    assert faults(case(), affirmed(1, Grant(code=code))) == []


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (Code(CPT, "62321"), "The code granted is one of the service asked for."),
        (Code("urn:other", "22511"), "The code granted is one of the service asked for."),
        (Code(CPT, "22515"), "The code granted for this line is a code of the role primary."),
    ],
)
def test_a_code_of_another_service_or_role_is_not(code: Code, text: str) -> None:
    assert faults(case(), affirmed(1, Grant(code=code))) == [("items[0].grant.code", text)]


def test_a_code_is_granted_on_days_it_is_in_effect_on() -> None:
    rules = CATALOGUE.version("hypoglossal-nerve-stimulation", "2026-01-15")
    standard = Standard(CATALOGUE.process, rules, date(2026, 4, 2))
    asked = replace(PRIMARY, code=Code(CPT, "64582"), date_of_service=date(2026, 4, 5))
    grant = Grant(code=Code(HCPCS, "C8007"))
    said = [("items[0].grant.code", "The code granted is not in effect on the date of service.")]
    assert faults(case(asked), affirmed(1, grant), standard=standard) == said
    later = replace(grant, first_day=date(2026, 4, 6))
    assert faults(case(asked), affirmed(1, later), standard=standard) == []


def test_without_rules_no_other_code_can_be_granted() -> None:
    standard = replace(STANDARD, rules=None)
    found = faults(case(), affirmed(1, Grant(code=Code(CPT, "22511"))), standard=standard)
    assert where(found) == ["items[0].grant.code"]
    assert faults(case(PRIMARY, ADD_ON), affirmed(1), affirmed(2), standard=standard) == []


ALONE = "An add-on is affirmed with its primary code only."


def test_an_add_on_is_affirmed_with_its_primary_only() -> None:
    about = case(PRIMARY, ADD_ON)
    assert faults(about, non_affirmed(1), affirmed(2)) == [("items[1].outcome", ALONE)]
    assert faults(about, affirmed(2), non_affirmed(1)) == [("items[0].outcome", ALONE)]
    assert faults(about, affirmed(1), non_affirmed(2)) == []


def test_an_add_on_asked_alone_is_not_affirmed() -> None:
    assert faults(case(ADD_ON), affirmed(2)) == [("items[0].outcome", ALONE)]
    assert faults(case(ADD_ON), non_affirmed(2)) == []


def test_a_primary_of_another_add_on_does_not_carry_it() -> None:
    other = replace(PRIMARY, code=Code(CPT, "22513"))
    assert faults(case(other, ADD_ON), affirmed(1), affirmed(2)) == [("items[1].outcome", ALONE)]


def test_what_is_granted_carries_the_add_on_not_what_was_asked() -> None:
    about = case(PRIMARY, ADD_ON)
    moved = affirmed(1, Grant(code=Code(CPT, "22513")))
    assert faults(about, moved, affirmed(2)) == [("items[1].outcome", ALONE)]
    along = affirmed(2, Grant(code=Code(CPT, "22515")))
    assert faults(about, moved, along) == []


def added(sequence: int = 9, first: date | None = None, last: date | None = None) -> CaseAnswer:
    item = AddedItem(sequence, Code(CPT, "22511"), first_day=first, last_day=last)
    return CaseAnswer(added=(item,))


def test_something_is_added_beside_what_is_affirmed() -> None:
    within = added(first=date(2026, 5, 5), last=date(2026, 9, 1))
    assert faults(case(), affirmed(1), answer=within) == []
    assert where(faults(case(), NON_AFFIRMED, answer=within)) == ["answer.added[0]"]
    asked = added(sequence=1)
    assert where(faults(case(), affirmed(1), answer=asked)) == ["answer.added[0].sequence"]
    beyond = added(first=date(2026, 5, 4), last=date(2026, 9, 2))
    assert where(faults(case(), affirmed(1), answer=beyond)) == [
        "answer.added[0].first_day",
        "answer.added[0].last_day",
    ]


@pytest.mark.parametrize("code", [Code(CPT, "22551"), Code(CPT, "99999")])
def test_nothing_of_another_service_is_added(code: Code) -> None:
    answer = CaseAnswer(added=(AddedItem(9, code),))
    assert faults(case(), affirmed(1), answer=answer) == [
        ("answer.added[0].code", "The code added is one of the service asked for.")
    ]


def test_without_rules_only_what_was_asked_for_is_of_the_service() -> None:
    standard = replace(STANDARD, rules=None)
    asked = CaseAnswer(added=(AddedItem(9, PRIMARY.code),))
    assert faults(case(), affirmed(1), answer=asked, standard=standard) == []
    assert where(faults(case(), affirmed(1), answer=added(), standard=standard)) == [
        "answer.added[0].code"
    ]


def test_a_code_is_added_on_days_it_is_in_effect_on() -> None:
    rules = CATALOGUE.version("hypoglossal-nerve-stimulation", "2026-01-15")
    standard = Standard(CATALOGUE.process, rules, date(2026, 4, 2))
    asked = replace(PRIMARY, code=Code(CPT, "64582"), date_of_service=date(2026, 4, 5))
    unsaid = AddedItem(9, Code(HCPCS, "C8007"))
    said = [("answer.added[0].code", "The code added is not in effect on that day.")]
    for item in (unsaid, replace(unsaid, first_day=date(2026, 4, 5))):
        found = faults(
            case(asked), affirmed(1), answer=CaseAnswer(added=(item,)), standard=standard
        )
        assert found == said
    later = CaseAnswer(added=(replace(unsaid, first_day=date(2026, 4, 6)),))
    assert faults(case(asked), affirmed(1), answer=later, standard=standard) == []


@pytest.mark.parametrize("units", ["0", "0.0001", "10000", "1000000000000"])
def test_what_is_added_has_a_quantity_that_can_be_counted(units: str) -> None:
    item = AddedItem(9, Code(CPT, "22511"), Decimal(units))
    assert faults(case(), affirmed(1), answer=CaseAnswer(added=(item,))) == [
        ("answer.added[0].quantity", "A quantity is more than nothing, and at most 9999.")
    ]
    item = replace(item, quantity=Decimal("1.5"))
    assert faults(case(), affirmed(1), answer=CaseAnswer(added=(item,))) == []


def test_a_provider_named_by_number_has_one_that_can_be_a_number() -> None:
    wrong = (AuthorizedProvider(reference="urn:uuid:1"), AuthorizedProvider(npi="1999990201"))
    answer = CaseAnswer(
        added=(AddedItem(9, Code(CPT, "22511"), answer=ItemAnswer(providers=wrong)),),
        providers=wrong,
    )
    said = replace(affirmed(1), answer=ItemAnswer(providers=wrong))
    assert faults(case(), said, answer=answer) == [
        (f"{place}.providers[1].npi", "This is no NPI.")
        for place in ("answer", "answer.added[0].answer", "items[0].answer")
    ]
    right = CaseAnswer(providers=(AuthorizedProvider(npi="1999990207"),))
    assert faults(case(), affirmed(1), answer=right) == []


UNSEEN = ["\u200b", "\u00ad\u2060", "\u3164", "\u2800", "\u0301", "\ufe0f", "\u2028"]


@pytest.mark.parametrize("nothing", UNSEEN)
def test_what_nobody_sees_says_nothing(nothing: str) -> None:
    said = replace(NON_AFFIRMED, rationale=nothing, resubmission_steps=nothing)
    assert where(faults(case(), said)) == ["items[0].rationale", "items[0].resubmission_steps"]
    assert where(faults(case(), replace(affirmed(), rationale=nothing))) == ["items[0].rationale"]
    determination = Determination((affirmed(1),), nothing)
    problems = determination_problems(case(), determination, STANDARD)
    assert [problem.expression for problem in problems] == ["note"]
    with pytest.raises(ValueError, match="blank"):
        CaseAnswer(notes=(nothing,))


def test_an_error_is_about_a_line_there_is() -> None:
    right = CaseAnswer(errors=(StatedError("33"), StatedError("33", sequence=1)))
    assert faults(case(), affirmed(1), answer=right) == []
    wrong = CaseAnswer(errors=(StatedError("33", sequence=7),))
    assert faults(case(), affirmed(1), answer=wrong) == [
        ("answer.errors[0].sequence", "There is no line 7.")
    ]


def test_everything_wrong_is_told_at_once() -> None:
    about = case(PRIMARY, ADD_ON, received="2026-03-01T12:00:00")
    said = replace(NON_AFFIRMED, rationale=None, resubmission_steps=" ")
    too_many = affirmed(2, Grant(quantity=Decimal(4), last_day=date(2027, 1, 1)))
    assert where(faults(about, said, too_many)) == [
        "items",
        "items[0].rationale",
        "items[0].resubmission_steps",
        "items[1].grant.quantity",
        "items[1].grant.last_day",
        "items[1].grant.last_day",
        "items[1].outcome",
    ]
