"""What a service asks: questions, their options, and the rule an answer is held against."""

from collections.abc import Iterator
from decimal import Decimal
from functools import cached_property
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from wiser_fhir.coverage.chart import ChartReading, RecordedOptions
from wiser_fhir.coverage.frozen import Frozen, OptionCode, Slug, Words, repeated

Number = int | Decimal
_WHOLE = 100  # percent
_NONE = "none"  # the code of "none of these"
QuestionType = Literal["boolean", "choice", "multi_choice", "integer", "decimal", "date", "text"]
QuestionKind = Literal["fact", "attestation"]
OptionOutcome = Literal["meet", "fail", "review", "out_of_scope", "neutral"]
IfUnmet = Literal["fail", "review", "info", "out_of_scope"]


class Option(Frozen):
    """One answer of a list. Its own `outcome` goes before the question's if_unmet."""

    code: OptionCode
    label: Words
    outcome: OptionOutcome = "neutral"


class Eq(Frozen):
    """The answer is `value`."""

    op: Literal["eq"]
    value: bool | str


class In(Frozen):
    """The answer is one of `value`."""

    op: Literal["in"]
    value: tuple[str, ...] = Field(min_length=1)


class Contains(Frozen):
    """At least one, or every one, of `value` is among the chosen options."""

    op: Literal["contains_any", "contains_all"]
    value: tuple[str, ...] = Field(min_length=1)


class MinCount(Frozen):
    """At least `value` options are chosen."""

    op: Literal["min_count"]
    value: int = Field(ge=1)


class Only(Frozen):
    """`value` is chosen and nothing else."""

    op: Literal["only"]
    value: str


class Compare(Frozen):
    """The number is less than, at most, greater than, at least `value`."""

    op: Literal["lt", "lte", "gt", "gte"]
    value: Number


class Between(Frozen):
    """The number lies between `min` and `max`, both included."""

    op: Literal["between"]
    min: Number
    max: Number

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min > self.max:
            raise ValueError("min lies above max")
        return self


class WithinMonthsOf(Frozen):
    """The date lies at most `value` months before or after the date that `question` gives."""

    op: Literal["within_months_of"]
    question: Slug
    value: int = Field(ge=1)


class Answered(Frozen):
    """Any answer will do."""

    op: Literal["answered"]


Rule = Annotated[
    Eq | In | Contains | MinCount | Only | Compare | Between | WithinMonthsOf | Answered,
    Field(discriminator="op"),
]

_OPS_BY_TYPE: dict[QuestionType, frozenset[str]] = {
    "boolean": frozenset({"eq", "answered"}),
    "choice": frozenset({"eq", "in", "answered"}),
    "multi_choice": frozenset({"contains_any", "contains_all", "min_count", "only", "answered"}),
    "integer": frozenset({"lt", "lte", "gt", "gte", "between", "answered"}),
    "decimal": frozenset({"lt", "lte", "gt", "gte", "between", "answered"}),
    "date": frozenset({"within_months_of", "answered"}),
    "text": frozenset({"answered"}),
}


_TYPES_BY_READING: dict[str, frozenset[QuestionType]] = {
    "age": frozenset({"integer", "decimal"}),
    "latest-quantity": frozenset({"integer", "decimal"}),
    "latest-date": frozenset({"date"}),
    "recorded": frozenset({"boolean"}),
    "options": frozenset({"choice", "multi_choice"}),
}


class EnableWhen(Frozen):
    """When the question is asked: when another one's answer equals, or does not equal, a value."""

    question: Slug
    equals: bool | str | None = None
    not_equals: bool | str | None = None

    @model_validator(mode="after")
    def _one_comparison(self) -> Self:
        if (self.equals is None) == (self.not_equals is None):
            raise ValueError("enable_when needs either equals or not_equals")
        return self

    @property
    def value(self) -> bool | str | None:
        """What the other answer is compared with."""
        return self.not_equals if self.equals is None else self.equals


