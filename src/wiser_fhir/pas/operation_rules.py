"""What `$submit` needs of a Bundle beyond its profile, because answers hang on it."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from wiser_fhir.coverage.requested import LEAST_UNITS, MOST_UNITS, are_units
from wiser_fhir.errors import Problem
from wiser_fhir.fhir import codes
from wiser_fhir.fhir.elements import Json
from wiser_fhir.pas.request import CANCEL, RequestBundle, resources_in

_CLAIM = "Bundle.entry[0].resource"
_MOST_CONTAINED = 100
_MOST_LINES = 200
_UNFIT = f"structure {_CLAIM}"
_RELATIONSHIP = re.compile(
    r"code-invalid Bundle\.entry\[0\]\.resource\.related\[\d+\]\.relationship"
)
_NUMBERED = ("item", "supportingInfo", "careTeam", "diagnosis")


def submit_problems(request: RequestBundle) -> list[Problem]:
    """References that lead nowhere, sequence numbers used twice, quantities that are none, an
    identifier without a value.

    The Bundle has met its profile. Source: PAS 2.2.1 §spec-13 (what the Claim refers to is in the
    Bundle), §spec-18 to §spec-22 (unique sequences), §spec-34 (an item is traced by its sequence),
    missing-response section (a request is recognised by its identifier).
    """
    return [
        *_identifier_problems(request),
        *_sequence_problems(request.claim),
        *_dangling(request),
        *_many_lines(request.claim),
        *_no_quantities(request.claim),
        *_further_claims(request),
        *_implicit_rules(request),
    ]


def less_tolerated(bundle: Json, problems: Sequence[Problem]) -> list[Problem]:
    """The problems, less those that a profile sees where the guide's text sees none.

    The text of line 2.0 calls the Claim before one that is replaced, which the code system of the
    profile does not know. The text of line 2.2 lets a request that is cancelled as a whole leave
    its lines away, which its profile does not. Source: PAS 2.0.1 and 2.2.1, updating section.
    """
    left = [problem for problem in problems if not _RELATIONSHIP.fullmatch(_place(problem))]
    return _less_missing_lines(left) if _cancels_without_lines(bundle) else left


def _place(problem: Problem) -> str:
    return f"{problem.code} {problem.expression}"


def _cancels_without_lines(bundle: Json) -> bool:
    match bundle:
        case {
            "entry": [{"resource": {"resourceType": "Claim", "extension": [*told], **claim}}, *_]
        }:
            return "item" not in claim and any(map(_is_cancel, told))
    return False


def _is_cancel(extension: Any) -> bool:
    """Whether an extension of a Claim, which may have any shape yet, cancels it."""
    match extension:
        case {
            "url": codes.CERTIFICATION_TYPE,
            "valueCodeableConcept": {
                "coding": [{"system": codes.X12_CERTIFICATION_TYPE, "code": code}]
            },
        }:
            return bool(code == CANCEL)
    return False


def _less_missing_lines(problems: list[Problem]) -> list[Problem]:
    """Where lines are all that the Claim lacks, it fits its profile."""
    left = [problem for problem in problems if _place(problem) != f"required {_CLAIM}.item"]
    wrong = [_place(problem) for problem in left if problem.severity == "error"]
    return [p for p in left if wrong != [_UNFIT] or _place(p) != _UNFIT]


def _many_lines(claim: Json) -> Iterator[Problem]:
    if len(claim.get("item", ())) > _MOST_LINES:
        text = f"At most {_MOST_LINES} lines are taken in one request."
        yield Problem("error", "too-costly", text, f"{_CLAIM}.item")


def _no_quantities(claim: Json) -> Iterator[Problem]:
    """What nobody can authorize or count. A quantity that is left out counts as 1."""
    for position, item in enumerate(claim.get("item", ())):
        quantity = item.get("quantity", {}).get("value")
        if quantity is not None and not are_units(quantity):
            text = f"A quantity from {LEAST_UNITS} to {MOST_UNITS} is expected."
            where = f"{_CLAIM}.item[{position}].quantity.value"
            yield Problem("error", "business-rule", text, where)


def _further_claims(request: RequestBundle) -> Iterator[Problem]:
    """Only an update brings the Claim it changes along. Source: PAS 2.2.1 §spec-65."""
    if request.is_update():
        return
    for position, entry in enumerate(request.bundle["entry"][1:], start=1):
        if entry["resource"]["resourceType"] == "Claim":
            text = "One Claim is expected in a new request."
            yield Problem("error", "business-rule", text, f"Bundle.entry[{position}].resource")


def _implicit_rules(request: RequestBundle) -> Iterator[Problem]:
    """Rules that change what a resource means, and that we do not know. Source: §spec-25."""
    for resource in resources_in(request.bundle):
        if "implicitRules" in resource:
            where = f"{resource['resourceType']}.implicitRules"
            yield Problem("error", "not-supported", "No such rules are known here.", where)


def first_entry_problems(request: RequestBundle) -> list[Problem]:
    """The Claim comes first, which line 2.0 says in words only. Source: PAS 2.2.1 §spec-12."""
    if request.claim["resourceType"] == "Claim":
        return []
    text = "The Claim is expected in the first entry."
    return [Problem("error", "business-rule", text, "Bundle.entry[0].resource")]


def crowded_problems(bundle: Json) -> list[Problem]:
    """Resources that contain more than anybody sends: the rules about them grow with the square."""
    entries = bundle.get("entry")
    problems = []
    for position, entry in enumerate(entries if isinstance(entries, list) else ()):
        resource = entry.get("resource") if isinstance(entry, dict) else None
        contained = resource.get("contained") if isinstance(resource, dict) else None
        if isinstance(contained, list) and len(contained) > _MOST_CONTAINED:
            text = f"At most {_MOST_CONTAINED} contained resources are taken."
            where = f"Bundle.entry[{position}].resource.contained"
            problems.append(Problem("error", "too-costly", text, where))
    return problems


def dangling_problems(bundle: Json) -> list[Problem]:
    """The same references in a Bundle with other faults, as far as it can be read."""
    match bundle:
        case {"entry": [{"resource": {"resourceType": "Claim"}}, *_]}:
            return list(_dangling(RequestBundle.of(bundle)))
    return []


def _dangling(request: RequestBundle) -> Iterator[Problem]:
    """Each reference of the Claim to something that the Bundle does not hold.

    HL7's engine lets these pass. Only the Claim is held to it: an official example leaves out what
    a PractitionerRole refers to. An update's earlier Claim (`related`) is another matter.
    """
    for reference, path in _references(request.claim, _CLAIM):
        named = reference["reference"]
        if not named.startswith("#") and request.target(request.claim, reference) is None:
            text = "The Bundle does not hold what this reference names."
            yield Problem("error", "not-found", text, f"{path}.reference")


def _references(node: Json | list[Any], path: str) -> Iterator[tuple[Json, str]]:
    """Every literal reference below a node, with its path."""
    if isinstance(node, list):
        for position, value in enumerate(node):
            if isinstance(value, dict | list):
                yield from _references(value, f"{path}[{position}]")
        return
    if isinstance(node.get("reference"), str):
        yield node, path
    for name, value in node.items():
        if isinstance(value, dict | list) and name != "related":
            yield from _references(value, f"{path}.{name}")


def _identifier_problems(request: RequestBundle) -> Iterator[Problem]:
    if not request.identifier.value:
        text = "A value is expected: by it a request that is sent again is recognised."
        yield Problem("error", "required", text, "Bundle.identifier.value")


def _sequence_problems(claim: Json) -> Iterator[Problem]:
    for name in _NUMBERED:
        used = Counter(element["sequence"] for element in claim.get(name, ()))
        for position, element in enumerate(claim.get(name, ())):
            if used[element["sequence"]] > 1:
                text = f"The sequence {element['sequence']} is used more than once."
                where = f"{_CLAIM}.{name}[{position}].sequence"
                yield Problem("error", "duplicate", text, where)
