"""A clinician decides a case, once, and everything that follows from it is there."""

from datetime import date, timedelta
from decimal import Decimal

import orjson
import pytest
from sqlalchemy import insert, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.cases import ORDERING_NPI, RECEIVED, RENDERING_NPI, a_submission
from tests.clocks import StillClock
from tests.database import MakeCase, MakeOrganization
from tests.reviewing import (
    NOW,
    SERVICE,
    MakePerson,
    NumbersInTurn,
    a_desk,
    affirm,
    by,
    determination,
    history,
    non_affirm,
    raced,
    rows,
    sent_again,
    stored,
)
from wiser_fhir.auth.people import Reviewer
from wiser_fhir.db.base import case_party
from wiser_fhir.db.engine import transaction
from wiser_fhir.errors import Conflict, Forbidden, NotFound, ProfileViolation, Unavailable
from wiser_fhir.priorauth.desk import AlreadyDetermined
from wiser_fhir.priorauth.keeping import locked
from wiser_fhir.priorauth.models import (
    CaseStatus,
    Party,
    PartyRole,
    PriorAuthorization,
    UtnState,
)
from wiser_fhir.priorauth.review import ReviewService

AFFIRMED = determination(affirm(1), affirm(2))
PARTLY = determination(affirm(1), non_affirm(2))


async def names(engine: AsyncEngine, case: PriorAuthorization, npi: str) -> None:
    """The case comes to name somebody, in a transaction that holds its row."""
    async with transaction(engine, case.organization_id) as db:
        await locked(db, case.id)
        await db.execute(
            insert(case_party).values(
                organization_id=case.organization_id,
                case_id=case.id,
                position=9,
                role=PartyRole.RENDERING,
                npi=npi,
            )
        )


async def changed(superuser: AsyncEngine, who: Reviewer, change: str) -> None:
    """What the list says of a person changes after their token was looked up."""
    async with superuser.begin() as db:
        statement = f"update person set {change} where id = :id"  # noqa: S608
        await db.execute(text(statement), {"id": who.person_id})


async def test_an_affirmation_gives_a_number_and_120_days(
    review: ReviewService,
    app_engine: AsyncEngine,
    pended: PriorAuthorization,
    clinician: Reviewer,
) -> None:
    given = await review.determine(by(clinician), pended.id, 1, AFFIRMED)
    kept = await stored(app_engine, pended)
    assert kept == given
    assert (kept.status, kept.utn_state) == (CaseStatus.AFFIRMED, UtnState.ASSIGNED)
    assert (kept.valid_from, kept.valid_until) == (date(2026, 4, 7), date(2026, 8, 4))
    assert kept.reviewed_by_person
    assert kept.decided_at == NOW


async def test_a_partial_one_says_why_line_by_line(
    review: ReviewService,
    app_engine: AsyncEngine,
    pended: PriorAuthorization,
    clinician: Reviewer,
) -> None:
    await review.determine(by(clinician), pended.id, 1, PARTLY)
    kept = await stored(app_engine, pended)
    assert kept.status is CaseStatus.PARTIALLY_AFFIRMED
    first, second = (item.decision for item in kept.items)
    assert first is not None
    assert second is not None
    assert (first.first_day, first.last_day) == (date(2026, 4, 7), date(2026, 8, 4))
    assert second.rationale == "Four weeks of conservative care are not documented."
    assert second.resubmission_steps == "Send the notes of the physical therapy."
    assert (second.first_day, second.reasons) == (None, ("0M",))


async def test_a_non_affirmation_has_a_number_and_no_days(
    review: ReviewService,
    app_engine: AsyncEngine,
    pended: PriorAuthorization,
    clinician: Reviewer,
) -> None:
    said = determination(non_affirm(1), non_affirm(2))
    await review.determine(by(clinician), pended.id, 1, said)
    kept = await stored(app_engine, pended)
    assert kept.status is CaseStatus.NON_AFFIRMED
    assert kept.utn is not None
    assert kept.valid_until is None


async def test_a_grant_narrows_what_was_asked(
    review: ReviewService,
    app_engine: AsyncEngine,
    pended: PriorAuthorization,
    clinician: Reviewer,
) -> None:
    day = date(2026, 4, 20)
    less = affirm(1, quantity=Decimal(1), first_day=day, last_day=day)
    await review.determine(by(clinician), pended.id, 1, determination(less, affirm(2)))
    decision = (await stored(app_engine, pended)).items[0].decision
    assert decision is not None
    assert (decision.quantity, decision.first_day, decision.last_day) == (Decimal(1), day, day)


