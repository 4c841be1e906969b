"""The trace numbers of a request's lines, whichever way its JSON spells them."""

import orjson
import pytest

from tests.bundles import Json, Line, request_bundle
from wiser_fhir.fhir import codes
from wiser_fhir.fhir.item_traces import names_item

LINES: tuple[Line, ...] = ("2.2", "2.0")


def _with(*values: str | None, line: Line = "2.2") -> Json:
    """A request whose only line has these trace numbers."""
    bundle = request_bundle(line)
    numbers = [{"value": each} if each is not None else {"system": "urn:x"} for each in values]
    bundle["entry"][0]["resource"]["item"][0]["extension"] = [
        {"url": codes.ITEM_TRACE_NUMBER, "valueIdentifier": each} for each in numbers
    ]
    return bundle


@pytest.mark.parametrize("line", LINES)
def test_the_number_of_a_line(line: Line) -> None:
    body = orjson.dumps(_with("LINE-1", "LINE-2", line=line))
    assert names_item(body, "LINE-1")
    assert names_item(body, "LINE-2")
    assert not names_item(body, "LINE-3")
    assert not names_item(body, "LINE")


def test_a_number_elsewhere_is_no_lines() -> None:
    bundle = _with("LINE-1", None)
    claim = bundle["entry"][0]["resource"]
    assert not names_item(orjson.dumps(bundle), claim["identifier"][0]["value"])


@pytest.mark.parametrize("spelled", ["A\\/1", "\\u0041/1", " A/1 "])
def test_a_number_spelled_otherwise(spelled: str) -> None:
    body = orjson.dumps(_with("HERE")).replace(b"HERE", spelled.encode())
    assert names_item(body, "A/1")


def test_a_request_inside_parameters_and_behind_a_byte_order_mark() -> None:
    wrapped = [{"name": "resource", "resource": _with("LINE-1")}]
    whole = {"resourceType": "Parameters", "parameter": wrapped}
    assert names_item(b"\xef\xbb\xbf" + orjson.dumps(whole), "LINE-1")


def test_a_request_without_lines() -> None:
    bundle = _with("LINE-1")
    del bundle["entry"][0]["resource"]["item"]
    assert not names_item(orjson.dumps(bundle | {"id": "LINE-1"}), "LINE-1")
