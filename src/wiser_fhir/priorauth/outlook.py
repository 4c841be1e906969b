"""One procedure of an order, held against the gates of a request and the cases there are.

The gates decide here as they do for a request (`scope.through_gates`), so what CRD says and what
PAS does cannot part. Three things differ. A person's coverage and the code come first, for an order
need not be for a service of the model, and another participant's state comes last. Somebody who may
be neither who performs nor who bills settles nothing. And neither does a code that nobody can read.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from wiser_fhir.coverage.models import CLINICAL_SYSTEMS, ServiceRules
from wiser_fhir.coverage.process import GateName
from wiser_fhir.coverage.requested import CPT, HCPCS, Code
from wiser_fhir.priorauth.items import classify
from wiser_fhir.priorauth.models import Dismissal, ItemRole, PartyRole, RequestedItem
from wiser_fhir.priorauth.precedents import Precedents, latest
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

PERFORMERS = (PartyRole.RENDERING, PartyRole.FACILITY)

_PROCEDURE = re.compile("[0-9A-Z][0-9]{3}[0-9A-Z]")
_TESTS_AND_DRUGS = (CLINICAL_SYSTEMS["LOINC"], CLINICAL_SYSTEMS["RxNorm"])
_ANOTHER_IN_REVIEW = (
    "Another request of the provider for this service is in review: the next one has to wait for"
    " its decision."
)
_DAY_HAS_PASSED = (
    "The day of service has passed. An affirmation holds from the day of its decision on: this"
    " claim will be reviewed before it is paid instead."
)


@dataclass(frozen=True)
class Outlook:
    """One procedure of an order with all that it is judged by. The line is the visit's first.

    `of_procedure`: the order is for something done, not for a thing.
    """

    visit: Visit
    companions: tuple[RequestedItem, ...]
    standing: tuple[Standing, ...]
    unclear: frozenset[Missing]
    excluded: bool
    of_procedure: bool

    def coverage_ended(self) -> Foreseen:
        """Whatever is ordered."""
        return self._is(Situation.COVERAGE_ENDED, "Medicare coverage has ended.")

    def left_out(self) -> Foreseen:
        """An inpatient's or an emergency's, whoever performs it."""
        detail = "Services to inpatients and in emergencies are not part of the model."
        return self._is(Situation.EXCLUDED, detail)

    def foreseen(self) -> Foreseen:
        """What holds for certain; else how the cases stand; else what is lacking, if anything."""
        result = through_gates(self._of_performers(), self._gates())
        if isinstance(result, Dismissal) and not self._leaves_open(result):
            return self._dismissed(result)
        if self.excluded:
            return self.left_out()
        if isinstance(result, Dismissal):
            return self._lacks(Situation.MISSING, {Missing.CODE})
        return self._taken(result.rules)

    @property
    def line(self) -> RequestedItem:
        """The line asked about."""
        return self.visit.submission.items[0]

    def _gates(self) -> Iterator[GateName]:
        """All that settle something.

        Without a site nobody can say whose exemption counts, without a code whose review it is.
        """
        asked = self.visit.catalogue.process.gates
        others = [gate for gate in asked if gate not in (*_FIRST, _LAST)]
        silent: set[GateName] = {"code", _LAST} if self._is_unreadable() else set()
        if self.visit.site is None:
            silent.add("exemption")
        for gate in (*_FIRST, *others, _LAST):
            if gate in asked and gate not in silent:
                yield gate

    def _is_unreadable(self) -> bool:
        """Whether nobody can tell from the codes which procedure it is, or that it is none."""
        codes = self.line.service.codes
        if not codes or not self.of_procedure:
            return not codes
        return not any(
            is_procedure(code) or (code.system in _TESTS_AND_DRUGS and code.code) for code in codes
        )

    def _leaves_open(self, dismissal: Dismissal) -> bool:
        if dismissal.gate == "code":
            return self._is_unreadable()
        return self.excluded and dismissal.gate == _LAST

    def _of_performers(self) -> Visit:
        """The visit without those who only order or ask, behind whom another may perform."""
        asked = self.visit.submission
        parties = tuple(party for party in asked.parties if party.role in PERFORMERS)
        return replace(self.visit, submission=replace(asked, parties=parties))

    def _dismissed(self, dismissal: Dismissal) -> Foreseen:
        situation, role, detail = SITUATIONS[dismissal.gate], None, dismissal.detail
        if situation is Situation.NOT_WISER and self._follows_a_companion():
            role = ItemRole.ASSOCIATED
            detail = "Follows the primary service; needs no request of its own."
        if situation is Situation.MEMBER_NOT_FOUND and self._has_died():
            situation = Situation.MEMBER_ENDED
        return self._is(situation, detail, role=role)

    def _follows_a_companion(self) -> bool:
        """Whether the code goes with a service that stands beside it."""
        visit, own = self.visit, {coding.code for coding in self.line.service.codes}
        beside = (coding for other in self.companions for coding in other.service.codes)
        services = (visit.catalogue.rules_for(coding, visit.on) for coding in beside)
        if not any(own.intersection(rules.associated_codes) for rules in services if rules):
            return False
        lines = tuple(
            replace(each, sequence=n) for n, each in enumerate((self.line, *self.companions))
        )
        together = replace(visit.submission, items=lines)
        found = classify(together, visit.catalogue, visit.on)
        return found.items[0].role is ItemRole.ASSOCIATED

    def _has_died(self) -> bool:
        mbi = self.visit.submission.beneficiary.mbi
        return mbi is not None and self.visit.registry.beneficiary(mbi) is Membership.DECEASED

    def _taken(self, rules: ServiceRules) -> Foreseen:
        """A request would be one of the model's, as far as anybody told."""
        lacking = set(self._missing())
        cases = self._precedents(rules)
        affirmed = cases.affirmed()
        whole = [each for each in affirmed if not any(cases.shortfalls(each))]
        if whole:
            # The primary that an affirmed add-on goes with is affirmed: it need not stand here.
            others, number = lacking - {Missing.PRIMARY}, latest(whole)
            if others:
                return self._lacks(Situation.MISSING, others, standing=number)
            return self._is(Situation.SATISFIED, standing=number)
        pended = cases.in_review()
        if pended:
            return self._is(Situation.PENDED, standing=latest(pended))
        last = cases.last_decision()
        if lacking:
            alone = Missing.PRIMARY in lacking
            situation = Situation.ADD_ON_ALONE if alone else Situation.MISSING
            return self._lacks(situation, lacking, standing=None if alone else last)
        remarks = " ".join(self._remarks(cases, affirmed))
        situation = Situation.NON_AFFIRMED if last else Situation.NEEDS_AUTHORIZATION
        return self._is(situation, remarks, standing=last)

    def _precedents(self, rules: ServiceRules) -> Precedents:
        visit, code = self.visit, self.visit.found.items[0].code.code
        return Precedents(self.standing, self.line, code, rules, self._billing_npis(), visit.on)

    def _remarks(self, cases: Precedents, affirmed: list[Standing]) -> Iterator[str]:
        """Why a number that is there is not enough, and what a new request has to know."""
        if affirmed:
            yield from cases.shortfalls(latest(affirmed))
        if cases.is_service_in_review():
            yield _ANOTHER_IN_REVIEW
        day = self.line.service.date_of_service
        if day is not None and day < self.visit.on:
            yield _DAY_HAS_PASSED

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
            return PERFORMERS
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


def is_procedure(code: Code) -> bool:
    """Whether a coding is of the shape of a procedure code, in a system that has them."""
    return code.system in (CPT, HCPCS) and _PROCEDURE.fullmatch(code.code) is not None
