"""What bare SQL as the application's role must never bring about, whatever state a case is in.

An attempt is one or more statements about the case `:case`. Each is tried and taken back: what
counts is by which constraint it was refused, or that it found nothing to change.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.vaults import A_SEALED_SQL
from wiser_fhir.db.engine import transaction

NO_PERMISSION = "insufficient_privilege"
_NOTHING = "decode(repeat('00', 32), 'hex')"


@dataclass(frozen=True)
class Attempt:
    """Statements, and the constraints of which one refuses them where they find a row."""

    statements: tuple[str, ...]
    refused_by: frozenset[str]


def attempt(*statements: str, by: str) -> Attempt:
    """`by` are names of constraints, apart by spaces."""
    return Attempt(statements, frozenset(by.split()))


def determines(
    which: str,
    *,
    outcome: str = "'affirmed'",
    by: str = "'clinician', :person",
    revision: str = "c.revision",
    signed_in: str = "c.received_at + interval '50 minutes'",
    columns: str = "",
    values: str = "",
) -> str:
    """A determination of the lines `i` of the case `c` for which `which` holds.

    It is an hour after the request was received.
    """
    return (
        "insert into determination (organization_id, case_id, sequence, revision, outcome,"  # noqa: S608
        " decided_by, clinician_id, decided_at, rationale, resubmission_steps, input_sha256,"
        " mac, signed_in_at"
        f"{columns}) select c.organization_id, c.id, i.sequence, {revision}, {outcome}, {by},"
        f" c.received_at + interval '1 hour', {A_SEALED_SQL}, {A_SEALED_SQL},"
        f" {_NOTHING}, {_NOTHING}, {signed_in}{values}"
        " from prior_auth_case c join case_item i on i.case_id = c.id"
        f" where c.id = :case and {which}"
    )


def says(status: str, *, which: str = "c.status = 'in-review'") -> str:
    """The case says that it is decided, an hour after it was received."""
    return (
        f"update prior_auth_case c set status = '{status}',"  # noqa: S608
        " decided_at = c.received_at + interval '1 hour',"
        " valid_from = (c.received_at + interval '1 hour') at time zone 'America/New_York',"
        " valid_until = ((c.received_at + interval '1 hour')"
        f" at time zone 'America/New_York')::date + 119 where c.id = :case and {which}"
    )


def orders(revision: str = "c.revision") -> str:
    """A number is ordered."""
    return (
        "insert into utn (organization_id, case_id, revision, source, state, requested_at,"  # noqa: S608
        f" valid_from, valid_until) select c.organization_id, c.id, {revision}, 'local',"
        " 'pending', coalesce(c.decided_at, c.received_at), c.valid_from, c.valid_until"
        " from prior_auth_case c where c.id = :case"
    )


OPEN = "c.status = 'in-review' and i.status = 'pended'"
WITH_A_PRIMARY = (
    "exists (select from case_item p where p.case_id = c.id and p.role = 'primary'"
    " and p.status = 'pended')"
)
DECIDED = "('affirmed', 'partially-affirmed', 'non-affirmed')"
LINES = "update case_item set status = 'affirmed' where case_id = :case and status = 'pended'"
MORE = (
    "update prior_auth_case set status = 'in-review', revision = revision + 1, decided_at = null,"
    " valid_from = null, valid_until = null, decide_by = received_at where id = :case and status"
)
LIVE = "('pending', 'assigned', 'failed')"


def affirms(
    which: str = OPEN,
    *,
    by: str = "'clinician', :person",
    columns: str = "",
    values: str = "",
) -> tuple[str, ...]:
    """All that an affirmation of the whole case takes."""
    determination = determines(which, by=by, columns=columns, values=values)
    return determination, LINES, says("affirmed"), orders()


ATTEMPTS: Mapping[str, Attempt] = {
    "software does not affirm": attempt(
        determines(OPEN, outcome="'non-affirmed'", by="'software', null"),
        by="ck_determination_software_only_affirms determination_over_a_clinicians",
    ),
    "nobody determines": attempt(
        determines(OPEN, by="'clinician', null"),
        by="determination_live_licence",
    ),
    "nobody who signed in does not affirm": attempt(
        determines(OPEN, outcome="'non-affirmed'", signed_in="null"),
        by="determination_signed_in",
    ),
    "who signed in long ago does not affirm": attempt(
        determines(
            OPEN,
            outcome="'non-affirmed'",
            signed_in="c.received_at + interval '44 minutes 59 seconds'",
        ),
        by="determination_signed_in",
    ),
    "who signs in afterwards does not affirm": attempt(
        determines(
            OPEN,
            outcome="'non-affirmed'",
            signed_in="c.received_at + interval '60 minutes 1 second'",
        ),
        by="determination_signed_in",
    ),
    "a licence is over": attempt(
        determines(OPEN, by="'clinician', :lapsed"), by="determination_live_licence"
    ),
    "one of theirs determines": attempt(
        determines(OPEN, by="'clinician', :insider"), by="determination_by_an_outsider"
    ),
    "another revision is determined": attempt(
        determines(OPEN, revision="c.revision + 1"), by="determination_of_this_revision"
    ),
    "software affirms over a clinician": attempt(
        determines(
            "c.revision > 1 and exists (select from determination d where d.case_id = c.id"
            " and d.sequence = i.sequence and d.outcome = 'non-affirmed'"
            " and d.revision < c.revision) and not exists (select from determination d"
            " where d.case_id = c.id and d.sequence = i.sequence and d.revision = c.revision)",
            by="'software', null",
        ),
        by="determination_over_a_clinicians",
    ),
    "a determination is changed": attempt(
        "update determination set outcome = 'affirmed' where case_id = :case", by=NO_PERMISSION
    ),
    "a determination is deleted": attempt(
        "delete from determination where case_id = :case", by=NO_PERMISSION
    ),
    "history is changed": attempt(
        "update case_event set text = 'x' where case_id = :case", by=NO_PERMISSION
    ),
    "history is deleted": attempt("delete from case_event where case_id = :case", by=NO_PERMISSION),
    "a number is deleted": attempt("delete from utn where case_id = :case", by=NO_PERMISSION),
    "a message is changed": attempt(
        "update message set body = 'x' where case_id = :case", by=NO_PERMISSION
    ),
    "a licence is renewed": attempt(
        "update person set licence_expires = '2099-01-01' where id = :lapsed", by=NO_PERMISSION
    ),
    "what is cancelled is opened": attempt(f"{MORE} = 'cancelled'", by="case_moves_forward"),
    "what is dismissed is opened": attempt(f"{MORE} = 'dismissed'", by="case_moves_forward"),
    "what is not affirmed is opened": attempt(f"{MORE} = 'non-affirmed'", by="case_moves_forward"),
    "what is decided is opened as it is": attempt(
        "update prior_auth_case set status = 'in-review', decided_at = null, valid_from = null,"  # noqa: S608
        f" valid_until = null where id = :case and status in {DECIDED}",
        by="case_moves_forward",
    ),
    "what is decided is decided otherwise": attempt(
        "update prior_auth_case set valid_from = null, valid_until = null, status = 'non-affirmed'"
        " where id = :case and status in ('affirmed', 'partially-affirmed')",
        by="case_moves_forward",
    ),
    "what is in review is dismissed": attempt(
        "update prior_auth_case set status = 'dismissed', dismissal_reason = 'exempt-provider',"
        " dismissal_detail = 'x' where id = :case and status = 'in-review'",
        by="case_moves_forward",
    ),
    "what is in review is cancelled as it is": attempt(
        "update prior_auth_case set status = 'cancelled' where id = :case and status = 'in-review'",
        by="case_moves_forward",
    ),
    "a revision is left out": attempt(
        "update prior_auth_case set revision = revision + 2 where id = :case",
        by="case_moves_forward",
    ),
    "a case is affirmed by nobody": attempt(says("affirmed"), by="case_agrees_with_its_items"),
    "a case is affirmed and its lines are not": attempt(
        determines(OPEN),
        says("affirmed"),
        by="case_agrees_with_its_items determination_of_a_decided_line",
    ),
    "lines are affirmed and their case is not": attempt(
        determines(OPEN), LINES, by="case_agrees_with_its_items"
    ),
    "a case is affirmed and has no number": attempt(
        determines(f"{OPEN} and {WITH_A_PRIMARY}"),
        LINES,
        says("affirmed"),
        by="case_agrees_with_its_utn",
    ),
    "a line is affirmed by nobody": attempt(LINES, by="fk_case_item_determination"),
    "a decided line is decided otherwise": attempt(
        "update case_item set status = case status when 'affirmed' then 'non-affirmed'"
        " else 'affirmed' end where case_id = :case and outcome is not null",
        by="item_keeps_its_decision",
    ),
    "a decided line is delivered elsewhere": attempt(
        "update case_item set site_kind = 'bill-type', site_code = '99' where case_id = :case"
        " and outcome is not null",
        by="item_keeps_its_site",
    ),
    "a decided line is another one": attempt(
        "update case_item set code = '62321' where case_id = :case and outcome is not null",
        by="item_keeps_its_decision",
    ),
    "a decided line has more units": attempt(
        "update case_item set quantity = quantity + 1 where case_id = :case"
        " and outcome is not null",
        by="item_keeps_its_decision",
    ),
    "a cancelled line is wanted again": attempt(
        "update case_item set status = 'pended' where case_id = :case and status = 'cancelled'",
        by="item_keeps_its_decision",
    ),
    "a number stands beside another": attempt(
        "insert into utn (organization_id, case_id, revision, source, state, requested_at)"  # noqa: S608
        " select organization_id, case_id, revision + 7, 'local', 'pending', requested_at from utn"
        f" where case_id = :case and state in {LIVE}",
        by="uq_utn_live",
    ),
    "a number is given twice": attempt(
        "insert into utn (organization_id, case_id, revision, source, state, requested_at, utn,"
        " assigned_at, ended_at) select organization_id, case_id, revision + 7, source,"
        " 'superseded', requested_at, utn, assigned_at, assigned_at from utn"
        " where case_id = :case and utn is not null",
        by="uq_utn_utn",
    ),
    "a number is exchanged": attempt(
        "update utn set utn = 'ZZB00000000000' where case_id = :case and utn is not null",
        by="utn_given_once",
    ),
    "a number is taken back": attempt(
        "update utn set state = 'pending', utn = null, assigned_at = null, delivered_at = null,"
        " resent_at = null where case_id = :case and state = 'assigned'",
        by="utn_given_once",
    ),
    "a number that expired is good again": attempt(
        "update utn set state = 'assigned', ended_at = null where case_id = :case"
        " and state = 'expired'",
        by="utn_given_once",
    ),
    "a number that was superseded is good again": attempt(
        "update utn set state = case when utn is null then 'pending' else 'assigned' end,"
        " ended_at = null where case_id = :case and state = 'superseded'",
        by="utn_given_once",
    ),
    "a number is for undecided lines": attempt(
        orders() + " and c.status = 'in-review'"
        " and not exists (select from utn u where u.case_id = c.id)",
        by="utn_agrees_with_its_case",
    ),
    "a number lasts longer": attempt(
        "update utn set valid_until = valid_until + 1 where case_id = :case", by=NO_PERMISSION
    ),
    "a decision lasts longer": attempt(
        "update prior_auth_case set valid_until = valid_until + 1 where id = :case"
        " and valid_until is not null",
        by="ck_prior_auth_case_validity",
    ),
    "a case is cancelled and its number is not": attempt(
        "update case_item set status = 'cancelled', revision = revision + 1"  # noqa: S608
        " where case_id = :case and status <> 'not-applicable' and exists (select from"
        f" utn u where u.case_id = :case and u.state in {LIVE})",
        "update prior_auth_case set status = 'cancelled', revision = revision + 1,"
        " decided_at = null, valid_from = null, valid_until = null"
        " where id = :case and status not in ('cancelled', 'non-affirmed')",
        by="case_agrees_with_its_utn",
    ),
    "a review is expedited that nobody asked for": attempt(
        "update prior_auth_case set expedited = true where id = :case and not expedite_requested",
        by="ck_prior_auth_case_expedited",
    ),
    "an event is counted that there is not": attempt(
        "update subscription set last_number = last_number + 1", by="subscription_has_its_event"
    ),
    "an event is left out": attempt(
        "update subscription set last_number = last_number + 2", by="subscription_counts_on"
    ),
    "an event is forgotten": attempt(
        "update subscription set last_number = last_number - 1 where last_number > 0",
        by="subscription_counts_on ck_subscription_numbers",
    ),
    "an event is deleted": attempt("delete from subscription_event", by=NO_PERMISSION),
    "a token is good again": attempt(
        "update access_token set revoked_at = null where revoked_at is not null",
        by="token_stays_revoked",
    ),
    "a person's token is good again": attempt(
        "update person_token set revoked_at = null where revoked_at is not null",
        by="token_stays_revoked",
    ),
    "more units are granted than asked for": attempt(
        *affirms(f"{OPEN} and c.revision = 1", columns=", quantity", values=", i.quantity + 1"),
        by="determination_grants_what_was_asked",
    ),
    "days are granted that were not asked for": attempt(
        *affirms(
            f"{OPEN} and c.revision = 1",
            columns=", first_day, last_day",
            values=", i.service_date - 1, i.service_date - 1",
        ),
        by="determination_grants_what_was_asked",
    ),
    "days are granted beyond the 120": attempt(
        determines(
            OPEN,
            columns=", first_day, last_day",
            values=", i.service_date, i.service_date + 300",
        ),
        by="ck_determination_within_its_days",
    ),
    "days are granted before the decision": attempt(
        determines(
            OPEN,
            columns=", first_day, last_day",
            values=", c.received_at::date - 10, i.service_date",
        ),
        by="ck_determination_within_its_days",
    ),
    "a line is determined and stays undecided": attempt(
        determines(OPEN), by="determination_of_a_decided_line"
    ),
    "a decided line is determined again": attempt(
        determines("c.status <> 'in-review' and i.outcome is null and i.revision = c.revision"),
        by="determination_of_a_decided_line",
    ),
    "software decides what is in review": attempt(
        *affirms(f"{OPEN} and c.revision = 1", by="'software', null"),
        by="case_in_review_is_a_clinicians",
    ),
    "lines are decided differently too early": attempt(
        determines(
            f"{OPEN} and c.received_at < '2026-04-01' and i.sequence = 1"
            " and exists (select from case_item o where o.case_id = c.id and o.sequence = 2"
            " and o.status = 'pended')"
        ),
        determines(f"{OPEN} and i.sequence > 1", outcome="'non-affirmed'"),
        LINES + " and sequence = 1",
        LINES.replace("'affirmed'", "'non-affirmed'"),
        says("partially-affirmed"),
        by="ck_prior_auth_case_partial",
    ),
    "an add-on is affirmed without its primary": attempt(
        determines(f"{OPEN} and i.role = 'add-on'"),
        determines(f"{OPEN} and i.role = 'primary'", outcome="'non-affirmed'"),
        LINES + " and role = 'add-on'",
        LINES.replace("'affirmed'", "'non-affirmed'"),
        says("partially-affirmed"),
        by="case_agrees_with_its_items ck_prior_auth_case_partial",
    ),
    "a number is superseded by nothing": attempt(
        "update utn set state = 'superseded', ended_at = now() where case_id = :case"  # noqa: S608
        f" and state in {LIVE}",
        by="utn_gives_way_to_a_later",
    ),
    "a number expires too early": attempt(
        "update utn set state = 'expired', ended_at = coalesce(valid_from, now())"
        " where case_id = :case and state = 'assigned'",
        by="ck_utn_expired",
    ),
    "what was answered is asked for again": attempt(
        "update information_request set state = 'open', answered_at = null"
        " where case_id = :case and state <> 'open'",
        by="information_request_ends_once",
    ),
    "a decided case was received on another day": attempt(
        "update prior_auth_case set received_at = received_at - interval '9 days'"  # noqa: S608
        f" where id = :case and status in {DECIDED}",
        by="case_keeps_what_was_decided",
    ),
    "a decided case goes by other rules": attempt(
        "update prior_auth_case set rules = '2020-01-01'"  # noqa: S608
        f" where id = :case and status in {DECIDED}",
        by="case_keeps_what_was_decided",
    ),
    "a decided line has another role": attempt(
        "update case_item set role = 'associated' where case_id = :case and outcome is not null",
        by="item_keeps_its_decision",
    ),
    "an answer that was given is another one": attempt(
        "update submission set answer_message_id = answer_message_id where case_id = :case",
        by=NO_PERMISSION,
    ),
}


async def outcomes(
    engine: AsyncEngine,
    organization_id: UUID,
    about: Mapping[str, UUID],
    attempts: Mapping[str, Attempt] = ATTEMPTS,
) -> dict[str, str]:
    """What came of each attempt: `through`, `nothing` to change, or what refused it.

    `about` names the `case`, a `person` who may decide, one whose licence has `lapsed`, and an
    `insider` of the organization.
    """
    async with transaction(engine, organization_id) as db:
        for name, value in about.items():
            setting = text("select set_config(:name, :value, true)")
            await db.execute(setting, {"name": f"life.{name}", "value": str(value)})
        await db.exec_driver_sql(_block(attempts))
        said = await db.scalar(text("select current_setting('life.said')"))
    return dict(each.split("\t") for each in str(said).splitlines())


def _block(attempts: Mapping[str, Attempt]) -> str:
    """One trip for all of them: each runs in a block of its own that always ends in an error."""
    tries = "\n".join(_try(name, each) for name, each in attempts.items())
    return (
        "do $life$ declare met_rows integer; met_name text; met_state text; said text := '';"
        f" begin {tries} perform set_config('life.said', said, true); end $life$"
    )


def _try(name: str, each: Attempt) -> str:
    steps = "".join(
        f"{_about(statement)}; get diagnostics met_rows = row_count;"
        " if met_rows = 0 then raise exception using errcode = 'P0001', constraint = 'nothing';"
        " end if;\n"
        for statement in each.statements
    )
    return (
        f"begin {steps} set constraints all immediate;"
        " raise exception using errcode = 'P0001', constraint = 'through';\n"
        "exception when others then get stacked diagnostics met_name = constraint_name,"
        " met_state = returned_sqlstate;\n"
        f" said := said || $${name}$$ || chr(9) || case when met_name <> '' then met_name"
        f" when met_state = '42501' then '{NO_PERMISSION}' else met_state end || chr(10); end;"
    )


def _about(statement: str) -> str:
    for name in ("case", "person", "lapsed", "insider"):
        statement = statement.replace(f":{name}", f"current_setting('life.{name}')::uuid")
    return statement
