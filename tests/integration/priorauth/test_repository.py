"""Submissions and cases as stored: all of it or nothing, once, and readable again."""

import asyncio
import secrets
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.cases import (
    ORDERING_NPI,
    RECEIVED,
    RENDERING_NPI,
    REQUESTER_NPI,
    a_case,
    a_submission,
    a_write,
    an_act,
    an_item,
    an_mbi,
)
from tests.database import MakeCase, MakeOrganization
from tests.vaults import INDEX, VAULT
from wiser_fhir.db.embedded import Urls
from wiser_fhir.db.engine import create_engine, transaction
from wiser_fhir.db.tables import metadata
from wiser_fhir.errors import NotFound, Unavailable
from wiser_fhir.priorauth import repository
from wiser_fhir.priorauth.inquiry import Inquiry, ItemExample
from wiser_fhir.priorauth.models import (
    Beneficiary,
    CaseStatus,
    Identifier,
    ItemStatus,
    Party,
    PartyRole,
    PriorAuthorization,
    RequestKind,
    Submission,
)
from wiser_fhir.priorauth.numbers import LocalUtnSource, time_ordered_uuid
from wiser_fhir.priorauth.repository import (
    Cases,
    NumberTaken,
    PriorAuthRepository,
    SubmitOutcome,
    SubmitResult,
)

STORED = SubmitOutcome(SubmitResult.STORED)
OTHER_NPI = "1245319599"
BODY = b'{"resourceType": "Bundle", "x": 100.10, "at": "2026-04-07T10:00:00.000Z"}'


@pytest.fixture
def cases(app_engine: AsyncEngine) -> PriorAuthRepository:
    return PriorAuthRepository(app_engine)


# But for the keys of organizations, which stay from one test to the next.
TABLES = [name for name in metadata.tables if name != "data_key"]


async def rows(superuser_engine: AsyncEngine, *tables: str) -> dict[str, int]:
    async with superuser_engine.connect() as connection:
        return {
            table: int(await connection.scalar(text(f"select count(*) from {table}")) or 0)  # noqa: S608
            for table in tables
        }


async def audit(superuser_engine: AsyncEngine) -> list[tuple[str, str]]:
    async with superuser_engine.connect() as connection:
        found = await connection.execute(
            text("select action, outcome from audit_event order by id")
        )
        return [(row.action, row.outcome) for row in found]


# Writing


@pytest.mark.parametrize(
    "status", [CaseStatus.AFFIRMED, CaseStatus.IN_REVIEW, CaseStatus.DISMISSED]
)
async def test_a_case_reads_back_as_it_was_written(
    cases: PriorAuthRepository, make_organization: MakeOrganization, status: CaseStatus
) -> None:
    submission = a_submission(await make_organization())
    case = a_case(submission, status)
    assert await cases.submit(a_write(submission, case, BODY, b"{}")) == STORED
    async with transaction(cases.engine, case.organization_id) as connection:
        stored = await Cases(connection).by_id(case.id)
        assert await Cases(connection).response_body(case.id) == b"{}"
    assert stored.case == case
    assert stored.request_body == BODY
    assert stored.line == "2.2"


async def test_a_submission_without_anything_optional_is_stored(
    cases: PriorAuthRepository, make_organization: MakeOrganization
) -> None:
    submission = a_submission(
        await make_organization(),
        identifier=Identifier(None, "only a value"),
        trace=Identifier(None, "trace"),
        beneficiary=Beneficiary(None, None, None, None),
        parties=(),
        items=(an_item(1, "62321", None),),
    )
    case = a_case(submission, CaseStatus.IN_REVIEW, assessment=None, service=None, rules=None)
    written = replace(a_write(submission, case), client_id=None, patient=None)
    assert await cases.submit(written) == STORED
    async with transaction(cases.engine, case.organization_id) as connection:
        assert (await Cases(connection).by_id(case.id)).case == case
    answered = await cases.answered(case.organization_id, submission.identifier)
    assert answered is not None
    assert answered.case_id == case.id


