"""What the database refuses of a case's life after its first answer: direct SQL as wiser_app."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.cases import ORDERING_NPI, RENDERING_NPI, a_submission, an_item, following
from tests.database import MakeCase, MakeOrganization
from tests.reviewing import MakePerson, insert_person
from tests.vaults import A_SEALED_SQL
from wiser_fhir.auth.people import Reviewer
from wiser_fhir.db.engine import transaction
from wiser_fhir.priorauth.models import (
    CaseStatus,
    Party,
    PartyRole,
    PriorAuthorization,
    RequestKind,
)
from wiser_fhir.priorauth.numbers import time_ordered_uuid

DETERMINE = f"""
insert into determination (organization_id, case_id, sequence, revision, outcome, decided_at,
    decided_by, clinician_id, rationale, resubmission_steps, input_sha256, mac, signed_in_at)
values (:organization_id, :case_id, 1, :revision, :outcome, '2026-04-07 20:00+00', :decided_by,
    :person_id, {A_SEALED_SQL}, {A_SEALED_SQL},
    decode(repeat('00', 32), 'hex'), decode(repeat('00', 32), 'hex'), '2026-04-07 19:50+00')
"""  # noqa: S608
DECIDE_ITEM = """
update case_item set status = :outcome, revision = :revision
where case_id = :case_id and sequence = 1
"""
DECIDE_CASE = """
update prior_auth_case set status = :outcome, decided_at = '2026-04-07 20:00+00',
    valid_from = case :outcome when 'affirmed' then date '2026-04-07' end,
    valid_until = case :outcome when 'affirmed' then date '2026-08-04' end
where id = :case_id
"""
ORDER = """
insert into utn (organization_id, case_id, revision, source, state, requested_at, valid_from,
    valid_until)
values (:organization_id, :case_id, :revision, 'local', 'pending', '2026-04-07 20:00+00',
    case :outcome when 'affirmed' then date '2026-04-07' end,
    case :outcome when 'affirmed' then date '2026-08-04' end)
"""
NON_AFFIRM = (DETERMINE, DECIDE_ITEM, DECIDE_CASE, ORDER)
SUPERSEDE = "update utn set state = 'superseded', ended_at = now() where case_id = :case_id"
REOPEN = (
    "update case_item set status = 'pended', revision = 2 where case_id = :case_id",
    "update prior_auth_case set status = 'in-review', revision = 2, decided_at = null,"
    " valid_from = null, valid_until = null where id = :case_id",
)
CANCEL = (
    "update case_item set status = 'cancelled', revision = 2 where case_id = :case_id",
    "update prior_auth_case set status = 'cancelled', revision = 2 where id = :case_id",
)
ASK = f"""
insert into information_request (organization_id, id, case_id, revision, kind, asked_at, due_at,
    wanted)
values (:organization_id, :id, :case_id, 1, 'documents', now(), now(), {A_SEALED_SQL})
"""  # noqa: S608
TALK = f"""
insert into peer_to_peer (organization_id, id, case_id, asked_at, slots, contact, specialty)
values (:organization_id, :id, :case_id, now(), array[timestamptz '2026-04-08 10:00+00',
    timestamptz '2026-04-08 12:00+00', timestamptz '2026-04-09 12:00+00'], {A_SEALED_SQL},
    '208100000X')
"""  # noqa: S608
SCHEDULE = """
update peer_to_peer set state = 'scheduled', clinician_id = :person_id,
    scheduled_at = '2026-04-08 12:00+00' where case_id = :case_id
