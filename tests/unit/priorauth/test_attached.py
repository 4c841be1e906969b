from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from wiser_fhir.coverage.requested import Code
from wiser_fhir.priorauth.attached import (
    Attached,
    AttachmentKind,
    AttachmentState,
    AttachTo,
    Delivery,
    Received,
    fingerprint,
    identity,
    is_answered,
    missing,
)
from wiser_fhir.priorauth.information import InformationRequest, Material, Wanted
from wiser_fhir.priorauth.models import Identifier

ASKED_AT = datetime(2026, 4, 8, 14, 0, tzinfo=UTC)
LATER = ASKED_AT + timedelta(hours=1)
EARLIER = ASKED_AT - timedelta(hours=1)
FORM = "https://wiser-fhir.example/fhir/Questionnaire/cervical-fusion"


def asked(*wanted: Wanted, kind: Material = Material.DOCUMENTS) -> InformationRequest:
    return InformationRequest(UUID(int=1), kind, ASKED_AT, LATER, wanted)


def received(code: str | None = None, **changes: Any) -> Received:
    file = Received(AttachmentKind.FILE, AttachmentState.CLEAR, LATER, code, (), None)
    return replace(file, **changes)


def answers(questionnaire: str | None, status: str | None = "completed") -> Received:
    kind = AttachmentKind.QUESTIONNAIRE_RESPONSE
    return received(kind=kind, questionnaire=questionnaire, response_status=status)


QUARANTINED = received("A", state=AttachmentState.QUARANTINED, checked_at=None)
REFUSED = received("A", state=AttachmentState.REFUSED)
A, B = Wanted(code="A"), Wanted(code="B")


@pytest.mark.parametrize(
    ("came", "final", "expected"),
    [
        ([], None, False),
        ([], LATER, False),
        ([received("A")], None, False),
        ([received("A")], LATER, True),
        ([received("A")], ASKED_AT, True),
        ([received("A")], EARLIER, False),
        ([received("A"), received("B")], None, True),
        ([received("A"), received("B"), QUARANTINED], None, True),
        ([received("B"), QUARANTINED], LATER, False),
        ([received("B"), REFUSED], LATER, True),
        ([QUARANTINED], LATER, False),
        ([REFUSED], LATER, False),
        ([received("A", checked_at=EARLIER)], LATER, False),
        ([received("A", checked_at=EARLIER), received("B")], None, False),
        ([received("C")], LATER, True),
        ([answers(FORM)], LATER, False),
    ],
)
def test_documents_are_there_when_all_are_or_when_nothing_more_will_come(
    came: list[Received], final: datetime | None, expected: bool
) -> None:
    assert is_answered(asked(A, B), came, final) is expected


@pytest.mark.parametrize(
    ("came", "expected"),
    [
        ([received("A")], True),
        ([received("A", lines=("1", "2"))], True),
        ([received("A", lines=("1",)), received("A", lines=("2", "3"))], True),
        ([received("A", lines=("1",))], False),
        ([received("A", lines=("1",)), received("A")], True),
        ([received("A", lines=("one",))], False),
        ([received("B")], False),
    ],
)
def test_a_document_is_wanted_for_each_of_its_lines(came: list[Received], expected: bool) -> None:
    assert is_answered(asked(Wanted(code="A", lines=(1, 2))), came, None) is expected


def test_a_document_for_one_line_serves_where_the_whole_request_is_meant() -> None:
    assert is_answered(asked(A), [received("A", lines=("1",))], None)


@pytest.mark.parametrize(
    ("questionnaire", "expected"),
    [
        (f"{FORM}|2026-01-15", True),
        (f"{FORM}-adaptive|2026-01-15", True),
        ("https://wiser-fhir.example/v2.0/fhir/Questionnaire/cervical-fusion|2026-01-15", True),
        (f"{FORM}|2026-05-01", False),
        (f"{FORM}-adaptive|2026-05-01", False),
        (FORM, False),
        (f"{FORM}s|2026-01-15", False),
        ("https://other.example/Questionnaire/cervical-fusion|2026-01-15", False),
        (None, False),
    ],
)
def test_a_form_is_answered_by_that_form_in_the_version_wanted(
    questionnaire: str | None, expected: bool
) -> None:
    wanted = asked(Wanted(questionnaire=f"{FORM}|2026-01-15"), kind=Material.QUESTIONNAIRE)
    assert is_answered(wanted, [answers(questionnaire)], None) is expected
    assert is_answered(wanted, [answers(questionnaire)], LATER) is expected
    assert not is_answered(wanted, [received("A")], LATER)


