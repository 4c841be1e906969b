"""Cases as stored: the one hot write, the answer already given, and reading cases back."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
from sqlalchemy import (
    ColumnElement,
    RowMapping,
    Select,
    and_,
    bindparam,
    select,
    text,
)
from sqlalchemy import case as sql_case
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from wiser_fhir.audit.recorder import AuditRow
from wiser_fhir.db.base import (
    case_item,
    determination,
    message,
    person,
    prior_auth_case,
    utn,
)
from wiser_fhir.db.blind import index_of
from wiser_fhir.db.bodies import open_body, opened, sealed
from wiser_fhir.db.engine import enter, raw_connection, raw_transaction
from wiser_fhir.db.life import information_request
from wiser_fhir.db.sealed import CASE, DETERMINATION, INFORMATION_REQUEST
from wiser_fhir.db.vault import DataKey, data_key
from wiser_fhir.errors import NotFound
from wiser_fhir.priorauth.inquiry import Inquiry
from wiser_fhir.priorauth.inquiry_query import BY_OTHERS, by_others, own_cases
from wiser_fhir.priorauth.models import Identifier, PriorAuthorization, UtnState
from wiser_fhir.priorauth.rows import (
    DocumentFacts,
    SubmissionWrite,
    case_from,
    identifier_key,
    submission_write,
)
from wiser_fhir.priorauth.sealed_rows import beneficiary_from, submission_parts

__all__ = [
    "Cases",
    "DocumentFacts",
    "NumberTaken",
    "PriorAuthRepository",
    "StoredAnswer",
    "StoredCase",
    "SubmissionWrite",
    "SubmitOutcome",
    "SubmitResult",
    "submission_write",
]

MOST_FOUND = 200

_NUMBERS = {"uq_utn_utn", "uq_prior_auth_case_reference"}


class NumberTaken(Exception):
    """The UTN or the reference number was given before: decide again with new ones."""


class SubmitResult(StrEnum):
    """How a submission ended."""

    STORED = "stored"
    REPLAYED = "replayed"
    CONFLICT = "conflict"
    TWIN = "twin"


@dataclass(frozen=True, slots=True)
class SubmitOutcome:
    """STORED: written. REPLAYED: came before, `answer` is what was answered then.

    CONFLICT: the identifier came before with other bytes. TWIN: another request for the same is
    undecided. Nothing is written of the last two.
    """

    result: SubmitResult
    answer: bytes | None = None


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """What was answered to an identifier, and the SHA-256 and line of what had been asked."""

    request_sha256: bytes
    case_id: UUID | None
    body: bytes
    line: str

    def to_same_bytes(self, request_body: bytes) -> bool:
        """Whether this request is that one, byte for byte."""
        return sha256(request_body).digest() == self.request_sha256


@dataclass(frozen=True, slots=True)
class StoredCase:
    """A case with what an answer is rendered from: the line it came by and the bytes received."""

    case: PriorAuthorization
    line: str
    request_body: bytes


@dataclass(frozen=True, slots=True)
class PriorAuthRepository:
    """The hot path, each method one transaction of its own on asyncpg."""

    engine: AsyncEngine

    async def answered(self, organization_id: UUID, identifier: Identifier) -> StoredAnswer | None:
        """What was answered when this identifier came before: asked before anything is decided.

        Raises Unavailable.
        """
        async with raw_connection(self.engine) as connection:
            row = await connection.fetchrow(
                "select * from submission_answer($1, $2, $3)",
                organization_id,
                *(identifier_key(identifier.system), identifier_key(identifier.value)),
            )
        if row is None:
            return None
        return await stored_answer(await data_key(self.engine, organization_id), row)

    async def submit(self, write: SubmissionWrite) -> SubmitOutcome:
        """Write a decided submission, all of it or nothing. A replay leaves its own audit row.

        Two requests about one beneficiary take turns, so that neither overlooks the other.
        Raises NumberTaken, Unavailable.
        """
        key = await data_key(self.engine, write.organization_id)
        write = await _sealed(write, key)
        parts = submission_parts(write, key, index_of(self.engine))
        parameters = [parts[n] if n in parts else getattr(write, n) for n in _PARAMETERS]
        try:
            async with raw_transaction(
                self.engine, write.organization_id, lock=_turn(write, parts["mbi"])
            ) as connection:
                row = await connection.fetchrow(_submit_sql(), *parameters)
                if row["twin"]:
                    raise _TwinOpen
                if row["fresh"]:
                    return SubmitOutcome(SubmitResult.STORED)
                return await _replay(connection, key, write)
        except _TwinOpen:
            return SubmitOutcome(SubmitResult.TWIN)
        except asyncpg.UniqueViolationError as error:
            if error.constraint_name in _NUMBERS:
                raise NumberTaken from error
            raise


@dataclass(frozen=True, slots=True)
class Cases:
    """Cases read inside a transaction of one organization (`db.engine.transaction`).

    Never commits.
    """

    connection: AsyncConnection

    async def by_id(self, case_id: UUID) -> StoredCase:
        """One of the organization's own cases. Raises NotFound."""
        found = await self.load([case_id])
        if not found:
            raise NotFound("ClaimResponse")
        return found[0]

    async def response_body(self, case_id: UUID) -> bytes:
        """The latest answer about a case, byte for byte. Raises NotFound."""
        query = (
            select(message.c.organization_id, message.c.id, message.c.body)
            .join(prior_auth_case, _same_message(prior_auth_case.c.answer_message_id))
            .where(prior_auth_case.c.id == case_id)
        )
        row = (await self.connection.execute(query)).one_or_none()
        if row is None:
            raise NotFound("ClaimResponse")
        place = ("message", "body", row.id)
        return await open_body(self.connection, row.organization_id, row.body, *place)

    async def load(self, case_ids: Sequence[UUID]) -> list[StoredCase]:
        """The cases with these ids that the organization may see, in the order of the ids."""
        if not case_ids:
            return []
        cases = {
            row["id"]: row
            for row in (await self.connection.execute(_CASES, {"ids": case_ids})).mappings()
        }
        items = await self._by_case(_ITEMS, cases)
        reviewed = [case_id for case_id, row in cases.items() if row["decide_by"] is not None]
        requests = await self._by_case(_REQUESTS, reviewed) if reviewed else {}
        return [
            await self._stored(cases[case_id], items[case_id], requests.get(case_id, ()))
            for case_id in case_ids
            if case_id in cases
        ]

    async def _stored(
        self, row: RowMapping, items: Iterable[RowMapping], requests: Iterable[RowMapping]
    ) -> StoredCase:
        key = await data_key(self.connection, row["organization_id"])
        place = ("message", "body", row["request_message_id"])
        return StoredCase(
            case=case_from(
                CASE.open(key, row),
                [DETERMINATION.open(key, each, "decision_") for each in items],
                [INFORMATION_REQUEST.open(key, each) for each in requests],
            ),
            line=row["line"],
            request_body=await opened(key, row["body"], *place),
        )

    async def _by_case(
        self, query: Select[Any], case_ids: Iterable[UUID]
    ) -> dict[UUID, list[RowMapping]]:
        rows: dict[UUID, list[RowMapping]] = {case_id: [] for case_id in case_ids}
        for row in (await self.connection.execute(query, {"ids": list(rows)})).mappings():
            rows[row["case_id"]].append(row)
        return rows

    async def inquire(
        self, organization_id: UUID, inquiry: Inquiry, at_most: int = MOST_FOUND
    ) -> list[StoredCase]:
        """The organization's own cases that look like the inquiry, the latest received first.

        A number finds the case it belongs or belonged to, so a superseded one finds the present
        state, and what was resubmitted after it. Without a member nothing is found.
        Source: PAS 2.2.1 §spec-46 to §spec-48.
        """
        if inquiry.mbi is None:
            return []
        member = index_of(self.connection).of(inquiry.mbi)
        query = own_cases(organization_id, inquiry, member, at_most)
        return await self.load((await self.connection.execute(query)).scalars().all())

    async def inquire_by_others(
        self, inquiry: Inquiry, audit: AuditRow, at_most: int = MOST_FOUND
    ) -> list[StoredCase]:
        """Cases that other organizations sent and a provider of this one orders or renders.

        Matched by member id and NPI; of the inquiry's NPIs only those count that the organization
        acts for. The transaction sees each case as its sender does, then is the organization's
        again. Leaves an audit row. Source: PAS 2.2.1 §spec-52, §spec-53.
        """
        member = index_of(self.connection).of_told(inquiry.mbi)
        asked = by_others(inquiry, member, audit, at_most)
        rows = (await self.connection.execute(BY_OTHERS, asked)).all()
        asking = await self.connection.scalar(text("select current_setting('app.organization')"))
        found = []
        for sender, case_id in rows:
            await enter(self.connection, sender)
            found += await self.load([case_id])
        await enter(self.connection, UUID(asking))
        return found


