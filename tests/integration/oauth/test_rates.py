"""How often a client may ask the authorization server, and that nobody else asks at its cost."""

from typing import Any

import pytest
from httpx import Response

from tests.clocks import Time
from tests.oauth_door import Place, Registry
from wiser_fhir.web.limits import CallerLimits, Limits, MissBudget, StrangerLimits

pytestmark = pytest.mark.usefixtures("client")

INTROSPECT, REVOKE = "/oauth/introspect", "/oauth/revoke"


def bounded(place: Place, rate: float) -> None:
    """Of callers ten times as many as this, and then at this rate."""
    callers = CallerLimits(10_000, rate, place.time.monotonic)
    place.app.state.limits = Limits(callers, StrangerLimits(1e6), MissBudget())


async def about(place: Place, path: str, **claims: Any) -> Response:
    """What is told of a token that is none to a client that signs."""
    return await place.post(path, {"token": "x", **place.shown_by_jwt(**claims)})


async def test_who_asks_for_tokens_without_end_waits_and_others_do_not(
    place: Place, registry: Registry, time: Time
) -> None:
    await registry.client("another")
    bounded(place, 0.3)
    for answer in (await place.ask(), await about(place, INTROSPECT), await about(place, REVOKE)):
        assert answer.status_code == 200
    form = place.token_form()
    for answer in (
        await place.post("/oauth/token", form),
        await about(place, INTROSPECT),
        await about(place, REVOKE),
    ):
        assert (answer.status_code, answer.json()["error"]) == (429, "slow_down")
        assert answer.headers["retry-after"] == "4"
        assert answer.headers["cache-control"] == "no-store"
    assert (await place.ask(iss="another", sub="another")).status_code == 200
    time.passed = 4
    assert (await place.post("/oauth/token", form)).status_code == 200


async def test_a_jwt_that_is_used_again_takes_nothing_from_its_owner(place: Place) -> None:
    bounded(place, 0.2)
    form = place.token_form()
    assert (await place.post("/oauth/token", form)).status_code == 200
    for path in ("/oauth/token", INTROSPECT, REVOKE):
        for _ in range(5):
            again = await place.post(path, {**form, "token": "x"})
            assert again.status_code == 401
    assert (await place.ask(scope="system/*.rs")).status_code == 400
    assert (await place.ask()).status_code == 200
    assert (await place.ask()).status_code == 429


@pytest.mark.parametrize("path", [INTROSPECT, REVOKE])
async def test_whoever_asks_by_a_token_is_counted_once(place: Place, path: str) -> None:
    headers = {"Authorization": f"Bearer {await place.token()}"}
    bounded(place, 0.2)
    seen = [await place.post(path, {"token": "x"}, headers=headers) for _ in range(3)]
    assert [each.status_code for each in seen] == [200, 200, 429]
