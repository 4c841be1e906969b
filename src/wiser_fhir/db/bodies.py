"""Message bodies as stored: the bytes of the wire, zstd-compressed."""

import threading

import zstandard

_LEVEL = 3
_contexts = threading.local()


def compressed(body: bytes) -> bytes:
    """A body as the database keeps it."""
    if not hasattr(_contexts, "compressor"):
        _contexts.compressor = zstandard.ZstdCompressor(level=_LEVEL)
    stored: bytes = _contexts.compressor.compress(body)
    return stored


def restored(stored: bytes) -> bytes:
    """The body, byte for byte as it came or went."""
    if not hasattr(_contexts, "decompressor"):
        _contexts.decompressor = zstandard.ZstdDecompressor()
    body: bytes = _contexts.decompressor.decompress(stored)
    return body
