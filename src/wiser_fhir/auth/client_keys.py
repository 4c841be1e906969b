"""By which keys clients prove who they are: registered by an operator, as the owner role.

Source: SMART App Launch 2.2.0, "Registering a SMART Backend Service".
"""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import orjson
from joserfc.jwk import ECKey
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from wiser_fhir.auth.keys import KeysRefused, PublicKeys, read_keys
from wiser_fhir.auth.registration import Keys, RegistrationRefused, read_key_file
from wiser_fhir.fhir.elements import Json

_KEYS = text("select jwks_url, jwks from client_key where client_id = :client_id and active")

_REGISTER = text("""
insert into client_key as k (client_id, organization_id, jwks_url, jwks)
values (:client_id, :organization_id, :jwks_url, cast(:jwks as jsonb))
on conflict (client_id) do update set jwks_url = excluded.jwks_url, jwks = excluded.jwks,
    active = true, revision = k.revision + 1
returning revision
""")

_REVOKE = text("""
update client_key set active = false, revision = revision + 1 where client_id = :client_id
""")

# Leaves what an operator made of a client: no keys, or others than the sandbox's, which are marked.
_SEED = (
    text("""
    insert into client_key (client_id, organization_id, jwks)
    values (:client_id, :organization_id, cast(:jwks as jsonb)) on conflict do nothing
    """),
    text("""
    update client_key set jwks = cast(:jwks as jsonb), revision = revision + 1
    where client_id = :client_id and active and (jwks ->> 'sandbox')::boolean
        and jwks is distinct from cast(:jwks as jsonb)
    """),
)


def read_client_keys(content: bytes) -> Keys:
    """The keys of a JWKS file, each good for RS384 or ES384. Raises KeysRefused."""
    document = read_key_file(content)
    for key in read_keys(document).keys.values():
        if isinstance(key.key, ECKey) and key.key.curve_name != "P-384":
            raise KeysRefused(f"key {key.kid} is not for ES384: that needs P-384")
    return Keys(jwks=document)


async def register(db: AsyncConnection, client_id: UUID, organization_id: UUID, keys: Keys) -> int:
    """Give a client these keys and no others; the revision. Those it had are good no longer."""
    jwks = None if keys.jwks is None else orjson.dumps(keys.jwks).decode()
    row = {
        "client_id": client_id,
        "organization_id": organization_id,
        "jwks_url": keys.jwks_url,
        "jwks": jwks,
    }
    return int(await db.scalar(_REGISTER, row) or 0)


async def beside_old(db: AsyncConnection, client_id: UUID, new: Keys) -> Keys:
    """New keys by value together with those a client has. Raises RegistrationRefused, KeysRefused.

    The caller holds the client's row.
    """
    row = (await db.execute(_KEYS, {"client_id": client_id})).one_or_none()
    if new.jwks is None or row is None or row.jwks is None:
        raise RegistrationRefused("old keys and new overlap only where both are given by value")
    return Keys(jwks=_joined(row.jwks, new.jwks).document())


async def revoke(db: AsyncConnection, client_id: UUID) -> None:
    """Take no assertion by the keys of this client. Does nothing where there are none."""
    await db.execute(_REVOKE, {"client_id": client_id})


async def seed(
    db: AsyncConnection, client_id: UUID, organization_id: UUID, jwks: Mapping[str, Any]
) -> None:
    """Give a client of the sandbox its key where it has none, or renew it. Again does no harm."""
    row = {
        "client_id": client_id,
        "organization_id": organization_id,
        "jwks": orjson.dumps({**jwks, "sandbox": True}).decode(),
    }
    for statement in _SEED:
        await db.execute(statement, row)


def _joined(old: Json, new: Json) -> PublicKeys:
    """Both, each key once. Raises KeysRefused for one name of two keys, and for too many."""
    known = read_keys(old).keys
    added = [key for kid, key in read_keys(new).keys.items() if _is_new(known.get(kid), key)]
    entries = [dict(each.key.as_dict(private=False)) for each in (*known.values(), *added)]
    return read_keys({"keys": entries})


def _is_new(known: Any, key: Any) -> bool:
    if known is not None and known.thumbprint != key.thumbprint:
        raise KeysRefused(f"{key.kid} names another key of this client already")
    return known is None
