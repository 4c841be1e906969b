"""What answers say under a service's rules. Pure: answers in, an outcome per criterion out."""

import operator
from calendar import monthrange
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import MAXYEAR, MINYEAR, date, datetime
from decimal import Decimal
from enum import Enum, StrEnum
from typing import cast

from wiser_fhir.coverage.decision import AllOf, AnyOf, Equals, IfTrue, Node
from wiser_fhir.coverage.models import ServiceRules
from wiser_fhir.coverage.questions import (
    Answered,
    Between,
    Contains,
    EnableWhen,
    Eq,
    In,
    MinCount,
    Number,
    Only,
    Question,
    WithinMonthsOf,
)

Value = bool | int | Decimal | str | date | tuple[str, ...]

_MOST_DIGITS = 30


class Outcome(StrEnum):
    """How one asked question stands."""

    MET = "met"
    UNMET = "unmet"
    REVIEW = "review"
    OUT_OF_SCOPE = "out-of-scope"
    UNANSWERED = "unanswered"


class Asked(Enum):
    """Whether a question is asked. Unknown while the answer it depends on is missing."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Evaluation:
    """`outcomes` of every question asked, in the file's order; `holds` of the decision tree."""

    outcomes: Mapping[str, Outcome]
    holds: bool

    def with_outcome(self, *outcomes: Outcome) -> tuple[str, ...]:
        """The ids of the questions that stand so."""
        return tuple(name for name, outcome in self.outcomes.items() if outcome in outcomes)


def evaluate(rules: ServiceRules, answers: Mapping[str, Value]) -> Evaluation:
    """Answers, each of them `fitting` its question, held against the rules.

    A leaf whose question is unanswered or not asked is not met. A condition whose question is not
    asked is skipped; one whose question is asked and unanswered, or may yet be asked, is not met.
    """
    reading = Reading(rules, answers)
    outcomes = dict(reading.outcomes())
    holds = rules.decision is not None and reading.holds(rules.decision, outcomes)
    return Evaluation(outcomes, holds)


def out_of_scope(rules: ServiceRules, answers: Mapping[str, Value]) -> tuple[str, ...]:
    """The ids of the questions whose answers say that the request is none of WISeR's."""
    reading = Reading(rules, answers)
    return tuple(
        question.id
        for question in rules.leading_out
        if reading.outcome(question) is Outcome.OUT_OF_SCOPE
    )


def asked(rules: ServiceRules, answers: Mapping[str, Value], question: str) -> Asked:
    """Whether a question is asked, given the answers so far."""
    return Reading(rules, answers).asked(question)


def fitting(question: Question, value: Value) -> Value | None:
    """The value as the question's type holds it. None when it is no possible answer."""
    match question.type:
        case "boolean":
            return value if isinstance(value, bool) else None
        case "integer":
            return value if _is_number(question, value) and isinstance(value, int) else None
        case "decimal":
            return value if _is_number(question, value) else None
        case "date":
            plain = isinstance(value, date) and not isinstance(value, datetime)
            return value if plain else None
        case "text":
            return value if isinstance(value, str) and value.strip() else None
        case "choice":
            chosen = _options(question, value)
            return chosen[0] if len(chosen) == 1 else None
        case _:
            return _options(question, value) or None


def _is_number(question: Question, value: Value) -> bool:
    if isinstance(value, Decimal):
        return _is_of_this_world(value) and question.can_be(value)
    return isinstance(value, int) and not isinstance(value, bool) and question.can_be(value)


def _is_of_this_world(number: Decimal) -> bool:
    """Whether a number has at most 30 digits, and none further than 30 from its point. Others
    measure nothing, and may be gigabytes once written out or reckoned with."""
    near = number.is_finite() and abs(number.adjusted()) <= _MOST_DIGITS
    return near and len(number.as_tuple().digits) <= _MOST_DIGITS


def _options(question: Question, value: Value) -> tuple[str, ...]:
    """The chosen options, each once. Empty when one is not in the list, or excludes another."""
    match value:
        case str():
            chosen: tuple[str, ...] = (value,)
        case tuple():
            chosen = tuple(dict.fromkeys(value))
        case _:
            return ()
    together = len(chosen) == 1 or question.exclusive.isdisjoint(chosen)
    return chosen if together and all(question.allows(code) for code in chosen) else ()


def months_after(day: date, months: int) -> date:
    """The same day of the month, `months` later or (negative) earlier; the last day of a shorter.

    Stays within the years a date can have.
    """
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    if year < MINYEAR:
        return date.min
    if year > MAXYEAR:
        return date.max
    last = monthrange(year, month + 1)[1]
    return date(year, month + 1, min(day.day, last))