@pytest.mark.parametrize("version", ["|2026-01-15", "|2026-05-01", ""])
def test_a_form_wanted_in_no_version_is_answered_in_any(version: str) -> None:
    wanted = asked(Wanted(questionnaire=FORM), kind=Material.QUESTIONNAIRE)
    assert is_answered(wanted, [answers(FORM + version)], None)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("completed", True),
        ("amended", True),
        ("in-progress", False),
        ("stopped", False),
        ("entered-in-error", False),
        (None, False),
    ],
)
def test_a_form_is_answered_once_its_answers_are_complete(
    status: str | None, expected: bool
) -> None:
    form = Wanted(questionnaire=FORM)
    wanted = asked(form, kind=Material.QUESTIONNAIRE)
    came = [answers(FORM, status)]
    assert is_answered(wanted, came, None) is expected
    assert is_answered(wanted, came, LATER) is expected
    assert missing(wanted, came) == (() if expected else (form,))


def test_one_of_two_forms_is_enough_once_nothing_more_will_come() -> None:
    wanted = asked(
        Wanted(questionnaire=FORM),
        Wanted(questionnaire=f"{FORM}-of-another-kind"),
        kind=Material.QUESTIONNAIRE,
    )
    assert not is_answered(wanted, [answers(FORM)], None)
    assert is_answered(wanted, [answers(FORM)], LATER)


def test_what_is_missing_is_known_by_code_and_lines() -> None:
    wanted = asked(A, B, Wanted(code="C", lines=(1, 2)))
    came = [received("A"), received("C", lines=("1",)), replace(QUARANTINED, code="B")]
    assert missing(wanted, came) == (B, Wanted(code="C", lines=(1, 2)))


def delivery(*attached: Attached, **changes: Any) -> Delivery:
    brought = Delivery(
        attach_to=AttachTo.PREAUTHORIZATION,
        tracking=Identifier("https://ehr.example", "1"),
        reference=None,
        member="1EG4TE5MK73",
        named={},
        service_date=None,
        final=True,
        attachments=attached,
    )
    return replace(brought, **changes)


FILE = Attached(AttachmentKind.FILE, "DocumentReference", "text/plain", b"1")


@pytest.mark.parametrize(
    "changes",
    [
        {"tracking": Identifier("https://ehr.example", "2")},
        {"tracking": Identifier(None, "1")},
        {"member": "2FH5UF6NK84"},
        {"attach_to": AttachTo.CLAIM},
    ],
)
def test_an_attachment_to_something_else_is_another(changes: dict[str, Any]) -> None:
    assert identity(delivery(), FILE) != identity(delivery(**changes), FILE)


@pytest.mark.parametrize(
    "changes",
    [
        {"content": b"2"},
        {"media_type": "application/xml"},
        {"code": Code("http://loinc.org", "A")},
        {"lines": ("1",)},
        {"kind": AttachmentKind.RESOURCE},
    ],
)
def test_another_attachment_is_another(changes: dict[str, Any]) -> None:
    assert identity(delivery(), FILE) != identity(delivery(), replace(FILE, **changes))


def test_the_order_of_lines_and_of_attachments_does_not_matter() -> None:
    one, two = replace(FILE, lines=("1", "2")), replace(FILE, lines=("2", "1"))
    assert identity(delivery(), one) == identity(delivery(), two)
    other = replace(FILE, content=b"2")
    assert fingerprint(delivery(FILE, other)) == fingerprint(delivery(other, FILE))


def test_a_call_that_says_something_else_is_another() -> None:
    calls = [
        delivery(FILE),
        delivery(FILE, final=False),
        delivery(FILE, reference="R00000000000001"),
        delivery(FILE, FILE),
        delivery(),
    ]
    assert len({fingerprint(each) for each in calls}) == len(calls)
