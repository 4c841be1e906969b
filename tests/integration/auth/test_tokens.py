from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.clocks import Time
from tests.database import MakeOrganization
from wiser_fhir.auth import tokens
from wiser_fhir.auth.bearer import CACHE_SECONDS
from wiser_fhir.auth.scopes import ScopeRefused
from wiser_fhir.auth.tokens import Authenticator, IssuedToken
from wiser_fhir.db.engine import transaction
from wiser_fhir.errors import NotFound, Unauthenticated
from wiser_fhir.priorauth.numbers import time_ordered_uuid

NOW = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def time() -> Time:
    return Time(NOW)


@pytest.fixture
def authenticator(app_engine: AsyncEngine, time: Time) -> Authenticator:
    return Authenticator(app_engine, time.now, time.monotonic)


@pytest.fixture
async def client(superuser_engine: AsyncEngine, make_organization: MakeOrganization) -> str:
    """The name of a client that may read answers and send requests."""
    organization = await make_organization(kind="provider", acts_for="own", npis=("1999000015",))
    async with superuser_engine.begin() as db:
        await db.execute(
            text("insert into client (id, organization_id, name, scopes) values (:id, :o, :n, :s)"),
            {
                "id": time_ordered_uuid(),
                "o": organization,
                "n": "test-client",
                "s": ["system/Claim.c", "system/ClaimResponse.rs"],
            },
        )
    return "test-client"


async def issue(engine: AsyncEngine, client: str, *scopes: str) -> IssuedToken:
    async with transaction(engine) as db:
        return await tokens.issue(db, client, scopes, HOUR, NOW)


async def run(engine: AsyncEngine, statement: str) -> None:
    async with engine.begin() as db:
        await db.execute(text(statement))


async def test_a_token_tells_who_calls(
    app_engine: AsyncEngine, client: str, authenticator: Authenticator
) -> None:
    issued = await issue(app_engine, client)
    caller = await authenticator.principal([f"Bearer {issued.token}"])
    assert caller.client_name == client
    assert caller.organization_id == issued.organization_id
    assert caller.grants == {"Claim": {"c"}, "ClaimResponse": {"r", "s"}}
    assert caller.acts_for("1999000015")
    assert not caller.acts_for("1999000023")


async def test_a_token_is_stored_as_its_hash_alone(
    app_engine: AsyncEngine, superuser_engine: AsyncEngine, client: str
) -> None:
    issued = await issue(app_engine, client)
    async with superuser_engine.connect() as db:
        rows = (await db.execute(text("select access_token::text from access_token"))).scalars()
    assert issued.token not in str(rows.all())
    assert issued.token not in repr(issued)
    assert len(issued.token) == 43


async def test_no_two_tokens_are_alike(app_engine: AsyncEngine, client: str) -> None:
    assert len({(await issue(app_engine, client)).token for _ in range(20)}) == 20


async def test_a_token_may_have_less_than_its_client_and_never_more(
    app_engine: AsyncEngine, client: str
) -> None:
    less = await issue(app_engine, client, "system/claimresponse.r")
    assert less.scopes == ("system/ClaimResponse.r",)
    with pytest.raises(ScopeRefused):
        await issue(app_engine, client, "system/Claim.cu")


async def test_an_unknown_client_gets_none(app_engine: AsyncEngine, client: str) -> None:
    with pytest.raises(NotFound):
        await issue(app_engine, "nobody")


@pytest.mark.parametrize(
    "end",
    [
        "update access_token set revoked_at = now()",
        "update client set active = false",
        "update organization set active = false",
        "delete from access_token",
    ],
)
async def test_an_ended_token_is_refused_at_the_latest_after_ten_seconds(
    app_engine: AsyncEngine,
    superuser_engine: AsyncEngine,
    client: str,
    authenticator: Authenticator,
    time: Time,
    end: str,
) -> None:
    header = [f"Bearer {(await issue(app_engine, client)).token}"]
    await authenticator.principal(header)
    await run(superuser_engine, end)
    time.passed = CACHE_SECONDS - 0.1
    await authenticator.principal(header)
    time.passed = CACHE_SECONDS
    with pytest.raises(Unauthenticated):
        await authenticator.principal(header)


async def test_a_remembered_token_ends_on_the_second(
    app_engine: AsyncEngine, client: str, authenticator: Authenticator, time: Time
) -> None:
    header = [f"Bearer {(await issue(app_engine, client)).token}"]
    time.passed = HOUR.total_seconds() - 1
    await authenticator.principal(header)
    time.passed = HOUR.total_seconds()
    with pytest.raises(Unauthenticated):
        await authenticator.principal(header)


async def test_all_refusals_say_the_same(
    app_engine: AsyncEngine,
    superuser_engine: AsyncEngine,
    client: str,
    authenticator: Authenticator,
) -> None:
    token = (await issue(app_engine, client)).token
    await run(superuser_engine, "update access_token set revoked_at = now()")
    headers = [
        [],
        [""],
        ["Bearer"],
        ["Bearer "],
        [f"Basic {token}"],
        [token],
        [f"Bearer {token}"],
        [f"Bearer {token[:-1]}"],
        [f"Bearer {token}x"],
        [f"Bearer {token} "],
        [f"Bearer {token[:-1]}'"],
        [f"Bearer {token}", f"Bearer {token}"],
        ["Bearer" + " " * 8_192 + token],
        ["Bearer " + "a" * 43],
    ]
    texts = set()
    for header in headers:
        with pytest.raises(Unauthenticated) as caught:
            await authenticator.principal(header)
        texts.add(str(caught.value))
    assert len(texts) == 1


async def test_what_is_remembered_is_bounded(
    app_engine: AsyncEngine,
    client: str,
    authenticator: Authenticator,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(authenticator._holders._known, "_size", 3)
    for _ in range(10):
        issued = await issue(app_engine, client)
        await authenticator.principal([f"Bearer {issued.token}"])
    assert len(authenticator._holders) == 3


async def test_the_owner_forgets_ended_tokens(
    app_engine: AsyncEngine, owner_engine: AsyncEngine, client: str
) -> None:
    await issue(app_engine, client)
    async with transaction(owner_engine) as db:
        assert await tokens.purge(db, NOW) == 0
        assert await tokens.purge(db, NOW + 2 * HOUR) == 1


@pytest.mark.parametrize("unreadable", ["system/*.*", "system/Claim.z", "anything", ""])
async def test_a_stored_scope_that_cannot_be_read_opens_nothing(
    app_engine: AsyncEngine,
    superuser_engine: AsyncEngine,
    authenticator: Authenticator,
    client: str,
    unreadable: str,
) -> None:
    header = [f"Bearer {(await issue(app_engine, client)).token}"]
    async with superuser_engine.begin() as db:
        changed = text("update access_token set scopes = :scopes")
        await db.execute(changed, {"scopes": [unreadable, "system/Claim.c"]})
    assert (await authenticator.principal(header)).grants == {"Claim": {"c"}}


async def test_what_is_taken_from_a_client_is_taken_from_its_tokens(
    app_engine: AsyncEngine,
    superuser_engine: AsyncEngine,
    authenticator: Authenticator,
    client: str,
) -> None:
    issued = await issue(app_engine, client)
    async with superuser_engine.begin() as db:
        await db.execute(text("update client set scopes = '{system/Claim.c}'"))
    principal = await authenticator.principal([f"Bearer {issued.token}"])
    assert set(principal.grants) == {"Claim"}
