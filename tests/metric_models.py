"""The elements of the guides' logical models of measures, and what of a record they do not know."""

from collections.abc import Iterator, Mapping
from typing import Any

# PAS 2.2.1, StructureDefinition PASMetricData: name -> (type, at least, at most).
PAS: Mapping[str, tuple[str, int, str]] = {
    "source": ("code", 1, "1"),
    "providerId": ("Identifier", 1, "1"),
    "groupId": ("Identifier", 1, "1"),
    "payerId": ("Identifier", 1, "1"),
    "exchange": ("BackboneElement", 1, "*"),
    "exchange.type": ("code", 1, "1"),
    "exchange.with": ("code", 0, "1"),
    "exchange.method": ("code", 1, "1"),
    "exchange.requestTime": ("instant", 1, "1"),
    "exchange.responseTime": ("instant", 0, "1"),
    "exchange.httpResponse": ("code", 1, "1"),
    "issue": ("BackboneElement", 0, "*"),
    "issue.code": ("code", 1, "1"),
    "issue.details": ("CodeableConcept", 0, "1"),
    "aaaCodes": ("BackboneElement", 0, "*"),
    "aaaCodes.loopID": ("code", 1, "1"),
    "aaaCodes.aaaCode": ("code", 1, "1"),
    "itemDetail": ("BackboneElement", 0, "*"),
    "itemDetail.trn": ("integer", 0, "1"),
    "itemDetail.item": ("CodeableConcept", 1, "1"),
    "itemDetail.assertionId": ("string", 0, "1"),
    "itemDetail.initialSubmissionTime": ("dateTime", 0, "1"),
    "itemDetail.finalResponseTime": ("dateTime", 0, "1"),
    "itemDetail.responsesRequired": ("integer", 0, "1"),
    "itemDetail.aaaCodes": ("BackboneElement", 0, "*"),
    "itemDetail.aaaCodes.loopID": ("code", 1, "1"),
    "itemDetail.aaaCodes.aaaCode": ("code", 1, "1"),
    "itemDetail.locationType": ("code", 0, "1"),
    "itemDetail.result": ("code", 0, "1"),
    "itemDetail.denialReason": ("code", 0, "1"),
    "supportingDoc": ("url", 0, "1"),
    "requestedDoc": ("BackboneElement", 0, "*"),
    "requestedDoc.docRequest": ("CodeableConcept", 1, "*"),
    "requestedDoc.timeRequested": ("dateTime", 1, "1"),
    "requestedDoc.timeSubmitted": ("dateTime", 0, "1"),
    "requestedDoc.submissionMethod": ("code", 0, "1"),
    "exceptionSubmission": ("boolean", 0, "1"),
    "businessLine": ("CodeableConcept", 0, "1"),
}

# CRD 2.2.1, StructureDefinition CRDMetricData: name -> (type, at least, at most).
CRD: Mapping[str, tuple[str, int, str]] = {
    "source": ("code", 1, "1"),
    "hookInstance": ("string", 1, "1"),
    "hookType": ("code", 1, "1"),
    "providerId": ("Identifier", 1, "1"),
    "groupId": ("Identifier", 1, "1"),
    "payerId": ("Identifier", 1, "1"),
    "requestTime": ("instant", 1, "1"),
    "responseTime": ("instant", 0, "1"),
    "httpResponse": ("positiveInt", 1, "1"),
    "issue": ("BackboneElement", 0, "*"),
    "issue.code": ("code", 1, "1"),
    "issue.details": ("CodeableConcept", 0, "1"),
    "tokenUse": ("code", 1, "1"),
    "resources": ("BackboneElement", 0, "*"),
    "resources.type": ("code", 1, "1"),
    "resources.profile": ("canonical", 0, "1"),
    "resources.count": ("positiveInt", 1, "1"),
    "resources.prefetch": ("boolean", 0, "1"),
    "request": ("BackboneElement", 1, "*"),
    "request.type": ("code", 1, "1"),
    "request.orderDetail": ("CodeableConcept", 1, "1"),
    "request.response": ("BackboneElement", 0, "*"),
    "request.response.type": ("code", 0, "1"),
    "request.response.focus": ("code", 0, "*"),
    "request.response.engagement": ("code", 0, "1"),
    "request.response.coverageInfo": ("BackboneElement", 0, "*"),
    "request.response.coverageInfo.covered": ("code", 0, "1"),
    "request.response.coverageInfo.paNeeded": ("code", 0, "1"),
    "request.response.coverageInfo.docNeeded": ("code", 0, "1"),
    "request.response.coverageInfo.infoNeeded": ("code", 0, "1"),
    "request.response.coverageInfo.questionnaire": ("BackboneElement", 0, "*"),
    "request.response.coverageInfo.questionnaire.reference": ("canonical", 1, "1"),
    "request.response.coverageInfo.questionnaire.adaptive": ("boolean", 1, "1"),
    "request.response.coverageInfo.questionnaire.response": ("boolean", 1, "1"),
    "request.response.coverageInfo.assertionId": ("string", 1, "1"),
    "request.response.coverageInfo.satisfiedId": ("string", 0, "1"),
    "request.response.coverageInfo.businessLine": ("CodeableConcept", 0, "1"),
}

