"""The DTR door's routes, for both lines.

Every operation answers below its type and at the base alike: the guides' OperationDefinitions name
the type, their prose and the CapabilityStatement of 2.0 the base.
"""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request

from wiser_fhir.auth.principal import Principal
from wiser_fhir.dtr.asking import ask_next
from wiser_fhir.dtr.door import DtrDoor
from wiser_fhir.dtr.items import DTR, SDC
from wiser_fhir.fhir.codes import CANONICAL_BASE, Line
from wiser_fhir.fhir.elements import Json
from wiser_fhir.priorauth.service import Caller
from wiser_fhir.web.body import read_json
from wiser_fhir.web.openapi import parameters_operation
from wiser_fhir.web.outcome import FHIR_JSON, FhirResponse
from wiser_fhir.web.principal import require

_OPERATION = (400, 401, 403, 406, 413, 415, 422, 500, 503)
_NEXT_QUESTION = (400, 401, 403, 406, 413, 415, 500, 503)
_NEXT_QUESTION_DEFINED: dict[Line, str] = {
    "2.2": DTR + "dtr-next-question-input-parameters",
    "2.0": SDC + "parameters-questionnaire-next-question-in",
}
_PACKAGE_INPUT = DTR + "dtr-qpackage-input-parameters"
_CPT = "http://www.ama-assn.org/go/cpt"


def router_for(line: Line) -> APIRouter:
    """The routes of one line, to be mounted at its base path."""
    router = APIRouter(tags=["DTR"])
    _add_package(router, line)
    _add_next_question(router, line)
    return router


def _add_package(router: APIRouter, line: Line) -> None:
    """Source: DTR 2.2.0 and 2.0.1, OperationDefinition questionnaire-package."""
    described = parameters_operation(
        "Parameters", _OPERATION, _PACKAGE_INPUT, _package_examples(line)
    )
    if line == "2.0":
        # One package alone, and the outcome without any, go out bare: `package` says why.
        schema = described["responses"][200]["content"][FHIR_JSON]["schema"]
        schema["properties"]["resourceType"] = {
            "enum": ["Parameters", "Bundle", "OperationOutcome"]
        }

    @router.post("/Questionnaire/$questionnaire-package", name=f"package-{line}", **described)
    @router.post("/$questionnaire-package", name=f"package-at-base-{line}", **described)
    async def questionnaire_package(
        request: Request,
        dtr: Annotated[DtrDoor, Depends(_door_of(line))],
        caller: Annotated[Principal, Depends(require("system/Questionnaire.rs"))],
    ) -> FhirResponse:
        """The forms that orders, a context or canonicals ask for, each with all it needs."""
        body, resource = await read_json(request)
        who = Caller(principal=caller, request_id=request.state.request_id)
        return FhirResponse(await dtr.package(who, resource, len(body)))


def _add_next_question(router: APIRouter, line: Line) -> None:
    """Source: DTR 2.2.0, OperationDefinition DTR-Questionnaire-next-question; on line 2.0 that of
    SDC 3.0.0. `next_question` says why the answer stands bare."""
    described = parameters_operation(
        "QuestionnaireResponse", _NEXT_QUESTION, _NEXT_QUESTION_DEFINED[line], _first_call(line)
    )

    @router.post("/Questionnaire/$next-question", name=f"next-question-{line}", **described)
    @router.post("/$next-question", name=f"next-question-at-base-{line}", **described)
    async def next_question(
        request: Request,
        dtr: Annotated[DtrDoor, Depends(_door_of(line))],
        caller: Annotated[Principal, Depends(require("system/Questionnaire.rs"))],
    ) -> FhirResponse:
        """A response to an adaptive form, bare or in Parameters, with what is to be asked next."""
        body, resource = await read_json(request)
        who = Caller(principal=caller, request_id=request.state.request_id)
        return FhirResponse(await ask_next(dtr, who, body, resource))


def _door_of(line: Line) -> Callable[[Request], Awaitable[DtrDoor]]:
    async def door(request: Request) -> DtrDoor:
        found: DtrDoor = request.app.state.dtr[line]
        return found

    return door


def _package_examples(line: Line) -> dict[str, Any]:
    coverage: Json = {
        "resourceType": "Coverage",
        "id": "coverage-1",
        "status": "active",
        "subscriberId": "1EG4TE5MK73",
        "beneficiary": {"reference": "Patient/patient-1"},
        "payor": [{"display": "Medicare"}],
    }
    order: Json = {
        "resourceType": "ServiceRequest",
        "id": "order-1",
        "status": "draft",
        "intent": "order",
        "code": {"coding": [{"system": _CPT, "code": "64483"}]},
        "subject": {"reference": "Patient/patient-1"},
    }
    canonical = f"{CANONICAL_BASE[line]}/Questionnaire/epidural-steroid-injection"
    about = {"name": "coverage", "resource": coverage}
    return {
        "by-order": _parameters(about, {"name": "order", "resource": order}),
        "by-form": _parameters(about, {"name": "questionnaire", "valueCanonical": canonical}),
    }


def _first_call(line: Line) -> dict[str, Any]:
    canonical = f"{CANONICAL_BASE[line]}/Questionnaire/cervical-fusion-adaptive"
    response: Json = {
        "resourceType": "QuestionnaireResponse",
        "questionnaire": canonical,
        "status": "in-progress",
        "subject": {"reference": "Patient/patient-1"},
    }
    return {"first-call": _parameters({"name": "questionnaire-response", "resource": response})}


def _parameters(*given: Json) -> Json:
    return {"resourceType": "Parameters", "parameter": list(given)}
