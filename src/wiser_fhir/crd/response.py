"""The answer to a hook call: system actions for the orders, cards for people.

Source: CRD 2.2.1, "Response types", §resp-29, §resp-35 to §resp-37.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from uuid import UUID, uuid4

from wiser_fhir.coverage.catalogue import Catalogue
from wiser_fhir.crd.assertion import Assertion
from wiser_fhir.crd.card_table import CARD_TYPES, Unanswered, card_table
from wiser_fhir.crd.cards import (
    Card,
    Occasion,
    merged,
    order_cards,
    order_name,
    told_apart,
    written,
)
from wiser_fhir.crd.configuration import Configuration
from wiser_fhir.crd.coverage_information import (
    extension,
    informed,
    same_answer,
    without_documentation,
)
from wiser_fhir.crd.hook_request import PRIMARY_HOOKS, Hook
from wiser_fhir.crd.orders import Unusable
from wiser_fhir.crd.plain_text import markdown_safe
from wiser_fhir.errors import Problem
from wiser_fhir.fhir.codes import Line
from wiser_fhir.fhir.elements import Json
from wiser_fhir.priorauth.ledger import CardRecord

_ABSENT = frozenset({"not-found", "transient"})
_NO_FAULT_OF_FHIR = "invalid"  # ours; what breaks FHIR is of another code
_LONGEST = 200
_MOST_PROBLEMS = 5

Suite = Callable[[Occasion], Sequence[Card]]
"""Further cards for an occasion: the sandbox has some for its test members."""


def no_suite(occasion: Occasion) -> Sequence[Card]:
    """No further cards."""
    return ()


@dataclass(frozen=True, slots=True)
class OrderAnswer:
    """One answer and the very resource it is about.

    `carried` is the coverage-information of ours that the resource came with, if it did.
    """

    assertion: Assertion
    resource: Json
    carried: Json | None = None


@dataclass(frozen=True, slots=True)
class Action:
    """A system action: the resource as it came, and the extension as its one change.

    `assertion` is None where the resource goes back with the answer it came with.
    """

    description: str
    resource: Json
    order: str
    assertion: Assertion | None


@dataclass(frozen=True, slots=True)
class Answered:
    """The body, its cards as they are kept, and its actions in the order of the body."""

    body: Json
    cards: tuple[CardRecord, ...]
    actions: tuple[Action, ...]


def respond(
    answers: Sequence[OrderAnswer],
    occasion: Occasion,
    *,
    configuration: Configuration,
    catalogue: Catalogue,
    suite: Suite = no_suite,
    unanswered: Sequence[Card] = (),
    new_uuid: Callable[[], UUID] = uuid4,
) -> Answered:
    """The answer, as far as the client wants it. `systemActions` is there in any case.

    `unanswered` are the cards about what has no answer. What-if calls are for `assertion` to
    honour: its answers then carry no number.
    """
    actions = _actions(answers, occasion, configuration)
    told = {action.order: action.resource for action in actions}
    cards: list[Card] = []
    for each in answers:
        order = told.get(each.assertion.order, each.resource)
        carried = each.assertion.order in told or each.carried is not None
        cards += order_cards(each.assertion, order, occasion, catalogue, told=carried)
    names = {
        **{_reference(order): order_name(order, None) for order in occasion.orders},
        **{a.assertion.order: order_name(a.resource, a.assertion) for a in answers},
    }
    names = told_apart(names, (*occasion.orders, *(answer.resource for answer in answers)))
    wanted = [*merged(cards), *unanswered, *suite(occasion)]
    return _answered(wanted, names, actions, occasion.line, configuration, new_uuid)


def unanswered(unusable: Sequence[Unusable]) -> tuple[Card, ...]:
    """A card for each thing asked about that has no answer, and why.

    There is none for what asks that something be not done: nothing is needed for it.
    Source: CRD 2.2.1 §hook-16.
    """
    told = ((each, _cause(each)) for each in unusable)
    return tuple(_unanswered(each, cause) for each, cause in told if cause is not None)


def _cause(unusable: Unusable) -> Unanswered | None:
    """The worst there is: FHIR broken, of no use here, not to be had."""
    codes = {problem.code for problem in unusable.problems} - {"informational"}
    if codes <= _ABSENT:
        return "absent" if codes else None
    return "unusable" if codes <= {*_ABSENT, _NO_FAULT_OF_FHIR} else "unreadable"


def _unanswered(unusable: Unusable, cause: Unanswered) -> Card:
    table = card_table()
    kind = (unusable.reference or "").partition("/")[0]
    what = table.named.get(kind, table.named["Order"])
    words = table.unanswered[cause]
    problems = dict.fromkeys(markdown_safe(_plain(p), _LONGEST) for p in unusable.problems)
    detail = words.detail.format(problems="; ".join(list(problems)[:_MOST_PROBLEMS]))
    about = (unusable.reference,) if unusable.reference else ()
    summary = words.summary.format(what=what)
    return Card("instructions", "coverage-info", "info", summary, detail, about=about)


def _plain(problem: Problem) -> str:
    """A problem without the place in the JSON, which the reader of a card never sees."""
    return problem.text.removeprefix(f"{problem.expression}: ")


def without_coverage(
    cause: str,
    line: Line,
    *,
    configuration: Configuration,
    new_uuid: Callable[[], UUID] = uuid4,
) -> Answered:
    """The answer where there is no Coverage to answer about: a card, and no action.

    `cause` is that of NoCoverage. It stands for the coverage information there is not; a card of
    the insurance kind would bring the patient's coverage up to date.
    Source: CRD 2.2.1, ext-coverage-information, `coverage`.
    """
    detail = card_table().without_coverage[cause]
    card = Card("instructions", "coverage-info", "info", "No coverage to answer about", detail)
    return _answered([card], {}, (), line, configuration, new_uuid)


def _answered(
    cards: Sequence[Card],
    names: dict[str, str],
    actions: Sequence[Action],
    line: Line,
    configuration: Configuration,
    new_uuid: Callable[[], UUID],
) -> Answered:
    wanted = [card for card in cards if configuration.gives(card.topic)]
    kept = sorted(wanted, key=_importance)[: configuration.max_cards]
    sent = [written(card, names, line, new_uuid) for card in kept]
    body: Json = {
        "cards": [card for card, _ in sent],
        "systemActions": [
            {"type": "update", "description": each.description, "resource": each.resource}
            for each in actions
        ],
    }
    return Answered(body, tuple(record for _, record in sent), tuple(actions))


def _importance(card: Card) -> tuple[bool, int]:
    """Where payment is at risk first; then in the order of the types."""
    return card.indicator != "warning", CARD_TYPES.index(card.type)


def _actions(
    answers: Sequence[OrderAnswer], occasion: Occasion, configuration: Configuration
) -> tuple[Action, ...]:
    """An action for each order about which there is something new to say.

    Line 2.0 answers on its primary hooks in any case: an order that says it already goes back as
    it came. Source: CRD 2.2.1 §resp-29, §resp-35; CRD 2.0.1, "Primary hooks".
    """
    if not configuration.gives_coverage_information:
        return ()
    actions = []
    for each in answers:
        order, information = each.assertion.order, extension(each.assertion, occasion.line)
        kind = each.resource["resourceType"]
        if each.carried is None or not _says(each.carried, information, occasion.hook):
            text = f"Medicare's coverage information for this {kind}"
            resource = informed(each.resource, information)
            actions.append(Action(text, resource, order, each.assertion))
        elif occasion.line == "2.0" and occasion.hook in PRIMARY_HOOKS:
            text = f"Medicare's coverage information for this {kind}, as before"
            actions.append(Action(text, each.resource, order, None))
    return tuple(actions)


def _says(carried: Json, information: Json, hook: Hook) -> bool:
    """Whether an order says it already. On a supporting hook it may ask for documents besides."""
    known = carried if hook in PRIMARY_HOOKS else without_documentation(carried)
    return same_answer(known, information)


def _reference(resource: Json) -> str:
    return f"{resource.get('resourceType')}/{resource.get('id')}"
