"""Text from a request in a card: it must not become markup, a link, or another text's direction."""

import re

import pytest

from wiser_fhir.crd.plain_text import markdown_safe


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("Injection, lumbar", "Injection, lumbar"),
        ("2.5 mg", "2\\.5 mg"),
        ("**bold** _it_ `code`", "\\*\\*bold\\*\\* \\_it\\_ \\`code\\`"),
        ("[x](https://e.example)", "\\[x\\]\\(https\\://e\\.example\\)"),
        ("<img src=x onerror=alert(1)>", "&lt;img src\\=x onerror\\=alert\\(1\\)&gt;"),
        ("a & b", "a &amp; b"),
        ("&lt;b&gt;", "&amp;lt;b&amp;gt;"),
        ("www.e.example", "www\\.e\\.example"),
        ("a@e.example", "a\\@e\\.example"),
        ("line\n\n# heading", "line \\# heading"),
        ("back\\slash", "back\\\\slash"),
        ("right\u202eleft\u200b", "right left"),
        ("\ud800half", "half"),
    ],
)
def test_text_stays_text(text: str, safe: str) -> None:
    assert markdown_safe(text) == safe


def test_what_is_long_is_cut_before_it_is_made_safe() -> None:
    found = markdown_safe("(" * 200, at_most=10)
    assert found == "\\(" * 9 + "…"


@pytest.mark.parametrize("code", range(0x20, 0x7F))
def test_no_character_that_markdown_reads_stands_alone(code: int) -> None:
    character = chr(code)
    found = markdown_safe(f"a{character}a")
    assert not re.search(r"(?<!\\)[`*_\[\]()#|~:.@$^=!{}]|[<>]", found)