async def test_it_leaves_answer_letter_history_and_trail(
    review: ReviewService,
    superuser_engine: AsyncEngine,
    pended: PriorAuthorization,
    clinician: Reviewer,
) -> None:
    said = determination(affirm(1), non_affirm(2), note="Call us with questions.")
    await review.determine(by(clinician), pended.id, 1, said)
    letters = "select kind, recipient, revision, state from letter where case_id = :case"
    assert await rows(superuser_engine, letters, pended.id) == [
        ("determination-copy", "beneficiary", 1, "queued")
    ]
    assert await history(superuser_engine, pended.id) == [
        ("determined", clinician.person_id, "Call us with questions.")
    ]
    trail = (
        "select action, outcome, person_id, patient is not null from audit_event"
        " where object_id = cast(:case as uuid)::text and person_id is not null order by id"
    )
    assert await rows(superuser_engine, trail, pended.id) == [
        ("gate.case-organization", "found", clinician.person_id, False),
        ("case.determined", "partially-affirmed", clinician.person_id, True),
    ]
    file = await review.case_file(by(clinician), pended.id)
    answers = [each for each in file.messages if each.direction == "out"]
    assert len(answers) == 2
    _, body = await review.message(by(clinician), pended.id, answers[-1].id)
    answer = orjson.loads(body)
    assert answer["status"] == "partially-affirmed"
    assert answer["notes"] == ["Call us with questions."]


async def test_a_second_decision_finds_the_first(
    review: ReviewService, pended: PriorAuthorization, clinician: Reviewer
) -> None:
    await review.determine(by(clinician), pended.id, 1, AFFIRMED)
    with pytest.raises(AlreadyDetermined, match="decided already"):
        await review.determine(by(clinician), pended.id, 1, PARTLY)


async def test_two_decisions_at_once_end_in_one_and_a_conflict(
    review: ReviewService,
    app_engine: AsyncEngine,
    superuser_engine: AsyncEngine,
    pended: PriorAuthorization,
    make_person: MakePerson,
) -> None:
    one, other = await make_person(), await make_person()
    results = await raced(
        app_engine,
        superuser_engine,
        pended,
        review.determine(by(one), pended.id, 1, AFFIRMED),
        review.determine(by(other), pended.id, 1, PARTLY),
    )
    refused = [each for each in results if isinstance(each, AlreadyDetermined)]
    decided = [each for each in results if isinstance(each, PriorAuthorization)]
    assert (len(refused), len(decided)) == (1, 1)
    assert await stored(app_engine, pended) == decided[0]
    count = "select count(*), count(distinct clinician_id) from determination where case_id = :case"
    assert await rows(superuser_engine, count, pended.id) == [(2, 1)]
    for table in ("utn", "letter", "case_event"):
        query = f"select count(*) from {table} where case_id = :case"  # noqa: S608
        assert await rows(superuser_engine, query, pended.id) == [(1,)]


@pytest.mark.parametrize("cancels", [False, True], ids=["an update", "a cancel"])
async def test_a_decision_behind_the_provider_finds_the_request_changed(
    review: ReviewService,
    app_engine: AsyncEngine,
    superuser_engine: AsyncEngine,
    pended: PriorAuthorization,
    clinician: Reviewer,
    cancels: bool,
) -> None:
    kept, refused = await raced(
        app_engine,
        superuser_engine,
        pended,
        sent_again(app_engine, pended, cancels=cancels),
        review.determine(by(clinician), pended.id, 1, AFFIRMED),
    )
    assert kept is None
    assert isinstance(refused, Conflict)
    case = await stored(app_engine, pended)
    assert case.status is (CaseStatus.CANCELLED if cancels else CaseStatus.IN_REVIEW)
    count = "select count(*) from determination where case_id = :case"
    assert await rows(superuser_engine, count, pended.id) == [(0,)]


@pytest.mark.parametrize(
    ("cancels", "number"),
    [(False, "assigned"), (True, "superseded")],
    ids=["an update", "a cancel"],
)
async def test_a_decision_before_the_provider_stands_as_that_of_its_revision(
    review: ReviewService,
    app_engine: AsyncEngine,
    superuser_engine: AsyncEngine,
    pended: PriorAuthorization,
    clinician: Reviewer,
    cancels: bool,
    number: str,
) -> None:
    given, kept = await raced(
        app_engine,
        superuser_engine,
        pended,
        review.determine(by(clinician), pended.id, 1, AFFIRMED),
        sent_again(app_engine, pended, cancels=cancels),
    )
    assert isinstance(given, PriorAuthorization)
    assert kept is None
    assert (await stored(app_engine, pended)).revision == 2
    decided = "select revision, count(*) from determination where case_id = :case group by revision"
    assert await rows(superuser_engine, decided, pended.id) == [(1, 2)]
    numbers = "select utn, state from utn where case_id = :case"
    assert await rows(superuser_engine, numbers, pended.id) == [(given.utn, number)]


