"""Resources that nobody has validated, made safe to read.

What an EHR puts into prefetch, or answers to a query, may be wrong in any way. `readable` gives a
copy of a resource that holds only elements we read, each of its right JSON type; what is not is
as if it were absent. So a reader needs no care of its own, and one bad element costs only itself.
Source: CRD 2.2.1 §found-33, §found-34.
"""

from collections.abc import Mapping
from typing import Any, TypeAlias

from wiser_fhir.fhir.elements import Json

Shape: TypeAlias = "type | list[Shape] | Mapping[str, Shape]"

_PERIOD: Shape = {"start": str, "end": str}
_CODING: Shape = {"system": str, "code": str, "display": str}
_PLAIN_CONCEPT: Shape = {"coding": [_CODING], "text": str}
_VALUE: Shape = {
    "url": str,
    "valueCode": str,
    "valueString": str,
    "valueCoding": _CODING,
    "valueCodeableConcept": _PLAIN_CONCEPT,
    "valueReference": {"reference": str, "type": str, "display": str},
}
_CONCEPT: Shape = {"coding": [_CODING], "text": str, "extension": [_VALUE]}
_IDENTIFIER: Shape = {"use": str, "type": _PLAIN_CONCEPT, "system": str, "value": str}
_REFERENCE: Shape = {
    "reference": str,
    "type": str,
    "identifier": _IDENTIFIER,
    "display": str,
    "extension": [_VALUE],
}
_QUANTITY: Shape = {"value": float, "unit": str, "system": str, "code": str}
_ADDRESS: Shape = {
    "use": str,
    "line": [str],
    "city": str,
    "state": str,
    "postalCode": str,
    "country": str,
}
_NAME: Shape = {"use": str, "text": str, "family": str, "given": [str], "suffix": [str]}
_TELECOM: Shape = {"system": str, "value": str, "use": str}
_TIMING: Shape = {"event": [str], "repeat": {"boundsPeriod": _PERIOD}}

_EVERY: dict[str, Shape] = {
    "resourceType": str,
    "id": str,
    "status": str,
    "active": bool,
    "extension": [_VALUE],
    "identifier": [_IDENTIFIER],
    "subject": _REFERENCE,
    "patient": _REFERENCE,
}
_ORDER: dict[str, Shape] = {
    **_EVERY,
    "intent": str,
    "priority": str,
    "doNotPerform": bool,
    "basedOn": [_REFERENCE],
    "category": [_CONCEPT],
    "encounter": _REFERENCE,
    "authoredOn": str,
    "occurrenceDateTime": str,
    "occurrencePeriod": _PERIOD,
    "occurrenceTiming": _TIMING,
    "requester": _REFERENCE,
    "reasonCode": [_CONCEPT],
    "reasonReference": [_REFERENCE],
}

