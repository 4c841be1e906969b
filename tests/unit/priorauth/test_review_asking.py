"""What may be asked for while the clock runs."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import pytest

from tests.unit.priorauth.wiser_requests import CATALOGUE
from wiser_fhir.coverage.requested import CPT, Code
from wiser_fhir.priorauth.asked import Asked, asking_problems, requested
from wiser_fhir.priorauth.information import InformationRequest, Material, RequestState, Wanted
from wiser_fhir.priorauth.models import (
    CaseItem,
    CaseStatus,
    ItemRole,
    ItemStatus,
    PriorAuthorization,
)

RECEIVED = datetime(2026, 5, 4, 14, 0, tzinfo=UTC)
NOW = RECEIVED + timedelta(days=1)
DEADLINE = RECEIVED + timedelta(days=3)
FORM = "https://wiser-fhir.example/fhir/Questionnaire/epidural-steroid-injection|2026-01-15"
IMAGING = Wanted(code="18748-4", lines=(1,), modifier="54578-0")
DOCUMENTS = Asked(Material.DOCUMENTS, (IMAGING,))
ANSWERS = Asked(Material.QUESTIONNAIRE, (Wanted(questionnaire=FORM),))


def a_line(sequence: int, status: ItemStatus) -> CaseItem:
    return CaseItem(sequence, Code(CPT, "62321"), ItemRole.PRIMARY, status, date(2026, 5, 20))


CASE = PriorAuthorization(
    id=UUID(int=1),
    organization_id=UUID(int=2),
    status=CaseStatus.IN_REVIEW,
    reference="R00000000000001",
    received_at=RECEIVED,
    decide_by=DEADLINE,
    expedited=False,
    items=(a_line(1, ItemStatus.PENDED), a_line(2, ItemStatus.CANCELLED)),
)


def faults(
    *asked: Asked, case: PriorAuthorization = CASE, now: datetime = NOW
) -> list[tuple[str | None, str]]:
    problems = asking_problems(case, asked, CATALOGUE, now)
    assert all((p.severity, p.code) == ("error", "business-rule") for p in problems)
    return [(problem.expression, problem.text) for problem in problems]


def test_documents_and_answers_are_asked_for_together() -> None:
    assert faults(DOCUMENTS, ANSWERS) == []


def test_something_is_asked_for() -> None:
    assert faults() == [("requests", "Nothing is asked for.")]
    nothing = Asked(Material.DOCUMENTS, ())
    assert faults(nothing) == [("requests[0].wanted", "Nothing is asked for.")]


def test_one_request_for_each_kind() -> None:
    said = "What is of one kind is asked for in one request."
    assert faults(DOCUMENTS, replace(DOCUMENTS, wanted=(Wanted(code="11506-3"),))) == [
        ("requests", said)
    ]


@pytest.mark.parametrize("kind", list(Material))
def test_a_request_asks_for_one_kind(kind: Material) -> None:
    both = Asked(kind, (IMAGING, Wanted(questionnaire=FORM)))
    said = f"A request for {kind} asks for nothing else."
    assert faults(both) == [("requests[0].wanted", said)]


def test_past_the_deadline_nothing_is_left_to_ask() -> None:
    said = [("requests", "The deadline is past: decide on what is there.")]
    assert faults(DOCUMENTS, now=DEADLINE - timedelta(microseconds=1)) == []
    assert faults(DOCUMENTS, now=DEADLINE) == said
    assert faults(DOCUMENTS, now=DEADLINE + timedelta(days=30)) == said


def test_it_is_due_by_the_deadline_or_sooner() -> None:
    said = [("requests[0].due_at", "It is due after now, and by the deadline of the case.")]
    assert faults(replace(DOCUMENTS, due_at=DEADLINE)) == []
    assert faults(replace(DOCUMENTS, due_at=NOW + timedelta(hours=1))) == []
    assert faults(replace(DOCUMENTS, due_at=NOW)) == said
    assert faults(replace(DOCUMENTS, due_at=DEADLINE + timedelta(seconds=1))) == said


def test_lines_are_those_under_review() -> None:
    elsewhere = Asked(Material.DOCUMENTS, (replace(IMAGING, lines=(1, 2, 9)),))
    assert faults(elsewhere) == [
        ("requests[0].wanted[0].lines", "Line 2 is none that there is to decide."),
        ("requests[0].wanted[0].lines", "Line 9 is none that there is to decide."),
    ]


@pytest.mark.parametrize("code", ["", "18748", "18748-44", "x18748-4", "187484444-4"])
def test_a_document_is_named_by_a_loinc_code(code: str) -> None:
    said = "A document is named by a LOINC code."
    by_code = Asked(Material.DOCUMENTS, (Wanted(code=code),))
    assert faults(by_code) == [("requests[0].wanted[0].code", said)]
    by_modifier = Asked(Material.DOCUMENTS, (replace(IMAGING, modifier=code),))
    assert faults(by_modifier) == [("requests[0].wanted[0].modifier", said)]


@pytest.mark.parametrize(
    "form",
    [
        "https://wiser-fhir.example/fhir/Questionnaire/epidural-steroid-injection",
        "https://wiser-fhir.example/fhir/Questionnaire/epidural-steroid-injection|1999-01-01",
        "https://wiser-fhir.example/fhir/Questionnaire/something-else|2026-01-15",
        "https://other.example/fhir/Questionnaire/epidural-steroid-injection|2026-01-15",
    ],
)
def test_a_form_is_one_of_ours_that_counts(form: str) -> None:
    asked = Asked(Material.QUESTIONNAIRE, (Wanted(questionnaire=form),))
    said = "There is no such form, in a version that counts today."
    assert faults(asked) == [("requests[0].wanted[0].questionnaire", said)]


@pytest.mark.parametrize("note", ["", " ", "a\x00b"])
def test_a_note_can_be_sent(note: str) -> None:
    said = [("requests[0].note", "A note is text that can be printed, and not blank.")]
    assert faults(replace(DOCUMENTS, note=note)) == said
    assert faults(replace(DOCUMENTS, note="Both views, please.")) == []


@pytest.mark.parametrize(
    ("asked", "name"), [(DOCUMENTS, "code"), (ANSWERS, "questionnaire")], ids=["documents", "form"]
)
def test_what_has_not_come_yet_is_not_asked_for_twice(asked: Asked, name: str) -> None:
    before = InformationRequest(UUID(int=7), asked.kind, RECEIVED, DEADLINE, asked.wanted)
    waiting = replace(CASE, requests=(before,))
    said = "This was asked for and has not come yet."
    assert faults(asked, case=waiting) == [(f"requests[0].wanted[0].{name}", said)]
    for state in (RequestState.ANSWERED, RequestState.WITHDRAWN, RequestState.LAPSED):
        assert faults(asked, case=replace(CASE, requests=(replace(before, state=state),))) == []


def test_a_request_is_due_at_the_deadline_unless_it_says_otherwise() -> None:
    sooner = replace(ANSWERS, due_at=NOW + timedelta(hours=2), note="Only the first part.")
    first, second = requested((DOCUMENTS, sooner), DEADLINE, NOW)
    assert (first.kind, first.wanted, first.note) == (Material.DOCUMENTS, (IMAGING,), None)
    assert (first.asked_at, first.due_at, first.state) == (NOW, DEADLINE, RequestState.OPEN)
    assert (second.kind, second.due_at) == (Material.QUESTIONNAIRE, NOW + timedelta(hours=2))
    assert (second.note, second.answered_at) == ("Only the first part.", None)
    assert first.id != second.id
