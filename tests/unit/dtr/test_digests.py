"""What has a version never changes: clients keep it, and ask only for what is newer."""

from dataclasses import replace

import pytest

from tests.unit.dtr.digests import digest, digests, kept
from tests.unit.dtr.packing import form
from wiser_fhir.fhir.codes import LINES, Line

HOW = (
    "A form is new, or something in a package changed and its version did not, so that clients who"
    " hold it will not learn of it. Once a version is released, give the change a new rule file or"
    " library version. Until then write the digests anew: python -m tests.unit.dtr.digests"
)


@pytest.mark.parametrize("line", LINES)
def test_nothing_changes_under_a_version(line: Line) -> None:
    before, now = kept()[line], digests()[line]
    changed = [name for name, digest in before.items() if now.get(name) != digest]
    assert changed == [], HOW
    assert sorted(now) == sorted(before), HOW


def test_each_part_of_a_package_counts() -> None:
    whole = form("2.2", "epidural-steroid-injection")
    others = (
        replace(whole, questionnaire=whole.questionnaire | {"title": "Another"}),
        replace(whole, libraries=whole.libraries[:1]),
        replace(whole, value_sets=whole.value_sets[1:]),
    )
    assert len({digest(each) for each in (whole, *others)}) == 4
