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
        body()
        .replace(b"access_token", b"access\\u005ftoken")
        .replace(b'"n":1', b'"x":{"access_token":"s3cret-\xc3\xbcber/token"}'),
        b"\xef\xbb\xbf" + body(),
        body("a"),
        body("***"),
        body(""),
    ],
)
def test_however_it_is_written(received: bytes) -> None:
    parsed = orjson.loads(received.removeprefix(b"\xef\xbb\xbf"))
    kept = orjson.loads(without_token(received, parsed).removeprefix(b"\xef\xbb\xbf"))
    assert kept["fhirAuthorization"]["access_token"] == "***"
    assert kept["hook"] == "order-sign"
    assert TOKEN not in str(kept)
    assert parsed == orjson.loads(received.removeprefix(b"\xef\xbb\xbf"))


@pytest.mark.parametrize("parsed", [{}, {"fhirAuthorization": None}])
def test_a_body_without_token_stays_as_it_is(parsed: dict[str, object]) -> None:
    received = orjson.dumps(parsed)
    assert without_token(received, parsed) == received


@pytest.mark.parametrize(
    "authorization",
    [
        {"access_token": {"deep": "canary"}},
        [{"access\u005ftoken": "canary"}],
        "canary",
        {"access_token": None, "accessToken": "canary"},
        {"access_token": "x", "refresh_token": "canary"},
    ],
)
def test_a_token_told_in_another_way_is_not_kept_either(authorization: object) -> None:
    received = orjson.dumps({"hook": "order-sign", "fhirAuthorization": authorization})
    received = received.replace(b"access_token", b"access\\u005ftoken")
    kept = without_token(received, orjson.loads(received))
    assert b"canary" not in kept
    assert orjson.loads(kept)["hook"] == "order-sign"
