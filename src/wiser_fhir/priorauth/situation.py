"""What an order can come to, in words of ours, and the facts that an answer can lack."""

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

from wiser_fhir.coverage.models import ServiceRules
from wiser_fhir.coverage.requested import Code
from wiser_fhir.priorauth.models import ItemRole
from wiser_fhir.priorauth.standing import Standing


class Situation(StrEnum):
    """What an order comes to."""

    NEEDS_AUTHORIZATION = "needs-authorization"
    SATISFIED = "satisfied"
    PENDED = "pended"
    NON_AFFIRMED = "non-affirmed"
    EXEMPT = "exempt"
    NOT_WISER = "not-wiser"
    OTHER_MODEL_STATE = "other-model-state"
    STATE_OUTSIDE = "state-outside"
    DATE_OUTSIDE = "date-outside"
    SITE_OUTSIDE = "site-outside"
    DIAGNOSIS_OUTSIDE = "diagnosis-outside"
    MEDICARE_ADVANTAGE = "medicare-advantage"
    RAILROAD = "railroad"
    DELAYED = "delayed"
    EXCLUDED = "excluded"
    ADD_ON_ALONE = "add-on-alone"
    MISSING = "missing"
    MEMBER_NOT_FOUND = "member-not-found"
    MEMBER_ENDED = "member-ended"
    COVERAGE_ENDED = "coverage-ended"
    INELIGIBLE = "ineligible-provider"
    TECHNICAL = "technical"


class Missing(StrEnum):
    """A fact that nobody told and the answer hangs on."""

    PERFORMER = "performer"
    SITE = "site"
    DATE = "date"
    STATE = "state"
    DIAGNOSIS = "diagnosis"
    CODE = "code"
    PRIMARY = "primary"


TAKEN = frozenset(
    {
        Situation.NEEDS_AUTHORIZATION,
        Situation.SATISFIED,
        Situation.PENDED,
        Situation.NON_AFFIRMED,
        Situation.ADD_ON_ALONE,
        Situation.MISSING,
    }
)
"""Situations in which a request would be, or may be, one of the model's. The rest is certain."""

_WORDS = {
    Missing.PERFORMER: "who performs or bills the service, with a valid NPI",
    Missing.SITE: "the place of service",
    Missing.DATE: "the date of service",
    Missing.STATE: "the state where the service is delivered",
    Missing.DIAGNOSIS: "the diagnosis",
    Missing.CODE: "the one procedure code that will be billed",
    Missing.PRIMARY: "the primary code that the add-on goes with",
}


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What an order comes to. `detail` says it in our words, where a gate or a lack has some.

    `code` is the coding that told, `rules` the file of its service, also where that is delayed;
    `standing` the case that the situation rests on; `state` where the service is delivered.
    """

    situation: Situation
    code: Code | None
    role: ItemRole
    rules: ServiceRules | None
    missing: tuple[Missing, ...]
    detail: str
    standing: Standing | None
    state: str | None


def in_order(lacking: Collection[Missing]) -> tuple[Missing, ...]:
    """Each once, as the enumeration has them."""
    return tuple(each for each in Missing if each in lacking)


def unsaid(missing: Collection[Missing]) -> str:
    """What is lacking, in one sentence."""
    return f"Not told: {'; '.join(_WORDS[each] for each in missing)}."
