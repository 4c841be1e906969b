"""What is refused, how, and that nothing of it stays."""

from collections.abc import AsyncIterator
from hashlib import sha256

import orjson
import pytest

from tests.bundles import Line, inquiry_bundle, request_bundle
from tests.conformance.examples import recipes
from tests.integration.pas.door import MET, PATHS, Client, Rows, claim_response, outcome_of

MIB = 1024 * 1024
# Long, and of a kind that no index can make short.
_RANDOM = "".join(sha256(bytes([n])).hexdigest() for n in range(100))
OPERATIONS = ("Claim/$submit", "Claim/$inquire")


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_an_empty_bundle_is_no_request(
    operation: str, client: Client, line: Line, rows: Rows
) -> None:
    empty = {"resourceType": "Bundle", "type": "collection", "entry": []}
    outcome_of(await client.at(line).post(operation, empty), 400)
    assert set((await rows.counts()).values()) == {0}


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"text"',
        b"\xff\xfe",
        b'{"resourceType": "Bundle", "timestamp": NaN}',
        b'{"resourceType": "Bundle", "total": Infinity}',
        b'{"resourceType": "Bundle", "type": "collection", "type": "batch"}',
        b'{"resourceType":"Bundle","a":' * 65 + b"1" + b"}" * 65,
        b'{"resourceType":"Bundle","entry":' + b"[" * 70 + b"]" * 70 + b"}",
        b'{"resourceType": "NoSuchThing"}',
        b'{"resourceType": 1}',
        b"{}",
        b'{"resourceType": "Parameters", "parameter": [{"name": "resource"}]}',
        b'{"resourceType": "Parameters", "parameter": {"name": "resource"}}',
        b'{"resourceType": "Bundle", "entry": [{"resource": null}]}',
        b'{"resourceType": "Bundle", "entry": ["x"]}',
        b'{"resourceType": "Bundle", "entry": {}}',
    ],
    ids=lambda body: body[:40].decode(errors="replace"),
)
async def test_what_is_no_fhir_bundle_is_400(
    body: bytes, operation: str, client: Client, rows: Rows
) -> None:
    for issue in outcome_of(await client.post(operation, body), 400):
        assert issue["severity"] in ("error", "warning", "information")
        assert issue["code"]
    assert set((await rows.counts()).values()) == {0}


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("kind", ["Patient", "Parameters"])
async def test_another_resource_is_valid_and_not_what_was_asked_for(
    kind: str, operation: str, client: Client
) -> None:
    outcome_of(await client.post(operation, {"resourceType": kind}), 422)


async def test_every_problem_is_named_in_one_outcome(client: Client, line: Line) -> None:
    issues = outcome_of(await client.at(line).submit(recipes.broken(line)), 400)
    named = {path for issue in issues for path in issue.get("expression", ())}
    claim = "Bundle.entry[0].resource"
    for path in (
        "Bundle.timestamp",
        f"{claim}.colour",
        f"{claim}.use",
        f"{claim}.insurer",
        f"{claim}.item[0].serviced",
        f"{claim}.item[0].quantity.value",
        f"{claim}.item[0].category",
        f"{claim}.diagnosis[0].sequence",
    ):
        assert any(expression.startswith(path) for expression in named), (path, named)
    assert len([issue for issue in issues if issue["severity"] == "error"]) >= len(
        recipes.FAULTS[line]
    )


async def test_valid_r4_that_breaks_a_profile_is_422(
    client: Client, line: Line, rows: Rows
) -> None:
    bundle = request_bundle(line, answers=MET)
    del bundle["entry"][0]["resource"]["item"][0]["category"]
    issues = outcome_of(await client.at(line).submit(bundle), 422)
    expressions = [e for issue in issues for e in issue.get("expression", ())]
    assert "Bundle.entry[0].resource.item[0].category" in expressions
    assert set((await rows.counts()).values()) == {0}


async def test_what_breaks_r4_is_400(client: Client, line: Line) -> None:
    bundle = request_bundle(line, answers=MET)
    del bundle["entry"][0]["resource"]["status"]
    outcome_of(await client.at(line).submit(bundle), 400)


async def test_an_inquiry_that_breaks_its_profile_is_422(client: Client, line: Line) -> None:
    bundle = inquiry_bundle(line, any_service=True)
    del bundle["timestamp"]
    outcome_of(await client.at(line).inquire(bundle), 422)


async def test_a_request_is_no_inquiry(client: Client, line: Line) -> None:
    bundle = inquiry_bundle(line, any_service=True)
    bundle["entry"][0]["resource"]["use"] = "claim"
    outcome_of(await client.at(line).inquire(bundle), 422)


@pytest.mark.parametrize("what", ["patient", "insurer", "provider"])
async def test_a_request_names_its_people_and_they_are_in_the_bundle(
    what: str, client: Client, line: Line
) -> None:
    bundle = request_bundle(line, answers=MET)
    claim = bundle["entry"][0]["resource"]
    claim[what] = {"reference": "urn:uuid:00000000-0000-4000-8000-000000000000"}
    issues = outcome_of(await client.at(line).submit(bundle), 422)
    expressions = [e for issue in issues for e in issue.get("expression", ())]
    assert any(e.startswith(f"Bundle.entry[0].resource.{what}") for e in expressions)


async def test_a_line_number_stands_once(client: Client, line: Line, rows: Rows) -> None:
    bundle = request_bundle(line, answers=MET, codes=("64483", "64484"))
    bundle["entry"][0]["resource"]["item"][1]["sequence"] = 1
    outcome_of(await client.at(line).submit(bundle), 422)
    assert set((await rows.counts()).values()) == {0}