async def test_every_table_of_a_case_gets_its_rows(
    make_case: MakeCase, superuser_engine: AsyncEngine
) -> None:
    await make_case(CaseStatus.AFFIRMED)
    counted = await rows(superuser_engine, *TABLES)
    of_cases = counted.keys() - {"deployment", "organization"}
    assert {name: counted[name] for name in of_cases} == {
        **dict.fromkeys(of_cases, 0),
        **dict.fromkeys(("prior_auth_case", "submission", "utn", "document"), 1),
        **dict.fromkeys(("case_item", "determination", "message"), 2),
        "case_party": 3,
        "letter": 1,
        "audit_event": 2,
    }
    assert await audit(superuser_engine) == [
        ("gate.open-twin", "none"),
        ("claim.submit", "affirmed"),
    ]


async def test_one_that_was_refused_leaves_nothing(
    cases: PriorAuthRepository,
    make_organization: MakeOrganization,
    superuser_engine: AsyncEngine,
) -> None:
    submission = a_submission(await make_organization())
    case = a_case(submission, CaseStatus.AFFIRMED)
    tomorrow = case.valid_until + timedelta(days=1) if case.valid_until else None
    with pytest.raises(asyncpg.CheckViolationError, match="validity"):
        await cases.submit(a_write(submission, replace(case, valid_until=tomorrow)))
    case = replace(case, status=CaseStatus.IN_REVIEW, decided_at=None)
    with pytest.raises(asyncpg.PostgresError):  # its items say something else
        await cases.submit(a_write(submission, replace(case, valid_from=None, valid_until=None)))
    names = [name for name in TABLES if name not in ("deployment", "organization")]
    assert set((await rows(superuser_engine, *names)).values()) == {0}


# Idempotency


async def test_the_same_bytes_get_the_same_answer(
    cases: PriorAuthRepository,
    make_organization: MakeOrganization,
    superuser_engine: AsyncEngine,
) -> None:
    submission = a_submission(await make_organization())
    assert await cases.answered(submission.organization_id, submission.identifier) is None
    first = a_case(submission, CaseStatus.AFFIRMED)
    await cases.submit(a_write(submission, first, BODY, b'{"answer": 1.10}'))
    again = a_write(submission, a_case(submission, CaseStatus.AFFIRMED), BODY, b'{"answer": 2}')
    before = await rows(superuser_engine, *TABLES)
    assert await cases.submit(again) == SubmitOutcome(SubmitResult.REPLAYED, b'{"answer": 1.10}')
    after = await rows(superuser_engine, *TABLES)
    assert {**after, "audit_event": 0} == {**before, "audit_event": 0}
    assert (await audit(superuser_engine))[-1] == ("claim.submit", "replayed")
    answered = await cases.answered(submission.organization_id, submission.identifier)
    assert answered is not None
    assert (answered.case_id, answered.body) == (first.id, b'{"answer": 1.10}')
    assert answered.to_same_bytes(BODY)
    assert not answered.to_same_bytes(BODY + b" ")


async def test_other_bytes_under_the_same_identifier_are_a_conflict(
    cases: PriorAuthRepository,
    make_organization: MakeOrganization,
    superuser_engine: AsyncEngine,
) -> None:
    submission = a_submission(await make_organization())
    await cases.submit(a_write(submission, a_case(submission, CaseStatus.AFFIRMED), BODY))
    other = a_write(submission, a_case(submission, CaseStatus.AFFIRMED), BODY + b" ")
    before = await rows(superuser_engine, *TABLES)
    assert await cases.submit(other) == SubmitOutcome(SubmitResult.CONFLICT)
    assert await rows(superuser_engine, *TABLES) == before


async def test_an_identifier_belongs_to_its_organization(
    cases: PriorAuthRepository, make_organization: MakeOrganization
) -> None:
    one = a_submission(await make_organization())
    other = a_submission(await make_organization(), identifier=one.identifier)
    for submission in (one, other):
        case = a_case(submission, CaseStatus.AFFIRMED)
        assert await cases.submit(a_write(submission, case)) == STORED


