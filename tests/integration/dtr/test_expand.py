"""ValueSet/$expand, over HTTP: at the type, at the base and of one value set."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from httpx import Response

from tests.bundles import Json, Line
from tests.clocks import StillClock
from tests.integration.pas.door import Client, MakeClient

SETS = "https://wiser-fhir.example/fhir/ValueSet/"
PROCEDURES = f"{SETS}epidural-steroid-injection-procedures"
EPIDURALS = ["62321", "62323", "64479", "64480", "64483", "64484"]


def body(*entries: dict[str, Any]) -> Json:
    return {"resourceType": "Parameters", "parameter": list(entries)}


def by_url(url: str, *more: dict[str, Any]) -> Json:
    return body({"name": "url", "valueUri": url}, *more)


def codes(response: Response) -> list[str]:
    assert response.status_code == 200, response.text
    value_set = response.json()
    assert value_set["resourceType"] == "ValueSet"
    return sorted(each["code"] for each in value_set["expansion"].get("contains", ()))


def refusal(response: Response, status: int) -> list[str]:
    assert response.status_code == status, response.text
    assert response.json()["resourceType"] == "OperationOutcome"
    return [each["code"] for each in response.json()["issue"]]


@pytest.mark.parametrize("path", ["ValueSet/$expand", "$expand"])
async def test_a_value_set_is_expanded_by_its_url(client: Client, line: Line, path: str) -> None:
    posted = await client.at(line).post(path, by_url(PROCEDURES))
    asked = await client.at(line).get(f"{path}?url={PROCEDURES}")
    assert codes(posted) == codes(asked) == EPIDURALS
    value_set = posted.json()
    assert value_set["url"] == PROCEDURES
    assert value_set["version"] == "2026-01-15"
    assert value_set["expansion"]["timestamp"] == "2026-11-20T16:00:00+00:00"
    assert value_set["expansion"]["total"] == 6
    assert "compose" not in value_set


async def test_one_is_expanded_by_its_id(client: Client, line: Line) -> None:
    path = "ValueSet/epidural-steroid-injection-procedures-2026-01-15/$expand"
    assert codes(await client.at(line).get(path)) == EPIDURALS
    filtered = body({"name": "filter", "valueString": "6448"})
    assert codes(await client.at(line).post(path, filtered)) == ["64480", "64483", "64484"]
    assert codes(await client.at(line).get(f"{path}?filter=6448&count=0")) == []
    assert refusal(await client.at(line).get("ValueSet/nothing/$expand"), 404) == ["not-found"]
    assert refusal(await client.at(line).post("ValueSet/x/$expand", body()), 404) == ["not-found"]


@pytest.mark.parametrize("version", ["2026-01-15", "1999-01-01"])
async def test_a_version_may_be_told_in_either_way(client: Client, version: str) -> None:
    inner = await client.post("ValueSet/$expand", by_url(f"{PROCEDURES}|{version}"))
    apart = await client.post(
        "ValueSet/$expand", by_url(PROCEDURES, {"name": "valueSetVersion", "valueString": version})
    )
    expected = 200 if version == "2026-01-15" else 404
    assert [inner.status_code, apart.status_code] == [expected, expected]


async def test_diagnoses_come_in_pages(client: Client) -> None:
    url = f"{SETS}vagus-nerve-stimulation-diagnoses"
    whole = codes(await client.get(f"ValueSet/$expand?url={url}"))
    assert len(whole) == len(set(whole)) > 10
    first = await client.get(f"ValueSet/$expand?url={url}&count=10")
    rest = await client.get(f"ValueSet/$expand?url={url}&offset=10")
    assert first.json()["expansion"]["total"] == len(whole)
    assert sorted(codes(first) + codes(rest)) == whole


async def test_codes_are_those_of_the_day(make_client: MakeClient, clock: StillClock) -> None:
    issued_at = datetime(2026, 4, 5, tzinfo=UTC)
    client = await make_client(issued_at=issued_at, ttl=timedelta(days=7))
    url = f"{SETS}hypoglossal-nerve-stimulation-procedures"
    found = {}
    for hour in (3, 5):  # midnight of the 6th in New York lies between
        clock.now = datetime(2026, 4, 6, hour, 0, tzinfo=UTC)
        found[hour] = codes(await client.get(f"ValueSet/$expand?url={url}"))
    assert found == {3: ["64582"], 5: ["64582", "C8007", "C8011"]}


@pytest.mark.parametrize(
    ("sent", "status", "expected"),
    [
        (body(), 400, ["required"]),
        (body({"name": "filter", "valueString": "a"}), 400, ["required"]),
        ({"resourceType": "ValueSet"}, 400, ["structure"]),
        (body({"name": "context", "valueUri": "x"}), 400, ["not-supported", "required"]),
        (by_url(PROCEDURES, {"name": "valueSet", "resource": {}}), 400, ["not-supported"]),
        (by_url(PROCEDURES, {"name": "count", "valueInteger": -1}), 400, ["value"]),
        (by_url(PROCEDURES, {"name": "date", "valueDateTime": "2020"}), 400, ["not-supported"]),
        (by_url("https://elsewhere.example/ValueSet/x"), 404, ["not-found"]),
        (by_url("\ud7ff|\ud7ff"), 400, ["value"]),
        (by_url("a" * 300_000), 413, ["too-long"]),
        (body(*[{"name": "x"}] * 201), 413, ["too-long"]),
        ({}, 400, ["structure"]),
    ],
)  # fmt: skip
async def test_what_cannot_be_expanded_is_refused(
    client: Client, line: Line, sent: Json, status: int, expected: list[str]
) -> None:
    for path in ("ValueSet/$expand", "$expand"):
        assert refusal(await client.at(line).post(path, sent), status) == expected


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("", 400),
        ("url=", 400),
        ("url=%00", 400),
        (f"url={PROCEDURES}&url={PROCEDURES}", 400),
        (f"url={PROCEDURES}&count=x", 400),
        (f"url={PROCEDURES}&filter=%00", 400),
        (f"url={PROCEDURES}&context=x", 400),
        ("url=nothing", 404),
    ],
)
async def test_a_query_is_held_to_the_same(client: Client, query: str, status: int) -> None:
    refusal(await client.get(f"ValueSet/$expand?{query}"), status)


async def test_expanding_needs_the_scope_of_value_sets(make_client: MakeClient, line: Line) -> None:
    without = await make_client(line, scopes=("system/Questionnaire.rs", "system/Library.rs"))
    for path in ("ValueSet/$expand", "$expand", "ValueSet/x/$expand"):
        refusal(await without.get(path), 403)
        refusal(await without.post(path, by_url(PROCEDURES)), 403)
