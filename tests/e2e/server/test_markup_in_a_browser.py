"""Everything of an attacker's that a page shows, in Chromium: nothing of it runs.

A script of the corpus would change the title of the page it got into.
"""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode
from uuid import UUID

import httpx
import pytest

from tests.e2e.serving import Running, sandbox, serving
from tests.markup import CORPUS
from tests.reviewing import NOW
from wiser_fhir.auth.people import Reviewer
from wiser_fhir.db.embedded import Urls
from wiser_fhir.sign_in import pages

_LONGEST = 120
_ALL = " ".join(CORPUS)
_RAN = "<title>7</title>"


@pytest.fixture
def server(empty_database: Urls, tmp_path: Path) -> Iterator[Running]:
    with serving(sandbox(empty_database, tmp_path)) as running:
        yield running


def shown(url: str, folder: Path) -> str:
    """The page's DOM once its scripts, if it has any, have run."""
    command = [
        *("chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
        *("--virtual-time-budget=10000", f"--user-data-dir={folder}", "--dump-dom", url),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_LONGEST, check=True)
    return done.stdout


def on_a_file(text: str, folder: Path) -> str:
    """A page without the headers that would forbid a script."""
    file = folder / "page.html"
    file.write_text(text, encoding="utf-8")
    return shown(file.as_uri(), folder / "browser")


def test_the_corpus_runs_where_nothing_is_escaped(tmp_path: Path) -> None:
    assert _RAN in on_a_file(f"<title>before</title><main>{_ALL}</main>", tmp_path)


def test_the_name_of_who_signed_in_runs_nothing_even_without_a_policy(tmp_path: Path) -> None:
    who = Reviewer(UUID(int=1), _ALL, frozenset({_ALL}), None, None, frozenset(), None, NOW)
    dom = on_a_file(bytes(pages.welcome(who, _ALL).body).decode(), tmp_path)
    assert "<title>You are signed in</title>" in dom


def test_what_a_link_brings_along_runs_nothing(server: Running, tmp_path: Path) -> None:
    begun = httpx.get(f"{server.url}/sign-in", follow_redirects=False)
    assert begun.status_code == 303, begun.text
    to_provider = httpx.URL(begun.headers["location"])
    provider = httpx.URL(server.url).copy_with(path=to_provider.path)
    asked = dict(to_provider.params) | {"state": _ALL, "nonce": _ALL}
    hostile = dict.fromkeys(("error", "error_description", "state", "code", "return_to"), _ALL)
    links = {
        f"{provider}?{urlencode(asked)}": "Sandbox: who are you?",
        f"{server.url}/sign-in?{urlencode(hostile)}": "You are not signed in",
        f"{server.url}/sign-in/callback?{urlencode(hostile)}": "You are not signed in",
        f"{server.url}/docs?{urlencode(hostile)}": "wiser-fhir",
    }
    for number, (link, title) in enumerate(links.items()):
        dom = shown(link, tmp_path / f"browser-{number}")
        assert f"<title>{title}</title>" in dom
