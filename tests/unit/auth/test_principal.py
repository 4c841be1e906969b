"""For whom a client may send, by the numbers of the providers that it names."""

from uuid import UUID

import pytest

from wiser_fhir.auth.principal import Principal, tin_digits
from wiser_fhir.auth.scopes import grants

NPI, OTHER_NPI = "1999000015", "1999000023"
TIN = "001234567"


def client(npis: frozenset[str] | None, tins: frozenset[str] = frozenset({TIN})) -> Principal:
    return Principal(UUID(int=1), "an-ehr", UUID(int=2), grants(["system/Claim.c"]), npis, tins)


def test_it_sends_for_the_providers_it_is_registered_for_and_for_no_other() -> None:
    own = client(frozenset({NPI}))
    assert own.acts_for(NPI)
    assert not own.acts_for(OTHER_NPI)
    assert not client(frozenset()).acts_for(NPI)


def test_of_its_row_the_organization_tells_for_whom_it_sends() -> None:
    row = {
        "client_id": UUID(int=1),
        "client_name": "an-ehr",
        "organization_id": UUID(int=2),
        "acts_for": "own",
        "npis": [NPI],
        "tins": [TIN],
    }
    allowed = grants(["system/Claim.c"])
    assert Principal.of(row, allowed, None) == client(frozenset({NPI}))
    assert Principal.of({**row, "acts_for": "named"}, allowed, None).npis == frozenset({NPI})
    every = Principal.of({**row, "acts_for": "all"}, allowed, "thumbprint")
    assert (every.npis, every.certificate) == (None, "thumbprint")


def test_a_clearinghouse_for_all_sends_for_whom_it_likes() -> None:
    every = client(None, frozenset())
    assert every.acts_for(NPI)
    assert every.acts_for(OTHER_NPI)
    assert every.bills_as(TIN)
    assert every.bills_as("no number")


@pytest.mark.parametrize("written", [TIN, "00-1234567", "001-23-4567", " 001234567 "])
def test_a_taxpayer_s_number_is_the_same_however_it_is_divided(written: str) -> None:
    assert client(frozenset({NPI})).bills_as(written)
    assert not client(frozenset({NPI}), frozenset()).bills_as(written)


@pytest.mark.parametrize(
    "none", ["", "123456789", "0012345678", "0-01234567", "00123456x", "٠٠١٢٣٤٥٦٧"]
)
def test_what_is_no_such_number_or_another_s_is_refused(none: str) -> None:
    assert not client(frozenset({NPI})).bills_as(none)


def test_what_can_be_no_number_has_no_digits() -> None:
    assert tin_digits("12-3456789") == "123456789"
    assert tin_digits("1234-56789") is None


def test_it_may_do_what_its_scopes_cover() -> None:
    assert client(None).may(grants(["system/Claim.c"]))
    assert not client(None).may(grants(["system/Claim.cu"]))
