"""Which type of resource a Reference leads to, by all that tells it."""

import re
from collections.abc import Iterator

from wiser_fhir.fhir.elements import Json

# The last `Type/id` of a literal reference, whatever version, or the type of a search.
_TYPE = re.compile(
    r"(?:^|/)(?P<type>[A-Z][A-Za-z]+)(?:/[A-Za-z0-9\-.]{1,64}(?:/_history/[^/]*)?/?|\?.*)\Z"
)


def reference_types(reference: Json, target: Json | None) -> frozenset[str]:
    """Every type that a Reference tells of: `type` in either form, `Type/id`, what it leads to.

    `target` is the resource it was followed to, None where it leads nowhere.
    """
    return frozenset(_told(reference, target))


def _told(reference: Json, target: Json | None) -> Iterator[str]:
    if target is not None:
        yield target["resourceType"]
    if isinstance(named := reference.get("type"), str):
        yield named.strip().rpartition("/")[2]
    if isinstance(literal := reference.get("reference"), str):
        found = _TYPE.search(literal.strip())
        if found:
            yield found["type"]
