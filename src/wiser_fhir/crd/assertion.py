"""What CRD asserts of one order: the foreseen situation, said by the table of its line.

Pure: one value comes out of values, and `coverage_information` writes it down.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

from wiser_fhir.coverage.catalogue import Catalogue
from wiser_fhir.coverage.requested import Code
from wiser_fhir.crd.case_facts import known_facts
from wiser_fhir.crd.hook_request import PRIMARY_HOOKS, Hook
from wiser_fhir.crd.policies import policy_links
from wiser_fhir.crd.qualifiers import (
    CODE_SETS,
    billing_codes,
    diagnoses,
    held_codes,
    place_and_time,
    providers,
)
from wiser_fhir.crd.situations import Category, Row, answer_words, filled, situations
from wiser_fhir.fhir.codes import CANONICAL_BASE, Line
from wiser_fhir.priorauth.foresee import Foreseen, Situation
from wiser_fhir.priorauth.models import RequestedItem, Submission

# `Assertion.date` would hide the type's own name from the fields after it.
_Date = date

_FROM_CASES = (Situation.SATISFIED, Situation.PENDED, Situation.NON_AFFIRMED)
_BY_RULE = Situation.NEEDS_AUTHORIZATION


@dataclass(frozen=True, slots=True)
class Link:
    """A public address."""

    url: str


@dataclass(frozen=True, slots=True)
class Days:
    """Days, both included."""

    first: date
    last: date


@dataclass(frozen=True, slots=True)
class Reason:
    """Why the answer is what it is; `code` of the guide's own list, where one fits."""

    text: str
    code: str | None = None


@dataclass(frozen=True, slots=True)
class Detail:
    """What qualifies the answer or says what to do. `title` names it where no code does."""

    category: Category
    title: str
    value: str | Link | Days
    qualification: str | None = None


@dataclass(frozen=True, slots=True)
class Contact:
    """Whom to ask: a name, and pairs of FHIR's telecom system and its value."""

    name: str
    telecom: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Assertion:
    """One answer about one order, as far as one line of the guide can say it.

    `order` is the reference of what was asked about, `coverage` that of its Coverage.
    """

    id: str
    order: str
    coverage: str
    situation: Situation
    covered: str
    pa_needed: str | None
    doc_needed: tuple[str, ...]
    doc_purpose: tuple[str, ...]
    info_needed: tuple[str, ...]
    billing_codes: tuple[Code, ...]
    reasons: tuple[Reason, ...]
    details: tuple[Detail, ...]
    dependencies: tuple[str, ...]
    questionnaires: tuple[str, ...]
    date: _Date
    satisfied_pa_id: str | None
    contact: Contact | None
    expiry_date: _Date | None
    foreseen: Foreseen


@dataclass(frozen=True, slots=True)
class _About:
    """What an answer is about, and when it was given."""

    id: str
    order: str
    coverage: str
    day: date
    dependencies: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Case:
    """What the parts of an answer are made from."""

    foreseen: Foreseen
    row: Row
    line: Line
    catalogue: Catalogue
    asked: Submission | None
    codes: tuple[Code, ...]
    facts: Mapping[str, str]

    @property
    def item(self) -> RequestedItem | None:
        """The line asked about."""
        return self.asked.items[0] if self.asked else None


def assertion(
    foreseen: Foreseen,
    *,
    line: Line,
    hook: Hook,
    order: str,
    coverage: str,
    day: date,
    catalogue: Catalogue,
    new_id: Callable[[], str],
    assumptions: Sequence[str] = (),
    dependencies: Sequence[str] = (),
    asked: Submission | None = None,
    what_if: bool = False,
) -> Assertion:
    """The answer about one order.

    `dependencies` are the orders it hangs on, `asked` is what was asked, which tells what the
    answer holds for. A supporting hook asks for no documentation (CRD 2.2.1 §hook-19). With
    `what_if` cases are left out: the answer is the rule's, so that no number of a prior
    authorization can stand in it. Source: CRD 2.2.1 §found-35, §resp-29, §resp-30.
    """
    seen = _without_case(foreseen) if what_if else foreseen
    row = situations()[seen.situation, line]
    if hook not in PRIMARY_HOOKS:
        row = _asking_no_documents(row)
    codes = held_codes(seen, asked, catalogue, day) if "qualified" in row.flags else ()
    facts = known_facts(seen, catalogue, asked, day)
    case = _Case(seen, row, line, catalogue, asked, codes, facts)
    about = _About(new_id(), order, coverage, day, tuple(dependencies))
    return _said(about, case, tuple(_asides(assumptions, what_if and seen is not foreseen)))


def _said(about: _About, case: _Case, asides: tuple[Detail, ...]) -> Assertion:
    return Assertion(
        id=about.id,
        order=about.order,
        coverage=about.coverage,
        situation=case.foreseen.situation,
        covered=case.row.covered,
        pa_needed=case.row.pa_needed,
        doc_needed=case.row.doc_needed,
        doc_purpose=case.row.doc_purpose,
        info_needed=tuple(_info_needed(case)),
        billing_codes=tuple(billing_codes(case.codes, case.item, case.line)),
        reasons=tuple(_reasons(case)),
        details=(*_details(case), *asides),
        dependencies=about.dependencies,
        questionnaires=tuple(_questionnaires(case)),
        date=about.day,
        satisfied_pa_id=_number(case),
        contact=_contact(case),
        expiry_date=_expiry(case),
        foreseen=case.foreseen,
    )


