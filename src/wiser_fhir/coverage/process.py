"""What holds for every service: days, gates, sites, and who serves which state."""

import re
from datetime import date
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from wiser_fhir.coverage.frozen import Frozen, OptionCode, Slug, StateCode, Words

GateName = Literal[
    "participant",
    "date",
    "site",
    "code",
    "diagnosis",
    "state",
    "exclusion",
    "railroad",
    "delayed",
    "answers",
    "coverage",
    "beneficiary",
    "billing",
    "exemption",
    "enrolment",
    "resubmission",
]
FacilityIdentifier = Literal["ccn", "ptan", "none"]
Days = Annotated[int, Field(ge=1)]


def _compiles(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"no pattern: {error}") from None
    return pattern


Pattern = Annotated[str, AfterValidator(_compiles)]


class ModelDates(Frozen):
    """When the model runs, takes requests, and covers services. All days included."""

    start: date
    end: date
    requests_from: date
    service_dates_from: date


class Timeframes(Frozen):
    """Day counts, in calendar days."""

    standard_decision_days: Days
    expedited_decision_days: Days
    mac_forwarding_days: Days
    documents_days: Days
    prepayment_decision_days: Days
    validity_days: Days


class Utn(Frozen):
    """The shape of a unique tracking number: what we make, and what we take from others."""

    length: Days
    issue_pattern: Pattern
    accept_pattern: Pattern


class SiteOfService(Frozen):
    """A setting the model covers. `bill_types` are the first two digits of a type of bill."""

    id: Slug
    name: Words
    place_of_service: tuple[OptionCode, ...] = ()
    bill_types: tuple[OptionCode, ...] = ()
    facility_identifier: FacilityIdentifier

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        if not (self.place_of_service or self.bill_types):
            raise ValueError(f"{self.id}: a site has a place of service or a bill type")
        return self


class ClaimExclusions(Frozen):
    """Claims the model leaves out. Only modifiers and revenue codes can be seen on a request."""

    modifiers: tuple[OptionCode, ...]
    revenue_code_prefixes: tuple[OptionCode, ...]
    programs: tuple[Words, ...]


class DismissalText(Frozen):
    """A reason for dismissal, in our own words."""

    code: Slug
    text: Words


class Exemption(Frozen):
    """How a provider becomes exempt. The affirmation rate it needs is not published."""

    min_requests: Days
    minimum_duration_days: Days
    reevaluation_claims_per_year: Days
    loss_notice_days: Days
    first_notices: Words


class Process(Frozen):
    """The program's own rules. `gates` is the order in which a request is looked at."""

    model: ModelDates
    timeframes: Timeframes
    partial_decisions_from: date
    utn: Utn
    gates: tuple[GateName, ...] = Field(min_length=1)
    sites: tuple[SiteOfService, ...] = Field(min_length=1)
    claim_exclusions: ClaimExclusions
    dismissal_reasons: tuple[DismissalText, ...] = Field(min_length=1)
    exemption: Exemption


class State(Frozen):
    """A state of the model, and who reviews and who pays there."""

    mac: Words
    participant: Slug
    contractor_part_a: Words
    contractor_part_b: Words
    contractor_numbers_verified: Literal["both", "part-b", "none"]


class Participant(Frozen):
    """A company that reviews requests for CMS."""

    name: Words
    phone: Words
    email: Words
    portal: Words
    fax: Words | None = None


class Mac(Frozen):
    """A Medicare administrative contractor's jurisdiction."""

    name: Words
    phone: Words
    fax: Words
    mail: Words


class Geography(Frozen):
    """States, participants and MACs, each by its key."""

    states: dict[StateCode, State] = Field(min_length=1)
    participants: dict[Slug, Participant]
    macs: dict[str, Mac]

    @model_validator(mode="after")
    def _joined(self) -> Self:
        faults = [
            f"states.{key}: no such {kind}: {name}"
            for key, state in self.states.items()
            for kind, name, known in (
                ("MAC", state.mac, self.macs),
                ("participant", state.participant, self.participants),
            )
            if name not in known
        ]
        if faults:
            raise ValueError("; ".join(faults))
        return self


class Source(Frozen):
    """Where a fact was read, and how near to the origin that is."""

    title: Words
    authority: Words
    url: Words | None = None


class Sources(Frozen):
    """Everything the rule files cite, by key."""

    sources: dict[Slug, Source]
