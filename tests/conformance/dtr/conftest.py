"""The same app and clients as in the integration tests of the PAS door, and the suite's judge."""

from collections.abc import Iterator

import pytest

from tests.conformance.dtr.suite_judge import SuiteJudge
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


@pytest.fixture(scope="session")
def suite_judge() -> Iterator[SuiteJudge]:
    """HL7's engine as the public suite has it; its tests are one xdist group."""
    with SuiteJudge(threads=2, brief=True) as running:
        yield running
