"""Which CRD profile a resource of a hook's request or answer has to meet, and whether it does.

Two judges are asked: our validator and HL7's engine. The profile per type is that of the public
conformance suite, for 2.2 with the guide's own split of Appointment and its own Medication.
"""

import copy
from collections.abc import Sequence
from functools import cache
from typing import Any

from tests.oracle.judge import Issue, Judge, Line
from wiser_fhir.fhir.validation.validator import GuideValidator

Json = dict[str, Any]

CRD = "http://hl7.org/fhir/us/davinci-crd/StructureDefinition/"
COVERAGE_INFORMATION = CRD + "ext-coverage-information"
_CORE = "http://hl7.org/fhir/us/core/StructureDefinition/"
_BASE = "http://hl7.org/fhir/StructureDefinition/"
# Any base does: it only has to be the same for all, so that relative references lead somewhere.
_SERVER = "https://ehr.sandbox.example/fhir/"

_OWN = (
    "CommunicationRequest",
    "Coverage",
    "Device",
    "DeviceRequest",
    "Encounter",
    "Location",
    "MedicationRequest",
    "NutritionOrder",
    "Organization",
    "Patient",
    "Practitioner",
    "ServiceRequest",
    "VisionPrescription",
)
# CRD 2.0.1 lists the extension in these profiles and forgot them in the extension's own context,
# which igs/packages.toml puts right for our validator and the suite leaves out for Appointment.
_FORGOTTEN = ("Appointment", "VisionPrescription")


def profile(resource: Json, line: Line) -> str | None:
    """The profile that a resource is held to; None for a type that CRD says nothing of."""
    kind = resource["resourceType"]
    if kind in _OWN:
        return f"{CRD}profile-{kind.lower()}"
    if kind == "Appointment":
        order = "with" if resource.get("basedOn") else "no"
        return f"{CRD}profile-appointment" + (f"-{order}-order" if line == "2.2" else "")
    if kind == "Task" and _is_questionnaire_task(resource):
        return f"{CRD}profile-taskquestionnaire"
    if kind == "Task" and line == "2.2":
        return f"{CRD}profile-task-dispatch"
    if kind == "Medication":
        return f"{CRD}profile-medication" if line == "2.2" else f"{_CORE}us-core-medication"
    return f"{_CORE}us-core-practitionerrole" if kind == "PractitionerRole" else None


def our_errors(resource: Json, line: Line, at_hand: Sequence[Json] = ()) -> list[str]:
    """What our validator finds wrong with a resource.

    `at_hand` is what its references lead to, where a profile asks what those are: that of an
    Appointment in 2.2 knows its participants by the profile that each one meets.
    """
    asked, wanted = _question(resource, line, at_hand)
    problems = _validator(line).problems(asked, wanted)
    assert _validator(line).accepts(asked, wanted) == (not _errors(problems)), (
        "our two paths differ"
    )
    return [f"{p.expression}: {p.text}" for p in _errors(problems) if _is_of(p.expression, at_hand)]


def engine_errors(
    judge: Judge, resource: Json, line: Line, at_hand: Sequence[Json] = ()
) -> list[str]:
    """What HL7's engine finds wrong with it, but for the extension's context in 2.0."""
    asked, wanted = _question(resource, line, at_hand)
    issues = [issue for issue in judge.validate(asked, line, wanted) if issue.is_error]
    return [
        f"{issue.expression}: {issue.text} [{issue.id}]"
        for issue in issues
        if _is_of(issue.expression, at_hand) and not _is_forgotten_context(issue, resource, line)
    ]


def errors(judge: Judge, resource: Json, line: Line, at_hand: Sequence[Json] = ()) -> list[str]:
    """What either judge finds wrong with a resource."""
    ours = [f"ours: {text}" for text in our_errors(resource, line, at_hand)]
    return ours + [f"HL7: {text}" for text in engine_errors(judge, resource, line, at_hand)]


def _question(resource: Json, line: Line, at_hand: Sequence[Json]) -> tuple[Json, str]:
    """The resource and its profile, or a Bundle whose first entry claims it."""
    wanted = profile(resource, line) or _BASE + resource["resourceType"]
    if not at_hand:
        return resource, wanted
    claiming = copy.deepcopy(resource)
    claiming["meta"] = {**claiming.get("meta", {}), "profile": [wanted]}
    together = {_name(one): one for one in (claiming, *at_hand)} | {_name(claiming): claiming}
    entries = [{"fullUrl": _SERVER + name, "resource": one} for name, one in together.items()]
    return {"resourceType": "Bundle", "type": "collection", "entry": entries}, _BASE + "Bundle"


def _name(resource: Json) -> str:
    return f"{resource['resourceType']}/{resource['id']}"


def _is_of(expression: str | None, at_hand: Sequence[Json]) -> bool:
    """Whether a problem is the resource's own and not one of its companions'."""
    own = "Bundle.entry[0]."
    return not at_hand or f"{expression}.".startswith(own) or "entry" not in (expression or "")


def _is_forgotten_context(issue: Issue, resource: Json, line: Line) -> bool:
    return (
        line == "2.0"
        and resource["resourceType"] in _FORGOTTEN
        and issue.id == "Extension_EXTP_Context_Wrong"
        and f"The extension {COVERAGE_INFORMATION} is not allowed" in issue.text
    )


def _is_questionnaire_task(task: Json) -> bool:
    codings = task.get("code", {}).get("coding", ())
    return any(coding.get("code") == "complete-questionnaire" for coding in codings)


def _errors(problems: Sequence[Any]) -> list[Any]:
    return [problem for problem in problems if problem.severity == "error"]


@cache
def _validator(line: Line) -> GuideValidator:
    return GuideValidator.load(line)
