"""What a request for an order would come to, told before anybody makes it. See `outlook`."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date
from itertools import islice

from wiser_fhir.coverage.catalogue import Catalogue
from wiser_fhir.priorauth.items import classify
from wiser_fhir.priorauth.models import Party, RequestedItem, SiteKind, Submission
from wiser_fhir.priorauth.outlook import PERFORMERS, Outlook, code_of, is_procedure
from wiser_fhir.priorauth.registry import Registry
from wiser_fhir.priorauth.rules import facility_type, is_npi
from wiser_fhir.priorauth.situation import TAKEN, Foreseen, Missing, Situation, in_order, unsaid
from wiser_fhir.priorauth.standing import Standing
from wiser_fhir.priorauth.visit import Visit

_OF_WHO_BILLS = (Situation.EXEMPT, Situation.INELIGIBLE)
_MOST_CANDIDATES = 20

__all__ = ["TAKEN", "Foreseen", "Missing", "Situation", "after_failed_fetch", "foresee"]


def foresee(
    submission: Submission,
    standing: Sequence[Standing],
    *,
    catalogue: Catalogue,
    registry: Registry,
    served_states: frozenset[str],
    on: date,
    excluded: bool = False,
    coverage_ended: bool = False,
    of_procedure: bool = True,
) -> Foreseen:
    """What a request for the first line would come to, on the business date `on`.

    The other lines are orders of the same occasion: an add-on finds its primary code there. A line
    that names several procedure codes is judged by each, and several who perform or bill are taken
    for alternatives. `excluded` says that the service is an inpatient's or an emergency's,
    `coverage_ended` that Medicare coverage is over. `of_procedure` is False for an order of a
    thing, such as a device or a drug: a code that nobody can read is then none of WISeR's.

    Source: WISeR Operational Guide 6.0, 4.1 (the gates), 5 (exemption), 8.2 (what is left out).
    """
    readable, unclear = _readable(submission)
    asked, *companions = readable.items
    seen = []
    for line in _each_procedure(asked):
        alone = replace(readable, items=_together(line, readable.items, catalogue, on))
        found = classify(alone, catalogue, on)
        visit = Visit(alone, found, catalogue, registry, served_states, on)
        outlook = Outlook(
            visit, tuple(companions), tuple(standing), unclear, excluded, of_procedure
        )
        seen.append(outlook.coverage_ended() if coverage_ended else _whoever(outlook))
    return _agreed(seen)


def after_failed_fetch(foreseen: Foreseen) -> Foreseen:
    """The same where a fact that may matter could not be fetched: what hangs on it is not known.

    Source: CRD 2.2.1 §resp-43.
    """
    if foreseen.situation in (Situation.MISSING, Situation.MEMBER_NOT_FOUND):
        return replace(foreseen, situation=Situation.TECHNICAL, missing=(), standing=None)
    return foreseen


def _readable(submission: Submission) -> tuple[Submission, frozenset[Missing]]:
    """The submission without numbers that are none, and what that leaves open.

    A request with such a number is dismissed; an order with one can still be put right. Of the
    lines only the first is looked at: see `_together` for the rest.
    """
    parties = tuple(map(_with_valid_npi, submission.parties))
    first, *others = submission.items
    items = (_with_valid_site(first), *others)
    unclear = frozenset({Missing.PERFORMER} if parties != submission.parties else ())
    return replace(submission, parties=parties, items=items), unclear


def _with_valid_npi(party: Party) -> Party:
    bad = party.npi is not None and not is_npi(party.npi)
    return replace(party, npi=None) if bad else party


def _with_valid_site(item: RequestedItem) -> RequestedItem:
    site = item.site
    bad = site and site.kind is SiteKind.BILL_TYPE and facility_type(site.code) is None
    return replace(item, site=None) if bad else item


def _each_procedure(item: RequestedItem) -> Iterator[RequestedItem]:
    """The line once for each procedure code it names; as it is where it names none."""
    named = {c.code: c for c in reversed(item.service.codes) if is_procedure(c)}
    if not named:
        yield item
    for code in reversed(named.values()):
        yield replace(item, service=replace(item.service, codes=(code,)))


def _together(
    line: RequestedItem, orders: Sequence[RequestedItem], catalogue: Catalogue, on: date
) -> tuple[RequestedItem, ...]:
    """The line; an add-on with its primary codes, which share its occasion: day, state, place.

    It finds them in the other `orders`, and in its own, where one concept has several codings.
    """
    first, code = line, code_of(line)
    rules = catalogue.rules_for(code, on) if code else None
    wanted = rules.by_code[code.code].add_on_to if code and rules else ()
    primaries = [
        _with_valid_site(replace(other, service=replace(other.service, codes=(coding,))))
        for other in orders
        for coding in other.service.codes
        if coding.code in wanted and catalogue.rules_for(coding, on) is rules
    ]
    for primary in primaries:
        own, lent = first.service, primary.service
        service = replace(
            own,
            date_of_service=own.date_of_service or lent.date_of_service,
            state=own.state or lent.state,
        )
        first = replace(first, service=service, site=first.site or primary.site)
    return tuple(replace(each, sequence=n) for n, each in enumerate((first, *primaries), start=1))


def _whoever(outlook: Outlook) -> Foreseen:
    """One answer whichever of several performs or bills. Where they part, that is what is lacking.

    What holds whoever it is stays: that nobody reviews it, or somebody else.
    """
    submission = outlook.visit.submission
    candidates = tuple(islice(_candidates(submission.parties), _MOST_CANDIDATES + 1))
    seen = []
    for parties in candidates[:_MOST_CANDIDATES]:
        visit = replace(outlook.visit, submission=replace(submission, parties=parties))
        seen.append(replace(outlook, visit=visit).foreseen())
    first = seen[0]
    if len(seen) == len(candidates) and all(_answer(each) == _answer(first) for each in seen):
        return first
    certain = [each for each in seen if each.situation not in (*TAKEN, *_OF_WHO_BILLS)]
    if certain:
        return certain[0]
    if outlook.excluded:
        return outlook.left_out()
    missing = in_order({Missing.PERFORMER, *(fact for each in seen for fact in each.missing)})
    return replace(
        first, situation=Situation.MISSING, missing=missing, detail=unsaid(missing), standing=None
    )


def _answer(foreseen: Foreseen) -> tuple[Situation, tuple[Missing, ...], Standing | None]:
    return foreseen.situation, foreseen.missing, foreseen.standing


def _candidates(parties: Sequence[Party]) -> Iterator[tuple[Party, ...]]:
    """The parties with one in each role of those who perform; each number in such a role once.

    The first of a role comes first. Of the others who has no number cannot be told from it.
    """
    first = {party.role: party for party in reversed(parties) if party.role in PERFORMERS}
    base = tuple(party for party in parties if first.get(party.role, party) is party)
    yield base
    for role, leading in first.items():
        numbered = {party.npi: party for party in parties if party.role is role and party.npi}
        for npi, other in numbered.items():
            if npi != leading.npi:
                yield tuple(other if party is leading else party for party in base)


def _agreed(seen: Sequence[Foreseen]) -> Foreseen:
    """One answer for all the procedures that an order may mean.

    A code that merely follows another says nothing. Where some of the rest come to one thing and
    some to another, the code is what is lacking.
    """
    if len(seen) == 1:
        return seen[0]
    follow = {code for each in seen if each.rules for code in each.rules.associated_codes}
    counted = [
        each for each in seen if each.rules or each.code is None or each.code.code not in follow
    ]
    taken = [each for each in counted if each.situation in TAKEN]
    if not taken:
        return max(counted, key=_weight)
    missing = {fact for each in taken for fact in each.missing}
    first = taken[0]
    if {_kind(each) for each in counted} == {_kind(first)}:
        every = in_order(missing)
        return replace(first, missing=every, detail=unsaid(every)) if every else first
    every = in_order({*missing, Missing.CODE})
    return replace(
        first,
        situation=Situation.MISSING,
        missing=every,
        detail=unsaid(every),
        standing=None,
    )


def _weight(foreseen: Foreseen) -> tuple[bool, bool]:
    """Of several that are certain: whom to ask goes before nobody, a code of the model before none.

    The first of equals stays.
    """
    elsewhere = foreseen.situation is Situation.OTHER_MODEL_STATE
    return elsewhere, foreseen.rules is not None


def _kind(foreseen: Foreseen) -> tuple[Situation, str | None]:
    return foreseen.situation, foreseen.rules.slug if foreseen.rules else None
