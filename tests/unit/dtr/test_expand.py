"""What $expand is asked, and which codes it answers with."""

from datetime import UTC, datetime
from typing import Any

import pytest

from wiser_fhir.dtr.expand import ExpandRequest, expand_request, expanded
from wiser_fhir.dtr.operations import Parameter, parameters, query_parameters
from wiser_fhir.errors import InvalidResource

NOW = datetime(2026, 11, 20, 3, 30, tzinfo=UTC)  # late on the 19th in New York
URL = "https://payer.example/ValueSet/wounds"
VALUE_SET: dict[str, Any] = {
    "resourceType": "ValueSet",
    "id": "wounds-1",
    "url": URL,
    "version": "1",
    "status": "active",
    "text": {"status": "generated"},
    "compose": {
        "include": [
            {
                "system": "http://a.example",
                "version": "5",
                "concept": [
                    {"code": "A1", "designation": [{"value": "Ulcer of the LEFT foot"}]},
                    {"code": "A2", "designation": [{"value": "Ulcer of the right foot"}]},
                ],
            },
            {"system": "http://b.example", "concept": [{"code": "B1"}, {"code": "B2"}]},
        ]
    },
}


def given(*entries: dict[str, Any]) -> tuple[Parameter, ...]:
    return parameters({"resourceType": "Parameters", "parameter": list(entries)})


def asked(**fields: Any) -> ExpandRequest:
    named = {"url": URL, "version": None, "filter": None, "count": None, "offset": None}
    return ExpandRequest(**{**named, **fields})


def codes(value_set: dict[str, Any]) -> list[str]:
    return [each["code"] for each in value_set["expansion"].get("contains", ())]


def refusals(*entries: dict[str, Any], url_needed: bool = True) -> list[tuple[str, str | None]]:
    with pytest.raises(InvalidResource) as refused:
        expand_request(given(*entries), url_needed=url_needed)
    return [(each.code, each.expression) for each in refused.value.problems]


def test_a_request_is_read_from_parameters() -> None:
    read = expand_request(
        given(
            {"name": "url", "valueUri": URL},
            {"name": "valueSetVersion", "valueString": "1"},
            {"name": "filter", "valueString": "Left  ULCER"},
            {"name": "count", "valueInteger": 10},
            {"name": "offset", "valueInteger": 0},
            {"name": "activeOnly", "valueBoolean": True},
        ),
        url_needed=True,
    )
    assert read == ExpandRequest(URL, "1", "Left  ULCER", 10, 0)
    assert read.words == ("left", "ulcer")


def test_a_request_is_read_from_a_query() -> None:
    pairs = [("url", f"{URL}|1"), ("filter", "foot"), ("count", "10"), ("_format", "json")]
    read = expand_request(query_parameters(pairs), url_needed=True)
    assert read == ExpandRequest(URL, "1", "foot", 10, None)


@pytest.mark.parametrize("key", ["valueUri", "valueUrl", "valueCanonical", "valueString"])
def test_a_url_may_come_as_any_of_its_types(key: str) -> None:
    assert expand_request(given({"name": "url", key: URL}), url_needed=True).url == URL


def test_an_empty_filter_is_none() -> None:
    read = expand_request(query_parameters([("url", URL), ("filter", "")]), url_needed=True)
    assert (read.filter, read.words) == (None, ())


def test_without_a_url_there_is_nothing_to_expand_but_for_one_that_is_named() -> None:
    assert refusals() == [("required", "url")]
    assert expand_request((), url_needed=False).url is None


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ({"name": "url"}, ("value", "Parameters.parameter[0]")),
        ({"name": "url", "valueUri": 5}, ("value", "Parameters.parameter[0].value")),
        ({"name": "url", "valueUri": " "}, ("value", "Parameters.parameter[0].value")),
        ({"name": "url", "valueCode": "a"}, ("value", "Parameters.parameter[0].value")),
        ({"name": "url", "valueUri": "a" * 2001}, ("too-long", "Parameters.parameter[0].value")),
        ({"name": "filter", "valueString": "a\x01"}, ("value", "Parameters.parameter[0].value")),
        (
            {"name": "filter", "valueString": "a" * 201},
            ("too-long", "Parameters.parameter[0].value"),
        ),
        ({"name": "count", "valueInteger": -1}, ("value", "Parameters.parameter[0].value")),
        ({"name": "count", "valueInteger": True}, ("value", "Parameters.parameter[0].value")),
        ({"name": "count", "valueInteger": 1.5}, ("value", "Parameters.parameter[0].value")),
        ({"name": "count", "valueString": "1"}, ("value", "Parameters.parameter[0].value")),
        ({"name": "offset", "valueInteger": 2**31}, ("value", "Parameters.parameter[0].value")),
        (
            {"name": "valueSet", "resource": {}},
            ("not-supported", "Parameters.parameter[0].resource"),
        ),
        (
            {"name": "date", "valueDateTime": "2020-01-01"},
            ("not-supported", "Parameters.parameter[0].value"),
        ),
    ],
)
def test_what_cannot_be_honoured_is_refused(
    entry: dict[str, Any], problem: tuple[str, str]
) -> None:
    assert refusals(entry, url_needed=False) == [problem]


