"""What is said of each line of a claim, held against what was decided before. Pure.

A line is covered only where its number is the member's and stands, and a line of that case is
affirmed for the code, the provider, the site and the days billed, with enough units left.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

from wiser_fhir.coverage.catalogue import Catalogue
from wiser_fhir.coverage.models import ServiceRules
from wiser_fhir.priorauth.claim import (
    Authorization,
    AuthorizedItem,
    Claim,
    ClaimLine,
    LineAnswer,
    LineStatus,
    UnitUse,
)
from wiser_fhir.priorauth.claim_scope import ClaimScope
from wiser_fhir.priorauth.models import CaseStatus, ItemStatus, PartyRole, UtnState
from wiser_fhir.priorauth.registry import Registry
from wiser_fhir.priorauth.rules import can_be_utn, site_of_service

_BILLS_FOR_FACILITY = (PartyRole.FACILITY, PartyRole.REQUESTER)
_BILLS_IN_PRACTICE = (PartyRole.RENDERING, PartyRole.REQUESTER, PartyRole.FACILITY)


def check_claim(
    claim: Claim,
    authorizations: Sequence[Authorization],
    catalogue: Catalogue,
    registry: Registry,
    on: date,
) -> tuple[LineAnswer, ...]:
    """An answer for every line, in their order; a line leaves fewer units for those after it.

    `authorizations` are those that the claim's numbers stand for, as far as the asker may know of
    them, and those of the member whose number is still to come. `on` is the business date of
    receipt, which picks the rule files.
    Source: WISeR Operational Guide 6.0, 4.3 and 7.
    """
    scope = ClaimScope(claim, catalogue, registry, on)
    check = _Check(claim, catalogue, scope, authorizations)
    return tuple(scope.outside(line) or check.answer(line) for line in claim.lines)


@dataclass(frozen=True)
class _Check:
    """The lines that need a number. `taken` are the units that earlier lines of this claim use."""

    claim: Claim
    catalogue: Catalogue
    scope: ClaimScope
    authorizations: Sequence[Authorization]
    taken: dict[tuple[str, int], Decimal] = field(default_factory=dict)

    def answer(self, line: ClaimLine) -> LineAnswer:
        rules = self.scope.services[line.number]
        if line.utn is None:
            return self._without_number(line, rules)
        if not can_be_utn(line.utn, self.catalogue.process.utn):
            return _said(line, rules, LineStatus.UTN_MALFORMED, _MALFORMED)
        found = next((a for a in self.authorizations if a.number == line.utn), None)
        if found is None:
            return _said(line, rules, LineStatus.UTN_UNKNOWN, _UNKNOWN)
        faults = (self._ended, self._provider, self._code, self._days, self._site)
        for fault in faults:
            said = fault(line, rules, found)
            if said is not None:
                return said
        return self._counted(line, rules, found)

    def _without_number(self, line: ClaimLine, rules: ServiceRules) -> LineAnswer:
        """A case that is decided has a number to come; else nobody has decided anything."""
        waiting = (a for a in self.authorizations if a.number is None and a.service == rules.slug)
        if any(self._bills(line, each) for each in waiting):
            return _said(line, rules, LineStatus.UTN_PENDING, _PENDING)
        return _said(line, rules, LineStatus.UTN_MISSING, _MISSING)

    def _ended(
        self, line: ClaimLine, rules: ServiceRules, found: Authorization
    ) -> LineAnswer | None:
        if found.case_status is CaseStatus.CANCELLED:
            return _said(line, rules, LineStatus.CANCELLED, _CANCELLED)
        if found.state is UtnState.SUPERSEDED:
            newer = found.newer or "one that is still to come"
            text = f"A later decision took the place of this one: use its number, {newer}."
            return _said(line, rules, LineStatus.SUPERSEDED, text, newer=found.newer)
        return None

    def _provider(
        self, line: ClaimLine, rules: ServiceRules, found: Authorization
    ) -> LineAnswer | None:
        if self._bills(line, found):
            return None
        return _said(line, rules, LineStatus.WRONG_PROVIDER, _WRONG_PROVIDER)

    def _bills(self, line: ClaimLine, found: Authorization) -> bool:
        """Whether the claim's provider is one of the case that bills at this site.

        Source: WISeR Operational Guide 6.0, 7: hospitals and surgery centers bill themselves.
        """
        site = site_of_service(line.site, self.catalogue.process)
        in_practice = site is not None and site.facility_identifier == "none"
        roles = _BILLS_IN_PRACTICE if in_practice else _BILLS_FOR_FACILITY
        named = {party.role for party in found.parties}
        if in_practice and PartyRole.RENDERING not in named:
            roles = (*roles, PartyRole.ORDERING)
        npis = {party.npi for party in found.parties if party.role in roles}
        return self.claim.provider_npi in npis

    def _code(
        self, line: ClaimLine, rules: ServiceRules, found: Authorization
    ) -> LineAnswer | None:
        """What was decided about the code billed. Only the number's own revision counts."""
        items = [item for item in found.items if item.code == line.code]
        if any(item.affirmed for item in items):
            return None
        if any(item.affirmed is False for item in items):
            return _said(line, rules, LineStatus.NON_AFFIRMED, _NON_AFFIRMED)
        if any(item.status is ItemStatus.CANCELLED for item in items):
            return _said(line, rules, LineStatus.CANCELLED, _LINE_CANCELLED)
        requested = {item.code for item in found.items}
        primaries = requested.intersection(rules.by_code[line.code].add_on_to)
        if primaries:
            text = (
                f"{line.code} is an add-on to {' and '.join(sorted(primaries))}, which is all that"
                " was requested: the number does not cover it."
            )
            return _said(line, rules, LineStatus.ADD_ON_NOT_REQUESTED, text)
        text = f"{line.code} was not requested: the number does not cover it."
        return _said(line, rules, LineStatus.WRONG_CODE, text)

    def _days(
        self, line: ClaimLine, rules: ServiceRules, found: Authorization
    ) -> LineAnswer | None:
        """A number covers services of its days, also when they are billed after the last.

        Source: WISeR Operational Guide 6.0, 4.3.
        """
        if any(_within(line, *_span(found, item)) for item in _affirmed(line, found)):
            return None
        spans = [_span(found, item) for item in _affirmed(line, found)]
        told = "; ".join(f"{first} to {last}" for first, last in spans)
        if found.valid_until is not None and line.last_day > found.valid_until:
            text = f"The number was good for services of {told}: a later one needs a new request."
            return _said(line, rules, LineStatus.EXPIRED, text)
        text = f"The number is good for services of {told}."
        return _said(line, rules, LineStatus.OUT_OF_PERIOD, text)

    def _site(
        self, line: ClaimLine, rules: ServiceRules, found: Authorization
    ) -> LineAnswer | None:
        if any(self._at_site(line, item) for item in _affirmed_then(line, found)):
            return None
        process = self.catalogue.process
        asked = {site_of_service(item.site, process) for item in _affirmed_then(line, found)}
        names = ", ".join(sorted(site.name.lower() for site in asked if site is not None))
        text = f"The request was for another place of service: {names or 'none of the model'}."
        return _said(line, rules, LineStatus.WRONG_SITE, text)

    def _at_site(self, line: ClaimLine, item: AuthorizedItem) -> bool:
        """The same setting, however it is coded. Who decided without being told one took any."""
        process = self.catalogue.process
        return item.site is None or site_of_service(item.site, process) == site_of_service(
            line.site, process
        )

    def _counted(self, line: ClaimLine, rules: ServiceRules, found: Authorization) -> LineAnswer:
        """Covered as long as units are left; they are taken item by item, in their order."""
        items = [item for item in _affirmed_then(line, found) if self._at_site(line, item)]
        left = {item.sequence: self._left(found, item) for item in items}
        remaining = sum(left.values(), Decimal(0))
        if line.units > remaining:
            text = f"{line.units} units are billed and {remaining} are left of those authorized."
            return _said(line, rules, LineStatus.UNITS_EXCEEDED, text, remaining=remaining)
        uses = tuple(_uses(line, left))
        for use in uses:
            key = (use.number, use.sequence)
            self.taken[key] = self.taken.get(key, Decimal(0)) + use.units
        text = "Provisionally affirmed: the number covers this line."
        return _said(line, rules, LineStatus.COVERED, text, remaining=remaining, uses=uses)

    def _left(self, found: Authorization, item: AuthorizedItem) -> Decimal:
        taken = self.taken.get((found.number or "", item.sequence), Decimal(0))
        return max(item.authorized - item.used - taken, Decimal(0))