class _TwinOpen(Exception):
    """Takes the way out of a transaction that rolls it back."""


async def _replay(
    connection: asyncpg.Connection, key: DataKey, write: SubmissionWrite
) -> SubmitOutcome:
    """The answer given before. A new statement sees what a concurrent twin has just committed."""
    row = await connection.fetchrow(
        "select * from submission_answer($1, $2, $3)",
        *(write.organization_id, write.identifier_system, write.identifier_value),
    )
    stored = None if row is None else await stored_answer(key, row)
    same = stored is not None and stored.request_sha256 == write.request_sha256
    if stored is None or not same or stored.line != write.line:
        return SubmitOutcome(SubmitResult.CONFLICT)
    await connection.execute(
        "insert into audit_event (organization_id, client_id, request_id, action, outcome,"
        " object_kind, object_id, patient) values ($1, $2, $3, $4, $5, $6, $7, $8)",
        *(write.organization_id, write.client_id, write.request_id, write.audit_action),
        *("replayed", "prior-auth-case", str(stored.case_id), write.patient),
    )
    return SubmitOutcome(SubmitResult.REPLAYED, stored.body)


async def _sealed(write: SubmissionWrite, key: DataKey) -> SubmissionWrite:
    asked, answered = write.request_message_id, write.answer_id
    return replace(
        write,
        request_body=await sealed(key, write.request_body, "message", "body", asked),
        answer_body=await sealed(key, write.answer_body, "message", "body", answered),
    )


