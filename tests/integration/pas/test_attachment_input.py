"""What must not come in as an attachment, and what must not bring the server down."""

import base64
from typing import Any

import orjson
import pytest

from tests.bundles import MEMBERS, Json, Line, request_bundle
from tests.integration.pas.attaching import (
    PDF,
    attach,
    attachment,
    call,
    document,
    identifier,
    said,
)
from tests.integration.pas.door import CARE_UNMET, Client, Rows, outcome_of

MIB = 1024 * 1024
MEMBER = MEMBERS[0].mbi


def sent(*attachments: Json, **fields: Any) -> Json:
    return call("trace-1", MEMBER, *attachments, **fields)


def without(body: Json, name: str) -> Json:
    kept = [each for each in body["parameter"] if each["name"] != name]
    return {**body, "parameter": kept}


def with_parameters(body: Json, *more: Json) -> Json:
    return {**body, "parameter": [*body["parameter"], *more]}


async def refused(client: Client, body: Json | bytes, status: int) -> list[tuple[str, str]]:
    """Code and place of each issue."""
    issues = outcome_of(await attach(client, body), status)
    return [(each["code"], each.get("expression", [""])[0]) for each in issues]


_FILE = "Parameters.parameter[4].part[0].resource.content[0].attachment"


@pytest.mark.parametrize(
    ("content", "kind", "code", "place"),
    [
        (b"MZ\x90\x00", "application/pdf", "value", "contentType"),
        (b"PK\x03\x04\x14\x00", "application/zip", "not-supported", "contentType"),
        (b"PK\x03\x04\x14\x00", "application/pdf", "value", "contentType"),
        (b"<html><script>alert(1)</script></html>", "application/xml", "value", "contentType"),
        (b"<!DOCTYPE x [<!ENTITY a 'b'>]><x>&a;</x>", "text/xml", "value", "contentType"),
        (b"%PDF-1.7", "image/png", "value", "contentType"),
        (b"%PDF-1.7", "text/html", "not-supported", "contentType"),
        (b"\xff\xfea\x00", "text/plain", "value", "contentType"),
        (b"plain", "text/plain; charset=utf-16", "not-supported", "contentType"),
        (b"", "application/pdf", "value", "data"),
    ],
)
async def test_a_file_that_is_not_taken(
    content: bytes, kind: str, code: str, place: str, client: Client
) -> None:
    body = sent(attachment(document(content, kind)))
    if not content:
        body["parameter"][4]["part"][0]["resource"]["content"][0]["attachment"]["data"] = " "
    assert await refused(client, body, 422) == [(code, f"{_FILE}.{place}")]


@pytest.mark.parametrize(
    ("changes", "code", "place"),
    [
        ({"data": "%%%"}, "value", "data"),
        ({"data": "AAA"}, "value", "data"),
        ({"data": None}, "required", "data"),
        ({"data": None, "url": "https://files.example/1.pdf"}, "not-supported", "url"),
        ({"size": 3}, "value", "size"),
        ({"hash": "2jmj7l5rSw0yVb/vlWAYkK/YBwk="}, "value", "hash"),
    ],
)
async def test_a_file_that_is_not_what_is_said_of_it(
    changes: dict[str, Any], code: str, place: str, client: Client
) -> None:
    body = sent(attachment(document(**changes)))
    assert await refused(client, body, 422) == [(code, f"{_FILE}.{place}")]


async def test_a_file_whose_size_and_hash_agree_is_taken(client: Client) -> None:
    right = {"size": 4, "hash": "cRDtpNCeBiql5KOQsKVyrA0sAiA="}
    body = sent(attachment(document(b"1234", "text/plain", **right)))
    assert "held" in said(await attach(client, body))


async def test_nothing_is_fetched_for_a_file_that_comes_with_an_address(
    client: Client, rows: Rows
) -> None:
    body = sent(attachment(document(url="http://169.254.169.254/latest")))
    assert "held" in said(await attach(client, body))
    (row,) = await rows.all("select size from attachment")
    assert row["size"] == len(PDF)


@pytest.mark.parametrize(
    "resource",
    [
        {
            "resourceType": "DiagnosticReport",
            "status": "final",
            "code": {"text": "MRI"},
            "presentedForm": [{"contentType": "application/pdf", "data": "JVBERi0="}],
        },
        {
            "resourceType": "Bundle",
            "type": "collection",
            "entry": [
                {
                    "fullUrl": "urn:uuid:0d39ac4a-8b43-4a04-8a0c-4ba9cf5f3a2f",
                    "resource": {
                        "resourceType": "Binary",
                        "contentType": "application/pdf",
                        "data": "JVBERi0=",
                    },
                }
            ],
        },
        {
            **document(),
            "contained": [
                {"resourceType": "Binary", "id": "b", "contentType": "a/b", "data": "JVBERi0="}
            ],
            "context": {"related": [{"reference": "#b"}]},
        },
    ],
)
async def test_a_file_hidden_in_another_resource_is_not_taken(
    resource: Json, client: Client
) -> None:
    found = await refused(client, sent(attachment(resource)), 422)
    assert found == [("not-supported", "Parameters.parameter[4].part[0].resource")]


