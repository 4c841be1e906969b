"""One procedure of an order, held against the gates of a request and the cases there are.

The gates decide here as they do for a request (`scope.through_gates`), so what CRD says and what
PAS does cannot part. Two things differ. A person's coverage and the code come first, for an order
need not be for a service of the model, and another participant's state comes last. And somebody who
may be neither who performs nor who bills settles nothing.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from wiser_fhir.coverage.process import GateName
from wiser_fhir.coverage.requested import Code
from wiser_fhir.priorauth.items import classify
from wiser_fhir.priorauth.models import (
    CaseStatus,
    Dismissal,
    ItemRole,
    ItemStatus,
    PartyRole,
    RequestedItem,
)
from wiser_fhir.priorauth.registry import Membership
from wiser_fhir.priorauth.scope import GATES, through_gates
from wiser_fhir.priorauth.situation import Foreseen, Missing, Situation, in_order, unsaid
from wiser_fhir.priorauth.standing import Standing
from wiser_fhir.priorauth.visit import Visit

# Which situation each gate's dismissal is. Those not here never dismiss: a number that is none is
# taken for one nobody told before the gates see it, and no order is a resubmission.
SITUATIONS: Mapping[GateName | None, Situation] = {
    "participant": Situation.OTHER_MODEL_STATE,
    "date": Situation.DATE_OUTSIDE,
    "site": Situation.SITE_OUTSIDE,
    "code": Situation.NOT_WISER,
    "diagnosis": Situation.DIAGNOSIS_OUTSIDE,
    "state": Situation.STATE_OUTSIDE,
    "exclusion": Situation.EXCLUDED,
    "railroad": Situation.RAILROAD,
    "delayed": Situation.DELAYED,
    "answers": Situation.NOT_WISER,
    "coverage": Situation.MEDICARE_ADVANTAGE,
    "beneficiary": Situation.MEMBER_NOT_FOUND,
    "exemption": Situation.EXEMPT,
    "enrolment": Situation.INELIGIBLE,
}

# Whatever the order is for, these hold of the person; then whether it is the model's at all. That
# another participant reviews it is an answer only where nobody leaves it out.
_FIRST: tuple[GateName, ...] = ("railroad", "coverage", "beneficiary", "code")
_LAST: GateName = "participant"

_PERFORMERS = (PartyRole.RENDERING, PartyRole.FACILITY)
_DECIDED = (CaseStatus.AFFIRMED, CaseStatus.PARTIALLY_AFFIRMED, CaseStatus.NON_AFFIRMED)


@dataclass(frozen=True)
class Outlook:
    """One procedure of an order with all that it is judged by. The line is the visit's first."""

    visit: Visit
    companions: tuple[RequestedItem, ...]
    standing: tuple[Standing, ...]
    unclear: frozenset[Missing]
    excluded: bool

    def coverage_ended(self) -> Foreseen:
        """Whatever is ordered."""
        return self._is(Situation.COVERAGE_ENDED, "Medicare coverage has ended.")

    def foreseen(self) -> Foreseen:
        """What holds for certain; else how the cases stand; else what is lacking, if anything."""
        certain = through_gates(self._of_performers(), self._gates())
        if isinstance(certain, Dismissal) and not (self.excluded and certain.gate == _LAST):
            return self._dismissed(certain)
        if self.excluded:
            detail = "Services to inpatients and in emergencies are not part of the model."
            return self._is(Situation.EXCLUDED, detail)
        return self._taken()

    @property
    def line(self) -> RequestedItem:
        """The line asked about."""
        return self.visit.submission.items[0]

    def _gates(self) -> Iterator[GateName]:
        """All that settle something. Without a site nobody can say whose exemption counts."""
        asked = self.visit.catalogue.process.gates
        others = [gate for gate in asked if gate not in (*_FIRST, _LAST)]
        for gate in (*_FIRST, *others, _LAST):
            if gate in asked and (gate != "exemption" or self.visit.site is not None):
                yield gate

    def _of_performers(self) -> Visit:
        """The visit without those who only order or ask, behind whom another may perform."""
        asked = self.visit.submission
        parties = tuple(party for party in asked.parties if party.role in _PERFORMERS)
        return replace(self.visit, submission=replace(asked, parties=parties))

    def _dismissed(self, dismissal: Dismissal) -> Foreseen:
        situation, role, detail = SITUATIONS[dismissal.gate], None, dismissal.detail
        if situation is Situation.NOT_WISER and code_of(self.line) is None:
            return self._lacks(Situation.MISSING, {Missing.CODE})
        if situation is Situation.NOT_WISER and self._follows_a_companion():
            role = ItemRole.ASSOCIATED
            detail = "Follows the primary service; needs no request of its own."
        if situation is Situation.MEMBER_NOT_FOUND and self._has_died():
            situation = Situation.MEMBER_ENDED
        return self._is(situation, detail, role=role)

    def _follows_a_companion(self) -> bool:
        """Whether the code goes with a service that stands beside it."""
        lines = tuple(
            replace(each, sequence=n) for n, each in enumerate((self.line, *self.companions))
        )
        beside = replace(self.visit.submission, items=lines)
        found = classify(beside, self.visit.catalogue, self.visit.on)
        return found.items[0].role is ItemRole.ASSOCIATED

    def _has_died(self) -> bool:
        mbi = self.visit.submission.beneficiary.mbi
        return mbi is not None and self.visit.registry.beneficiary(mbi) is Membership.DECEASED

    def _taken(self) -> Foreseen:
        """A request would be one of the model's, as far as anybody told."""
        lacking = set(self._missing())
        day = self.line.service.date_of_service
        affirmed = self._affirmed()
        if day is not None:
            affirmed = [each for each in affirmed if each.covers(day)]
            if affirmed:
                return self._is(Situation.SATISFIED, standing=_latest(affirmed))
        elif affirmed:
            return self._lacks(Situation.MISSING, lacking, standing=_latest(affirmed))
        pended = self._pended()
        if pended:
            return self._is(Situation.PENDED, standing=_latest(pended))
        if Missing.PRIMARY in lacking:
            return self._lacks(Situation.ADD_ON_ALONE, lacking)
        last = self._last_decision()
        if lacking:
            return self._lacks(Situation.MISSING, lacking, standing=last)
        if last is not None:
            return self._is(Situation.NON_AFFIRMED, standing=last)
        return self._is(Situation.NEEDS_AUTHORIZATION)

    def _missing(self) -> Iterator[Missing]:
        visit, service = self.visit, self.line.service
        yield from self.unclear
        if not self._performer_told() or self._hangs_on_the_performer():
            yield Missing.PERFORMER
        if visit.site is None:
            yield Missing.SITE
        if service.date_of_service is None:
            yield Missing.DATE
        if service.state is None:
            yield Missing.STATE
        if visit.rules and visit.rules.diagnosis and not visit.submission.diagnoses:
            yield Missing.DIAGNOSIS
        roles = [entry.role for entry in visit.found.items]
        if roles[0] is ItemRole.ADD_ON and ItemRole.PRIMARY not in roles:
            yield Missing.PRIMARY

    def _billing_roles(self) -> tuple[PartyRole, ...]:
        """Whose number the claim will carry: the facility's where the place has one that bills."""
        site = self.visit.site
        if site is None:
            return _PERFORMERS
        facility = site.facility_identifier != "none"
        return (PartyRole.FACILITY,) if facility else (PartyRole.RENDERING,)

    def _billing_npis(self) -> frozenset[str]:
        parties = (self.visit.party(role) for role in self._billing_roles())
        return frozenset(party.npi for party in parties if party and party.npi)

    def _performer_told(self) -> bool:
        return bool(self._billing_npis())

    def _hangs_on_the_performer(self) -> bool:
        """Whether a request as it stands would end over whoever stands in for the performer."""
        if self.visit.party(PartyRole.RENDERING) is not None:
            return False
        gates: tuple[GateName, ...] = ("exemption", "enrolment")
        verdicts = (verdict for gate in gates for verdict in GATES[gate](self.visit))
        return any(isinstance(verdict, Dismissal) for verdict in verdicts)

    def _affirmed(self) -> list[Standing]:
        """Cases with a live number that affirm this code, whatever the day.

        Where a case has the code on several lines, all of them are affirmed: nobody can tell which
        line the order is.
        """
        return [
            each
            for each in self.standing
            if each.is_live(self.visit.on)
            and each.status in (CaseStatus.AFFIRMED, CaseStatus.PARTIALLY_AFFIRMED)
            and self._statuses(each) == {ItemStatus.AFFIRMED}
            and self._of_the_same_provider(each)
        ]

    def _pended(self) -> list[Standing]:
        slug = self.visit.rules.slug if self.visit.rules else None
        return [
            each
            for each in self.standing
            if each.status is CaseStatus.IN_REVIEW
            and each.service == slug
            and self._of_the_same_provider(each)
        ]

    def _last_decision(self) -> Standing | None:
        """The last case that decided this code, where it did not affirm it."""
        both = {ItemStatus.AFFIRMED, ItemStatus.NON_AFFIRMED}
        decided = [
            each
            for each in self.standing
            if each.status in _DECIDED
            and self._statuses(each) & both
            and self._of_the_same_provider(each)
        ]
        if not decided:
            return None
        last = _latest(decided)
        return last if ItemStatus.NON_AFFIRMED in self._statuses(last) else None

    def _statuses(self, standing: Standing) -> frozenset[ItemStatus]:
        return standing.of_code(self.visit.found.items[0].code.code)

    def _of_the_same_provider(self, standing: Standing) -> bool:
        """Whether a case can be this provider's: who bills, or where that is not told, anybody.

        Where either side has no number nothing speaks against it.
        """
        everybody = (party.npi for party in self.visit.submission.parties if party.npi)
        ours = self._billing_npis() or frozenset(everybody)
        return not ours or not standing.npis or bool(ours.intersection(standing.npis))

    def _lacks(
        self, situation: Situation, lacking: set[Missing], standing: Standing | None = None
    ) -> Foreseen:
        missing = in_order(lacking)
        return self._is(situation, unsaid(missing), standing=standing, missing=missing)

    def _is(
        self,
        situation: Situation,
        detail: str = "",
        *,
        role: ItemRole | None = None,
        standing: Standing | None = None,
        missing: tuple[Missing, ...] = (),
    ) -> Foreseen:
        found = self.visit.found
        entry = found.items[0]
        return Foreseen(
            situation=situation,
            code=entry.code if entry.code.code else None,
            role=role or entry.role,
            rules=next(iter((*found.services, *found.delayed)), None),
            missing=missing,
            detail=detail,
            standing=standing,
            state=self.line.service.state,
        )


def code_of(line: RequestedItem) -> Code | None:
    """The coding that comes first."""
    return next(iter(line.service.codes), None)


def _latest(found: Sequence[Standing]) -> Standing:
    return max(found, key=lambda each: (each.received_at, each.reference))
