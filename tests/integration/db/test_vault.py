"""The vault: one data key for everybody, whoever asks first; none that was rolled back."""

import asyncio
from dataclasses import dataclass
from uuid import UUID

import pytest
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.database import MakeOrganization
from tests.vaults import SECRET
from wiser_fhir.db import rotation
from wiser_fhir.db.embedded import Urls
from wiser_fhir.db.engine import create_engine, transaction
from wiser_fhir.db.envelope import CannotOpen, Erased, KeyRing, about, data_key_id
from wiser_fhir.db.vault import DataKey, NoVault, Vault, data_key
from wiser_fhir.errors import Conflict

PLACE = about("message", "body", UUID(int=1))
ANOTHER = b"another secret of 32 bytes or so"


@dataclass
class Hands:
    """A clock that stands still until a test moves it."""

    now: float = 1_000.0

    def __call__(self) -> float:
        return self.now


def a_vault(secret: bytes = SECRET, *before: bytes) -> Vault:
    """That of another process."""
    return Vault(KeyRing(secret, before))


@pytest.fixture
async def organization(make_organization: MakeOrganization) -> UUID:
    return await make_organization()


async def announce(owner: AsyncEngine, organization: UUID) -> int:
    async with transaction(owner, organization) as db:
        return await rotation.announce(db, organization)


async def erase(owner: AsyncEngine, organization: UUID, *numbers: int) -> None:
    async with transaction(owner, organization) as db:
        await rotation.erase(db, organization, list(numbers), "asked for by the organization")


async def test_what_one_process_seals_another_opens(
    app_engine: AsyncEngine, organization: UUID
) -> None:
    sealed = (await a_vault().key(app_engine, organization)).seal(b"plain", PLACE)
    assert (await a_vault().key(app_engine, organization)).open(sealed, PLACE) == b"plain"


async def test_each_organization_has_its_own_key(
    app_engine: AsyncEngine, make_organization: MakeOrganization
) -> None:
    one, other = [await a_vault().key(app_engine, await make_organization()) for _ in range(2)]
    # As if the row had been moved there with all that is bound to it.
    moved = DataKey(one.organization_id, other.number, other.ciphers)
    with pytest.raises(CannotOpen):
        moved.open(one.seal(b"plain", PLACE), PLACE)


async def test_first_uses_at_once_make_one_key(app_engine: AsyncEngine, organization: UUID) -> None:
    vaults = [a_vault() for _ in range(8)]
    keys = await asyncio.gather(*(vault.key(app_engine, organization) for vault in vaults))
    sealed = [key.seal(b"plain", PLACE) for key in keys]
    assert {key.open(each, PLACE) for key in keys for each in sealed} == {b"plain"}


async def test_a_first_key_that_was_rolled_back_is_not_kept(
    app_engine: AsyncEngine, organization: UUID
) -> None:
    vault = a_vault()
    with pytest.raises(ZeroDivisionError):
        async with transaction(app_engine, organization) as db:
            lost = await vault.key(db, organization)
            again = await vault.key(db, organization)
            assert again.open(lost.seal(b"plain", PLACE), PLACE) == b"plain"
            1 / 0  # noqa: B018
    kept = await vault.key(app_engine, organization)
    with pytest.raises(CannotOpen):
        kept.open(lost.seal(b"plain", PLACE), PLACE)
    others = await a_vault().key(app_engine, organization)
    assert others.open(kept.seal(b"plain", PLACE), PLACE) == b"plain"


async def test_an_engine_without_a_vault_seals_nothing(database: Urls, organization: UUID) -> None:
    engine = create_engine(database.app, pool_size=1)
    try:
        with pytest.raises(NoVault):
            await data_key(engine, organization)
        async with transaction(engine, organization) as db:
            with pytest.raises(NoVault):
                await data_key(db, organization)
    finally:
        await engine.dispose()


async def test_a_ring_that_lacks_the_key_seals_nothing(
    app_engine: AsyncEngine, organization: UUID
) -> None:
    await a_vault().key(app_engine, organization)
    with pytest.raises(CannotOpen, match=KeyRing(SECRET).current):
        await a_vault(ANOTHER).key(app_engine, organization)


