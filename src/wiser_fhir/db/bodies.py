"""Bodies as stored: the bytes of the wire, zstd-compressed, then sealed for their column and row.

A column is named by its table, itself, and the rest of its row's key after the organization:
`("message", "body", message_id)`.
"""

import asyncio
import threading
from typing import Final
from uuid import UUID

import zstandard
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from wiser_fhir.db.envelope import DataKey, about
from wiser_fhir.db.vault import data_key

LARGE: Final = 1 << 20  # bytes, beyond which the event loop is not kept waiting
_LEVEL = 3
_contexts = threading.local()


async def seal_body(
    db: AsyncEngine | AsyncConnection, organization_id: UUID, body: bytes, *place: object
) -> bytes:
    """A body as the database keeps it at `place`.

    A connection must have entered the organization. Raises NoVault, CannotOpen, Unavailable.
    """
    return await sealed(await data_key(db, organization_id), body, *place)


async def open_body(
    db: AsyncEngine | AsyncConnection, organization_id: UUID, stored: bytes, *place: object
) -> bytes:
    """The body, byte for byte as it came or went.

    Raises CannotOpen for what was not sealed for this place, NoVault, Unavailable.
    """
    return await opened(await data_key(db, organization_id), stored, *place)


async def sealed(key: DataKey, body: bytes, *place: object) -> bytes:
    """`seal_body` with a key that is at hand."""
    bound = about(*place)
    if len(body) > LARGE:
        return await asyncio.to_thread(_sealed, key, body, bound)
    return _sealed(key, body, bound)


async def opened(key: DataKey, stored: bytes, *place: object) -> bytes:
    """`open_body` with a key that is at hand. Raises CannotOpen."""
    bound = about(*place)
    if len(stored) > LARGE:
        return await asyncio.to_thread(_opened, key, stored, bound)
    return _opened(key, stored, bound)


def _sealed(key: DataKey, body: bytes, bound: bytes) -> bytes:
    if not hasattr(_contexts, "compressor"):
        _contexts.compressor = zstandard.ZstdCompressor(level=_LEVEL)
    return key.seal(_contexts.compressor.compress(body), bound)


def _opened(key: DataKey, stored: bytes, bound: bytes) -> bytes:
    if not hasattr(_contexts, "decompressor"):
        _contexts.decompressor = zstandard.ZstdDecompressor()
    body: bytes = _contexts.decompressor.decompress(key.open(stored, bound))
    return body
