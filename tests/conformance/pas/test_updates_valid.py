"""HL7's engine as judge of the updates that the tests send: they are what a sender would send."""

import pytest

from tests.bundles import Json, Line, request_bundle
from tests.integration.pas.door import LINES
from tests.oracle.judge import Judge
from tests.update_bundles import cancel_of, on, update_of

pytestmark = [pytest.mark.oracle, pytest.mark.xdist_group("oracle")]

# PAS 2.0.1 contradicts itself: its text says that an update replaces the Claim before, which the
# code system of its own profile does not know.
_WORD_OF_2_0_1 = "ex-relatedclaimrelationship#replaces"


def _chain(line: Line) -> dict[str, Json]:
    first = request_bundle(line, answers={"esi-purpose": True})
    added = update_of(first, line, seed="add", add=("64484",))
    changed = update_of(added, line, seed="change", change={1: on("2026-12-18")}, cancel=(2,))
    return {"added": added, "changed": changed, "cancelled": cancel_of(changed, line)}


@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize("name", ["added", "changed", "cancelled"])
def test_an_update_is_valid(line: Line, name: str, judge: Judge) -> None:
    issues = [issue for issue in judge.validate(_chain(line)[name], line) if issue.is_error]
    found = [issue for issue in issues if line != "2.0" or _WORD_OF_2_0_1 not in issue.text]
    assert [f"{i.id}: {i.expression}: {i.text}" for i in found] == []
