"""HL7's engine, started once for all conformance tests of a worker."""

from collections.abc import Iterator

import pytest

from tests.oracle.judge import Judge


@pytest.fixture(scope="session")
def judge() -> Iterator[Judge]:
    """The running engine. Where it cannot run the test fails: an absent judge has not agreed."""
    with Judge(threads=2, brief=True) as running:
        yield running