async def stored_answer(key: DataKey, row: Any) -> StoredAnswer:
    """A row of the function `submission_answer` as a value."""
    body = await opened(key, row["body"], "message", "body", row["message_id"])
    return StoredAnswer(row["request_sha256"], row["case_id"], body, row["line"])


def _turn(write: SubmissionWrite, member: str | None) -> int | None:
    """The lock of one beneficiary's requests, as a signed 64-bit number."""
    if not write.check_twin or member is None:
        return None
    return int.from_bytes(sha256(member.encode()).digest()[:8], signed=True)


_UNSEALED = {"beneficiary", "findings"}
_PARAMETERS = (
    *(field.name for field in fields(SubmissionWrite) if field.name not in _UNSEALED),
    *("mbi", "sealed_member", "decided_findings"),
)


@cache
def _submit_sql() -> str:
    """`submit.sql` with its names numbered in the order of the parameters."""
    numbers = {name: n for n, name in enumerate(_PARAMETERS, start=1)}
    named = (Path(__file__).parent / "sql" / "submit.sql").read_text()
    code = "\n".join(line for line in named.splitlines() if not line.startswith("--"))
    return re.sub(r"(?<!:):([a-z_0-9]+)", lambda name: f"${numbers[name[1]]}", code)


def _same_message(column: ColumnElement[Any]) -> ColumnElement[bool]:
    return and_(
        message.c.organization_id == prior_auth_case.c.organization_id, message.c.id == column
    )


def _of_case(table: Any) -> ColumnElement[bool]:
    return and_(
        table.c.organization_id == prior_auth_case.c.organization_id,
        table.c.case_id == prior_auth_case.c.id,
    )