# DTR 2.2.0, StructureDefinition DTRMetricData: name -> (type, at least, at most).
DTR: Mapping[str, tuple[str, int, str]] = {
    "source": ("code", 1, "1"),
    "sofApp": ("url", 0, "1"),
    "providerId": ("Identifier", 0, "1"),
    "groupId": ("Identifier", 0, "1"),
    "payerId": ("Identifier", 1, "1"),
    "assertionId": ("string", 0, "*"),
    "docReason": ("code", 0, "*"),
    "launchMode": ("code", 0, "1"),
    "orderItem": ("CodeableConcept", 1, "*"),
    "action": ("BackboneElement", 1, "*"),
    "action.actionDetail": ("code", 1, "1"),
    "action.requestTime": ("instant", 1, "1"),
    "action.responseTime": ("instant", 0, "1"),
    "action.httpResponse": ("integer", 0, "1"),
    "action.questionnaire": ("canonical", 0, "1"),
    "action.issue": ("BackboneElement", 0, "*"),
    "action.issue.code": ("code", 1, "1"),
    "action.issue.details": ("CodeableConcept", 0, "1"),
    "resources": ("BackboneElement", 0, "*"),
    "resources.type": ("code", 1, "1"),
    "resources.profile": ("canonical", 0, "1"),
    "resources.count": ("positiveInt", 1, "1"),
    "questionnaire": ("BackboneElement", 0, "*"),
    "questionnaire.reference": ("canonical", 1, "1"),
    "questionnaire.adaptive": ("boolean", 0, "1"),
    "questionnaire.populated": ("boolean", 0, "1"),
    "questionnaire.failure": ("CodeableConcept", 0, "*"),
    "questionnaire.reviewPrior": ("boolean", 0, "1"),
    "questionnaire.enabledQuestions": ("positiveInt", 0, "1"),
    "questionnaire.autoPopulated": ("positiveInt", 0, "1"),
    "questionnaire.roleInteraction": ("BackboneElement", 0, "*"),
    "questionnaire.roleInteraction.role": ("CodeableConcept", 1, "1"),
    "questionnaire.roleInteraction.roleAction": ("code", 1, "1"),
    "questionnaire.roleInteraction.count": ("positiveInt", 1, "1"),
    "questionnaire.elapsedTime": ("time", 1, "1"),
    "coverageInfo": ("BackboneElement", 0, "*"),
    "coverageInfo.covered": ("code", 0, "1"),
    "coverageInfo.paNeeded": ("code", 0, "1"),
    "coverageInfo.docNeeded": ("code", 0, "1"),
    "coverageInfo.infoNeeded": ("code", 0, "1"),
    "coverageInfo.questionnaire": ("BackboneElement", 0, "*"),
    "coverageInfo.questionnaire.reference": ("canonical", 1, "1"),
    "coverageInfo.questionnaire.adaptive": ("boolean", 1, "1"),
    "coverageInfo.questionnaire.response": ("boolean", 1, "1"),
    "coverageInfo.assertionId": ("string", 1, "1"),
    "coverageInfo.satisfiedId": ("string", 0, "1"),
    "coverageInfo.businessLine": ("CodeableConcept", 0, "1"),
}

_PLAIN = {
    "code": str,
    "string": str,
    "url": str,
    "canonical": str,
    "instant": str,
    "dateTime": str,
    "time": str,
    "boolean": bool,
    "integer": int,
    "positiveInt": int,
    "Identifier": dict,
    "CodeableConcept": dict,
    "BackboneElement": dict,
}


def misfits(record: Mapping[str, Any], model: Mapping[str, tuple[str, int, str]]) -> list[str]:
    """Where a record departs from its model: unknown, missing, too many, or of another type.

    What is missing with its reason (`_name`) is not missing.
    """
    return sorted(_misfits(record, model, ""))


def _misfits(
    element: Mapping[str, Any], model: Mapping[str, tuple[str, int, str]], place: str
) -> Iterator[str]:
    here = {path.removeprefix(place) for path in model if path.startswith(place)}
    known = {name for name in here if "." not in name}
    for name in element:
        if name.removeprefix("_") not in known:
            yield f"{place}{name}: unknown"
    for name in known:
        kind, least, most = model[place + name]
        value = element.get(name)
        if value is None:
            if least and f"_{name}" not in element:
                yield f"{place}{name}: missing"
            continue
        if isinstance(value, list) is not (most == "*"):
            yield f"{place}{name}: a list or none"
        for each in value if isinstance(value, list) else [value]:
            if type(each) is not _PLAIN[kind]:
                yield f"{place}{name}: {type(each).__name__}"
            if kind == "BackboneElement":
                yield from _misfits(each, model, f"{place}{name}.")
