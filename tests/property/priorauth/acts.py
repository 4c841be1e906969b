"""What providers, clinicians, jobs and time do to a world, each by its name."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

from tests.property.priorauth.lives import NOTES, Act, Cleared, Refusing, World, a_line, a_request
from tests.reviewing import CATALOGUE, Told, affirm, by, non_affirm, signed_in
from tests.unit.priorauth.wiser_requests import MBI
from wiser_fhir.clock import business_date
from wiser_fhir.coverage.requested import CPT, Code
from wiser_fhir.priorauth.asked import Asked
from wiser_fhir.priorauth.attached import Attached, AttachmentKind, AttachTo, Delivery
from wiser_fhir.priorauth.attachment_rows import prepared
from wiser_fhir.priorauth.attachments import AttachmentService
from wiser_fhir.priorauth.clearing import Clearing
from wiser_fhir.priorauth.clocks import LeadTimes, escalate
from wiser_fhir.priorauth.determination import Determination, ItemDetermination
from wiser_fhir.priorauth.information import Material, RequestState, Wanted
from wiser_fhir.priorauth.models import Change, ItemChange, ItemStatus, RequestedItem, RequestKind
from wiser_fhir.priorauth.numbers import LocalUtnSource, time_ordered_uuid
from wiser_fhir.priorauth.utn_life import SourceExchange, UtnLife

ADD_ON = "64484"


def asks(*codes: str, met: bool = False, urgent: bool = False) -> Act:
    """The provider sends a new request."""

    async def act(world: World) -> None:
        await world.submit(a_request(world, met=met, codes=codes, expedite_requested=urgent))

    return act


async def asks_again(world: World) -> None:
    """The provider resubmits what was decided, under its number."""
    before = (await world.stored()).case
    codes = tuple(item.code.code for item in before.items)
    resubmission = a_request(
        world,
        met=False,
        codes=codes,
        kind=RequestKind.RESUBMISSION,
        previous_utn=before.utn or before.superseded_utn,
    )
    await world.submit(resubmission)


def updates(
    *,
    met: bool = False,
    add: str | None = None,
    later: bool = False,
    without: tuple[int, ...] = (),
    whole: bool = False,
    as_before: bool = False,
) -> Act:
    """The provider tells everything again, and what is new; `as_before` with the form it had."""

    async def act(world: World) -> None:
        before = world.sent[(await world.stored()).request_body]
        fresh = a_request(world, met=met, codes=())
        items = [_again(item, later=later, gone=item.sequence in without) for item in before.items]
        if add is not None:
            items.append(a_line(len(items) + 1, add, business_date(world.clock())))
        update = replace(
            before,
            identifier=fresh.identifier,
            trace=fresh.trace,
            received_at=fresh.received_at,
            items=tuple(items),
            forms=before.forms if as_before else fresh.forms,
            change=Change((before.trace,), whole=whole),
        )
        await world.update(update)

    return act


def _again(item: RequestedItem, *, later: bool, gone: bool) -> RequestedItem:
    """A line in an update: a day later, or wanted no more."""
    cancelled = item.cancelled or gone
    day = item.service.date_of_service
    if not later or day is None:
        return replace(item, change=None, cancelled=cancelled)
    service = replace(item.service, date_of_service=day + timedelta(days=1))
    return replace(item, service=service, change=ItemChange.CHANGED, cancelled=cancelled)


Decides = Callable[[int, date], ItemDetermination]


def determines(first: Decides, others: Decides, *, stale: bool = False) -> Act:
    """The clinician decides the open lines, the first in one way and the others in another."""

    async def act(world: World) -> object:
        case = (await world.stored()).case
        open_lines = [item for item in case.items if item.status is ItemStatus.PENDED]
        decisions = tuple(
            (first if position == 0 else others)(item.sequence, item.date_of_service or date.max)
            for position, item in enumerate(open_lines)
        )
        revision = case.revision - 1 if stale else case.revision
        said = Determination(decisions)
        return await world.review.determine(
            by(signed_in(world.who, world.clock.now)), case.id, revision, said
        )

    return act


def as_asked(sequence: int, _: date) -> ItemDetermination:
    """Affirmed."""
    return affirm(sequence)


def not_affirmed(sequence: int, _: date) -> ItemDetermination:
    """Not affirmed."""
    return non_affirm(sequence)


def units(count: int) -> Decides:
    """Affirmed for so many units of the two asked for."""
    return lambda sequence, _: affirm(sequence, quantity=Decimal(count))


def days(*, before: int = 0, after: int = 0) -> Decides:
    """Affirmed from so many days before the one asked for until so many after it."""
    return lambda sequence, day: affirm(
        sequence, first_day=day - timedelta(before), last_day=day + timedelta(after)
    )


def another_code(sequence: int, _: date) -> ItemDetermination:
    """Affirmed for another primary code of the service."""
    return affirm(sequence, code=Code(CPT, "64479"))


async def asks_for_notes(world: World) -> object:
    """The clinician asks for a document."""
    revision = (await world.stored()).case.revision
    asked = [Asked(Material.DOCUMENTS, (Wanted(code=NOTES),))]
    return await world.review.request_information(by(world.who), world.case_id, revision, asked)


async def asks_no_more(world: World) -> None:
    """The clinician takes back what is asked for."""
    for each in (await world.stored()).case.requests:
        if each.state is RequestState.OPEN:
            await world.review.withdraw_request(by(world.who), world.case_id, each.id)


async def attaches(world: World) -> object:
    """The provider sends a document, whatever was asked for."""
    trace = world.sent[(await world.stored()).request_body].trace
    content = b"%PDF-1.7\n" + time_ordered_uuid().bytes
    file = Attached(
        AttachmentKind.FILE, "DocumentReference", "application/pdf", content, code=Code("", NOTES)
    )
    delivery = Delivery(AttachTo.PREAUTHORIZATION, trace, None, MBI, {}, None, True, (file,))
    service = AttachmentService(world.app, world.recorder)
    call = prepared(world.caller, delivery, "2.2", world.clock())
    return await service.receive(world.caller, call)


async def clears(world: World) -> object:
    """The scanner has looked at what came."""
    return await Clearing(world.app, world.recorder, Told(), world.clock, Cleared()).run()


def expedites(*, confirmed: bool) -> Act:
    """The clinician sees the risk, or does not."""

    async def act(world: World) -> object:
        revision = (await world.stored()).case.revision
        if confirmed:
            return await world.review.confirm_expedite(by(world.who), world.case_id, revision)
        said = "No risk is seen."
        return await world.review.decline_expedite(by(world.who), world.case_id, revision, said)

    return act


async def takes(world: World) -> None:
    """The clinician takes the case up."""
    await world.review.assign(by(world.who), world.case_id)


async def lets_go(world: World) -> None:
    """The clinician gives it back."""
    await world.review.release(by(world.who), world.case_id)


async def notes(world: World) -> None:
    """The clinician writes something down."""
    await world.review.note(by(world.who), world.case_id, "Imaging looked at.")


def numbers_come(*, at_once: bool) -> Act:
    """Whether the next numbers are there with their decision."""

    async def act(world: World) -> None:
        world.numbers.at_once = at_once

    return act


def assigns(*, away: bool = False) -> Act:
    """The job asks for numbers."""

    async def act(world: World) -> object:
        exchange = Refusing() if away else SourceExchange(LocalUtnSource())
        shape = CATALOGUE.process.utn
        return await UtnLife(world.app, world.clock, exchange, Told(), shape).assign()

    return act


async def expires(world: World) -> object:
    """The job ends numbers past their last day."""
    exchange = SourceExchange(LocalUtnSource())
    return await UtnLife(world.app, world.clock, exchange, Told(), CATALOGUE.process.utn).expire()


async def marks(world: World) -> object:
    """The job looks at deadlines."""
    return await escalate(world.app, world.clock, LeadTimes())


def waits(**span: float) -> Act:
    """Time goes by."""

    async def act(world: World) -> None:
        world.clock.now += timedelta(**span)

    return act


async def looks_back(world: World) -> None:
    """From now on it is about the first case, or about the latest again."""
    world.looks_back = not world.looks_back


ACTS: dict[str, Act] = {
    "asks": asks("64483"),
    "asks for two": asks("64483", ADD_ON),
    "asks for two approaches": asks("64483", "62323"),
    "asks urgently": asks("64483", "62323", urgent=True),
    "asks with all met": asks("64483", ADD_ON, met=True),
    "asks for what is no service": asks("99213"),
    "asks again": asks_again,
    "updates": updates(),
    "updates with all met": updates(met=True),
    "moves the day": updates(later=True),
    "adds a line": updates(add=ADD_ON),
    "adds an approach with all met": updates(met=True, add="62323"),
    "cancels the first line": updates(without=(1,), as_before=True),
    "cancels the second line": updates(without=(2,), as_before=True),
    "cancels line by line": updates(without=(1, 2, 3, 4)),
    "cancels": updates(whole=True),
    "affirms": determines(as_asked, as_asked),
    "affirms nothing": determines(not_affirmed, not_affirmed),
    "affirms the first": determines(as_asked, not_affirmed),
    "affirms the others": determines(not_affirmed, as_asked),
    "affirms fewer": determines(units(1), as_asked),
    "affirms more than asked": determines(units(3), as_asked),
    "affirms the day": determines(days(), as_asked),
    "affirms days not asked for": determines(days(before=1, after=300), as_asked),
    "affirms another code": determines(another_code, as_asked),
    "affirms what it was": determines(as_asked, as_asked, stale=True),
    "asks for notes": asks_for_notes,
    "asks no more": asks_no_more,
    "attaches": attaches,
    "clears": clears,
    "sees the risk": expedites(confirmed=True),
    "sees no risk": expedites(confirmed=False),
    "takes": takes,
    "lets go": lets_go,
    "notes": notes,
    "numbers come later": numbers_come(at_once=False),
    "numbers come at once": numbers_come(at_once=True),
    "assigns": assigns(),
    "assigns in vain": assigns(away=True),
    "expires": expires,
    "marks": marks,
    "waits an hour": waits(hours=1),
    "waits four days": waits(days=4),
    "waits 120 days": waits(days=120),
    "looks back": looks_back,
}
