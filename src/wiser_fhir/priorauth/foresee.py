"""What a request for an order would come to, told before anybody makes it. See `outlook`."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date

from wiser_fhir.coverage.catalogue import Catalogue
from wiser_fhir.coverage.requested import CPT, HCPCS
from wiser_fhir.priorauth.items import classify
from wiser_fhir.priorauth.models import Party, RequestedItem, SiteKind, Submission
from wiser_fhir.priorauth.outlook import Outlook, code_of
from wiser_fhir.priorauth.registry import Registry
from wiser_fhir.priorauth.rules import facility_type, is_npi
from wiser_fhir.priorauth.situation import TAKEN, Foreseen, Missing, Situation, in_order, unsaid
from wiser_fhir.priorauth.standing import Standing
from wiser_fhir.priorauth.visit import Visit

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
) -> Foreseen:
    """What a request for the first line would come to, on the business date `on`.

    The other lines are orders of the same occasion: an add-on finds its primary code there. A line
    that names several procedure codes is judged by each. `excluded` says that the service is an
    inpatient's or an emergency's, `coverage_ended` that Medicare coverage is over.

    Source: WISeR Operational Guide 6.0, 4.1 (the gates), 5 (exemption), 8.2 (what is left out).
    """
    readable, unclear = _readable(submission)
    asked, *companions = readable.items
    seen = []
    for line in _each_procedure(asked):
        lines = _together(line, companions, catalogue, on)
        alone = replace(readable, items=lines)
        found = classify(alone, catalogue, on)
        visit = Visit(alone, found, catalogue, registry, served_states, on)
        outlook = Outlook(visit, tuple(companions), tuple(standing), unclear, excluded)
        seen.append(outlook.coverage_ended() if coverage_ended else outlook.foreseen())
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

    A request with such a number is dismissed; an order with one can still be put right.
    """
    parties = tuple(map(_with_valid_npi, submission.parties))
    items = tuple(map(_with_valid_site, submission.items))
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
    named = {c.code: c for c in reversed(item.service.codes) if c.system in (CPT, HCPCS)}
    if not named:
        yield item
    for code in reversed(named.values()):
        yield replace(item, service=replace(item.service, codes=(code,)))


def _together(
    line: RequestedItem, companions: Sequence[RequestedItem], catalogue: Catalogue, on: date
) -> tuple[RequestedItem, ...]:
    """The line; an add-on with its primary codes, which share its occasion: day, state, place."""
    first, code = line, code_of(line)
    rules = catalogue.rules_for(code, on) if code else None
    wanted = rules.by_code[code.code].add_on_to if code and rules else ()
    primaries = [
        replace(other, service=replace(other.service, codes=(coding,)))
        for other in companions
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
