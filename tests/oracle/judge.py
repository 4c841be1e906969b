"""HL7's validation engine as judge: builds it, starts it, asks it.

The engine runs as one Java process that reads a request and writes an answer per line, see
src/main/java/org/wiserfhir/judge/Judge.java. It needs Java 17, Maven for the first build, and the
guides' packages: in the folder WISER_FHIR_PACKAGES, else in ../shared/igs beside the repository.

As a command it judges files and prints the issues; exit code 1 if one is an error:

    .venv/bin/python tests/oracle/judge.py --line 2.2 [--profile URL] FILE...
"""

import argparse
import fcntl
import hashlib
import itertools
import json
import os
import shutil
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO, Any, Literal, Self

Line = Literal["2.2", "2.0"]
Resource = dict[str, Any]

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
TARGET = HERE / "target"
STUBS = ROOT / "igs" / "stubs"
PINS = ROOT / "igs" / "packages.toml"


class JudgeUnavailable(Exception):
    """The judge cannot run here; the text says what is missing."""


@dataclass(frozen=True)
class Issue:
    """One message of the engine; `id` is the engine's own name for the kind of message."""

    severity: str
    expression: str
    text: str
    id: str

    @property
    def is_error(self) -> bool:
        return self.severity in ("error", "fatal")


class Judge:
    """The running engine. Use as a context manager; safe to call from several threads.

    `brief` is for some hundred resources: Java then compiles less, which halves the time of those.
    """

    def __init__(
        self, packages: Path | None = None, *, threads: int = 1, brief: bool = False
    ) -> None:
        self._packages = packages or packages_folder()
        self._threads = threads
        self._brief = brief
        self._ids = itertools.count()
        self._waiting: dict[int, Future[list[Issue]]] = {}
        self._sending = threading.Lock()
        self.seconds = 0.0
        self.answers = 0

    def __enter__(self) -> Self:
        build()
        self._process = subprocess.Popen(
            [
                program("java"),
                "-Xmx3g",
                "-XX:+UseSerialGC",
                *(["-XX:TieredStopAtLevel=1"] if self._brief else []),
                "-cp",
                f"{TARGET / 'judge.jar'}:{TARGET / 'lib'}/*",
                "org.wiserfhir.judge.Judge",
                str(self._packages),
                str(STUBS),
                str(self._threads),
                *(f"{line}={','.join(packages)}" for line, packages in self.lines().items()),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._requests = self._process.stdin
        self._reader = threading.Thread(
            target=self._read, args=(self._process.stdout,), daemon=True
        )
        self._reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._requests.close()
        self._process.wait(timeout=60)
        self._reader.join(timeout=10)
        if self._process.stdout is not None:
            self._process.stdout.close()

    def lines(self) -> dict[str, list[str]]:
        """The packages that a resource of each line is judged by."""
        return _lines()

    def submit(
        self, resource: Resource, line: Line, profile: str | None = None
    ) -> Future[list[Issue]]:
        """Ask without waiting. Without `profile` the resource's own meta.profile counts."""
        answer: Future[list[Issue]] = Future()
        with self._sending:
            number = next(self._ids)
            self._waiting[number] = answer
            request: dict[str, Any] = {"id": number, "line": line, "resource": resource}
            if profile is not None:
                request["profile"] = profile
            self._requests.write(json.dumps(request, ensure_ascii=False) + "\n")
            self._requests.flush()
        return answer

    def validate(self, resource: Resource, line: Line, profile: str | None = None) -> list[Issue]:
        """All that the engine says of `resource`, errors, warnings and hints."""
        return self.submit(resource, line, profile).result()

    def is_valid(self, resource: Resource, line: Line, profile: str | None = None) -> bool:
        """No errors."""
        return not any(issue.is_error for issue in self.validate(resource, line, profile))

    def _read(self, answers: IO[str]) -> None:
        for text in answers:
            answer = json.loads(text)
            waiting = self._waiting.pop(answer["id"])
            if "failure" in answer:
                waiting.set_exception(RuntimeError(answer["failure"]))
                continue
            self.seconds += answer["ms"] / 1000
            self.answers += 1
            waiting.set_result([Issue(**issue) for issue in answer["issues"]])
        for waiting in self._waiting.values():
            waiting.set_exception(RuntimeError("the judge's process ended"))


def packages_folder() -> Path:
    """Where the packages are. Raises JudgeUnavailable."""
    named = os.environ.get("WISER_FHIR_PACKAGES")
    folder = Path(named) if named else ROOT.parent / "shared" / "igs"
    if not any(folder.glob("hl7.fhir.r4.core#*.tgz")):
        raise JudgeUnavailable(
            f"no FHIR packages in {folder}: set WISER_FHIR_PACKAGES to a folder with them"
        )
    return folder


def _lines() -> dict[str, list[str]]:
    """The packages of each line in order of precedence: those that ours is compiled from."""
    pins = tomllib.loads(PINS.read_text())
    return {name: line["packages"] for name, line in pins["lines"].items()}


@cache
def fingerprint() -> str:
    """Hash of all that decides a verdict besides the resource: sources, stubs, package names."""
    digest = hashlib.sha256((_sources() + json.dumps(_lines())).encode())
    for file in sorted(STUBS.glob("**/*.json")):
        digest.update(file.name.encode() + file.read_bytes())
    return digest.hexdigest()


def build() -> None:
    """Compile the judge unless this very state of its sources is built. Raises JudgeUnavailable."""
    program("java")
    with _locked():
        done = TARGET / "sources.sha256"
        if done.exists() and done.read_text() == _sources():
            return
        print("building the judge (Maven; the first time it fetches HAPI)", file=sys.stderr)
        result = subprocess.run(
            [program("mvn"), "-q", "-B", "-f", str(HERE / "pom.xml"), "package"],
            capture_output=True,
            text=True,
            check=False,
        )
        if result.returncode != 0:
            raise JudgeUnavailable(
                f"the judge does not build:\n{result.stdout[-4000:]}{result.stderr[-2000:]}"
            )
        done.write_text(_sources())


@contextmanager
def _locked() -> Iterator[None]:
    TARGET.mkdir(exist_ok=True)
    with (TARGET / "build.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _sources() -> str:
    digest = hashlib.sha256()
    for file in [HERE / "pom.xml", *sorted((HERE / "src").rglob("*"))]:
        if file.is_file():
            digest.update(str(file.relative_to(HERE)).encode() + file.read_bytes())
    return digest.hexdigest()


def program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise JudgeUnavailable(
            f"'{name}' is not installed: HL7's engine needs Java 17 and Maven (openjdk-17, maven)"
        )
    return found


def main(arguments: list[str] | None = None) -> int:
    """Judge files; 0 if none has an error."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--line", choices=["2.2", "2.0"], default="2.2")
    parser.add_argument("--profile", help="besides what meta.profile claims")
    parser.add_argument("--errors", action="store_true", help="no warnings or hints")
    parser.add_argument("files", nargs="+", type=Path)
    options = parser.parse_args(arguments)
    errors = 0
    with Judge(brief=True) as judge:
        for file in options.files:
            issues = judge.validate(json.loads(file.read_bytes()), options.line, options.profile)
            wrong = [issue for issue in issues if issue.is_error]
            errors += len(wrong)
            print(f"{file}: {'invalid' if wrong else 'valid'}, {len(wrong)} errors")
            for issue in wrong if options.errors else issues:
                print(f"  {issue.severity:12}{issue.expression}\n      {issue.text} [{issue.id}]")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
