"""Codes, fixed values and patterns."""

import json
import re
from typing import TYPE_CHECKING, Any

from wiser_fhir.errors import Severity
from wiser_fhir.fhir.validation.guide import Guide, Node

if TYPE_CHECKING:
    from wiser_fhir.fhir.validation.checker import Checker, Place

Json = dict[str, Any]

_BOUND_PRIMITIVES = frozenset({"code", "string", "uri", "url", "canonical"})
_SHOWN = 240
_ABSOLUTE = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*:")
_SYSTEM = re.compile(r"https?:|urn:|ldap:")
_LANGUAGE = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*")  # BCP 47, its shape
_ALL_LANGUAGES = "http://hl7.org/fhir/ValueSet/all-languages"


def equal(value: Any, fixed: Any) -> bool:
    """Whether a value is exactly the fixed one."""
    if type(value) is bool or type(fixed) is bool:
        return value is fixed
    return bool(value == fixed)


def includes(value: Any, pattern: Any) -> bool:
    """Whether a value has at least what the pattern has."""
    if type(pattern) is dict:
        return type(value) is dict and all(
            key in value and includes(value[key], part) for key, part in pattern.items()
        )
    if type(pattern) is list:
        return type(value) is list and all(any(includes(v, p) for v in value) for p in pattern)
    return equal(value, pattern)


def shown(given: Any) -> str:
    """A value of the guide, for a message."""
    text = json.dumps(given, ensure_ascii=False)
    return text if len(text) <= _SHOWN else "the value that the guide fixes"


def check(checker: "Checker", value: Json, code: str, node: Node, at: "Place") -> None:
    """The codes of a CodeableConcept, Coding or Quantity."""
    binding = node.raw.get("binding")
    if binding and checker.guide.value_set(binding[1]) is None:
        binding = None  # a set that no package has: what is left is that the codes exist
    if code == "CodeableConcept":
        _concept(checker, value, binding, at)
    elif (code == "Quantity" and binding) or (
        code == "Coding" and (binding or "CodeableConcept.coding" not in at.logical)
    ):
        _coding(checker, value, binding, at)


def check_code(checker: "Checker", value: Any, code: str, node: Node, at: "Place") -> None:
    """A primitive that is bound to a value set."""
    if code not in _BOUND_PRIMITIVES:
        return
    outermost = node.raw.get("outermost")
    if outermost is not None:
        _outermost(checker, value, outermost, at)
    binding = node.raw.get("binding")
    if binding is None:
        return
    strength, url = binding
    member = checker.guide.is_member(url, None, value)
    if member is False:
        text = f"{_quoted(value)} is not in {url}{_expected(checker.guide, url)}"
        severity: Severity = "error" if strength == "required" else "warning"
        checker.report(severity, "code-invalid", text, at.path)


def _outermost(checker: "Checker", value: Any, url: str, at: "Place") -> None:
    if url.partition("|")[0] == _ALL_LANGUAGES:
        good: bool | None = is_language(value)
    else:
        good = checker.guide.is_member(url, None, value)
    if good is False:
        checker.error("code-invalid", f"{_quoted(value)} is not in {url}", at.path)


def is_language(code: str) -> bool:
    """Whether this has the shape of a language tag; the registry of languages is not at hand."""
    return _LANGUAGE.fullmatch(code) is not None


def check_identifier(checker: "Checker", value: Json, at: "Place") -> None:
    """An Identifier's system is absolute, and so is a value that is a URI."""
    system, text = value.get("system"), value.get("value")
    if type(system) is str and not _SYSTEM.match(system) and not system.isspace():
        checker.error("value", "an identifier's system is an absolute URI", at.path)
    if system == "urn:ietf:rfc:3986" and type(text) is str and not _ABSOLUTE.match(text):
        checker.error("value", "a value of urn:ietf:rfc:3986 is an absolute URI", at.path)


def _codings(value: Json) -> list[Json]:
    found = value.get("coding")
    return [c for c in found if type(c) is dict] if type(found) is list else []


