"""Resources that nobody has validated, made safe to read.

What an EHR puts into prefetch, or answers to a query, may be wrong in any way. `readable` gives a
copy of a resource that holds only elements we read, each of its right JSON type; what is not is
as if it were absent. So a reader needs no care of its own, and one bad element costs only itself.
Source: CRD 2.2.1 §found-33, §found-34.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from wiser_fhir.fhir.elements import Json

MOST: Final = 64
"""Entries of a list that are read; the rest is as if it were absent. A reader may go through each
once for each of another, and a caller chooses how many there are."""

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
    "SupplyRequest": {
        **_ORDER,
        "itemCodeableConcept": _CONCEPT,
        "itemReference": _REFERENCE,
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
    inner = [_one(each) for each in contained[:MOST]] if isinstance(contained, list) else []
    view["contained"] = [each for each in inner if each is not None]
    return view


def _one(resource: Any) -> Json | None:
    kind = resource.get("resourceType") if isinstance(resource, dict) else None
    if not (isinstance(kind, str) and kind.strip()):
        return None
    view: Json = _READERS.get(kind, _READ_EVERY)(resource) or {}
    return view


_Reader: TypeAlias = "Callable[[Any], Any]"
"""What of a JSON value fits a shape: None where nothing does, and for what is empty."""


def _reader(shape: Shape) -> _Reader:
    """The reader of a shape. Made once, for a call has thousands of values."""
    if isinstance(shape, Mapping):
        return _object_reader({key: _reader(inner) for key, inner in shape.items()})
    if isinstance(shape, list):
        return _list_reader(_reader(shape[0]))
    if shape is str:
        return _text
    if shape is bool:
        return _truth
    return _number if shape is float else _integer


def _object_reader(readers: Mapping[str, _Reader]) -> _Reader:
    def read(value: Any) -> Any:
        if not isinstance(value, dict):
            return None
        found = {}
        for key, inner in value.items():
            reader = readers.get(key)
            if reader is not None and (fit := reader(inner)) is not None:
                found[key] = fit
        return found or None

    return read


def _list_reader(reader: _Reader) -> _Reader:
    def read(value: Any) -> Any:
        if not isinstance(value, list):
            return None
        return [fit for each in value[:MOST] if (fit := reader(each)) is not None] or None

    return read


def _text(value: Any) -> Any:
    return value if isinstance(value, str) and value.strip() else None


def _truth(value: Any) -> Any:
    return value if isinstance(value, bool) else None


def _number(value: Any) -> Any:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _integer(value: Any) -> Any:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


_READERS = {kind: _reader(shape) for kind, shape in SHAPES.items()}
_READ_EVERY = _reader(_EVERY)
