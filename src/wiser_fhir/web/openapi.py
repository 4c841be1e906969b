"""How a FHIR route, which reads its body raw, is described to clients that read OpenAPI."""

import html
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.requests import Request
from starlette.responses import HTMLResponse

from wiser_fhir.resources import resource_path
from wiser_fhir.web.outcome import FHIR_JSON

_BEARER = "bearer"
_CDS = "cds-hooks-jwt"
_JSON = "application/json"
_FORM = "application/x-www-form-urlencoded"
_REFUSALS = {
    400: "Not readable, or not valid FHIR R4.",
    401: "No live bearer token.",
    403: "The token's scopes do not cover this.",
    404: "No such resource, or another organization's.",
    406: "Only JSON is sent.",
    409: "Contradicts what is stored, as the same identifier with another content does.",
    413: "Too large.",
    415: "Only JSON is read.",
    422: "Valid FHIR R4 that breaks a profile or a rule of the operation.",
    429: "Too much from one caller in a short time; Retry-After tells when to come again.",
    500: "A failure of ours; empty.",
    503: "Away for a moment; empty, with Retry-After.",
}
_OUTCOME = {
    "type": "object",
    "required": ["resourceType", "issue"],
    "properties": {
        "resourceType": {"const": "OperationOutcome"},
        "issue": {"type": "array", "minItems": 1, "items": {"type": "object"}},
    },
}
_PARAMETERS = {
    "type": "object",
    "required": ["resourceType", "parameter"],
    "properties": {
        "resourceType": {"const": "Parameters"},
        "parameter": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["name"],
                "properties": {"name": {"type": "string"}, "resource": {"type": "object"}},
            },
        },
    },
}
_SYSTEM_VALUE = {
    "type": "object",
    "required": ["system", "value"],
    "properties": {"system": {"type": "string", "format": "uri"}, "value": {"type": "string"}},
}


def bundle_schema(first: str) -> dict[str, Any]:
    """The slim shape of a request Bundle whose first entry is a `first`. The profile says more."""
    resource = {
        "type": "object",
        "required": ["resourceType"],
        "properties": {"resourceType": {"type": "string", "pattern": "^[A-Z][A-Za-z]+$"}},
    }
    entry = {
        "type": "object",
        "required": ["fullUrl", "resource"],
        "properties": {"fullUrl": {"type": "string", "format": "uri"}, "resource": resource},
    }
    return {
        "type": "object",
        "description": f"A collection whose first entry is a {first}.",
        "required": ["resourceType", "identifier", "type", "timestamp", "entry"],
        "properties": {
            "resourceType": {"const": "Bundle"},
            "identifier": _SYSTEM_VALUE,
            "type": {"const": "collection"},
            "timestamp": {"type": "string", "format": "date-time"},
            "entry": {"type": "array", "minItems": 1, "items": entry},
        },
    }


def fhir_operation(
    answer: str, statuses: Sequence[int], profile: str, examples: Sequence[str]
) -> dict[str, Any]:
    """Arguments for `router.post` on an operation that takes a Bundle in its raw body.

    `answer` is the resource type of the 200, `profile` the canonical of the request,
    `examples` file names below `examples/`.
    """
    shown = {
        name.removesuffix(".json"): {"value": orjson.loads(_example(name))} for name in examples
    }
    content = {
        "schema": bundle_schema("Claim"),
        "examples": shown,
    }
    return {
        **fhir_answer(answer, statuses),
        "openapi_extra": {
            "security": [{_BEARER: []}],
            "externalDocs": {"url": profile, "description": "Profile of the request"},
            "requestBody": {"required": True, "content": {FHIR_JSON: content}},
        },
    }


def parameters_operation(
    answer: str, statuses: Sequence[int], profile: str, examples: Mapping[str, Any]
) -> dict[str, Any]:
    """Arguments for `router.post` on an operation that takes a Parameters resource.

    `answer` is the resource type of the 200, `profile` what defines the request, `examples` bodies
    by what they show.
    """
    shown = {name: {"value": body} for name, body in examples.items()}
    content = {"schema": _PARAMETERS, "examples": shown}
    return {
        **fhir_answer(answer, statuses),
        "openapi_extra": {
            "security": [{_BEARER: []}],
            "externalDocs": {"url": profile, "description": "Definition of the request"},
            "requestBody": {"required": True, "content": {FHIR_JSON: content}},
        },
    }


def fhir_query(answer: str, statuses: Sequence[int], names: Iterable[str]) -> dict[str, Any]:
    """Arguments for `router.get` on what is asked by a query: a search, or an operation."""
    described = fhir_answer(answer, statuses)
    described["openapi_extra"]["parameters"] = [
        {"name": name, "in": "query", "schema": {"type": "string"}} for name in names
    ]
    return described


def fhir_form(answer: str, statuses: Sequence[int], names: Iterable[str]) -> dict[str, Any]:
    """Arguments for `router.post` on a search that is sent as a form."""
    described = fhir_answer(answer, statuses)
    fields = {name: {"type": "string"} for name in names}
    content = {_FORM: {"schema": {"type": "object", "properties": fields}}}
    described["openapi_extra"]["requestBody"] = {"content": content}
    return described