def _affirmed(line: ClaimLine, found: Authorization) -> Iterator[AuthorizedItem]:
    return (item for item in found.items if item.affirmed and item.code == line.code)


def _affirmed_then(line: ClaimLine, found: Authorization) -> list[AuthorizedItem]:
    """The affirmed items for the line's code and days."""
    return [item for item in _affirmed(line, found) if _within(line, *_span(found, item))]


def _span(found: Authorization, item: AuthorizedItem) -> tuple[date, date]:
    """Days for which an item is affirmed, both included: a decision may narrow the number's."""
    first = [day for day in (found.valid_from, item.first_day) if day is not None]
    last = [day for day in (found.valid_until, item.last_day) if day is not None]
    return max(first, default=date.max), min(last, default=date.min)


def _within(line: ClaimLine, first: date, last: date) -> bool:
    return first <= line.first_day and line.last_day <= last


def _uses(line: ClaimLine, left: Mapping[int, Decimal]) -> Iterator[UnitUse]:
    wanted = line.units
    for sequence, units in left.items():
        taken = min(wanted, units)
        if taken > 0:
            yield UnitUse(line.utn or "", sequence, taken)
        wanted -= taken


def _said(
    line: ClaimLine,
    rules: ServiceRules,
    status: LineStatus,
    text: str,
    *,
    newer: str | None = None,
    remaining: Decimal | None = None,
    uses: tuple[UnitUse, ...] = (),
) -> LineAnswer:
    return LineAnswer(line.number, status, text, line.utn, rules.slug, newer, remaining, uses=uses)


_MISSING = (
    "No number is named and no decision is on file: the claim is reviewed before it is paid, on"
    " documents that are asked for."
)
_PENDING = "Decided, and the number is still to come: hold the claim, do not ask again."
_MALFORMED = "This is no tracking number: two letters or digits, a letter, eleven digits."
_UNKNOWN = "There is no such number for this beneficiary and provider."
_CANCELLED = "The request was cancelled: its number covers nothing."
_LINE_CANCELLED = "This line of the request was cancelled: the number does not cover it."
_NON_AFFIRMED = "Non-affirmed: the claim will be denied, and may be appealed then."
_WRONG_PROVIDER = "The number is another provider's: it covers what that provider bills here."