@dataclass(frozen=True, slots=True)
class Reading:
    """One set of answers under one set of rules."""

    rules: ServiceRules
    answers: Mapping[str, Value]

    def asked(self, name: str) -> Asked:
        """Whether a question is asked."""
        when = self.rules.by_id[name].enable_when
        if when is None:
            return Asked.YES
        before = self.asked(when.question)
        if before is not Asked.YES:
            return before
        value = self.answers.get(when.question)
        if value is None:
            return Asked.UNKNOWN
        return Asked.YES if _enables(when, value) else Asked.NO

    def answer(self, name: str) -> Value | None:
        """The answer of a question that is asked."""
        return self.answers.get(name) if self.asked(name) is Asked.YES else None

    def outcomes(self) -> Iterator[tuple[str, Outcome]]:
        """How every question asked stands, in the file's order."""
        for question in self.rules.questions:
            outcome = self.outcome(question)
            optional = not question.required and question.id not in self.rules.deciding
            if outcome is None or (outcome is Outcome.UNANSWERED and optional):
                continue
            yield question.id, outcome

    def outcome(self, question: Question) -> Outcome | None:
        """How the question stands. None when it is not asked."""
        if self.asked(question.id) is not Asked.YES:
            return None
        value = self.answers.get(question.id)
        if value is None:
            return Outcome.UNANSWERED
        own = _worst_option(question, value)
        if own is not None:
            return own
        satisfied = self.satisfied(question, value)
        if satisfied is None:
            return Outcome.UNANSWERED
        return Outcome.MET if satisfied else _UNMET[question.if_unmet]

    def satisfied(self, question: Question, value: Value) -> bool | None:
        """Whether the answer satisfies the rule. None while the other date is missing."""
        if isinstance(question.rule, WithinMonthsOf):
            other = self.answer(question.rule.question)
            if other is None:
                return None
            return _within_months(value, other, question.rule.value)
        return _satisfies(question, value)

    def holds(self, node: Node, outcomes: Mapping[str, Outcome]) -> bool:
        """Whether a branch of the tree holds. What holds does so whatever is answered besides."""
        match node:
            case str():
                return outcomes.get(node) is Outcome.MET
            case AllOf(branches=branches):
                return all(self.holds(branch, outcomes) for branch in branches)
            case AnyOf(branches=branches):
                return any(self.holds(branch, outcomes) for branch in branches)
            case Equals(equals=wanted):
                return self.compares(wanted.question, wanted.value) is True
            case IfTrue(question=question, then=then):
                applies = self.compares(question, True)
            case _:
                then = node.then
                applies = self.compares(node.if_equals.question, node.if_equals.value)
        if applies is None:
            return False
        return self.holds(then, outcomes) if applies else True

    def compares(self, question: str, expected: bool | str) -> bool | None:
        """Whether the answer is the value. No when nobody asks, None while it is not known."""
        match self.asked(question):
            case Asked.NO:
                return False
            case Asked.UNKNOWN:
                return None
        value = self.answers.get(question)
        return None if value is None else _is(value, expected)


def _is(value: Value, expected: bool | str | None) -> bool:
    """Whether an answer, or one of several chosen options, is the expected one."""
    return expected in value if isinstance(value, tuple) else value == expected


def _enables(when: EnableWhen, value: Value) -> bool:
    return _is(value, when.value) == (when.equals is not None)


_UNMET = {
    "fail": Outcome.UNMET,
    "info": Outcome.UNMET,
    "review": Outcome.REVIEW,
    "out_of_scope": Outcome.OUT_OF_SCOPE,
}


def _worst_option(question: Question, value: Value) -> Outcome | None:
    """The outcome of the gravest chosen option that has a bad one of its own."""
    chosen = {option.outcome for option in question.options if _is(value, option.code)}
    if "out_of_scope" in chosen:
        return Outcome.OUT_OF_SCOPE
    if "fail" in chosen:
        return Outcome.UNMET
    return Outcome.REVIEW if "review" in chosen else None


def _within_months(value: Value, other: Value, months: int) -> bool:
    day, origin = cast(date, value), cast(date, other)
    return months_after(origin, -months) <= day <= months_after(origin, months)


def _satisfies(question: Question, value: Value) -> bool:
    """Whether the answer satisfies a rule that looks at it alone. `fitting` vouches for types."""
    rule = question.rule
    match rule:
        case Answered() | WithinMonthsOf():
            return True
        case Eq(value=expected):
            return value == expected
        case In(value=allowed):
            return value in allowed
        case Only(value=expected):
            return value == (expected,)
        case MinCount(value=count):
            return len(cast(tuple[str, ...], value)) >= count
        case Contains(op=op, value=wanted):
            chosen = set(wanted).intersection(cast(tuple[str, ...], value))
            return chosen == set(wanted) if op == "contains_all" else bool(chosen)
        case Between(min=lowest, max=highest):
            return lowest <= cast(Number, value) <= highest
        case _:
            return _COMPARISONS[rule.op](cast(Number, value), rule.value)


_COMPARISONS: dict[str, Callable[[Number, Number], bool]] = {
    "lt": operator.lt,
    "lte": operator.le,
    "gt": operator.gt,
    "gte": operator.ge,
}
