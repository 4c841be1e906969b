"""The table of official examples is complete and says what HL7's engine says."""

import pytest

from tests.bundles import Line
from tests.conformance.examples.official import (
    OfficialExample,
    official_examples,
    request_examples,
)
from tests.oracle.judge import Judge

pytestmark = pytest.mark.oracle


@pytest.mark.parametrize("line", ["2.2", "2.0"])
def test_every_request_and_inquiry_of_the_guide_is_listed(line: Line, judge: Judge) -> None:
    listed = {example.file for example in official_examples() if example.line == line}
    assert listed == request_examples(line)


@pytest.mark.parametrize("example", official_examples(), ids=str)
def test_the_engine_says_what_the_table_says(example: OfficialExample, judge: Judge) -> None:
    issues = judge.validate(example.bundle(), example.line)
    errors = sorted({issue.id for issue in issues if issue.is_error})
    assert (("invalid" if errors else "valid"), errors) == (example.engine, example.engine_errors)
