"""What a client reports of our forms, reduced to what cannot tell of a patient.

The guide forbids data about patients in a report; that it came all the same is not to be excluded.
So no text of the sender is taken over, nor a hash of it, by which a short one could be guessed.
Kept are words of closed lists: which form, how bad, which kind, which elements, and which of our
own names the texts mention.

Source: DTR 2.2.0 §oper-1 to §oper-3, dtr-log-errors-input-parameters.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass
from hashlib import sha256
from typing import Any

import orjson

from wiser_fhir.dtr.error_words import DETAILS_SYSTEM, error_words
from wiser_fhir.dtr.operations import Parameter, named
from wiser_fhir.errors import InvalidResource, Problem, TooLarge
from wiser_fhir.fhir.elements import Json

MOST_FORMS = 20
MOST_ISSUES = 100
_LONGEST_CANONICAL = 2_000
_MOST_WORDS = 20
_DEEPEST = 10
_OUTCOMES = ("operationOutcome", "outcome", "OperationOutcome")
_FORMS = ("questionnaire", "Questionnaire")
_CANONICAL_KEYS = ("valueCanonical", "valueUri", "valueString")

_INDEX = re.compile(r"\[\d*\]")
_WORD = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:-[A-Za-z0-9]+)*")


@dataclass(frozen=True, slots=True)
class FormName:
    """A form of ours: its service, `-adaptive` behind it where it is that, and its version where
    that is one of ours.
    """

    form: str
    version: str | None


@dataclass(frozen=True, slots=True)
class Names:
    """The names we publish: forms by canonical without and with version, and all other words."""

    forms: Mapping[str, FormName]
    words: frozenset[str]

    def form(self, canonical: str) -> FormName | None:
        """The form a canonical means. A version that there is not is left out."""
        return self.forms.get(canonical) or self.forms.get(canonical.partition("|")[0])


@dataclass(frozen=True, slots=True)
class ReportedIssue:
    """One issue of a report about one form, in words of closed lists. `form` None: none of ours."""

    form: str | None
    version: str | None
    severity: str
    code: str
    paths: tuple[str, ...]
    details: tuple[str, ...]
    mentions: tuple[str, ...]

    def digest(self, line: str) -> bytes:
        """The same for the same issue on a line."""
        return sha256(orjson.dumps([line, *astuple(self)])).digest()


def read_report(given: Sequence[Parameter], names: Names) -> tuple[ReportedIssue, ...]:
    """What a report says. Each issue counts for each form named: a report does not say more.

    Raises InvalidResource with every problem, TooLarge for more than 20 forms or 100 issues.
    Source: DTR 2.2.0, dtr-log-errors-input-parameters (both at least once).
    """
    forms, outcomes = named(given, *_FORMS), named(given, *_OUTCOMES)
    problems: list[Problem] = []
    for found, name in ((forms, "questionnaire"), (outcomes, "operationOutcome")):
        if not found:
            text = f"At least one parameter {name} is needed."
            problems.append(Problem("error", "required", text, "Parameters.parameter"))
    problems += [problem for each in forms if (problem := _canonical_fault(each)) is not None]
    issues = [issue for each in outcomes for issue in _issues(each, problems)]
    if len(forms) > MOST_FORMS or len(issues) > MOST_ISSUES:
        text = f"No more than {MOST_FORMS} questionnaires and {MOST_ISSUES} issues at a time."
        raise TooLarge(text, [Problem("error", "too-long", text, "Parameters.parameter")])
    for place, issue in issues:
        problems += _issue_faults(issue, place)
    if problems:
        raise InvalidResource("The report cannot be read.", problems)
    meant = dict.fromkeys(names.form(each.value) for each in forms)
    return tuple(
        dict.fromkeys(_reduced(form, issue, names) for form in meant for _, issue in issues)
    )


def _canonical_fault(given: Parameter) -> Problem | None:
    value = given.value
    if given.key not in _CANONICAL_KEYS or not isinstance(value, str) or not value.strip():
        return Problem("error", "value", "The canonical of a questionnaire is needed.", given.place)
    if len(value) > _LONGEST_CANONICAL:
        text = f"A canonical has at most {_LONGEST_CANONICAL:,} characters."
        return Problem("error", "too-long", text, given.place)
    return None


def _issues(given: Parameter, problems: list[Problem]) -> Iterator[tuple[str, Any]]:
    """The issues of an outcome, each with its place."""
    outcome, place = given.value, given.place
    if given.key != "resource" or outcome.get("resourceType") != "OperationOutcome":
        problems.append(Problem("error", "structure", "An OperationOutcome is needed.", place))
        return
    issues = outcome.get("issue")
    if not isinstance(issues, list) or not issues:
        text = "An OperationOutcome has at least one issue."
        problems.append(Problem("error", "required", text, f"{place}.issue"))
        return
    for number, issue in enumerate(issues):
        yield f"{place}.issue[{number}]", issue


def _issue_faults(issue: Any, place: str) -> Iterator[Problem]:
    """Source: FHIR R4, OperationOutcome (both codes are required, from their value sets)."""
    if not isinstance(issue, dict):
        yield Problem("error", "structure", "An issue is an object.", place)
        return
    for name, known in (
        ("severity", error_words().severities),
        ("code", error_words().issue_codes),
    ):
        value = issue.get(name)
        if not isinstance(value, str) or value not in known:
            text = f"An issue has a {name} of FHIR's list."
            yield Problem("error", "code-invalid", text, f"{place}.{name}")


def _reduced(form: FormName | None, issue: Json, names: Names) -> ReportedIssue:
    texts = list(_texts(issue))
    paths = {path for each in _strings(issue.get("expression")) if (path := element_path(each))}
    mentioned = {word for each in texts for word in _WORD.findall(each) if word in names.words}
    return ReportedIssue(
        form=form.form if form else None,
        version=form.version if form else None,
        severity=issue["severity"],
        code=issue["code"],
        paths=tuple(sorted(paths)[:_MOST_WORDS]),
        details=tuple(sorted(_detail_codes(issue))[:_MOST_WORDS]),
        mentions=tuple(sorted(mentioned)[:_MOST_WORDS]),
    )


def element_path(expression: str) -> str:
    """The leading elements of a FHIRPath, without calls, arguments and indices; empty for none.

    `Questionnaire.item.where(linkId='x').answer[2]` is `Questionnaire.item.answer`. It ends before
    the first word that is no element's name.
    """
    words = error_words()
    kept: list[str] = []
    for part in _without_calls(expression).split(".")[:_DEEPEST]:
        name = _INDEX.sub("", part).strip()
        if name not in (words.elements if kept else words.resource_types):
            break
        kept.append(name)
    return ".".join(kept)


def _without_calls(expression: str) -> str:
    """A path without its calls: what stands in their brackets may be a literal."""
    kept: list[str] = []
    depth = 0
    for character in expression:
        if character == "(":
            while depth == 0 and kept and kept.pop() != ".":
                pass
            depth += 1
        elif character == ")":
            depth = max(0, depth - 1)
        elif depth == 0:
            kept.append(character)
    return "".join(kept)


def _texts(issue: Json) -> Iterator[str]:
    """Everything in which a name of ours may stand."""
    details = issue.get("details")
    for value in (
        issue.get("diagnostics"),
        details.get("text") if isinstance(details, dict) else None,
    ):
        if isinstance(value, str):
            yield value
    yield from _strings(issue.get("expression"))
    yield from _strings(issue.get("location"))


def _strings(value: Any) -> Iterator[str]:
    return (
        (each for each in value if isinstance(each, str)) if isinstance(value, list) else iter(())
    )


def _detail_codes(issue: Json) -> set[str]:
    details = issue.get("details")
    codings = details.get("coding") if isinstance(details, dict) else None
    return {
        code
        for coding in (codings if isinstance(codings, list) else ())
        if isinstance(coding, dict)
        and coding.get("system") == DETAILS_SYSTEM
        and isinstance(code := coding.get("code"), str)
        and code in error_words().details
    }
