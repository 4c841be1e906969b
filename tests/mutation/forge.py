"""A process that has read what others wrote, and runs pytest in children of its own.

Reading it takes longer than most tests do, and none of it is ever a mutant. Of what we wrote
nothing may be read here: each child reads its own copy.

Orders are lines of JSON on the standard input: the arguments of pytest, its `environment`, the
`path` to import from first, and the file that `output` goes to. Each is answered by a status.
"""

import importlib
import json
import os
import sys
import traceback
from typing import Any

_OF_OTHERS = (
    *("pytest", "anyio.pytest_plugin", "hypothesis", "fastapi", "starlette.applications", "httpx"),
    *("pydantic", "pydantic_settings", "sqlalchemy.ext.asyncio", "asyncpg", "alembic.config"),
    *("authlib.oauth2.rfc7523", "authlib.oidc.core", "joserfc.jwt", "cryptography.x509"),
    *("orjson", "structlog", "prometheus_client", "jsonschema_rs", "typer", "uvicorn"),
)


def _run(order: dict[str, Any]) -> int:
    """pytest, as if it had just been started."""
    import pytest

    with open(order["output"], "wb") as output:  # noqa: PTH123 - a descriptor is all that is wanted
        for descriptor in (1, 2):
            os.dup2(output.fileno(), descriptor)
    os.environ.clear()
    os.environ.update(order["environment"])
    sys.path[:0] = order["path"]
    importlib.invalidate_caches()
    return int(pytest.main(order["arguments"]))


def main() -> None:
    """Carry out orders until there are no more."""
    for name in _OF_OTHERS:
        importlib.import_module(name)
    if any(name.partition(".")[0] == "wiser_fhir" for name in sys.modules):
        raise RuntimeError("what is to be tested has been imported already")
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            status = 70
            try:
                status = _run(json.loads(line))
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                os._exit(status)
        _, ended = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(ended), flush=True)


if __name__ == "__main__":
    main()
