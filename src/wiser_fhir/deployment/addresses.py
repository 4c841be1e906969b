"""Where clients find this server."""

from collections.abc import Mapping

from wiser_fhir.fhir.codes import Line
from wiser_fhir.settings import Settings

PATHS: Mapping[Line, str] = {"2.2": "/fhir", "2.0": "/v2.0/fhir"}
# Where `serve` listens unless it is told: a sandbox's worker knows no better.
_SANDBOX_URL = "http://127.0.0.1:8000"


def public_origin(settings: Settings) -> str:
    """Where clients find this server; also the name of the authorization server as an issuer."""
    return settings.public_url or _SANDBOX_URL


def base_urls(settings: Settings) -> Mapping[Line, str]:
    """Where clients find each line."""
    origin = public_origin(settings)
    return {line: f"{origin}{path}" for line, path in PATHS.items()}