def fhir_answer(answer: str, statuses: Sequence[int]) -> dict[str, Any]:
    """Arguments for `router.get` on a FHIR interaction that sends one resource.

    `answer` is its type, or such as `Bundle or Parameters`.
    """
    resource = {"type": "object", "properties": {"resourceType": {"enum": answer.split(" or ")}}}
    return {
        "response_model": None,
        "responses": {
            200: {"description": f"A {answer}.", "content": {FHIR_JSON: {"schema": resource}}},
            **_refusals(statuses),
        },
        "openapi_extra": {"security": [{_BEARER: []}]},
    }


_HOOK = {
    "type": "object",
    "required": ["hook", "hookInstance", "context"],
    "properties": {
        "hook": {"type": "string"},
        "hookInstance": {"type": "string", "format": "uuid"},
        "fhirServer": {"type": "string", "format": "uri"},
        "fhirAuthorization": {"type": "object"},
        "context": {"type": "object"},
        "prefetch": {"type": "object"},
        "extension": {"type": "object"},
    },
}
_FEEDBACK = {
    "type": "object",
    "required": ["feedback"],
    "properties": {"feedback": {"type": "array", "minItems": 1, "items": {"type": "object"}}},
}


def hook_operation(statuses: Sequence[int], examples: Sequence[str]) -> dict[str, Any]:
    """Arguments for `router.post` on a CDS Hooks service. `examples` lie below `examples/`."""
    return _json_operation("Cards and system actions.", statuses, _HOOK, examples)


def feedback_operation(statuses: Sequence[int]) -> dict[str, Any]:
    """Arguments for `router.post` on the feedback endpoint of a CDS Hooks service."""
    return _json_operation("Kept.", statuses, _FEEDBACK, ())


def _json_operation(
    answer: str, statuses: Sequence[int], schema: dict[str, Any], examples: Sequence[str]
) -> dict[str, Any]:
    shown = {
        name.rpartition("/")[2].removesuffix(".json"): {"value": orjson.loads(_example(name))}
        for name in examples
    }
    content = {"schema": schema, **({"examples": shown} if shown else {})}
    described = json_answer(answer, statuses)
    described["openapi_extra"] = {
        "security": [{_CDS: []}],
        "requestBody": {"required": True, "content": {_JSON: content}},
    }
    return described


def json_answer(answer: str, statuses: Sequence[int]) -> dict[str, Any]:
    """Arguments for a route that sends one JSON object that is no resource."""
    sent = {"description": answer, "content": {_JSON: {"schema": {"type": "object"}}}}
    return {"response_model": None, "responses": {200: sent, **_refusals(statuses)}}


def person_operation(refusals: Mapping[int, str]) -> dict[str, Any]:
    """Arguments for a route that takes a person's or a client's token; its refusals in words."""
    described = {status: _refusal(status, text) for status, text in refusals.items()}
    described.setdefault(429, _refusal(429))
    return {"responses": described, "openapi_extra": {"security": [{_BEARER: []}]}}


def _refusals(statuses: Sequence[int]) -> dict[int, dict[str, Any]]:
    """What a route refuses with; whoever must show who it is may also come too often."""
    limited = (429,) if 401 in statuses else ()
    return {status: _refusal(status) for status in sorted({*statuses, *limited})}


def _refusal(status: int, text: str | None = None) -> dict[str, Any]:
    described: dict[str, Any] = {"description": text or _REFUSALS[status]}
    if status < 500:
        described["content"] = {FHIR_JSON: {"schema": _OUTCOME}}
    return described


def _example(name: str) -> bytes:
    return (resource_path("examples") / name).read_bytes()


def describe_security(app: FastAPI) -> None:
    """Add to the application's OpenAPI document what callers show: bearer tokens, JWTs of hooks."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = get_openapi(
                title=app.title,
                version=app.version,
                description=app.description,
                routes=app.routes,
            )
            schemes = schema.setdefault("components", {}).setdefault("securitySchemes", {})
            schemes[_BEARER] = {"type": "http", "scheme": "bearer"}
            schemes[_CDS] = {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
            app.openapi_schema = schema
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def docs_page(request: Request) -> HTMLResponse:
    """The OpenAPI document as a page of our own: no script, nothing loaded from elsewhere."""
    schema = request.app.openapi()
    sections = "".join(
        _section(method, path, operation)
        for path, operations in schema["paths"].items()
        for method, operation in operations.items()
    )
    title = html.escape(schema["info"]["title"])
    page = (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{title}</title>"
        f"<style>{_STYLE}</style><h1>{title}</h1>"
        f"<p>{html.escape(schema['info'].get('description', ''))}"
        f" The same for machines: <a href=/openapi.json>/openapi.json</a>.</p>{sections}"
    )
    policy = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
    return HTMLResponse(page, headers={"Content-Security-Policy": policy})


_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "pre{background:#f4f4f4;padding:1rem;overflow:auto;max-height:30rem}"
    "h2{font-size:1.1rem;margin-top:2rem}"
)


def _section(method: str, path: str, operation: dict[str, Any]) -> str:
    answers = "".join(
        f"<li>{html.escape(status)}: {html.escape(answer['description'])}"
        for status, answer in operation.get("responses", {}).items()
    )
    contents = operation.get("requestBody", {}).get("content", {}).values()
    examples = "".join(
        f"<details><summary>Example: {html.escape(name)}</summary>"
        f"<pre>{html.escape(json.dumps(example['value'], indent=2))}</pre></details>"
        for content in contents
        for name, example in content.get("examples", {}).items()
    )
    text = html.escape(operation.get("description", operation.get("summary", "")))
    heading = html.escape(f"{method.upper()} {path}")
    return f"<h2>{heading}</h2><p>{text}</p><ul>{answers}</ul>{examples}"
