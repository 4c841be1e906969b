"""From a submission to a case, in memory: pure, but for the numbers it is handed."""

from dataclasses import dataclass
from datetime import date, datetime

from wiser_fhir.clock import business_date
from wiser_fhir.coverage.catalogue import Catalogue
from wiser_fhir.coverage.requested import Code
from wiser_fhir.priorauth.assess import assess
from wiser_fhir.priorauth.deciding import Deciding, affirmations, decided_case
from wiser_fhir.priorauth.determination import DecidedBy
from wiser_fhir.priorauth.models import (
    Assessment,
    CaseItem,
    CaseStatus,
    ClassifiedItem,
    Dismissal,
    Finding,
    ItemRole,
    ItemStatus,
    PriorAuthorization,
    Recommendation,
    RequestedItem,
    Submission,
)
from wiser_fhir.priorauth.numbers import UtnSource, new_reference, time_ordered_uuid
from wiser_fhir.priorauth.registry import Registry
from wiser_fhir.priorauth.rules import decide_by
from wiser_fhir.priorauth.scope import ScopeResult, scope

_NOTES = {
    ItemRole.ASSOCIATED: "Follows the primary service; needs no request of its own.",
    ItemRole.NOT_WISER: "Not a WISeR service: no prior authorization is needed here.",
}


@dataclass(frozen=True, slots=True)
class Policy:
    """What the operator decided. `served_states` are those whose requests this participant takes.

    `auto_affirm` lets software affirm; `require_reviewed` keeps it from doing so by a rule file no
    clinician has put a name to.
    """

    served_states: frozenset[str]
    auto_affirm: bool
    require_reviewed: bool


@dataclass(frozen=True)
class Decider:
    """Decides requests by the catalogue, the registry and the operator's policy."""

    catalogue: Catalogue
    registry: Registry
    policy: Policy
    utn_source: UtnSource

    def decide(
        self,
        submission: Submission,
        now: datetime,
        *,
        on: date | None = None,
        findings: tuple[Finding, ...] = (),
    ) -> PriorAuthorization:
        """The case a submission becomes: dismissed, affirmed, or in review. Nothing else can be.

        By the rules in force on `on`, else on the business date of receipt. `findings` of somebody
        else's go to a clinician with those of the gates.
        Source: WISeR Operational Guide 6.0, 4.1.
        """
        found = scope(
            submission,
            self.catalogue,
            self.registry,
            served_states=self.policy.served_states,
            on=on or business_date(submission.received_at),
        )
        if isinstance(found, Dismissal):
            return self.dismissed(submission, found, now)
        assessment = assess(
            found.rules,
            submission,
            self.catalogue,
            findings=(*findings, *found.findings),
            auto_affirm=self.policy.auto_affirm,
            require_reviewed=self.policy.require_reviewed,
        )
        if assessment.recommendation is Recommendation.AFFIRM:
            return self._affirmed(submission, found, assessment, now)
        return self._in_review(submission, found, assessment)

    def dismissed(
        self, submission: Submission, dismissal: Dismissal, now: datetime
    ) -> PriorAuthorization:
        """A case closed without medical review."""
        return PriorAuthorization(
            id=time_ordered_uuid(),
            organization_id=submission.organization_id,
            status=CaseStatus.DISMISSED,
            reference=new_reference(),
            received_at=submission.received_at,
            decide_by=None,
            expedited=False,
            items=tuple(_dismissed_item(item) for item in submission.items),
            dismissal=dismissal,
            decided_at=now,
            kind=submission.kind,
            previous_utn=submission.previous_utn,
        )

    def _affirmed(
        self,
        submission: Submission,
        found: ScopeResult,
        assessment: Assessment,
        now: datetime,
    ) -> PriorAuthorization:
        """Every line of the service affirmed, as asked."""
        pended = self._in_review(submission, found, assessment)
        site = next((i.item.site for i in found.items if i.item.site), None)
        deciding = Deciding(
            at=now,
            by=DecidedBy.SOFTWARE,
            valid_days=self.catalogue.process.timeframes.validity_days,
            utn=self.utn_source.new(site),
        )
        return decided_case(pended, affirmations(pended), deciding)

    def _in_review(
        self, submission: Submission, found: ScopeResult, assessment: Assessment
    ) -> PriorAuthorization:
        return PriorAuthorization(
            id=time_ordered_uuid(),
            organization_id=submission.organization_id,
            status=CaseStatus.IN_REVIEW,
            reference=new_reference(),
            received_at=submission.received_at,
            decide_by=self._deadline(submission),
            expedited=submission.expedite_requested,
            items=tuple(_item(i, ItemStatus.PENDED) for i in found.items),
            service=found.rules.slug,
            rules=found.rules.version,
            assessment=assessment,
            kind=submission.kind,
            previous_utn=submission.previous_utn,
        )

    def _deadline(self, submission: Submission) -> datetime:
        """The expedited clock runs from the asking: whether the risk is real a person says later,
        and may only give time back. Source: WISeR Operational Guide 6.0, 4.2.2."""
        timeframes = self.catalogue.process.timeframes
        return decide_by(submission.received_at, submission.expedite_requested, timeframes)


def _item(classified: ClassifiedItem, status: ItemStatus) -> CaseItem:
    """A line with the status of the decision, where the decision is about it."""
    note = _NOTES.get(classified.role)
    return CaseItem(
        sequence=classified.item.sequence,
        code=classified.code,
        role=classified.role,
        status=ItemStatus.NOT_APPLICABLE if note else status,
        date_of_service=classified.item.service.date_of_service,
        note=note,
        service_end=classified.item.service_end,
        quantity=classified.item.service.quantity,
        site=classified.item.site,
    )


def _dismissed_item(item: RequestedItem) -> CaseItem:
    return CaseItem(
        sequence=item.sequence,
        code=item.service.codes[0] if item.service.codes else Code("", ""),
        role=ItemRole.NOT_WISER,
        status=ItemStatus.NOT_APPLICABLE,
        date_of_service=item.service.date_of_service,
        service_end=item.service_end,
        quantity=item.service.quantity,
        site=item.site,
    )
