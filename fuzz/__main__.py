"""Fuzz one reader: `python -m fuzz jwt 60` for 60 seconds. Exit code 77 for a finding, whose bytes
are then in build/fuzz. `python -m fuzz all 60` shares the time among all readers.

Guided by coverage (atheris, libFuzzer). What was found earlier to be of use is kept in build/fuzz
and begun with.
"""

import subprocess
import sys
from pathlib import Path

import atheris

FOLDER = Path("build/fuzz")
_LONGEST = 16_384
_ALLOWED_MIB = 1_024
_SLOW_SECONDS = 5


def fuzz(name: str, seconds: int) -> None:
    """Fuzz a target in this process, which ends with it."""
    with atheris.instrument_imports(include=["wiser_fhir"]):
        from fuzz.seeds import seeds
        from fuzz.targets import TARGETS
    corpus = FOLDER / name
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(seeds(name)):
        (corpus / f"seed-{number}").write_bytes(seed)
    options = [
        sys.argv[0],
        f"-max_total_time={seconds}",
        f"-max_len={_LONGEST}",
        f"-rss_limit_mb={_ALLOWED_MIB}",
        f"-timeout={_SLOW_SECONDS}",
        f"-artifact_prefix={FOLDER}/{name}-",
        "-print_final_stats=1",
        str(corpus),
    ]
    atheris.Setup(options, TARGETS[name])
    atheris.Fuzz()


def fuzz_all(seconds: int) -> int:
    """Every target in a process of its own, two at a time. How many found something."""
    from fuzz.targets import TARGETS

    names = list(TARGETS)
    each = str(max(1, 2 * seconds // len(names)))
    failed = 0
    for pair in (names[at : at + 2] for at in range(0, len(names), 2)):
        running = {name: _begin(name, each) for name in pair}
        for name, process in running.items():
            said = process.communicate()[0]
            runs = [line for line in said.splitlines() if "number_of_executed_units" in line]
            print(f"fuzz: {name}: {runs[0].split()[-1] if runs else 'no'} runs in {each} s")
            if process.returncode or not runs:
                failed += 1
                print(said[-4000:])
    return failed


def _begin(name: str, seconds: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "fuzz", name, seconds]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


if __name__ == "__main__":
    target, time = sys.argv[1], int(sys.argv[2])
    if target == "all":
        raise SystemExit(bool(fuzz_all(time)))
    fuzz(target, time)
