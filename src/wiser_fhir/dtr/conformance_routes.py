"""Reading, searching and expanding what is published, and reporting errors of it, for one line.

Every operation answers below its type and at the base alike: the guides' OperationDefinitions name
the type, their CapabilityStatement of 2.0 the base.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from wiser_fhir.audit.recorder import AuditRow, Recorder
from wiser_fhir.auth.principal import Principal
from wiser_fhir.coverage.canonical import CANONICAL
from wiser_fhir.dtr.error_log import Kept
from wiser_fhir.dtr.expand import expand_request
from wiser_fhir.dtr.operations import Parameter, parameters, query_parameters
from wiser_fhir.dtr.published import Publications
from wiser_fhir.dtr.reading import KINDS, SEARCHED, Kind, is_strict, search_request
from wiser_fhir.errors import Problem, TooLarge
from wiser_fhir.fhir.codes import CANONICAL_BASE, Line
from wiser_fhir.fhir.elements import Json
from wiser_fhir.web.body import read_form, read_json
from wiser_fhir.web.openapi import fhir_answer, fhir_form, fhir_query, parameters_operation
from wiser_fhir.web.outcome import FhirResponse, operation_outcome
from wiser_fhir.web.principal import require

_READ = (401, 403, 404, 406, 500, 503)
_SEARCH = (400, 401, 403, 406, 500, 503)
_OPERATION = (400, 401, 403, 404, 406, 413, 415, 500, 503)
_MAX_PARAMETERS = 256 * 1024
_SEARCH_NAMES = (*SEARCHED, "_count", "_offset", "_summary")
_EXPAND_NAMES = ("url", "valueSetVersion", "filter", "count", "offset")
_EXPAND = "http://hl7.org/fhir/OperationDefinition/ValueSet-expand"
_REPORT = "http://hl7.org/fhir/us/davinci-dtr/StructureDefinition/dtr-log-errors-input-parameters"
_BECAME = {
    Kept.KEPT: "The report is kept for those who maintain the form. Free text is not kept.",
    Kept.REPEATED: "The same was reported before today; nothing was added.",
    Kept.FULL: "Too much was reported today; this was not kept.",
}


def router_for(line: Line) -> APIRouter:
    """The routes of one line, to be mounted at its base path."""
    router = APIRouter(tags=["DTR"])
    publications = Depends(_publications_of(line))
    _add_expand(router, line, publications)
    _add_expand_one(router, line, publications)
    _add_report(router, line, publications)
    for kind in KINDS:
        _add_search(router, line, kind, publications)
        _add_read(router, line, kind, publications)
    return router


def _add_search(router: APIRouter, line: Line, kind: Kind, publications: Any) -> None:
    """Source: FHIR R4, "Search"."""
    scope = f"system/{kind}.rs"
    by_query = fhir_query("Bundle", _SEARCH, _SEARCH_NAMES)
    by_form = fhir_form("Bundle", (*_SEARCH, 413, 415), _SEARCH_NAMES)

    @router.get(f"/{kind}", name=f"search-{kind}-{line}", **by_query)
    async def search(
        request: Request,
        published: Annotated[Publications, publications],
        caller: Annotated[Principal, Depends(require(scope))],
    ) -> FhirResponse:
        """Search what is published."""
        pairs = request.query_params.multi_items()
        return await _found(request, caller, published, kind, pairs)

    @router.post(f"/{kind}/_search", name=f"search-by-form-{kind}-{line}", **by_form)
    async def search_by_form(
        request: Request,
        published: Annotated[Publications, publications],
        caller: Annotated[Principal, Depends(require(scope, form=True))],
    ) -> FhirResponse:
        """Search what is published, without telling the address what for."""
        pairs = [*request.query_params.multi_items(), *await read_form(request)]
        return await _found(request, caller, published, kind, pairs)


def _add_read(router: APIRouter, line: Line, kind: Kind, publications: Any) -> None:
    may = Depends(require(f"system/{kind}.rs"))

    @router.get(f"/{kind}/{{name}}", name=f"read-{kind}-{line}", **fhir_answer(kind, _READ))
    async def read(
        name: str,
        request: Request,
        published: Annotated[Publications, publications],
        caller: Annotated[Principal, may],
    ) -> Response:
        """What is published under this id. A version never changes."""
        found = published.shelves[kind].read(name)
        headers = {"ETag": found.etag}
        unchanged = found.is_meant_by(request.headers.get("if-none-match"))
        outcome = "unchanged" if unchanged else "sent"
        await _record(request, caller, "dtr.read", outcome, kind, name)
        if unchanged:
            return Response(status_code=304, headers=headers)
        return FhirResponse(found.body, headers=headers)


def _add_expand(router: APIRouter, line: Line, publications: Any) -> None:
    """Of any value set, by its canonical.

    Source: DTR 2.2.0 §oper-4, §oper-5; FHIR R4, ValueSet $expand.
    """
    may = Depends(require("system/ValueSet.rs"))
    asked_by_body, asked_by_query = _expand_described()

    @router.post("/ValueSet/$expand", name=f"expand-{line}", **asked_by_body)
    @router.post("/$expand", name=f"expand-at-base-{line}", **asked_by_body)
    async def expand(
        request: Request,
        published: Annotated[Publications, publications],
        caller: Annotated[Principal, may],
    ) -> FhirResponse:
        """The active codes of a value set, by its canonical."""
        given = await _parameters(request)
        found = published.expand(expand_request(given, url_needed=True))
        return await _expanded(request, caller, found)

    @router.get("/ValueSet/$expand", name=f"expand-by-query-{line}", **asked_by_query)
    @router.get("/$expand", name=f"expand-by-query-at-base-{line}", **asked_by_query)
    async def expand_by_query(
        request: Request,
        published: Annotated[Publications, publications],
        caller: Annotated[Principal, may],
    ) -> FhirResponse:
        """The active codes of a value set, by its canonical."""
        given = query_parameters(request.query_params.multi_items())
        found = published.expand(expand_request(given, url_needed=True))
        return await _expanded(request, caller, found)


def _add_expand_one(router: APIRouter, line: Line, publications: Any) -> None:
    """Of one value set, by its id."""
    may = Depends(require("system/ValueSet.rs"))
    asked_by_body, asked_by_query = _expand_described()

    @router.post("/ValueSet/{name}/$expand", name=f"expand-one-{line}", **asked_by_body)
    async def expand_one(
        name: str,
        request: Request,
        published: Annotated[Publications, publications],
        caller: Annotated[Principal, may],
    ) -> FhirResponse:
        """The active codes of the value set with this id."""
        asked = expand_request(await _parameters(request), url_needed=False)
        return await _expanded(request, caller, published.expand_one(name, asked))

    @router.get("/ValueSet/{name}/$expand", name=f"expand-one-by-query-{line}", **asked_by_query)
    async def expand_one_by_query(
        name: str,
        request: Request,
        published: Annotated[Publications, publications],
        caller: Annotated[Principal, may],
    ) -> FhirResponse:
        """The active codes of the value set with this id."""
        given = query_parameters(request.query_params.multi_items())
        asked = expand_request(given, url_needed=False)
        return await _expanded(request, caller, published.expand_one(name, asked))


def _add_report(router: APIRouter, line: Line, publications: Any) -> None:
    """Source: DTR 2.2.0 §oper-1; DTR 2.0.1, log-questionnaire-errors."""
    described = parameters_operation(
        "OperationOutcome", _OPERATION, _REPORT, {"a-library-fails": _report_example(line)}
    )

    @router.post("/Questionnaire/$log-questionnaire-errors", name=f"report-{line}", **described)
    @router.post("/$log-questionnaire-errors", name=f"report-at-base-{line}", **described)
    async def report(
        request: Request,
        published: Annotated[Publications, publications],
        caller: Annotated[Principal, Depends(require("system/Questionnaire.rs"))],
    ) -> FhirResponse:
        """Report what is wrong with a form or its population logic. Free text is not kept."""
        given = await _parameters(request)
        kept = await published.report(caller, request.state.request_id, given)
        said = Problem("information", "informational", _BECAME[kept])
        return FhirResponse(operation_outcome([said]))


def _publications_of(line: Line) -> Callable[[Request], Awaitable[Publications]]:
    async def publications(request: Request) -> Publications:
        found: Publications = request.app.state.publications[line]
        return found

    return publications


async def _found(
    request: Request,
    caller: Principal,
    published: Publications,
    kind: Kind,
    pairs: Sequence[tuple[str, str]],
) -> FhirResponse:
    strict = is_strict(request.headers.getlist("prefer"))
    found = published.search(kind, search_request(pairs, strict=strict))
    await _record(request, caller, "dtr.search", "sent", kind)
    return FhirResponse(found)


async def _expanded(request: Request, caller: Principal, value_set: Json) -> FhirResponse:
    await _record(request, caller, "dtr.expand", "sent", "ValueSet", value_set["id"])
    return FhirResponse(value_set)


async def _record(
    request: Request,
    caller: Principal,
    action: str,
    outcome: str,
    kind: Kind,
    name: str | None = None,
) -> None:
    """Audit that something published was asked for. By which words is not kept: they may be a
    patient's. Raises Unavailable."""
    recorder: Recorder = request.app.state.recorder
    row = AuditRow(
        request_id=request.state.request_id,
        action=action,
        outcome=outcome,
        organization_id=caller.organization_id,
        client_id=caller.client_id,
        object_kind=kind.lower(),
        object_id=name,
    )
    await recorder.record(row)


