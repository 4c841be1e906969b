"""What a search finds among what is published."""

import json
from typing import Any

import pytest

from wiser_fhir.dtr.reading import Published, Shelf, is_strict, search_request
from wiser_fhir.errors import InvalidResource, NotFound

BASE = "https://payer.example/fhir"
URL = "https://wiser-fhir.example/fhir/Library/"


def library(name: str, version: str, **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Library",
        "id": f"{name}-{version}",
        "url": URL + name,
        "version": version,
        "name": name,
        "title": f"The {name.lower()} of it",
        "status": "active",
        **more,
    }


SHELF = Shelf.of(
    "Library",
    [
        library("Chart", "1"),
        library("Wound", "2"),
        library("Wound", "1", status="retired"),
        library("Wounds", "1", title="Ulcer, chronic"),
    ],
)


def found(*pairs: tuple[str, str], strict: bool = False) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(SHELF.searchset(search_request(pairs, strict=strict), BASE))
    return answer


def ids(*pairs: tuple[str, str]) -> list[str]:
    return [entry["resource"]["id"] for entry in found(*pairs).get("entry", ())]


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        ([], ["Chart-1", "Wound-1", "Wound-2", "Wounds-1"]),
        ([("url", URL + "Wound")], ["Wound-1", "Wound-2"]),
        ([("url", URL + "Wound|2")], ["Wound-2"]),
        ([("url", URL + "Wound"), ("version", "1")], ["Wound-1"]),
        ([("url", URL + "Wou")], []),
        ([("url", f"{URL}Wound|2,{URL}Chart")], ["Chart-1", "Wound-2"]),
        ([("_id", "Wound-1")], ["Wound-1"]),
        ([("_id", "Wound-1,Chart-1,x")], ["Chart-1", "Wound-1"]),
        ([("name", "wound")], ["Wound-1", "Wound-2", "Wounds-1"]),
        ([("name:exact", "Wound")], ["Wound-1", "Wound-2"]),
        ([("name:exact", "wound")], []),
        ([("title:contains", "CHRONIC")], ["Wounds-1"]),
        ([("title", "Ulcer\\, chronic")], ["Wounds-1"]),
        ([("title", "ulcer,the chart")], ["Chart-1", "Wounds-1"]),
        ([("status", "retired")], ["Wound-1"]),
        ([("status", "http://hl7.org/fhir/publication-status|retired")], ["Wound-1"]),
        ([("status", "http://other.example|retired")], []),
        ([("status", "|retired")], []),
        ([("version", "2")], ["Wound-2"]),
        ([("version", "|2")], ["Wound-2"]),
        ([("version", "http://other.example|2")], []),
        ([("name", "w"), ("name", "wounds")], ["Wounds-1"]),
        ([("name", "")], ["Chart-1", "Wound-1", "Wound-2", "Wounds-1"]),
        ([("nothing", "x"), ("version", "2")], ["Wound-2"]),
    ],
)
def test_what_matches_is_found(pairs: list[tuple[str, str]], expected: list[str]) -> None:
    assert ids(*pairs) == expected
    assert found(*pairs)["total"] == len(expected)


def test_an_answer_is_a_searchset_with_full_urls() -> None:
    answer = found(("version", "2"), ("nothing", "x"))
    assert answer == {
        "resourceType": "Bundle",
        "type": "searchset",
        "total": 1,
        "link": [{"relation": "self", "url": f"{BASE}/Library?version=2"}],
        "entry": [
            {
                "fullUrl": f"{BASE}/Library/Wound-2",
                "resource": library("Wound", "2"),
                "search": {"mode": "match"},
            }
        ],
    }


def test_nothing_found_is_an_answer() -> None:
    assert found(("_id", "x y&z")) == {
        "resourceType": "Bundle",
        "type": "searchset",
        "total": 0,
        "link": [{"relation": "self", "url": f"{BASE}/Library?_id=x+y%26z"}],
    }


def test_pages_follow_each_other() -> None:
    first = found(("_count", "3"), ("status:x", ""))
    assert [each["resource"]["id"] for each in first["entry"]] == ["Chart-1", "Wound-1", "Wound-2"]
    assert first["total"] == 4
    following = f"{BASE}/Library?_count=3&_offset=3"
    assert first["link"][1] == {"relation": "next", "url": following}
    last = found(("_count", "3"), ("_offset", "3"))
    assert [each["resource"]["id"] for each in last["entry"]] == ["Wounds-1"]
    assert last["link"] == [{"relation": "self", "url": following}]
    beyond = found(("_offset", "99999999999999999999"))
    assert "entry" not in beyond


@pytest.mark.parametrize("pair", [("_summary", "count"), ("_count", "0")])
def test_the_number_alone_may_be_asked_for(pair: tuple[str, str]) -> None:
    answer = found(pair)
    assert answer["total"] == 4
    assert "entry" not in answer
    assert len(answer["link"]) == 1


def test_a_page_is_of_20_unless_told_otherwise_and_of_100_at_most() -> None:
    assert search_request([], strict=False).count == 20
    assert search_request([("_count", "5000")], strict=False).count == 100


@pytest.mark.parametrize(
    "pairs",
    [
        [("name:missing", "true")],
        [("url:below", "x")],
        [("_count", "-1")],
        [("_count", "many")],
        [("_count", "1"), ("_count", "2")],
        [("_offset", "٣")],
        [("name", ",".join("a" * 21))],
        [("name", "a")] * 21,
        [("name", "a" * 2_001)],
    ],
)
def test_what_cannot_be_understood_is_refused(pairs: list[tuple[str, str]]) -> None:
    with pytest.raises(InvalidResource):
        search_request(pairs, strict=False)


def test_a_strict_client_is_told_of_every_parameter_that_is_not_known() -> None:
    pairs = [("name", "a"), ("publisher", "x"), ("_format", "json"), ("_sort", "name")]
    with pytest.raises(InvalidResource) as refused:
        search_request(pairs, strict=True)
    assert [(each.code, each.expression) for each in refused.value.problems] == [
        ("not-supported", "parameter 2"),
        ("not-supported", "parameter 4"),
    ]
    assert "publisher" not in str(refused.value.problems)
    assert search_request(pairs, strict=False).used == (("name", "a"),)


@pytest.mark.parametrize(
    ("prefer", "strict"),
    [
        ([], False),
        (["handling=lenient"], False),
        (["handling=strict"], True),
        (["return=minimal; Handling=Strict"], True),
        (["respond-async", "handling=strict"], True),
    ],
)
def test_prefer_says_whether_a_client_is_strict(prefer: list[str], strict: bool) -> None:
    assert is_strict(prefer) is strict


def test_one_is_read_by_its_id() -> None:
    assert json.loads(SHELF.read("Wound-2").body) == library("Wound", "2")
    with pytest.raises(NotFound):
        SHELF.read("Wound")


def test_an_etag_tells_of_the_content() -> None:
    one, other = Published.of(library("A", "1")), Published.of(library("A", "1", title="B"))
    assert one.etag.startswith('W/"')
    assert one.etag == Published.of(library("A", "1")).etag != other.etag
    assert one.is_meant_by(one.etag)
    assert one.is_meant_by(f'"x", {one.etag}')
    assert one.is_meant_by(one.etag.removeprefix("W/"))
    assert one.is_meant_by("*")
    assert not one.is_meant_by(other.etag)
    assert not one.is_meant_by(None)
