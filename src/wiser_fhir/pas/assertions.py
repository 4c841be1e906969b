"""The answers of CRD that a request names: coverage-assertion-ids on its orders and forms."""

from collections.abc import Iterator

from wiser_fhir.fhir import codes
from wiser_fhir.fhir.elements import extensions
from wiser_fhir.pas.request import RequestBundle, resources_in

MOST = 50
_LONGEST = 200


def assertion_ids(request: RequestBundle) -> tuple[str, ...]:
    """Each id once, in the order of the Bundle; of very many the first.

    Source: CRD 2.2.1 §resp-46 (the extension stays on the order, and on the form made from it).
    """
    return tuple(dict.fromkeys(_ids(request)))[:MOST]


def _ids(request: RequestBundle) -> Iterator[str]:
    for resource in resources_in(request.bundle):
        if "extension" not in resource:
            continue
        for told in extensions(resource, codes.COVERAGE_INFORMATION):
            for part in extensions(told, "coverage-assertion-id"):
                value = part.get("valueString")
                if value and len(value) <= _LONGEST:
                    yield value
