"""Who read, searched or expanded what is published is in the trail, and not by which words."""

import pytest

from tests.bundle_values import Json, Line
from tests.integration.pas.door import Client, Rows

SETS = "https://wiser-fhir.example/fhir/ValueSet/"
PROCEDURES = "epidural-steroid-injection-procedures"
FORM = "application/x-www-form-urlencoded"
NAME = "Testfeather"
IDS = {
    "Questionnaire": "epidural-steroid-injection-2026-01-15",
    "Library": "WiserEpiduralSteroidInjection-2026-01-15",
    "ValueSet": f"{PROCEDURES}-2026-01-15",
}


async def kept(rows: Rows, client: Client) -> list[tuple[str, str, str, str | None]]:
    """What each row says; all of them are the client's and say nothing else."""
    found = await rows.all("select * from audit_event order by id")
    for row in found:
        assert (row["organization_id"], row["client_id"]) == (
            client.organization_id,
            client.client_id,
        )
        assert (row["patient"], row["detail"]) == (None, {})
    return [(r["action"], r["outcome"], r["object_kind"], r["object_id"]) for r in found]


@pytest.mark.parametrize("kind", IDS)
async def test_a_read_is_kept_with_its_id(
    client: Client, line: Line, rows: Rows, kind: str
) -> None:
    reader = client.at(line)
    first = await reader.get(f"{kind}/{IDS[kind]}")
    again = await reader.get(f"{kind}/{IDS[kind]}", **{"if-none-match": first.headers["etag"]})
    assert (first.status_code, again.status_code) == (200, 304)
    assert await kept(rows, client) == [
        ("dtr.read", "sent", kind.lower(), IDS[kind]),
        ("dtr.read", "unchanged", kind.lower(), IDS[kind]),
    ]


@pytest.mark.parametrize("kind", IDS)
async def test_a_search_is_kept_without_its_words(
    client: Client, line: Line, rows: Rows, kind: str
) -> None:
    reader = client.at(line)
    asked = await reader.get(f"{kind}?title={NAME}")
    posted = await reader.post(
        f"{kind}/_search", f"title={NAME}".encode(), **{"content-type": FORM}
    )
    assert (asked.status_code, posted.status_code) == (200, 200)
    assert await kept(rows, client) == [("dtr.search", "sent", kind.lower(), None)] * 2


async def test_an_expansion_is_kept_with_its_value_set(
    client: Client, line: Line, rows: Rows
) -> None:
    body: Json = {
        "resourceType": "Parameters",
        "parameter": [
            {"name": "url", "valueUri": SETS + PROCEDURES},
            {"name": "filter", "valueString": NAME},
        ],
    }
    one = f"ValueSet/{IDS['ValueSet']}/$expand"
    by_id: Json = {"resourceType": "Parameters", "parameter": body["parameter"][1:]}
    query = f"url={SETS}{PROCEDURES}&filter={NAME}"
    reader = client.at(line)
    told = [await reader.post(path, body) for path in ("ValueSet/$expand", "$expand")]
    told += [await reader.get(f"{path}?{query}") for path in ("ValueSet/$expand", "$expand")]
    told += [await reader.post(one, by_id), await reader.get(f"{one}?filter={NAME}")]
    assert [each.status_code for each in told] == [200] * 6
    assert await kept(rows, client) == [("dtr.expand", "sent", "valueset", IDS["ValueSet"])] * 6


async def test_what_was_not_found_is_kept_as_refused_alone(client: Client, rows: Rows) -> None:
    assert (await client.get(f"ValueSet/{NAME}")).status_code == 404
    assert (await client.get(f"ValueSet/$expand?url={SETS}{NAME}")).status_code == 404
    actions = [(row["action"], row["outcome"]) for row in await rows.all("table audit_event")]
    assert actions == [("request.refused", "not-found")] * 2
    assert NAME not in str(await rows.all("select to_jsonb(a)::text as text from audit_event a"))
