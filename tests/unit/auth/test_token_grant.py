"""What is granted, and to which certificate it is bound: every case, without a server."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from wiser_fhir.auth.assertion import OAuthRefused, RegisteredClient
from wiser_fhir.auth.scopes import grants
from wiser_fhir.auth.token_grant import LIFE, Shown, check_grant_type, grant

NOW = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
URI = "https://ehr.example.org/wiser"
OWN = Shown("own", (URI, "https://also.example.org"))
OTHER = Shown("other", ("https://other.example.org",))
NAMELESS = Shown("nameless", ())


def client(uri: str | None = None, unbound_until: datetime | None = None) -> RegisteredClient:
    return RegisteredClient(
        client_id=UUID(int=1),
        name="an-ehr",
        organization_id=UUID(int=2),
        scopes=grants(["system/Claim.cu", "system/Task.rs"]),
        certificate_uri=uri,
        unbound_until=unbound_until,
    )


def refusal(given: RegisteredClient, shown: Shown | None, *, unbound: bool = False) -> str:
    with pytest.raises(OAuthRefused) as caught:
        grant(given, None, shown, NOW, unbound=unbound)
    assert caught.value.client is given
    assert caught.value.error == "invalid_client"
    return caught.value.reason


def test_a_token_says_for_whom_for_what_and_for_how_long() -> None:
    issued = grant(client(URI), "system/Claim.c", OWN, NOW, unbound=False)
    assert issued.client_id == UUID(int=1)
    assert issued.organization_id == UUID(int=2)
    assert issued.scopes == ("system/Claim.c",)
    assert (issued.issued_at, issued.expires_at) == (NOW, NOW + timedelta(seconds=300))
    assert timedelta(seconds=300) == LIFE
    assert issued.certificate == "own"
    assert issued.token not in repr(issued)


@pytest.mark.parametrize("unbound", [True, False])
@pytest.mark.parametrize("until", [None, NOW + timedelta(days=1)])
def test_a_certificate_that_is_shown_is_the_client_s(unbound: bool, until: datetime | None) -> None:
    named = client(URI, until)
    assert grant(named, None, OWN, NOW, unbound=unbound).certificate == "own"
    for wrong in (OTHER, NAMELESS):
        assert refusal(named, wrong, unbound=unbound) == "certificate"
    for any_other in (OWN, OTHER, NAMELESS):
        nameless = client(None, until)
        if unbound or until is not None:
            bound = grant(nameless, None, any_other, NOW, unbound=unbound)
            assert bound.certificate == any_other.thumbprint
        else:
            assert refusal(nameless, any_other) == "no-certificate"


@pytest.mark.parametrize("uri", [None, URI])
def test_without_one_somebody_has_to_have_said_so(uri: str | None) -> None:
    assert grant(client(uri), None, None, NOW, unbound=True).certificate is None
    assert refusal(client(uri), None) == "no-certificate"
    assert refusal(client(uri, NOW), None) == "no-certificate"
    assert refusal(client(uri, NOW - timedelta(days=1)), None) == "no-certificate"
    accepted = client(uri, NOW + timedelta(seconds=1))
    assert grant(accepted, None, None, NOW, unbound=False).certificate is None


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({}, "invalid_request"),
        ({"grant_type": "authorization_code"}, "unsupported_grant_type"),
        ({"grant_type": "refresh_token"}, "unsupported_grant_type"),
        ({"grant_type": "client_credentials "}, "unsupported_grant_type"),
    ],
)
def test_there_is_one_grant(form: dict[str, str], error: str) -> None:
    check_grant_type({"grant_type": "client_credentials"})
    with pytest.raises(OAuthRefused) as caught:
        check_grant_type(form)
    assert caught.value.error == error


def test_a_client_without_any_scope_gets_no_token() -> None:
    scopeless = RegisteredClient(UUID(int=1), "x", UUID(int=2), grants(()))
    with pytest.raises(OAuthRefused) as caught:
        grant(scopeless, None, OWN, NOW, unbound=True)
    assert caught.value.error == "invalid_scope"
