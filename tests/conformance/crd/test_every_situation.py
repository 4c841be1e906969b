"""What the table says in every situation, on both lines and kinds of hook: valid for HL7's engine.

Each answer carries all that it can: codes with a modifier, people, a diagnosis, a remark.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from decimal import Decimal
from itertools import product

import pytest

from tests.conformance.crd.collected import Sent, engine_faults
from tests.conformance.crd.profiles import our_errors
from tests.crd_bodies import LINES
from tests.oracle.judge import Judge
from tests.unit.crd.answering import (
    a_foreseen,
    a_submission,
    an_asked_item,
    an_assertion,
    an_order,
    rules_of,
)
from wiser_fhir.coverage.requested import CPT, Code, RequestedService
from wiser_fhir.crd.coverage_information import extension, informed
from wiser_fhir.crd.hook_request import Hook
from wiser_fhir.priorauth.foresee import Missing, Situation
from wiser_fhir.priorauth.models import Site, SiteKind

HOOKS: tuple[Hook, ...] = ("order-sign", "order-select")
CODES = (Code(CPT, "15275"), Code(CPT, "15271"))


def answers() -> Iterator[Sent]:
    """An order with its answer, for every situation, line and kind of hook."""
    asked = a_submission(
        replace(
            an_asked_item(),
            service=RequestedService(CODES, date(2027, 6, 1), "TX", Decimal("1.5")),
            service_end=date(2027, 6, 8),
            modifiers=("50", "RT"),
            site=Site(SiteKind.PLACE_OF_SERVICE, "24"),
        ),
        diagnoses=("E11.621",),
        expedite_requested=True,
    )
    for situation, line, hook in product(Situation, LINES, HOOKS):
        missing = tuple(Missing) if situation is Situation.MISSING else ()
        seen = a_foreseen(
            situation,
            code=CODES[0],
            rules=rules_of("15275"),
            missing=missing,
            detail="A remark.",
        )
        said = an_assertion(
            seen,
            line,
            hook,
            asked=asked,
            assumptions=("An assumption.",),
            dependencies=("ServiceRequest/order-2",),
        )
        order = informed(an_order(), extension(said, line))
        yield Sent(f"{situation}, {hook}", order, line)


def test_every_situation_is_valid_for_us() -> None:
    found = {(each.line, each.where): our_errors(each.resource, each.line) for each in answers()}
    assert len(found) == len(Situation) * len(LINES) * len(HOOKS)
    assert {key: errors for key, errors in found.items() if errors} == {}


@pytest.mark.oracle
def test_every_situation_is_valid_for_hl7_s_engine(judge: Judge) -> None:
    assert engine_faults(judge, answers()) == []