@pytest.mark.parametrize(
    "text",
    ["\u0000", "a\u0000b", "😀" * 100, "x" * 5000, _RANDOM, "' or 1=1 --", "%s %(x)s :x $1"],
    ids=["NUL", "a NUL inside", "emoji", "long", "long and random", "SQL", "placeholders"],
)
async def test_strange_text_breaks_nothing(
    text: str, client: Client, line: Line, rows: Rows
) -> None:
    """Stored or refused, never a 5xx."""
    bundle = request_bundle(line, answers=MET, identifier=f"id {text}", trace=f"trace {text}")
    for entry in bundle["entry"]:
        if entry["resource"]["resourceType"] == "Patient":
            entry["resource"]["name"][0]["family"] = f"Family {text}"
    answer = await client.at(line).submit(bundle)
    assert answer.status_code in (200, 400, 422), answer.text
    if answer.status_code == 200:
        assert claim_response(answer)["outcome"] == "complete"
        assert (await rows.counts())["prior_auth_case"] == 1


@pytest.mark.parametrize(
    "number", ["1e400", "-1e400", "123456789012345678901234567890.5", "1e-300"]
)
async def test_a_strange_number_breaks_nothing(number: str, client: Client) -> None:
    bundle = request_bundle(answers=MET)
    bundle["entry"][0]["resource"]["item"][0]["quantity"]["value"] = 12345
    body = orjson.dumps(bundle).replace(b"12345", number.encode())
    answer = await client.submit(body)
    assert answer.status_code in (200, 400, 422), answer.text


# Size


async def test_more_than_32_mib_is_too_much(client: Client, line: Line, rows: Rows) -> None:
    (issue,) = outcome_of(await client.at(line).submit(b" " * (32 * MIB + 1)), 413)
    assert issue["code"] == "too-long"
    assert set((await rows.counts()).values()) == {0}


async def test_a_body_without_a_length_is_not_read_to_its_end(client: Client, line: Line) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 1
            yield b" " * MIB

    answer = await client.http.post(
        f"{PATHS[line]}/Claim/$submit",
        content=endless(),
        headers={
            "authorization": f"Bearer {client.token}",
            "content-type": "application/fhir+json",
        },
    )
    outcome_of(answer, 413)
    assert sent <= 34


async def test_a_large_document_is_taken(client: Client, rows: Rows) -> None:
    bundle = request_bundle(answers=MET, evidence_text="x" * (3 * MIB))
    claim_response(await client.submit(bundle))
    (document,) = await rows.all("select size from document")
    assert document["size"] == 3 * MIB


# What is spoken


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize(
    "content_type",
    [
        "application/fhir+xml",
        "application/xml",
        "text/plain",
        "application/fhir+json; charset=utf-16",
        "",
    ],
)
async def test_only_json_is_read(
    operation: str, content_type: str, client: Client, line: Line
) -> None:
    bundle = orjson.dumps(request_bundle(line))
    outcome_of(await client.at(line).post(operation, bundle, content_type=content_type), 415)


@pytest.mark.parametrize("accept", ["application/fhir+xml", "text/html", "application/json;q=0"])
async def test_only_json_is_answered(accept: str, client: Client, line: Line, rows: Rows) -> None:
    outcome_of(await client.at(line).submit(request_bundle(line), accept=accept), 406)
    assert set((await rows.counts()).values()) == {0}


@pytest.mark.parametrize(
    "headers",
    [
        {"accept": "*/*"},
        {"accept": "application/json"},
        {"accept": "application/fhir+json; fhirVersion=4.0"},
        {"accept": "text/html, application/fhir+json;q=0.5"},
        {"content_type": "application/json"},
        {"content_type": "application/fhir+json; charset=UTF-8"},
        {"content_type": "application/fhir+json; fhirVersion=4.0; charset=utf-8"},
    ],
    ids=lambda h: "; ".join(h.values()),
)
async def test_json_by_its_other_names_is_fine(
    headers: dict[str, str], client: Client, line: Line
) -> None:
    answer = await client.at(line).submit(request_bundle(line, answers=MET), **headers)
    assert claim_response(answer)["outcome"] == "complete"
    assert answer.headers["content-type"] == "application/fhir+json"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "Claim/$frobnicate", 404),
        ("POST", "Claim", 404),
        ("GET", "Claim/1", 404),
        ("GET", "Patient/1", 404),
        ("POST", "$submit", 404),
        ("GET", "Claim/$submit", 405),
        ("DELETE", "ClaimResponse/1", 405),
    ],
)
async def test_what_is_not_offered_says_so(
    method: str, path: str, status: int, client: Client, line: Line
) -> None:
    answer = await client.http.request(
        method, f"{PATHS[line]}/{path}", headers={"authorization": f"Bearer {client.token}"}
    )
    outcome_of(answer, status)


async def test_no_refusal_repeats_what_it_refuses(client: Client, line: Line) -> None:
    """Names, numbers and dates of a person never come back in an OperationOutcome."""
    bundle = recipes.broken(line)
    secrets = ("Testfeather", "Mockingham", "1EG4TE5MK73", "3GJ6VG7PM95", "1948-03-09")
    bundle["entry"][0]["resource"]["item"][0]["servicedDate"] = "Testfeather"
    answer = await client.at(line).submit(bundle)
    assert answer.status_code == 400
    assert not [secret for secret in secrets if secret in answer.text]
    assert "Traceback" not in answer.text
