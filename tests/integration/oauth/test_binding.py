"""Tokens and the certificate that they are bound to: at the token endpoint, and at each use."""

from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.clocks import Time
from tests.oauth_door import NOW, Place, Registry, Servers
from tests.pki import EHR_URI, issued
from wiser_fhir.auth.certificates import thumbprint_of
from wiser_fhir.errors import Unauthenticated
from wiser_fhir.sandbox.authority import Issued

OTHER_URI = "https://other.example.org/wiser"
CERTIFICATE = issued()
RENEWED = issued(number=2)
FOREIGN = issued(OTHER_URI)
BOUND = "bound"


@pytest.fixture
def production(app_engine: AsyncEngine, time: Time, servers: Servers) -> Place:
    """Where a token needs a certificate."""
    return Place(app_engine, time, servers, unbound=False)


@pytest.fixture
async def bound(registry: Registry) -> UUID:
    """A client that goes by a URI in its certificate."""
    return await registry.client(BOUND, certificate_uri=EHR_URI)


async def status(place: Place, shown: Issued | None, name: str = BOUND) -> int:
    """What a token request comes to."""
    return (await place.ask(shown=shown, iss=name, sub=name)).status_code


@pytest.mark.usefixtures("bound")
async def test_the_certificate_at_the_token_endpoint_names_the_client(production: Place) -> None:
    assert await status(production, CERTIFICATE) == 200
    assert await status(production, RENEWED) == 200
    assert await status(production, FOREIGN) == 401
    assert await status(production, None) == 401


@pytest.mark.usefixtures("bound")
async def test_another_s_certificate_is_refused_in_the_sandbox_too(place: Place) -> None:
    assert await status(place, FOREIGN) == 401
    assert await status(place, None) == 200
    assert await status(place, CERTIFICATE) == 200


async def test_whoever_has_no_name_in_certificates_gets_no_token_by_any_of_them(
    production: Place, registry: Registry
) -> None:
    await registry.client("plain")
    for shown in (CERTIFICATE, FOREIGN, None):
        assert await status(production, shown, "plain") == 401
    assert await registry.rows("select certificate from access_token") == []


async def opens(place: Place, token: str, shown: Issued | None) -> bool:
    """Whether a token is taken over a connection that shows this."""
    thumbprint = thumbprint_of(shown.der) if shown else None
    try:
        await place.app.state.authenticator.principal([f"Bearer {token}"], thumbprint)
    except Unauthenticated:
        return False
    return True


@pytest.mark.usefixtures("bound")
async def test_a_stolen_token_opens_nothing(production: Place) -> None:
    token = await production.token(CERTIFICATE, iss=BOUND, sub=BOUND)
    assert not await opens(production, token, None)
    assert not await opens(production, token, FOREIGN)
    assert not await opens(production, token, RENEWED)
    assert await opens(production, token, CERTIFICATE)
    # Remembered by now, and looked at all the same.
    assert not await opens(production, token, None)
    assert not await opens(production, token, RENEWED)
    assert await opens(production, token, CERTIFICATE)


@pytest.mark.usefixtures("bound")
async def test_a_refusal_for_the_certificate_says_what_any_other_says(production: Place) -> None:
    token = await production.token(CERTIFICATE, iss=BOUND, sub=BOUND)
    texts = set()
    for header in (f"Bearer {token}", "Bearer " + "a" * 43, "Bearer"):
        with pytest.raises(Unauthenticated) as caught:
            await production.app.state.authenticator.principal([header])
        texts.add(str(caught.value))
    assert len(texts) == 1
    unbound = await production.ask(iss=BOUND, sub=BOUND)
    unknown = await production.ask(iss="nobody", sub="nobody")
    assert (unbound.status_code, unbound.content) == (unknown.status_code, unknown.content)


async def test_a_risk_that_was_accepted_ends_on_its_day(
    production: Place, registry: Registry, time: Time
) -> None:
    await registry.client(
        "risky",
        certificate_uri=EHR_URI,
        unbound_until=NOW + timedelta(days=1),
        unbound_because="RISK-7",
    )
    assert await status(production, None, "risky") == 200
    assert await status(production, FOREIGN, "risky") == 401
    time.passed = 86_399
    assert await status(production, None, "risky") == 200
    time.passed = 86_400
    assert await status(production, None, "risky") == 401
    assert await status(production, CERTIFICATE, "risky") == 200


@pytest.mark.usefixtures("bound")
async def test_a_certificate_that_was_taken_back_gets_no_token(
    production: Place, registry: Registry
) -> None:
    production.revoked.thumbprints.add(thumbprint_of(CERTIFICATE.der))
    answer = await production.ask(shown=CERTIFICATE, iss=BOUND, sub=BOUND)
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
    assert (await registry.audited())[-1] == ("token.issue", "refused", "certificate-revoked")
    for path in ("/oauth/introspect", "/oauth/revoke"):
        form = {"token": "x", **production.shown_by_jwt(iss=BOUND, sub=BOUND)}
        assert (await production.post(path, form, CERTIFICATE)).status_code == 401


@pytest.mark.parametrize(
    ("columns", "constraint"),
    [
        ("certificate_uri = 'no uri'", "ck_client_certificate_uri"),
        ("certificate_uri = ''", "ck_client_certificate_uri"),
        ("unbound_until = now()", "ck_client_unbound"),
        ("unbound_because = 'RISK-7'", "ck_client_unbound"),
        ("unbound_until = now(), unbound_because = ' '", "ck_client_unbound"),
    ],
)
@pytest.mark.usefixtures("bound")
async def test_the_database_holds_no_half_acceptance(
    registry: Registry, columns: str, constraint: str
) -> None:
    with pytest.raises(Exception, match=constraint):
        await registry.run(f"update client set {columns}")  # noqa: S608


@pytest.mark.usefixtures("bound")
async def test_a_uri_is_one_client_s(registry: Registry) -> None:
    with pytest.raises(Exception, match="uq_client_certificate_uri"):
        await registry.client("double", certificate_uri=EHR_URI)
