"""Extensions: known ones by their definitions, where they may stand; unknown ones left be."""

from typing import TYPE_CHECKING, Any

from wiser_fhir.fhir.validation.guide import Definition, Node

if TYPE_CHECKING:
    from wiser_fhir.fhir.validation.checker import Checker, Place

Json = dict[str, Any]

_PARENTS = {"Resource", "DomainResource"}


def check(checker: "Checker", value: Json, node: Node, at: "Place", holder: "Place") -> None:
    """One extension. `holder` is where it hangs."""
    url = value.get("url")
    if type(url) is not str or url == "":
        return  # its definition says that one is needed
    _one_choice(checker, value, at)
    modifier = node.name == "modifierExtension"
    if ":" not in url:
        if holder.extension_url is None:
            checker.error("value", "an extension's url is absolute", at.path)
        elif not _is_part(checker, url, holder.extension_url):
            checker.error("structure", f"the extension has no part '{url[:40]}'", at.path)
        return
    definition = checker.guide.definition(url)
    if definition is None or definition.type != "Extension" or "|" in url:
        _unknown(checker, url, modifier, at)
        return
    if bool(definition.raw.get("modifier")) != modifier:
        wanted = "modifierExtension" if definition.raw.get("modifier") else "extension"
        checker.error("structure", f"{definition.name} belongs under {wanted}", at.path)
    if not fits(checker, definition, holder):
        checker.error("structure", f"extension {definition.name} is not allowed here", at.path)
    checker.data(value, definition, at)


def _is_part(checker: "Checker", url: str, outer: str) -> bool:
    """Whether an extension names that part; parts of unknown extensions are not judged."""
    definition = checker.guide.definition(outer)
    if definition is None:
        return True
    parts = definition.root.child("extension")
    names = {t[2] for p in parts.slices for t in p.raw["when"]} if parts is not None else set()
    return url in names


def _unknown(checker: "Checker", url: str, modifier: bool, at: "Place") -> None:
    if modifier:
        checker.error("extension", "a modifier extension that is not known here", at.path)
    elif "|" in url:
        checker.error("extension", "an extension's url carries no version", at.path)
    else:
        checker.report("information", "extension", "an extension that is not known here", at.path)


def _one_choice(checker: "Checker", value: Json, at: "Place") -> None:
    """ext-1: a value or extensions."""
    has_value = any(k.lstrip("_").startswith("value") for k in value)
    if has_value == ("extension" in value):
        checker.error("invariant", "ext-1: either a value or extensions expected", at.path)


def fits(checker: "Checker", definition: Definition, holder: "Place") -> bool:
    """Whether an extension may hang on an element: one of its contexts is enough."""
    contexts = definition.raw.get("context", [])
    return any(_context(checker, kind, expression, holder) for kind, expression in contexts)


def _context(checker: "Checker", kind: str, expression: str, holder: "Place") -> bool:
    if kind == "extension":
        return expression == holder.extension_url
    if kind == "fhirpath":
        return True
    expression = expression.rpartition("#")[2]
    if expression in ("Element", "Any"):
        return True
    if expression in holder.logical:
        return True
    head, _, rest = expression.partition(".")
    if head in _PARENTS:
        kinds = {p.partition(".")[0] for p in holder.logical if p.partition(".")[2] == rest}
        return any(_is_resource(checker, k) for k in kinds)
    return False


def _is_resource(checker: "Checker", kind: str) -> bool:
    found = checker.guide.type(kind)
    return found is not None and found.kind == "resource"