@pytest.mark.parametrize(
    "resource",
    [
        {
            "resourceType": "Observation",
            "status": "final",
            "code": {"text": "Pain"},
            "valueQuantity": {"value": 7.10, "unit": "score"},
        },
        {"resourceType": "Binary", "contentType": "image/png", "data": "iVBORw0KGgo="},
        {
            "resourceType": "QuestionnaireResponse",
            "status": "completed",
            "questionnaire": "https://wiser-fhir.example/fhir/Questionnaire/cervical-fusion",
        },
    ],
)
async def test_other_resources_are_taken(resource: Json, client: Client, rows: Rows) -> None:
    assert "held" in said(await attach(client, sent(attachment(resource))))
    (row,) = await rows.all("select resource_type from attachment")
    assert row["resource_type"] == resource["resourceType"]


def completed(questionnaire: str, **more: Any) -> Json:
    return {
        "resourceType": "QuestionnaireResponse",
        "status": "completed",
        "questionnaire": questionnaire,
        **more,
    }


_FORM = "https://wiser-fhir.example/fhir/Questionnaire/cervical-fusion"
_MADE = {
    "resourceType": "Questionnaire",
    "id": "made",
    "status": "active",
    "derivedFrom": [f"{_FORM}-adaptive"],
}


@pytest.mark.parametrize(
    ("resource", "kind", "questionnaire"),
    [
        (completed(f"{_FORM}|1"), "questionnaire-response", f"{_FORM}|1"),
        (
            completed("#made", contained=[_MADE]),
            "questionnaire-response",
            f"{_FORM}-adaptive",
        ),
        (
            {
                "resourceType": "Bundle",
                "type": "collection",
                "entry": [
                    {
                        "fullUrl": "urn:uuid:0d39ac4a-8b43-4a04-8a0c-4ba9cf5f3a2f",
                        "resource": completed(_FORM),
                    }
                ],
            },
            "questionnaire-response",
            _FORM,
        ),
        (
            {
                "resourceType": "Bundle",
                "type": "batch",
                "entry": [{"request": {"method": "DELETE", "url": "Patient/1"}}],
            },
            "resource",
            None,
        ),
    ],
)
async def test_the_answers_of_a_form_are_known_as_such(
    resource: Json, kind: str, questionnaire: str | None, client: Client, rows: Rows
) -> None:
    assert "held" in said(await attach(client, sent(attachment(resource))))
    found = await rows.all("select kind, questionnaire from attachment")
    assert found == [{"kind": kind, "questionnaire": questionnaire}]


async def test_a_resource_of_more_than_20_mib_is_too_large(client: Client) -> None:
    line = {"resourceType": "Basic", "code": {"text": "x"}}
    note = {"url": "https://ehr.example/note", "valueString": "x" * (MIB - 1)}
    body = sent(attachment({**line, "extension": [note] * 21}))
    found = await refused(client, body, 413)
    assert found == [("too-long", "Parameters.parameter[4].part[0].resource")]


@pytest.mark.parametrize(
    ("name", "status"),
    [("TrackingId", 422), ("AttachTo", 422), ("MemberId", 422), ("Attachment", 422)],
)
async def test_what_a_call_needs(name: str, status: int, client: Client) -> None:
    found = await refused(client, without(sent(), name), status)
    assert found == [("required", "Parameters.parameter")]


async def test_a_provider_or_an_organization_is_named(client: Client) -> None:
    nobody = without(sent(), "OrganizationId")
    assert await refused(client, nobody, 422) == [("required", "Parameters.parameter")]
    provider = with_parameters(nobody, identifier("ProviderId", "1112223338"))
    assert "held" in said(await attach(client, provider))


@pytest.mark.parametrize("day", [None, "2026", "2026-11"])
async def test_a_claims_service_has_its_day(day: str | None, client: Client) -> None:
    body = sent(attach_to="claim", service_date=day)
    assert await refused(client, body, 422) == [("required", "Parameters.parameter")]


async def test_every_fault_of_the_parameters_is_told_at_once(client: Client) -> None:
    body = with_parameters(
        without(sent(attach_to="elsewhere"), "OrganizationId"),
        {"name": "Unheard", "valueString": "x"},
        {"name": "Final", "valueString": "true"},
        identifier("MemberId", MEMBER),
        {"name": "PayerId", "valueIdentifier": {"system": "https://payer.example"}},
    )
    assert sorted(await refused(client, body, 422)) == [
        ("business-rule", "Parameters.parameter[6]"),
        ("code-invalid", "Parameters.parameter[1].value"),
        ("not-supported", "Parameters.parameter[4].name"),
        ("required", "Parameters.parameter"),
        ("required", "Parameters.parameter[7].value.value"),
        ("value", "Parameters.parameter[5]"),
    ]


