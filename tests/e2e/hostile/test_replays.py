"""One JWT, many times: at one server, at four over one database, and at one that has just begun."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from tests.e2e.hostile.town import Town
from tests.e2e.hostile.wire import Answer, Caller, new_address, statuses
from tests.e2e.serving import Running, serving
from tests.oauth_door import JWT_BEARER

pytestmark = pytest.mark.xdist_group("hostile")

OTHERS = 3


@dataclass(frozen=True)
class Place:
    """Four processes over one database, and a JWT that was used before three of them began."""

    servers: list[Running]
    used: str


@pytest.fixture(scope="module")
def place(town: Town) -> Iterator[Place]:
    """Started one by one: four at once take longer than a start may on a busy machine."""
    used = town.assertion()
    [first] = asyncio.run(sent([town.stranger(new_address())], used, 1))
    assert first.status == 200
    with ExitStack() as stack:
        others = [stack.enter_context(serving(town.environment)) for _ in range(OTHERS)]
        yield Place([town.server, *others], used)


async def sent(callers: list[Caller], assertion: str, count: int) -> list[Answer]:
    """The answers to one JWT sent so many times at once, to each caller's server in turn."""
    form = {
        "grant_type": "client_credentials",
        "client_assertion_type": JWT_BEARER,
        "client_assertion": assertion,
    }
    asked = (callers[n % len(callers)].form("/oauth/token", form) for n in range(count))
    return await asyncio.gather(*asked)


def test_of_five_hundred_replays_at_once_one_gets_a_token(town: Town) -> None:
    callers = [town.stranger(new_address()) for _ in range(5)]
    with town.watched() as watch:
        found = statuses(asyncio.run(sent(callers, town.assertion(), 500)))
    assert found[200] == 1
    assert set(found) <= {200, 401, 429, 503}
    watch.check()


def test_of_fifty_over_four_processes_one_does(place: Place, town: Town) -> None:
    callers = [Caller(each.url, address=new_address()) for each in place.servers]
    answers = asyncio.run(sent(callers, town.assertion(), 50))
    assert statuses(answers) == {200: 1, 401: 49}


def test_a_process_that_has_just_begun_knows_what_was_used_before(place: Place) -> None:
    callers = [Caller(each.url, address=new_address()) for each in place.servers]
    answers = asyncio.run(sent(callers, place.used, len(callers)))
    assert statuses(answers) == {401: len(callers)}
    assert {each.json()["error"] for each in answers} == {"invalid_client"}