"""
EVENT = """
insert into case_event (organization_id, id, case_id, revision, at, kind)
values (:organization_id, :id, :case_id, 1, now(), 'noted')
"""
LETTER = """
insert into letter (organization_id, id, case_id, revision, kind, recipient, created_at)
values (:organization_id, :id, :case_id, 1, 'determination-copy', 'provider', now())
"""


@pytest.fixture
def make_person(superuser_engine: AsyncEngine, clean_database: None) -> MakePerson:
    """Commits a clinician, or whom the facts say."""

    async def make(**facts: object) -> Reviewer:
        async with superuser_engine.begin() as connection:
            return await insert_person(connection, **facts)

    return make


@pytest.fixture
async def clinician(make_person: MakePerson) -> Reviewer:
    """A clinician who belongs to nobody."""
    return await make_person()


@pytest.fixture
async def pended(make_case: MakeCase, make_organization: MakeOrganization) -> PriorAuthorization:
    """A case in review with one line."""
    return await make_case(
        CaseStatus.IN_REVIEW,
        submission=a_submission(await make_organization(), items=(an_item(1, "62321"),)),
    )


@pytest.fixture
async def resubmitted(
    make_case: MakeCase, make_organization: MakeOrganization
) -> PriorAuthorization:
    """One that follows a case that was not affirmed."""
    asked = a_submission(
        await make_organization(), kind=RequestKind.RESUBMISSION, items=(an_item(1, "62321"),)
    )
    return await make_case(CaseStatus.IN_REVIEW, submission=asked)


async def run(
    engine: AsyncEngine,
    case: PriorAuthorization,
    *steps: str,
    person: Reviewer | None = None,
    **changes: Any,
) -> None:
    """Run statements as the application, in one transaction of the case's organization."""
    values = {
        "organization_id": case.organization_id,
        "case_id": case.id,
        "person_id": person.person_id if person else None,
        "revision": 1,
        "outcome": "non-affirmed",
        "decided_by": "clinician",
        **changes,
    }
    async with transaction(engine, case.organization_id) as connection:
        for step in steps:
            statement = text(step.replace(":outcome", "cast(:outcome as text)"))
            known = {**values, "id": time_ordered_uuid()}
            used = {k: v for k, v in known.items() if k in statement.compile().params}
            await connection.execute(statement, used)


@asynccontextmanager
async def refused(by: str) -> AsyncIterator[None]:
    """The database refuses, naming this constraint (or saying this)."""
    with pytest.raises(DBAPIError) as error:
        yield
    cause = error.value.orig.__cause__ if error.value.orig else None
    assert by in (getattr(cause, "constraint_name", None), str(cause))


async def test_a_clinician_of_nobodys_decides(
    app_engine: AsyncEngine, pended: PriorAuthorization, clinician: Reviewer
) -> None:
    await run(app_engine, pended, *NON_AFFIRM, person=clinician)


async def test_somebody_with_a_licence_and_without_the_role_does_not(
    app_engine: AsyncEngine, pended: PriorAuthorization, make_person: MakePerson
) -> None:
    other = await make_person(
        roles=("coordinator",),
        licence_number="1",
        licence_state="NJ",
        licence_expires=date(2099, 12, 31),
    )
    async with refused("determination_live_licence"):
        await run(app_engine, pended, DETERMINE, person=other)


@pytest.mark.parametrize("outcome", ["affirmed", "non-affirmed"])
async def test_nobody_decides_for_those_they_belong_to(
    app_engine: AsyncEngine,
    pended: PriorAuthorization,
    make_person: MakePerson,
    make_organization: MakeOrganization,
    outcome: str,
) -> None:
    practice = await make_organization(
        "Practice", kind="provider", acts_for="named", npis=("1679576722", ORDERING_NPI)
    )
    for insider in (
        await make_person(organizations=[pended.organization_id]),
        await make_person(npi=RENDERING_NPI),
        await make_person(organizations=[practice]),
    ):
        async with refused("determination_by_an_outsider"):
            await run(app_engine, pended, DETERMINE, person=insider, outcome=outcome)


async def test_nobody_decides_what_follows_a_case_of_those_they_belong_to(
    app_engine: AsyncEngine,
    make_case: MakeCase,
    make_person: MakePerson,
    make_organization: MakeOrganization,
    clinician: Reviewer,
) -> None:
    clinic = await make_organization("Clinic", "provider", "own", ("1999000213",))
    parties = (Party(PartyRole.RENDERING, "Dr. C", "1999000221"),)
    first = a_submission(clinic, parties=parties, items=(an_item(1, "62321"),))
    second = following(first, await make_case(submission=first), await make_organization())
    third = following(second, await make_case(submission=second), second.organization_id)
    case = await make_case(
        CaseStatus.IN_REVIEW, submission=replace(third, items=(an_item(1, "62321"),))
    )
    for insider in (
        await make_person(organizations=[clinic]),
        await make_person(npi="1999000221"),
    ):
        async with refused("determination_by_an_outsider"):
            await run(app_engine, case, *NON_AFFIRM, person=insider)
    await run(app_engine, case, *NON_AFFIRM, person=clinician)


