"""What is wrong with the answers of a form, held against the questions it was built from. Pure."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from wiser_fhir.coverage.evaluate import Asked, Value, asked, fitting
from wiser_fhir.coverage.models import ServiceRules
from wiser_fhir.coverage.questions import Question
from wiser_fhir.coverage.relevance import enabled_by


class Fault(StrEnum):
    """What can be wrong with one answer."""

    UNKNOWN = "unknown"
    NOT_ASKED = "not-asked"
    MISSING = "missing"
    NOT_POSSIBLE = "not-possible"
    REPEATED = "repeated"


@dataclass(frozen=True, slots=True)
class AnswerFault:
    """One thing wrong with a form. `question` is the linkId; `text` repeats nothing of the form."""

    question: str
    fault: Fault
    text: str


def answer_faults(
    rules: ServiceRules,
    answers: Mapping[str, Value],
    *,
    unreadable: Collection[str] = (),
    complete: bool,
    expected: Collection[str] | None = None,
) -> tuple[AnswerFault, ...]:
    """Every fault of a form: first of the answers as they came, then what is missing.

    `answers` are all that the form holds, whoever gave them; several answers are a tuple.
    `unreadable` names questions with an answer that could not be read. With `complete`, a required
    question that is asked wants an answer, if it is `expected`; every question is by default. (An
    adaptive form expects those that its answers leave relevant.)
    """
    form = _Form(rules, answers, unreadable)
    missing = form.missing(rules.by_id if expected is None else expected) if complete else ()
    return (*form.answered_wrongly(), *missing)


class _Form:
    """A form under its rules. `undecided` are the questions whose answer is no possible one."""

    def __init__(
        self, rules: ServiceRules, answers: Mapping[str, Value], unreadable: Collection[str]
    ) -> None:
        self.rules = rules
        self.given = {**answers, **dict.fromkeys(sorted(unreadable))}
        self.fitting = {name: fit for name in answers if (fit := self._fit(name)) is not None}
        self.undecided = self.given.keys() - self.fitting.keys()

    def answered_wrongly(self) -> Iterator[AnswerFault]:
        for name in self.given:
            question = self.rules.by_id.get(name)
            fault = self._fault(question) if question else Fault.UNKNOWN
            if fault is not None:
                yield AnswerFault(name, fault, _text(fault, question))

    def missing(self, expected: Collection[str]) -> Iterator[AnswerFault]:
        for question in self.rules.required_questions:
            unanswered = question.id in expected and question.id not in self.given
            if unanswered and asked(self.rules, self.fitting, question.id) is Asked.YES:
                text = _text(Fault.MISSING, question)
                yield AnswerFault(question.id, Fault.MISSING, text)

    def _fault(self, question: Question) -> Fault | None:
        """What is wrong with a question's answer: of itself before that nobody asked for it."""
        value = self.given[question.id]
        if isinstance(value, tuple) and len(value) > 1 and question.type != "multi_choice":
            return Fault.REPEATED
        if question.id in self.undecided:
            return Fault.NOT_POSSIBLE
        return Fault.NOT_ASKED if self._is_not_asked(question) else None

    def _is_not_asked(self, question: Question) -> bool:
        """Whether an earlier answer, or the want of one, keeps the question from being asked.

        Where the earlier answer is itself a fault, nothing is said of the later one.
        """
        match asked(self.rules, self.fitting, question.id):
            case Asked.YES:
                return False
            case Asked.NO:
                return True
        return self.undecided.isdisjoint(enabled_by(self.rules, question))

    def _fit(self, name: str) -> Value | None:
        question, value = self.rules.by_id.get(name), self.given[name]
        return fitting(question, value) if question and value is not None else None


def _text(fault: Fault, question: Question | None) -> str:
    text = question.text if question else ""
    return f"{_TEXTS[fault]}: {text}" if question else f"{_TEXTS[fault]}."


_TEXTS = {
    Fault.UNKNOWN: "The form answers a question it does not have",
    Fault.NOT_ASKED: "Answered, though an earlier answer leaves it unasked",
    Fault.MISSING: "Required, and not answered",
    Fault.NOT_POSSIBLE: "No possible answer",
    Fault.REPEATED: "Several answers where one is possible",
}
