"""Answers of a form held against the chart that came with the request.

The chart is what population logic fills a form from. An answer that differs from it is for a
clinician to look at, whoever gave it. Where the two cannot be compared, the answer stands, unless a
person put it in the place of what software had filled. What is not in the chart contradicts
nothing: it came as the submitter chose. So a chart never makes a request pass; it can only send it
to a clinician.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import Enum
from typing import cast

from wiser_fhir.coverage.chart import (
    Age,
    ChartReading,
    Computed,
    LatestDate,
    LatestQuantity,
    Recorded,
    RecordedOptions,
    code_lists,
)
from wiser_fhir.coverage.evaluate import Value, evaluate
from wiser_fhir.coverage.models import ServiceRules, plain_code
from wiser_fhir.coverage.questions import Number, Question
from wiser_fhir.priorauth.models import ChartRecord


class Comparison(Enum):
    """How an answer stands to the chart."""

    AGREES = "agrees"
    CONTRADICTS = "contradicts"
    UNCLEAR = "unclear"


@dataclass(frozen=True, slots=True)
class Chart:
    """What came of a chart. `on` is the day the form was filled."""

    records: tuple[ChartRecord, ...]
    birth_date: date | None
    on: date


def compared(
    rules: ServiceRules, answers: Mapping[str, Value], chart: Chart
) -> dict[str, Comparison]:
    """How each answer stands to the chart, of those the chart has something to say about."""
    filing = _Filing(rules, answers, chart, _by_list(rules, chart.records))
    found: dict[str, Comparison] = {}
    for name, value in answers.items():
        reading = rules.by_id[name].chart
        told = filing.comparison(rules.by_id[name], reading, value) if reading else None
        if told is not None:
            found[name] = told
    return found


def _by_list(
    rules: ServiceRules, records: Sequence[ChartRecord]
) -> dict[str, tuple[ChartRecord, ...]]:
    """The records that each value set of the service names, the order for it aside."""
    found: dict[str, list[ChartRecord]] = {}
    for record in records:
        if record.planned and any(code.code in rules.by_code for code in record.codes):
            continue
        codes = {plain_code(code) for code in record.codes}
        for name in {name for code in codes for name in rules.chart_lists.get(code, ())}:
            found.setdefault(name, []).append(record)
    return {name: tuple(each) for name, each in found.items()}


@dataclass(frozen=True, slots=True)
class _Filing:
    """The answers of a form beside the records that its value sets name."""

    rules: ServiceRules
    answers: Mapping[str, Value]
    chart: Chart
    by_list: Mapping[str, tuple[ChartRecord, ...]]

    def comparison(
        self, question: Question, reading: ChartReading, value: Value
    ) -> Comparison | None:
        """How an answer stands to the chart. None where the chart says nothing."""
        if isinstance(reading, Age):
            return self.age(question, cast(Number, value))
        named = code_lists(reading)
        found = [record for name in named for record in self.by_list.get(name, ())]
        if isinstance(reading, Computed):
            return Comparison.UNCLEAR if found else None
        records = [record for record in found if not record.planned]
        settled = tuple(record for record in records if record.settled)
        told = self.told(question, reading, value, settled) if settled else None
        if len(settled) == len(records) or told is Comparison.CONTRADICTS:
            return told
        return Comparison.UNCLEAR

    def told(
        self,
        question: Question,
        reading: LatestQuantity | LatestDate | Recorded | RecordedOptions,
        value: Value,
        records: tuple[ChartRecord, ...],
    ) -> Comparison:
        """What the records that stand say of an answer."""
        match reading:
            case LatestQuantity(unit=unit):
                return self.quantity(question, cast(Number, value), records, unit)
            case LatestDate():
                return _date(cast(date, value), records)
            case Recorded():
                return _recorded(value is True, records)
            case _:
                return self.options(reading, value)

    def age(self, question: Question, value: Number) -> Comparison:
        born, on = self.chart.birth_date, self.chart.on
        if born is None:
            return Comparison.UNCLEAR
        years = on.year - born.year - ((on.month, on.day) < (born.month, born.day))
        return self.number(question, value, Decimal(years))

    def quantity(
        self, question: Question, value: Number, records: tuple[ChartRecord, ...], unit: str
    ) -> Comparison:
        """Any of the latest values that differs contradicts, as one without a day does. A record
        with no value in the unit leaves it unclear."""
        comparable = [r for r in records if r.value is not None and r.unit == unit]
        last = (*latest([r for r in comparable if r.days]), *(r for r in comparable if not r.days))
        found = {self.number(question, value, cast(Decimal, record.value)) for record in last}
        if len(comparable) < len(records):
            found.add(Comparison.UNCLEAR)
        return _worst(found)

    def number(self, question: Question, value: Number, exact: Decimal) -> Comparison:
        """The same number, as exact as the answer is, and the same under the rule."""
        same = _equals(value, exact) and self.outcome(question, value) == self.outcome(
            question, exact
        )
        return Comparison.AGREES if same else Comparison.CONTRADICTS

    def outcome(self, question: Question, value: Number) -> object:
        return evaluate(self.rules, {**self.answers, question.id: value}).outcomes.get(question.id)

    def options(self, reading: RecordedOptions, value: Value) -> Comparison:
        """An option the chart records and the answer leaves out contradicts it. A single choice
        beside records of several is unclear."""
        chosen = {value} if isinstance(value, str) else set(cast(tuple[str, ...], value))
        recorded = {
            option
            for option, name in reading.codes.items()
            if any(_says_so(record) for record in self.by_list.get(name, ()))
        }
        if recorded <= chosen:
            return Comparison.AGREES
        several = isinstance(value, str) and len(recorded) > 1 and value in recorded
        return Comparison.UNCLEAR if several else Comparison.CONTRADICTS


def latest(records: Sequence[ChartRecord]) -> Iterator[ChartRecord]:
    """The records, each with a day, than which none is later for certain."""
    moments = [record.moment for record in records if record.moment is not None]
    last_moment = max(moments, default=None)
    last_day = max((record.days[0] for record in records), default=date.min)
    last_bare = max((r.days[0] for r in records if r.moment is None), default=date.min)
    for record in records:
        if record.moment is None:
            earlier = record.days[-1] < last_day
        else:
            earlier = record.moment != last_moment or record.days[-1] < last_bare
        if not earlier:
            yield record


def _equals(value: Number, exact: Decimal) -> bool:
    exponent = Decimal(value).as_tuple().exponent
    places = min(exponent, 0) if isinstance(exponent, int) else 0
    return abs(Decimal(value) - exact) <= Decimal(5).scaleb(places - 1)


def _date(value: date, records: tuple[ChartRecord, ...]) -> Comparison:
    """The day of one record, than which none lies later. One without a day leaves it unclear."""
    dated = [record for record in records if record.days]
    found = {Comparison.UNCLEAR} if len(dated) < len(records) else set()
    if dated:
        known = any(value in record.days for record in dated)
        later = any(record.days[0] > value for record in dated)
        found.add(Comparison.AGREES if known and not later else Comparison.CONTRADICTS)
    return _worst(found)


def _recorded(value: bool, records: tuple[ChartRecord, ...]) -> Comparison:
    """Yes beside records that only say no, and no beside one that does not, contradict."""
    recorded = any(not record.negative for record in records)
    return Comparison.AGREES if value == recorded else Comparison.CONTRADICTS


def _says_so(record: ChartRecord) -> bool:
    return record.settled and not (record.negative or record.planned)


def _worst(found: set[Comparison]) -> Comparison:
    gravest_first = (Comparison.CONTRADICTS, Comparison.UNCLEAR)
    return next((each for each in gravest_first if each in found), Comparison.AGREES)