SHAPES: Mapping[str, Mapping[str, Shape]] = {
    "Patient": {
        **_EVERY,
        "name": [_NAME],
        "birthDate": str,
        "gender": str,
        "deceasedBoolean": bool,
        "deceasedDateTime": str,
        "address": [_ADDRESS],
        "telecom": [_TELECOM],
    },
    "Coverage": {
        **_EVERY,
        "type": _CONCEPT,
        "subscriberId": str,
        "subscriber": _REFERENCE,
        "policyHolder": _REFERENCE,
        "beneficiary": _REFERENCE,
        "relationship": _CONCEPT,
        "dependent": str,
        "period": _PERIOD,
        "payor": [_REFERENCE],
        "class": [{"type": _CONCEPT, "value": str, "name": str}],
        "order": int,
        "network": str,
    },
    "Organization": {
        **_EVERY,
        "type": [_CONCEPT],
        "name": str,
        "address": [_ADDRESS],
        "telecom": [_TELECOM],
        "partOf": _REFERENCE,
    },
    "Practitioner": {**_EVERY, "name": [_NAME], "address": [_ADDRESS], "telecom": [_TELECOM]},
    "PractitionerRole": {
        **_EVERY,
        "practitioner": _REFERENCE,
        "organization": _REFERENCE,
        "location": [_REFERENCE],
        "code": [_CONCEPT],
        "specialty": [_CONCEPT],
        "telecom": [_TELECOM],
    },
    "Location": {
        **_EVERY,
        "name": str,
        "type": [_CONCEPT],
        "address": _ADDRESS,
        "managingOrganization": _REFERENCE,
        "partOf": _REFERENCE,
    },
    "Condition": {
        **_EVERY,
        "clinicalStatus": _CONCEPT,
        "verificationStatus": _CONCEPT,
        "code": _CONCEPT,
    },
    "Medication": {**_EVERY, "code": _CONCEPT},
    "Device": {**_EVERY, "type": _CONCEPT},
    "Task": {
        **_EVERY,
        "focus": _REFERENCE,
        "for": _REFERENCE,
        "owner": _REFERENCE,
        "location": _REFERENCE,
        "executionPeriod": _PERIOD,
        "restriction": {"period": _PERIOD, "repetitions": int},
    },
    "Encounter": {
        **_EVERY,
        "class": _CODING,
        "type": [_CONCEPT],
        "serviceType": _CONCEPT,
        "priority": _CONCEPT,
        "period": _PERIOD,
        "basedOn": [_REFERENCE],
        "appointment": [_REFERENCE],
        "participant": [{"type": [_CONCEPT], "individual": _REFERENCE}],
        "reasonCode": [_CONCEPT],
        "reasonReference": [_REFERENCE],
        "diagnosis": [{"condition": _REFERENCE}],
        "location": [{"location": _REFERENCE, "status": str}],
        "serviceProvider": _REFERENCE,
    },
    "Appointment": {
        **_EVERY,
        "serviceCategory": [_CONCEPT],
        "serviceType": [_CONCEPT],
        "specialty": [_CONCEPT],
        "appointmentType": _CONCEPT,
        "basedOn": [_REFERENCE],
        "reasonCode": [_CONCEPT],
        "reasonReference": [_REFERENCE],
        "start": str,
        "end": str,
        "requestedPeriod": [_PERIOD],
        "participant": [{"type": [_CONCEPT], "actor": _REFERENCE}],
    },
    "ServiceRequest": {
        **_ORDER,
        "code": _CONCEPT,
        "orderDetail": [_CONCEPT],
        "quantityQuantity": _QUANTITY,
        "performer": [_REFERENCE],
        "locationCode": [_CONCEPT],
        "locationReference": [_REFERENCE],
    },
    "DeviceRequest": {
        **_ORDER,
        "codeCodeableConcept": _CONCEPT,
        "codeReference": _REFERENCE,
        "performer": _REFERENCE,
    },
    "MedicationRequest": {
        **_ORDER,
        "medicationCodeableConcept": _CONCEPT,
        "medicationReference": _REFERENCE,
        "performer": _REFERENCE,
        "dispenseRequest": {"quantity": _QUANTITY, "performer": _REFERENCE},
    },
    "NutritionOrder": {
        **_ORDER,
        "orderer": _REFERENCE,
        "oralDiet": {"type": [_CONCEPT]},
        "supplement": [{"type": _CONCEPT}],
        "enteralFormula": {"baseFormulaType": _CONCEPT},
    },
    "VisionPrescription": {
        **_ORDER,
        "prescriber": _REFERENCE,
        "lensSpecification": [{"product": _CONCEPT}],
    },
    "CommunicationRequest": {**_ORDER, "payload": [{"extension": [_VALUE]}]},
}


def readable(resource: Any) -> Json | None:
    """A copy of a resource with what is well shaped; None for what is no resource at all.

    Of a resource of another type than those above only what all have in common is kept. Contained
    resources are read the same way, one level deep, as FHIR has them.
    """
    view = _one(resource)
    if view is None:
        return None
    contained = resource.get("contained")
    inner = [_one(each) for each in contained] if isinstance(contained, list) else []
    view["contained"] = [each for each in inner if each is not None]
    return view


def _one(resource: Any) -> Json | None:
    kind = resource.get("resourceType") if isinstance(resource, dict) else None
    if not (isinstance(kind, str) and kind.strip()):
        return None
    view: Json = shaped(resource, SHAPES.get(kind, _EVERY)) or {}
    return view


def shaped(value: Any, shape: Shape) -> Any:
    """What of a JSON value fits a shape: None where nothing does, and for what is empty."""
    if isinstance(shape, Mapping):
        if not isinstance(value, dict):
            return None
        fitting = ((key, shaped(value[key], inner)) for key, inner in shape.items() if key in value)
        return {key: inner for key, inner in fitting if inner is not None} or None
    if isinstance(shape, list):
        if not isinstance(value, list):
            return None
        return [fit for each in value if (fit := shaped(each, shape[0])) is not None] or None
    if shape is str:
        return value if isinstance(value, str) and value.strip() else None
    if shape is bool:
        return value if isinstance(value, bool) else None
    numbers = (int, float) if shape is float else (int,)
    return value if isinstance(value, numbers) and not isinstance(value, bool) else None
