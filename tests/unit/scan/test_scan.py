"""The checks of what the server is made of: each finds what it is there for."""

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson
import pytest

import scan.__main__ as scan

LOCKS = sorted((scan.ROOT / "requirements").glob("*.txt"))


def lock(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "some.txt"
    file.write_text(text)
    return file


def test_a_version_below_its_floor_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    locked = "authlib==1.6.3 \\\n    --hash=sha256:0\njoserfc==1.10.0 \\\n    --hash=sha256:0\n"
    monkeypatch.setattr(scan, "LOCKS", [lock(tmp_path, locked)])
    found = list(scan.floors())
    assert len(found) == 1
    assert "authlib 1.6.3 is below 1.6.9" in found[0]


def test_what_is_locked_lies_above_every_floor() -> None:
    assert list(scan.floors()) == []


@pytest.mark.parametrize("file", LOCKS, ids=lambda file: file.name)
def test_everything_locked_is_pinned_and_hashed_and_names_no_address(file: Path) -> None:
    text = file.read_text()
    assert "://" not in text
    entries = re.split(r"\n(?=[A-Za-z0-9])", re.sub(r"(?m)^ *#.*\n", "", text).strip())
    assert len(entries) > 5 or file.name == "build.txt"
    for entry in entries:
        assert re.match(r"[A-Za-z0-9_.-]+==[^ ]+", entry), entry
        assert "--hash=sha256:" in entry, entry


def answering(monkeypatch: pytest.MonkeyPatch, dependencies: list[Any] | None) -> None:
    text = "" if dependencies is None else orjson.dumps({"dependencies": dependencies}).decode()
    monkeypatch.setattr(scan, "run", lambda *_: SimpleNamespace(stdout=text, returncode=1))


def test_a_known_hole_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    hole = {"name": "authlib", "version": "1.6.3", "vulns": [{"id": "CVE-1"}]}
    answering(monkeypatch, [hole, {"name": "orjson", "version": "3.13", "vulns": []}])
    assert list(scan.advisories()) == ["runtime.txt: authlib 1.6.3: CVE-1"]


def test_a_package_that_was_passed_over_is_no_clean_one(monkeypatch: pytest.MonkeyPatch) -> None:
    passed_over = {"name": "authlib", "skip_reason": "not found"}
    answering(monkeypatch, [passed_over, {"name": "orjson", "version": "3.13", "vulns": []}])
    assert list(scan.advisories()) == ["runtime.txt: not looked up: authlib"]


@pytest.mark.parametrize("said", [None, [{"name": "authlib", "skip_reason": "not found"}]])
def test_a_service_that_answers_for_nothing_is_said_to(
    said: list[Any] | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answering(monkeypatch, said)
    assert list(scan.advisories()) == []
    assert "the floors decide" in capsys.readouterr().out


def test_a_tool_that_fails_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    failed = SimpleNamespace(returncode=2, stdout="out", stderr="err")
    monkeypatch.setattr(scan, "run", lambda *_: failed)
    for check in (scan.bandit, scan.rules, scan.secrets):
        assert list(check())


def test_findings_end_with_an_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(scan, "CHECKS", (scan.floors,))
    assert scan.main() == 0
    monkeypatch.setattr(scan, "LOCKS", [])
    monkeypatch.setattr(scan, "CHECKS", (scan.floors, scan.rules))
    monkeypatch.setattr(scan, "run", lambda *_: SimpleNamespace(returncode=1, stdout="", stderr=""))
    assert scan.main() == 1
    assert "found something" in capsys.readouterr().out
