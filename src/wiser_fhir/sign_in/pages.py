"""The pages of signing in: written here, without a script, and nothing loaded from elsewhere."""

from base64 import b64encode
from collections.abc import Sequence
from hashlib import sha256
from html import escape
from typing import Final

from starlette.responses import HTMLResponse

from wiser_fhir.auth.people import Reviewer

_STYLE: Final = (
    "body{font:16px/1.5 system-ui,sans-serif;color:#1b1b1b;background:#fff;max-width:34rem;"
    "margin:4rem auto;padding:0 1.5rem}h1{font-size:1.5rem;margin:0 0 1rem}"
    "dl{display:grid;grid-template-columns:max-content 1fr;gap:.25rem 1.5rem}dt{color:#565c65}"
    "dd{margin:0}button,.button{display:inline-block;font:inherit;background:#005ea2;color:#fff;"
    "border:0;border-radius:.25rem;padding:.6rem 1.2rem;margin:1rem .75rem 0 0;cursor:pointer;"
    "text-decoration:none}button.plain,.button.plain{background:#fff;color:#005ea2;"
    "box-shadow:inset 0 0 0 2px #005ea2}:focus-visible{outline:4px solid #2491ff}"
    "ul{list-style:none;padding:0}li button{width:100%;text-align:left;margin:.5rem 0 0}"
    "small{opacity:.85}"
)
_STYLE_HASH: Final = b64encode(sha256(_STYLE.encode()).digest()).decode()
_POLICY: Final = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none';"
    " frame-ancestors 'none'; form-action 'self'"
)
_HEADERS: Final = {
    "X-Frame-Options": "DENY",
    # With `no-referrer` a browser would send a form of ours with the Origin `null`.
    "Referrer-Policy": "same-origin",
}


def page(title: str, body: str, status: int = 200, forms_to: str = "") -> HTMLResponse:
    """A page; `body` is HTML whose every value has been escaped.

    `forms_to` is an origin that its forms may lead to besides our own.
    """
    text = (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style>"
        f"<main><h1>{escape(title)}</h1>{body}</main></html>"
    )
    policy = f"{_POLICY} {forms_to}".strip()
    return HTMLResponse(text, status, {**_HEADERS, "Content-Security-Policy": policy})


def welcome(who: Reviewer, csrf: str) -> HTMLResponse:
    """Who is signed in, with the way out."""
    since = f"{who.signed_in_at:%Y-%m-%d %H:%M} UTC" if who.signed_in_at else "unknown"
    facts = (("Name", who.name), ("Roles", ", ".join(sorted(who.roles))), ("Signed in", since))
    rows = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in facts)
    return page(
        "You are signed in",
        f'<dl>{rows}</dl><form method="post" action="/sign-out">'
        f'<input type="hidden" name="csrf" value="{escape(csrf)}">'
        "<button>Sign out</button>"
        '<a class="button plain" href="/sign-in?step_up=true">Sign in again</a></form>',
    )


def message(title: str, lines: Sequence[str], status: int, *, again: bool = True) -> HTMLResponse:
    """Something to read, with a way to sign in."""
    said = "".join(f"<p>{escape(line)}</p>" for line in lines)
    link = '<a class="button" href="/sign-in">Sign in</a>' if again else ""
    return page(title, said + link, status)


def signed_out() -> HTMLResponse:
    """After the end of a session."""
    return message(
        "You are signed out", ["The session has ended here and everywhere it was open."], 200
    )


def not_on_the_list() -> HTMLResponse:
    """The provider knows the person, and we do not."""
    lines = [
        "You signed in, but you are not on the list of people who may work here.",
        "Ask the operator to add you with the issuer and the subject of your account.",
    ]
    return message("You cannot work here", lines, 403)


def failed() -> HTMLResponse:
    """The same for everything that may be wrong with an answer: it tells an attacker nothing."""
    lines = ["The sign-in took too long, was opened twice, or was changed on its way. Begin again."]
    return message("You are not signed in", lines, 400)


def not_anew() -> HTMLResponse:
    """The provider did not have the person authenticate."""
    lines = [
        "The identity provider did not ask who you are: it went by a sign-in from before.",
        "Sign out there or close all windows of the browser, then sign in here again. If it stays"
        " so, tell the operator that the provider has to honour prompt=login.",
    ]
    return message("You are not signed in", lines, 400)


def away() -> HTMLResponse:
    """The provider cannot be reached, or its answer makes no sense."""
    lines = ["The identity provider does not answer at the moment. Try again in a minute."]
    return message("You are not signed in", lines, 503)


def nowhere() -> HTMLResponse:
    """No provider is set up."""
    lines = ["No identity provider is set up here (WISER_PEOPLE_ISSUER), so nobody can sign in."]
    return message("Nobody signs in here", lines, 404, again=False)


def bad_return() -> HTMLResponse:
    """`return_to` leads away from us."""
    lines = ["return_to is a path of this server, such as /sign-in/welcome."]
    return message("You are not signed in", lines, 400)