async def test_an_identifier_may_be_as_long_as_fhir_allows(
    cases: PriorAuthRepository, make_organization: MakeOrganization
) -> None:
    endless = secrets.token_hex(100_000)
    submission = a_submission(
        await make_organization(),
        identifier=Identifier(endless, endless),
        beneficiary=Beneficiary(endless, endless, endless, None),
        trace=Identifier(endless, endless),
    )
    case = a_case(submission, CaseStatus.DISMISSED)
    assert await cases.submit(a_write(submission, case, BODY, b"{}")) == STORED
    answered = await cases.answered(case.organization_id, submission.identifier)
    assert answered is not None
    other = Identifier(endless, endless + "0")
    assert await cases.answered(case.organization_id, other) is None


async def test_fifty_equal_submits_make_one_case(
    cases: PriorAuthRepository,
    make_organization: MakeOrganization,
    superuser_engine: AsyncEngine,
) -> None:
    submission = a_submission(await make_organization())

    async def send(n: int) -> SubmitOutcome:
        case = a_case(submission, CaseStatus.IN_REVIEW)
        return await cases.submit(a_write(submission, case, BODY, f'{{"answer": {n}}}'.encode()))

    outcomes = await asyncio.gather(*(send(n) for n in range(50)))
    stored = [n for n, outcome in enumerate(outcomes) if outcome == STORED]
    assert len(stored) == 1
    replay = SubmitOutcome(SubmitResult.REPLAYED, f'{{"answer": {stored[0]}}}'.encode())
    assert outcomes.count(replay) == 49
    counted = await rows(superuser_engine, "prior_auth_case", "submission", "message", "utn")
    assert counted == {"prior_auth_case": 1, "submission": 1, "message": 2, "utn": 0}


async def test_fifty_equal_submits_without_a_member_number_make_one_case(
    cases: PriorAuthRepository,
    make_organization: MakeOrganization,
    superuser_engine: AsyncEngine,
) -> None:
    """No beneficiary to take turns by: the unique key alone settles the race."""
    nobody = Beneficiary(None, "Doe", "Jane", None)
    submission = a_submission(await make_organization(), beneficiary=nobody)
    writes = [a_write(submission, a_case(submission, CaseStatus.AFFIRMED)) for _ in range(50)]
    outcomes = await asyncio.gather(*map(cases.submit, writes))
    assert [outcome.result for outcome in outcomes].count(SubmitResult.STORED) == 1
    assert [outcome.result for outcome in outcomes].count(SubmitResult.REPLAYED) == 49
    assert await rows(superuser_engine, "utn", "submission") == {"utn": 1, "submission": 1}


# Numbers


async def test_a_number_that_was_given_before_is_told_apart(
    cases: PriorAuthRepository, make_case: MakeCase, make_organization: MakeOrganization
) -> None:
    taken = await make_case(CaseStatus.AFFIRMED)
    mine = a_submission(taken.organization_id)
    with pytest.raises(NumberTaken):
        await cases.submit(a_write(mine, a_case(mine, CaseStatus.AFFIRMED, utn=taken.utn)))
    again = a_case(mine, CaseStatus.AFFIRMED, reference=taken.reference)
    with pytest.raises(NumberTaken):
        await cases.submit(a_write(mine, again))
    case = a_case(mine, CaseStatus.AFFIRMED, utn=LocalUtnSource().new(None))
    assert await cases.submit(a_write(mine, case)) == STORED


async def test_another_key_that_is_taken_is_no_matter_of_numbers(
    cases: PriorAuthRepository, make_case: MakeCase
) -> None:
    taken = await make_case(CaseStatus.AFFIRMED)
    mine = a_submission(taken.organization_id)
    case = a_case(mine, CaseStatus.AFFIRMED, id=taken.id)
    with pytest.raises(asyncpg.UniqueViolationError):
        await cases.submit(a_write(mine, case))


# Duplicates


def twin_of(submission: Submission, **changes: Any) -> Submission:
    fresh = Identifier("https://ehr.example/bundles", str(time_ordered_uuid()))
    return replace(submission, identifier=fresh, **changes)


