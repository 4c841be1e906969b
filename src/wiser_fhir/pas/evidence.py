"""The clinical documents and results that come with a request."""

from collections.abc import Iterable, Iterator

from wiser_fhir.fhir.elements import Json
from wiser_fhir.pas.request import RequestBundle
from wiser_fhir.pas.update import is_cancelled
from wiser_fhir.priorauth.models import Document

_RESULTS = frozenset({"DiagnosticReport", "Observation", "Procedure"})
_WITHDRAWN = frozenset({"entered-in-error", "superseded", "revoked", "cancelled", "not-done"})
_BASE64_GROUP = 4


def supporting_resources(request: RequestBundle) -> Iterator[Json]:
    """What the Claim points at as supporting information and an update has not withdrawn.

    Source: PAS 2.2.1 §spec-18, §spec-69.
    """
    standing = (i for i in request.claim.get("supportingInfo", ()) if not is_cancelled(i))
    yield from _targets(request, standing)


def named_resources(request: RequestBundle) -> Iterator[Json]:
    """What the Claim points at as supporting information, also where an update withdraws it."""
    yield from _targets(request, request.claim.get("supportingInfo", ()))


def documents(request: RequestBundle) -> Iterator[Document]:
    """Documents with data, and results: the Claim points at them, they are about its patient."""
    for resource, attachment in contents(request):
        where = request.references.full_url(resource) or ""
        attached = attachment or {}
        size = _decoded_size(attached.get("data", "").strip())
        yield Document(resource["resourceType"], where, attached.get("contentType"), size)


def contents(request: RequestBundle) -> Iterator[tuple[Json, Json | None]]:
    """The resource and the attachment of each document; a result is all in its resource."""
    for resource in supporting_resources(request):
        if is_withdrawn(resource) or not _about_the_patient(request, resource):
            continue
        if resource["resourceType"] in _RESULTS:
            yield resource, None
        elif resource["resourceType"] == "DocumentReference":
            for content in resource.get("content", ()):
                attachment = content.get("attachment", {})
                if _decoded_size(attachment.get("data", "").strip()):
                    yield resource, attachment


def _targets(request: RequestBundle, infos: Iterable[Json]) -> Iterator[Json]:
    for info in infos:
        resource = request.target(request.claim, info.get("valueReference"))
        if resource is not None:
            yield resource


def is_withdrawn(resource: Json) -> bool:
    """Whether a record says of itself that it no longer counts, or that nothing was done."""
    return not _WITHDRAWN.isdisjoint((resource.get("status"), resource.get("docStatus")))


def _about_the_patient(request: RequestBundle, resource: Json) -> bool:
    subject = request.target(resource, resource.get("subject"))
    return subject is not None and subject is request.patient


def _decoded_size(base64: str) -> int:
    return len(base64) * 3 // _BASE64_GROUP - base64.count("=", -2)
