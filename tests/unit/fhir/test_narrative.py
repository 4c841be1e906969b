"""Narrative: the fast pattern lets nothing pass that the reader refuses."""

import re

import pytest

from wiser_fhir.fhir.validation.narrative import PATTERN, XHTML, are_well_formed, fault

OPEN = f'<div xmlns="{XHTML}">'
GOOD = [
    f"{OPEN}text</div>",
    f'{OPEN}<p class="a">a &amp; b<br/></p><table><tr><td colspan="2">x</td></tr></table></div>',
    f'{OPEN}<img src="#a" alt="b"/></div>',
]
BAD = [
    "<div>no namespace</div>",
    f"{OPEN}<script>x</script></div>",
    f"{OPEN}<b>open</div>",
    f"{OPEN}</div>",
    f"{OPEN}  <p> </p></div>",
    f'{OPEN}<a onclick="x">y</a></div>',
    f'<p xmlns="{XHTML}">no div</p>',
    f"<!DOCTYPE html>{OPEN}x</div>",
    f"{OPEN}&nbsp;</div>",
    "plain",
]


@pytest.mark.parametrize("div", GOOD)
def test_what_r4_allows(div: str) -> None:
    assert fault(div) is None
    assert re.search(PATTERN, div)
    assert are_well_formed([div, div])


@pytest.mark.parametrize("div", BAD)
def test_what_r4_forbids(div: str) -> None:
    assert fault(div)
    passes = re.search(PATTERN, div) and re.search(r">\s*[^<\s]|<img\s", div)
    assert not (passes and are_well_formed([div]))
