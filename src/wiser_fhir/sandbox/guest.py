"""A catalogue for the sandbox's guests: one service for whatever codes come, and no gate."""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import date
from pathlib import Path

from wiser_fhir.coverage.catalogue import Catalogue
from wiser_fhir.coverage.loading import read
from wiser_fhir.coverage.models import ServiceRules
from wiser_fhir.coverage.requested import Code

SLUG = "sandbox-guest"
FIRST_DAY = date(2026, 1, 15)


@dataclass(frozen=True)
class GuestCatalogue(Catalogue):
    """The catalogue with its tables and days, in which every code is one service's."""

    guest: ServiceRules

    @classmethod
    def of(cls, catalogue: Catalogue, codes: Iterable[Code]) -> "GuestCatalogue":
        """For a request with these codes. Raises CatalogueError."""
        tables = {each.name: getattr(catalogue, each.name) for each in fields(Catalogue)}
        ungated = catalogue.process.model_copy(update={"gates": ()})
        return cls(**{**tables, "process": ungated}, guest=_rules(codes))

    def recognised(self, code: Code, on: date) -> ServiceRules | None:
        """The guests' service, for a code of any system that the request carries."""
        return self.guest if code.code in self.guest.by_code else None


def _rules(codes: Iterable[Code]) -> ServiceRules:
    """The rule file beside this module, with the codes of a request in place of its own.

    They are not held against the shapes of procedure codes: guests bring codes of any kind.
    """
    place = {"slug": SLUG, "first_day": FIRST_DAY}
    rules = read(ServiceRules, Path(__file__).with_name("guest.toml"), place)
    (stand_in,) = rules.codes
    own = tuple(stand_in.model_copy(update={"code": each.code}) for each in codes)
    return ServiceRules.model_construct(**{**dict(rules), "codes": own})