@pytest.mark.parametrize("elsewhere", [False, True])
async def test_the_same_request_while_one_is_undecided_is_a_twin(
    cases: PriorAuthRepository,
    make_organization: MakeOrganization,
    superuser_engine: AsyncEngine,
    elsewhere: bool,
) -> None:
    first = a_submission(await make_organization())
    await cases.submit(a_write(first, a_case(first, CaseStatus.IN_REVIEW)))
    sender = await make_organization() if elsewhere else first.organization_id
    second = twin_of(first, organization_id=sender)
    before = await rows(superuser_engine, *TABLES)
    for status in (CaseStatus.AFFIRMED, CaseStatus.IN_REVIEW):
        written = a_write(second, a_case(second, status))
        assert await cases.submit(written) == SubmitOutcome(SubmitResult.TWIN)
    assert await rows(superuser_engine, *TABLES) == before
    dismissed = a_write(second, a_case(second, CaseStatus.DISMISSED))
    assert await cases.submit(dismissed) == STORED


@pytest.mark.parametrize(
    "other",
    [
        {"kind": RequestKind.RESUBMISSION, "previous_utn": "ZZB00000000001"},
        {"beneficiary": Beneficiary(an_mbi(), "Doe", "Jane", None)},
        {"parties": ()},
        {"parties": (Party(PartyRole.REQUESTER, npi=OTHER_NPI),)},
    ],
)
async def test_another_person_or_provider_is_no_twin(
    cases: PriorAuthRepository, make_organization: MakeOrganization, other: dict[str, Any]
) -> None:
    first = a_submission(await make_organization())
    await cases.submit(a_write(first, a_case(first, CaseStatus.IN_REVIEW)))
    second = twin_of(first, **other)
    assert await cases.submit(a_write(second, a_case(second, CaseStatus.IN_REVIEW))) == STORED


@pytest.mark.parametrize("service", ["knee-arthroscopy-oa", None])
async def test_another_service_is_no_twin(
    cases: PriorAuthRepository, make_organization: MakeOrganization, service: str | None
) -> None:
    first = a_submission(await make_organization())
    await cases.submit(a_write(first, a_case(first, CaseStatus.IN_REVIEW)))
    second = twin_of(first)
    case = a_case(second, CaseStatus.IN_REVIEW, service=service)
    assert await cases.submit(a_write(second, case)) == STORED


async def test_another_code_of_the_same_service_is_a_twin(
    cases: PriorAuthRepository, make_organization: MakeOrganization
) -> None:
    first = a_submission(await make_organization())
    await cases.submit(a_write(first, a_case(first, CaseStatus.IN_REVIEW)))
    second = twin_of(first, items=(an_item(1, "64479"),))
    written = a_write(second, a_case(second, CaseStatus.AFFIRMED))
    assert await cases.submit(written) == SubmitOutcome(SubmitResult.TWIN)


@pytest.mark.parametrize("role", [role for role in PartyRole if role is not PartyRole.REQUESTER])
async def test_who_is_only_named_in_a_request_is_not_kept_from_asking(
    cases: PriorAuthRepository, make_organization: MakeOrganization, role: PartyRole
) -> None:
    """Nobody checks who else a sender names; it must not close the door for them."""
    names = (Party(PartyRole.REQUESTER, npi=OTHER_NPI), Party(role, npi=REQUESTER_NPI))
    first = a_submission(await make_organization(), parties=names)
    await cases.submit(a_write(first, a_case(first, CaseStatus.IN_REVIEW)))
    asking = Party(PartyRole.REQUESTER, npi=REQUESTER_NPI)
    second = twin_of(first, organization_id=await make_organization(), parties=(asking,))
    assert await cases.submit(a_write(second, a_case(second, CaseStatus.AFFIRMED))) == STORED


@pytest.mark.parametrize("status", [CaseStatus.AFFIRMED, CaseStatus.DISMISSED])
async def test_a_closed_request_has_no_twin(
    cases: PriorAuthRepository, make_organization: MakeOrganization, status: CaseStatus
) -> None:
    first = a_submission(await make_organization())
    await cases.submit(a_write(first, a_case(first, status)))
    second = twin_of(first)
    assert await cases.submit(a_write(second, a_case(second, CaseStatus.IN_REVIEW))) == STORED


async def test_of_many_twins_at_once_one_is_taken(
    cases: PriorAuthRepository, make_organization: MakeOrganization
) -> None:
    first = a_submission(await make_organization())
    organizations = [first.organization_id, await make_organization()]

    async def send(n: int) -> SubmitOutcome:
        twin = twin_of(first, organization_id=organizations[n % 2])
        return await cases.submit(a_write(twin, a_case(twin, CaseStatus.IN_REVIEW)))

    outcomes = await asyncio.gather(*map(send, range(20)))
    assert [outcome.result for outcome in outcomes].count(SubmitResult.STORED) == 1
    assert [outcome.result for outcome in outcomes].count(SubmitResult.TWIN) == 19


