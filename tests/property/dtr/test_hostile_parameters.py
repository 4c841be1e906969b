"""Whatever parameters are sent: they are understood, or refused by name."""

import copy
from types import MappingProxyType
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.dtr.test_expand import NOW, VALUE_SET
from wiser_fhir.dtr.error_report import FormName, Names, element_path, read_report
from wiser_fhir.dtr.expand import expand_request, expanded
from wiser_fhir.dtr.operations import parameters, query_parameters
from wiser_fhir.dtr.reading import Shelf, search_request
from wiser_fhir.errors import WiserError

NAMES = Names(MappingProxyType({"a": FormName("a", None)}), frozenset({"an-item"}))
_SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**40), 2**40)
    | st.floats(allow_nan=False)
    | st.text(max_size=12)
    | st.sampled_from(
        ["a", "a|1", "error", "value", "an-item", "Questionnaire.item", "|", "((", ""]
    )
)
_JSON = st.recursive(
    _SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                [
                    "name",
                    "resource",
                    "resourceType",
                    "issue",
                    "severity",
                    "code",
                    "details",
                    "text",
                    "coding",
                    "system",
                    "diagnostics",
                    "expression",
                    "location",
                    "valueUri",
                    "part",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
_REPORT: dict[str, Any] = {
    "resourceType": "Parameters",
    "parameter": [
        {"name": "questionnaire", "valueCanonical": "a"},
        {
            "name": "outcome",
            "resource": {
                "resourceType": "OperationOutcome",
                "issue": [
                    {
                        "severity": "error",
                        "code": "value",
                        "details": {"text": "x", "coding": [{"system": "s", "code": "c"}]},
                        "diagnostics": "an-item",
                        "expression": ["Questionnaire.item"],
                    }
                ],
            },
        },
    ],
}
_EXPANSION: dict[str, Any] = {
    "resourceType": "Parameters",
    "parameter": [
        {"name": "url", "valueUri": "a|1"},
        {"name": "filter", "valueString": "x"},
        {"name": "count", "valueInteger": 1},
        {"name": "offset", "valueInteger": 0},
    ],
}


def _changed(node: Any, steps: list[int], value: Any) -> Any:
    """The document with one of its places holding another value."""
    node = copy.deepcopy(node)
    place = node
    for step in steps:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = keys[step % len(keys)]
        if step == steps[-1] or not isinstance(place[key], dict | list) or not place[key]:
            place[key] = value
            return node
        place = place[key]
    return node


_STEPS = st.lists(st.integers(0, 30), min_size=1, max_size=8)


@settings(deadline=None, max_examples=300)
@given(steps=_STEPS, value=_JSON)
def test_a_report_is_read_in_words_of_ours_or_refused(steps: list[int], value: Any) -> None:
    words = {"a", "an-item", "Questionnaire.item", "Questionnaire"}
    try:
        issues = read_report(parameters(_changed(_REPORT, steps, value)), NAMES)
    except WiserError:
        return
    for issue in issues:
        assert {issue.form or "a", *issue.mentions} <= words
        assert all(element_path(path) == path for path in issue.paths)


@settings(deadline=None, max_examples=300)
@given(steps=_STEPS, value=_JSON)
def test_an_expansion_is_made_or_refused(steps: list[int], value: Any) -> None:
    try:
        asked = expand_request(parameters(_changed(_EXPANSION, steps, value)), url_needed=True)
    except WiserError:
        return
    answer = expanded(VALUE_SET, asked, NOW)
    assert len(answer["expansion"].get("contains", ())) <= answer["expansion"]["total"]


_PAIRS = st.lists(
    st.tuples(
        st.sampled_from(
            ["name", "title:exact", "status", "_count", "_offset", "url", "x:y", "count"]
        )
        | st.text(max_size=8),
        st.text(max_size=20) | st.sampled_from(["0", "1,2", "a\\", "active", "|"]),
    ),
    max_size=6,
)
SHELF = Shelf.of("ValueSet", [VALUE_SET])


@settings(deadline=None, max_examples=300)
@given(pairs=_PAIRS, strict=st.booleans())
def test_a_query_is_answered_or_refused(pairs: list[tuple[str, str]], strict: bool) -> None:
    try:
        assert SHELF.searchset(search_request(pairs, strict=strict), "https://payer.example")
        expand_request(query_parameters(pairs), url_needed=False)
    except WiserError:
        pass
