"""The one shape that CRD orders, PAS items and portal forms all become."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

CPT = "http://www.ama-assn.org/go/cpt"
HCPCS = "http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets"


@dataclass(frozen=True, slots=True)
class Code:
    """A coding. CPT codes are HCPCS level I, so the two systems name the same procedure code."""

    system: str
    code: str


@dataclass(frozen=True, slots=True)
class RequestedService:
    """A service somebody asks for: what, when, where, how much. None where the request is silent.

    `codes` are all codings of one concept, in the order received. `state` is the two-letter state
    where the service is delivered.
    """

    codes: tuple[Code, ...]
    date_of_service: date | None
    state: str | None
    quantity: Decimal | None