async def _parameters(request: Request) -> tuple[Parameter, ...]:
    body, resource = await read_json(request)
    if len(body) > _MAX_PARAMETERS:
        raise TooLarge(f"The parameters are larger than {_MAX_PARAMETERS // 1024} KiB.")
    return parameters(resource)


def _expand_described() -> tuple[dict[str, Any], dict[str, Any]]:
    """What the interface description says of the operation by body, and by query."""
    by_body = parameters_operation("ValueSet", _OPERATION, _EXPAND, _expand_examples())
    return by_body, fhir_query("ValueSet", _OPERATION, _EXPAND_NAMES)


def _expand_examples() -> dict[str, Any]:
    url = f"{CANONICAL}/ValueSet/epidural-steroid-injection-procedures"
    by_url = {"name": "url", "valueUri": url}
    by_words = {"name": "filter", "valueString": "644"}
    return {
        "by-url": {"resourceType": "Parameters", "parameter": [by_url]},
        "by-words": {"resourceType": "Parameters", "parameter": [by_url, by_words]},
    }


def _report_example(line: Line) -> dict[str, Any]:
    canonical = f"{CANONICAL_BASE[line]}/Questionnaire/epidural-steroid-injection"
    issue = {"severity": "error", "code": "exception", "expression": ["Questionnaire.item"]}
    outcome = {"resourceType": "OperationOutcome", "issue": [issue]}
    return {
        "resourceType": "Parameters",
        "parameter": [
            {"name": "questionnaire", "valueCanonical": canonical},
            {"name": "operationOutcome", "resource": outcome},
        ],
    }
