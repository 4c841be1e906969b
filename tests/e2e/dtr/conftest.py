"""The app in this process, with the clients of the CRD and PAS tests before it."""

from tests.integration.crd.conftest import (
    app,
    clock,
    ehr,
    hooks,
    line,
    make_client,
    pas,
    rows,
    still_clock,
    stranger,
)

__all__ = [
    "app",
    "clock",
    "ehr",
    "hooks",
    "line",
    "make_client",
    "pas",
    "rows",
    "still_clock",
    "stranger",
]