async def test_a_determination_is_of_the_present_revision(
    app_engine: AsyncEngine, pended: PriorAuthorization, clinician: Reviewer
) -> None:
    ahead: dict[str, Any] = {"revision": 2, "outcome": "affirmed"}
    async with refused("determination_of_this_revision"):
        await run(app_engine, pended, DETERMINE, person=clinician, **ahead)
    async with refused("determination_of_this_revision"):
        await run(app_engine, pended, DETERMINE, decided_by="software", **ahead)


async def test_software_does_not_affirm_what_a_clinician_has_not(
    app_engine: AsyncEngine, pended: PriorAuthorization, clinician: Reviewer
) -> None:
    await run(app_engine, pended, *NON_AFFIRM, person=clinician)
    async with refused("determination_over_a_clinicians"):
        await run(
            app_engine, pended, DETERMINE, revision=2, decided_by="software", outcome="affirmed"
        )


@pytest.mark.parametrize(
    ("columns", "constraint"),
    [
        ("first_day, last_day) values (date '2026-04-09', date '2026-04-08'", "days"),
        ("quantity) values (0", "quantity"),
        ("quantity) values (-1", "quantity"),
    ],
)
async def test_a_grant_makes_sense(
    app_engine: AsyncEngine,
    pended: PriorAuthorization,
    clinician: Reviewer,
    columns: str,
    constraint: str,
) -> None:
    names, values = columns.split(") values (")
    step = DETERMINE.replace("signed_in_at)", f"signed_in_at, {names})").replace(
        "19:50+00')", f"19:50+00', {values})"
    )
    async with refused(f"ck_determination_{constraint}"):
        await run(app_engine, pended, step, person=clinician)


@pytest.mark.parametrize("steps", [NON_AFFIRM[:3], (*NON_AFFIRM, SUPERSEDE, ORDER)])
async def test_a_decided_case_has_ordered_one_number(
    app_engine: AsyncEngine,
    pended: PriorAuthorization,
    clinician: Reviewer,
    steps: tuple[str, ...],
) -> None:
    async with refused("case_agrees_with_its_utn" if len(steps) == 3 else "pk_utn"):
        await run(app_engine, pended, *steps, person=clinician)


async def test_what_is_not_affirmed_is_not_asked_again_by_an_update(
    app_engine: AsyncEngine, pended: PriorAuthorization, clinician: Reviewer
) -> None:
    await run(app_engine, pended, *NON_AFFIRM, person=clinician)
    async with refused("case_moves_forward"):
        await run(app_engine, pended, *REOPEN)


async def test_what_is_affirmed_is_undecided_by_a_new_revision_and_keeps_its_number(
    app_engine: AsyncEngine, pended: PriorAuthorization, clinician: Reviewer
) -> None:
    await run(app_engine, pended, *NON_AFFIRM, person=clinician, outcome="affirmed")
    await run(app_engine, pended, *REOPEN)
    again: dict[str, Any] = {"outcome": "affirmed", "revision": 2}
    async with refused("uq_utn_live"):
        await run(app_engine, pended, *NON_AFFIRM, person=clinician, **again)
    steps = (*NON_AFFIRM[:3], SUPERSEDE, ORDER)
    await run(app_engine, pended, *steps, person=clinician, **again)


async def test_a_cancelled_case_has_no_live_number(
    app_engine: AsyncEngine, pended: PriorAuthorization, clinician: Reviewer
) -> None:
    await run(app_engine, pended, *NON_AFFIRM, person=clinician, outcome="affirmed")
    async with refused("case_agrees_with_its_utn"):
        await run(app_engine, pended, *CANCEL)
    await run(app_engine, pended, *CANCEL, SUPERSEDE)


