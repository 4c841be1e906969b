"""What one caller may take of a process, so that none is in another's way.

Four bounds, each kept in memory and counted anew in each process: requests at once, and requests by
time, of an organization or a person; numbers that an organization guesses in vain; and strangers'
vain attempts by address. A whole conformance run stays far below all of them.
"""

import logging
import time
from collections import deque
from collections.abc import Callable, Hashable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from math import ceil
from typing import Final, Generic, TypeVar, cast
from uuid import UUID

from starlette.requests import Request

from wiser_fhir.errors import Throttled, Unauthenticated, Unavailable
from wiser_fhir.web.connection import comes_from_proxy

log = logging.getLogger(__name__)

Key = TypeVar("Key", bound=Hashable)

# How many seconds' worth of requests may come at once.
BURST_SECONDS: Final = 10.0
MISSES: Final = 20
MISS_SECONDS: Final = 60.0
_REMEMBERED: Final = 4_096

_AT_ONCE = "Too many requests at once."
_TOO_MANY = "Too many requests in a short time."
_MISSED = "Too many unknown numbers in a short time."


@dataclass(slots=True)
class _Bucket:
    """What a caller may still do: `left` requests as of `at`, and how many are under way."""

    left: float
    at: float
    under_way: int = 0


class _Buckets(Generic[Key]):
    """A bucket for each key, filled at a rate; of too many the idle ones are forgotten."""

    def __init__(self, rate: float, monotonic: Callable[[], float]) -> None:
        self.rate = rate
        self.most = max(1.0, rate * BURST_SECONDS)
        self._monotonic = monotonic
        self._known: dict[Key, _Bucket] = {}

    def of(self, key: Key) -> _Bucket:
        """The bucket of a key, filled up to now."""
        now = self._monotonic()
        bucket = self._known.get(key)
        if bucket is None:
            if len(self._known) >= _REMEMBERED:
                self._forget(now)
            bucket = self._known[key] = _Bucket(self.most, now)
        bucket.left = min(self.most, bucket.left + (now - bucket.at) * self.rate)
        bucket.at = now
        return bucket

    def check(self, bucket: _Bucket) -> None:
        """Raises Throttled where there is none left."""
        if bucket.left < 1:
            raise Throttled(_TOO_MANY, max(1, ceil((1 - bucket.left) / self.rate)))

    def take(self, bucket: _Bucket) -> None:
        """Take one. Raises Throttled where there is none left."""
        self.check(bucket)
        bucket.left -= 1

    def _forget(self, now: float) -> None:
        """Those that are full by now and have nothing under way: they are as good as new.

        Where all are busy the oldest goes: who floods under many names is bounded elsewhere.
        """
        idle = [
            key
            for key, each in self._known.items()
            if not each.under_way and each.left + (now - each.at) * self.rate >= self.most
        ]
        for key in idle or [next(iter(self._known))]:
            del self._known[key]


