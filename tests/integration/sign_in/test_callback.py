"""What comes back to us with a browser: taken once, in the browser it was begun in, in time."""

from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.clocks import StillClock
from tests.integration.sign_in.browsing import BEGUN, Browser, query
from tests.integration.sign_in.conftest import Audit
from tests.reviewing import NOW
from wiser_fhir.auth.people import Reviewer
from wiser_fhir.auth.sessions import BEGUN_FOR

FAILED = "took too long, was opened twice, or was changed"
BEFORE = "went by a sign-in from before"


async def back(browser: Browser) -> str:
    """The URL that leads Rhoda back."""
    return await browser.pick(await browser.begin(), "rhoda-reviewer")


async def test_an_answer_is_taken_once(browser: Browser, rhoda: Reviewer, audit: Audit) -> None:
    url = await back(browser)
    begun = browser.http.cookies[BEGUN]
    assert (await browser.get(url)).status_code == 303
    browser.http.cookies.set(BEGUN, begun, domain="review.example")
    again = await browser.get(url)
    assert (again.status_code, FAILED in again.text) == (400, True)
    assert (await audit())[-1][1:] == ("refused", None, "state")


async def test_an_answer_of_another_browser_is_not_taken(
    browser: Browser, other_browser: Browser, rhoda: Reviewer
) -> None:
    url = await back(browser)
    assert (await other_browser.get(url)).status_code == 400
    await other_browser.begin()
    assert (await other_browser.get(url)).status_code == 400
    assert other_browser.session is None
    assert (await browser.get(url)).status_code == 303


async def test_the_code_of_an_attacker_does_not_sign_a_victim_in(
    browser: Browser, other_browser: Browser, rhoda: Reviewer
) -> None:
    attackers = query(await back(browser))
    own = query(await other_browser.begin())
    mixed = {**attackers, "state": own["state"]}
    answer = await other_browser.get("/sign-in/callback", params=mixed)
    assert answer.status_code == 400
    assert other_browser.session is None


@pytest.mark.parametrize(
    ("passed", "status"), [(BEGUN_FOR - timedelta(seconds=1), 303), (BEGUN_FOR, 400)]
)
async def test_an_answer_comes_within_ten_minutes(
    browser: Browser, clock: StillClock, rhoda: Reviewer, passed: timedelta, status: int
) -> None:
    url = await browser.begin()
    clock.now = NOW + passed
    answer = await browser.get(await browser.pick(url, "rhoda-reviewer"))
    assert answer.status_code == status


@pytest.mark.parametrize(
    "changes",
    [
        {"state": None},
        {"state": "A" * 43},
        {"iss": None},
        {"iss": "https://evil.example"},
        {"code": None},
        {"code": "made-up"},
        {"error": "access_denied"},
    ],
)
async def test_an_answer_that_was_changed_is_not_taken(
    browser: Browser, rhoda: Reviewer, audit: Audit, changes: dict[str, str | None]
) -> None:
    said = {**query(await back(browser)), **changes}
    told = {name: value for name, value in said.items() if value is not None}
    answer = await browser.get("/sign-in/callback", params=told)
    assert (answer.status_code, FAILED in answer.text) == (400, True)
    assert browser.session is None
    assert [row[:3] for row in await audit()] == [("person.sign-in", "refused", None)]


async def test_a_parameter_that_stands_twice_is_none(browser: Browser, rhoda: Reviewer) -> None:
    url = await back(browser)
    assert (await browser.get(f"{url}&state={query(url)['state']}")).status_code == 400
    url = await back(browser)
    assert (await browser.get(f"{url}&code=another")).status_code == 400


async def test_trap_11_no_sign_in_goes_out_without_its_three_ties(browser: Browser) -> None:
    for step_up in (False, True):
        asked = query(await browser.begin(step_up=step_up))
        assert asked["code_challenge_method"] == "S256"
        assert len(asked["code_challenge"]) == 43
        assert len(asked["nonce"]) == 43
        assert len(asked["state"]) == 43


async def test_trap_12_the_verifier_never_leaves_the_server(
    browser: Browser, superuser_engine: AsyncEngine
) -> None:
    answer = await browser.get("/sign-in")
    async with superuser_engine.connect() as db:
        [(verifier, nonce)] = await db.execute(text("select verifier, nonce from sign_in_begun"))
    shown = str(answer.headers) + answer.text + str(dict(browser.http.cookies))
    assert verifier not in shown
    assert nonce in shown  # goes to the provider, and is worth nothing without the verifier
    assert nonce not in str(dict(browser.http.cookies))


@pytest.mark.parametrize("step_up", [False, True])
async def test_a_sign_in_from_before_signs_nobody_in_and_the_page_says_what_to_do(
    browser: Browser, clock: StillClock, rhoda: Reviewer, audit: Audit, step_up: bool
) -> None:
    url = await browser.begin(step_up=step_up)
    clock.now = NOW - timedelta(seconds=61)  # as at a provider that goes by a session of its own
    answer = await browser.get(await browser.pick(url, "rhoda-reviewer"))
    assert (answer.status_code, BEFORE in answer.text) == (400, True)
    assert "Sign out there" in answer.text
    assert browser.session is None
    assert await audit() == [("person.sign-in", "refused", None, "id-token-auth_time")]


async def test_a_step_up_is_as_fresh_as_it_says(
    browser: Browser, clock: StillClock, rhoda: Reviewer
) -> None:
    await browser.sign_in("rhoda-reviewer")
    clock.now = NOW + timedelta(minutes=14)
    await browser.sign_in("rhoda-reviewer", step_up=True)
    assert (await browser.me())["signed_in_at"].startswith(f"{clock.now:%Y-%m-%dT%H:%M}")