async def test_every_fault_of_the_files_is_told_at_once(client: Client) -> None:
    bad = attachment(document(b"MZ"))
    found = await refused(client, sent(bad, attachment(), bad), 422)
    assert [place.partition(".part")[0] for _, place in found] == [
        "Parameters.parameter[4]",
        "Parameters.parameter[6]",
    ]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b'{"resourceType":"Bundle"}',
        b'{"resourceType":"Parameters","parameter":5}',
        b'{"resourceType":"Parameters","parameter":[null,5,"x",{}]}',
        b'{"resourceType":"Parameters","parameter":[{"name":"Attachment","part":[7]}]}',
        b'{"resourceType":"Parameters","parameter":[{"name":5,"part":{}}]}',
        b'{"resourceType":"Parameters","parameter":[{"name":"Attachment","part":'
        b'[{"name":"Content","resource":{}}]}]}',
        b'{"resourceType":"Parameters","parameter":[{"name":"Attachment","part":'
        b'[{"name":"Content","resource":{"resourceType":"Binary","data":7}}]}]}',
        b'{"resourceType":"Parameters","parameter":[{"name":"Attachment","part":'
        b'[{"name":"Content","resource":{"resourceType":"DocumentReference"}}]}]}',
    ],
)
async def test_what_is_no_call_is_refused(body: bytes, client: Client) -> None:
    assert (await attach(client, body)).status_code == 400


async def test_a_call_without_parameters_is_refused(client: Client) -> None:
    body = b'{"resourceType":"Parameters"}'
    assert (await attach(client, body)).status_code == 422


async def test_a_tracking_number_of_a_megabyte_is_a_number_like_any(
    client: Client, line: Line, rows: Rows
) -> None:
    bundle = request_bundle(line, answers=CARE_UNMET)
    number = "9" * (MIB - 1)
    bundle["entry"][0]["resource"]["identifier"][0]["value"] = number
    sender = client.at(line)
    assert (await sender.submit(bundle)).status_code == 200
    assert "in review" in said(await attach(sender, call(number, MEMBER)))


async def test_a_line_named_by_a_novel_is_refused(client: Client) -> None:
    found = await refused(client, sent(attachment(lines=("1" * 101,))), 422)
    assert found == [("too-long", "Parameters.parameter[4].part[0].value")]


async def test_a_thousand_attachments_are_too_many(client: Client) -> None:
    body = sent(*[attachment()] * 1000)
    assert await refused(client, body, 413) == [("too-long", "Parameters.parameter")]


async def test_a_thousand_parts_are_too_many(client: Client) -> None:
    body = sent(attachment(lines=tuple(map(str, range(1000)))))
    assert await refused(client, body, 413) == [("too-long", "Parameters.parameter")]


async def test_a_file_of_more_than_20_mib_is_too_large(client: Client) -> None:
    body = sent(attachment(document(b"%PDF-" + bytes(20 * MIB))))
    assert await refused(client, body, 413) == [("too-long", f"{_FILE}.data")]


async def test_a_file_of_20_mib_is_taken(client: Client, rows: Rows) -> None:
    body = sent(attachment(document(b"%PDF-" + bytes(20 * MIB - 5))))
    assert "held" in said(await attach(client, body))
    assert await rows.all("select size from attachment") == [{"size": 20 * MIB}]


async def test_a_body_of_more_than_32_mib_is_too_large(client: Client) -> None:
    body = orjson.dumps(sent()) + b" " * (32 * MIB)
    assert await refused(client, body, 413) == [("too-long", "")]


async def test_what_unpacks_to_a_thousandfold_is_never_unpacked(client: Client) -> None:
    bomb = base64.b64decode("H4sIAAAAAAAAA+3BMQEAAADCoPVPbQwfoAAAAAAAAAAAAAAAAAAAAA==") * 1000
    found = await refused(client, sent(attachment(document(bomb, "application/gzip"))), 422)
    assert found == [("not-supported", f"{_FILE}.contentType")]


async def test_numbers_come_through_as_they_were_written(client: Client, rows: Rows) -> None:
    body = orjson.dumps(sent(attachment({"resourceType": "Basic", "code": {"text": "x"}})))
    written = b'{"url":"https://ehr.example/exact","valueDecimal":100.10}'
    body = body.replace(
        b'"code":{"text":"x"}', b'"extension":[' + written + b'],"code":{"text":"x"}'
    )
    assert "held" in said(await attach(client, body))
    (row,) = await rows.all("select size from attachment")
    assert row["size"] == len(
        b'{"resourceType":"Basic","extension":[' + written + b'],"code":{"text":"x"}}'
    )