async def test_a_new_key_opens_before_it_seals(
    database: Urls, app_engine: AsyncEngine, organization: UUID
) -> None:
    vault = Vault(KeyRing(SECRET), announced=0.9)
    owner = create_engine(database.owner, pool_size=1, vault=vault)
    before = await vault.key(app_engine, organization)
    try:
        assert await announce(owner, organization) == 2
    finally:
        await owner.dispose()
    await asyncio.sleep(vault.announced / 3)
    known = await vault.key(app_engine, organization)
    assert (before.number, known.number) == (1, 1)
    early = DataKey(organization, 2, known.ciphers).seal(b"plain", PLACE)
    assert known.open(early, PLACE) == b"plain"
    await asyncio.sleep(vault.announced)
    present = await vault.key(app_engine, organization)
    assert data_key_id(present.seal(b"plain", PLACE)) == 2
    assert present.open(before.seal(b"plain", PLACE), PLACE) == b"plain"


async def test_keys_are_looked_at_again_by_one_caller_while_the_others_go_on(
    app_engine: AsyncEngine, organization: UUID
) -> None:
    hands, queries = Hands(), []
    vault = Vault(KeyRing(SECRET), monotonic=hands)
    for _ in range(2):  # makes it, then keeps it
        await vault.key(app_engine, organization)

    def count(_: object, __: object, statement: str, *___: object) -> None:
        if "from data_key" in statement:
            queries.append(statement)

    event.listen(app_engine.sync_engine, "before_cursor_execute", count)
    try:
        await vault.key(app_engine, organization)
        assert len(queries) == 0
        hands.now += vault.announced / 6
        await asyncio.gather(*(vault.key(app_engine, organization) for _ in range(5)))
        assert len(queries) == 1
        hands.now += vault.announced / 3
        await vault.key(app_engine, organization)
        assert len(queries) == 2
    finally:
        event.remove(app_engine.sync_engine, "before_cursor_execute", count)


async def test_keys_that_nobody_asks_for_go_with_the_next_that_is_read(
    app_engine: AsyncEngine, make_organization: MakeOrganization
) -> None:
    hands = Hands()
    vault = Vault(KeyRing(SECRET), monotonic=hands)
    idle, early, late = [await make_organization() for _ in range(3)]
    for each in (idle, early):
        for _ in range(2):  # makes it, then keeps it
            await vault.key(app_engine, each)
    hands.now += vault.announced / 6
    await vault.key(app_engine, early)
    hands.now += vault.announced / 6
    assert set(vault._held) == {idle, early}
    for _ in range(2):
        await vault.key(app_engine, late)
    assert set(vault._held) == {early, late}


async def test_a_second_announcement_waits_for_the_first(
    owner_engine: AsyncEngine, organization: UUID
) -> None:
    await announce(owner_engine, organization)
    with pytest.raises(Conflict):
        await announce(owner_engine, organization)


async def test_processes_go_on_while_the_wrapping_key_changes(
    app_engine: AsyncEngine, owner_engine: AsyncEngine, organization: UUID
) -> None:
    old, both, new = a_vault(), a_vault(ANOTHER, SECRET), a_vault(ANOTHER)
    await old.key(app_engine, organization)
    sealed = (await old.key(app_engine, organization)).seal(b"plain", PLACE)
    assert (await both.key(app_engine, organization)).open(sealed, PLACE) == b"plain"
    async with transaction(owner_engine, organization) as db:
        assert await rotation.rewrap(db, both.ring, organization) == 1
        assert await rotation.rewrap(db, both.ring, organization) == 0
    assert (await new.key(app_engine, organization)).open(sealed, PLACE) == b"plain"
    # One that runs since before, and has looked again since: it has the key open already.
    async with transaction(app_engine, organization) as db:
        again = await old._read(db, organization)
    assert again.open(sealed, PLACE) == b"plain"


async def test_what_an_erased_key_sealed_is_gone_for_good(
    app_engine: AsyncEngine, owner_engine: AsyncEngine, organization: UUID
) -> None:
    sealed = (await a_vault().key(app_engine, organization)).seal(b"plain", PLACE)
    await erase(owner_engine, organization, 1)
    key = await a_vault().key(app_engine, organization)
    with pytest.raises(Erased):
        key.open(sealed, PLACE)
    with pytest.raises(Erased):
        key.seal(b"plain", PLACE)
    async with transaction(owner_engine, organization) as db:
        [facts] = await rotation.keys_of(db, organization)
    assert (facts.state, facts.erased_because) == ("erased", "asked for by the organization")
