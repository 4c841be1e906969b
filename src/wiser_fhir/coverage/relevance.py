"""Which questions of a form can still matter, and which of them to ask next. Pure.

A criterion that is not met never ends a form: whoever fills it in must be able to tell everything,
for a person may decide otherwise than the rules. Left out is only what no further answer can give
a say: a question that an earlier answer disables, the other branches of an `any` once one of them
holds (what holds is not undone by further answers), and the branch of a condition that is answered
otherwise. A question the tree does not name, or that can lead out of scope, is never left out.

Answers are seen twice. All of them say what is asked. Those that count, without attestations that
software filled, say what holds: so what software attested never spares a person a question.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from wiser_fhir.coverage.decision import AllOf, AnyOf, Equals, IfTrue, Node
from wiser_fhir.coverage.evaluate import Asked, Outcome, Reading, Value
from wiser_fhir.coverage.models import ServiceRules
from wiser_fhir.coverage.questions import Question, WithinMonthsOf

Answers = Mapping[str, Value]


def relevant(
    rules: ServiceRules, answers: Answers, counting: Answers | None = None
) -> frozenset[str]:
    """The questions that matter or still may, answered ones among them.

    `counting` are the answers that count; all of them by default.
    """
    tree = _Tree(Reading(rules, answers if counting is None else counting))
    wanted = set(rules.by_id.keys() - rules.deciding)
    wanted.update(question.id for question in rules.leading_out)
    wanted.update(tree.names())
    reading = Reading(rules, answers)
    return frozenset(
        name for name in _with_what_they_need(rules, wanted) if reading.asked(name) is not Asked.NO
    )


@dataclass(frozen=True, slots=True)
class Step:
    """What to ask next. `last_clinical`: no clinical question can follow these.

    `relevant` are the questions that matter or still may.
    """

    questions: tuple[str, ...]
    last_clinical: bool
    relevant: frozenset[str]


def next_step(
    rules: ServiceRules,
    answers: Answers,
    counting: Answers | None = None,
    put: Collection[str] = (),
) -> Step:
    """Every relevant question without an answer that can be asked now, in the order of the form.

    As many as can be in one step; but no administrative one while an answer that is still missing
    may lead to a further clinical one. `put` are questions that have been asked before: what one of
    them that need not be answered would lead to is waited for no longer.

    Source: DTR 2.2.0 §spec-22, §spec-36, §spec-39.
    """
    reading, wanted = Reading(rules, answers), relevant(rules, answers, counting)
    unanswered = [q for q in in_form_order(rules) if q.id in wanted and q.id not in answers]
    passed = {q.id for q in unanswered if q.id in put and not q.required}
    last_clinical = not any(
        reading.asked(q.id) is Asked.UNKNOWN and passed.isdisjoint(enabled_by(rules, q))
        for q in unanswered
        if not q.administrative
    )
    now = [q for q in unanswered if reading.asked(q.id) is Asked.YES]
    questions = tuple(q.id for q in now if last_clinical or not q.administrative)
    return Step(questions, last_clinical, wanted)


def in_form_order(rules: ServiceRules) -> tuple[Question, ...]:
    """The questions as a form shows them: clinical before administrative ones."""
    return tuple(sorted(rules.questions, key=lambda question: question.administrative))


def enabled_by(rules: ServiceRules, question: Question) -> Iterator[str]:
    """The questions whose answers decide whether this one is asked, the nearest first."""
    when = question.enable_when
    while when is not None:
        yield when.question
        when = rules.by_id[when.question].enable_when


def _with_what_they_need(rules: ServiceRules, names: set[str]) -> set[str]:
    """The questions, with those that enable them and those their rules look at."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        question = rules.by_id[waiting.pop()]
        if question.id not in found:
            found.add(question.id)
            waiting += _needed_by(question)
    return found


def _needed_by(question: Question) -> Iterator[str]:
    if question.enable_when is not None:
        yield question.enable_when.question
    if isinstance(question.rule, WithinMonthsOf):
        yield question.rule.question


@dataclass(frozen=True, slots=True)
class _Tree:
    """The decision tree under the answers that count."""

    reading: Reading

    def names(self) -> Iterator[str]:
        """The questions of the branches that still have a say."""
        decision = self.reading.rules.decision
        if decision is not None:
            yield from self._names(decision, dict(self.reading.outcomes()))

    def _names(self, node: Node, outcomes: Mapping[str, Outcome]) -> Iterator[str]:
        match node:
            case str():
                yield node
            case AllOf(branches=branches):
                for branch in branches:
                    yield from self._names(branch, outcomes)
            case AnyOf(branches=branches):
                certain = [each for each in branches if self.reading.holds(each, outcomes)][:1]
                for branch in certain or branches:
                    yield from self._names(branch, outcomes)
            case Equals(equals=wanted):
                yield wanted.question
            case IfTrue(question=question, then=then):
                yield from self._condition(question, True, then, outcomes)
            case _:
                wanted = node.if_equals
                yield from self._condition(wanted.question, wanted.value, node.then, outcomes)

    def _condition(
        self, question: str, value: bool | str, then: Node, outcomes: Mapping[str, Outcome]
    ) -> Iterator[str]:
        """The question of a condition, and its branch unless the answer is another."""
        yield question
        if self.reading.compares(question, value) is not False:
            yield from self._names(then, outcomes)
