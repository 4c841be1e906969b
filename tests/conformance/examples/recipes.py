"""How each file under examples/ is made. `python -m tests.conformance.examples.recipes` writes all.

The days are chosen so that the files stay sendable: made and answered on an early day of the model,
which no clock of a later run is before, for a service well ahead.
"""

from collections.abc import Callable
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path
from typing import Any

from tests.bundles import (
    MEMBERS,
    Json,
    Line,
    affirming_answers,
    as_bytes,
    inquiry_bundle,
    request_bundle,
)
from tests.conformance.inferno.dtr.build import static_request

FOLDER = Path(__file__).parents[3] / "examples"
LINES: tuple[Line, ...] = ("2.2", "2.0")
EPIDURAL = "epidural-steroid-injection"
DAYS = {
    "created": datetime(2026, 5, 6, 14, 30, tzinfo=UTC),
    "service_date": date(2027, 1, 12),
}
# One member per file: two undecided requests for the same person and service are duplicates.
_FIRST_MEMBER = {"2.2": 0, "2.0": 2}


def affirmed(line: Line) -> Json:
    """An epidural injection with every criterion met."""
    return _epidural(line, "epidural-affirmed", 0, affirming_answers(EPIDURAL))


def criterion_unmet(line: Line) -> Json:
    """The same without conservative care first: for a clinician."""
    answers = {**affirming_answers(EPIDURAL), "esi-conservative": "none"}
    return _epidural(line, "epidural-criterion-unmet", 1, answers)


def broken(line: Line) -> Json:
    """The same with a fault of every kind, each in another place."""
    bundle = _epidural(line, "epidural-broken", 0, affirming_answers(EPIDURAL))
    for fault in FAULTS[line]:
        fault(bundle)
    return bundle


def inquiry_by_reference(line: Line) -> Json:
    """A template: our number of a pended request goes where the placeholder stands."""
    return inquiry_bundle(
        line,
        seed="inquiry-by-reference",
        reference="REFERENCE-NUMBER-OF-THE-ANSWER",
        member=MEMBERS[_FIRST_MEMBER[line] + 1],
        created=DAYS["created"],
    )


def inquiry_by_member(line: Line) -> Json:
    """All that the requestor has asked for one member."""
    return inquiry_bundle(
        line,
        seed="inquiry-by-member",
        any_service=True,
        member=MEMBERS[_FIRST_MEMBER[line]],
        created=DAYS["created"],
    )


def package_by_order(line: Line) -> Json:
    """What an EHR asks DTR with that has an order: the Coverage and the order itself."""
    return static_request(line)


RECIPES: dict[str, Callable[[Line], Json]] = {
    "epidural-affirmed": affirmed,
    "epidural-criterion-unmet": criterion_unmet,
    "epidural-broken": broken,
    "inquiry-by-reference": inquiry_by_reference,
    "inquiry-by-member": inquiry_by_member,
}
BUNDLES: dict[Path, Callable[[], Json]] = {
    FOLDER / line / f"{name}.json": partial(recipe, line)
    for line in LINES
    for name, recipe in RECIPES.items()
}
FILES: dict[Path, Callable[[], Json]] = BUNDLES | {
    FOLDER / line / "package-by-order.json": partial(package_by_order, line) for line in LINES
}


def _epidural(line: Line, seed: str, member: int, answers: dict[str, Any]) -> Json:
    return request_bundle(
        line,
        seed=seed,
        service=EPIDURAL,
        answers=answers,
        member=MEMBERS[_FIRST_MEMBER[line] + member],
        **DAYS,
    )


def _claim(bundle: Json) -> Json:
    claim: Json = bundle["entry"][0]["resource"]
    return claim


def _of_kind(bundle: Json, kind: str) -> Json:
    return next(e["resource"] for e in bundle["entry"] if e["resource"]["resourceType"] == kind)


def _no_timestamp(bundle: Json) -> None:
    del bundle["timestamp"]


def _unknown_element(bundle: Json) -> None:
    _claim(bundle)["colour"] = "green"


def _wrong_code(bundle: Json) -> None:
    _claim(bundle)["use"] = "preauthorisation"


def _wrong_claim_type(bundle: Json) -> None:
    _claim(bundle)["type"]["coding"][0]["code"] = "vision"


def _dangling_reference(bundle: Json) -> None:
    _claim(bundle)["insurer"] = {"reference": "urn:uuid:00000000-0000-4000-8000-000000000000"}


def _bad_date(bundle: Json) -> None:
    _claim(bundle)["item"][0]["servicedDate"] = "12/01/2027"


def _wrong_type(bundle: Json) -> None:
    _claim(bundle)["item"][0]["quantity"]["value"] = "one"


def _no_category(bundle: Json) -> None:
    del _claim(bundle)["item"][0]["category"]


def _no_request_type(bundle: Json) -> None:
    extensions = _claim(bundle)["item"][0]["extension"]
    extensions[:] = [e for e in extensions if not e["url"].endswith("serviceItemRequestType")]


def _no_sequence(bundle: Json) -> None:
    del _claim(bundle)["diagnosis"][0]["sequence"]


def _no_document_information(bundle: Json) -> None:
    del _claim(bundle)["supportingInfo"][0]["extension"]


def _no_address(bundle: Json) -> None:
    del _of_kind(bundle, "Location")["address"]


def _no_content(bundle: Json) -> None:
    del _of_kind(bundle, "DocumentReference")["content"]


def _wrong_status(bundle: Json) -> None:
    _of_kind(bundle, "QuestionnaireResponse")["status"] = "finished"


_OF_BOTH_LINES: tuple[Callable[[Json], None], ...] = (
    _no_timestamp,
    _unknown_element,
    _wrong_code,
    _dangling_reference,
    _bad_date,
    _wrong_type,
    _no_category,
    _no_sequence,
    _no_address,
    _no_content,
    _wrong_status,
)
FAULTS: dict[Line, tuple[Callable[[Json], None], ...]] = {
    "2.2": (*_OF_BOTH_LINES, _wrong_claim_type, _no_request_type, _no_document_information),
    "2.0": _OF_BOTH_LINES,
}
"""What `broken` does, one fault at a time: line 2.0 lets pass what the last three take away."""


def main() -> None:
    """Write every file."""
    for path, recipe in FILES.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(as_bytes(recipe()))


if __name__ == "__main__":
    main()