def _concept(checker: "Checker", value: Json, binding: Any, at: "Place") -> None:
    codings = _codings(value)
    if binding is None:
        _in_their_systems(checker, codings, at)
        return
    strength, url = binding
    if not codings:
        if strength == "required" and checker.guide.value_set(url) is not None:
            checker.error("code-invalid", f"a code of {url} expected, only text found", at.path)
        return
    if any(_is_member(checker.guide, url, c) is not False for c in codings):
        return
    found = ", ".join(_named(c) for c in codings)
    text = f"{found} is not in {url}{_expected(checker.guide, url)}"
    wrong = strength == "required" or any(_exists(checker.guide, c) is False for c in codings)
    checker.report("error" if wrong else "warning", "code-invalid", text, at.path)


def _coding(checker: "Checker", value: Json, binding: Any, at: "Place") -> None:
    system, code = value.get("system"), value.get("code")
    if type(system) is not str or type(code) is not str:
        return
    if binding is None:
        if not _SYSTEM.match(system) and not system.isspace():
            checker.error("code-invalid", "a system is an absolute URI", at.path)
        _in_their_systems(checker, [value], at)
        return
    strength, url = binding
    if _is_member(checker.guide, url, value) is False:
        text = f"{_named(value)} is not in {url}{_expected(checker.guide, url)}"
        wrong = strength == "required" or _exists(checker.guide, value) is False
        checker.report("error" if wrong else "warning", "code-invalid", text, at.path)


def _in_their_systems(checker: "Checker", codings: list[Json], at: "Place") -> None:
    """Codes without a binding are at least codes of their systems; one good one is enough."""
    verdicts = [_exists(checker.guide, c) for c in codings]
    if codings and all(v is False for v in verdicts):
        found = ", ".join(_named(c) for c in codings)
        checker.error("code-invalid", f"{found} is no code of its system", at.path)


def _exists(guide: Guide, coding: Json) -> bool | None:
    system, code = coding.get("system"), coding.get("code")
    if type(system) is not str or type(code) is not str:
        return None
    return guide.has_code(system, code)


def _is_member(guide: Guide, url: str, coding: Json) -> bool | None:
    system, code = coding.get("system"), coding.get("code")
    if type(code) is not str:
        return None if type(system) is str else False
    if system is not None and type(system) is not str:
        return None
    return guide.is_member(url, system, code)


def is_member(guide: Guide, value: Any, url: str) -> bool:
    """memberOf(): true also where no package can say."""
    if type(value) is dict:
        codings = _codings(value) if "coding" in value else [value]
        return any(_is_member(guide, url, c) is not False for c in codings)
    return type(value) is str and guide.is_member(url, None, value) is not False


def is_bound(guide: Guide, value: Json, url: str) -> bool:
    """Whether a coded value passes a required binding, as `check` has it."""
    if guide.value_set(url) is None:
        return True
    if "coding" not in value and "code" not in value:
        return False
    return is_member(guide, value, url)


def exist(guide: Guide, value: Json) -> bool:
    """Whether a coded value without a binding has a code that its system has."""
    codings = _codings(value) if "coding" in value else [value]
    return any(_exists(guide, c) is not False for c in codings)


def is_surely_member(guide: Guide, value: Any, url: str) -> bool:
    """Whether a coded value is known to be in a value set."""
    if type(value) is not dict:
        return type(value) is str and guide.is_member(url, None, value) is True
    codings = _codings(value) if "coding" in value else [value]
    return any(_is_member(guide, url, c) is True for c in codings)


def _named(coding: Json) -> str:
    code, system = coding.get("code"), coding.get("system")
    return f"{_quoted(code)} of {system}" if system else _quoted(code)


def _quoted(code: Any) -> str:
    """A code as found; anything long is no code and stays unsaid."""
    return f"'{code}'" if type(code) is str and len(code) <= 40 else "the value"


def _expected(guide: Guide, url: str) -> str:
    """The codes to choose from, when they are few."""
    found = guide.value_set(url)
    if found is None:
        return ""
    codes: list[str] = []
    for system, listed in found.systems.items():
        if listed is None and (known := guide.codes(system)) is not None:
            codes += known[0]
        elif isinstance(listed, frozenset):
            codes += listed
    if not 0 < len(codes) <= 12:
        return ""
    return f": one of {', '.join(sorted(codes))} expected"
