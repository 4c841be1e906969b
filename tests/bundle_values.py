"""What a built Bundle can say, as plain values: every field of `Asked` is one possible variation.

Everybody in here is made up. The numbers have the right shape and belong to nobody: MBIs follow
CMS's published sample, NPIs carry a valid check digit.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Literal
from uuid import NAMESPACE_URL, UUID, uuid5

Json = dict[str, Any]
Line = Literal["2.2", "2.0"]
PayerKind = Literal["original-medicare", "medicare-advantage", "medicaid", "railroad"]

RULES_VERSION = "2026-01-15"
_NAMESPACE = uuid5(NAMESPACE_URL, "https://wiser-fhir.example/made-up-requests")


def valid_npi(first_nine: str) -> str:
    """A National Provider Identifier: nine digits and the check digit that makes it valid.

    Source: 45 CFR 162.406, the Luhn formula over the number with 80840 before it.
    """
    digits = [int(digit) for digit in "80840" + first_nine]
    doubled = [2 * digit if place % 2 == 0 else digit for place, digit in enumerate(digits[::-1])]
    total = sum(digit - 9 if digit > 9 else digit for digit in doubled)
    return first_nine + str(-total % 10)


@dataclass(frozen=True, slots=True)
class Member:
    """A made-up beneficiary."""

    mbi: str
    family: str
    given: str
    birth_date: date
    gender: Literal["female", "male"]


MEMBERS = (
    Member("1EG4TE5MK73", "Testfeather", "Ada", date(1948, 3, 9), "female"),
    Member("2FH5UF6NK84", "Sampleton", "Bertram", date(1951, 7, 22), "male"),
    Member("3GJ6VG7PM95", "Mockingham", "Celia", date(1944, 11, 30), "female"),
    Member("4HK7WH8QN16", "Placeholt", "Dorian", date(1956, 1, 14), "male"),
    Member("5JM8XJ9RP27", "Examplewood", "Edith", date(1939, 5, 2), "female"),
)

STATES = {
    "AZ": ("Phoenix", "85004"),
    "CA": ("San Diego", "92101"),
    "NJ": ("Trenton", "08608"),
    "OH": ("Columbus", "43215"),
    "OK": ("Tulsa", "74103"),
    "TX": ("Austin", "78701"),
    "WA": ("Tacoma", "98402"),
}
"""City and ZIP that go with a state, so that addresses agree with themselves."""

USUAL = {
    "cervical-fusion": ("22554", "S12.400A", "trauma-unstable"),
    "electrical-nerve-stimulators": ("63655", "G89.4", "trial-passed"),
    "epidural-steroid-injection": ("64483", "M54.16", "first-transforaminal"),
    "hypoglossal-nerve-stimulation": ("64582", "G47.33", "cpap-failure"),
    "incontinence-control-devices": ("57288", "N39.3", "plain-stress-incontinence"),
    "induced-lesions-nerve-tracts": ("64610", "G50.0", "drugs-failed"),
    "knee-arthroscopy-oa": ("29877", "M17.11", "catching-knee"),
    "penile-prosthesis": ("54405", "N52.9", "drugs-failed"),
    "percutaneous-vertebral-augmentation": ("22514", "M80.08XA", "at-home-worsening"),
    "phrenic-nerve-stimulator": ("33276", "G47.31", "central-apnea"),
    "sacral-nerve-stimulation": ("64581", "N39.41", "urge-incontinence"),
    "skin-substitutes": ("15275", "E11.621", "diabetic-foot-ulcer"),
    "vagus-nerve-stimulation": ("64568", "G40.011", "epilepsy"),
}
"""What is asked for when a test does not say: service -> (primary code, diagnosis, example)."""


@dataclass(frozen=True, slots=True)
class Item:
    """One line of a request. What is None follows the request. CPT unless `system` says more.

    `site` is a place of service (`24`) or, starting with 13, a type of bill (`131`). Extension
    point: a further element of Claim.item becomes a field here and a line in `bundles._item`.
    """

    code: str
    quantity: float | None = 1
    modifiers: tuple[str, ...] = ()
    revenue: str | None = None
    site: str | None = None
    service_date: date | None = None
    service_end: date | None = None
    system: str | None = None
    previous_utn: str | None = None


@dataclass(frozen=True, slots=True)
class Form:
    """A QuestionnaireResponse. What is None follows the request.

    `answers` by question id: bool, int, float, Decimal, str (option code or text), date or ISO
    text, and a list of option codes. `types` names the question types (`boolean`, `choice` ...);
    None: the catalogue's. `origin` is who answered (auto, override, manual; None: not said),
    `origins` the exceptions by question id.
    """

    answers: Mapping[str, Any]
    types: Mapping[str, str] | None = None
    service: str | None = None
    version: str | None = RULES_VERSION
    status: str = "completed"
    authored: datetime | None = None
    origin: str | None = "manual"
    origins: Mapping[str, str | None] | None = None
    about_another: bool = False
    questionnaire: str | None = None
    in_bundle: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request or an inquiry, before it becomes a Bundle. Every field is a possible variation.

    The same values always give the same Bundle, to the byte: the UUIDs hang on `seed` and `line`.
    """

    line: Line = "2.2"
    seed: str = "example"
    identifier: str | None = None
    trace: str | None = None
    created: datetime = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
    service: str = "epidural-steroid-injection"
    service_date: date | None = date(2026, 12, 15)
    answers: Mapping[str, Any] | None = None
    forms: tuple[Form, ...] | None = None
    codes: tuple[str | Item, ...] | None = None
    diagnoses: tuple[str, ...] | None = None
    state: str | None = "TX"
    requestor_state: str | None = "TX"
    site: str = "24"
    member: Member = MEMBERS[0]
    mbi: str | None = None
    family: str | None = None
    npi: str = valid_npi("199999020")
    ptan: str | None = "TST12345"
    ordering_npi: str | None = None
    requestor_npi: str = valid_npi("199999010")
    facility_npi: str = valid_npi("199999030")
    facility_number: str | None = "670099"
    payer: PayerKind = "original-medicare"
    expedited: bool = False
    previous_utn: str | None = None
    evidence: bool = True
    evidence_text: str = "Made-up clinical note for testing. History, examination and imaging."
    order: bool = True

    def uuid(self, name: str) -> UUID:
        """The UUID of what `name` calls; two requests with different seeds share none."""
        return uuid5(_NAMESPACE, f"{self.line}/{self.seed}/{name}")

    def full_url(self, name: str) -> str:
        """The fullUrl of the resource that `name` calls."""
        return f"urn:uuid:{self.uuid(name)}"

    def reference(self, name: str) -> Json:
        """A Reference to the resource that `name` calls."""
        return {"reference": self.full_url(name)}

    @property
    def instant(self) -> str:
        """`created` on the wire."""
        return wire_instant(self.created)

    @property
    def items(self) -> tuple[Item, ...]:
        """The lines asked for."""
        codes = self.codes or (USUAL[self.service][0],)
        return tuple(Item(code) if isinstance(code, str) else code for code in codes)

    @property
    def diagnosis_codes(self) -> tuple[str, ...]:
        """The ICD-10-CM codes, the principal one first."""
        return (USUAL[self.service][1],) if self.diagnoses is None else self.diagnoses

    @property
    def all_forms(self) -> tuple[Form, ...]:
        """The forms sent along; `answers` alone make one of the usual kind."""
        if self.forms is not None:
            return self.forms
        return () if self.answers is None else (Form(self.answers),)


def wire_instant(moment: datetime) -> str:
    """An instant or dateTime in UTC."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
