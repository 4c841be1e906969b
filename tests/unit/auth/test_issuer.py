"""What an issuer says of itself and of tokens, by a stand-in for the way out."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any
from uuid import UUID

import pytest
from joserfc.jwk import ECKey

from wiser_fhir.auth.issuer import (
    FRESH_SECONDS,
    RETRY_SECONDS,
    Introspection,
    Issuer,
)
from wiser_fhir.auth.own_key import OwnKey
from wiser_fhir.egress.client import Document
from wiser_fhir.egress.errors import EgressError
from wiser_fhir.errors import Unavailable

NAME = "https://sso.example/realms/payer"
OIDC = f"{NAME}/.well-known/openid-configuration"
RFC_8414 = "https://sso.example/.well-known/oauth-authorization-server/realms/payer"
TOKENS = f"{NAME}/token"
ASK = f"{NAME}/introspect"
GOOD = {"issuer": NAME, "token_endpoint": TOKENS, "jwks_uri": f"{NAME}/jwks"}
NOW = datetime(2026, 11, 20, tzinfo=UTC)


class Outside:
    """Answers by URL; what is not there is away."""

    def __init__(self, **answers: Any) -> None:
        self.answers: dict[str, Any] = answers
        self.asked: list[str] = []
        self.forms: list[Mapping[str, str]] = []

    def _answer(self, url: str, within: Sequence[str]) -> dict[str, Any]:
        assert within == [url]
        self.asked.append(url)
        answer = self.answers.get(url, EgressError("status", 404))
        if isinstance(answer, Exception):
            raise answer
        return dict(answer)

    async def get_document(
        self,
        url: str,
        *,
        within: Sequence[str],
        tenant: UUID,
        token: str | None = None,
        seconds: float = 5.0,
    ) -> Document:
        await asyncio.sleep(0)
        return Document(self._answer(url, within))

    async def post_form(
        self,
        url: str,
        form: Mapping[str, str],
        *,
        headers: Mapping[str, str] = MappingProxyType({}),
        within: Sequence[str],
        tenant: UUID,
        seconds: float = 5.0,
    ) -> dict[str, Any]:
        self.forms.append(form)
        return self._answer(url, within)


class Monotonic:
    passed = 0.0

    def __call__(self) -> float:
        return self.passed


async def test_its_metadata_are_asked_for_once_an_hour() -> None:
    outside, time = Outside(**{OIDC: GOOD}), Monotonic()
    issuer = Issuer(NAME, outside, time)
    found = await asyncio.gather(*(issuer.metadata() for _ in range(20)))
    assert {(each.token_endpoint, each.jwks_uri) for each in found} == {(TOKENS, f"{NAME}/jwks")}
    time.passed = FRESH_SECONDS - 1
    await issuer.metadata()
    assert outside.asked == [OIDC]
    time.passed = FRESH_SECONDS
    outside.answers[OIDC] = {**GOOD, "token_endpoint": f"{NAME}/new"}
    assert (await issuer.metadata()).token_endpoint == f"{NAME}/new"


async def test_they_are_where_either_guide_has_them() -> None:
    outside = Outside(**{RFC_8414: {"issuer": NAME, "token_endpoint": TOKENS}})
    found = await Issuer(NAME, outside, Monotonic()).metadata()
    assert (found.token_endpoint, found.jwks_uri) == (TOKENS, None)
    assert outside.asked == [OIDC, RFC_8414]


@pytest.mark.parametrize(
    "changes",
    [
        {"issuer": "https://sso.example/realms/other"},
        {"issuer": f"{NAME}/"},
        {"issuer": None},
        {"token_endpoint": None},
        {"token_endpoint": "javascript:1"},
        {"token_endpoint": ["x"]},
        {"jwks_uri": "file:///keys"},
        {"jwks_uri": 1},
    ],
)
async def test_what_is_another_s_or_cannot_be_is_not_taken(changes: dict[str, Any]) -> None:
    outside = Outside(**{OIDC: {**GOOD, **changes}})
    with pytest.raises(Unavailable):
        await Issuer(NAME, outside, Monotonic()).metadata()


async def test_while_it_is_away_what_is_known_holds_and_it_is_not_asked_at_once_again() -> None:
    outside, time = Outside(), Monotonic()
    issuer = Issuer(NAME, outside, time)
    for _ in range(10):
        with pytest.raises(Unavailable):
            await issuer.metadata()
    assert outside.asked == [OIDC, RFC_8414]
    outside.answers[OIDC] = GOOD
    time.passed = RETRY_SECONDS
    known = await issuer.metadata()
    outside.answers.clear()
    time.passed += FRESH_SECONDS
    assert await issuer.metadata() == known


def asking(outside: Outside) -> Introspection:
    issuer = Issuer(NAME, outside, Monotonic())
    key = OwnKey(ECKey.generate_key("P-384"))
    return Introspection(issuer, ASK, "the-payer", key, lambda: NOW)


async def test_it_is_asked_with_proof_of_who_asks_and_never_twice_the_same() -> None:
    outside = Outside(**{ASK: {"active": True, "sub": "valley"}})
    for _ in range(2):
        assert await asking(outside).of("secret") == {"active": True, "sub": "valley"}
    first, second = outside.forms
    assert first["client_assertion"] != second["client_assertion"]
    assert (first["token"], first["token_type_hint"]) == ("secret", "access_token")
    assert first["client_id"] == "the-payer"


@pytest.mark.parametrize(
    "answer",
    [{"active": False}, {"active": "true"}, {"active": 1}, {}, EgressError("status", 400)],
)
async def test_a_token_is_live_only_if_it_says_so(answer: Any) -> None:
    assert await asking(Outside(**{ASK: answer})).of("x") is None


@pytest.mark.parametrize(
    "error",
    [EgressError("status", 401), EgressError("status", 500), EgressError("away"),
     EgressError("slow"), EgressError("not-json")],
)  # fmt: skip
async def test_an_issuer_that_does_not_answer_is_away(error: EgressError) -> None:
    with pytest.raises(Unavailable):
        await asking(Outside(**{ASK: error})).of("x")
