"""The first command of a stranger: run twice, it comes out right and says the same."""

import os
import re
import subprocess
import sys
from pathlib import Path


def _demo(data_dir: Path) -> "subprocess.CompletedProcess[str]":
    clean = {name: value for name, value in os.environ.items() if not name.startswith("WISER_")}
    environment = clean | {"WISER_MODE": "sandbox", "WISER_DATA_DIR": str(data_dir)}
    command = [sys.executable, "-m", "wiser_fhir.cli", "demo"]
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=120, check=False
    )


def _without_times(said: str) -> str:
    """What is said, but for the milliseconds, the free port and the growing audit trail."""
    said = re.sub(r"\d+ ms|[\d.]+ s\b|127\.0\.0\.1:\d+", "#", said)
    return re.sub(r"\d+ *$", "", said, flags=re.MULTILINE)


def test_the_demo_comes_out_right_twice_and_says_the_same(tmp_path: Path) -> None:
    first = _demo(tmp_path / "data")
    second = _demo(tmp_path / "data")
    assert (first.returncode, first.stderr) == (0, "")
    assert (second.returncode, second.stderr) == (0, "")
    assert "review action A1" in first.stdout
    assert re.search(r"UTN ZZ[ABH]\d{11}", first.stdout)
    assert "Criterion not met (esi-conservative)" in first.stdout
    assert _without_times(first.stdout) == _without_times(second.stdout)
