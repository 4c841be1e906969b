"""How the items of a QuestionnaireResponse stand in it, and in what words."""

from collections.abc import Iterator

from wiser_fhir.coverage.canonical import CANONICAL, CANONICAL_2_0
from wiser_fhir.fhir.elements import Json
from wiser_fhir.priorauth.form_items import ContainedForm, FormItem, FormLayout

_OURS = (f"{CANONICAL}/", f"{CANONICAL_2_0}/")
_IN_USE = ("active", "draft")


def layout(response: Json) -> FormLayout:
    """What those who answered were shown, as far as the response tells."""
    inside = _inside(response)
    return FormLayout(
        tuple(_items(response)),
        None if inside is None else _contained(inside),
        _is_modified(response) or (inside is not None and _is_modified(inside)),
    )


def _inside(response: Json) -> Json | None:
    """The form that a response asked step by step names as its own."""
    named = response.get("questionnaire", "")
    contained = (each for each in response.get("contained", ()) if f"#{each.get('id')}" == named)
    return next(contained, None)


def _contained(questionnaire: Json) -> ContainedForm:
    return ContainedForm(questionnaire.get("status") in _IN_USE, tuple(_items(questionnaire)))


def _is_modified(resource: Json) -> bool:
    return "modifierExtension" in resource or "implicitRules" in resource


def _items(parent: Json, below: str | None = None) -> Iterator[FormItem]:
    for item in parent.get("item", ()):
        link_id, answers = item.get("linkId", ""), item.get("answer", ())
        shown = tuple(_shown((*answers, *item.get("answerOption", ()))))
        yield FormItem(
            link_id, below, item.get("text"), bool(answers), shown, _is_foreign(item, answers)
        )
        for holder in (item, *answers):
            yield from _items(holder, link_id)


def _shown(answers: tuple[Json, ...]) -> Iterator[tuple[str, str]]:
    """The words of each option that is told by words too."""
    for answer in answers:
        coding = answer.get("valueCoding", {})
        if "code" in coding and "display" in coding:
            yield coding["code"], coding["display"]


def _is_foreign(item: Json, answers: tuple[Json, ...]) -> bool:
    """Whether an item carries what no item of ours does and what may change its meaning."""
    changed = any("modifierExtension" in each for each in (item, *answers))
    return changed or "prefix" in item or not item.get("definition", _OURS[0]).startswith(_OURS)