# Cancelled, away


async def test_a_cancelled_submit_is_all_there_or_not_at_all(
    database: Urls, make_organization: MakeOrganization, superuser_engine: AsyncEngine
) -> None:
    engine = create_engine(database.app, pool_size=2, vault=VAULT, index=INDEX)
    organization = await make_organization()
    for n in range(30):
        submission = a_submission(organization)
        written = a_write(submission, a_case(submission, CaseStatus.AFFIRMED))
        task = asyncio.create_task(PriorAuthRepository(engine).submit(written))
        await asyncio.sleep(n * 0.0003)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    submission = a_submission(organization)
    written = a_write(submission, a_case(submission, CaseStatus.AFFIRMED))
    assert await PriorAuthRepository(engine).submit(written) == STORED
    counted = await rows(superuser_engine, "submission", "prior_auth_case", "utn", "message")
    whole = counted["submission"]
    assert counted == {
        "submission": whole,
        "prior_auth_case": whole,
        "utn": whole,
        "message": 2 * whole,
    }
    await engine.dispose()


async def test_without_a_database_the_answer_is_unavailable(tmp_path: Path) -> None:
    engine = create_engine(
        f"postgresql://wiser_app@/wiser?host={tmp_path}", vault=VAULT, index=INDEX
    )
    submission = a_submission(UUID(int=1))
    written = a_write(submission, a_case(submission, CaseStatus.AFFIRMED))
    with pytest.raises(Unavailable):
        await PriorAuthRepository(engine).submit(written)
    with pytest.raises(Unavailable):
        await PriorAuthRepository(engine).answered(UUID(int=1), submission.identifier)
    await engine.dispose()


def test_the_statement_names_every_field_and_no_other() -> None:
    statement = repository._submit_sql()
    used = {int(part.split("::")[0].strip("$,)")) for part in statement.split() if part[0] == "$"}
    names = repository._PARAMETERS
    numbers = range(1, len(names) + 1)
    missing = [names[n - 1] for n in numbers if f"${n}" not in statement]
    assert missing == []
    assert used <= set(numbers)


# Reading


async def test_another_s_case_is_not_found(
    cases: PriorAuthRepository, make_case: MakeCase, make_organization: MakeOrganization
) -> None:
    case = await make_case()
    async with transaction(cases.engine, await make_organization()) as connection:
        with pytest.raises(NotFound):
            await Cases(connection).by_id(case.id)
        with pytest.raises(NotFound):
            await Cases(connection).response_body(case.id)
        assert await Cases(connection).load([case.id, time_ordered_uuid()]) == []


def asked(submission: Submission, **changes: Any) -> Inquiry:
    inquiry = Inquiry(
        mbi=submission.beneficiary.mbi,
        provider_npis=(RENDERING_NPI,),
        requester_npi=REQUESTER_NPI,
    )
    return replace(inquiry, **changes)


async def inquire(
    engine: AsyncEngine, organization_id: UUID, inquiry: Inquiry
) -> Sequence[PriorAuthorization]:
    async with transaction(engine, organization_id) as connection:
        found = await Cases(connection).inquire(organization_id, inquiry)
    return [stored.case for stored in found]


async def test_an_inquiry_finds_the_latest_first(
    app_engine: AsyncEngine, make_case: MakeCase, make_organization: MakeOrganization
) -> None:
    first = a_submission(await make_organization())
    older = await make_case(submission=first)
    later = RECEIVED + timedelta(days=1)
    newer = await make_case(submission=twin_of(first, received_at=later))
    await make_case(submission=a_submission(first.organization_id))
    await make_case(submission=twin_of(first, organization_id=await make_organization()))
    found = await inquire(app_engine, first.organization_id, asked(first))
    assert found == [newer, older]


