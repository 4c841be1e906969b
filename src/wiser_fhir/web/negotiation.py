"""What may be asked for and sent: FHIR JSON, in UTF-8, of R4.

Source: PAS 2.2.1 §spec-11; FHIR R4, RESTful API, "Content Types and encodings".
"""

from functools import lru_cache

from starlette.exceptions import HTTPException
from starlette.requests import Request

_TYPES = frozenset({"application/fhir+json", "application/json"})
_FORM = "application/x-www-form-urlencoded"
_RANGES = _TYPES | {"*/*", "application/*"}
_FORMATS = _TYPES | {"json"}
_R4 = frozenset({"4.0", "4.0.1"})
_CHARSETS = frozenset({"utf-8", "us-ascii"})


def check_accept(request: Request) -> None:
    """Raises HTTPException 406 if the caller takes nothing that we send.

    `_format` overrules the Accept header, as FHIR asks.
    """
    if request.scope["query_string"] and "_format" in request.query_params:
        if not _is_format(request.query_params["_format"]):
            raise HTTPException(406, "Only JSON is spoken here: _format=application/fhir+json.")
        return
    accept = ",".join(request.headers.getlist("accept"))
    if accept and not _takes_json(accept):
        raise HTTPException(406, "Only JSON is spoken here: Accept: application/fhir+json.")


def check_content_type(request: Request) -> None:
    """Raises HTTPException 415 unless the body is said to be FHIR JSON."""
    if not _is_json(request.headers.get("content-type", "")):
        raise HTTPException(415, "Only JSON is read here: Content-Type: application/fhir+json.")


def check_form_type(request: Request) -> None:
    """Raises HTTPException 415 unless the body is said to be a form."""
    media_type, _ = _parsed(request.headers.get("content-type", ""))
    if media_type != _FORM:
        raise HTTPException(415, f"Only a form is read here: Content-Type: {_FORM}.")


def _is_format(value: str) -> bool:
    # An unescaped + in a query string is read as a blank.
    media_type, parameters = _parsed(value.replace("fhir json", "fhir+json"))
    return media_type in _FORMATS and _is_r4(parameters)


@lru_cache(maxsize=256)
def _takes_json(accept: str) -> bool:
    """Whether an Accept header covers JSON; of several ranges the most specific decides."""
    weights: dict[str, float] = {}
    for part in accept.split(","):
        media_range, parameters = _parsed(part)
        if media_range in _RANGES and _is_r4(parameters):
            weight = _weight(parameters.get("q", "1"))
            weights[media_range] = max(weight, weights.get(media_range, 0.0))
    return any(_weight_of(each, weights) > 0 for each in _TYPES)


def _weight_of(media_type: str, weights: dict[str, float]) -> float:
    for media_range in (media_type, "application/*", "*/*"):
        if media_range in weights:
            return weights[media_range]
    return 0.0


def _weight(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


@lru_cache(maxsize=256)
def _is_json(content_type: str) -> bool:
    media_type, parameters = _parsed(content_type)
    charset = parameters.get("charset", "utf-8").lower()
    return media_type in _TYPES and charset in _CHARSETS and _is_r4(parameters)


def _is_r4(parameters: dict[str, str]) -> bool:
    return parameters.get("fhirversion", "4.0") in _R4


def _parsed(text: str) -> tuple[str, dict[str, str]]:
    """A media type in lower case, and its parameters with lower-case names."""
    media_type, *rest = text.split(";")
    pairs = (part.partition("=") for part in rest)
    parameters = {name.strip().lower(): value.strip().strip('"') for name, _, value in pairs}
    return media_type.strip().lower(), parameters
