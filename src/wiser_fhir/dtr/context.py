"""What a context id asks for: an answer of CRD, or a request in review.

Source: DTR 2.2.0 §spec-107 to §spec-110, §oper-8.
"""

from dataclasses import dataclass
from datetime import date

from wiser_fhir.coverage.canonical import CANONICAL
from wiser_fhir.coverage.catalogue import Catalogue
from wiser_fhir.coverage.models import ServiceRules
from wiser_fhir.errors import Problem
from wiser_fhir.priorauth.ledger import AssertionRecord
from wiser_fhir.priorauth.models import CaseStatus
from wiser_fhir.priorauth.repository import StoredCase
from wiser_fhir.priorauth.situation import Situation

PLACE = "Parameters.parameter.where(name = 'context')"
# What a form can still do something about.
_WITH_FORM = frozenset(
    {
        *(Situation.NEEDS_AUTHORIZATION, Situation.NON_AFFIRMED),
        *(Situation.MISSING, Situation.TECHNICAL),
    }
)
_WHY_NONE = {
    Situation.SATISFIED: "A prior authorization for the order is affirmed: no form is needed.",
    Situation.PENDED: "A request for the order is in review: no form is needed now.",
}
_NONE_ASKED = "The answer with this id asked for no documentation: no form is needed."
_NO_LONGER = "Documentation was asked for and is no longer: WISeR has no form for the service now."
_CLOSED = (
    "The request with this number is closed: no form is needed for it. For another request, ask"
    " with the order."
)


@dataclass(frozen=True, slots=True)
class Context:
    """What a context leads to. `rules` are those of the form it asks for; where it asks for none,
    `why` says so.

    `order` is the reference of the order it is about, on the client's side.
    """

    rules: ServiceRules | None = None
    why: Problem | None = None
    order: str | None = None
    assertion: AssertionRecord | None = None
    stored: StoredCase | None = None

    def is_about(self, service: str) -> bool:
        """Whether it is about a service."""
        return self.rules is not None and self.rules.slug == service


def of_assertion(assertion: AssertionRecord, catalogue: Catalogue, on: date) -> Context:
    """What an answer of CRD asks for on a day.

    Source: DTR 2.2.0 §prof-1 (the rules of then, as long as their form counts), §oper-8.
    """
    order = assertion.order
    situation = Situation(assertion.situation)
    if situation not in _WITH_FORM or assertion.service is None:
        none = _remark(_WHY_NONE.get(situation, _NONE_ASKED))
        return Context(why=none, order=order, assertion=assertion)
    rules = _rules(assertion.service, assertion.rules, catalogue, on)
    why = None if rules else _remark(_NO_LONGER)
    return Context(rules, why, order=order, assertion=assertion)


def of_case(stored: StoredCase, catalogue: Catalogue, on: date) -> Context:
    """What a request asks for on a day: its form while it is in review."""
    case = stored.case
    if case.status is not CaseStatus.IN_REVIEW:
        return Context(why=_remark(_CLOSED), stored=stored)
    rules = _rules(case.service, case.rules, catalogue, on) if case.service else None
    return Context(rules, None if rules else _remark(_NO_LONGER), stored=stored)


def _rules(slug: str, version: str | None, catalogue: Catalogue, on: date) -> ServiceRules | None:
    """The rules of then if their form still counts, else those of now; none of a service that is
    not asked about."""
    counting = None
    if version is not None:
        counting = catalogue.form(f"{CANONICAL}/Questionnaire/{slug}", version, on)
    rules = counting or catalogue.service(slug, on)
    return rules if rules is not None and rules.is_active else None


def _remark(text: str) -> Problem:
    return Problem("information", "informational", text, PLACE)
