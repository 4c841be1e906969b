"""The core's `Answers`, as response Bundles of the line that a case came by."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import orjson

from wiser_fhir.fhir.codes import Line
from wiser_fhir.pas.claim_response import Renderer
from wiser_fhir.pas.request import RequestBundle, unwrapped
from wiser_fhir.priorauth.models import PriorAuthorization
from wiser_fhir.web.body import parse_json


@dataclass(frozen=True, slots=True)
class PasAnswers:
    """Writes what is answered about a case, by the renderer of each line."""

    renderers: Mapping[Line, Renderer]

    def response(
        self, case: PriorAuthorization, line: str, request_body: bytes, at: datetime
    ) -> bytes:
        """The PAS response Bundle. Source: PAS 2.2.1 §spec-30 to §spec-34."""
        renderer = next(r for known, r in self.renderers.items() if known == line)
        request = RequestBundle.of(unwrapped(parse_json(request_body)))
        return orjson.dumps(renderer.submit_response(case, request, at))
