"""The one shape that CRD orders, PAS items and portal forms all become."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

CPT = "http://www.ama-assn.org/go/cpt"
HCPCS = "http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets"

LEAST_UNITS, MOST_UNITS = Decimal("0.001"), Decimal(9_999)
"""What a line may be for. Claims count thousandths of a unit; no service of the model comes near
five digits, not those counted by the square centimetre either. Both included."""
UNITS_UNTOLD = Decimal(1)
"""What a line is for that tells no quantity. Source: FHIR R4, Claim.item.net."""


def are_units(quantity: Decimal | float) -> bool:
    """Whether a line may be for so many units."""
    return bool(LEAST_UNITS <= quantity <= MOST_UNITS)


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
