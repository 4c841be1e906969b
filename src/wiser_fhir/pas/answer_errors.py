"""What is wrong with a request, as an answer says it beside or instead of its items."""

from collections.abc import Iterator

from wiser_fhir.fhir import codes
from wiser_fhir.fhir.codes import Line
from wiser_fhir.fhir.elements import Json, without_empty
from wiser_fhir.pas.answer_notes import Notes
from wiser_fhir.pas.building import concept, nested, told
from wiser_fhir.pas.reject_reasons import RejectReason
from wiser_fhir.priorauth.answer import StatedError


def refusal(reject: RejectReason) -> Json:
    """The error of a request that is not reviewed, by our reason for it."""
    return stated_error(
        StatedError(reject.code, followup=reject.followup, path=reject.path), "2.2", Notes({})
    )


def stated_error(error: StatedError, line: Line, notes: Notes) -> Json:
    """Source: PAS 2.2.1, error section and ClaimResponse.error; PAS 2.0.1, the same."""
    return without_empty(
        {
            "extension": [*_followup(error), *_element(error, line, notes), *_path(error)],
            "itemSequence": error.sequence,
            "code": concept(codes.X12_REJECT_REASON, error.code),
        }
    )


def _followup(error: StatedError) -> Iterator[Json]:
    if error.followup is not None:
        action = concept(codes.X12_FOLLOWUP_ACTION, error.followup)
        yield told(codes.ERROR_FOLLOWUP_ACTION, valueCodeableConcept=action)


def _element(error: StatedError, line: Line, notes: Notes) -> Iterator[Json]:
    """Where in the X12 transaction; line 2.2 points at the note about it too."""
    if line == "2.0":
        if error.element is not None:
            yield told(codes.ERROR_ELEMENT, valueString=error.element)
        return
    parts = [told("processNote", valuePositiveInt=n) for n in notes.numbered(_note(error))]
    if error.element is not None:
        parts.append(told("error", valueString=error.element))
    if parts:
        yield nested(codes.ERROR_ELEMENT, parts)


def _note(error: StatedError) -> list[str]:
    return [error.note] if error.note is not None else []


def _path(error: StatedError) -> Iterator[Json]:
    if error.path is not None:
        yield told(codes.ERROR_PATH, valueString=error.path)
