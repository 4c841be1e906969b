"""What holds of every chart: neither it nor an origin ever makes software affirm."""

from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.coverage.made_up import make_folder
from tests.unit.priorauth.test_chart import (
    ANSWERS,
    IMAGE,
    MEASURE,
    PAIN,
    SERVICE,
    TREATMENT,
)
from tests.unit.priorauth.wiser_requests import ON, form, request
from wiser_fhir.coverage.catalogue import Catalogue
from wiser_fhir.priorauth.assess import assess
from wiser_fhir.priorauth.models import (
    Answer,
    AnswerValue,
    Beneficiary,
    ChartRecord,
    CompletedForm,
    Origin,
    Recommendation,
)

CALM = settings(deadline=None, max_examples=150)
URL = "https://wiser-fhir.example/fhir/Questionnaire/filled"
DAYS = st.dates(date(2025, 1, 1), date(2026, 6, 1))
MOMENTS = st.none() | st.datetimes(datetime(2025, 1, 1), datetime(2026, 6, 1)).map(  # noqa: DTZ001
    lambda moment: moment.replace(tzinfo=UTC)
)
RECORDS = st.builds(
    ChartRecord,
    codes=st.sampled_from([MEASURE, IMAGE, TREATMENT, PAIN, MEASURE | PAIN]),
    days=st.lists(DAYS, max_size=2).map(lambda days: tuple(sorted(days))),
    moment=MOMENTS,
    value=st.none() | st.sampled_from([Decimal("22.4"), Decimal(10), Decimal("22.41")]),
    unit=st.sampled_from([None, "{events}/h", "/h"]),
    negative=st.booleans(),
    planned=st.booleans(),
)
ORIGINS = st.fixed_dictionaries(dict.fromkeys(ANSWERS, st.none() | st.sampled_from(Origin)))
CHANGES = st.fixed_dictionaries(
    {},
    optional={
        "age": st.sampled_from([75, 76, 17]),
        "count": st.sampled_from([22, Decimal("22.4"), 14, 30]),
        "hurts": st.booleans(),
        "why": st.sampled_from(["hurt", "seen", "other"]),
        "agreed": st.booleans(),
    },
)


@cache
def catalogue() -> Catalogue:
    with TemporaryDirectory() as folder:
        return Catalogue.load(make_folder(Path(folder), {"filled/2026-01-15.toml": SERVICE}))


def completed(
    answers: dict[str, AnswerValue], origins: dict[str, Origin | None] | None = None
) -> CompletedForm:
    told = origins or {}
    given = {name: Answer(value, told.get(name)) for name, value in answers.items()}
    return form(given, questionnaire=URL)


def affirmed(answered: CompletedForm, chart: tuple[ChartRecord, ...]) -> bool:
    rules = catalogue().service("filled", ON)
    assert rules is not None
    person = Beneficiary("1EG4TE5MK73", "Doe", "A", date(1950, 2, 3))
    submission = request(forms=(answered,), chart=chart, beneficiary=person)
    found = assess(rules, submission, catalogue(), auto_affirm=True, require_reviewed=False)
    return found.recommendation is Recommendation.AFFIRM


def test_the_whole_request_is_affirmed() -> None:
    assert affirmed(completed({**ANSWERS}), ())


@CALM
@given(CHANGES, ORIGINS, st.lists(RECORDS, max_size=5).map(tuple))
def test_what_is_affirmed_with_a_chart_and_origins_is_affirmed_without(
    changes: dict[str, AnswerValue],
    origins: dict[str, Origin | None],
    chart: tuple[ChartRecord, ...],
) -> None:
    answers = {**ANSWERS, **changes}
    told = affirmed(completed(answers, origins), chart)
    assert not told or affirmed(completed(answers, origins), ())
    assert not told or affirmed(completed(answers), chart)
    assert not told or affirmed(completed(answers), ())


@CALM
@given(ORIGINS, st.lists(RECORDS, max_size=5).map(tuple), st.randoms())
def test_the_order_of_a_chart_says_nothing(
    origins: dict[str, Origin | None], chart: tuple[ChartRecord, ...], random: object
) -> None:
    shuffled = list(chart)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    answered = completed({**ANSWERS}, origins)
    assert affirmed(answered, chart) == affirmed(answered, tuple(shuffled))
