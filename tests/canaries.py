"""Words that name somebody, and where in a database they can be read."""

from base64 import b64encode
from collections.abc import Iterator
from typing import Any

import zstandard
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from wiser_fhir.db.tables import metadata

_ZSTD = bytes.fromhex("28b52ffd")


async def readable_in(engine: AsyncEngine, *words: str) -> set[str]:
    """Each `table.column` in which one of the words can be read by whoever has the files: plain, in
    any case of letters, compressed, as hexadecimal or as base64. As the superuser.
    """
    spelt = {form for word in words for form in _forms(word.encode())}
    found = set()
    async with engine.connect() as db:
        for table in metadata.sorted_tables:
            rows = await db.execute(text(f"select * from {table.name}"))  # noqa: S608
            for row in rows.mappings():
                for column, value in row.items():
                    told = b" ".join(_bytes_of(value)).lower()
                    if any(form in told for form in spelt):
                        found.add(f"{table.name}.{column}")
    return found


def _forms(word: bytes) -> Iterator[bytes]:
    yield word.lower()
    yield word.hex().encode()
    for before in range(3):
        whole = b64encode(b"\0" * before + word)
        yield whole[4 if before else 0 : -4].lower()  # without the letters that neighbours change


def _bytes_of(value: Any) -> Iterator[bytes]:
    if isinstance(value, bytes):
        yield value
        if value.startswith(_ZSTD):
            yield zstandard.ZstdDecompressor().decompress(value)
    else:
        yield str(value).encode()
