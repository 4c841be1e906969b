"""Whether two requests tell the same."""

import base64
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest

from tests.bundles import Json, Line, request_bundle
from tests.unit.pas.reading import add, claim, of_kind
from tests.update_bundles import update_of, withdraw
from wiser_fhir.fhir import codes
from wiser_fhir.pas.content import content
from wiser_fhir.pas.request import RequestBundle

LINES: tuple[Line, ...] = ("2.2", "2.0")
TWO = ("64483", "64484")
CPT = "http://www.ama-assn.org/go/cpt"


def _told(bundle: Json, *without: int) -> bytes:
    return content(RequestBundle.of(bundle), without)


def _first(line: Line = "2.2", **fields: Any) -> Json:
    return request_bundle(line, answers={"esi-purpose": True}, codes=TWO, **fields)


def _ordered(bundle: Json) -> Json:
    """A Bundle each of whose lines names an order of its own."""
    for item in claim(bundle)["item"]:
        order = {
            "resourceType": "ServiceRequest",
            "id": f"order-{item['sequence']}",
            "subject": claim(bundle)["patient"],
            "code": {"coding": [{"system": CPT, "code": "64483"}]},
            "quantityQuantity": {"value": 1},
        }
        reference = add(bundle, order, f"urn:uuid:order-{item['sequence']}")
        item["extension"] = [
            *(e for e in item["extension"] if e["url"] != codes.REQUESTED_SERVICE),
            {"url": codes.REQUESTED_SERVICE, "valueReference": reference},
        ]
    return bundle


def _order(bundle: Json, sequence: int = 1) -> Json:
    found: Json = next(
        e["resource"] for e in bundle["entry"] if e["resource"].get("id") == f"order-{sequence}"
    )
    return found


def _of(kind: str, **values: Any) -> Callable[[Json], object]:
    return lambda bundle: of_kind(bundle, kind).update(values)


def _in_claim(**values: Any) -> Callable[[Json], object]:
    return lambda bundle: claim(bundle).update(values)


def _another_document(bundle: Json) -> None:
    """Of the same length and type."""
    attachment = of_kind(bundle, "DocumentReference")["content"][0]["attachment"]
    data = base64.b64decode(attachment["data"])
    attachment["data"] = base64.b64encode(bytes(reversed(data))).decode()


def _a_stray_record(bundle: Json) -> None:
    add(bundle, {"resourceType": "Observation", "status": "final", "code": {"text": "Pain"}})


# What any update changes


@pytest.mark.parametrize("line", LINES)
def test_an_update_that_repeats_everything_tells_the_same(line: Line) -> None:
    first = _first(line)
    assert _told(update_of(first, line)) == _told(first)
    assert _told(update_of(first, line, named="identifier")) == _told(first)


def test_what_is_said_of_changes_is_not_told() -> None:
    first = _first()
    update = update_of(first, change={1: lambda item: None})
    marks = [
        {"url": codes.INFO_CHANGED, "valueCode": "changed"},
        {"url": codes.AUTHORIZATION_NUMBER, "valueString": "ZZB00000000001"},
        {"url": codes.ADMINISTRATION_REFERENCE_NUMBER, "valueString": "R1"},
    ]
    claim(update)["supportingInfo"][0].setdefault("extension", []).extend(marks)
    claim(update)["insurance"][0]["preAuthRef"] = ["ZZB00000000001"]
    update["timestamp"] = "2026-12-01T08:00:00Z"
    for entry in update["entry"][1:]:
        versioned = {**entry["resource"].get("meta", {}), "lastUpdated": "2026-12-01T08:00:00Z"}
        entry["resource"]["meta"] = versioned
    assert _told(update) == _told(first)


def test_addresses_do_not_count() -> None:
    first = _first()
    moved = deepcopy(first)
    for entry in moved["entry"]:
        url = entry["fullUrl"]
        moved = _renamed(moved, url, f"urn:uuid:moved-{url.rpartition(':')[2]}")
    for entry in moved["entry"]:
        entry["resource"]["id"] = f"moved-{entry['resource'].get('id')}"
    assert _told(moved) == _told(first)


def _renamed(node: Any, old: str, new: str) -> Any:
    if isinstance(node, dict):
        return {name: _renamed(value, old, new) for name, value in node.items()}
    if isinstance(node, list):
        return [_renamed(each, old, new) for each in node]
    return new if node == old else node


def test_nor_does_the_order_of_entries() -> None:
    first = _first()
    turned = deepcopy(first)
    turned["entry"][1:] = reversed(turned["entry"][1:])
    assert _told(turned) == _told(first)


# Whatever else is told


@pytest.mark.parametrize(
    "change",
    [
        _another_document,
        _of("DocumentReference", description="Another one"),
        _of("QuestionnaireResponse", authored="2026-11-01T08:00:00Z"),
        _of("Coverage", subscriberId="9AA9AA9AA99"),
        _of("Patient", birthDate="1949-01-01"),
        _of("Practitioner", name=[{"family": "Other"}]),
        _of("Organization", name="Another clinic"),
        lambda b: _order(b).update(code={"coding": [{"system": CPT, "code": "64479"}]}),
        lambda b: _order(b, 2).update(quantityQuantity={"value": 99}),
        _in_claim(priority={"coding": [{"code": "stat"}]}),
        _in_claim(billablePeriod={"start": "2026-12-20"}),
        lambda b: claim(b)["diagnosis"].pop(),
        lambda b: claim(b)["item"][0].update(quantity={"value": 7}),
        lambda b: claim(b)["item"].append({**claim(b)["item"][0], "sequence": 3}),
        lambda b: withdraw(claim(b)["supportingInfo"][0]),
        _a_stray_record,
    ],
)
def test_another_word_anywhere_tells_something_else(change: Callable[[Json], object]) -> None:
    first = _ordered(_first())
    update = update_of(first)
    assert _told(update) == _told(first)
    change(update)
    assert _told(update) != _told(first)


def test_a_mark_hides_nothing_outside_the_claim() -> None:
    """The address of an attachment may read like a mark."""
    first = _first()
    link = {"resourceType": "DiagnosticReport", "presentedForm": [{"url": codes.INFO_CHANGED}]}
    first["entry"].append({"fullUrl": "urn:uuid:report", "resource": link})
    update = update_of(first)
    of_kind(update, "DiagnosticReport")["presentedForm"][0]["data"] = "QUJD"
    assert _told(update) != _told(first)


# Lines that are left out


def test_a_line_that_goes_takes_its_order_along() -> None:
    first = _ordered(_first())
    update = update_of(first, cancel=(2,))
    _order(update, 2)["status"] = "revoked"
    assert _told(update, 2) == _told(first, 2)
    assert _told(update) != _told(first)
    _order(update, 1)["status"] = "revoked"
    assert _told(update, 2) != _told(first, 2)


def test_resources_may_name_each_other_and_the_unknown() -> None:
    first = _ordered(_first())
    _order(first, 1)["basedOn"] = [{"reference": "urn:uuid:order-2"}]
    _order(first, 2)["basedOn"] = [{"reference": "urn:uuid:order-1"}, {"reference": "urn:uuid:no"}]
    _order(first, 2)["contained"] = [{"resourceType": "Group", "id": "inside"}]
    _order(first, 2)["insurance"] = [{"reference": "#inside"}]
    update = update_of(first)
    assert _told(update) == _told(first)
    _order(update, 1)["basedOn"] = [{"reference": "urn:uuid:order-1"}]
    assert _told(update) != _told(first)
