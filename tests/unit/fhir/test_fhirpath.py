"""Compiled FHIRPath: its three truth values, its repairs, and what it refuses."""

from typing import Any

import pytest

from wiser_fhir.fhir.validation import fhirpath
from wiser_fhir.fhir.validation.fhirpath_values import Scope


def scope(node: Any, code: str = "") -> Scope:
    resource = node if isinstance(node, dict) else {}
    return Scope(resource, resource, code, node, lambda _: None, lambda _value, _url: True)


def holds(expression: str, node: Any, code: str = "") -> bool:
    return fhirpath.predicate("test-1", expression)(node, scope(node, code))


@pytest.mark.parametrize(
    ("expression", "node", "expected"),
    [
        ("a.exists() implies b.exists()", {}, True),
        ("a.exists() implies b.exists()", {"a": 1}, False),
        ("a.exists() implies b.exists()", {"a": 1, "b": 1}, True),
        ("a = 'x' implies b.exists()", {}, False),  # empty implies false is empty
        ("a = 'x' implies b.exists()", {"b": 1}, True),
        ("a = 'x'", {}, False),
        ("(a = 'x').not()", {}, False),
        ("a != 'x'", {"a": "y"}, True),
        ("a.empty() xor b.empty()", {"a": 1}, True),
        ("a.where(b = 1).exists()", {"a": [{"b": 2}, {"b": 1}]}, True),
        ("a.all(b = 1)", {"a": [{"b": 2}, {"b": 1}]}, False),
        ("a.all(b = 1)", {}, True),
        ("a.count() + b.count() > 1", {"a": [1], "b": [2]}, True),
        ("a in ('x' | 'y')", {"a": "y"}, True),
        ("a contains 'x'", {"a": ["y"]}, False),
        ("a.matches('^[0-9]{3}$')", {"a": "123"}, True),
        ("a.substring(1, 1).toInteger() = 2", {"a": "123"}, True),
        ("a.toString().length() = 3", {"a": 123}, True),
        ("start <= end", {"start": "2024-05", "end": "2024-05-06"}, True),
        (
            "start <= end",
            {"start": "2024-05-07T00:00:00+05:00", "end": "2024-05-06T20:00:00Z"},
            True,
        ),
        ("start <= end", {"start": "2024-05-07", "end": "2024-05-06"}, False),
        ("value.exists()", {"valueString": "a"}, True),
        ("value.ofType(Quantity).exists()", {"valueString": "a"}, False),
        ("(value as string) = 'a'", {"valueString": "a"}, True),
        ("answer is boolean", {"answerBoolean": True}, True),
        ("a.exists()", {"_a": {"extension": []}}, True),
        ("a.hasValue()", {"_a": {"extension": []}}, False),
        ("a.linkId.isDistinct()", {"a": [{"linkId": "1"}, {"linkId": "1"}]}, False),
        (
            "descendants().linkId.isDistinct()",
            {"a": [{"linkId": "1", "a": [{"linkId": "2"}]}]},
            True,
        ),
        ("repeat(a).count() = 2", {"a": [{"a": [{}]}]}, True),
        ("a.first().b = 1", {"a": [{"b": 1}, {"b": 2}]}, True),
        ("a[1].b = 2", {"a": [{"b": 1}, {"b": 2}]}, True),
        ("a.tail().exists()", {"a": [1]}, False),
        ("extension('u').value = 'x'", {"extension": [{"url": "u", "valueString": "x"}]}, True),
        ("%resource.a = 1", {"a": 1}, True),
        ("iif(a.exists(), b, c) = 1", {"a": 1, "b": 1, "c": 2}, True),
        ("a & b = 'xy'", {"a": "x", "b": "y"}, True),
        ("a.select(b & c).isDistinct()", {"a": [{"b": "x"}, {"b": "x"}]}, False),
    ],
)
def test_expressions(expression: str, node: Any, expected: bool) -> None:
    assert holds(expression, node) is expected


def test_the_type_of_the_context_is_told_from_outside() -> None:
    expression = "$this is dateTime implies $this.toString().length() >= 10"
    assert holds(expression, "2024", "Period")
    assert not holds(expression, "2024", "dateTime")


@pytest.mark.parametrize(
    "expression", ["a.conformsTo('x')", "a.frobnicate()", "a ? b", "(a", "%unknown = 1"]
)
def test_what_is_not_known_is_an_error(expression: str) -> None:
    with pytest.raises(fhirpath.FhirPathError):
        fhirpath.predicate("test-1", expression)


def test_the_check_digit_of_an_npi() -> None:
    check = fhirpath.predicate("us-core-17", "never read")
    assert check({"value": "1234567893"}, scope({}))
    assert not check({"value": "1234567890"}, scope({}))


@pytest.mark.parametrize(
    ("expression", "names"),
    [
        ("code.empty() or system.exists()", {"code", "_code", "system", "_system"}),
        ("$this.length() = 1", set()),
        ("%resource.a.exists() or b.exists()", set()),
        ("value.exists()", set()),
    ],
)
def test_what_an_invariant_reads(expression: str, names: set[str]) -> None:
    assert fhirpath.own_names(expression) == names
