"""The cases of a beneficiary, seen from one line that is asked about: which of them hold for it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import cached_property

from wiser_fhir.coverage.models import ServiceRules
from wiser_fhir.priorauth.models import CaseStatus, ItemStatus, RequestedItem, SiteKind
from wiser_fhir.priorauth.standing import Standing

_AFFIRMED = (CaseStatus.AFFIRMED, CaseStatus.PARTIALLY_AFFIRMED)
_DECIDED = (*_AFFIRMED, CaseStatus.NON_AFFIRMED)
_PARTS = {SiteKind.BILL_TYPE: "A", SiteKind.PLACE_OF_SERVICE: "B"}


@dataclass(frozen=True)
class Precedents:
    """`standing` as far as it is about the line: its procedure code, billed by one of `npis`.

    A case for another state, another part of Medicare or another provider is about another service,
    where both sides tell it. Without a provider nobody can say which cases are its own.
    """

    standing: tuple[Standing, ...]
    line: RequestedItem
    code: str
    rules: ServiceRules
    npis: frozenset[str]
    on: date

    def affirmed(self) -> list[Standing]:
        """Cases with a live number that affirm the code on the line's day, where that is told.

        Where a case has the code on several lines, all of them are affirmed: nobody can tell which
        line the order is.
        """
        day = self.line.service.date_of_service
        return [
            each
            for each in self._cases
            if self._affirms(each, self.code) and (day is None or each.covers(day))
        ]

    def shortfalls(self, affirmed: Standing) -> Iterator[str]:
        """What of the line a case that affirms its code leaves open, in our words."""
        last, until = self.line.service_end, affirmed.valid_until
        if last is not None and not affirmed.covers(last):
            yield f"Number {affirmed.utn} covers services until {until}; this one ends on {last}."
        wanted, units = self.line.service.quantity, affirmed.units_affirmed(self.code)
        if wanted is not None and units is not None and wanted > units:
            told = f"{_plain(units)} units of {self.code}; this order is for {_plain(wanted)}"
            yield f"Number {affirmed.utn} covers {told}."
        primaries = self._primaries
        if primaries and not any(self._affirms(e, code) for e in self._cases for code in primaries):
            yield f"Number {affirmed.utn} affirms {self.code}, but no code that it is an add-on to."

    def in_review(self) -> list[Standing]:
        """Cases in review that ask for the code itself."""
        return [e for e in self._of_the_service if ItemStatus.PENDED in e.of_code(self.code)]

    def is_service_in_review(self) -> bool:
        """Whether another code of the service is. A request beside it would be a duplicate."""
        return bool(self._of_the_service)

    def last_decision(self) -> Standing | None:
        """The last case that decided the code, where it did not affirm it."""
        both = {ItemStatus.AFFIRMED, ItemStatus.NON_AFFIRMED}
        decided = [
            each
            for each in self._cases
            if each.status in _DECIDED and each.of_code(self.code) & both
        ]
        if not decided:
            return None
        last = latest(decided)
        return last if ItemStatus.NON_AFFIRMED in last.of_code(self.code) else None

    @cached_property
    def _cases(self) -> tuple[Standing, ...]:
        place, part = (
            self.line.service.state,
            _PARTS.get(self.line.site.kind) if self.line.site else None,
        )
        return tuple(
            each
            for each in self.standing
            if self.npis
            and (not each.npis or self.npis.intersection(each.npis))
            and _may_be_one(each.state, place)
            and _may_be_one(each.part, part)
        )

    @cached_property
    def _of_the_service(self) -> list[Standing]:
        """Cases in review for any code of it."""
        slug, review = self.rules.slug, CaseStatus.IN_REVIEW
        return [each for each in self._cases if each.status is review and each.service == slug]

    @property
    def _primaries(self) -> tuple[str, ...]:
        entry = self.rules.by_code.get(self.code)
        return entry.add_on_to if entry else ()

    def _affirms(self, case: Standing, code: str) -> bool:
        return (
            case.is_live(self.on)
            and case.status in _AFFIRMED
            and case.of_code(code) == {ItemStatus.AFFIRMED}
        )


def latest(found: Sequence[Standing]) -> Standing:
    """The one received last."""
    return max(found, key=lambda each: (each.received_at, each.reference))


def _may_be_one(one: str | None, other: str | None) -> bool:
    return one is None or other is None or one == other


def _plain(units: Decimal) -> str:
    return f"{units.normalize():f}"
