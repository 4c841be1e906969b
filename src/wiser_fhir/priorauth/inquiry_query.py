"""An inquiry as the queries that answer it."""

from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Select,
    and_,
    bindparam,
    false,
    func,
    literal,
    not_,
    or_,
    select,
    text,
    union,
)
from sqlalchemy.dialects.postgresql import JSONB

from wiser_fhir.audit.recorder import AuditRow
from wiser_fhir.db.base import case_item, case_party, determination, prior_auth_case, utn
from wiser_fhir.db.blind import Indexed, MemberIndex
from wiser_fhir.priorauth.inquiry import Inquiry, ItemExample
from wiser_fhir.priorauth.models import PartyRole

BY_OTHERS = text(
    "select organization_id, case_id from gate.inquire_by_others(:member, :npis, :numbers,"
    " :examples, :at_most, :request_id, :client_id, :patient)"
).bindparams(
    bindparam("examples", type_=JSONB(none_as_null=True)), bindparam("member", type_=Indexed())
)


def own_cases(
    organization_id: UUID, inquiry: Inquiry, member: MemberIndex, at_most: int
) -> Select[Any]:
    """The ids of the organization's own cases that an inquiry finds, the latest received first.

    `member` is the index of its `mbi`.
    """
    return (
        select(prior_auth_case.c.id)
        .where(
            prior_auth_case.c.organization_id == organization_id,
            prior_auth_case.c.mbi == member,
            *_filters(inquiry),
        )
        .order_by(prior_auth_case.c.received_at.desc(), prior_auth_case.c.id.desc())
        .limit(at_most)
    )


def by_others(
    inquiry: Inquiry, member: MemberIndex | None, audit: AuditRow, at_most: int
) -> dict[str, Any]:
    """The parameters of BY_OTHERS. `member` is the index of the inquiry's `mbi`."""
    return {
        "member": member,
        "npis": list(inquiry.provider_npis),
        "numbers": [*inquiry.references, *inquiry.utns] or None,
        "examples": [_example(each) for each in inquiry.items] or None,
        "at_most": at_most,
        "request_id": audit.request_id,
        "client_id": audit.client_id,
        "patient": audit.patient,
    }


_NEVER = "never"
"""A status that no item has."""


def _filters(inquiry: Inquiry) -> list[ColumnElement[bool]]:
    filters: list[ColumnElement[bool]] = []
    if inquiry.references or inquiry.utns:
        filters.append(prior_auth_case.c.id.in_(_numbered(inquiry)))
    elif inquiry.requester_npi is not None:
        filters.append(
            select(case_party.c.case_id)
            .where(
                _of_case(case_party),
                case_party.c.role == PartyRole.REQUESTER,
                case_party.c.npi == inquiry.requester_npi,
            )
            .exists()
        )
    if inquiry.items:
        like = or_(*(_like(example) for example in inquiry.items))
        filters.append(select(case_item.c.case_id).where(_of_case(case_item), like).exists())
    return filters


def _numbered(inquiry: Inquiry) -> Select[Any]:
    """Cases that have or had one of the numbers, and the resubmissions that follow them.

    A number that a later request replaced finds that request too; `union` ends a circle.
    Source: PAS 2.2.1 §spec-47, §spec-48.
    """
    known, follower = prior_auth_case.alias("known"), prior_auth_case.alias("follower")
    named = union(
        select(known.c.id).where(known.c.reference.in_(inquiry.references)),
        select(utn.c.case_id).where(utn.c.utn.in_(inquiry.utns)),
    ).subquery()
    found = select(named.c.id).cte("numbered", recursive=True)
    number = and_(
        utn.c.organization_id == follower.c.organization_id, utn.c.utn == follower.c.previous_utn
    )
    after = select(follower.c.id).join(utn, number).join(found, found.c.id == utn.c.case_id)
    found = found.union(after)
    return select(found.c.id)


def _of_case(table: Any) -> ColumnElement[bool]:
    return and_(
        table.c.organization_id == prior_auth_case.c.organization_id,
        table.c.case_id == prior_auth_case.c.id,
    )


def _like(example: ItemExample) -> ColumnElement[bool]:
    """An item that looks like the example; one without a date is within any dates."""
    if example.never:
        return false()
    day = case_item.c.service_date
    conditions = [case_item.c.sequence > 0]
    if example.codes:
        conditions.append(_coded(example))
    if example.status is not None:
        conditions.append(case_item.c.status == example.status)
    if example.modified is not None:
        conditions.append(_MODIFIED if example.modified else not_(_GRANTED_OTHERWISE))
    if example.starts is not None:
        conditions.append(func.coalesce(day, example.starts) >= example.starts)
    if example.ends is not None:
        conditions.append(func.coalesce(day, example.ends) <= example.ends)
    return and_(*conditions)


def _decided_so(*conditions: ColumnElement[bool]) -> ColumnElement[bool]:
    """Whether the item's present decision is of this kind."""
    return (
        select(determination.c.case_id)
        .where(
            determination.c.organization_id == case_item.c.organization_id,
            determination.c.case_id == case_item.c.case_id,
            determination.c.sequence == case_item.c.sequence,
            determination.c.revision == case_item.c.revision,
            *conditions,
        )
        .correlate(case_item, prior_auth_case)
        .exists()
    )


_STARTS = case_item.c.service_date
_ENDS = func.coalesce(case_item.c.service_end, case_item.c.service_date)
# Another code or quantity than asked, or days that leave out something asked for.
_OTHER_GRANT = or_(
    determination.c.code_system != case_item.c.code_system,
    determination.c.code != case_item.c.code,
    determination.c.quantity.is_distinct_from(case_item.c.quantity)
    & determination.c.quantity.is_not(None),
    and_(
        determination.c.first_day.is_distinct_from(prior_auth_case.c.valid_from)
        | determination.c.last_day.is_distinct_from(prior_auth_case.c.valid_until),
        or_(determination.c.first_day > _STARTS, determination.c.last_day < _ENDS),
    ),
)
_GRANTED_OTHERWISE = _decided_so(_OTHER_GRANT)
# What else a clinician states of a line is in the request alone: whether it was asked for just so,
# is not looked at.
_MODIFIED = _decided_so(or_(_OTHER_GRANT, determination.c.with_detail))


def _coded(example: ItemExample) -> ColumnElement[bool]:
    """One of the codes, or one of the same length from the first of them to the last of a range."""
    code = case_item.c.code
    one_of = code.in_(example.codes)
    if example.last_code is None:
        return one_of
    ordered = code.collate("C")
    within = ordered.between(literal(example.codes[0]), literal(example.last_code))
    return or_(one_of, and_(func.length(code) == len(example.codes[0]), within))


def _example(example: ItemExample) -> dict[str, Any]:
    """An example as the function knows it: codes one by one, and a status.

    A range of codes filters nothing here, nor does whether something else was granted than asked.
    """
    return {
        "codes": None if example.last_code is not None else list(example.codes) or None,
        "starts": _iso(example.starts),
        "ends": _iso(example.ends),
        "status": _NEVER if example.never else example.status,
    }


def _iso(day: date | None) -> str | None:
    return day.isoformat() if day is not None else None
