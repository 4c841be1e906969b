"""What is known of beneficiaries and providers beyond the request. "Unknown" never dismisses."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import Literal, Protocol, Self

from pydantic import model_validator

from wiser_fhir.coverage.frozen import Frozen, Slug, Words
from wiser_fhir.coverage.loading import read


class Membership(StrEnum):
    """What is known of a Medicare number. Not found: the records say that it is nobody's."""

    KNOWN = "known"
    DECEASED = "deceased"
    NOT_FOUND = "not-found"
    UNKNOWN = "unknown"


class Enrolment(StrEnum):
    """What is known of a provider number."""

    ENROLLED = "enrolled"
    INELIGIBLE = "ineligible"
    UNKNOWN = "unknown"


class Registry(Protocol):
    """Membership, enrolment and exemption lists. A loaded file, or a service behind one."""

    def beneficiary(self, mbi: str) -> Membership:
        """Whether a Medicare number is somebody's, and whether that person lives."""
        ...

    def medicare_advantage(self, mbi: str, on: date) -> bool | None:
        """Whether the beneficiary is in a Medicare Advantage plan on a day."""
        ...

    def provider(self, npi: str) -> Enrolment:
        """Whether a provider may bill Medicare."""
        ...

    def exempt(self, npi: str, service: str, on: date) -> bool | None:
        """Whether a provider needs no request for a service on a day."""
        ...


class Span(Frozen):
    """Days from `first` to `last`, both included; open where a day is missing."""

    first: date | None = None
    last: date | None = None

    def covers(self, day: date) -> bool:
        """Whether a day lies in the span."""
        return (self.first or date.min) <= day <= (self.last or date.max)


class BeneficiaryRecord(Frozen):
    """One Medicare number of a registry file. `nobody`: Medicare gave it to no one."""

    mbi: Words
    deceased: bool = False
    nobody: bool = False
    medicare_advantage: tuple[Span, ...] = ()

    @model_validator(mode="after")
    def _somebody_or_not(self) -> Self:
        if self.nobody and (self.deceased or self.medicare_advantage):
            raise ValueError("nobody has neither died nor a plan")
        return self


class ProviderRecord(Frozen):
    """One provider of a registry file."""

    npi: Words
    status: Literal["enrolled", "ineligible"]


class ExemptionRecord(Span):
    """One exemption of a registry file, for a service by its slug."""

    npi: Words
    service: Slug


class Defaults(Frozen):
    """What holds for numbers the file does not list. A sandbox may know everybody."""

    beneficiary: Literal["known", "unknown"] = "unknown"
    provider: Literal["enrolled", "unknown"] = "unknown"


class RegistryFile(Frozen):
    """A registry as a file holds it. Without `exemptions` nothing is known of them."""

    defaults: Defaults = Defaults()
    beneficiaries: tuple[BeneficiaryRecord, ...] = ()
    providers: tuple[ProviderRecord, ...] = ()
    exemptions: tuple[ExemptionRecord, ...] | None = None

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        for numbers in ([b.mbi for b in self.beneficiaries], [p.npi for p in self.providers]):
            if len(set(numbers)) < len(numbers):
                raise ValueError("a number stands twice")
        return self


@dataclass(frozen=True)
class InMemoryRegistry:
    """A registry held in memory. An empty one knows nothing."""

    defaults: Defaults = field(default_factory=Defaults)
    beneficiaries: Mapping[str, BeneficiaryRecord] = field(default_factory=dict)
    providers: Mapping[str, ProviderRecord] = field(default_factory=dict)
    exemptions: tuple[ExemptionRecord, ...] | None = None

    @classmethod
    def of(cls, content: RegistryFile) -> "InMemoryRegistry":
        """The registry that a file's content describes."""
        return cls(
            defaults=content.defaults,
            beneficiaries={record.mbi: record for record in content.beneficiaries},
            providers={record.npi: record for record in content.providers},
            exemptions=content.exemptions,
        )

    @classmethod
    def load(cls, path: Path) -> "InMemoryRegistry":
        """The registry in a TOML file. Raises CatalogueError, naming file and place."""
        return cls.of(read(RegistryFile, path))

    def beneficiary(self, mbi: str) -> Membership:
        """Whether a Medicare number is somebody's, and whether that person lives."""
        record = self.beneficiaries.get(mbi)
        if record is None:
            return Membership(self.defaults.beneficiary)
        if record.nobody:
            return Membership.NOT_FOUND
        return Membership.DECEASED if record.deceased else Membership.KNOWN

    def medicare_advantage(self, mbi: str, on: date) -> bool | None:
        """Whether the beneficiary is in a Medicare Advantage plan on a day."""
        record = self.beneficiaries.get(mbi)
        if record is None:
            return False if self.defaults.beneficiary == "known" else None
        return any(span.covers(on) for span in record.medicare_advantage)

    def provider(self, npi: str) -> Enrolment:
        """Whether a provider may bill Medicare."""
        record = self.providers.get(npi)
        return Enrolment(self.defaults.provider if record is None else record.status)

    def exempt(self, npi: str, service: str, on: date) -> bool | None:
        """Whether a provider needs no request for a service on a day."""
        if self.exemptions is None:
            return None
        return any(
            record.npi == npi and record.service == service and record.covers(on)
            for record in self.exemptions
        )
