"""The clinical documents and results that come with a request."""

from collections.abc import Iterator

from wiser_fhir.fhir.elements import Json
from wiser_fhir.pas.request import RequestBundle
from wiser_fhir.priorauth.models import Document

_RESULTS = frozenset({"DiagnosticReport", "Observation", "Procedure"})
_WITHDRAWN = frozenset({"entered-in-error", "superseded", "revoked", "cancelled", "not-done"})
_BASE64_GROUP = 4


def supporting_resources(request: RequestBundle) -> Iterator[Json]:
    """What the Claim points at as supporting information. Source: PAS 2.2.1 §spec-18."""
    for info in request.claim.get("supportingInfo", ()):
        resource = request.target(request.claim, info.get("valueReference"))
        if resource is not None:
            yield resource


def documents(request: RequestBundle) -> Iterator[Document]:
    """Documents with data, and results: the Claim points at them, they are about its patient."""
    for resource in supporting_resources(request):
        if is_withdrawn(resource) or not _about_the_patient(request, resource):
            continue
        kind = resource["resourceType"]
        where = request.references.full_url(resource) or ""
        if kind in _RESULTS:
            yield Document(kind, where, None, 0)
        elif kind == "DocumentReference":
            for content in resource.get("content", ()):
                attachment = content.get("attachment", {})
                if size := _decoded_size(attachment.get("data", "").strip()):
                    yield Document(kind, where, attachment.get("contentType"), size)


def is_withdrawn(resource: Json) -> bool:
    """Whether a record says of itself that it no longer counts, or that nothing was done."""
    return not _WITHDRAWN.isdisjoint((resource.get("status"), resource.get("docStatus")))


def _about_the_patient(request: RequestBundle, resource: Json) -> bool:
    subject = request.target(resource, resource.get("subject"))
    return subject is not None and subject is request.patient


def _decoded_size(base64: str) -> int:
    return len(base64) * 3 // _BASE64_GROUP - base64.count("=", -2)
