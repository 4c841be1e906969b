"""A preview page in Chromium, as somebody who writes rules sees it."""

import re
import subprocess
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import pytest

from tests.e2e.serving import Running, sandbox, serving
from wiser_fhir.db.embedded import Urls

_LONGEST = 120


@pytest.fixture
def server(empty_database: Urls, tmp_path: Path) -> Iterator[Running]:
    with serving(sandbox(empty_database, tmp_path)) as running:
        yield running


def _looked_at(url: str, folder: Path) -> tuple[str, str]:
    """The page's DOM once its scripts have run, and what the browser said on its console."""
    command = [
        *("chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
        *("--enable-logging=stderr", "--virtual-time-budget=30000", f"--user-data-dir={folder}"),
        *("--dump-dom", url),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_LONGEST, check=True)
    return done.stdout, "\n".join(re.findall(r"CONSOLE.*", done.stderr))


def _visible(dom: str) -> str:
    """The text of the rendered form."""
    form = dom.partition('id="form"')[2].partition('id="questionnaire"')[0]
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", form)).split())


@pytest.mark.parametrize(
    ("service", "line", "asked", "not_yet"),
    [
        (
            *("epidural-steroid-injection", "2.2"),
            "Does the pain greatly affect quality of life or function?",
            "How long did that improvement last?",
        ),
        ("skin-substitutes", "2.0", "Wound area", "How long has the venous ulcer been present?"),
    ],
)
def test_a_form_is_shown_with_the_questions_that_are_asked_at_first(
    server: Running, tmp_path: Path, service: str, line: str, asked: str, not_yet: str
) -> None:
    dom, said = _looked_at(f"{server.url}/dtr/preview/{service}?line={line}", tmp_path / "browser")
    assert 'data-state="ready"' in dom
    assert asked in _visible(dom)
    assert not_yet not in _visible(dom)
    assert "Content Security Policy" not in said
    assert "Uncaught" not in said
