"""CRD's answer as it comes back on an order: the extension with what every line must have."""

from typing import Any

from tests.bundles import Json, Line

CRD = "http://hl7.org/fhir/us/davinci-crd/StructureDefinition/"


def coverage_information(
    line: Line, assertion_id: str, coverage: Json, pa_needed: str = "auth-needed", **more: Any
) -> Json:
    """The extension, saying covered. `coverage` is a Reference."""
    parts: list[Json] = [
        {"url": "coverage", "valueReference": coverage},
        {"url": "covered", "valueCode": "covered"},
        {"url": "pa-needed", "valueCode": pa_needed},
        {"url": "date", "valueDate": "2026-11-18"},
        {"url": "coverage-assertion-id", "valueString": assertion_id},
    ]
    return {"url": f"{CRD}ext-coverage-information", "extension": parts, **more}
