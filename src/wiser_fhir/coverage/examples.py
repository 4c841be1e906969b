"""Worked examples of a service: answers, and what the rules must say of them.

A file holds one way through the form and its variations, each of them one change away:

    {"on": "2026-05-04", "answers": {...}, "expect": "affirm", "unmet": [], "unanswered": [],
     "variations": [{"set": {...}, "drop": [...], "expect": "review", "unmet": [...]}]}

`expect` is affirm, review or dismiss. `unmet` and `unanswered` name the questions that stand so.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from wiser_fhir.coverage.catalogue import Catalogue
from wiser_fhir.coverage.evaluate import Evaluation, Outcome, Value, evaluate, fitting
from wiser_fhir.coverage.frozen import Frozen, Slug
from wiser_fhir.coverage.loading import CatalogueError, short
from wiser_fhir.coverage.models import ServiceRules
from wiser_fhir.coverage.questions import Question

Expected = Literal["affirm", "review", "dismiss"]


class _Variation(Frozen):
    set: dict[Slug, Any] = Field(default_factory=dict)
    drop: list[Slug] = Field(default_factory=list)
    expect: Expected
    unmet: list[Slug] = Field(default_factory=list)
    unanswered: list[Slug] = Field(default_factory=list)


class _File(Frozen):
    on: date
    answers: dict[Slug, Any]
    expect: Expected
    unmet: list[Slug] = Field(default_factory=list)
    unanswered: list[Slug] = Field(default_factory=list)
    variations: list[_Variation] = Field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Example:
    """One set of answers and what must come of it. `name` is its file and place."""

    name: str
    rules: ServiceRules
    on: date
    answers: Mapping[str, Value]
    expect: Expected
    unmet: tuple[str, ...]
    unanswered: tuple[str, ...]


def examples(catalogue: Catalogue, folder: Path, slug: str) -> tuple[Example, ...]:
    """The examples of one service, `folder` being the catalogue's. Raises CatalogueError."""
    paths = sorted((folder / "services" / slug / "examples").glob("*.json"))
    return tuple(example for path in paths for example in _read(catalogue, slug, path))


def faults(example: Example) -> list[str]:
    """Where the rules say something else than the example expects."""
    evaluation = evaluate(example.rules, example.answers)
    unmet = evaluation.with_outcome(Outcome.UNMET, Outcome.REVIEW, Outcome.OUT_OF_SCOPE)
    found: dict[str, tuple[object, object]] = {
        "expect": (example.expect, conclusion(evaluation)),
        "unmet": (sorted(example.unmet), sorted(unmet)),
        "unanswered": (
            sorted(example.unanswered),
            sorted(evaluation.with_outcome(Outcome.UNANSWERED)),
        ),
    }
    return [
        f"{example.name}: {key}: expected {wanted}, the rules say {told}"
        for key, (wanted, told) in found.items()
        if wanted != told
    ]


def conclusion(evaluation: Evaluation) -> Expected:
    """What answers alone lead to."""
    if evaluation.with_outcome(Outcome.OUT_OF_SCOPE):
        return "dismiss"
    return "affirm" if evaluation.holds else "review"


def _read(catalogue: Catalogue, slug: str, path: Path) -> Iterator[Example]:
    try:
        raw = json.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)
        content = _File.model_validate(raw | {"on": date.fromisoformat(raw["on"])})
    except (ValueError, KeyError, TypeError, ValidationError) as error:
        raise CatalogueError([f"{short(path)}: not readable as an example: {error}"]) from None
    rules = catalogue.service(slug, content.on)
    if rules is None:
        raise CatalogueError([f"{short(path)}: no rule file is in force on {content.on}"])

    def example(place: str, answers: Mapping[str, Any], case: _File | _Variation) -> Example:
        name = f"{short(path)}{place}"
        return Example(
            name=name,
            rules=rules,
            on=content.on,
            answers=_answers(name, rules, answers),
            expect=case.expect,
            unmet=tuple(case.unmet),
            unanswered=tuple(case.unanswered),
        )

    yield example("", content.answers, content)
    for number, variation in enumerate(content.variations):
        changed = content.answers | variation.set
        kept = {name: value for name, value in changed.items() if name not in variation.drop}
        yield example(f" variation {number}", kept, variation)


def _answers(name: str, rules: ServiceRules, raw: Mapping[str, Any]) -> dict[str, Value]:
    """JSON answers as the questions' types hold them. Raises CatalogueError."""
    answers: dict[str, Value] = {}
    for key, value in raw.items():
        question = rules.by_id.get(key)
        answer = _answer(question, value) if question else None
        if answer is None:
            raise CatalogueError([f"{name}: {key}: no possible answer: {value!r}"])
        answers[key] = answer
    return answers


def _answer(question: Question, value: Any) -> Value | None:
    if isinstance(value, list):
        return fitting(question, tuple(value))
    if question.type == "date" and isinstance(value, str):
        try:
            return date.fromisoformat(value)
        except ValueError:
            return None
    return fitting(question, value)
