"""Ten thousand guessed numbers: what another has and what nobody has are told apart by nothing."""

import re
from collections.abc import Awaitable, Callable, Iterator
from statistics import median
from time import perf_counter

import pytest
from httpx import Response

from tests.bundle_values import valid_npi
from tests.bundles import inquiry_bundle
from tests.integration.isolation.world import World
from tests.integration.pas.door import found_by
from tests.limits import wide
from wiser_fhir.web.limits import MISSES, CallerLimits, Limits, MissBudget, StrangerLimits

Ask = Callable[[World, str], Awaitable[Response]]
GUESSES = 10_000
AT_ONCE = 100
SAMPLES = 150
TRIES = 3
# Of a machine that does other things beside; a look that is longer by a query is far above it.
ALIKE = 1.3
_UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")


class NoBudget(MissBudget):
    """Guessing without an end, to see what it would bring."""

    def note(self, client_id: object, count: int = 1) -> None:
        """Forgets it."""


@pytest.fixture
def unbounded(world: World) -> Iterator[None]:
    """The application without its bound on guesses; it has it again when the test is over."""
    bounds = CallerLimits(10_000, 1e6)
    world.app.state.limits = Limits(bounds, StrangerLimits(1e6), NoBudget())
    yield
    world.app.state.limits = wide()


async def by_claim(world: World, *numbers: str) -> Response:
    """Ask of a claim for another's beneficiary with these numbers, a line each."""
    lines = [
        {"line": n, "code": "64483", "units": 1, "service_date": "2026-12-15", "utn": number}
        for n, number in enumerate(numbers, start=1)
    ]
    body = {
        "mbi": world.theirs.member.mbi,
        "provider_npi": valid_npi("199999010"),
        "place_of_service": "24",
        "state": "TX",
        "lines": lines,
    }
    headers = {"authorization": f"Bearer {world.ours.client.token}"}
    return await world.http.post("/claims/check", json=body, headers=headers)


async def by_inquiry(world: World, number: str) -> Response:
    """Inquire about another's beneficiary with a number."""
    return await world.ours.client.inquire(
        inquiry_bundle("2.2", member=world.theirs.member, utn=number)
    )


ASKS: dict[str, Ask] = {"check": by_claim, "inquiry": by_inquiry}


def nobody_s(world: World, so_many: int) -> list[str]:
    """Numbers that nobody has, of the form of those that there are."""
    taken = {world.ours.names["utn"], world.theirs.names["utn"]}
    made = (f"ZZB{n:011d}" for n in range(17, 17 + so_many + len(taken)))
    return [each for each in made if each not in taken][:so_many]


def told(answer: Response, number: str) -> tuple[int, str]:
    """An answer without the number that was asked for, and the ids that every answer has anew."""
    return answer.status_code, _UUID.sub("id", answer.text.replace(number, "number"))


@pytest.mark.usefixtures("unbounded")
async def test_of_ten_thousand_guesses_none_tells_anything(world: World) -> None:
    guesses = nobody_s(world, GUESSES - GUESSES // AT_ONCE)
    seen: set[str] = set()
    for place in range(GUESSES // AT_ONCE):
        first = place * (AT_ONCE - 1)
        numbers = guesses[first : first + AT_ONCE - 1]
        asked = [*numbers[:place], world.theirs.names["utn"], *numbers[place:]]
        answer = await by_claim(world, *asked)
        assert answer.status_code == 200, answer.text
        for line, number in zip(answer.json()["lines"], asked, strict=True):
            assert line.pop("line") in range(1, AT_ONCE + 1)
            seen.add(str(line).replace(number, "number"))
    assert len(seen) == 1
    assert "utn-unknown" in seen.pop()


@pytest.mark.usefixtures("unbounded")
@pytest.mark.parametrize("way", ASKS)
async def test_another_s_number_is_answered_as_one_that_nobody_has(world: World, way: str) -> None:
    foreign = world.theirs.names["utn"]
    answers = {told(await ASKS[way](world, each), each) for each in nobody_s(world, 20)}
    answer = await ASKS[way](world, foreign)
    assert answers == {told(answer, foreign)}
    if way == "inquiry":
        assert found_by(answer) == []


@pytest.mark.usefixtures("unbounded")
@pytest.mark.parametrize("way", ASKS)
async def test_nor_by_the_time_it_takes(world: World, way: str) -> None:
    """Medians of interleaved samples: an outlier of this machine moves neither."""
    foreign, absent = world.theirs.names["utn"], nobody_s(world, 1)[0]
    ratios = []
    for _ in range(TRIES):
        spent: dict[str, list[float]] = {foreign: [], absent: []}
        for nth in range(SAMPLES):
            for number in (foreign, absent) if nth % 2 else (absent, foreign):
                started = perf_counter()
                await ASKS[way](world, number)
                spent[number].append(perf_counter() - started)
        ratios.append(median(spent[foreign]) / median(spent[absent]))
        if 1 / ALIKE < ratios[-1] < ALIKE:
            return
    pytest.fail(f"told apart by time: {ratios}")


@pytest.mark.parametrize("way", ASKS)
async def test_after_twenty_misses_a_client_waits_and_hears_nothing_even_of_its_own(
    world: World, way: str
) -> None:
    world.app.state.limits = wide()
    statuses = [(await ASKS[way](world, each)).status_code for each in nobody_s(world, MISSES + 1)]
    assert statuses == [200] * MISSES + [429]
    own = await ASKS[way](world, world.ours.names["utn"])
    assert own.status_code == 429
    assert 0 < int(own.headers["retry-after"]) <= 60
    world.app.state.limits = wide()


async def test_another_s_numbers_count_as_misses(world: World) -> None:
    world.app.state.limits = wide()
    foreign = world.theirs.names["utn"]
    statuses = [(await by_claim(world, foreign)).status_code for _ in range(MISSES + 1)]
    assert statuses == [200] * MISSES + [429]
    world.app.state.limits = wide()
