"""A request that changes an earlier one."""

from copy import deepcopy

from tests.bundles import Json, Line, request_bundle
from tests.integration.pas.door import MET
from wiser_fhir.fhir import codes

_RELATIONSHIPS = "http://terminology.hl7.org/CodeSystem/ex-relatedclaimrelationship"


def update_bundle(line: Line) -> Json:
    """An update of an earlier Claim, which line 2.2 wants in the Bundle."""
    bundle = request_bundle(line, answers=MET)
    claim = bundle["entry"][0]["resource"]
    earlier = deepcopy(claim)
    earlier["identifier"][0]["value"] = "earlier-trace"
    claim["meta"]["profile"] = [codes.CLAIM_UPDATE]
    reference = {"identifier": earlier["identifier"][0]}
    if line == "2.2":
        reference = {"reference": "urn:uuid:11111111-2222-4333-8444-555555555555"}
        bundle["entry"].append({"fullUrl": reference["reference"], "resource": earlier})
    relationship = {"coding": [{"system": _RELATIONSHIPS, "code": "prior"}]}
    claim["related"] = [{"claim": reference, "relationship": relationship}]
    return bundle
