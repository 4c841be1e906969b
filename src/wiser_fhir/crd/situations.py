"""The table of situations, read once: what CRD says in each, on each line, as data."""

import string
import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import orjson
from pydantic import Field, ValidationError

from wiser_fhir.coverage.frozen import Frozen, Slug, Words
from wiser_fhir.fhir.codes import LINES, Line
from wiser_fhir.priorauth.foresee import Missing, Situation

Covered = Literal["covered", "not-covered", "conditional", "indeterminate"]
PaNeeded = Literal[
    "no-auth", "auth-needed", "satisfied", "performpa", "conditional", "indeterminate"
]
DocNeeded = Literal["clinical", "admin", "patient", "both", "conditional", "indeterminate"]
DocPurpose = Literal["withpa", "withclaim", "withorder", "retain-doc", "OTH"]
InfoNeeded = Literal["performer", "location", "timeframe", "contract-window", "OTH"]
ReasonCode = Literal["gold-card", "no-member-found", "no-active-coverage", "technical"]
Category = Literal["cat-limitation", "cat-decisional", "cat-other"]
Flag = Literal[
    "missing",
    "questions",
    "policies",
    "documents",
    "period",
    "number",
    "contact",
    "qualified",
    "provider",
    "diagnosis",
]

ALWAYS_KNOWN = frozenset(
    {
        *("service", "days", "validity", "missing"),
        *("sites", "model_first", "model_last", "model_states"),
    }
)
SOMETIMES_KNOWN = frozenset(
    {
        *("detail", "state", "participant", "phone", "email", "mac", "mac_phone"),
        *("number", "reference", "deadline", "first", "last"),
        *("states", "table", "expedited", "day", "earliest", "biller"),
    }
)


class ReasonWords(Frozen):
    """A reason for an answer. `code` is of the guide's own, where it has one that fits."""

    text: Words
    code: ReasonCode | None = None


class DetailWords(Frozen):
    """What stands beside an answer. `title` says what kind of thing the text is."""

    category: Category
    title: Words
    text: Words


class Row(Frozen):
    """One situation on one line."""

    covered: Covered
    pa_needed: PaNeeded | None = None
    doc_needed: tuple[DocNeeded, ...] = ()
    doc_purpose: tuple[DocPurpose, ...] = ()
    info_needed: tuple[InfoNeeded, ...] = ()
    reasons: tuple[ReasonWords, ...] = Field(min_length=1)
    details: tuple[DetailWords, ...] = ()
    flags: tuple[Flag, ...] = ()
    cards: tuple[Slug, ...] = ()


class MissingWords(Frozen):
    """What is asked for where a datum is missing, and how a sentence names it."""

    info: InfoNeeded
    words: Words


class AnswerWords(Frozen):
    """Words that are the same in every situation."""

    missing: dict[Missing, MissingWords] = Field(strict=False)
    titles: dict[str, Words]
    texts: dict[str, Words]


@cache
def situations() -> Mapping[tuple[Situation, Line], Row]:
    """The table. Raises ValueError naming every situation it lacks or tells wrongly."""
    data = tomllib.loads(_file("situations.toml").read_text(encoding="utf-8"))
    faults = [f"missing or unknown: {name}" for name in sorted(set(data) ^ set(Situation))]
    rows: dict[tuple[Situation, Line], Row] = {}
    for name in sorted(set(data) & set(Situation)):
        for line in LINES:
            try:
                rows[Situation(name), line] = _row(data[name], line)
            except ValidationError as error:
                faults.append(f"{name}, {line}: {error}")
    faults += [f"{key[0]}, {key[1]}: {text}" for key, row in rows.items() for text in _faults(row)]
    if faults:
        raise ValueError("situations.toml: " + "; ".join(faults))
    return MappingProxyType(rows)


@cache
def answer_words() -> AnswerWords:
    """The words around the table. Raises ValidationError, or ValueError for a datum untold."""
    data = tomllib.loads(_file("words.toml").read_text(encoding="utf-8"))
    words = AnswerWords.model_validate_json(orjson.dumps(data))
    if untold := set(Missing) - set(words.missing):
        raise ValueError(f"words.toml: missing: {', '.join(sorted(untold))}")
    return words


def filled(text: str, facts: Mapping[str, str]) -> str | None:
    """A text with the facts of the case in it. None where it names one that nobody knows."""
    try:
        return text.format_map(facts)
    except KeyError:
        return None


def facts_in(text: str) -> frozenset[str]:
    """The facts that a text names."""
    return frozenset(name for _, name, _, _ in string.Formatter().parse(text) if name)


def _file(name: str) -> Path:
    return Path(__file__).with_name(name)


def _row(told: Mapping[str, Any], line: Line) -> Row:
    own = told.get("line", {}).get(line, {})
    common = {key: value for key, value in told.items() if key != "line"}
    return Row.model_validate_json(orjson.dumps(common | own))


def _faults(row: Row) -> Iterator[str]:
    texts = [*(reason.text for reason in row.reasons), *(detail.text for detail in row.details)]
    for text in texts:
        for name in sorted(facts_in(text) - ALWAYS_KNOWN - SOMETIMES_KNOWN):
            yield f"no such fact: {name}"
    if not any(facts_in(reason.text) <= ALWAYS_KNOWN for reason in row.reasons):
        yield "no reason can always be given"
