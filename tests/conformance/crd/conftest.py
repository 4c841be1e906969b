"""The same app, and the same EHR before and behind it, as in the integration tests of this door."""

from tests.integration.crd.conftest import (
    app,
    clock,
    ehr,
    hooks,
    line,
    pas,
    rows,
    still_clock,
    stranger,
)

__all__ = ["app", "clock", "ehr", "hooks", "line", "pas", "rows", "still_clock", "stranger"]
