"""The Bundles that answers travel in."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from uuid import UUID, uuid4, uuid5

from wiser_fhir.fhir import codes
from wiser_fhir.fhir.codes import Line
from wiser_fhir.fhir.elements import Json, without_empty
from wiser_fhir.pas.building import fhir_instant
from wiser_fhir.pas.echo import echoed
from wiser_fhir.pas.request import RequestBundle

_NAMESPACE = UUID("5b1f0a52-3f7e-5c0a-9d1e-6a1a1c0d2f77")
_IDENTIFIERS = "https://wiser-fhir.example/fhir/NamingSystem/response-bundle"
_MORE = (
    "There are more authorizations than these. Ask for one by its number, or narrow the inquiry by"
    " service, date or decision."
)


def answer_bundle(
    profile: str, base_url: str, response: Json, request: RequestBundle, beside: Sequence[Json] = ()
) -> Json:
    """A ClaimResponse, the entries `beside` it, and what of the request they refer to.

    The same answer has the same id. Source: PAS 2.2.1 §spec-30 to §spec-33.
    """
    name = f"{profile} {response['id']} {response['created']}"
    return {
        "resourceType": "Bundle",
        "id": str(uuid5(_NAMESPACE, name)),
        "meta": {"profile": [profile]},
        "type": "collection",
        "timestamp": response["created"],
        "entry": [
            {"fullUrl": f"{base_url}/ClaimResponse/{response['id']}", "resource": response},
            *beside,
            *echoed(request, response, *(entry["resource"] for entry in beside)),
        ],
    }


def of_transaction(bundle: Json, request: RequestBundle, line: Line) -> Json:
    """An answer to a request with its identifier: on line 2.2 the one the request came under, on
    line 2.0 one of the answer's own.

    Source: PAS 2.2.1 and 2.0.1, profile-pas-response-bundle (Bundle.identifier is the submitted
    transaction identifier; a persistent identifier for the bundle).
    """
    own = {"system": _IDENTIFIERS, "value": bundle["id"]}
    return bundle | {"identifier": request.bundle["identifier"] if line == "2.2" else own}


def in_parameters(bundles: Sequence[Json], more: bool) -> Json:
    """What an inquiry returns on line 2.2: a Bundle for each authorization.

    Where there are more, the last Bundle says so: the operation returns nothing but Bundles.
    Source: PAS 2.2.1, OperationDefinition Claim-inquiry (`return`, 0..*; the guide's example calls
    it responseBundle, and the definition is the norm).
    """
    if more and bundles:
        *others, last = bundles
        bundles = [*others, {**last, "entry": [*last["entry"], _warning()]}]
    returned = [{"name": "return", "resource": bundle} for bundle in bundles]
    return without_empty({"resourceType": "Parameters", "id": str(uuid4()), "parameter": returned})


def in_one(bundles: Iterable[Json], nobody: Iterable[Json], now: datetime, more: bool) -> Json:
    """What an inquiry returns on line 2.0: one Bundle, every ClaimResponse first, newest first.

    Two requests may carry different editions of one entry: the newest request's stays. Where
    nothing is found the Bundle holds `nobody`, for an empty one is not valid.
    Source: PAS 2.0.1, OperationDefinition Claim-inquiry.
    """
    responses: list[Json] = []
    others: dict[str, Json] = {}
    for bundle in bundles:
        first, *rest = bundle["entry"]
        responses.append(first)
        for entry in rest:
            others.setdefault(entry["fullUrl"], entry)
    entries = [*responses, *others.values()] if responses else list(nobody)
    return without_empty(
        {
            "resourceType": "Bundle",
            "id": str(uuid4()),
            "meta": {"profile": [codes.INQUIRY_RESPONSE_BUNDLE]},
            "type": "collection",
            "timestamp": fhir_instant(now),
            "entry": [*entries, _warning()] if more else entries,
        }
    )


def _warning() -> Json:
    """Says that not everything is here. Source: PAS 2.2.1 §spec-50 (what is left out is told)."""
    issue = {"severity": "warning", "code": "too-costly", "details": {"text": _MORE}}
    return {
        "fullUrl": f"urn:uuid:{uuid4()}",
        "resource": {"resourceType": "OperationOutcome", "issue": [issue]},
    }