@pytest.mark.parametrize("count", ["-1", "1.0", "a", "", "٣", "9" * 11])
def test_a_number_in_a_query_is_digits(count: str) -> None:
    with pytest.raises(InvalidResource):
        expand_request(query_parameters([("url", URL), ("count", count)]), url_needed=True)


def test_all_that_is_wrong_is_told_at_once() -> None:
    assert refusals(
        {"name": "count", "valueInteger": 1},
        {"name": "count", "valueInteger": 2},
        {"name": "exclude-system", "valueCanonical": "http://a.example"},
    ) == [
        ("not-supported", "Parameters.parameter[2].value"),
        ("required", "url"),
        ("structure", "Parameters.parameter[1].value"),
    ]


def test_two_versions_contradict_each_other() -> None:
    said = [
        {"name": "url", "valueUri": f"{URL}|1"},
        {"name": "valueSetVersion", "valueString": "2"},
    ]
    assert refusals(*said) == [("value", "Parameters.parameter[1].value")]


def test_an_expansion_lists_every_code_with_its_system_in_place_of_the_definition() -> None:
    answer = expanded(VALUE_SET, asked(), NOW)
    assert answer == {
        "resourceType": "ValueSet",
        "id": "wounds-1",
        "url": URL,
        "version": "1",
        "status": "active",
        "expansion": {
            "timestamp": "2026-11-20T03:30:00+00:00",
            "total": 4,
            "parameter": [
                {"name": "used-valueset", "valueUri": f"{URL}|1"},
                {"name": "date", "valueDateTime": "2026-11-19"},
                {"name": "activeOnly", "valueBoolean": True},
            ],
            "contains": [
                {
                    "system": "http://a.example",
                    "version": "5",
                    "code": "A1",
                    "designation": [{"value": "Ulcer of the LEFT foot"}],
                },
                {
                    "system": "http://a.example",
                    "version": "5",
                    "code": "A2",
                    "designation": [{"value": "Ulcer of the right foot"}],
                },
                {"system": "http://b.example", "code": "B1"},
                {"system": "http://b.example", "code": "B2"},
            ],
        },
    }


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("left", ["A1"]),
        ("ULCER FOOT", ["A1", "A2"]),
        ("foot left", ["A1"]),
        ("a1", ["A1"]),
        ("b", ["B1", "B2"]),
        ("ulcer b", []),
        ("lef", ["A1"]),
        (".*", []),
    ],
)
def test_every_word_of_a_filter_stands_in_a_code_or_in_what_it_is_called(
    words: str, expected: list[str]
) -> None:
    answer = expanded(VALUE_SET, asked(filter=words), NOW)
    assert codes(answer) == expected
    assert answer["expansion"]["total"] == len(expected)
    assert {"name": "filter", "valueString": words} in answer["expansion"]["parameter"]


def test_codes_that_ended_are_left_out() -> None:
    answer = expanded(VALUE_SET, asked(), NOW, {"A2", "B1"})
    assert codes(answer) == ["A1", "B2"]
    assert answer["expansion"]["total"] == 2


@pytest.mark.parametrize(
    ("count", "offset", "expected"),
    [
        (2, None, ["A1", "A2"]),
        (2, 2, ["B1", "B2"]),
        (2, 3, ["B2"]),
        (None, 3, ["B2"]),
        (2, 9, []),
        (0, None, []),
    ],
)
def test_pages_tell_the_whole_number(
    count: int | None, offset: int | None, expected: list[str]
) -> None:
    answer = expanded(VALUE_SET, asked(count=count, offset=offset), NOW)
    assert codes(answer) == expected
    assert answer["expansion"]["total"] == 4
    assert answer["expansion"]["offset"] == (offset or 0)
    told = {each["name"]: each.get("valueInteger") for each in answer["expansion"]["parameter"]}
    assert (told.get("count"), told.get("offset")) == (count, offset)
