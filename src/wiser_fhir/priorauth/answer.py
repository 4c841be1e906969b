"""What an answer may say beyond the decision itself: of one item, and of the request as a whole.

Everything is empty unless somebody says it. Texts are never blank and codes hold no stray space, so
that whatever is kept can be sent; `ValueError` tells what cannot.
"""

import re
import unicodedata
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Literal

from pydantic import TypeAdapter

from wiser_fhir.coverage.requested import CPT, HCPCS, Code

CareTeamRole = Literal["primary", "assist", "supervisor", "other"]
"""Source: FHIR R4, claim-careteamrole."""

ICD_10_CM = "http://hl7.org/fhir/sid/icd-10-cm"

_CODE = re.compile(r"[!-~]+")
_TEXT = re.compile(r"[\t\n\r\x20-\x7e\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]*")
# Letters and symbols by their category that nobody sees: fillers of Hangul, the empty Braille cell.
_EMPTY = frozenset("\u115f\u1160\u2800\u3164\uffa0")
_SEEN = frozenset("LNPS")
_LARGEST_SEQUENCE = 2**31 - 1


def can_be_seen(text: str) -> bool:
    """Whether there is anything in a text to see: a letter, a digit, a mark of punctuation.

    Spaces, controls, joiners and marks that stand above nothing are not seen.
    Source: Unicode Standard, chapter 4.5 (general categories) and 5.21 (default ignorables).
    """
    return any(unicodedata.category(c)[0] in _SEEN and c not in _EMPTY for c in text)


_LARGEST_AMOUNT = Decimal(10) ** 12


def _check_codes(*codes: str | None) -> None:
    for code in codes:
        if code is not None and not _CODE.fullmatch(code):
            raise ValueError("a code is empty or holds a space")


def _check_procedures(*procedures: Code | None) -> None:
    for procedure in procedures:
        if procedure is not None:
            _check_codes(procedure.code)
            if procedure.system not in (CPT, HCPCS):
                raise ValueError("a service is a code of CPT or HCPCS")


def _check_diagnoses(*diagnoses: Code) -> None:
    for diagnosis in diagnoses:
        _check_codes(diagnosis.code)
        if diagnosis.system != ICD_10_CM:
            raise ValueError("a diagnosis is a code of ICD-10-CM")


def _check_texts(*texts: str | None) -> None:
    for text in texts:
        if text is not None and (not can_be_seen(text) or not _TEXT.fullmatch(text)):
            raise ValueError("a text is blank or holds what cannot be printed")


def _check_sequence(sequence: int) -> None:
    if not 0 < sequence <= _LARGEST_SEQUENCE:
        raise ValueError("a sequence is a positive number")


def _check_amounts(*amounts: Decimal | None) -> None:
    for amount in amounts:
        if amount is None:
            continue
        if not amount.is_finite() or not 0 <= amount <= _LARGEST_AMOUNT:
            raise ValueError("an amount is negative, or larger than anything is")


@dataclass(frozen=True, slots=True)
class AuthorizedProvider:
    """Somebody who may deliver what is authorized.

    Named by NPI or by `reference`, the full URL of an entry of the request: a Practitioner or an
    Organization. `entity` is an X12 98 code, `qualification` one of the NUCC provider taxonomy.
    """

    npi: str | None = None
    reference: str | None = None
    name: str | None = None
    entity: str | None = None
    role: CareTeamRole | None = None
    qualification: str | None = None

    def __post_init__(self) -> None:
        if self.npi is None and self.reference is None:
            raise ValueError("a provider is named by its NPI or by an entry of the request")
        _check_codes(self.npi, self.reference, self.entity, self.qualification)
        _check_texts(self.name)


@dataclass(frozen=True, slots=True)
class Stay:
    """When an admission is authorized. `first` and `last` are both included."""

    first: date
    last: date | None = None

    def __post_init__(self) -> None:
        if self.last is not None and self.last < self.first:
            raise ValueError("an admission ends before it begins")


@dataclass(frozen=True, slots=True)
class Money:
    """An amount in US dollars."""

    amount: Decimal

    def __post_init__(self) -> None:
        _check_amounts(self.amount)


