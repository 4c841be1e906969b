"""Reading and searching what is published, over HTTP."""

from typing import Any

import pytest
from httpx import Response

from tests.bundles import Line
from tests.integration.pas.door import ORIGIN, PATHS, Client, MakeClient

SLUG = "epidural-steroid-injection"
NAMES = {
    "Questionnaire": f"{SLUG}-2026-01-15",
    "Library": "WiserEpiduralSteroidInjection-2026-01-15",
    "ValueSet": f"{SLUG}-procedures-2026-01-15",
}
CANONICALS: dict[Line, str] = {
    "2.2": "https://wiser-fhir.example/fhir",
    "2.0": "https://wiser-fhir.example/v2.0/fhir",
}
FORM = "application/x-www-form-urlencoded"


def outcome(response: Response, status: int) -> list[dict[str, Any]]:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/fhir+json"
    body = response.json()
    assert body["resourceType"] == "OperationOutcome"
    issues: list[dict[str, Any]] = body["issue"]
    return issues


@pytest.mark.parametrize("kind", NAMES)
async def test_one_is_read_by_its_id(client: Client, line: Line, kind: str) -> None:
    response = await client.at(line).get(f"{kind}/{NAMES[kind]}")
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/fhir+json"
    found = response.json()
    assert (found["resourceType"], found["id"]) == (kind, NAMES[kind])
    assert found["version"] == "2026-01-15"


async def test_each_line_has_forms_of_its_own_and_the_rest_in_common(client: Client) -> None:
    urls: dict[str, set[str]] = {}
    for line in CANONICALS:
        told = await client.at(line).get(f"Questionnaire/{NAMES['Questionnaire']}")
        assert told.json()["url"] == f"{CANONICALS[line]}/Questionnaire/{SLUG}"
        for kind in ("Library", "ValueSet"):
            again = await client.at(line).get(f"{kind}/{NAMES[kind]}")
            urls.setdefault(kind, set()).add(again.text)
    assert [len(each) for each in urls.values()] == [1, 1]


@pytest.mark.parametrize("kind", NAMES)
async def test_what_one_has_already_is_not_sent_again(client: Client, kind: str) -> None:
    first = await client.get(f"{kind}/{NAMES[kind]}")
    etag = first.headers["etag"]
    assert etag.startswith('W/"')
    again = await client.get(f"{kind}/{NAMES[kind]}", **{"if-none-match": etag})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)
    changed = await client.get(f"{kind}/{NAMES[kind]}", **{"if-none-match": 'W/"other"'})
    assert changed.status_code == 200


@pytest.mark.parametrize("kind", NAMES)
@pytest.mark.parametrize("name", ["nothing", "%00", "..", "%2e%2e%2f", "a" * 300, "$expandx", "é"])
async def test_an_unknown_id_is_404(client: Client, line: Line, kind: str, name: str) -> None:
    response = await client.at(line).get(f"{kind}/{name}")
    assert [each["code"] for each in outcome(response, 404)] == ["not-found"]


@pytest.mark.parametrize("kind", NAMES)
async def test_a_canonical_with_its_version_finds_one(
    client: Client, line: Line, kind: str
) -> None:
    at = client.at(line)
    wanted = (await at.get(f"{kind}/{NAMES[kind]}")).json()
    response = await at.get(f"{kind}?url={wanted['url']}|{wanted['version']}&unknown=x")
    bundle = response.json()
    base = ORIGIN + PATHS[line]
    assert bundle["type"] == "searchset"
    assert bundle["total"] == 1
    assert bundle["entry"][0]["resource"] == wanted
    assert bundle["entry"][0]["fullUrl"] == f"{base}/{kind}/{NAMES[kind]}"
    [link] = bundle["link"]
    assert link["url"].startswith(f"{base}/{kind}?url=")
    assert "unknown" not in link["url"]


