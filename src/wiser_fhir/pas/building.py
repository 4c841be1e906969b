"""Writing the small parts of FHIR JSON that every answer is made of."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from wiser_fhir.coverage.requested import Code
from wiser_fhir.fhir.elements import Json


def concept(system: str, code: str) -> Json:
    """A CodeableConcept of one coding, without a text: the words belong to the system's owner."""
    return {"coding": [{"system": system, "code": code}]}


def coded(code: Code) -> Json:
    """A plain code as a CodeableConcept."""
    return concept(code.system, code.code)


def told(url: str, **value: Any) -> Json:
    """An extension with its one value, as in `told(url, valueString="a")`."""
    return {"url": url, **value}


def nested(url: str, parts: list[Json]) -> Json:
    """An extension made of others."""
    return {"url": url, "extension": parts}


def period(first: date | None, last: date | None) -> Json:
    """Both days are included; one that is not known is left open."""
    ends = {"start": first, "end": last}
    return {name: day.isoformat() for name, day in ends.items() if day is not None}


def number(value: Decimal) -> int | float:
    """A decimal as a JSON number, whole where it is whole."""
    return int(value) if value == value.to_integral_value() else float(value)


def fhir_instant(moment: datetime) -> str:
    """An instant with milliseconds in UTC."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