@dataclass(frozen=True, slots=True)
class GrantedDetail:
    """What else is granted of a service than its code, quantity and days. None: as asked.

    `code_end` is the last code of a range. `revenue_code` is the NUBC's, `care_level` an X12 1337,
    `residential_status` an X12 1345, `request_type` an X12 1525 and `certification_type` an X12
    1322 code. `order` is the full URL of the order in the request.
    """

    modifiers: tuple[str, ...] = ()
    code_end: Code | None = None
    unit_price: Money | None = None
    epsdt: bool | None = None
    care_level: str | None = None
    residential_status: str | None = None
    revenue_code: str | None = None
    rate_limit: Decimal | None = None
    request_type: str | None = None
    certification_type: str | None = None
    order: str | None = None
    place_of_service: str | None = None
    bill_type: str | None = None

    def __post_init__(self) -> None:
        _check_codes(
            *(*self.modifiers, self.care_level, self.residential_status, self.revenue_code),
            *(self.request_type, self.certification_type, self.order),
            *(self.place_of_service, self.bill_type),
        )
        _check_procedures(self.code_end)
        _check_amounts(self.rate_limit)


@dataclass(frozen=True, slots=True)
class ItemAnswer:
    """What a determination says of one item. `diagnoses` are those the payer communicates.

    `second_opinion` says whether a second surgical opinion is asked for; None leaves it open.
    """

    providers: tuple[AuthorizedProvider, ...] = ()
    detail: GrantedDetail = GrantedDetail()
    admission: Stay | None = None
    discharge: date | None = None
    diagnoses: tuple[Code, ...] = ()
    notes: tuple[str, ...] = ()
    second_opinion: bool | None = None

    def __post_init__(self) -> None:
        _check_diagnoses(*self.diagnoses)
        _check_texts(*self.notes)

    def as_json(self) -> dict[str, Any]:
        """As JSON: only what is said."""
        said: dict[str, Any] = _ITEM_ANSWERS.dump_python(self, mode="json", exclude_defaults=True)
        return said

    @classmethod
    def of_json(cls, stored: dict[str, Any] | None) -> "ItemAnswer":
        """Back from JSON; None says nothing. Raises ValueError."""
        return _ITEM_ANSWERS.validate_python(stored or {})


@dataclass(frozen=True, slots=True)
class AddedItem:
    """Something granted that nobody asked for. `sequence` is one that no requested item has.

    `first_day` and `last_day` are both included.
    """

    sequence: int
    code: Code
    quantity: Decimal | None = None
    first_day: date | None = None
    last_day: date | None = None
    answer: ItemAnswer = ItemAnswer()

    def __post_init__(self) -> None:
        _check_sequence(self.sequence)
        _check_procedures(self.code)
        _check_amounts(self.quantity)
        if self.first_day and self.last_day and self.last_day < self.first_day:
            raise ValueError("an added item ends before it begins")


@dataclass(frozen=True, slots=True)
class StatedError:
    """Something wrong with a request that does not keep the rest of it from being answered.

    `code` is an X12 901 and `followup` an X12 889 code, `path` the FHIRPath of what is wrong,
    `element` its place in the X12 transaction, `sequence` the item it is about.
    """

    code: str
    followup: str | None = None
    path: str | None = None
    element: str | None = None
    sequence: int | None = None
    note: str | None = None

    def __post_init__(self) -> None:
        _check_codes(self.code, self.followup)
        _check_texts(self.path, self.element, self.note)
        if self.sequence is not None:
            _check_sequence(self.sequence)


@dataclass(frozen=True, slots=True)
class CaseAnswer:
    """What a determination says of the request as a whole.

    `overall` says the tracking number once more for all items together. `claim_absent` is True
    where the request did not come as a Claim, so that no answer can name one.
    """

    added: tuple[AddedItem, ...] = ()
    errors: tuple[StatedError, ...] = ()
    notes: tuple[str, ...] = ()
    providers: tuple[AuthorizedProvider, ...] = ()
    overall: bool = False
    second_opinion: bool | None = None
    claim_absent: bool = False

    def __post_init__(self) -> None:
        _check_texts(*self.notes)
        if len({item.sequence for item in self.added}) < len(self.added):
            raise ValueError("two added items have one sequence")

    def as_json(self) -> dict[str, Any]:
        """As JSON: only what is said."""
        said: dict[str, Any] = _CASE_ANSWERS.dump_python(self, mode="json", exclude_defaults=True)
        return said

    @classmethod
    def of_json(cls, stored: dict[str, Any] | None) -> "CaseAnswer":
        """Back from JSON; None says nothing. Raises ValueError."""
        return _CASE_ANSWERS.validate_python(stored or {})


_ITEM_ANSWERS = TypeAdapter(ItemAnswer)
_CASE_ANSWERS = TypeAdapter(CaseAnswer)
