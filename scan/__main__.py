"""Look at the code and at what it is made of; exit code 1 for anything found.

Run it with the environment of requirements/scan.txt: `make scan`. Findings that are accepted stand
beside the line they are about, with the reason: `# nosec B102`, `# nosemgrep: <rule>`.
"""

import json
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent
TOOLS = Path(sys.executable).parent
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))
CODE = ("src/wiser_fhir", "alembic")
_PINNED = re.compile(r"^([A-Za-z0-9_.-]+)==([^ ;\\]+)", re.MULTILINE)
_QUIET = ("--metrics=off", "--disable-version-check")
# Packages of guides are hashed by the thousand; nobody keeps a password in a hash.
_NOT_SEARCHED = (
    r"igs/.*|requirements/.*|.*package-lock\.json|scan/accepted-secrets\.json"
    r"|tests/conformance/(examples|inferno)/.*|tests/unit/dtr/digests\.json"
)


def run(*command: str) -> "subprocess.CompletedProcess[str]":
    """A tool of this environment, its output taken."""
    line = [str(TOOLS / command[0]), *command[1:]]
    path = {"PATH": f"{TOOLS}:/usr/bin:/bin", "HOME": tempfile.gettempdir()}
    return subprocess.run(line, cwd=ROOT, env=path, capture_output=True, text=True, check=False)


def findings_of(*command: str) -> Iterator[str]:
    """What a tool prints, if it ends with anything but 0."""
    done = run(*command)
    if done.returncode:
        yield f"{command[0]} ended with {done.returncode}\n{done.stdout}{done.stderr}"


def bandit() -> Iterator[str]:
    """Medium findings and worse, of which the tool is not itself in doubt."""
    yield from findings_of("bandit", "-q", "-r", *CODE, "-x", "*/static/*", "-ll", "-ii")


def rules() -> Iterator[str]:
    """Our own rules: first that each finds its samples, then over the code."""
    own, samples = str(HERE / "rules.yml"), str(HERE / "samples/rules.py")
    yield from findings_of("semgrep", "--test", *_QUIET, "--config", own, samples)
    where = ("src/wiser_fhir", "--exclude", "static")
    yield from findings_of(
        "semgrep", "scan", *_QUIET, "--error", "--quiet", "--config", own, *where
    )


def secrets() -> Iterator[str]:
    """What looks like a key or a password in any file that is kept, but for the accepted ones."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    files = [name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]
    searched = [name for name in files if not re.fullmatch(_NOT_SEARCHED, name)]
    accepted = ("--baseline", "scan/accepted-secrets.json")
    yield from findings_of("detect-secrets-hook", *accepted, *searched)


def floors() -> Iterator[str]:
    """Locked versions below one that is known to have a hole."""
    least = tomllib.loads((HERE / "floors.toml").read_text(encoding="utf-8"))["floors"]
    for lock in LOCKS:
        for name, version in _PINNED.findall(lock.read_text(encoding="utf-8")):
            floor = least.get(name.lower().replace("_", "-"))
            if floor is not None and numbers(version) < numbers(floor["least"]):
                yield f"{lock.name}: {name} {version} is below {floor['least']}: {floor['because']}"


def numbers(version: str) -> tuple[int, ...]:
    """A version's numbers, to be compared."""
    return tuple(int(part) for part in re.findall(r"\d+", version))


def advisories() -> Iterator[str]:
    """Known holes by the advisory service. Where it answers for nothing, that is said."""
    for lock in (ROOT / "requirements/runtime.txt",):
        asked = ("--disable-pip", "--require-hashes", "--format", "json", "--progress-spinner=off")
        done = run("pip-audit", *asked, "-r", str(lock))
        try:
            answered = json.loads(done.stdout)["dependencies"]
        except (ValueError, KeyError):
            print(f"  advisory service not reached for {lock.name}: the floors decide")
            continue
        skipped = [each["name"] for each in answered if "skip_reason" in each]
        if len(skipped) == len(answered):
            print(f"  advisory service not reached for {lock.name}: the floors decide")
        elif skipped:
            yield f"{lock.name}: not looked up: {', '.join(skipped)}"
        for each in answered:
            for hole in each.get("vulns", ()):
                yield f"{lock.name}: {each['name']} {each['version']}: {hole['id']}"


CHECKS: tuple[Callable[[], Iterator[str]], ...] = (bandit, rules, secrets, floors, advisories)


def main() -> int:
    """Every check; how many found something."""
    failed = 0
    for check in CHECKS:
        found = list(check())
        print(f"scan: {check.__name__}: {'found something' if found else 'nothing found'}")
        print(*found, sep="\n", end="\n" if found else "")
        failed += bool(found)
    return failed


if __name__ == "__main__":
    raise SystemExit(bool(main()))
