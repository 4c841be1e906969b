"""Cards: what a person should read beside the answers that go on the orders themselves.

Source: CRD 2.2.1, "Response types" (§resp-1 to §resp-24, §resp-53 to §resp-72), §dev-24, §dev-25.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Literal
from uuid import UUID

from wiser_fhir.coverage.catalogue import Catalogue
from wiser_fhir.crd.assertion import Assertion
from wiser_fhir.crd.card_table import (
    SUMMARY_LIMIT,
    CardType,
    CardWords,
    Indicator,
    Topic,
    card_table,
)
from wiser_fhir.crd.case_facts import known_facts
from wiser_fhir.crd.coverage_information import CRD_CODES
from wiser_fhir.crd.hook_request import Hook
from wiser_fhir.crd.plain_text import markdown_safe
from wiser_fhir.crd.policies import guide_link, policy_links
from wiser_fhir.crd.situations import filled, situations
from wiser_fhir.fhir.codes import Line
from wiser_fhir.fhir.elements import Json
from wiser_fhir.fhir.values import day_of
from wiser_fhir.priorauth.ledger import CardRecord

PAYER = "Medicare"
"""The payer's name as it stands on the card. Source: CRD 2.2.1 §resp-4."""

CARD_TOPICS = "http://terminology.hl7.org/CodeSystem/cdshooks-card-type"

_TIMED = ("ServiceRequest", "DeviceRequest")
_CODED_IN = ("code", "codeCodeableConcept", "medicationCodeableConcept")


