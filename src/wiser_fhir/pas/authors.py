"""Who wrote a form, and who gave its answers, as far as the request tells."""

from collections.abc import Iterable
from dataclasses import dataclass

from wiser_fhir.fhir.elements import Json
from wiser_fhir.fhir.reference_types import reference_types
from wiser_fhir.pas.people import followed
from wiser_fhir.pas.request import RequestBundle

_NO_CLINICIANS = frozenset({"Device", "Organization", "Patient", "RelatedPerson"})


@dataclass(frozen=True, slots=True)
class Authors:
    """The authors named in a response that stands in the Bundle `around` of a request."""

    request: RequestBundle
    around: RequestBundle
    response: Json

    @property
    def is_device(self) -> bool:
        """Whether software wrote the whole response."""
        return "Device" in self._types(self.response.get("author") or {})

    def may_be_clinicians(self, practitioners: Iterable[Json | None]) -> bool:
        """Whether neither the response nor an answer names somebody who is no clinician.

        `practitioners` are those its origins name; None where one names an author without. The
        response names whoever wrote it down, and whoever answered.
        """
        own = (self.response.get("author") or {}, self.response.get("source") or {})
        return all(
            each is not None and self._types(each).isdisjoint(_NO_CLINICIANS)
            for each in (*own, *practitioners)
        )

    def _types(self, reference: Json) -> frozenset[str]:
        named = followed(self.request, self.around, self.response, reference)
        return reference_types(reference, named)
