"""What a call for packages goes through, without the door around it."""

from datetime import UTC, date, datetime
from functools import cache

from tests.package_bodies import Json
from wiser_fhir.coverage.catalogue import Catalogue
from wiser_fhir.dtr.choice import Choice, choose
from wiser_fhir.dtr.context import Context
from wiser_fhir.dtr.forms import Form, Forms
from wiser_fhir.dtr.package_request import PackageRequest, package_request
from wiser_fhir.fhir.codes import Line
from wiser_fhir.fhir.validation.validator import GuideValidator
from wiser_fhir.intake.soundness import Soundness, soundness

BASES: dict[Line, str] = {
    "2.2": "https://payer.example/fhir",
    "2.0": "https://payer.example/v2.0/fhir",
}
TODAY = date(2026, 6, 1)
NOW = datetime(2026, 6, 1, 15, 30, tzinfo=UTC)


@cache
def catalogue() -> Catalogue:
    return Catalogue.load()


@cache
def forms() -> Forms:
    return Forms.load(catalogue(), BASES)


@cache
def sound(line: Line) -> Soundness:
    return soundness(GuideValidator.load(line))


def form(line: Line, slug: str, *, adaptive: bool = False) -> Form:
    rules = catalogue().service(slug, TODAY)
    assert rules is not None
    found = forms().of(line, rules, adaptive=adaptive)
    assert found is not None
    return found


def read(call: Json, line: Line = "2.2") -> PackageRequest:
    return package_request(call, line, sound(line))


def chosen(
    call: Json, line: Line = "2.2", context: Context | None = None, on: date = TODAY
) -> Choice:
    return choose(read(call, line), context, forms(), catalogue(), line=line, on=on)


def names(choice: Choice) -> list[str]:
    """The ids of the forms chosen."""
    return [each.form.questionnaire["id"] for each in choice.wanted]


def texts(choice: Choice) -> list[tuple[str, str]]:
    """Severity and text of each remark."""
    return [(each.severity, each.text) for each in choice.remarks]
