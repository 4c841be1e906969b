"""The decision as it stands on the wire: an adjudication with its reviewAction."""

from collections.abc import Iterable

from wiser_fhir.fhir import codes
from wiser_fhir.fhir.elements import Json
from wiser_fhir.pas.building import concept, nested, told
from wiser_fhir.priorauth.models import ItemStatus

# X12 306. Source: PAS 2.2.1, reviewActionCode; the meanings are those of HCR01 in the 278 response.
MODIFIED = "A6"
OF_ITEM = {
    ItemStatus.AFFIRMED: "A1",
    ItemStatus.NON_AFFIRMED: "A3",
    ItemStatus.PENDED: "A4",
    ItemStatus.CANCELLED: "C",
    ItemStatus.NOT_APPLICABLE: "NA",
}


def adjudication(
    action: str | None,
    number: str | None = None,
    reasons: Iterable[str] = (),
    second_opinion: bool | None = None,
) -> Json:
    """An adjudication. `action` is an X12 306 code, `reasons` are X12 886 codes.

    About a whole request there is no action: the code's own context lets it stand on items only.

    Source: PAS 2.2.1 and 2.0.1, extension-reviewAction (the decision is nowhere else).
    """
    parts = [told("number", valueString=number)] if number is not None else []
    if action is not None:
        code = concept(codes.X12_ACTION, action)
        parts.append(told(codes.REVIEW_ACTION_CODE, valueCodeableConcept=code))
    parts += [
        told("reasonCode", valueCodeableConcept=concept(codes.X12_DECISION_REASON, reason))
        for reason in reasons
    ]
    if second_opinion is not None:
        parts.append(told("secondSurgicalOpinionFlag", valueBoolean=second_opinion))
    return {"extension": [nested(codes.REVIEW_ACTION, parts)], "category": SUBMITTED}


SUBMITTED = concept(codes.ADJUDICATION, "submitted")
"""The only category the guide knows."""
