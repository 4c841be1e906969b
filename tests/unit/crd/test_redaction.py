"""A token that came with a hook call is kept nowhere."""

import orjson
import pytest

from wiser_fhir.crd.redaction import without_token

TOKEN = "s3cret-\u00fcber/token"


def body(token: str = TOKEN) -> bytes:
    authorization = {"access_token": token, "token_type": "Bearer"}
    return orjson.dumps({"hook": "order-sign", "fhirAuthorization": authorization, "n": 1})


def test_only_the_token_is_starred_out() -> None:
    received = body()
    kept = without_token(received, orjson.loads(received))
    assert orjson.loads(kept)["fhirAuthorization"]["access_token"] == "***"
    assert kept == received.replace(orjson.dumps(TOKEN), b'"***"')


@pytest.mark.parametrize(
    "received",
    [
        body().replace(b"access_token", b"access\\u005ftoken"),
        body()
        .replace(b'"n":1', b'"access_token":"decoy"')
        .replace(b'"access_token":"s3', b'"access\\u005ftoken":"s3'),
        body('quote " and backslash \\'),
        body().replace(b'"access_token":', b'"access_token" \n:\t'),
        body("a"),
        body("***"),
        body(""),
    ],
)
def test_however_it_is_written(received: bytes) -> None:
    parsed = orjson.loads(received)
    kept = orjson.loads(without_token(received, parsed))
    assert kept["fhirAuthorization"]["access_token"] == "***"
    assert kept["hook"] == "order-sign"
    assert TOKEN not in str(kept)
    assert parsed == orjson.loads(received)


@pytest.mark.parametrize("parsed", [{}, {"fhirAuthorization": None}, {"fhirAuthorization": {}}])
def test_a_body_without_token_stays_as_it_is(parsed: dict[str, object]) -> None:
    received = orjson.dumps(parsed)
    assert without_token(received, parsed) == received


def test_a_token_that_is_no_text_is_not_kept_either() -> None:
    received = orjson.dumps({"fhirAuthorization": {"access_token": {"deep": TOKEN}}})
    assert TOKEN.encode() not in without_token(received, orjson.loads(received))
