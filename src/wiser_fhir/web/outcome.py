"""OperationOutcome, the one shape in which a FHIR route refuses."""

from collections.abc import Iterable, Mapping
from typing import Any

import orjson
from starlette.responses import Response

from wiser_fhir.errors import Problem

FHIR_JSON = "application/fhir+json"


def operation_outcome(problems: Iterable[Problem]) -> dict[str, Any]:
    """One OperationOutcome with every problem as an issue.

    Source: PAS 2.2.1 §spec-35.
    """
    return {"resourceType": "OperationOutcome", "issue": [_issue(each) for each in problems]}


def _issue(problem: Problem) -> dict[str, Any]:
    issue: dict[str, Any] = {
        "severity": problem.severity,
        "code": problem.code,
        "details": {"text": problem.text},
    }
    if problem.expression:
        issue["expression"] = [problem.expression]
    return issue


class FhirResponse(Response):
    """A resource as JSON. Bytes are sent as they stand."""

    media_type = FHIR_JSON

    def __init__(
        self,
        content: bytes | Mapping[str, Any],
        status_code: int = 200,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        body = content if isinstance(content, bytes) else orjson.dumps(content)
        super().__init__(body, status_code, headers=headers)