@dataclass(frozen=True, slots=True)
class CardLink:
    """Where a card leads: a public page, or a SMART app with what it is to be told."""

    label: str
    url: str
    type: Literal["absolute", "smart"] = "absolute"
    app_context: str | None = None


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A change that a person can take with one step."""

    label: str
    actions: tuple[Json, ...]


@dataclass(frozen=True, slots=True)
class Card:
    """A card before it has a number. `about` are references of the orders it is about."""

    type: CardType
    topic: Topic
    indicator: Indicator
    summary: str
    detail: str
    links: tuple[CardLink, ...] = ()
    suggestions: tuple[Suggestion, ...] = ()
    about: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Occasion:
    """The hook call that cards are given in: `orders` is every resource it is about.

    `mbi` is the beneficiary's number, `patient` and `encounter` are references.
    """

    hook: Hook
    line: Line
    mbi: str | None
    patient: str
    orders: tuple[Json, ...]
    coverage: Json | None = None
    encounter: str | None = None


def order_cards(
    assertion: Assertion, order: Json, occasion: Occasion, catalogue: Catalogue, *, told: bool
) -> Iterator[Card]:
    """The cards that go with one answer.

    `order` is the resource as it will stand; `told` says that it carries the answer, which a card
    then does not repeat. Source: CRD 2.2.1 §resp-12.
    """
    table = card_table()
    for name in situations()[assertion.situation, occasion.line].cards:
        words = table.cards[name]
        if not table.has_reason(occasion.hook, words.type):
            continue
        match words.type:
            case "external-reference":
                card = _reference(words, assertion, occasion, catalogue, told)
            case "alternate-request":
                card = _shorter(words, assertion, order, catalogue)
            case _:
                card = _card(words, assertion, known_facts(assertion.foreseen, catalogue))
        if card is not None:
            yield replace(card, about=(assertion.order,))


def merged(cards: Sequence[Card]) -> list[Card]:
    """One card for several orders where only the order differs. Those with suggestions stay."""
    found: dict[Card | int, Card] = {}
    for number, card in enumerate(cards):
        key: Card | int = number if card.suggestions else replace(card, about=())
        first = found.get(key)
        about = (*first.about, *card.about) if first else card.about
        found[key] = replace(card, about=tuple(dict.fromkeys(about)))
    return list(found.values())


def written(
    card: Card, names: dict[str, str], line: Line, new_uuid: Callable[[], UUID]
) -> tuple[Json, CardRecord]:
    """A card as it goes out, and what is kept of it.

    `names` tells how a person would call each order of the call. A card that is not about all of
    them says which. Source: CRD 2.2.1 §dev-24, §dev-25, §resp-3 to §resp-5.
    """
    number, numbers = new_uuid(), tuple(new_uuid() for _ in card.suggestions)
    topic = {
        "system": CRD_CODES if line == "2.0" else CARD_TOPICS,
        "code": card.topic,
        "display": card_table().topics[card.topic],
    }
    body: Json = {
        "uuid": str(number),
        "summary": card.summary,
        "detail": card.detail + _which(card, names),
        "indicator": card.indicator,
        "source": {"label": PAYER, "topic": topic},
    }
    if card.about:
        related = [{"reference": reference} for reference in card.about]
        body["extension"] = {"davinci-crd.associated-resource": related}
    if card.links:
        body["links"] = [_link(link) for link in card.links]
    if card.suggestions:
        body["suggestions"] = [
            {"label": each.label, "uuid": str(own), "actions": list(each.actions)}
            for each, own in zip(card.suggestions, numbers, strict=True)
        ]
        body["selectionBehavior"] = "at-most-one"
    return body, CardRecord(uuid=number, type=card.type, topic=card.topic, suggestions=numbers)


def order_name(order: Json, assertion: Assertion | None) -> str:
    """How a person would call an order: by our own words for its code, else by its own, made safe.

    Source: CRD 2.2.1 §dev-24.
    """
    rules = assertion.foreseen.rules if assertion else None
    code = assertion.foreseen.code if assertion else None
    known = rules.by_code.get(code.code) if rules and code else None
    if known is not None:
        return f"{known.text} ({known.system} {known.code})"
    return markdown_safe(_own_words(order) or str(order.get("resourceType", "Order")))


def told_apart(names: Mapping[str, str], orders: Sequence[Json]) -> dict[str, str]:
    """The names with those that several orders share made different: by the day, else by the id.

    `orders` are the resources behind the references. Source: CRD 2.2.1 §dev-24.
    """
    days = {f"{each.get('resourceType')}/{each.get('id')}": order_day(each) for each in orders}
    shared = Counter(names.values())
    dated = Counter((name, days.get(reference)) for reference, name in names.items())
    told = {}
    for reference, name in names.items():
        day = days.get(reference)
        if shared[name] > 1 and day is not None and dated[name, day] == 1:
            told[reference] = f"{name} on {day}"
        elif shared[name] > 1:
            told[reference] = f"{name}, id {markdown_safe(reference.partition('/')[2])}"
        else:
            told[reference] = name
    return told


def order_day(order: Json) -> date | None:
    """The first day of what is ordered or booked. The order may be one that nobody could read."""
    period = order.get("occurrencePeriod") or order.get("period")
    begins = period.get("start") if isinstance(period, dict) else None
    return _day(order.get("occurrenceDateTime") or begins or order.get("start"))


def _link(link: CardLink) -> Json:
    body: Json = {"label": link.label, "url": link.url, "type": link.type}
    return body | ({"appContext": link.app_context} if link.app_context else {})


def _which(card: Card, names: dict[str, str]) -> str:
    if not card.about or set(card.about) >= set(names):
        return ""
    named = [names.get(reference) or markdown_safe(reference) for reference in card.about]
    return "\n\nThis is about: " + "; ".join(dict.fromkeys(named)) + "."


def _own_words(order: Json) -> str | None:
    """What an order calls itself. It may be one that nobody could read."""
    concepts = [order.get(name) for name in _CODED_IN]
    kinds = order.get("serviceType") or order.get("type") or ()
    concepts += kinds if isinstance(kinds, list) else [kinds]
    for concept in concepts:
        if isinstance(concept, dict):
            listed = concept.get("coding")
            codings = [c for c in listed if isinstance(c, dict)] if isinstance(listed, list) else []
            told = [concept.get("text"), *(c.get("display") for c in codings)]
            told += [c.get("code") for c in codings]
            words = next((text for text in told if isinstance(text, str) and text.strip()), None)
            if words is not None:
                return words
    return None


def _card(words: CardWords, assertion: Assertion, facts: dict[str, str]) -> Card | None:
    summary, detail = filled(words.summary, facts), filled(words.detail, facts)
    if summary is None or detail is None:
        return None
    return Card(words.type, words.topic, words.indicator, _short(summary), detail)


def _short(summary: str) -> str:
    """A summary is shorter than 140 characters. Source: CDS Hooks, "Card attributes"."""
    if len(summary) < SUMMARY_LIMIT:
        return summary
    return summary[: SUMMARY_LIMIT - 2].rstrip() + "…"


def _reference(
    words: CardWords, assertion: Assertion, occasion: Occasion, catalogue: Catalogue, told: bool
) -> Card | None:
    """Links to the guide, and to the policies where the answer has no place for them.

    Source: CRD 2.2.1 §resp-12, §resp-17 to §resp-21.
    """
    rules, state = assertion.foreseen.rules, assertion.foreseen.state
    if rules is None:
        return None
    guide = guide_link(rules, catalogue)
    pages = [guide] if guide is not None else []
    if occasion.line == "2.0" or not told:
        pages += policy_links(rules, state, catalogue)
    card = _card(words, assertion, known_facts(assertion.foreseen, catalogue))
    if card is None or not pages:
        return None
    return replace(card, links=tuple(CardLink(page.label, page.url) for page in pages))


def _shorter(
    words: CardWords, assertion: Assertion, order: Json, catalogue: Catalogue
) -> Card | None:
    """The same order ended on the last day that an affirmation of today would cover.

    For an order that is longer than any one affirmation, and begins while today's would last.
    Source: WISeR Operational Guide 6.0, 4.3; CRD 2.2.1 §resp-53.
    """
    reach = timedelta(days=catalogue.process.timeframes.validity_days - 1)
    until = assertion.date + reach
    period = order.get("occurrencePeriod")
    if order.get("resourceType") not in _TIMED or not isinstance(period, dict):
        return None
    begins = max(_day(period.get("start")) or assertion.date, assertion.date)
    ends = _day(period.get("end"))
    if ends is None or begins > until or ends <= begins + reach:
        return None
    facts = known_facts(assertion.foreseen, catalogue)
    facts |= {"until": until.isoformat(), "ends": ends.isoformat()}
    card = _card(words, assertion, facts)
    label, description = filled(words.suggestion or "", facts), filled(words.action or "", facts)
    if card is None or not label or not description:
        return None
    changed = order | {"occurrencePeriod": period | {"end": until.isoformat()}}
    action = {"type": "update", "description": description, "resource": changed}
    return replace(card, suggestions=(Suggestion(label, (action,)),))


def _day(text: object) -> date | None:
    return day_of(text) if isinstance(text, str) else None
