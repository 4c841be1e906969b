"""What sealing costs beside the compression that a body goes through anyway, in this process."""

import os
from dataclasses import dataclass
from statistics import median
from time import perf_counter
from uuid import UUID

import zstandard
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from wiser_fhir.db.envelope import DataKey, about

SIZES = {"1 KB": 1_000, "10 KB": 10_000, "200 KB": 200_000, "5 MB": 5_000_000}
_PLACE = about("message", "body", UUID(int=1))
_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Measured:
    """Microseconds for one body that does not compress: to seal it, to open it, to compress it."""

    size: str
    seal: float
    open: float
    compress: float


def measure() -> list[Measured]:
    """Each size by itself; of many turns the median."""
    key = DataKey(UUID(int=2), 1, {1: AESGCM(os.urandom(32))})
    return [_one(key, name, os.urandom(size)) for name, size in SIZES.items()]


def _one(key: DataKey, name: str, body: bytes) -> Measured:
    compressor = zstandard.ZstdCompressor(level=3)
    sealed = key.seal(body, _PLACE)
    took: dict[str, list[float]] = {"seal": [], "open": [], "compress": []}
    until = perf_counter() + _SECONDS
    while perf_counter() < until:
        started = perf_counter()
        key.seal(body, _PLACE)
        seals = perf_counter()
        key.open(sealed, _PLACE)
        opens = perf_counter()
        compressor.compress(body)
        ends = perf_counter()
        took["seal"].append(seals - started)
        took["open"].append(opens - seals)
        took["compress"].append(ends - opens)
    of = {name: median(each) * 1e6 for name, each in took.items()}
    return Measured(name, of["seal"], of["open"], of["compress"])
