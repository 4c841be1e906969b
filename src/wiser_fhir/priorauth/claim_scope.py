"""Whether a line of a claim is one of the model's, and needs a tracking number at all. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from functools import cached_property

from wiser_fhir.coverage.catalogue import Catalogue
from wiser_fhir.coverage.models import ServiceRules
from wiser_fhir.coverage.requested import HCPCS, Code
from wiser_fhir.priorauth.claim import Claim, ClaimLine, LineAnswer, LineStatus
from wiser_fhir.priorauth.models import SiteKind
from wiser_fhir.priorauth.registry import Registry
from wiser_fhir.priorauth.rules import site_of_service

# Settings whose own bill is the facility's, on a type of bill; the place of service in its stead
# is on the physician's.
_BY_BILL_TYPE = "ccn"


@dataclass(frozen=True)
class ClaimScope:
    """A claim held against what the model is about. `on` is the business date of its receipt."""

    claim: Claim
    catalogue: Catalogue
    registry: Registry
    on: date

    @cached_property
    def services(self) -> dict[int, ServiceRules]:
        """The lines with a code of the model, each with its service's rules."""
        found = ((line.number, self._rules(line)) for line in self.claim.lines)
        return {number: rules for number, rules in found if rules is not None}

    def outside(self, line: ClaimLine) -> LineAnswer | None:
        """Why a line needs no number. None where it is for a service of the model and needs one."""
        rules = self.services.get(line.number)
        if rules is None:
            return self._follows(line) or _answer(line, LineStatus.NOT_WISER, _NOT_WISER)
        return next(self._reasons(line, rules), None)

    def _rules(self, line: ClaimLine) -> ServiceRules | None:
        rules = self.catalogue.rules_for(Code(HCPCS, line.code), self.on)
        if rules is None or not rules.by_code[line.code].in_effect(line.first_day):
            return None
        listed, told = rules.diagnosis, self.claim.diagnoses
        return None if listed and told and not listed.names_any_of(told) else rules

    def _follows(self, line: ClaimLine) -> LineAnswer | None:
        """An associated code needs no request of its own. Source: Guide 6.0, 7.3, Appendix C."""
        for number, rules in self.services.items():
            if line.code in rules.associated_codes:
                text = f"Associated with the service on line {number}: it follows that line."
                return _answer(
                    line, LineStatus.FOLLOWS_PRIMARY, text, service=rules.slug, primary=number
                )
        return None

    def _reasons(self, line: ClaimLine, rules: ServiceRules) -> Iterator[LineAnswer]:
        service = rules.slug
        yield from self._outside_the_model(line, rules)
        excluded = self.catalogue.process.claim_exclusions
        revenue = (line.revenue_code or "").startswith(excluded.revenue_code_prefixes)
        if revenue or set(line.modifiers).intersection(excluded.modifiers):
            yield _answer(line, LineStatus.EMERGENCY, _EMERGENCY, service=service)
        site = site_of_service(line.site, self.catalogue.process)
        by_facility = site is not None and site.facility_identifier == _BY_BILL_TYPE
        if by_facility and line.site.kind is SiteKind.PLACE_OF_SERVICE:
            yield _answer(line, LineStatus.PROFESSIONAL_CLAIM, _PROFESSIONAL, service=service)
        if self.registry.exempt(self.claim.provider_npi, service, line.first_day):
            yield _answer(line, LineStatus.EXEMPT_PROVIDER, _EXEMPT, service=service)

    def _outside_the_model(self, line: ClaimLine, rules: ServiceRules) -> Iterator[LineAnswer]:
        """Where and when the model is not. Source: Guide 6.0, 1.2, 1.4, 1.5."""
        model, state = self.catalogue.process.model, self.claim.state
        if not model.service_dates_from <= line.first_day <= model.end:
            span = f"{model.service_dates_from} to {model.end}"
            text = f"No number is needed: the model covers services from {span}."
            yield _answer(line, LineStatus.OUTSIDE_THE_MODEL, text, service=rules.slug)
        if state is not None and state not in rules.states:
            text = f"No number is needed: the service is not reviewed in {state}."
            yield _answer(line, LineStatus.OUTSIDE_THE_MODEL, text, service=rules.slug)
        if site_of_service(line.site, self.catalogue.process) is None:
            places = "; ".join(site.name.lower() for site in self.catalogue.process.sites)
            text = f"No number is needed: the model covers these places of service only: {places}."
            yield _answer(line, LineStatus.OUTSIDE_THE_MODEL, text, service=rules.slug)


_NOT_WISER = "Not a WISeR service: no number is needed."
_EMERGENCY = "No number is needed: emergency claims are not part of the model."
_EXEMPT = "No number is needed: the provider is exempt for this service."
_PROFESSIONAL = (
    "No number is needed: for services in a hospital's outpatient department only the facility's"
    " claim is selected, by its type of bill."
)


def _answer(
    line: ClaimLine,
    status: LineStatus,
    text: str,
    *,
    service: str | None = None,
    primary: int | None = None,
) -> LineAnswer:
    return LineAnswer(line.number, status, text, line.utn, service=service, primary=primary)
