"""What of a Bundle makes it an update, read of both lines."""

from typing import Any

import pytest

from tests.bundles import Json, Line, request_bundle
from tests.unit.pas.reading import claim, of_kind, read
from tests.update_bundles import cancel_of, on, update_of, withdraw
from wiser_fhir.fhir import codes
from wiser_fhir.pas.request import RequestBundle
from wiser_fhir.pas.update import change_of, materials
from wiser_fhir.priorauth.models import Change, Identifier, ItemChange, RequestKind

LINES: tuple[Line, ...] = ("2.2", "2.0")
TRACES = "https://ehr.sandbox.example/trace"
TWO = ("64483", "64484")


def _change(bundle: Json) -> Change:
    found = change_of(RequestBundle.of(bundle))
    assert found is not None
    return found


def _first(line: Line, **fields: Any) -> Json:
    return request_bundle(line, trace="first", **fields)


@pytest.mark.parametrize("line", LINES)
def test_a_new_request_changes_nothing(line: Line) -> None:
    bundle = _first(line)
    assert change_of(RequestBundle.of(bundle)) is None
    assert read(bundle).change is None


@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize("named", ["identifier", "reference"])
def test_the_claim_before_is_known_by_its_number(line: Line, named: Any) -> None:
    update = update_of(_first(line), line, named=named)
    assert _change(update).earlier == (Identifier(TRACES, "first"),)


def test_every_number_of_the_claim_before_names_it() -> None:
    update = update_of(_first("2.2"))
    before = update["entry"][-1]["resource"]
    before["identifier"].append({"system": "urn:other", "value": "other"})
    claim(update)["related"][0]["claim"]["identifier"] = {"value": "told"}
    assert _change(update).earlier == (
        Identifier(None, "told"),
        Identifier(TRACES, "first"),
        Identifier("urn:other", "other"),
    )


def test_one_that_names_none_replaces_the_request_of_its_own_number() -> None:
    update = update_of(_first("2.0"), "2.0", named="none")
    assert _change(update).earlier == (Identifier(TRACES, "first/update"),)


def test_a_number_without_a_value_names_nothing() -> None:
    update = update_of(_first("2.0"), "2.0", named="none")
    claim(update)["identifier"] = [{"system": TRACES}]
    assert _change(update).earlier == ()
    claim(update)["related"] = [{"claim": {"reference": "urn:uuid:elsewhere"}}]
    assert _change(update).earlier == ()


def test_a_related_claim_that_nobody_names_is_unknown() -> None:
    update = update_of(_first("2.2"))
    claim(update)["related"] = [{"relationship": {"text": "prior"}}]
    assert _change(update).earlier == ()


@pytest.mark.parametrize("line", LINES)
def test_lines_say_how_they_differ(line: Line) -> None:
    update = update_of(
        _first(line, codes=TWO), line, change={1: on("2026-12-18")}, cancel=(2,), add=("77003",)
    )
    lines = read(update).items
    assert [(each.sequence, each.change, each.cancelled) for each in lines] == [
        (1, ItemChange.CHANGED, False),
        (2, None, True),
        (3, ItemChange.ADDED, False),
    ]


@pytest.mark.parametrize("line", LINES)
def test_a_certification_type_alone_cancels_a_line(line: Line) -> None:
    update = update_of(_first(line), line, cancel=(1,))
    del claim(update)["item"][0]["modifierExtension"]
    assert [each.cancelled for each in read(update).items] == [True]


def test_a_flag_alone_does_so_too() -> None:
    update = update_of(_first("2.0"), "2.0")
    flag = {"url": codes.INFO_CANCELLED, "valueBoolean": True}
    claim(update)["item"][0]["modifierExtension"] = [flag]
    assert [each.cancelled for each in read(update).items] == [True]
    flag["valueBoolean"] = False
    assert [each.cancelled for each in read(update).items] == [False]


def test_a_change_without_a_word_is_none() -> None:
    update = update_of(_first("2.2"))
    claim(update)["item"][0]["extension"].append({"url": codes.INFO_CHANGED})
    assert [each.change for each in read(update).items] == [None]


def test_the_newer_line_cancels_all_of_it_at_once() -> None:
    first = _first("2.2", codes=TWO)
    assert _change(cancel_of(first)).whole
    assert _change(cancel_of(first, with_items=False)).whole
    assert not _change(update_of(first, cancel=(1, 2))).whole


def test_the_older_line_cancels_every_item() -> None:
    cancel = cancel_of(_first("2.0", codes=TWO), "2.0")
    assert not _change(cancel).whole
    assert [each.cancelled for each in read(cancel).items] == [True, True]


def test_materials_are_counted_also_where_they_are_withdrawn() -> None:
    first = _first("2.2", answers={"esi-purpose": True})
    update = update_of(first)
    withdraw(claim(update)["supportingInfo"][0])
    assert materials(RequestBundle.of(first)) == {1, 2}
    assert _change(update).materials == {1, 2}
    assert not _change(update).retold


def test_materials_that_are_marked_tell_something_new() -> None:
    update = update_of(_first("2.2"))
    mark = {"url": codes.INFO_CHANGED, "valueCode": "changed"}
    claim(update)["supportingInfo"][0]["extension"].append(mark)
    assert _change(update).retold


@pytest.mark.parametrize("line", LINES)
def test_what_is_withdrawn_counts_no_more(line: Line) -> None:
    update = update_of(_first(line, answers={"esi-purpose": True}), line)
    for info in claim(update)["supportingInfo"]:
        withdraw(info)
    asked = read(update)
    assert (asked.documents, asked.forms, asked.evidence) == ((), (), 0)
    assert asked.doubts == ()


@pytest.mark.parametrize("line", LINES)
def test_an_update_names_numbers_of_its_own(line: Line) -> None:
    """They say which request is meant: they make no resubmission and leave no doubt."""
    update = update_of(_first(line), line)
    item = claim(update)["item"][0]
    item["extension"] += [
        {"url": codes.AUTHORIZATION_NUMBER, "valueString": "ZZB00000000001"},
        {"url": codes.ADMINISTRATION_REFERENCE_NUMBER, "valueString": "R1"},
    ]
    claim(update)["insurance"][0]["preAuthRef"] = ["ZZB00000000001"]
    asked = read(update)
    assert (asked.kind, asked.previous_utn, asked.doubts) == (RequestKind.INITIAL, None, ())


@pytest.mark.parametrize("code", ["1", "2", "4", "N", "R"])
def test_a_certification_type_that_is_no_updates_is_a_doubt(code: str) -> None:
    update = update_of(_first("2.2"), change={1: on("2026-12-18")})
    for told in claim(update)["item"][0]["extension"]:
        if told["url"] == codes.CERTIFICATION_TYPE:
            told["valueCodeableConcept"]["coding"][0]["code"] = code
    assert read(update).doubts == ("The certification type is not that of an update.",)


def test_the_claim_before_is_not_the_one_asked_about() -> None:
    """It comes along last, and nothing is read of it but its number."""
    update = update_of(_first("2.2", codes=TWO), cancel=(2,))
    before = update["entry"][-1]["resource"]
    assert of_kind(update, "Claim") is not before
    before["item"] = []
    assert len(read(update).items) == 2
