"""What the unit tests of reading hook calls share."""

from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cache
from typing import Any
from uuid import UUID

from wiser_fhir.coverage.catalogue import Catalogue
from wiser_fhir.crd.chart import Chart
from wiser_fhir.crd.gather import Gathered
from wiser_fhir.crd.hook_request import HookRequest, read_hook_request
from wiser_fhir.crd.orders import Ask, FocalCoverage, Unusable, asks, focal_coverage
from wiser_fhir.fhir.codes import Line
from wiser_fhir.fhir.validation.validator import GuideValidator
from wiser_fhir.intake.soundness import Soundness, soundness

Json = dict[str, Any]

RECEIVED = datetime(2026, 11, 20, 16, 0, tzinfo=UTC)
TODAY = date(2026, 11, 20)
ORGANIZATION = UUID("00000000-0000-4000-8000-000000000007")
NOTHING = Gathered()


@cache
def catalogue() -> Catalogue:
    """The catalogue as committed."""
    return Catalogue.load()


@cache
def base_problems(line: Line) -> Soundness:
    """The check of a line."""
    return soundness(GuideValidator.load(line))


def request_of(body: Json) -> HookRequest:
    """A body as a call of its own hook."""
    return read_hook_request(body, body["hook"])


@dataclass(frozen=True)
class Told:
    """What was read of a call."""

    asked: tuple[Ask, ...]
    unusable: tuple[Unusable, ...]
    coverage: FocalCoverage


def told(body: Json, gathered: Gathered = NOTHING) -> Told:
    """Everything read of a call."""
    request = request_of(body)
    chart = Chart.of(request)
    coverage = focal_coverage(chart, gathered, TODAY)
    asked, unusable = asks(
        request,
        chart,
        coverage,
        catalogue(),
        organization_id=ORGANIZATION,
        received_at=RECEIVED,
        gathered=gathered,
        base_problems=base_problems(request.line),
    )
    return Told(asked, unusable, coverage)


def one(body: Json, gathered: Gathered = NOTHING) -> Ask:
    """The one thing asked about."""
    found = told(body, gathered)
    assert not found.unusable, found.unusable
    (asked,) = found.asked
    return asked
