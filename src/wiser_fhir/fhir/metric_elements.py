"""What the logical models of the guides' measures have in common, as JSON.

Their element names are used as they stand. What a model demands and a payer cannot know is left out
with the reason, as FHIR has it for anything that must be there and is not.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from wiser_fhir.fhir.codes import NPI
from wiser_fhir.fhir.elements import Json

UNKNOWN: Json = {
    "extension": [
        {
            "url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason",
            "valueCode": "unknown",
        }
    ]
}
PAYER_SOURCE = "payer-src"
_URI = "urn:ietf:rfc:3986"


def provider(npi: str | None) -> Json:
    """An NPI as an Identifier."""
    return {"system": NPI, "value": npi} if npi else {"system": NPI, "_value": UNKNOWN}


def payer(address: str) -> Json:
    """Us, by our public address: the program gives its participants no number."""
    return {"system": _URI, "value": address}


def instant(moment: datetime) -> str:
    """An instant in UTC with milliseconds."""
    return moment.isoformat(timespec="milliseconds")


def begun(ended: datetime, detail: Mapping[str, Any]) -> datetime:
    """When an act began of which the audit trail tells the end and how long it took."""
    return ended - timedelta(milliseconds=detail.get("ms") or 0)


def issues(codes: Iterable[str]) -> list[Json]:
    """The kinds of problems that an OperationOutcome told; their texts are not repeated."""
    return [{"code": code} for code in codes]


def refused_with(detail: Mapping[str, Any]) -> list[Json]:
    """The problems of a refusal, as the audit trail has them."""
    return issues(filter(None, (detail.get("issues") or "").split("|")))


def first(values: Sequence[Any] | None) -> Any:
    """The first of several where a model has room for one."""
    return next(iter(values or ()), None)
