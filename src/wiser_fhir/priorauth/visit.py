"""A request on its way through the gates, and what a gate can say of it.

A gate yields a `Dismissal` for what is known to be out of the model and a `Finding` for what nobody
told: what is not known never dismisses.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property

from wiser_fhir.coverage.catalogue import Catalogue
from wiser_fhir.coverage.models import ServiceRules
from wiser_fhir.coverage.process import SiteOfService
from wiser_fhir.priorauth.items import Classification
from wiser_fhir.priorauth.models import (
    Dismissal,
    DismissalReason,
    Finding,
    FindingStatus,
    Party,
    PartyRole,
    RequestedItem,
    Submission,
)
from wiser_fhir.priorauth.registry import Registry
from wiser_fhir.priorauth.rules import site_of_service

Verdict = Dismissal | Finding


@dataclass(frozen=True)
class Visit:
    """One request on its way through the gates. `on` is the business date of receipt."""

    submission: Submission
    found: Classification
    catalogue: Catalogue
    registry: Registry
    served_states: frozenset[str]
    on: date

    @property
    def rules(self) -> ServiceRules | None:
        """The rules of the one service asked for."""
        return self.found.service

    @cached_property
    def items(self) -> Sequence[RequestedItem]:
        """The lines that count: those with a code of the model, else all."""
        return self.found.wiser_items or self.submission.items

    @cached_property
    def site(self) -> SiteOfService | None:
        """The setting of the first line that tells one of the model's."""
        sites = (site_of_service(item.site, self.catalogue.process) for item in self.items)
        return next((site for site in sites if site is not None), None)

    def party(self, *roles: PartyRole) -> Party | None:
        """The first party in the first of these roles that anybody has."""
        found = (party for role in roles for party in self.submission.parties if party.role is role)
        return next(found, None)

    @cached_property
    def practitioner(self) -> Party | None:
        """Who performs the service, as far as told; else who orders it, else who asks."""
        return self.party(PartyRole.RENDERING, PartyRole.ORDERING, PartyRole.REQUESTER)

    @cached_property
    def facility(self) -> Party | None:
        """The facility, where the setting has one that bills."""
        if self.site is None or self.site.facility_identifier == "none":
            return None
        return self.party(PartyRole.FACILITY)


def each_line(
    visit: Visit, criterion: str, judge: Callable[[RequestedItem], Verdict | None]
) -> Iterator[Verdict]:
    """A gate that looks at every line: it dismisses where every line fails it.

    Where some lines fail and others pass or do not tell, a person must look.
    """
    verdicts = [(item, judge(item)) for item in visit.items]
    failed = [(i.sequence, v) for i, v in verdicts if isinstance(v, Dismissal)]
    if failed and len(failed) == len(verdicts):
        yield failed[0][1]
        return
    for sequence, dismissal in failed:
        yield doubtful(criterion, f"Line {sequence}: {dismissal.detail}")
    told = (verdict for _, verdict in verdicts if isinstance(verdict, Finding))
    yield from dict.fromkeys(told)


def not_wiser(detail: str) -> Dismissal:
    """The request is not for a service of the model."""
    return Dismissal(DismissalReason.NON_WISER_SERVICE, detail)


def not_told(criterion: str, text: str) -> Finding:
    """The request is silent on something a decision needs."""
    return Finding(criterion, FindingStatus.UNANSWERED, text)


def doubtful(criterion: str, text: str) -> Finding:
    """Something a person must look at."""
    return Finding(criterion, FindingStatus.NEEDS_JUDGEMENT, text)
