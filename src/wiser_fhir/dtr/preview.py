"""A form as a clinician's app would show it, for the people who write the rules.

The page is read-only for the server: it holds one Questionnaire and nothing else, no answer leaves
it, and its policy lets it fetch nothing. LHC-Forms renders it and runs enableWhen, so an author
can walk through; `?readonly` shows it without input.
"""

import html
import json
from collections.abc import Callable, Iterator
from datetime import date
from itertools import groupby
from pathlib import Path
from string import Template
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import HTMLResponse, Response
from starlette.staticfiles import StaticFiles

from wiser_fhir.auth.scopes import grants
from wiser_fhir.clock import Clock, business_date
from wiser_fhir.coverage.chart import ChartCodes, code_lists
from wiser_fhir.coverage.questions import Question
from wiser_fhir.dtr.forms import Form, Forms
from wiser_fhir.errors import Forbidden, NotFound
from wiser_fhir.fhir.codes import LINES, Line
from wiser_fhir.web.principal import authenticate

PATH = "/dtr/preview"
_PAGES = Path(__file__).parent / "pages"
_LFORMS = Path(__file__).parents[1] / "static" / "lforms"
_MOST_SHOWN = 8
_NEEDED = grants(["system/Questionnaire.rs"])
# LHC-Forms writes styles into its elements; it runs no text as code and fetches nothing here.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:;"
    " font-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_NOT_BUILT = "<p class='notice'>LHC-Forms is not built in: run <code>make pages</code>.</p>"


def router(forms: Callable[[Request], Forms], clock: Clock, *, open_to_all: bool) -> APIRouter:
    """The pages. Closed ones want a bearer token that may read Questionnaires."""
    routes = APIRouter(include_in_schema=False)
    caller = [Depends(_nobody if open_to_all else _signed_in)]

    @routes.get(PATH, dependencies=caller)
    async def index(request: Request) -> Response:
        """Every form there is today."""
        return _page("index.html", services="\n".join(_services(forms(request), _today(clock))))

    @routes.get(f"{PATH}/{{service}}", dependencies=caller)
    async def preview(
        service: str,
        request: Request,
        line: Annotated[Line, Query()] = "2.2",
        readonly: Annotated[str | None, Query(max_length=5)] = None,
    ) -> Response:
        """One form of a line. Raises NotFound."""
        found = forms(request).current(line, _today(clock))
        form = next((f for f in found if f.rules.slug == service and not f.adaptive), None)
        if form is None:
            raise NotFound("form")
        return _preview(form, readonly=readonly not in (None, "false"))

    return routes


class _Revalidated(StaticFiles):
    """Files that a browser may keep as long as it asks whether they are still the same."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        response = super().file_response(*args, **kwargs)
        response.headers["Cache-Control"] = "no-cache"
        return response


def static_files() -> dict[str, StaticFiles]:
    """What the pages load, by path: our own scripts and styles, and LHC-Forms where it is built."""
    return {
        f"{PATH}/pages": _Revalidated(directory=_PAGES),
        f"{PATH}/lforms": _Revalidated(directory=_LFORMS, check_dir=False),
    }


def _today(clock: Clock) -> date:
    return business_date(clock())


async def _nobody(request: Request) -> None:
    """The sandbox shows its forms to whoever looks."""


async def _signed_in(request: Request) -> None:
    principal = await authenticate(request)
    if not principal.may(_NEEDED):
        raise Forbidden("The token's scopes do not cover system/Questionnaire.rs.")


def _services(forms: Forms, today: date) -> Iterator[str]:
    """A line of the list for each service with a form today."""
    for form in forms.current(LINES[0], today):
        if form.adaptive:
            continue
        slug = html.escape(form.rules.slug)
        links = " · ".join(f'<a href="{PATH}/{slug}?line={line}">{line}</a>' for line in LINES)
        yield f"<li>{html.escape(form.rules.name)}: {links}</li>"


def _preview(form: Form, *, readonly: bool) -> Response:
    rules, slug = form.rules, html.escape(form.rules.slug)
    others = " · ".join(
        f'<a href="{PATH}/{slug}?line={line}">{line}</a>' for line in LINES if line != form.line
    )
    about = f"Line {form.line}, version {rules.version}. Nothing entered here is kept or sent."
    return _page(
        "preview.html",
        title=html.escape(rules.name),
        nav=f"also for line {others}",
        about=about + ("" if _LFORMS.is_dir() else f"</p>{_NOT_BUILT}<p>"),
        readonly=str(readonly).lower(),
        questionnaire=_data_block(form.questionnaire),
        rows="\n".join(_row(form, question) for question in rules.questions),
    )


def _data_block(value: object) -> str:
    """JSON that cannot end the element it stands in."""
    return json.dumps(value).replace("<", "\\u003c")


def _row(form: Form, question: Question) -> str:
    """Who answers a question, and what fills it."""
    if question.is_attestation:
        cells = ("the clinician", "")
    elif question.chart is None:
        cells = ("the clinician", html.escape(question.unfilled or ""))
    else:
        cells = (
            "the chart, else the clinician",
            html.escape("; ".join(_sources(form, question))) or "Patient",
        )
    text = f"{html.escape(question.text)} <code>{html.escape(question.id)}</code>"
    return f"<tr><td>{text}</td><td>{cells[0]}</td><td>{cells[1]}</td></tr>"


def _sources(form: Form, question: Question) -> Iterator[str]:
    if question.chart is None:
        return
    for name in dict.fromkeys(code_lists(question.chart)):
        entry = form.rules.chart_codes_by_name[name]
        yield f"{entry.title} ({'; '.join(_by_system(entry))})"


def _by_system(entry: ChartCodes) -> Iterator[str]:
    """The codes of a value set, those of a system together; of a long list the first ones."""
    for system, codes in groupby(entry.codes, key=lambda code: code.system):
        named = [code.code for code in codes]
        more = f" and {len(named) - _MOST_SHOWN} more" if len(named) > _MOST_SHOWN else ""
        yield f"{system} {', '.join(named[:_MOST_SHOWN])}{more}"


def _page(name: str, **words: str) -> Response:
    template = Template((_PAGES / name).read_text(encoding="utf-8"))
    headers = {"Content-Security-Policy": _POLICY}
    return HTMLResponse(template.substitute(words), headers=headers)