class Question(Frozen):
    """One criterion, and the Questionnaire item with linkId = id.

    `kind` tells who may answer: a fact is read from the chart, by software too; an attestation is a
    clinician's judgement and counts only when a person gave it. A number below `minimum` or above
    `maximum`, 100 where the unit is percent, is no possible answer. `chart` says where in a chart a
    fact stands; `unfilled`, why none can be read there. `administrative` questions come after the
    clinical ones (DTR 2.2.0 §spec-22).
    """

    id: Slug
    text: Words
    type: QuestionType
    kind: QuestionKind
    rule: Rule
    if_unmet: IfUnmet
    source: tuple[Slug, ...] = Field(min_length=1)
    unit: Words | None = None
    minimum: int = Field(0, ge=0)
    maximum: int | None = None
    required: bool = True
    options: tuple[Option, ...] = ()
    enable_when: EnableWhen | None = None
    evidence: tuple[Slug, ...] = ()
    note: Words | None = None
    chart: ChartReading | None = None
    unfilled: Words | None = None
    administrative: bool = False

    @property
    def is_attestation(self) -> bool:
        """Whether only a person may answer."""
        return self.kind == "attestation"

    def can_be(self, number: Number) -> bool:
        """Whether a number is a possible answer."""
        most = self.most
        return number >= self.minimum and (most is None or number <= most)

    @property
    def most(self) -> int | None:
        """The greatest number that is a possible answer. None: there is no such limit."""
        return _WHOLE if self.maximum is None and self.unit == "%" else self.maximum

    @cached_property
    def exclusive(self) -> frozenset[str]:
        """Options beside which no other can be chosen: `none`, and what the rule wants alone."""
        if self.type != "multi_choice":
            return frozenset()
        alone = {_NONE, self.rule.value} if isinstance(self.rule, Only) else {_NONE}
        return frozenset(option.code for option in self.options if option.code in alone)

    def allows(self, value: bool | str | None) -> bool:
        """Whether `value` is one an answer can be compared with: true, false or an option."""
        if self.type == "boolean":
            return isinstance(value, bool)
        return any(option.code == value for option in self.options)

    @model_validator(mode="after")
    def _coherent(self) -> Self:
        faults = list(self._faults())
        if faults:
            raise ValueError(f"{self.id}: " + "; ".join(faults))
        return self

    def _faults(self) -> Iterator[str]:
        listed = self.type in ("choice", "multi_choice")
        if listed != bool(self.options):
            yield f"a {self.type} question has {'no' if listed else 'needless'} options"
        for code in repeated(tuple(option.code for option in self.options)):
            yield f"option {code} stands twice"
        yield from self._chart_faults()
        yield from self._limit_faults()
        if self.rule.op not in _OPS_BY_TYPE[self.type]:
            yield f"the operator {self.rule.op} does not fit the type {self.type}"
        else:
            yield from self._rule_faults()

    def _chart_faults(self) -> Iterator[str]:
        if self.is_attestation and (self.chart or self.unfilled):
            yield "a question of judgement is not filled from a chart"
        if self.chart and self.unfilled:
            yield "chart and unfilled exclude each other"
        fits = _TYPES_BY_READING.get(self.chart.read) if self.chart else None
        if fits is not None and self.type not in fits:
            yield f"a {self.type} question is not read as {self.chart and self.chart.read}"
        if isinstance(self.chart, RecordedOptions):
            for code in sorted(self.chart.codes.keys() - {each.code for each in self.options}):
                yield f"chart names {code!r}, which is no option"

    def _limit_faults(self) -> Iterator[str]:
        if self.maximum is None:
            return
        if self.type not in ("integer", "decimal"):
            yield f"a {self.type} question has no maximum"
        if self.maximum < self.minimum:
            yield "maximum lies below minimum"

    def _rule_faults(self) -> Iterator[str]:
        match self.rule:
            case Eq(value=value) | Only(value=value) if not self.allows(value):
                yield f"the rule names {value!r}, which is no possible answer"
            case In(value=values) | Contains(value=values):
                for value in values:
                    if not self.allows(value):
                        yield f"the rule names {value!r}, which is no possible answer"
            case MinCount(value=count):
                yield from self._count_faults(count, len(self.options) - len(self.exclusive))
        if self.type == "choice":
            yield from self._disagreements()

    def _count_faults(self, wanted: int, countable: int) -> Iterator[str]:
        if wanted > countable:
            yield f"the rule wants {wanted} of {countable} options"
        for option in self.options:
            if option.code in self.exclusive and option.outcome in ("neutral", "meet"):
                yield f"option {option.code} would count, it needs an outcome of its own"

    def _disagreements(self) -> Iterator[str]:
        """Options whose own outcome says the opposite of the rule."""
        for option in self.options:
            match self.rule:
                case Eq(value=value):
                    passes = option.code == value
                case In(value=values):
                    passes = option.code in values
                case _:
                    passes = True
            if option.outcome != "neutral" and passes != (option.outcome == "meet"):
                yield f"option {option.code} is marked {option.outcome}, the rule says otherwise"