async def test_a_decision_on_what_was_looked_at_before_an_update_is_refused(
    review: ReviewService,
    app_engine: AsyncEngine,
    pended: PriorAuthorization,
    clinician: Reviewer,
) -> None:
    await sent_again(app_engine, pended)
    with pytest.raises(Conflict, match="revision 2 now"):
        await review.determine(by(clinician), pended.id, 1, AFFIRMED)
    given = await review.determine(by(clinician), pended.id, 2, AFFIRMED)
    assert (given.status, given.revision) == (CaseStatus.AFFIRMED, 2)


async def test_what_was_cancelled_is_not_decided(
    review: ReviewService,
    app_engine: AsyncEngine,
    pended: PriorAuthorization,
    clinician: Reviewer,
) -> None:
    await sent_again(app_engine, pended, cancels=True)
    with pytest.raises(Conflict, match="is cancelled"):
        await review.determine(by(clinician), pended.id, 2, AFFIRMED)


async def test_what_was_dismissed_is_not_decided(
    review: ReviewService, make_case: MakeCase, clinician: Reviewer
) -> None:
    case = await make_case(CaseStatus.DISMISSED, service=None, rules=None)
    with pytest.raises(Conflict, match="is dismissed"):
        await review.determine(by(clinician), case.id, 1, AFFIRMED)


@pytest.mark.parametrize("role", ["coordinator", "auditor"])
async def test_only_a_clinician_decides(
    review: ReviewService, pended: PriorAuthorization, make_person: MakePerson, role: str
) -> None:
    person = await make_person(roles=(role,))
    with pytest.raises(Forbidden, match="Only a clinician"):
        await review.determine(by(person), pended.id, 1, AFFIRMED)


async def test_a_licence_that_has_ended_decides_nothing(
    review: ReviewService,
    pended: PriorAuthorization,
    make_person: MakePerson,
    now: StillClock,
) -> None:
    person = await make_person(licence_expires=date(2026, 4, 7))
    now.now = RECEIVED + timedelta(days=1)
    with pytest.raises(Forbidden, match="licence"):
        await review.determine(by(person), pended.id, 1, AFFIRMED)


@pytest.mark.parametrize(
    "change",
    ["licence_expires = date '2026-01-01'", "roles = '{coordinator}'"],
)
async def test_a_person_whose_token_is_older_than_the_change_is_refused_by_the_database(
    review: ReviewService,
    superuser_engine: AsyncEngine,
    app_engine: AsyncEngine,
    pended: PriorAuthorization,
    clinician: Reviewer,
    change: str,
) -> None:
    await changed(superuser_engine, clinician, change)
    with pytest.raises(Forbidden, match="licence of this clinician"):
        await review.determine(by(clinician), pended.id, 1, AFFIRMED)
    assert (await stored(app_engine, pended)).status is CaseStatus.IN_REVIEW


async def test_who_is_out_of_service_finds_nothing(
    review: ReviewService,
    superuser_engine: AsyncEngine,
    pended: PriorAuthorization,
    clinician: Reviewer,
) -> None:
    await changed(superuser_engine, clinician, "active = false")
    with pytest.raises(NotFound):
        await review.determine(by(clinician), pended.id, 1, AFFIRMED)


async def test_nobody_finds_a_case_of_their_own_organization(
    review: ReviewService, pended: PriorAuthorization, make_person: MakePerson
) -> None:
    insider = await make_person(organizations=[pended.organization_id])
    with pytest.raises(NotFound):
        await review.determine(by(insider), pended.id, 1, AFFIRMED)


async def test_nobody_finds_a_case_they_are_a_party_of(
    review: ReviewService,
    pended: PriorAuthorization,
    make_person: MakePerson,
    make_organization: MakeOrganization,
) -> None:
    by_number = await make_person(npi=RENDERING_NPI)
    practice = await make_organization(
        "Practice", kind="provider", acts_for="named", npis=(ORDERING_NPI,)
    )
    by_practice = await make_person(organizations=[practice])
    for insider in (by_number, by_practice):
        with pytest.raises(NotFound):
            await review.determine(by(insider), pended.id, 1, AFFIRMED)


