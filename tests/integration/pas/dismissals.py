"""One request for each way to be dismissed: what is wrong with it, and why it is closed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from tests.bundles import Item, Json, Line, request_bundle, valid_npi
from tests.integration.pas.door import LINES, MET
from wiser_fhir.priorauth.models import DismissalReason

_DECEASED, _IN_A_PLAN, _NOBODY = "9XX9XX9XX91", "9XX9XX9XX92", "9XX9XX9XX93"
_INELIGIBLE, _EXEMPT = valid_npi("199900004"), valid_npi("199900005")


def _nothing(_: Json) -> None:
    """Leaves a Bundle as it is."""


@dataclass(frozen=True)
class Dismissed:
    """A request that is dismissed. `says` stands in the text that the provider reads.

    `serves` are the states we serve, where that matters. Not every line lets every fault through
    to the gates: US Core of line 2.2 checks the digits of an NPI itself.
    """

    reason: DismissalReason
    says: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    change: Callable[[Json], None] = _nothing
    serves: tuple[str, ...] = ()
    lines: tuple[Line, ...] = LINES

    def bundle(self, line: Line, **fields: Any) -> Json:
        """The request, every criterion met but for what is wrong."""
        bundle = request_bundle(line, **{"answers": MET, **self.fields, **fields})
        self.change(bundle)
        return bundle


def _claim(bundle: Json) -> Json:
    claim: Json = bundle["entry"][0]["resource"]
    return claim


def _no_type_of_bill(bundle: Json) -> None:
    _claim(bundle)["item"][0]["locationCodeableConcept"]["coding"][0]["code"] = "999999"


_NON_WISER = DismissalReason.NON_WISER_SERVICE
_PLAN = DismissalReason.MEDICARE_ADVANTAGE_OR_MEDICAID
_MEMBER = DismissalReason.INVALID_BENEFICIARY
_BILLING = DismissalReason.INVALID_BILLING_INFORMATION

DISMISSALS: dict[str, Dismissed] = {
    "participant": Dismissed(
        DismissalReason.WRONG_PARTICIPANT_OR_MAC, "go to", {"state": "NJ"}, serves=("TX",)
    ),
    "date": Dismissed(_NON_WISER, "2026-01-10", {"service_date": date(2026, 1, 10)}),
    "site": Dismissed(_NON_WISER, "places of service", {"site": "21"}),
    "code": Dismissed(_NON_WISER, "No line carries", {"codes": ("99213",)}),
    "two services": Dismissed(
        _NON_WISER, "one service", {"codes": ("64483", "63655"), "diagnoses": ("M54.16", "G89.4")}
    ),
    "diagnosis": Dismissed(
        _NON_WISER,
        "no diagnosis",
        {"service": "skin-substitutes", "answers": None, "diagnoses": ("M54.16",)},
    ),
    "state": Dismissed(_NON_WISER, "CA", {"state": "CA", "requestor_state": "CA"}),
    "exclusion": Dismissed(_NON_WISER, "Emergency", {"codes": (Item("64483", modifiers=("ET",)),)}),
    "railroad": Dismissed(_NON_WISER, "Railroad", {"payer": "railroad"}),
    "delayed": Dismissed(_NON_WISER, "put off", {"codes": ("61867",), "answers": None}),
    "answers": Dismissed(
        _NON_WISER, "outside the model", {"answers": {**MET, "esi-purpose": False}}
    ),
    "advantage plan": Dismissed(_PLAN, "Original Medicare", {"payer": "medicare-advantage"}),
    "Medicaid": Dismissed(_PLAN, "Original Medicare", {"payer": "medicaid"}),
    "in a plan by the records": Dismissed(_PLAN, "Original Medicare", {"mbi": _IN_A_PLAN}),
    "bad Medicare number": Dismissed(_MEMBER, "Medicare card", {"mbi": "0EG4TE5MK73"}),
    "nobody's number": Dismissed(_MEMBER, "Medicare card", {"mbi": _NOBODY}),
    "deceased": Dismissed(_MEMBER, "records", {"mbi": _DECEASED}),
    "bad NPI": Dismissed(_BILLING, "NPI", {"npi": "1999990200"}, lines=("2.0",)),
    "bad type of bill": Dismissed(_BILLING, "type of bill", {"site": "131"}, _no_type_of_bill),
    "ineligible": Dismissed(
        DismissalReason.INELIGIBLE_PROVIDER, "may not bill", {"npi": _INELIGIBLE}
    ),
    "exempt": Dismissed(
        DismissalReason.EXEMPT_PROVIDER,
        "exempt",
        {"npi": _EXEMPT, "site": "11", "facility_number": None},
    ),
}
"""By gate. A duplicate needs another request before it and stands in test_again.py."""

EACH = [(gate, line) for gate, dismissed in DISMISSALS.items() for line in dismissed.lines]
