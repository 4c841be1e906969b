"""Who calls, and with which rights."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self
from uuid import UUID

from wiser_fhir.auth.scopes import Grants, covers

_TIN = re.compile("[0-9]{2}-?[0-9]{7}|[0-9]{3}-[0-9]{2}-[0-9]{4}")


def tin_digits(value: str) -> str | None:
    """The nine digits of a taxpayer's number, however it is divided; None if it can be none."""
    return value.replace("-", "") if _TIN.fullmatch(value) else None


@dataclass(frozen=True, slots=True)
class Principal:
    """The client behind a token and the organization it speaks for.

    `npis` are the providers it may send for, None for a clearinghouse that may send for all; `tins`
    the taxpayers' numbers it may send for, which do not count where it may send for all.
    `certificate` is the thumbprint of the one that its token is bound to, None if to none.
    """

    client_id: UUID
    client_name: str
    organization_id: UUID
    grants: Grants
    npis: frozenset[str] | None
    tins: frozenset[str] = frozenset()
    certificate: str | None = None

    @classmethod
    def of(cls, row: Mapping[Any, Any], grants: Grants, certificate: str | None) -> Self:
        """By a row that joins a client and its organization."""
        return cls(
            client_id=row["client_id"],
            client_name=row["client_name"],
            organization_id=row["organization_id"],
            grants=grants,
            npis=None if row["acts_for"] == "all" else frozenset(row["npis"]),
            tins=frozenset(row["tins"]),
            certificate=certificate,
        )

    def may(self, needed: Grants) -> bool:
        """Whether its scopes cover what is needed."""
        return covers(self.grants, needed)

    def acts_for(self, npi: str) -> bool:
        """Whether it may send for the provider with this NPI."""
        return self.npis is None or npi in self.npis

    def bills_as(self, tin: str) -> bool:
        """Whether it may send for the taxpayer with this number."""
        return self.npis is None or tin_digits(tin.strip()) in self.tins
