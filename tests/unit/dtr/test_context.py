"""What a context id asks for."""

from datetime import date

import pytest

from tests.cases import a_case, a_submission
from tests.ledger_values import an_assertion
from tests.unit.dtr.packing import TODAY, catalogue
from wiser_fhir.dtr.context import Context, of_assertion, of_case
from wiser_fhir.errors import Problem
from wiser_fhir.priorauth.models import CaseStatus
from wiser_fhir.priorauth.numbers import time_ordered_uuid
from wiser_fhir.priorauth.repository import StoredCase

PLACE = "Parameters.parameter.where(name = 'context')"


def told(context: Context) -> tuple[str | None, str | None]:
    """The id of the form's rules, and why there is none."""
    rules = context.rules
    if context.why is not None:
        assert context.why == Problem("information", "informational", context.why.text, PLACE)
    name = f"{rules.slug} {rules.version}" if rules else None
    return name, context.why.text if context.why else None


@pytest.mark.parametrize(
    "situation", ["needs-authorization", "non-affirmed", "missing", "technical"]
)
def test_an_answer_that_a_form_helps(situation: str) -> None:
    assertion = an_assertion(situation=situation)
    found = of_assertion(assertion, catalogue(), TODAY)
    assert told(found) == ("epidural-steroid-injection 2026-01-15", None)
    assert (found.order, found.assertion) == ("ServiceRequest/sr-1", assertion)
    assert found.is_about("epidural-steroid-injection")
    assert not found.is_about("skin-substitutes")


@pytest.mark.parametrize(
    ("situation", "text"),
    [
        (
            "satisfied",
            "A prior authorization for the order is affirmed: no form is needed.",
        ),
        ("pended", "A request for the order is in review: no form is needed now."),
        (
            "exempt",
            "The answer with this id asked for no documentation: no form is needed.",
        ),
        (
            "state-outside",
            "The answer with this id asked for no documentation: no form is needed.",
        ),
    ],
)
def test_an_answer_that_asked_for_nothing(situation: str, text: str) -> None:
    found = of_assertion(an_assertion(situation=situation), catalogue(), TODAY)
    assert told(found) == (None, text)
    assert not found.is_about("epidural-steroid-injection")


def test_an_answer_about_no_service() -> None:
    assertion = an_assertion(situation="missing", service=None, rules=None)
    text = "The answer with this id asked for no documentation: no form is needed."
    assert told(of_assertion(assertion, catalogue(), TODAY)) == (None, text)


def test_rules_that_count_no_longer_give_way_to_those_of_today() -> None:
    assertion = an_assertion(rules="2020-01-01")
    found = of_assertion(assertion, catalogue(), TODAY)
    assert told(found) == ("epidural-steroid-injection 2026-01-15", None)
    assertion = an_assertion(rules=None)
    found = of_assertion(assertion, catalogue(), TODAY)
    assert told(found) == ("epidural-steroid-injection 2026-01-15", None)


@pytest.mark.parametrize(
    ("service", "on"),
    [
        ("deep-brain-stimulation", TODAY),
        ("no-longer-there", TODAY),
        ("epidural-steroid-injection", date(2025, 1, 1)),
    ],
)
def test_documents_asked_for_and_no_longer(service: str, on: date) -> None:
    found = of_assertion(an_assertion(service=service, rules=None), catalogue(), on)
    text = "Documentation was asked for and is no longer: WISeR has no form for the service now."
    assert told(found) == (None, text)


def stored(status: CaseStatus, **changes: object) -> StoredCase:
    usual = {"service": "skin-substitutes", "rules": "2026-01-15"}
    case = a_case(a_submission(time_ordered_uuid()), status, **usual | changes)
    return StoredCase(case, "2.2", b"{}")


def test_a_request_in_review() -> None:
    case = stored(CaseStatus.IN_REVIEW)
    found = of_case(case, catalogue(), TODAY)
    assert told(found) == ("skin-substitutes 2026-01-15", None)
    assert (found.order, found.stored) == (None, case)


@pytest.mark.parametrize(
    "status", [CaseStatus.AFFIRMED, CaseStatus.DISMISSED, CaseStatus.CANCELLED]
)
def test_a_closed_request(status: CaseStatus) -> None:
    text = (
        "The request with this number is closed: no form is needed for it. For another request,"
        " ask with the order."
    )
    assert told(of_case(stored(status), catalogue(), TODAY)) == (None, text)


def test_a_request_in_review_without_a_form() -> None:
    text = "Documentation was asked for and is no longer: WISeR has no form for the service now."
    nothing = stored(CaseStatus.IN_REVIEW, service=None, rules=None)
    assert told(of_case(nothing, catalogue(), TODAY)) == (None, text)
