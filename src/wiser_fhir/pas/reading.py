"""The core's `Reading`: kept request Bundles, read again for those who review."""

from base64 import b64decode
from collections.abc import Iterator

import orjson

from wiser_fhir.fhir.elements import Json
from wiser_fhir.pas.attachment_content import files_in
from wiser_fhir.pas.evidence import contents
from wiser_fhir.pas.request import RequestBundle, unwrapped
from wiser_fhir.pas.submission import submission
from wiser_fhir.priorauth.file_types import FHIR_JSON, TEXT, kinds_of
from wiser_fhir.priorauth.models import Submission
from wiser_fhir.priorauth.reading import Content
from wiser_fhir.priorauth.repository import StoredCase
from wiser_fhir.web.body import parse_json

_UNKNOWN = "application/octet-stream"


class PasReading:
    """Reads what `Claim/$submit` took."""

    def submission(self, stored: StoredCase) -> Submission:
        """The request Bundle as a submission."""
        case = stored.case
        return submission(_bundle(stored.request_body), case.organization_id, case.received_at)

    def document(self, request_body: bytes, number: int) -> Content | None:
        """A document's data; of a result that came as a resource, the resource."""
        numbered = enumerate(self.documents(request_body), start=1)
        return next((content for place, content in numbered if place == number), None)

    def documents(self, request_body: bytes) -> Iterator[Content]:
        """All of them, in the order of the Claim's supporting information."""
        for resource, attachment in contents(_bundle(request_body)):
            yield _of_result(resource) if attachment is None else _of(attachment)


def _bundle(body: bytes) -> RequestBundle:
    return RequestBundle.of(unwrapped(parse_json(body)))


def _of_result(resource: Json) -> Content:
    files = tuple(_data(each) for each in files_in(resource))
    return Content(FHIR_JSON, orjson.dumps(resource), files)


def _of(attachment: Json) -> Content:
    """Its bytes, named for what they are: text that is also something else stays plain text."""
    data = _data(attachment)
    kinds = kinds_of(data)
    if TEXT in kinds:
        return Content(f"{TEXT}; charset=utf-8", data)
    return Content(next(iter(kinds), _UNKNOWN), data)


def _data(attachment: Json) -> bytes:
    try:
        return b64decode(attachment["data"])
    except ValueError:  # padded where no padding goes: shown as it came
        return str(attachment["data"]).encode()
