"""The data keys of organizations, wrapped in the database and open in memory for some seconds.

The vault hangs on the engine (`create_engine(url, vault=...)`) and is found from any connection of
it (`vault_of`), so that whoever stores can seal. Without one, sealing fails; nothing is stored
plain.

A new key is announced in its row before it is used (`usable_from`), for longer than any process
keeps keys without looking: whoever meets a value sealed with it has the key already.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import takewhile
from os import urandom
from typing import Final
from uuid import UUID

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from wiser_fhir.db.engine import transaction
from wiser_fhir.db.envelope import KEY_BYTES, CannotOpen, DataKey, KeyRing

__all__ = ["CannotOpen", "DataKey", "NoVault", "Vault"]

ANNOUNCED_SECONDS: Final = 30.0

# Both wait for one who is making the first key: the unique key settles the race.
_MAKE = text("""
insert into data_key (organization_id, id, wrapped, wrapping_key)
values (:organization_id, 1, :wrapped, :wrapping_key) on conflict do nothing
""")
# What this very transaction wrote may still be rolled back.
_LOAD = text("""
select id, wrapped, wrapping_key, extract(epoch from usable_from - statement_timestamp()) as due_in,
    made_in is distinct from pg_current_xact_id_if_assigned() as settled
from data_key where organization_id = :organization_id order by id
""")
_ERASED = text("""
select coalesce(bool_and(erased_at is not null), false) from data_key
where organization_id = :organization_id
""")


class NoVault(RuntimeError):
    """The engine was made without a vault: nothing can be sealed or opened through it."""


@dataclass(slots=True)
class _Held:
    """An organization's keys as they were read, and when to look again (monotonic seconds)."""

    rows: list[tuple[int, float]]  # number, and from when it seals
    ciphers: dict[int, AESGCM | None]
    look_again: float
    stale: float

    def key(self, organization_id: UUID, now: float) -> DataKey:
        number = max(number for number, usable in self.rows if usable <= now)
        return DataKey(organization_id, number, self.ciphers)


@dataclass(slots=True)
class Vault:
    """Hands out the data keys of organizations; makes the first one of each.

    `announced` are the seconds from a new key's row to its first use. Keys are kept for a third of
    that; after a sixth one caller looks again, while the others go on with what is here. Those of
    organizations that nobody asked for meanwhile go when the next key of any is read.
    """

    ring: KeyRing
    announced: float = ANNOUNCED_SECONDS
    monotonic: Callable[[], float] = time.monotonic
    _held: dict[UUID, _Held] = field(default_factory=dict)

    async def key(self, db: AsyncEngine | AsyncConnection, organization_id: UUID) -> DataKey:
        """The organization's key. A connection must have entered the organization.

        Ask before taking a connection, or hand in the one you hold: a second one may not be free.
        Raises CannotOpen where the ring does not open its keys, Unavailable.
        """
        now = self.monotonic()
        held = self._held.get(organization_id)
        if held is not None and now < held.stale:
            if now < held.look_again:
                return held.key(organization_id, now)
            held.look_again = now + self.announced / 6  # the others need not look too
        if isinstance(db, AsyncConnection):
            return await self._read(db, organization_id)
        async with transaction(db, organization_id) as connection:
            return await self._read(connection, organization_id)

    def forget(self) -> None:
        """Look at the database again before the next use."""
        self._held.clear()

    async def _read(self, db: AsyncConnection, organization_id: UUID) -> DataKey:
        rows = await self._rows(db, organization_id)
        if not rows:
            wrapped = self.ring.wrap(urandom(KEY_BYTES), organization_id, 1)
            await db.execute(
                _MAKE,
                {
                    "organization_id": organization_id,
                    "wrapped": wrapped,
                    "wrapping_key": self.ring.current,
                },
            )
            rows = await self._rows(db, organization_id)
        now = self.monotonic()
        held = _Held(
            rows=[(row["id"], now + float(row["due_in"])) for row in rows],
            ciphers={row["id"]: self._cipher(row, organization_id) for row in rows},
            look_again=now + self.announced / 6,
            stale=now + self.announced / 3,
        )
        if all(row["settled"] for row in rows):
            self._held.pop(organization_id, None)
            self._held[organization_id] = held
        self._drop_stale(now)
        return held.key(organization_id, now)

    def _drop_stale(self, now: float) -> None:
        """Keys that were read first stand first: no more is looked at than goes, and one."""
        for stale in list(takewhile(lambda each: self._held[each].stale <= now, self._held)):
            del self._held[stale]

    async def _rows(self, db: AsyncConnection, organization_id: UUID) -> list[RowMapping]:
        found = await db.execute(_LOAD, {"organization_id": organization_id})
        return list(found.mappings())

    def _cipher(self, row: RowMapping, organization_id: UUID) -> AESGCM | None:
        """A key that is open stays so, whatever wraps it now: rotation needs no restart."""
        number: int = row["id"]
        if row["wrapped"] is None:
            return None
        held = self._held.get(organization_id)
        open_already = held.ciphers.get(number) if held is not None else None
        if open_already is not None:
            return open_already
        key = self.ring.unwrap(row["wrapped"], row["wrapping_key"], organization_id, number)
        return AESGCM(key)


async def is_erased(db: AsyncConnection, organization_id: UUID) -> bool:
    """Whether all keys of the organization were destroyed, and with them whatever they sealed.

    The connection has entered it. No key is opened, so it needs no vault.
    """
    return bool(await db.scalar(_ERASED, {"organization_id": organization_id}))


def vault_of(db: AsyncEngine | AsyncConnection) -> Vault:
    """The vault that hangs on the engine. Raises NoVault."""
    engine = db.sync_engine if isinstance(db, AsyncEngine) else db.engine.sync_engine
    vault = engine.get_execution_options().get("vault")
    if not isinstance(vault, Vault):
        raise NoVault("this engine was made without a vault")
    return vault


async def data_key(db: AsyncEngine | AsyncConnection, organization_id: UUID) -> DataKey:
    """The organization's key from the engine's own vault. Raises NoVault, CannotOpen, Unavailable.

    See `Vault.key` for which of the two to hand in.
    """
    return await vault_of(db).key(db, organization_id)