@pytest.mark.parametrize(
    "changes",
    [
        {"requester_npi": RENDERING_NPI},
        {"mbi": an_mbi()},
        {"mbi": None},
        {"references": ("R0",)},
        {"utns": ("ZZB00000000000",)},
        {"items": (ItemExample(codes=("64483",)),)},
        {"items": (ItemExample(status=ItemStatus.PENDED),)},
        {"items": (ItemExample(starts=date(2026, 4, 21)),)},
        {"items": (ItemExample(ends=date(2026, 4, 19)),)},
        {"items": (ItemExample(codes=("77003",), ends=date(2026, 4, 19)),)},
    ],
)
async def test_what_does_not_look_alike_is_not_found(
    app_engine: AsyncEngine,
    make_case: MakeCase,
    make_organization: MakeOrganization,
    changes: dict[str, Any],
) -> None:
    submission = a_submission(await make_organization())
    await make_case(submission=submission)
    inquiry = asked(submission, **changes)
    assert await inquire(app_engine, submission.organization_id, inquiry) == []


@pytest.mark.parametrize(
    "items",
    [
        (),
        (ItemExample(),),
        (ItemExample(codes=("64483", "77003")),),
        (ItemExample(codes=("64483",)), ItemExample(status=ItemStatus.AFFIRMED)),
        (ItemExample(starts=date(2026, 4, 20), ends=date(2026, 4, 20)),),
    ],
)
async def test_what_looks_alike_is_found(
    app_engine: AsyncEngine,
    make_case: MakeCase,
    make_organization: MakeOrganization,
    items: tuple[ItemExample, ...],
) -> None:
    submission = a_submission(await make_organization())
    case = await make_case(submission=submission)
    inquiry = asked(submission, items=items)
    assert await inquire(app_engine, submission.organization_id, inquiry) == [case]


async def test_an_item_without_a_date_is_within_any(
    app_engine: AsyncEngine, make_case: MakeCase, make_organization: MakeOrganization
) -> None:
    submission = a_submission(await make_organization(), items=(an_item(1, "62321", None),))
    case = await make_case(submission=submission)
    example = ItemExample(starts=date(2030, 1, 1), ends=date(2030, 1, 2))
    inquiry = asked(submission, items=(example,))
    assert await inquire(app_engine, submission.organization_id, inquiry) == [case]


async def test_whoever_asked_is_found_where_nobody_is_named(
    app_engine: AsyncEngine, make_case: MakeCase, make_organization: MakeOrganization
) -> None:
    submission = a_submission(await make_organization())
    case = await make_case(submission=submission)
    inquiry = asked(submission, requester_npi=None)
    assert await inquire(app_engine, submission.organization_id, inquiry) == [case]


async def test_a_number_finds_its_case(
    app_engine: AsyncEngine, make_case: MakeCase, make_organization: MakeOrganization
) -> None:
    submission = a_submission(await make_organization())
    case = await make_case(submission=submission)
    assert case.utn is not None
    for numbers in ({"references": (case.reference,)}, {"utns": (case.utn,)}):
        inquiry = asked(submission, requester_npi=None, **numbers)
        assert await inquire(app_engine, submission.organization_id, inquiry) == [case]
        stranger = replace(inquiry, mbi=an_mbi())
        assert await inquire(app_engine, submission.organization_id, stranger) == []


async def test_a_superseded_number_finds_the_present_state(
    app_engine: AsyncEngine, make_case: MakeCase, make_organization: MakeOrganization
) -> None:
    submission = a_submission(await make_organization())
    case = await make_case(submission=submission)
    new = LocalUtnSource().new(None)
    async with transaction(app_engine, case.organization_id) as connection:
        for statement in (
            "update utn set state = 'superseded', ended_at = now() where utn = :old",
            "insert into determination (organization_id, case_id, sequence, revision, outcome,"
            " decided_at, decided_by, input_sha256, mac) select organization_id, case_id, sequence,"
            " 2, outcome, decided_at, decided_by, input_sha256, mac from determination"
            " where case_id = :id",
            "update case_item set revision = 2 where case_id = :id",
            "update prior_auth_case set revision = 2 where id = :id",
            "insert into utn (utn, organization_id, case_id, revision, source, state,"
            " requested_at, assigned_at, valid_from, valid_until) select :new, organization_id,"
            " case_id, 2, source, 'assigned', requested_at, assigned_at, valid_from, valid_until"
            " from utn where utn = :old",
        ):
            values = {"old": case.utn, "new": new, "id": case.id}
            used = {name: value for name, value in values.items() if f":{name}" in statement}
            await connection.execute(text(statement), used)
    assert case.utn is not None
    inquiry = asked(submission, utns=(case.utn,))
    found = await inquire(app_engine, case.organization_id, inquiry)
    items = tuple(replace(item, former_utn=case.utn) for item in case.items)
    after = replace(case, utn=new, revision=2, superseded_utn=case.utn, items=items)
    assert found == [after]


