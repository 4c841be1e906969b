"""What every reader of FHIR resources needs: a way to follow a Reference."""

from typing import Protocol

from wiser_fhir.fhir.elements import Json


class Resolver(Protocol):
    """A set of resources in which References lead to one another."""

    def target(self, holder: Json, reference: Json | None) -> Json | None:
        """The resource a Reference names, as seen from the resource that holds it."""
        ...
