"""People who share a browser, and hosts that share a session without sharing a clock."""

from datetime import datetime, timedelta

import pytest

from tests.clocks import StillClock
from tests.integration.sign_in.browsing import SESSION, Browser, query
from tests.reviewing import NOW
from wiser_fhir.auth.people import Reviewer
from wiser_fhir.auth.sessions import IDLE, SKEW

APART = timedelta(seconds=30)
SECOND = timedelta(seconds=1)


@pytest.mark.parametrize("step_up", [False, True])
async def test_each_sign_in_asks_who_is_there(browser: Browser, step_up: bool) -> None:
    asked = query(await browser.begin(step_up=step_up))
    assert (asked["prompt"], asked["max_age"]) == ("login", "60")


@pytest.mark.parametrize("signs_out", [True, False], ids=["signed out", "idle"])
async def test_after_the_end_of_a_session_nobody_is_let_in_unasked(
    browser: Browser, clock: StillClock, rhoda: Reviewer, signs_out: bool
) -> None:
    await browser.sign_in("rhoda-reviewer")
    if signs_out:
        await browser.sign_out()
    clock.now = NOW + IDLE
    assert (await browser.get("/sign-in/me")).status_code == 401
    url = await browser.begin()
    assert query(url)["prompt"] == "login"
    asked = await browser.get(url)
    assert (asked.status_code, "who are you?" in asked.text) == (200, True)
    await browser.get(await browser.pick(url, "rhoda-reviewer"))
    assert (await browser.me())["signed_in_at"].startswith(f"{clock.now:%Y-%m-%dT%H:%M}")


@pytest.mark.parametrize(
    ("begins", "ends"),
    [(NOW + APART, NOW), (NOW, NOW + APART)],
    ids=["begun by the fast one", "begun by the slow one"],
)
async def test_a_sign_in_may_begin_at_one_host_and_end_at_another(
    browser: Browser, clock: StillClock, rhoda: Reviewer, begins: datetime, ends: datetime
) -> None:
    clock.now = begins
    url = await browser.begin()
    clock.now = ends
    answer = await browser.get(await browser.pick(url, "rhoda-reviewer"))
    assert answer.status_code == 303
    assert (await browser.get("/review/me")).status_code == 200


async def test_a_session_of_a_fast_host_is_one_at_a_slow_one_and_no_later_than_now(
    browser: Browser, clock: StillClock, rhoda: Reviewer
) -> None:
    clock.now = NOW + APART
    await browser.sign_in("rhoda-reviewer")
    clock.now = NOW
    assert (await browser.me())["signed_in_at"] == NOW.isoformat().replace("+00:00", "Z")
    session = browser.session or ""
    assert (await browser.sign_out()).status_code == 303
    clock.now = NOW + APART
    browser.http.cookies.set(SESSION, session, domain="review.example")
    assert (await browser.get("/sign-in/me")).status_code == 401


@pytest.mark.parametrize(("ahead", "status"), [(SKEW, 200), (SKEW + SECOND, 401)])
async def test_a_session_that_begins_in_more_than_a_minute_is_none_yet(
    browser: Browser, clock: StillClock, rhoda: Reviewer, ahead: timedelta, status: int
) -> None:
    clock.now = NOW + ahead
    await browser.sign_in("rhoda-reviewer")
    clock.now = NOW
    assert (await browser.get("/sign-in/me")).status_code == status
