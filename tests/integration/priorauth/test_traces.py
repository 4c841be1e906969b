"""A case by the number its sender traces it by."""

from dataclasses import replace
from datetime import timedelta
from types import MappingProxyType
from typing import Any, cast
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.cases import RECEIVED, a_submission, an_mbi
from tests.database import MakeCase, MakeOrganization
from wiser_fhir.audit.recorder import Recorder
from wiser_fhir.auth.principal import Principal
from wiser_fhir.clock import utc_now
from wiser_fhir.db.engine import transaction
from wiser_fhir.priorauth.decide import Decider
from wiser_fhir.priorauth.models import CaseStatus, Identifier, PriorAuthorization
from wiser_fhir.priorauth.numbers import time_ordered_uuid
from wiser_fhir.priorauth.service import Caller, PriorAuthService
from wiser_fhir.priorauth.traces import MOST_READ, NamesItem, traced

TRACE = Identifier("https://ehr.example/traces", "TRN-7")


def in_the_body(body: bytes, trace: str) -> bool:
    """A request names its lines anywhere."""
    return trace.encode() in body


async def case_of(
    engine: AsyncEngine,
    organization_id: UUID,
    mbi: str,
    trace: str,
    names_item: NamesItem = in_the_body,
) -> UUID | None:
    async with transaction(engine, organization_id) as connection:
        found = await traced(connection, organization_id, mbi, trace, names_item)
    return found.case.id if found else None


class Traced:
    """Cases of one organization and one beneficiary, all with one trace number."""

    def __init__(self, make_case: MakeCase, organization_id: UUID) -> None:
        self.make_case = make_case
        self.organization_id = organization_id
        self.mbi = an_mbi()

    async def make(self, status: CaseStatus, hours: int, **changes: Any) -> PriorAuthorization:
        asked = a_submission(self.organization_id, trace=TRACE)
        asked = replace(
            asked,
            received_at=RECEIVED + timedelta(hours=hours),
            beneficiary=replace(asked.beneficiary, mbi=self.mbi),
        )
        return await self.make_case(status, submission=asked, **changes)


async def test_by_trace_number_and_by_our_reference(
    app_engine: AsyncEngine, make_case: MakeCase, make_organization: MakeOrganization
) -> None:
    cases = Traced(make_case, await make_organization())
    case = await cases.make(CaseStatus.IN_REVIEW, 0)
    for number in ("TRN-7", case.reference):
        found = await case_of(app_engine, cases.organization_id, cases.mbi, number)
        assert found == case.id
    assert await case_of(app_engine, cases.organization_id, cases.mbi, "TRN-8") is None
    assert await case_of(app_engine, cases.organization_id, an_mbi(), "TRN-7") is None


async def test_nobody_else_finds_it(
    app_engine: AsyncEngine, make_case: MakeCase, make_organization: MakeOrganization
) -> None:
    cases = Traced(make_case, await make_organization())
    await cases.make(CaseStatus.IN_REVIEW, 0)
    other = await make_organization("Another")
    assert await case_of(app_engine, other, cases.mbi, "TRN-7") is None


async def test_one_in_review_goes_before_the_latest(
    app_engine: AsyncEngine, make_case: MakeCase, make_organization: MakeOrganization
) -> None:
    cases = Traced(make_case, await make_organization())
    await cases.make(CaseStatus.DISMISSED, 0)
    latest = await cases.make(CaseStatus.DISMISSED, 2)
    assert await case_of(app_engine, cases.organization_id, cases.mbi, "TRN-7") == latest.id
    reviewed = await cases.make(CaseStatus.IN_REVIEW, 1)
    assert await case_of(app_engine, cases.organization_id, cases.mbi, "TRN-7") == reviewed.id


async def test_by_the_trace_number_of_a_line(
    app_engine: AsyncEngine, make_case: MakeCase, make_organization: MakeOrganization
) -> None:
    """Every request of this kind has 100.10 in it, which stands for the number of a line."""
    cases = Traced(make_case, await make_organization())
    await cases.make(CaseStatus.DISMISSED, 2)
    reviewed = await cases.make(CaseStatus.IN_REVIEW, 1)
    assert await case_of(app_engine, cases.organization_id, cases.mbi, "100.10") == reviewed.id
    assert await case_of(app_engine, cases.organization_id, an_mbi(), "100.10") is None
    other = await make_organization("Another")
    assert await case_of(app_engine, other, cases.mbi, "100.10") is None


async def test_for_a_line_the_newest_twenty_requests_are_read(
    app_engine: AsyncEngine, make_case: MakeCase, make_organization: MakeOrganization
) -> None:
    assert MOST_READ == 20
    cases = Traced(make_case, await make_organization())
    for hours in range(21):
        await cases.make(CaseStatus.DISMISSED, hours)
    read: list[str] = []

    def counted(body: bytes, trace: str) -> bool:
        read.append(trace)
        return False

    found = await case_of(app_engine, cases.organization_id, cases.mbi, "TRN-8", counted)
    assert found is None
    assert read == ["TRN-8"] * 20
    found = await case_of(app_engine, cases.organization_id, cases.mbi, "TRN-7", counted)
    assert found is not None
    assert len(read) == 20


async def test_looking_one_up_leaves_a_trace(
    app_engine: AsyncEngine,
    superuser_engine: AsyncEngine,
    make_case: MakeCase,
    make_organization: MakeOrganization,
) -> None:
    cases = Traced(make_case, await make_organization())
    case = await cases.make(CaseStatus.IN_REVIEW, 0)
    # Nothing is decided here.
    recorder = Recorder(app_engine, b"k" * 32)
    service = PriorAuthService(app_engine, cast(Decider, None), recorder, utc_now)
    principal = Principal(
        time_ordered_uuid(), "client", cases.organization_id, MappingProxyType({}), None
    )
    caller = Caller(principal, time_ordered_uuid())
    stored = await service.by_trace(caller, cases.mbi, "TRN-7", in_the_body)
    assert stored is not None
    assert stored.case.id == case.id
    assert stored.request_body == b'{"resourceType": "Bundle", "id": 100.10}'
    assert await service.by_trace(caller, cases.mbi, "TRN-8", in_the_body) is None
    query = (
        "select outcome, object_kind, object_id, octet_length(patient) from audit_event"
        " where action = 'claim.trace' order by id"
    )
    async with superuser_engine.connect() as connection:
        rows = (await connection.execute(text(query))).all()
    assert [tuple(row) for row in rows] == [
        ("read", "prior-auth-case", str(case.id), 32),
        ("none", None, None, 32),
    ]
