"""Parameters as they come, and as they do not."""

from typing import Any

import pytest

from wiser_fhir.dtr.operations import named, parameters, query_parameters
from wiser_fhir.errors import InvalidResource, TooLarge


def body(*entries: Any) -> dict[str, Any]:
    return {"resourceType": "Parameters", "parameter": list(entries)}


def test_values_and_resources_are_told_with_their_place() -> None:
    url, outcome = parameters(
        body(
            {"name": "url", "valueUri": "http://a.example"},
            {"name": "outcome", "resource": {"resourceType": "OperationOutcome"}},
        )
    )
    assert (url.name, url.key, url.value) == ("url", "valueUri", "http://a.example")
    assert url.place == "Parameters.parameter[0].value"
    assert (outcome.key, outcome.place) == ("resource", "Parameters.parameter[1].resource")


def test_a_parameter_may_have_parts_or_nothing() -> None:
    parts, nothing = parameters(body({"name": "a", "part": []}, {"name": "b"}))
    assert (parts.key, parts.value) == ("part", [])
    assert (nothing.key, nothing.value) == ("", None)


def test_no_parameters_are_none() -> None:
    assert parameters({"resourceType": "Parameters"}) == ()


def test_those_of_a_query_are_texts_and_underscores_are_http_s_own() -> None:
    [only] = query_parameters([("_format", "json"), ("count", "7")])
    assert only.is_text_of_a_query
    assert (only.name, only.value, only.place) == ("count", "7", "count")


def test_names_are_found_in_their_order() -> None:
    given = query_parameters([("b", "1"), ("a", "2"), ("b", "3"), ("c", "4")])
    assert [each.value for each in named(given, "a", "b")] == ["1", "2", "3"]


@pytest.mark.parametrize(
    "resource",
    [
        {},
        {"resourceType": "Bundle"},
        {"resourceType": ["Parameters"]},
        {"resourceType": "Parameters", "parameter": {}},
        {"resourceType": "Parameters", "parameter": None},
        body("url"),
        body({}),
        body({"name": ""}),
        body({"name": 1}),
        body({"name": "a", "valueUri": "b", "valueString": "c"}),
        body({"name": "a", "valueUri": "b", "resource": {}}),
        body({"name": "a", "resource": []}),
        body({"name": "a", "resource": None}),
        body({"name": "a", "part": {}}),
    ],
)
def test_what_is_no_list_of_parameters_is_refused(resource: dict[str, Any]) -> None:
    with pytest.raises(InvalidResource):
        parameters(resource)


def test_all_that_is_wrong_is_told() -> None:
    with pytest.raises(InvalidResource) as refused:
        parameters(body("a", {"name": "b"}, {"name": 3}))
    assert [each.expression for each in refused.value.problems] == [
        "Parameters.parameter[0]",
        "Parameters.parameter[2].name",
    ]


def test_there_are_no_more_than_200() -> None:
    assert len(parameters(body(*[{"name": "a"}] * 200))) == 200
    with pytest.raises(TooLarge):
        parameters(body(*[{"name": "a"}] * 201))
