"""Markup of attackers: what would run in a browser that took text for a page."""

from html.parser import HTMLParser

RAN = "document.title=7"

CORPUS = (
    f"<script>{RAN}</script>",
    f'"><script>{RAN}</script>',
    f"</script><script>{RAN}</script>",
    f"</title><script>{RAN}</script>",
    f"</textarea><img src=x onerror={RAN}>",
    f"<img src=x onerror={RAN}>",
    f"' onmouseover='{RAN}",
    f'" autofocus onfocus="{RAN}',
    f"<svg/onload={RAN}>",
    f"<svg><animate onbegin={RAN} attributeName=x dur=1s>",
    f"<details open ontoggle={RAN}>",
    f"<iframe srcdoc='<script>parent.{RAN}</script>'></iframe>",
    f'<a href="javascript:{RAN}">x</a>',
    f"javascript:{RAN}",
    f"<math><mtext><style><img src=x onerror={RAN}>",
    f"<!--><script>{RAN}</script>-->",
    f"<form action=javascript:{RAN}><button>x</button></form>",
    f"<base href=//evil.example><object data=data:text/html,<script>{RAN}</script>>",
    f"<meta http-equiv=refresh content='0;url=javascript:{RAN}'>",
    f"${{{RAN}}} {{{{constructor.constructor('{RAN}')()}}}}",
)


_LEADS = ("href", "src", "action", "formaction", "data", "content")


class _Runs(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            text = (value or "").strip().lower()
            self.found |= (
                name.startswith("on")
                or name == "srcdoc"
                or (name in _LEADS and text.startswith("javascript:"))
            )
        self.found |= tag in ("iframe", "object", "base", "embed")

    def handle_data(self, data: str) -> None:
        self.found |= self.get_starttag_text() == "<script>" and RAN in data


def runs_something(page: str) -> bool:
    """Whether a page has an element or an attribute in which something of the corpus would run."""
    parser = _Runs()
    parser.feed(page)
    return parser.found
