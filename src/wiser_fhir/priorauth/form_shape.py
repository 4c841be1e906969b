"""Whether the form that was answered is ours: its items, where they stand, and in what words.

An answer under another text, or inside somebody else's group, may mean the opposite of what we ask.
"""

from collections.abc import Iterator, Sequence

from wiser_fhir.coverage.models import ServiceRules
from wiser_fhir.coverage.questions import Question
from wiser_fhir.coverage.wording import (
    END_OF_CLINICAL_QUESTIONS,
    END_TEXT,
    help_text,
    same_words,
    shown_text,
)
from wiser_fhir.priorauth.form_items import FormItem, FormLayout

_NONE_OF_OURS = "The form has an item that is none of ours."
_MODIFIED = "The form says of itself that it is to be read otherwise."
_NOT_HELD = "The response does not hold the form that was asked."
_NOT_IN_USE = "The form inside the response is not in use."


def shape_faults(rules: ServiceRules, layout: FormLayout, *, adaptive: bool) -> Iterator[str]:
    """Everything in which a form differs from ours, once each; nothing of the form is repeated."""
    found = [*_item_faults(rules, layout.items)]
    if layout.modified:
        found.append(_MODIFIED)
    if adaptive:
        found += _faults_inside(rules, layout)
    yield from dict.fromkeys(found)


def _faults_inside(rules: ServiceRules, layout: FormLayout) -> Iterator[str]:
    """What is wrong with the form inside a response that was asked step by step."""
    inside = layout.contained
    if inside is None:
        yield _NOT_HELD
        return
    if not inside.in_use:
        yield _NOT_IN_USE
    yield from _item_faults(rules, inside.items)
    asked = {item.link_id for item in inside.items}
    for item in layout.items:
        question = rules.by_id.get(item.link_id)
        if question is not None and item.answered and question.id not in asked:
            yield f"Answered, though the form inside does not ask for it: {question.text}"


def _item_faults(rules: ServiceRules, items: Sequence[FormItem]) -> Iterator[str]:
    seen: set[str] = set()
    for item in items:
        question = rules.by_id.get(item.link_id)
        if question is None:
            if not _is_ours_to_read(rules, item):
                yield _NONE_OF_OURS
            continue
        if item.link_id in seen:
            yield f"A question stands twice: {question.text}"
        seen.add(item.link_id)
        yield from _question_faults(question, item)


def _is_ours_to_read(rules: ServiceRules, item: FormItem) -> bool:
    """Whether an item is one of those that ask nothing, in its place and in our words."""
    text: str | None = None
    above = rules.by_id.get(item.below) if item.below is not None else None
    if item.below is None and item.link_id == END_OF_CLINICAL_QUESTIONS:
        text = END_TEXT
    elif above is not None and item.link_id == f"{above.id}.help":
        text = help_text(above)
    if text is None or item.answered or item.foreign:
        return False
    return item.text is None or same_words(item.text, text)


def _question_faults(question: Question, item: FormItem) -> Iterator[str]:
    if item.below is not None:
        yield f"A question does not stand at the top of the form: {question.text}"
    if item.foreign or not _in_our_words(question, item.text):
        yield f"A question stands in other words than ours: {question.text}"
    labels = {option.code: option.label for option in question.options}
    if any(not same_words(words, labels.get(code, words)) for code, words in item.shown):
        yield f"An option stands in other words than ours: {question.text}"


def _in_our_words(question: Question, text: str | None) -> bool:
    """Whether a text is the question's, with its unit behind or without."""
    ours = (question.text, shown_text(question))
    return text is None or any(same_words(text, each) for each in ours)