async def test_who_became_a_party_meanwhile_is_refused_by_the_database(
    review: ReviewService,
    app_engine: AsyncEngine,
    superuser_engine: AsyncEngine,
    pended: PriorAuthorization,
    make_person: MakePerson,
) -> None:
    person = await make_person(npi="1245319599")
    _, refused = await raced(
        app_engine,
        superuser_engine,
        pended,
        names(app_engine, pended, "1245319599"),
        review.determine(by(person), pended.id, 1, AFFIRMED),
    )
    assert isinstance(refused, Forbidden)
    assert str(refused) == "Nobody decides a case of an organization they belong to."


async def test_there_is_no_case_of_another_number(
    review: ReviewService, clinician: Reviewer
) -> None:
    with pytest.raises(NotFound):
        await review.determine(by(clinician), clinician.person_id, 1, AFFIRMED)


async def test_everything_wrong_with_a_determination_is_told(
    review: ReviewService,
    app_engine: AsyncEngine,
    pended: PriorAuthorization,
    clinician: Reviewer,
) -> None:
    said = determination(non_affirm(1), affirm(2, quantity=Decimal(9)))
    with pytest.raises(ProfileViolation) as refused:
        await review.determine(by(clinician), pended.id, 1, said)
    assert [problem.expression for problem in refused.value.problems] == [
        "items[1].grant.quantity",
        "items[1].outcome",
    ]
    assert (await stored(app_engine, pended)).status is CaseStatus.IN_REVIEW


async def test_of_a_request_from_before_april_lines_are_not_decided_differently(
    review: ReviewService,
    make_case: MakeCase,
    make_organization: MakeOrganization,
    clinician: Reviewer,
) -> None:
    early = a_submission(await make_organization(), received_at=RECEIVED - timedelta(days=10))
    case = await make_case(CaseStatus.IN_REVIEW, submission=early, **SERVICE)
    with pytest.raises(ProfileViolation) as refused:
        await review.determine(by(clinician), case.id, 1, PARTLY)
    assert [problem.text for problem in refused.value.problems] == [
        "Lines of one request are decided differently if received from 2026-04-01."
    ]


async def test_a_number_given_before_is_not_given_again(
    app_engine: AsyncEngine,
    now: StillClock,
    make_case: MakeCase,
    clinician: Reviewer,
) -> None:
    taken = (await make_case()).utn
    assert taken is not None
    case = await make_case(CaseStatus.IN_REVIEW, **SERVICE)
    review = ReviewService(a_desk(app_engine, now, NumbersInTurn([taken, "ZZB00000000077"])))
    given = await review.determine(by(clinician), case.id, 1, AFFIRMED)
    assert given.utn == "ZZB00000000077"


async def test_without_a_free_number_nothing_is_decided(
    app_engine: AsyncEngine,
    now: StillClock,
    make_case: MakeCase,
    clinician: Reviewer,
) -> None:
    taken = (await make_case()).utn
    assert taken is not None
    case = await make_case(CaseStatus.IN_REVIEW, **SERVICE)
    review = ReviewService(a_desk(app_engine, now, NumbersInTurn([taken])))
    with pytest.raises(Unavailable, match="No free number"):
        await review.determine(by(clinician), case.id, 1, AFFIRMED)
    assert (await stored(app_engine, case)).status is CaseStatus.IN_REVIEW


@pytest.mark.parametrize(("ccn", "letter"), [("310001", "A"), (None, "B")])
async def test_a_hospital_outpatient_department_gets_a_number_of_part_a(
    review: ReviewService,
    make_case: MakeCase,
    make_organization: MakeOrganization,
    clinician: Reviewer,
    ccn: str | None,
    letter: str,
) -> None:
    asked = a_submission(await make_organization(), parties=(Party(PartyRole.FACILITY, ccn=ccn),))
    case = await make_case(CaseStatus.IN_REVIEW, submission=asked, **SERVICE)
    given = await review.determine(by(clinician), case.id, 1, AFFIRMED)
    assert given.utn is not None
    assert given.utn[2] == letter


async def test_a_number_of_another_shape_decides_nothing(
    app_engine: AsyncEngine, now: StillClock, pended: PriorAuthorization, clinician: Reviewer
) -> None:
    review = ReviewService(a_desk(app_engine, now, NumbersInTurn(["ZZ-1"])))
    with pytest.raises(IntegrityError, match="ck_utn_format"):
        await review.determine(by(clinician), pended.id, 1, AFFIRMED)
    assert (await stored(app_engine, pended)).status is CaseStatus.IN_REVIEW
