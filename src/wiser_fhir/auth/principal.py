"""Who calls, and with which rights."""

from dataclasses import dataclass
from uuid import UUID

from wiser_fhir.auth.scopes import Grants, covers


@dataclass(frozen=True, slots=True)
class Principal:
    """The client behind a token and the organization it speaks for.

    `npis` are the providers it may send for, None for a clearinghouse that may send for all.
    """

    client_id: UUID
    client_name: str
    organization_id: UUID
    grants: Grants
    npis: frozenset[str] | None

    def may(self, needed: Grants) -> bool:
        """Whether its scopes cover what is needed."""
        return covers(self.grants, needed)

    def acts_for(self, npi: str) -> bool:
        """Whether it may send for the provider with this NPI."""
        return self.npis is None or npi in self.npis
