"""Narrative: well-formed XHTML of the few elements that R4 allows.

It is stored and never rendered, so what matters is that it is what it says.
"""

import re
from typing import TYPE_CHECKING, Any
from xml.parsers import expat

if TYPE_CHECKING:
    from wiser_fhir.fhir.validation.checker import Checker, Place

Json = dict[str, Any]

XHTML = "http://www.w3.org/1999/xhtml"
_TEXT_OF_TAGS = """
p br div h1 h2 h3 h4 h5 h6 a span b em i strong small big tt dfn q var abbr acronym cite
blockquote hr address bdo kbd q sub sup ul ol li dl dt dd pre table caption colgroup col thead
tr tfoot tbody th td code samp img map area ins del u s strike nl
"""
TAGS = frozenset(_TEXT_OF_TAGS.split())
_TEXT_OF_ATTRIBUTES = """
title style class id lang xml:lang xml:space dir accesskey tabindex span width align valign char
charoff abbr axis headers scope rowspan colspan summary frame rules border cellspacing
cellpadding nowrap href name charset type hreflang rel rev shape coords src alt longdesc height
usemap ismap value start compact color bgcolor cite datetime idref xmlns
"""
ATTRIBUTES = frozenset(_TEXT_OF_ATTRIBUTES.split())


_NAMES = "|".join(sorted(ATTRIBUTES))
_ATTRIBUTE = rf"""\s+(?:{_NAMES})\s*=\s*(?:"[^"<]*"|'[^'<]*')"""
# What one linear pass can say: known elements and attributes only, opening as a div must.
_ELEMENTS = "|".join(sorted(TAGS))
PATTERN = (
    rf"""^<div\s+xmlns="{re.escape(XHTML)}"(?:{_ATTRIBUTE})*\s*>"""
    r"""(?:[^<&]|&(?:amp|lt|gt|quot|apos|#[0-9]+|#x[0-9a-fA-F]+);"""
    rf"""|</(?:{_ELEMENTS})\s*>|<(?:{_ELEMENTS})(?:{_ATTRIBUTE})*\s*/?>)*</div>\s*$"""
)


def are_well_formed(divs: list[str]) -> bool:
    """Whether divs that have passed PATTERN are balanced: all in one go of the C parser."""
    try:
        expat.ParserCreate().Parse(f"<divs>{''.join(divs)}</divs>", True)
    except expat.ExpatError:
        return False
    return True


def check(checker: "Checker", value: Json, at: "Place") -> None:
    """The div of a Narrative."""
    div = value.get("div")
    if type(div) is not str or div == "":
        return
    wrong = fault(div)
    if wrong is not None:
        checker.error("invalid", wrong, at.at(".div").path)


def fault(div: str) -> str | None:
    """What is wrong with a div; None when nothing is."""
    reader = _Reader()
    try:
        reader.run(div)
    except expat.ExpatError:
        return "not well-formed XHTML"
    return reader.wrong or (None if reader.content else "txt-2: text or an image expected")


class _Reader:
    """Notes the first element or attribute that is not allowed."""

    def __init__(self) -> None:
        self.wrong: str | None = None
        self.content = False
        self._depth = 0

    def run(self, div: str) -> None:
        parser = expat.ParserCreate()
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        parser.StartDoctypeDeclHandler = self._doctype
        parser.Parse(div, True)

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if self._depth == 0 and (name != "div" or attributes.get("xmlns") != XHTML):
            self.wrong = self.wrong or "a div in the XHTML namespace expected"
        self._depth += 1
        if name not in TAGS:
            self.wrong = self.wrong or "txt-1: an element that narrative may not have"
        if not ATTRIBUTES.issuperset(attributes):
            self.wrong = self.wrong or "txt-1: an attribute that narrative may not have"
        if name == "img":
            self.content = True

    def _end(self, name: str) -> None:
        self._depth -= 1

    def _text(self, text: str) -> None:
        if not text.isspace():
            self.content = True

    def _doctype(self, *_: Any) -> None:
        self.wrong = self.wrong or "a document type declaration"