class CallerLimits:
    """Requests at once, and by time, of each organization or person."""

    def __init__(
        self, at_once: int, rate: float, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._at_once = at_once
        self._buckets: _Buckets[UUID] = _Buckets(rate, monotonic)

    def enter(self, caller: UUID) -> Callable[[], None]:
        """Begin a request of a caller; what is returned ends it, once. Raises Throttled."""
        bucket = self._buckets.of(caller)
        if bucket.under_way >= self._at_once:
            raise Throttled(_AT_ONCE)
        self._buckets.take(bucket)
        bucket.under_way += 1

        def leave() -> None:
            bucket.under_way -= 1

        return leave

    def check(self, caller: UUID) -> None:
        """Raises Throttled for a caller with no request left."""
        self._buckets.check(self._buckets.of(caller))

    def note(self, caller: UUID) -> None:
        """Count a request that was served: of many at once those beyond what was left as well."""
        self._buckets.of(caller).left -= 1


class StrangerLimits:
    """Vain attempts of those who have not shown who they are, by their address.

    Whoever shows who it is passes, whatever others at its address have done. But where another
    server has to be asked who it is, it waits with them: each question costs that server's time,
    and that of everybody else whose answer it owes.
    """

    def __init__(self, rate: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._buckets: _Buckets[str] = _Buckets(rate, monotonic)

    def attempt(self, address: str) -> None:
        """Count an attempt. Raises Throttled, in place of its answer, for one too many."""
        self._buckets.take(self._buckets.of(address))

    @contextmanager
    def asking(self, address: str) -> Iterator[None]:
        """Ask another server about somebody: meanwhile an attempt is held, so that many at once
        are no more than one after the other. Raises Throttled where there is none left.
        """
        bucket = self._buckets.of(address)
        self._buckets.take(bucket)
        try:
            yield
        except Unavailable:
            bucket.left -= 1  # its time was taken all the same
            raise
        finally:
            bucket.left += 1


@dataclass(slots=True)
class MissBudget:
    """How many numbers an organization may ask for that there are not: 20 in a minute, then it
    waits, whichever of its clients asks.

    Guessing UTNs so takes longer than they live. Source: threat I2 of docs/security.md.
    """

    monotonic: Callable[[], float] = time.monotonic
    _misses: dict[UUID, deque[float]] = field(default_factory=dict)

    def check(self, organization_id: UUID) -> None:
        """Raises Throttled for an organization whose budget is used up."""
        misses = self._misses.get(organization_id)
        if misses is None or len(misses) < MISSES:
            return
        left = MISS_SECONDS - (self.monotonic() - misses[0])
        if left > 0:
            facts = {"organization": str(organization_id), "count": len(misses)}
            log.warning("numbers guessed", extra=facts)
            raise Throttled(_MISSED, ceil(left), guessing=True)

    def note(self, organization_id: UUID, count: int = 1) -> None:
        """Somebody of an organization asked for so many numbers in vain.

        Raises Throttled, in place of the answer, for more at once than a minute's.
        """
        misses = self._misses.setdefault(organization_id, deque(maxlen=MISSES))
        misses.extend([self.monotonic()] * min(count, MISSES))
        if len(self._misses) > _REMEMBERED:
            del self._misses[next(iter(self._misses))]
        if count > MISSES:
            self.check(organization_id)


@dataclass(frozen=True, slots=True)
class Limits:
    """All bounds of a process."""

    callers: CallerLimits
    strangers: StrangerLimits
    misses: MissBudget


def limits_of(request: Request) -> Limits:
    """The bounds of the process that this request came to."""
    return cast(Limits, request.app.state.limits)


def admit(request: Request, caller: UUID) -> None:
    """Begin a request of a known caller; the shell around all ends it. Raises Throttled."""
    request.state.leave = limits_of(request).callers.enter(caller)


@contextmanager
def counted(request: Request, organization_id: UUID) -> Iterator[None]:
    """Serve a caller that showed itself by what is good once.

    Only what succeeds is counted: else whoever sends that again would use up its owner's requests.
    Raises Throttled.
    """
    callers = limits_of(request).callers
    callers.check(organization_id)
    yield
    callers.note(organization_id)


@contextmanager
def unknown_yet(request: Request) -> Iterator[None]:
    """Find out who calls. Whoever fails at it again and again gets a cheaper answer.

    Raises Throttled.
    """
    try:
        yield
    except Unauthenticated:
        strange(request)
        raise


def strange(request: Request) -> None:
    """Count an attempt of a stranger. Raises Throttled."""
    limits_of(request).strangers.attempt(address_of(request))


def asking(request: Request) -> AbstractContextManager[None]:
    """Around a question to another server about a stranger. Entering it raises Throttled."""
    return limits_of(request).strangers.asking(address_of(request))


def address_of(request: Request) -> str:
    """Where a request comes from: the peer, or what a proxy says that we know by its certificate.

    Of anything but an address the proxy's own is used. Of IPv6 the first half counts: the other one
    is whatever a peer likes.
    """
    peer = request.client.host if request.client is not None else ""
    told = request.headers.getlist("x-real-ip")
    if len(told) == 1 and comes_from_proxy(request) and _place(told[0]):
        return _place(told[0])
    return _place(peer) or peer


def _place(address: str) -> str:
    """An address, or the network of one; empty for what is none."""
    try:
        read = ip_address(address)
    except ValueError:
        return ""
    return read.compressed if read.version == 4 else str(ip_network((read, 64), strict=False))
