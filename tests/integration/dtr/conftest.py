"""The same app and clients as in the integration tests of the PAS door."""

from tests.integration.pas.conftest import (
    app,
    client,
    clock,
    line,
    make_client,
    rows,
    still_clock,
    stranger,
)

__all__ = ["app", "client", "clock", "line", "make_client", "rows", "still_clock", "stranger"]
