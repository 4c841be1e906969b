"""Pages: each forbids scripts that are not ours, and nothing that somebody sent becomes markup."""

import re
from html import escape
from urllib.parse import quote, urlencode

import pytest

from tests.integration.isolation.callers import Callers
from tests.integration.isolation.rows import ROWS, Row
from tests.integration.isolation.world import World
from tests.integration.pas.door import NOW, ORIGIN
from tests.markup import CORPUS, runs_something
from tests.reviewing import insert_person
from wiser_fhir.auth.sessions import open_session

NAMES = (
    *("return_to", "step_up", "state", "code", "error", "error_description", "iss"),
    *("client_id", "redirect_uri", "scope", "nonce", "prompt", "line", "readonly"),
)
READS = [row for row in ROWS if row.method == "GET"]


@pytest.fixture
def callers(world: World) -> Callers:
    return Callers(world)


def directives(policy: str) -> dict[str, set[str]]:
    """A policy by its directives."""
    parts = (each.split() for each in policy.split(";") if each.strip())
    return {name: set(values) for name, *values in parts}


@pytest.mark.parametrize("row", READS, ids=[row.id for row in READS])
async def test_every_answer_forbids_scripts_and_frames(
    world: World, callers: Callers, row: Row
) -> None:
    url = row.url(world.ours.names)
    shown = await callers.who_may(row, url)
    answer = await world.connection(None).get(url, headers=dict(shown.headers))
    policy = directives(answer.headers["content-security-policy"])
    assert policy["default-src"] == {"'none'"}
    assert policy["frame-ancestors"] == {"'none'"}
    assert policy.get("script-src", {"'none'"}) <= {"'none'", "'self'"}
    assert answer.headers["x-content-type-options"] == "nosniff"
    if answer.headers.get("content-type", "").startswith("text/html"):
        assert "unsafe" not in " ".join(policy.get("script-src", ()))
        assert policy.get("form-action", {"'none'"}) <= {"'none'", "'self'"}
        assert re.findall(r"<script(?! src=\"/| type=\"application/json\"| id=)", answer.text) == []


@pytest.mark.parametrize("markup", CORPUS, ids=range(len(CORPUS)))
async def test_no_parameter_becomes_markup_on_a_page(
    world: World, callers: Callers, markup: str
) -> None:
    pages = [row for row in READS if row.path.startswith(("/sign-in", "/sandbox", "/dtr"))]
    for row in pages:
        url = row.url(world.ours.names)
        shown = await callers.who_may(row, url)
        for some in (NAMES[:2], NAMES[2:7], NAMES[7:12], NAMES[12:]):
            query = urlencode(dict.fromkeys(some, markup))
            answer = await world.connection(None).get(f"{url}?{query}", headers=dict(shown.headers))
            if answer.headers.get("content-type", "").startswith("text/html"):
                assert markup not in answer.text, f"{row.id} {some}"
                assert not runs_something(answer.text)


@pytest.mark.parametrize("markup", CORPUS, ids=range(len(CORPUS)))
async def test_what_a_client_sends_to_the_sandbox_s_provider_is_shown_as_text(
    world: World, markup: str
) -> None:
    begun = await world.connection(None).get("/sign-in")
    place, _, query = begun.headers["location"].partition("?")
    path = place.removeprefix(ORIGIN)
    kept = [each for each in query.split("&") if not each.startswith("state=")]
    answer = await world.connection(None).get(f"{path}?{'&'.join(kept)}&state={quote(markup)}")
    assert answer.status_code == 200, answer.text
    assert f'value="{escape(markup)}"' in answer.text
    assert not runs_something(answer.text)


@pytest.mark.parametrize("markup", CORPUS, ids=range(len(CORPUS)))
async def test_the_name_of_a_person_is_shown_as_text(world: World, markup: str) -> None:
    async with world.superuser.begin() as db:
        person = await insert_person(db, name=markup[:200], roles=("coordinator",))
        session = await open_session(db, person.person_id, NOW, NOW)
    cookie = f"{world.app.state.cookies.name('session')}={session}"
    answer = await world.connection(None).get("/sign-in/welcome", headers={"cookie": cookie})
    assert answer.status_code == 200
    assert escape(markup[:200]) in answer.text
    assert not runs_something(answer.text)
