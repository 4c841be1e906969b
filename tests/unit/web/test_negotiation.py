import pytest
from starlette.exceptions import HTTPException
from starlette.requests import Request

from wiser_fhir.web.negotiation import check_accept, check_content_type


def request(headers: list[tuple[str, str]], query: str = "") -> Request:
    raw = [(name.encode(), value.encode()) for name, value in headers]
    return Request({"type": "http", "headers": raw, "query_string": query.encode()})


@pytest.mark.parametrize(
    "accept",
    [
        "application/fhir+json",
        "application/json",
        "*/*",
        "application/*",
        "Application/FHIR+JSON; charset=UTF-8",
        "application/fhir+json; fhirVersion=4.0",
        "application/fhir+json;fhirVersion=4.0.1;q=0.5",
        "text/html, application/xhtml+xml, */*;q=0.1",
        "application/fhir+xml, application/fhir+json",
        "application/fhir+json;q=0, application/json",
        "application/xml;q=1.0, */*;q=0.001",
        "",
    ],
)
def test_whoever_takes_json_is_served(accept: str) -> None:
    check_accept(request([("accept", accept)]))


@pytest.mark.parametrize(
    "accept",
    [
        "application/fhir+xml",
        "application/xml, text/html",
        "text/*",
        "application/fhir+json;q=0",
        "*/*;q=0",
        "*/*;q=0.0, application/xml",
        "application/json;q=0, application/fhir+json;q=0, */*",
        "application/fhir+json;fhirVersion=5.0",
        "application/fhir+turtle",
        "json",
        ";;;",
    ],
)
def test_whoever_takes_no_json_gets_406(accept: str) -> None:
    with pytest.raises(HTTPException) as caught:
        check_accept(request([("accept", accept)]))
    assert caught.value.status_code == 406


def test_no_accept_header_is_fine_and_several_add_up() -> None:
    check_accept(request([]))
    check_accept(request([("accept", "text/html"), ("accept", "application/json")]))


@pytest.mark.parametrize(
    "query",
    [
        "_format=json",
        "_format=application/fhir%2Bjson",
        "_format=application/fhir+json",
        "_format=application/json",
    ],
)
def test_format_overrules_the_header(query: str) -> None:
    check_accept(request([("accept", "application/fhir+xml")], query))


@pytest.mark.parametrize("query", ["_format=xml", "_format=", "_format=application/fhir%2Bxml"])
def test_another_format_gets_406(query: str) -> None:
    with pytest.raises(HTTPException) as caught:
        check_accept(request([("accept", "application/json")], query))
    assert caught.value.status_code == 406


@pytest.mark.parametrize(
    "content_type",
    [
        "application/fhir+json",
        "application/json",
        "application/fhir+json; charset=utf-8",
        'application/fhir+json;charset="UTF-8"',
        "application/fhir+json; fhirVersion=4.0",
    ],
)
def test_json_is_read(content_type: str) -> None:
    check_content_type(request([("content-type", content_type)]))


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "application/xml",
        "application/fhir+xml",
        "text/json",
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/json-patch+json",
        "application/fhir+json; charset=iso-8859-1",
        "application/fhir+json; fhirVersion=3.0",
    ],
)
def test_anything_else_gets_415(content_type: str) -> None:
    with pytest.raises(HTTPException) as caught:
        check_content_type(request([("content-type", content_type)]))
    assert caught.value.status_code == 415


def test_no_content_type_gets_415() -> None:
    with pytest.raises(HTTPException):
        check_content_type(request([]))
