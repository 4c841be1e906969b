"""What the unit tests of the PAS door share: a Bundle to change, and what is read of it."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from tests.bundles import Json, Line, request_bundle
from wiser_fhir.pas.request import RequestBundle
from wiser_fhir.pas.submission import submission
from wiser_fhir.priorauth.models import Answer, CompletedForm, Submission

ORGANIZATION = UUID("00000000-0000-4000-8000-000000000007")
RECEIVED = datetime(2026, 11, 20, 16, 0, tzinfo=UTC)
FORM = "https://wiser-fhir.example/fhir/Questionnaire/epidural-steroid-injection"
CODE_SYSTEM = "https://wiser-fhir.example/fhir/CodeSystem/epidural-steroid-injection"
ORIGIN = "http://hl7.org/fhir/us/davinci-dtr/StructureDefinition/information-origin"


def read(bundle: Json) -> Submission:
    """A Bundle as the core understands it."""
    return submission(RequestBundle.of(bundle), ORGANIZATION, RECEIVED)


def claim(bundle: Json) -> Json:
    """The Claim of a Bundle."""
    found: Json = bundle["entry"][0]["resource"]
    return found


def of_kind(bundle: Json, kind: str) -> Json:
    """The first resource of a type."""
    found: Json = next(
        e["resource"] for e in bundle["entry"] if e["resource"]["resourceType"] == kind
    )
    return found


def with_profile(bundle: Json, profile: str) -> Json:
    """The first resource that claims a profile, by the end of its name."""
    found: Json = next(
        e["resource"]
        for e in bundle["entry"]
        if any(p.endswith(profile) for p in e["resource"].get("meta", {}).get("profile", ()))
    )
    return found


def add(bundle: Json, resource: Json, full_url: str = "urn:uuid:added") -> Json:
    """Put a resource into a Bundle; the reference to it."""
    bundle["entry"].append({"fullUrl": full_url, "resource": resource})
    return {"reference": full_url}


def link(bundle: Json, resource: Json, full_url: str = "urn:uuid:linked") -> None:
    """Put a resource into a Bundle and point to it from Claim.supportingInfo."""
    reference = add(bundle, resource, full_url)
    claim(bundle).setdefault("supportingInfo", []).append(
        {"sequence": 99, "category": {"text": "any"}, "valueReference": reference}
    )


def a_response(bundle: Json, *items: Json, **elements: Any) -> Json:
    """A completed QuestionnaireResponse about the Claim's patient."""
    return {
        "resourceType": "QuestionnaireResponse",
        "questionnaire": f"{FORM}|2026-01-15",
        "status": "completed",
        "subject": claim(bundle)["patient"],
        "authored": "2026-11-19T15:00:00Z",
        "item": list(items),
        **elements,
    }


def form_of(*items: Json, line: Line = "2.2", **elements: Any) -> CompletedForm:
    """The one form of a request that carries these items."""
    bundle = request_bundle(line)
    link(bundle, a_response(bundle, *items, **elements))
    (form,) = read(bundle).forms
    return form


def answered(*answers: Json) -> Answer | None:
    """What is read of a question with these answers."""
    return form_of({"linkId": "q", "answer": list(answers)}).answers.get("q")
