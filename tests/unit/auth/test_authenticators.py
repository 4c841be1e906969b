"""Whose token is shown to whom."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import cast

import pytest

from wiser_fhir.auth.authenticators import Authenticators
from wiser_fhir.auth.bearer import REFUSAL
from wiser_fhir.auth.external import ExternalAuthenticator
from wiser_fhir.auth.principal import Principal
from wiser_fhir.auth.tokens import Authenticator, WrongCertificate
from wiser_fhir.errors import Unauthenticated

OURS = [f"Bearer {'A' * 43}"]


class _Embedded:
    def __init__(self, refusal: Unauthenticated) -> None:
        self.refusal = refusal

    async def principal(self, _authorization: Sequence[str], _certificate: str | None) -> Principal:
        raise self.refusal


class _External:
    takes_opaque = True

    def __init__(self) -> None:
        self.shown: list[str] = []

    async def principal(self, token: str, _certificate: str | None, _asking: object) -> Principal:
        self.shown.append(token)
        raise Unauthenticated(REFUSAL)


@pytest.mark.parametrize(
    ("refusal", "shown"), [(Unauthenticated(REFUSAL), 1), (WrongCertificate(REFUSAL), 0)]
)
async def test_a_live_token_of_ours_is_shown_to_no_other_issuer(
    refusal: Unauthenticated, shown: int
) -> None:
    external = _External()
    both = Authenticators(
        cast(Authenticator, _Embedded(refusal)), cast(ExternalAuthenticator, external)
    )
    with pytest.raises(Unauthenticated) as refused:
        await both.principal(OURS)
    assert str(refused.value) == REFUSAL
    assert len(external.shown) == shown


@pytest.mark.parametrize("ours", [True, False])
def test_what_was_revoked_is_forgotten_where_tokens_of_ours_are_taken(ours: bool) -> None:
    forgotten: list[str] = []
    embedded = SimpleNamespace(forget=forgotten.append)
    external = cast(ExternalAuthenticator, _External())
    Authenticators(cast(Authenticator, embedded) if ours else None, external).forget("a-token")
    assert forgotten == (["a-token"] if ours else [])
