"""The fields of an answer's cards and actions, as the public conformance suite wants them."""

from collections.abc import Iterator

from tests.conformance.crd.fields import (
    Json,
    field_faults,
    is_empty,
    is_reference,
    kind_of,
)

# The hooks whose answers have systemActions, if only an empty list.
ACTING = ("appointment-book", "order-sign", "order-dispatch")
SUMMARY_BELOW = 140


def answer_faults(hook: str, answer: object) -> Iterator[str]:
    """Cards are a list, so are system actions where there have to be any."""
    if not isinstance(answer, dict):
        yield "the answer is no object"
        return
    if not isinstance(answer.get("cards"), list):
        yield "cards is no list" if answer.get("cards") else "the answer has no cards"
    actions = answer.get("systemActions")
    if actions is None and hook in ACTING:
        yield f"the answer to {hook} has no systemActions"
    elif actions is not None and not isinstance(actions, list):
        yield "systemActions is no list"


def card_faults(card: object) -> Iterator[str]:
    """What every card has."""
    yield from field_faults(card, "summary", "text", "a card")
    yield from field_faults(card, "indicator", "text", "a card")
    yield from field_faults(card, "source", "object", "a card")
    if not isinstance(card, dict):
        return
    summary, indicator, source = card.get("summary"), card.get("indicator"), card.get("source")
    if isinstance(summary, str) and len(summary) >= SUMMARY_BELOW:
        yield f"a summary has {len(summary)} characters"
    if isinstance(indicator, str) and indicator not in ("info", "warning", "critical"):
        yield f"the indicator {indicator} is none"
    if isinstance(source, dict):
        yield from field_faults(source, "label", "text", "a source")
        yield from field_faults(source, "topic", "object", "a source")
        if isinstance(source.get("topic"), dict):
            yield from field_faults(source["topic"], "code", "text", "a topic")
            yield from field_faults(source["topic"], "system", "text", "a topic")


def optional_card_faults(card: Json) -> Iterator[str]:
    """What a card may have."""
    for name in ("uuid", "detail"):
        if card.get(name) is not None:
            yield from field_faults(card, name, "text", "a card")
    for name in ("suggestions", "overrideReasons", "links"):
        if card.get(name) is not None:
            yield from field_faults(card, name, "list", "a card")
    for reason in _listed(card, "overrideReasons"):
        for name in ("code", "system", "display"):
            yield from field_faults(reason, name, "text", "an override reason")
    for link in _listed(card, "links"):
        yield from _link_faults(link)
    suggestions = _listed(card, "suggestions")
    if suggestions and card.get("selectionBehavior") not in ("at-most-one", "any"):
        yield f"selectionBehavior is {card.get('selectionBehavior')}"
    for suggestion in suggestions:
        yield from _suggestion_faults(suggestion)


def _listed(card: Json, name: str) -> list[object]:
    found = card.get(name)
    return found if isinstance(found, list) else []


def _link_faults(link: object) -> Iterator[str]:
    yield from field_faults(link, "label", "text", "a link")
    yield from field_faults(link, "type", "text", "a link")
    yield from field_faults(link, "url", "url", "a link")
    if not isinstance(link, dict):
        return
    if link.get("type") not in ("absolute", "smart"):
        yield f"a link of type {link.get('type')}"
    if link.get("type") == "absolute" and not is_empty(link.get("appContext")):
        yield "an absolute link has an appContext"


def _suggestion_faults(suggestion: object) -> Iterator[str]:
    yield from field_faults(suggestion, "label", "text", "a suggestion")
    if not isinstance(suggestion, dict) or suggestion.get("actions") is None:
        return
    yield from field_faults(suggestion, "actions", "list", "a suggestion")
    for action in _listed(suggestion, "actions"):
        yield from action_faults(action)


def action_faults(action: object) -> Iterator[str]:
    """What every action has, and what its type asks for."""
    yield from field_faults(action, "type", "text", "an action")
    yield from field_faults(action, "description", "text", "an action")
    if not isinstance(action, dict):
        return
    kind = action.get("type")
    if kind in ("create", "update"):
        if kind_of(action.get("resource")) is None:
            yield f"an action to {kind} has no resource"
    elif kind == "delete":
        yield from field_faults(action, "resourceId", "text", "an action to delete")
        if isinstance(action.get("resourceId"), str) and not is_reference(action["resourceId"]):
            yield f"resourceId is {action['resourceId']}"
    elif kind is not None:
        yield f"an action of type {kind}"
