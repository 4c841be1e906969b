"""Independent OAuth programs, run under Node: an issuer, and clients written by others than us.

`oidc-provider` is the issuer; `oauth4webapi`, `openid-client` and `jose` are clients. A test module
takes the fixture with `from tests.e2e.node.packages import node_packages`.
"""

import fcntl
import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Timer
from typing import Any

import pytest

SOURCE = Path(__file__).parent
INSTALLED = Path(__file__).parents[3] / "build/node"
_FILES = ("package.json", "package-lock.json")
_START_WITHIN = 60.0


@dataclass(frozen=True, slots=True)
class NodePackages:
    """The folder that the packages are installed in."""

    folder: Path

    def command(self, script: Path) -> list[str]:
        """How to run an ES module with `folder` as the current one, where its imports are found.

        Its `process.argv[1]` is the first argument that is added to the command.
        """
        source = script.read_text(encoding="utf-8")
        return ["node", "--input-type=module", "--eval", source, "--"]

    def run(self, script: Path, given: Any = None, seconds: float = 60.0) -> Any:
        """What a script that ends prints, which is JSON. It reads `given` on its standard input."""
        done = subprocess.run(
            self.command(script),
            cwd=self.folder,
            input=json.dumps(given),
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"{script.name}:\n{done.stderr or done.stdout}")
        return json.loads(done.stdout)

    @contextmanager
    def running(
        self, script: Path, environment: Mapping[str, str], *arguments: str
    ) -> Iterator[str]:
        """A script that goes on, and the first line it printed. It is ended after the block."""
        with subprocess.Popen(
            [*self.command(script), *arguments],
            cwd=self.folder,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
        ) as process:
            late = Timer(_START_WITHIN, process.kill)
            late.start()
            try:
                assert process.stdout is not None
                first = process.stdout.readline().strip()
                late.cancel()
                assert first, f"{script.name} printed nothing"
                yield first
            finally:
                late.cancel()
                process.terminate()
                process.wait(timeout=30)


@pytest.fixture(scope="session")
def node_packages() -> NodePackages:
    """The packages of package-lock.json, installed once for all workers and runs."""
    INSTALLED.mkdir(parents=True, exist_ok=True)
    with (INSTALLED / "lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        _install()
    return NodePackages(INSTALLED)


def _install() -> None:
    if shutil.which("npm") is None:
        raise RuntimeError("npm is needed to run independent clients (Node 20 or later)")
    wanted = "\n".join((SOURCE / name).read_text(encoding="utf-8") for name in _FILES)
    stamp = INSTALLED / "installed.txt"
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == wanted:
        return
    for name in _FILES:
        shutil.copyfile(SOURCE / name, INSTALLED / name)
    done = subprocess.run(
        ["npm", "ci", "--ignore-scripts", "--silent"],
        cwd=INSTALLED,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"npm ci:\n{done.stderr or done.stdout}")
    stamp.write_text(wanted, encoding="utf-8")
