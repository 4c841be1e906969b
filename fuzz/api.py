"""Fuzz the doors of a running sandbox: `python -m fuzz.api 60` for 60 seconds. Exit code 1 for an
answer that our own description does not promise, a 5xx, or a server that is gone.

schemathesis makes the requests of our OpenAPI description, with other luck each time; the seed is
printed, and `python -m fuzz.api 60 <seed>` has the same luck again.
"""

import os
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx
import hypothesis
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings

from tests.e2e.serving import serving, token

_EXAMPLES_AT_ONCE = 10
_MOST = 200_000


def environment(folder: Path) -> dict[str, str]:
    """A sandbox with a database of its own, and limits that one caller does not reach."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("WISER_")}
    return clean | {
        "WISER_MODE": "sandbox",
        "WISER_DATA_DIR": str(folder),
        "WISER_LOG_LEVEL": "error",
        "WISER_CALLER_RATE": str(_MOST),
        "WISER_STRANGER_RATE": str(_MOST),
    }


def fuzz(seconds: float, seed: int) -> int:
    """Try every operation in turn until the time is over. How many requests were made."""
    with tempfile.TemporaryDirectory() as folder:
        environ = environment(Path(folder))
        with serving(environ) as server:
            headers = {"Authorization": f"Bearer {token(environ)}"}
            schema = schemathesis.openapi.from_url(f"{server.url}/openapi.json")
            operations: list[Any] = [found.ok() for found in schema.get_all_operations()]  # type: ignore[union-attr]
            made, until, turn = 0, time.monotonic() + seconds, seed
            while time.monotonic() < until:
                turn += 1
                made += _try(operations[turn % len(operations)], headers, turn)
            httpx.get(f"{server.url}/healthz").raise_for_status()
    return made


def _try(operation: Any, headers: dict[str, str], seed: int) -> int:
    made = 0

    @hypothesis.seed(seed)
    @settings(
        max_examples=_EXAMPLES_AT_ONCE,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.explicit, Phase.generate],
    )
    @given(case=operation.as_strategy())
    def keeps_its_promises(case: Any) -> None:
        nonlocal made
        made += 1
        case.call_and_validate(
            headers=headers,
            excluded_checks=[schemathesis.checks.positive_data_acceptance],
        )

    keeps_its_promises()
    return made


if __name__ == "__main__":
    luck = int(sys.argv[2]) if len(sys.argv) > 2 else random.SystemRandom().randrange(10**9)
    print(f"fuzz: api: seed {luck}", flush=True)
    print(f"fuzz: api: {fuzz(float(sys.argv[1]), luck)} requests in {sys.argv[1]} s")
