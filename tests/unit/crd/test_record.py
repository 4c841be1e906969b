"""What is kept of an assertion for DTR to tell it again."""

from datetime import UTC, datetime

import orjson
import pytest

from tests.unit.crd.answering import LINES, REFERENCE, UTN, a_submission, an_assertion, parts
from wiser_fhir.crd.coverage_information import extension
from wiser_fhir.crd.record import assertion_record
from wiser_fhir.fhir.codes import Line
from wiser_fhir.priorauth.foresee import Situation
from wiser_fhir.priorauth.ledger import AssertionRecord

S = Situation
AT = datetime(2026, 11, 20, 16, 0, tzinfo=UTC)


def kept(situation: S, line: Line) -> AssertionRecord:
    said = an_assertion(situation, line)
    return assertion_record(said, a_submission(), AT, line=line, patient="Patient/p-1")


@pytest.mark.parametrize("line", LINES)
def test_an_answer_is_kept_as_it_was_sent(line: Line) -> None:
    answer = kept(S.NEEDS_AUTHORIZATION, line).answer
    assert answer["extension"] == extension(an_assertion(S.NEEDS_AUTHORIZATION, line), line)
    assert (answer["line"], answer["patient"]) == (line, "Patient/p-1")


@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize("situation", [S.SATISFIED, S.PENDED, S.NON_AFFIRMED])
def test_no_number_of_a_case_is_kept_to_be_told_again(situation: S, line: Line) -> None:
    sent = extension(an_assertion(situation, line), line)
    assert {UTN, REFERENCE} & {n for n in (UTN, REFERENCE) if n.encode() in orjson.dumps(sent)}
    again = kept(situation, line).answer["extension"]
    text = orjson.dumps(again).decode()
    assert UTN not in text
    assert REFERENCE not in text
    assert parts(again, "coverage-assertion-id") == ["assertion-1"]
    if situation is not S.SATISFIED:
        assert len(parts(again, "detail")) == len(parts(sent, "detail")) - 1