def _of_clinician(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """What is known of the clinician who decided the present revision."""
    return (
        select(column)
        .join(determination, determination.c.clinician_id == person.c.id)
        .where(_of_case(determination), determination.c.revision == prior_auth_case.c.revision)
        .limit(1)
        .scalar_subquery()
    )


_BY_PERSON = (
    select(determination.c.case_id)
    .where(
        _of_case(determination),
        determination.c.revision == prior_auth_case.c.revision,
        determination.c.decided_by == "clinician",
    )
    .exists()
)
_earlier = utn.alias("earlier")


def _superseded(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """What is known of the last number before the present revision."""
    return (
        select(column)
        .where(
            _of_case(_earlier),
            _earlier.c.revision < prior_auth_case.c.revision,
            _earlier.c.utn.is_not(None),
        )
        .order_by(_earlier.c.revision.desc())
        .limit(1)
        .scalar_subquery()
    )


_STILL_VALID = sql_case((_earlier.c.state == UtnState.ASSIGNED, _earlier.c.valid_until))
_CASES = (
    select(
        prior_auth_case,
        utn.c.utn,
        utn.c.state.label("utn_state"),
        _superseded(_earlier.c.utn).label("superseded_utn"),
        _superseded(_STILL_VALID).label("superseded_until"),
        message.c.body,
        _BY_PERSON.label("reviewed_by_person"),
        _of_clinician(person.c.npi).label("clinician_npi"),
        _of_clinician(person.c.specialty).label("clinician_specialty"),
    )
    .join(message, _same_message(prior_auth_case.c.request_message_id))
    .outerjoin(utn, and_(_of_case(utn), utn.c.revision == prior_auth_case.c.revision))
    .where(prior_auth_case.c.id.in_(bindparam("ids", expanding=True)))
)
_DECISION = (
    *("outcome", "decided_by", "decided_at", "code_system", "code", "quantity", "first_day"),
    *("last_day", "rationale", "resubmission_steps", "reasons", "answer"),
)
_former = determination.alias("former")
_FORMER_UTN = (
    select(utn.c.utn)
    .join(
        _former,
        and_(
            _former.c.organization_id == utn.c.organization_id,
            _former.c.case_id == utn.c.case_id,
            _former.c.revision == utn.c.revision,
        ),
    )
    .where(
        utn.c.organization_id == case_item.c.organization_id,
        utn.c.case_id == case_item.c.case_id,
        utn.c.revision < case_item.c.revision,
        utn.c.utn.is_not(None),
        _former.c.sequence == case_item.c.sequence,
    )
    .order_by(utn.c.revision.desc())
    .limit(1)
    .scalar_subquery()
)
_ITEMS = (
    select(
        case_item,
        _FORMER_UTN.label("former_utn"),
        *(determination.c[name].label(f"decision_{name}") for name in _DECISION),
    )
    .outerjoin(
        determination,
        and_(
            determination.c.organization_id == case_item.c.organization_id,
            determination.c.case_id == case_item.c.case_id,
            determination.c.sequence == case_item.c.sequence,
            determination.c.revision == case_item.c.revision,
        ),
    )
    .where(case_item.c.case_id.in_(bindparam("ids", expanding=True)))
    .order_by(case_item.c.case_id, case_item.c.sequence)
)
_REQUESTS = (
    select(information_request)
    .join(
        prior_auth_case,
        and_(
            _of_case(information_request),
            information_request.c.revision == prior_auth_case.c.revision,
        ),
    )
    .where(information_request.c.case_id.in_(bindparam("ids", expanding=True)))
    .order_by(information_request.c.case_id, information_request.c.asked_at)
)


async def member_of(db: AsyncConnection, case_id: UUID) -> str | None:
    """The MBI of a case's beneficiary, in a transaction of its organization. None if not told."""
    case = prior_auth_case.c
    query = select(case.organization_id, case.id, case.sealed_member).where(case.id == case_id)
    row = (await db.execute(query)).mappings().one_or_none()
    if row is None:
        return None
    return beneficiary_from(row, await data_key(db, row["organization_id"])).mbi