def _without_case(foreseen: Foreseen) -> Foreseen:
    """The same by the rule alone; itself where no case is told."""
    if foreseen.situation in _FROM_CASES:
        return replace(foreseen, situation=_BY_RULE, standing=None, detail="")
    # What is remarked of a need is for the most part another case's.
    if foreseen.situation is _BY_RULE and foreseen.detail:
        return replace(foreseen, standing=None, detail="")
    return foreseen if foreseen.standing is None else replace(foreseen, standing=None)


def _asking_no_documents(row: Row) -> Row:
    flags = tuple(flag for flag in row.flags if flag not in ("questions", "documents"))
    return row.model_copy(update={"doc_needed": (), "doc_purpose": (), "flags": flags})


def _reasons(case: _Case) -> Iterator[Reason]:
    for reason in case.row.reasons:
        text = filled(reason.text, case.facts)
        if text is not None:
            yield Reason(text, reason.code)


def _info_needed(case: _Case) -> Iterator[str]:
    told = dict.fromkeys(case.row.info_needed)
    if "missing" in case.row.flags:
        words = answer_words().missing
        told |= dict.fromkeys(words[each].info for each in case.foreseen.missing)
        # What is missing may have no name; `conditional` without info-needed is not valid.
        told = told or {"OTH": None}
    yield from told


def _details(case: _Case) -> Iterator[Detail]:
    for detail in case.row.details:
        text = filled(detail.text, case.facts)
        if text is not None:
            yield Detail(detail.category, detail.title, text)
    words, flags = answer_words(), case.row.flags
    asked_for = filled(words.texts["missing"], case.facts)
    if "missing" in flags and asked_for is not None:
        yield Detail("cat-decisional", words.titles["missing"], asked_for)
    if "policies" in flags and case.line != "2.0":
        yield from _policies(case)
    standing = case.foreseen.standing
    if "period" in flags and standing and standing.valid_from and standing.valid_until:
        covered = Days(standing.valid_from, standing.valid_until)
        yield Detail("cat-limitation", words.titles["period"], covered)
    rules = case.foreseen.rules
    if "documents" in flags and rules is not None and rules.documentation:
        listed = "; ".join(rules.documentation)
        yield Detail("cat-decisional", words.titles["documents"], listed)
    if "questions" in flags and rules is not None:
        yield Detail("cat-other", words.titles["form"], words.texts["form"])
    if "qualified" in flags:
        yield from _qualifiers(case)


def _policies(case: _Case) -> Iterator[Detail]:
    """Line 2.0 has no address among the values of a detail."""
    title = answer_words().titles["policies"]
    if case.foreseen.rules is not None:
        for link in policy_links(case.foreseen.rules, case.foreseen.state, case.catalogue):
            yield Detail("cat-other", title, Link(link.url), link.label)


def _qualifiers(case: _Case) -> Iterator[Detail]:
    """What the answer holds for, as far as it is told. Source: CRD 2.2.1 §resp-30."""
    named = [f"{CODE_SETS[code.system]} {code.code}" for code in case.codes]
    parts = [" or ".join(named)] if named else []
    parts += place_and_time(case.foreseen, case.item)
    if "provider" in case.row.flags:
        parts += providers(case.asked, case.catalogue)
    if "diagnosis" in case.row.flags:
        parts += diagnoses(case.foreseen, case.asked)
    if parts:
        yield Detail("cat-limitation", answer_words().titles["qualified"], ", ".join(parts) + ".")


def _asides(assumptions: Sequence[str], asked_as_question: bool) -> Iterator[Detail]:
    """What was inferred, and what was left out. Source: CRD 2.2.1 §resp-51."""
    words = answer_words()
    for assumed in assumptions:
        yield Detail("cat-limitation", words.titles["assumed"], assumed)
    if asked_as_question:
        yield Detail("cat-limitation", words.titles["what_if"], words.texts["what_if"])


def _questionnaires(case: _Case) -> Iterator[str]:
    rules = case.foreseen.rules
    if "questions" in case.row.flags and rules is not None:
        yield questionnaire(rules.slug, rules.version, case.line)


def questionnaire(slug: str, version: str, line: Line) -> str:
    """The canonical of a service's form on a line, with its version."""
    return f"{CANONICAL_BASE[line]}/Questionnaire/{slug}|{version}"


def _number(case: _Case) -> str | None:
    """The number that says the authorization is there; our own reference until a UTN comes."""
    standing = case.foreseen.standing
    if "number" not in case.row.flags or standing is None:
        return None
    return standing.utn or standing.reference


def _contact(case: _Case) -> Contact | None:
    """The participant of the state. Its portal is left out: an order is no place to start there."""
    state, catalogue = case.foreseen.state, case.catalogue
    if "contact" not in case.row.flags or state is None or state not in catalogue.states:
        return None
    participant = catalogue.participants[catalogue.states[state].participant]
    telecom = (("phone", participant.phone), ("fax", participant.fax), ("email", participant.email))
    return Contact(participant.name, tuple((kind, value) for kind, value in telecom if value))


def _expiry(case: _Case) -> date | None:
    """Last day the answer can stand: of the affirmation, or of the rules that need one."""
    if case.line == "2.0":
        return None
    if case.foreseen.standing is not None and "number" in case.row.flags:
        return case.foreseen.standing.valid_until
    if "questions" in case.row.flags and case.foreseen.rules is not None:
        return case.catalogue.form_until(case.foreseen.rules)
    return None