@pytest.mark.parametrize(
    "change", ["status = 'in-review'", "revision = 3", "revision = 1", "status = 'dismissed'"]
)
async def test_cancelled_is_final(
    app_engine: AsyncEngine, pended: PriorAuthorization, change: str
) -> None:
    await run(app_engine, pended, *CANCEL)
    async with refused("case_moves_forward"):
        step = f"update prior_auth_case set {change} where id = :case_id"  # noqa: S608
        await run(app_engine, pended, step)
    async with refused("item_keeps_its_decision"):
        step = "update case_item set status = 'pended' where case_id = :case_id"
        await run(app_engine, pended, step)


async def test_no_case_is_dismissed_that_was_taken(
    app_engine: AsyncEngine, pended: PriorAuthorization
) -> None:
    async with refused("case_moves_forward"):
        step = (
            "update prior_auth_case set status = 'dismissed', revision = 2,"
            " dismissal_reason = 'exempt-provider', dismissal_detail = 'x' where id = :case_id"
        )
        await run(app_engine, pended, step)


@pytest.mark.parametrize(
    "change",
    [
        "status = 'affirmed'",
        "status = 'pended'",
        "code = '62323'",
        "quantity = 7",
        "service_date = service_date + 1",
        "revision = 0",
    ],
)
async def test_a_decided_line_is_changed_by_a_new_revision_only(
    app_engine: AsyncEngine, pended: PriorAuthorization, clinician: Reviewer, change: str
) -> None:
    await run(app_engine, pended, *NON_AFFIRM, person=clinician)
    async with refused("item_keeps_its_decision"):
        step = f"update case_item set {change} where case_id = :case_id"  # noqa: S608
        await run(app_engine, pended, step)


async def test_a_line_of_a_case_in_review_is_not_decided_beside_others(
    app_engine: AsyncEngine,
    make_case: MakeCase,
    clinician: Reviewer,
) -> None:
    two_lines = await make_case(CaseStatus.IN_REVIEW)
    async with refused("case_agrees_with_its_items"):
        await run(app_engine, two_lines, DETERMINE, DECIDE_ITEM, person=clinician)


@pytest.mark.parametrize(
    ("change", "constraint"),
    [
        ("escalation = 'soon'", "ck_prior_auth_case_escalation"),
        ("assigned_at = now()", "ck_prior_auth_case_assigned"),
        ("expedited = true", "ck_prior_auth_case_expedited"),
    ],
)
async def test_what_reviewers_mark_makes_sense(
    app_engine: AsyncEngine, pended: PriorAuthorization, change: str, constraint: str
) -> None:
    async with refused(constraint):
        step = f"update prior_auth_case set {change} where id = :case_id"  # noqa: S608
        await run(app_engine, pended, step)


async def test_a_case_is_given_to_somebody_on_the_list(
    app_engine: AsyncEngine, pended: PriorAuthorization
) -> None:
    async with refused("fk_prior_auth_case_assigned_to_person"):
        step = (
            "update prior_auth_case set assigned_to = :id, assigned_at = now() where id = :case_id"
        )
        await run(app_engine, pended, step)


@pytest.mark.parametrize(
    ("old", "new", "constraint"),
    [
        ("'documents'", "'blood'", "ck_information_request_kind"),
        (A_SEALED_SQL, "'[]'", "ck_information_request_wanted_sealed"),
        (A_SEALED_SQL, "'\\x02'", "ck_information_request_wanted_sealed"),
    ],
)
async def test_something_is_asked_for(
    app_engine: AsyncEngine, pended: PriorAuthorization, old: str, new: str, constraint: str
) -> None:
    async with refused(constraint):
        await run(app_engine, pended, ASK.replace(old, new))


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        ("state = 'answered'", "ck_information_request_answered"),
        ("answered_at = now()", "ck_information_request_answered"),
        ("state = 'lost'", "ck_information_request_state"),
        ("wanted = '[1]'", "permission denied for table information_request"),
        ("asked_at = now()", "permission denied for table information_request"),
    ],
)
async def test_what_was_asked_for_is_answered_and_never_changed(
    app_engine: AsyncEngine, pended: PriorAuthorization, change: str, refusal: str
) -> None:
    await run(app_engine, pended, ASK)
    async with refused(refusal):
        step = f"update information_request set {change} where case_id = :case_id"  # noqa: S608
        await run(app_engine, pended, step)


