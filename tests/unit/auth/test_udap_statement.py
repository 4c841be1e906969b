"""What a software statement may say, once its chain and signature hold."""

from typing import Any

import pytest

from tests.udap import REGISTER, issued, signed, statement_claims, trust
from wiser_fhir.auth.udap_statement import Statement, StatementRefused, read_statement
from wiser_fhir.clock import utc_now


def read(**changes: Any) -> Statement:
    now = utc_now()
    token = signed(issued(), statement_claims(now, **changes))
    return read_statement(token, trust(), [REGISTER], now)


@pytest.mark.parametrize("aud", [REGISTER, [REGISTER]])
def test_it_is_for_us_alone(aud: object) -> None:
    assert read(aud=aud).metadata is not None


@pytest.mark.parametrize("aud", [[REGISTER, REGISTER], [], [[REGISTER]], {"0": REGISTER}])
def test_one_that_is_not_is_refused(aud: object) -> None:
    with pytest.raises(StatementRefused) as refused:
        read(aud=aud)
    assert (refused.value.error, refused.value.reason) == ("invalid_software_statement", "audience")


def test_a_logo_is_kept_as_it_was_sent() -> None:
    logo = "https://app.example.org/a.png?size=2"
    metadata = read(logo_uri=logo).metadata
    assert metadata is not None
    assert metadata.logo_uri == logo


@pytest.mark.parametrize(
    "logo",
    [
        "",
        "logo.png",
        "http://app.example.org/logo.png",
        "javascript:alert(1)",
        "data:image/png;base64,AAAA",
        "https:logo.png",
        "https:///logo.png",
        "https://[logo.png",
        "https://app.example.org/a logo.png",
        f"https://app.example.org/{'x' * 2_048}",
        ["https://app.example.org/logo.png"],
    ],
)
def test_a_logo_that_is_at_no_https_url_is_refused(logo: object) -> None:
    with pytest.raises(StatementRefused) as refused:
        read(logo_uri=logo)
    assert refused.value.error == "invalid_client_metadata"
    assert refused.value.reason == "logo-uri"


@pytest.mark.parametrize("x5c", [None, [], "MII"])
def test_a_chain_that_cannot_be_read_is_no_statement(x5c: object) -> None:
    now = utc_now()
    token = signed(issued(), statement_claims(now), x5c=x5c)
    with pytest.raises(StatementRefused) as refused:
        read_statement(token, trust(), [REGISTER], now)
    assert (refused.value.error, refused.value.reason) == ("invalid_software_statement", "x5c")