# Others, by the gate


async def by_others(
    engine: AsyncEngine, organization_id: UUID, inquiry: Inquiry, case: PriorAuthorization
) -> Sequence[PriorAuthorization]:
    async with transaction(engine, organization_id) as connection:
        found = await Cases(connection).inquire_by_others(inquiry, an_act(case))
        own = await connection.scalar(text("select current_setting('app.organization')"))
    assert own == str(organization_id)
    return [stored.case for stored in found]


@pytest.mark.parametrize("npi", [ORDERING_NPI, RENDERING_NPI])
async def test_who_orders_or_renders_finds_what_another_sent(
    app_engine: AsyncEngine,
    superuser_engine: AsyncEngine,
    make_case: MakeCase,
    make_organization: MakeOrganization,
    npi: str,
) -> None:
    submission = a_submission(await make_organization())
    case = await make_case(submission=submission)
    provider = await make_organization("Practice", "provider", "own", (npi,))
    everything = asked(
        submission,
        provider_npis=(npi,),
        utns=(case.utn or "",),
        items=(ItemExample(codes=("62321",), starts=date(2026, 4, 20)),),
    )
    for inquiry in (asked(submission, provider_npis=(npi,)), everything):
        assert await by_others(app_engine, provider, inquiry, case) == [case]
    assert (await audit(superuser_engine))[-1] == ("gate.inquire-by-others", "found")


@pytest.mark.parametrize(
    "changes",
    [
        {"mbi": an_mbi()},
        {"mbi": None},
        {"provider_npis": (REQUESTER_NPI,)},
        {"provider_npis": ()},
        {"references": ("R0",)},
        {"items": (ItemExample(codes=("64483",)),)},
        {"items": (ItemExample(ends=date(2026, 4, 19)),)},
        {"items": (ItemExample(status=ItemStatus.PENDED),)},
    ],
)
async def test_others_find_only_what_they_have_a_part_in(
    app_engine: AsyncEngine,
    superuser_engine: AsyncEngine,
    make_case: MakeCase,
    make_organization: MakeOrganization,
    changes: dict[str, Any],
) -> None:
    submission = a_submission(await make_organization())
    case = await make_case(submission=submission)
    npis = (RENDERING_NPI, REQUESTER_NPI)
    provider = await make_organization("Practice", "provider", "named", npis)
    assert await by_others(app_engine, provider, asked(submission, **changes), case) == []
    assert (await audit(superuser_engine))[-1] == ("gate.inquire-by-others", "none")


async def test_an_npi_one_does_not_act_for_opens_nothing(
    app_engine: AsyncEngine, make_case: MakeCase, make_organization: MakeOrganization
) -> None:
    submission = a_submission(await make_organization())
    case = await make_case(submission=submission)
    stranger = await make_organization("Practice", "provider", "own", ("1555555556",))
    assert await by_others(app_engine, stranger, asked(submission), case) == []


async def test_one_s_own_cases_do_not_come_by_the_gate(
    app_engine: AsyncEngine, make_case: MakeCase, make_organization: MakeOrganization
) -> None:
    submission = a_submission(await make_organization())
    case = await make_case(submission=submission)
    assert await by_others(app_engine, case.organization_id, asked(submission), case) == []


def test_a_role_is_spelled_as_the_gate_spells_it() -> None:
    assert {*PartyRole} == {"requester", "ordering", "rendering", "facility"}


async def test_of_what_is_no_case_there_is_no_member(
    app_engine: AsyncEngine, make_organization: MakeOrganization
) -> None:
    async with transaction(app_engine, await make_organization()) as db:
        assert await repository.member_of(db, time_ordered_uuid()) is None
