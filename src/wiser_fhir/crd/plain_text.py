"""Text from a request made fit to stand in a card, whose detail is read as Markdown."""

import unicodedata

_HTML = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
_MARKDOWN = frozenset("\\`*_{}[]()#|~:.@$^=!+")


# So many times the characters that are shown, for those that will be dropped.
_LOOKED_AT = 8


def markdown_safe(text: str, at_most: int = 80) -> str:
    """The text as nothing but text: no markup, no HTML, no address that a reader would make a link.

    Control, format and private characters are dropped, space is made one, and what is longer than
    `at_most` characters is cut. Source: CDS Hooks, "Card attributes" (detail is Markdown).
    """
    text = text[: _LOOKED_AT * at_most]  # it may be of megabytes
    shown = "".join(c if unicodedata.category(c)[0] != "C" else " " for c in text)
    words = " ".join(shown.split())
    cut = words if len(words) <= at_most else words[: at_most - 1].rstrip() + "…"
    return "".join(_shown(character) for character in cut)


def _shown(character: str) -> str:
    if character in _HTML:
        return _HTML[character]
    return f"\\{character}" if character in _MARKDOWN else character
