"""What counts of another issuer's token: claims in, names, scopes and binding out."""

from typing import Any

import pytest

from wiser_fhir.auth.external import ExternalToken, granted, read_claims
from wiser_fhir.auth.jws import JwtRefused
from wiser_fhir.auth.remembered import Remembered
from wiser_fhir.auth.scopes import grants, spelled

NOW = 1_795_000_000.0
US, ANOTHER = "https://payer.example", "https://other.example"
THUMBPRINT = "A" * 43
BOUND = {"cnf": {"x5t#S256": THUMBPRINT}}
GOOD: dict[str, Any] = {
    "aud": US,
    "iat": int(NOW),
    "exp": int(NOW) + 300,
    "client_id": "valley",
    "sub": "valley",
    "scope": "system/Claim.c",
}


def read(**changes: Any) -> ExternalToken:
    """A good token's claims with changes; None takes a name out."""
    claims = {name: each for name, each in {**GOOD, **changes}.items() if each is not None}
    return read_claims(claims, US, NOW)


def test_a_token_tells_every_name_of_its_caller() -> None:
    assert read() == ExternalToken(frozenset({"valley"}), "system/Claim.c", None, NOW + 300)
    keycloak = read(azp="valley", sub="5a5d0b0c")
    assert keycloak.names == {"valley", "5a5d0b0c"}
    assert read(client_id=None, sub="s").names == {"s"}


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": [US]},
        {"aud": [US, ANOTHER], **BOUND},
        {"iat": int(NOW) + 60, "exp": int(NOW) + 3_660},
        {"iat": None, "exp": int(NOW) + 3_600},
        {"nbf": int(NOW) + 60},
        {"scope": None},
    ],
)
def test_what_is_taken(changes: dict[str, Any]) -> None:
    assert read(**changes).names == {"valley"}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"aud": ANOTHER}, "audience"),
        ({"aud": None}, "audience"),
        ({"aud": []}, "audience"),
        ({"aud": [US, ANOTHER]}, "audience"),  # unbound, the other could use it here
        ({"aud": [US, US]}, "audience"),
        ({"aud": f"{US}/"}, "audience"),
        ({"aud": {US: 1}}, "audience"),
        ({"exp": None}, "life"),
        ({"exp": int(NOW)}, "life"),
        ({"exp": int(NOW) + 3_601}, "life"),
        ({"iat": None, "exp": int(NOW) + 3_601}, "life"),
        ({"iat": int(NOW) - 3_400, "exp": int(NOW) + 300}, "life"),
        ({"exp": "soon"}, "life"),
        ({"exp": True}, "life"),
        ({"exp": 1e999}, "life"),
        ({"iat": int(NOW) + 61}, "life"),
        ({"iat": "now"}, "life"),
        ({"nbf": int(NOW) + 61}, "life"),
        ({"client_id": None, "sub": None}, "client"),
        ({"client_id": ["valley"]}, "client"),
        ({"azp": {"valley": 1}}, "client"),
        ({"sub": 7}, "client"),
        ({"scope": ["system/Claim.c"]}, "scope"),
        ({"cnf": {}}, "certificate"),
        ({"cnf": THUMBPRINT}, "certificate"),
        ({"cnf": {"x5t#S256": ""}}, "certificate"),
        ({"cnf": {"x5t#S256": 1}}, "certificate"),
        ({"cnf": {"jkt": THUMBPRINT}}, "certificate"),
        ({"cnf": {"x5t#S256": THUMBPRINT, "jkt": THUMBPRINT}}, "certificate"),
    ],
)
def test_what_is_refused_and_why(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(JwtRefused) as refused:
        read(**changes)
    assert refused.value.reason == reason


@pytest.mark.parametrize(
    ("scope", "allowed"),
    [
        ("system/Claim.c", ("system/Claim.c",)),
        ("system/Claim.cu system/Task.rs", ("system/Claim.c",)),
        ("system/claimresponse.read", ("system/ClaimResponse.r",)),
        ("openid profile system/ClaimResponse.r", ("system/ClaimResponse.r",)),
        ("system/*.cruds patient/Claim.c user/Claim.c", ()),
        ("system/Claim.c?status=active", ()),
        ("", ()),
        (" ".join(["x"] * 100 + ["system/Claim.c"]), ()),
    ],
)
def test_a_token_allows_what_its_client_is_registered_for_and_no_more(
    scope: str, allowed: tuple[str, ...]
) -> None:
    registered = grants(["system/Claim.c", "system/ClaimResponse.r"])
    assert spelled(granted(scope, registered)) == allowed


def test_what_is_remembered_ends_and_is_bounded() -> None:
    passed = 0.0
    known: Remembered[bytes, int] = Remembered(2, lambda: passed)
    for i in range(3):
        known.put(bytes([i]), i + 1, 10)
    assert [known.get(bytes([i])) for i in range(3)] == [None, 2, 3]
    passed = 10.0
    assert [known.get(bytes([i])) for i in range(3)] == [None, None, None]
    assert len(known) == 0


def test_what_was_forgotten_is_not_remembered() -> None:
    known: Remembered[str, int] = Remembered(2, lambda: 0.0)
    known.put("one", 1, known.now() + 10)
    known.forget("one")
    known.forget("one")
    assert known.get("one") is None