async def test_a_conversation_is_about_an_undecided_resubmission(
    app_engine: AsyncEngine,
    pended: PriorAuthorization,
    resubmitted: PriorAuthorization,
    clinician: Reviewer,
) -> None:
    async with refused("peer_to_peer_with_a_resubmission"):
        await run(app_engine, pended, TALK)
    await run(app_engine, resubmitted, *NON_AFFIRM, person=clinician)
    async with refused("peer_to_peer_with_a_resubmission"):
        await run(app_engine, resubmitted, TALK)


async def test_one_conversation_is_open_at_a_time(
    app_engine: AsyncEngine, resubmitted: PriorAuthorization
) -> None:
    async with refused("uq_peer_to_peer_open"):
        await run(app_engine, resubmitted, TALK, TALK)


@pytest.mark.parametrize(
    "slots",
    [
        "array[timestamptz '2026-04-08 10:00+00', timestamptz '2026-04-08 12:00+00']",
        "array[]::timestamptz[]",
        "array[timestamptz '2026-04-08 10:00+00', timestamptz '2026-04-08 12:00+00', null]",
        "array_fill(timestamptz '2026-04-08 10:00+00', array[3])",
    ],
)
async def test_three_times_are_offered(
    app_engine: AsyncEngine, resubmitted: PriorAuthorization, slots: str
) -> None:
    begin, end = TALK.index("array["), TALK.index(f"], {A_SEALED_SQL}") + 1
    async with refused("ck_peer_to_peer_slots"):
        await run(app_engine, resubmitted, TALK[:begin] + slots + TALK[end:])


@pytest.mark.parametrize(
    "facts",
    [
        {"specialty": "207X00000X"},
        {"specialty": None},
        {"roles": ("coordinator",)},
        {"active": False},
        {"licence_expires": date(2026, 4, 7)},
    ],
)
async def test_it_is_with_a_licensed_clinician_of_the_specialty(
    app_engine: AsyncEngine,
    resubmitted: PriorAuthorization,
    make_person: MakePerson,
    facts: dict[str, Any],
) -> None:
    person = await make_person(**facts)
    async with refused("peer_to_peer_with_a_peer"):
        await run(app_engine, resubmitted, TALK, SCHEDULE, person=person)


@pytest.mark.parametrize(
    ("change", "constraint"),
    [
        ("scheduled_at = '2026-04-08 11:00+00'", "ck_peer_to_peer_scheduled"),
        ("scheduled_at = null", "ck_peer_to_peer_scheduled"),
        ("clinician_id = null", "ck_peer_to_peer_scheduled"),
        ("state = 'held', closed_at = now()", "ck_peer_to_peer_outcome"),
        (
            "state = 'held', closed_at = now(), outcome = 'Agreed.'",
            "ck_peer_to_peer_outcome_sealed",
        ),
        ("state = 'missed'", "ck_peer_to_peer_closed"),
        ("closed_at = now()", "ck_peer_to_peer_closed"),
        ("state = 'over'", "ck_peer_to_peer_state"),
        ("contact = 'me'", "permission denied for table peer_to_peer"),
    ],
)
async def test_a_conversation_goes_its_way(
    app_engine: AsyncEngine,
    resubmitted: PriorAuthorization,
    clinician: Reviewer,
    change: str,
    constraint: str,
) -> None:
    await run(app_engine, resubmitted, TALK, SCHEDULE, person=clinician)
    async with refused(constraint):
        step = f"update peer_to_peer set {change} where case_id = :case_id"  # noqa: S608
        await run(app_engine, resubmitted, step)