@pytest.mark.parametrize("kind", NAMES)
async def test_a_search_may_come_as_a_form(client: Client, line: Line, kind: str) -> None:
    body = f"_id={NAMES[kind]}&status=active".encode()
    response = await client.at(line).post(
        f"{kind}/_search?version=2026-01-15", body, content_type=FORM
    )
    assert response.status_code == 200, response.text
    bundle = response.json()
    assert [each["resource"]["id"] for each in bundle["entry"]] == [NAMES[kind]]
    query = f"version=2026-01-15&_id={NAMES[kind]}&status=active"
    assert bundle["link"][0]["url"] == f"{ORIGIN}{PATHS[line]}/{kind}?{query}"


async def test_pages_lead_to_each_other_until_all_is_seen(client: Client, line: Line) -> None:
    seen: list[str] = []
    path: str | None = "ValueSet?_count=7"
    total = 0
    while path is not None:
        bundle = (await client.at(line).get(path)).json()
        seen += [each["resource"]["id"] for each in bundle["entry"]]
        total = bundle["total"]
        following = {link["relation"]: link["url"] for link in bundle["link"]}.get("next")
        path = following and following.removeprefix(f"{ORIGIN}{PATHS[line]}/")
    assert len(seen) == len(set(seen)) == total > 7


async def test_every_active_service_has_its_form(client: Client, line: Line) -> None:
    bundle = (await client.at(line).get("Questionnaire?_count=100")).json()
    standard = {
        each["resource"]["url"].rpartition("/")[2]
        for each in bundle["entry"]
        if not each["resource"]["url"].endswith("-adaptive")
    }
    assert len(standard) == 13
    assert "deep-brain-stimulation" not in standard


async def test_a_strict_client_is_told_what_is_not_known(client: Client) -> None:
    query = "Questionnaire?publisher=x&_elements=url"
    assert (await client.get(query)).status_code == 200
    issues = outcome(await client.get(query, prefer="handling=strict"), 400)
    assert [each["code"] for each in issues] == ["not-supported", "not-supported"]


@pytest.mark.parametrize("kind", NAMES)
@pytest.mark.parametrize(
    "query",
    [
        "name:missing=true",
        "_count=-1",
        "_count=many",
        "url:in=x",
        "name=" + ",".join("a" * 50),
        "&".join(["name=a"] * 30),
        "title=" + "a" * 3_000,
    ],
)
async def test_a_search_that_makes_no_sense_is_400(client: Client, kind: str, query: str) -> None:
    outcome(await client.get(f"{kind}?{query}"), 400)


@pytest.mark.parametrize(
    "query", ["url=%00%ff", "name=%ED%A0%80", "=", "&&&", "name", "%", "_count=0"]
)
async def test_odd_searches_find_nothing_or_everything(client: Client, query: str) -> None:
    response = await client.get(f"Library?{query}")
    assert response.status_code == 200
    assert response.json()["resourceType"] == "Bundle"


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"name=a", "application/fhir+json", 415),
        (b"{}", "", 415),
        (b"name=" + b"a" * 70_000, FORM, 413),
        (b"&".join([b"name=a"] * 300), FORM, 413),
        (b"name=\xff", FORM, 400),
    ],
)
async def test_a_form_that_is_none_is_refused(
    client: Client, body: bytes, content_type: str, status: int
) -> None:
    outcome(await client.post("Library/_search", body, content_type=content_type), status)


@pytest.mark.parametrize("kind", NAMES)
async def test_each_type_has_its_scope(make_client: MakeClient, line: Line, kind: str) -> None:
    others = tuple(f"system/{each}.rs" for each in NAMES if each != kind)
    without = await make_client(line, scopes=others)
    for path in (f"{kind}/{NAMES[kind]}", kind):
        outcome(await without.get(path), 403)
    outcome(await without.post(f"{kind}/_search", b"", content_type=FORM), 403)
    only = await make_client(line, scopes=(f"system/{kind.lower()}.rs",))
    assert (await only.get(f"{kind}/{NAMES[kind]}")).status_code == 200


async def test_only_json_is_sent(client: Client) -> None:
    outcome(await client.get("Questionnaire", accept="application/fhir+xml"), 406)
