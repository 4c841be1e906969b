"""HL7's engine as judge of answers that say everything: no error but the guides' own."""

import re
from dataclasses import replace
from uuid import UUID

import pytest

from tests.bundles import Json, Line
from tests.oracle.judge import Judge
from tests.unit.pas import maximal
from wiser_fhir.fhir import codes
from wiser_fhir.pas.claim_response import Renderer

pytestmark = [pytest.mark.oracle, pytest.mark.xdist_group("oracle")]

LINES: tuple[Line, ...] = ("2.2", "2.0")

# Where a profile of the guide has a slice for an extension whose own context does not let it be:
# extension, and the element that the slice is on. The public conformance tests want each of them
# and pass over the engine's complaint.
DEFECTS: dict[Line, set[tuple[str, str]]] = {
    "2.2": {
        ("itemAuthorizedProvider", "ClaimResponse"),
        ("communicatedDiagnosis", "ClaimResponse.item"),
        ("productOrServiceCodeEnd", "ClaimResponse.addItem"),
        ("revenueUnitRateLimit", "ClaimResponse.addItem"),
        ("serviceItemRequestType", "ClaimResponse.addItem"),
        ("certificationType", "ClaimResponse.addItem"),
    },
    "2.0": {
        ("administrationReferenceNumber", "ClaimResponse.item"),
        ("communicatedDiagnosis", "ClaimResponse.item"),
    },
}
_MISPLACED = re.compile(
    r"extension-(\w+)(?: v[\d.]+)? is not allowed to be used at this point"
    r" \(this element is \[(?:.*, )?([\w.]+)\]"
)


def _renderer(line: Line) -> Renderer:
    return maximal.renderer(line)


def _errors(judge: Judge, line: Line, bundle: Json) -> tuple[list[str], set[tuple[str, str]]]:
    """What is wrong, and of the guides' own defects those that show."""
    wrong, shown = [], set()
    for issue in judge.validate(bundle, line):
        place = _MISPLACED.search(issue.text)
        if not issue.is_error:
            continue
        if place is not None and (place[1], place[2]) in DEFECTS[line]:
            shown.add((place[1], place[2]))
        else:
            wrong.append(f"{issue.id}: {issue.expression}: {issue.text}")
    return wrong, shown


@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize("name", maximal.CASES)
def test_every_answer_to_a_request_is_valid(name: str, line: Line, judge: Judge) -> None:
    bundle = _renderer(line).submit_response(maximal.CASES[name], maximal.request(line))
    assert bundle["meta"]["profile"] == [codes.RESPONSE_BUNDLE]
    assert _errors(judge, line, bundle)[0] == []


@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize("name", maximal.CASES)
def test_every_answer_to_an_inquiry_is_valid(name: str, line: Line, judge: Judge) -> None:
    bundle = _renderer(line).inquiry_response(maximal.CASES[name], maximal.request(line))
    assert bundle["meta"]["profile"] == [codes.INQUIRY_RESPONSE_BUNDLE]
    assert _errors(judge, line, bundle)[0] == []


@pytest.mark.parametrize("line", LINES)
def test_all_of_them_together_with_the_word_that_there_are_more(line: Line, judge: Judge) -> None:
    writer, request = _renderer(line), maximal.request(line)
    cases = [replace(case, id=UUID(int=n)) for n, case in enumerate(maximal.CASES.values())]
    found = [writer.inquiry_response(case, request) for case in cases]
    answer = writer.inquiry_answer(found, request, maximal.DECIDED, more=True)
    last = answer["parameter"][-1]["resource"] if line == "2.2" else answer
    assert last["entry"][-1]["resource"]["resourceType"] == "OperationOutcome"
    assert _errors(judge, line, last)[0] == []


@pytest.mark.parametrize("line", LINES)
def test_a_case_of_one_line_is_told_at_the_other(line: Line, judge: Judge) -> None:
    """The answer's own part is of the line asked at, whatever line the request came by."""
    other: Line = "2.0" if line == "2.2" else "2.2"
    bundle = _renderer(line).inquiry_response(maximal.AFFIRMED, maximal.request(other))
    wrong, _ = _errors(judge, line, bundle)
    assert [text for text in wrong if ".entry[0]." in text] == []


@pytest.mark.parametrize("line", LINES)
def test_each_defect_of_the_guide_is_one(line: Line, judge: Judge) -> None:
    """What is passed over shows: a list that says too much would hide mistakes of ours."""
    bundle = _renderer(line).submit_response(maximal.AFFIRMED, maximal.request(line))
    assert _errors(judge, line, bundle)[1] == DEFECTS[line]