async def test_a_conversation_that_is_over_stays_as_it_is(
    app_engine: AsyncEngine, resubmitted: PriorAuthorization, clinician: Reviewer
) -> None:
    end = (
        "update peer_to_peer set state = 'held', closed_at = now(),"  # noqa: S608
        f" outcome = {A_SEALED_SQL} where case_id = :case_id"
    )
    await run(app_engine, resubmitted, TALK, SCHEDULE, end, person=clinician)
    async with refused("peer_to_peer_closed_once"):
        await run(app_engine, resubmitted, end.replace("held", "missed"))


@pytest.mark.parametrize(
    ("old", "new", "constraint"),
    [
        ("'noted'", "'Noted'", "ck_case_event_kind"),
        ("'noted'", "''", "ck_case_event_kind"),
        ("kind)", "kind, detail)", "ck_case_event_detail"),
    ],
)
async def test_history_is_told_in_words_of_ours(
    app_engine: AsyncEngine, pended: PriorAuthorization, old: str, new: str, constraint: str
) -> None:
    step = EVENT.replace(old, new)
    step = step.replace("'noted')", "'noted', '[]')") if "detail" in new else step
    async with refused(constraint):
        await run(app_engine, pended, step)


async def test_the_same_letter_is_queued_once(
    app_engine: AsyncEngine, pended: PriorAuthorization
) -> None:
    async with refused("uq_letter_once"):
        await run(app_engine, pended, LETTER, LETTER)


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        ("state = 'sent'", "ck_letter_ended"),
        ("ended_at = now()", "ck_letter_ended"),
        ("state = 'lost', ended_at = now()", "ck_letter_state"),
        ("recipient = 'beneficiary'", "permission denied for table letter"),
    ],
)
async def test_a_letter_is_sent_or_fails(
    app_engine: AsyncEngine, pended: PriorAuthorization, change: str, refusal: str
) -> None:
    await run(app_engine, pended, LETTER)
    async with refused(refusal):
        step = f"update letter set {change} where case_id = :case_id"  # noqa: S608
        await run(app_engine, pended, step)


@pytest.mark.parametrize("recipient", ["'somebody'", "''"])
async def test_a_letter_goes_to_the_beneficiary_or_the_provider(
    app_engine: AsyncEngine, pended: PriorAuthorization, recipient: str
) -> None:
    async with refused("ck_letter_recipient"):
        await run(app_engine, pended, LETTER.replace("'provider'", recipient))


@pytest.mark.parametrize("table", ["information_request", "peer_to_peer", "case_event", "letter"])
async def test_the_application_forgets_nothing(
    app_engine: AsyncEngine, pended: PriorAuthorization, table: str
) -> None:
    async with refused(f"permission denied for table {table}"):
        await run(app_engine, pended, f"delete from {table}")  # noqa: S608


@pytest.mark.parametrize(
    "statement",
    [
        "insert into person (id, name) values (:id, 'Dr. X')",
        "update person set licence_expires = date '2099-12-31'",
        "update person set organizations = '{}'",
        "delete from person",
    ],
)
async def test_the_application_licenses_nobody(
    app_engine: AsyncEngine, pended: PriorAuthorization, statement: str
) -> None:
    async with refused("permission denied for table person"):
        await run(app_engine, pended, statement)


@pytest.mark.parametrize(
    ("facts", "constraint"),
    [
        ({"roles": ()}, "ck_person_roles"),
        ({"roles": ("surgeon",)}, "ck_person_roles"),
        ({"npi": "12345"}, "ck_person_npi"),
        ({"licence_expires": None}, "ck_person_licence"),
        (
            {"licence_expires": None, "licence_state": None, "licence_number": None},
            "ck_person_licence",
        ),
        ({"roles": ("auditor",), "licence_state": "NJ"}, "ck_person_licence"),
    ],
)
async def test_a_person_has_roles_and_a_clinician_a_whole_licence(
    make_person: MakePerson, facts: dict[str, Any], constraint: str
) -> None:
    async with refused(constraint):
        await make_person(**facts)


async def test_two_people_have_two_names(make_person: MakePerson) -> None:
    await make_person(name="Dr. Twin")
    async with refused("uq_person_name"):
        await make_person(name="Dr. Twin")
