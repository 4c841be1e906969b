"""The table of cards, read once: what each says, and why a hook has it."""

import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Literal, get_args

import orjson
from pydantic import Field

from wiser_fhir.coverage.frozen import Frozen, Slug, Words
from wiser_fhir.crd.hook_request import HOOKS, Hook
from wiser_fhir.crd.situations import situations

CardType = Literal[
    "external-reference",
    "instructions",
    "alternate-request",
    "additional-orders",
    "form-completion",
    "adjust-coverage",
    "launch-smart",
]
CARD_TYPES: tuple[CardType, ...] = get_args(CardType)
Topic = Literal["coverage-info", "claim", "guideline", "insurance", "limits"]
Indicator = Literal["info", "warning"]

SUITE_ONLY = "suite only"
NOT_OFFERED = "not offered"
SUMMARY_LIMIT = 140


class CardWords(Frozen):
    """A card as the table tells it."""

    type: CardType
    topic: Topic
    indicator: Indicator
    summary: Words
    detail: Words
    suggestion: Words | None = None
    action: Words | None = None


class NoteWords(Frozen):
    """A card about what has no answer."""

    summary: Words
    detail: Words


Unanswered = Literal["unreadable", "unusable", "absent"]
_KINDS = frozenset({"Order", "Appointment", "Encounter"})


class CardTable(Frozen):
    """Every card, and for each hook why it has a type of card."""

    topics: dict[Topic, Words]
    cards: dict[Slug, CardWords]
    unanswered: dict[Unanswered, NoteWords]
    named: dict[str, Words]
    without_coverage: dict[Slug, Words] = Field(alias="without-coverage")
    hooks: dict[Hook, dict[CardType, Words]]

    def has_reason(self, hook: Hook, kind: CardType) -> bool:
        """Whether WISeR itself gives this type of card on a hook."""
        return not self.hooks[hook][kind].startswith((SUITE_ONLY, NOT_OFFERED))

    def is_suite_only(self, hook: Hook, kind: CardType) -> bool:
        """Whether only test members see this type of card on a hook."""
        return self.hooks[hook][kind] == SUITE_ONLY


@cache
def card_table() -> CardTable:
    """The table. Raises ValidationError, or ValueError naming what is missing or unknown."""
    data = tomllib.loads(_file().read_text(encoding="utf-8"))
    table = CardTable.model_validate_json(orjson.dumps(data))
    if faults := list(_faults(table)):
        raise ValueError("cards.toml: " + "; ".join(faults))
    return table


def _file() -> Path:
    return Path(__file__).with_name("cards.toml")


def _faults(table: CardTable) -> Iterator[str]:
    for hook in sorted(set(HOOKS) - set(table.hooks)):
        yield f"no such hook in the table: {hook}"
    for hook, types in table.hooks.items():
        for kind in sorted(set(CARD_TYPES) - set(types)):
            yield f"{hook}: nothing said of {kind}"
    for topic in sorted(set(get_args(Topic)) - set(table.topics)):
        yield f"no display for {topic}"
    for cause in set(get_args(Unanswered)) - set(table.unanswered):
        yield f"nothing said of {cause}"
    for name in sorted(_KINDS ^ set(table.named)):
        yield f"named: missing or unknown: {name}"
    named = {name for row in situations().values() for name in row.cards}
    for name in sorted(named ^ set(table.cards)):
        yield f"in one table only: {name}"
