"""What one caller may take: at once, by time, and in numbers guessed in vain."""

from uuid import UUID, uuid4

import pytest
from fastapi import FastAPI, Request

from wiser_fhir.auth.certificates import thumbprint_of
from wiser_fhir.errors import Throttled, Unauthenticated, Unavailable
from wiser_fhir.web.connection import Trust
from wiser_fhir.web.limits import (
    MISSES,
    CallerLimits,
    MissBudget,
    StrangerLimits,
    address_of,
)

ONE, OTHER = UUID(int=1), UUID(int=2)


class Monotonic:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def test_so_many_requests_at_once_and_no_more() -> None:
    limits = CallerLimits(2, 100, Monotonic())
    leave = limits.enter(ONE)
    limits.enter(ONE)
    with pytest.raises(Throttled):
        limits.enter(ONE)
    limits.enter(OTHER)
    leave()
    limits.enter(ONE)


def test_a_burst_passes_and_then_the_rate_holds() -> None:
    clock = Monotonic()
    limits = CallerLimits(1, 2, clock)
    for _ in range(20):
        limits.enter(ONE)()
    with pytest.raises(Throttled) as refused:
        limits.enter(ONE)
    assert refused.value.retry_after == 1
    limits.enter(OTHER)()
    clock.now += 0.5
    limits.enter(ONE)()
    with pytest.raises(Throttled):
        limits.enter(ONE)


def test_who_was_refused_has_taken_nothing() -> None:
    clock = Monotonic()
    limits = CallerLimits(1, 0.1, clock)
    limits.enter(ONE)
    for _ in range(5):
        with pytest.raises(Throttled):
            limits.enter(ONE)
    clock.now += 10
    with pytest.raises(Throttled):  # still under way
        limits.enter(ONE)


def test_what_was_served_is_counted_even_beyond_what_was_left() -> None:
    clock = Monotonic()
    limits = CallerLimits(1, 0.1, clock)
    limits.check(ONE)
    limits.check(ONE)  # at the same time, before either is over
    limits.note(ONE)
    limits.note(ONE)
    with pytest.raises(Throttled) as refused:
        limits.check(ONE)
    assert refused.value.retry_after == 20
    with pytest.raises(Throttled):
        limits.enter(ONE)
    limits.check(OTHER)
    clock.now += 20
    limits.enter(ONE)


def test_of_too_many_callers_the_idle_ones_are_forgotten() -> None:
    clock = Monotonic()
    limits = CallerLimits(1, 1, clock)
    limits.enter(ONE)
    for _ in range(5_000):
        limits.enter(uuid4())()
        clock.now += 0.01
    assert len(limits._buckets._known) <= 4_096
    with pytest.raises(Throttled):
        limits.enter(ONE)


def test_where_none_is_idle_the_oldest_makes_room() -> None:
    limits = StrangerLimits(0.001, Monotonic())
    for number in range(5_000):
        limits.attempt(f"192.0.2.{number}")
    assert len(limits._buckets._known) == 4_096


def test_an_address_that_tries_in_vain_waits_and_others_do_not() -> None:
    clock = Monotonic()
    limits = StrangerLimits(0.1, clock)
    limits.attempt("192.0.2.1")
    with pytest.raises(Throttled) as refused:
        limits.attempt("192.0.2.1")
    assert refused.value.retry_after == 10
    limits.attempt("192.0.2.2")
    clock.now += 10
    limits.attempt("192.0.2.1")


def test_to_ask_another_server_about_strangers_takes_what_they_may_try() -> None:
    limits = StrangerLimits(0.2, Monotonic())
    with limits.asking("192.0.2.1"), limits.asking("192.0.2.1"):
        with pytest.raises(Throttled), limits.asking("192.0.2.1"):
            pass
        with limits.asking("192.0.2.2"):
            pass
    with pytest.raises(Unauthenticated), limits.asking("192.0.2.1"):
        raise Unauthenticated("in vain")  # counted by whoever answers
    limits.attempt("192.0.2.1")
    with pytest.raises(Unavailable), limits.asking("192.0.2.1"):
        raise Unavailable("no answer")
    with pytest.raises(Throttled), limits.asking("192.0.2.1"):
        pass


def asked(peer: str | None, *told: str, by_proxy: bool = False) -> Request:
    certificate = {"tls": {"client_cert": b"proxy"}} if by_proxy else {}
    app = FastAPI()
    app.state.trust = Trust(Nobody(), frozenset({thumbprint_of(b"proxy")}))
    return Request(
        {
            "type": "http",
            "client": peer and (peer, 1),
            "headers": [(b"x-real-ip", each.encode()) for each in told],
            "extensions": certificate,
            "app": app,
        }
    )


class Nobody:
    """A list of revoked certificates without an entry."""

    def names(self, _thumbprint: str) -> bool:
        return False


@pytest.mark.parametrize(
    ("request_", "address"),
    [
        (asked("192.0.2.7"), "192.0.2.7"),
        (asked("2001:db8::1:2"), "2001:db8::/64"),
        (asked(None), ""),
        (asked("testclient"), "testclient"),
        (asked("192.0.2.7", "198.51.100.1"), "192.0.2.7"),
        (asked("192.0.2.7", "198.51.100.1", by_proxy=True), "198.51.100.1"),
        (asked("192.0.2.7", "2001:db8::9", by_proxy=True), "2001:db8::/64"),
        (asked("192.0.2.7", "198.51.100.1", "198.51.100.2", by_proxy=True), "192.0.2.7"),
        (asked("192.0.2.7", "anything", by_proxy=True), "192.0.2.7"),
    ],
)
def test_an_address_is_the_peers_or_what_a_known_proxy_says(
    request_: Request, address: str
) -> None:
    assert address_of(request_) == address


def test_twenty_unknown_numbers_a_minute_and_no_more() -> None:
    clock = Monotonic()
    budget = MissBudget(clock)
    for _ in range(MISSES):
        budget.check(ONE)
        budget.note(ONE)
        clock.now += 1
    with pytest.raises(Throttled) as refused:
        budget.check(ONE)
    assert refused.value.retry_after == 40
    budget.check(OTHER)
    clock.now += 40
    budget.check(ONE)


def test_many_numbers_in_one_request_count_each() -> None:
    budget = MissBudget(Monotonic())
    budget.note(ONE, MISSES)
    with pytest.raises(Throttled):
        budget.check(ONE)
    with pytest.raises(Throttled):
        budget.note(OTHER, MISSES + 1)
    with pytest.raises(Throttled):
        budget.check(ONE)


def test_of_too_many_guessers_the_oldest_is_forgotten() -> None:
    budget = MissBudget(Monotonic())
    for _ in range(5_000):
        budget.note(uuid4())
    assert len(budget._misses) == 4_096
