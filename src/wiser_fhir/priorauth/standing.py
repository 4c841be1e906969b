"""What is decided or in review for a beneficiary: what foreseeing has to know of cases."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from wiser_fhir.audit.recorder import AuditRow
from wiser_fhir.coverage.requested import UNITS_UNTOLD
from wiser_fhir.db.blind import index_of
from wiser_fhir.db.engine import raw_connection
from wiser_fhir.priorauth.models import CaseStatus, ItemStatus, PartyRole

MOST_FOUND = 50

_ASK = "select * from standing_of($1, $2, $3, $4, $5, $6, $7)"

# Numbers of our shape tell the part of Medicare that the claim goes to. See `LocalUtnSource`.
_PART = re.compile("[A-Z0-9]{2}([AB])[0-9]{11}")

# Who performs or bills; else who orders; else who asks. As `Visit.practitioner` falls back.
_BY_ROLE = (
    (PartyRole.RENDERING, PartyRole.FACILITY),
    (PartyRole.ORDERING,),
    (PartyRole.REQUESTER,),
)


@dataclass(frozen=True, slots=True)
class Standing:
    """A case that is in review or decided, as far as another request hangs on it.

    `utn` is a number that is assigned: None while there is none, and once it ended. `codes` are the
    lines' procedure codes with how each stands, `quantities` the units of each line, as far as
    asked for. `npis` are those of who performs or bills; where the case names neither, of who
    orders it, else of who asks. `state` is where the service is delivered.
    """

    case_id: UUID
    reference: str
    status: CaseStatus
    utn: str | None
    valid_from: date | None
    valid_until: date | None
    decide_by: datetime | None
    service: str | None
    codes: tuple[tuple[str, ItemStatus], ...]
    npis: tuple[str, ...]
    received_at: datetime
    state: str | None = None
    quantities: tuple[Decimal | None, ...] = ()

    @property
    def part(self) -> str | None:
        """`A` or `B`, where a number of our shape is assigned."""
        found = _PART.fullmatch(self.utn or "")
        return found.group(1) if found else None

    def is_live(self, on: date) -> bool:
        """Whether a number is assigned, and its last day has not passed."""
        return self.utn is not None and self.valid_until is not None and on <= self.valid_until

    def covers(self, day: date) -> bool:
        """Whether the days of the affirmation hold a date of service."""
        return (
            self.valid_from is not None
            and self.valid_until is not None
            and self.valid_from <= day <= self.valid_until
        )

    def of_code(self, code: str) -> frozenset[ItemStatus]:
        """How the lines for a procedure code stand. Empty where it was not asked for."""
        return frozenset(status for each, status in self.codes if each == code)

    def units_affirmed(self, code: str) -> Decimal | None:
        """How many units of a code are affirmed, one for a line that does not tell.

        None where nothing is known of the lines' units.
        """
        told = [
            UNITS_UNTOLD if units is None else units
            for (each, status), units in zip(self.codes, self.quantities, strict=False)
            if each == code and status is ItemStatus.AFFIRMED
        ]
        return sum(told, Decimal()) if told else None


async def standing(
    engine: AsyncEngine,
    organization_id: UUID,
    mbi: str | None,
    npis: Sequence[str],
    audit: AuditRow,
    at_most: int = MOST_FOUND,
) -> tuple[Standing, ...]:
    """Cases of a beneficiary, the latest received first. Without a number there are none.

    The organization's own; and through a gate that leaves an audit row, those that others sent in
    which a provider has a part whom `npis` names and the organization acts for. A clearinghouse
    for everybody sees only what it sent. `audit` tells who asks, under which request.

    Raises Unavailable.
    """
    if mbi is None:
        return ()
    member = index_of(engine).of(mbi).value
    asked = (organization_id, member, sorted(set(npis)), at_most)
    async with raw_connection(engine) as connection:
        found = await connection.fetch(
            _ASK, *asked, audit.request_id, audit.client_id, audit.patient
        )
    return tuple(map(_standing, found))


def _standing(row: Any) -> Standing:
    statuses = map(ItemStatus, row["item_statuses"])
    return Standing(
        case_id=row["case_id"],
        reference=row["reference"],
        status=CaseStatus(row["status"]),
        utn=row["utn"],
        valid_from=row["valid_from"],
        valid_until=row["valid_until"],
        decide_by=row["decide_by"],
        service=row["service"],
        codes=tuple(zip(row["item_codes"], statuses, strict=True)),
        npis=_who_bills(row["roles_named"], row["npis_named"]),
        received_at=row["received_at"],
        state=row["state"],
        quantities=tuple(row["item_quantities"]),
    )


def _who_bills(roles: Sequence[str], npis: Sequence[str | None]) -> tuple[str, ...]:
    """The numbers of the first roles that anybody has, told or not."""
    parties = [(PartyRole(role), npi) for role, npi in zip(roles, npis, strict=True)]
    for group in _BY_ROLE:
        named = [npi for role, npi in parties if role in group]
        if named:
            return tuple(npi for npi in named if npi)
    return ()
