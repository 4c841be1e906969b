"""Every form we publish, with what it needs, built once at start from the catalogue.

Nothing here is changed afterwards, and nobody who is handed a resource may change it.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from wiser_fhir.coverage.catalogue import Catalogue
from wiser_fhir.coverage.loading import CatalogueError
from wiser_fhir.coverage.models import ServiceRules
from wiser_fhir.dtr.adaptive_form import contained_form, is_worth_adapting, search_form
from wiser_fhir.dtr.libraries import Logic, library_name
from wiser_fhir.dtr.logic_faults import logic_faults
from wiser_fhir.dtr.questionnaire import Plan, questionnaire
from wiser_fhir.dtr.value_sets import ValueSets
from wiser_fhir.fhir.codes import LINES, Line
from wiser_fhir.fhir.elements import Json

_OTHER_LINE = (
    "The form of this address is for another version of the guide: here it has another address."
)


@dataclass(frozen=True, eq=False)
class Form:
    """One Questionnaire of one line with what it needs.

    `libraries` are the service's own first, then what it includes. `value_sets` are those that a
    package carries, each of which is expanded as of the day of the call: in 2.2 the ones of fewer
    than 40 codes, in 2.0 all.
    `items` are the questions' items without conditions, by question id.
    """

    plan: Plan
    adaptive: bool
    questionnaire: Json
    libraries: tuple[Json, ...]
    value_sets: tuple[Json, ...]
    items: Mapping[str, Json] = field(repr=False)

    @property
    def rules(self) -> ServiceRules:
        """The rules the form was built from."""
        return self.plan.rules

    @property
    def line(self) -> Line:
        """The line it is rendered for."""
        return self.plan.line

    @property
    def url(self) -> str:
        """Its canonical without the version."""
        return self.questionnaire["url"]  # type: ignore[no-any-return]

    @property
    def version(self) -> str:
        """Its version: the first day of the rule file."""
        return self.rules.version

    @property
    def canonical(self) -> str:
        """Its canonical with the version."""
        return f"{self.url}|{self.version}"


class Forms:
    """The forms of both lines."""

    def __init__(
        self, catalogue: Catalogue, forms: Iterable[Form], logic: Logic, value_sets: ValueSets
    ) -> None:
        self._catalogue = catalogue
        self._forms = tuple(forms)
        self._logic = logic
        self._value_sets = value_sets
        self._by_key = {(f.line, f.url, f.version): f for f in self._forms}

    @classmethod
    def load(
        cls, catalogue: Catalogue, public_bases: Mapping[Line, str], logic: Path | None = None
    ) -> "Forms":
        """Build every form. `public_bases` are where the lines are served, such as
        `https://payer.example/v2.0/fhir`: adaptive forms name it, canonicals never do. `logic` is
        the folder of our CQL. Raises CatalogueError."""
        read = Logic.load(catalogue, logic)
        sets = ValueSets.of(catalogue)
        faults = list(logic_faults(catalogue, read, sets.by_canonical))
        if faults:
            raise CatalogueError(faults)
        forms = [
            form
            for line in LINES
            for rules in _active(catalogue)
            for form in _forms(catalogue, rules, line, public_bases[line], read, sets)
        ]
        return cls(catalogue, forms, read, sets)

    def of(self, line: Line, rules: ServiceRules, *, adaptive: bool = False) -> Form | None:
        """A service's form. None for a delayed one, or where there is no adaptive form."""
        url = Plan(rules, line).url + ("-adaptive" if adaptive else "")
        return self._by_key.get((line, url, rules.version))

    def by_canonical(self, line: Line, canonical: str, on: date) -> Form | None:
        """The form of this line that a canonical names and that counts on a day.

        Without a version it is the one in force. None for another line's, an unknown one, one that
        is not open yet and one that counts no longer.
        """
        url, _, version = canonical.partition("|")
        slug = url.rpartition("/")[2].removesuffix("-adaptive")
        current = self._catalogue.service(slug, on)
        named = self._catalogue.version(slug, version) if version else current
        if named is None or not self._catalogue.form(Plan(named, line).url, named.version, on):
            return None
        return self._by_key.get((line, url, named.version))

    def why_none(self, line: Line, canonical: str, on: date) -> str:
        """Why there is no form `by_canonical`, without a word of what was asked."""
        url, _, version = canonical.partition("|")
        if all(form.url != url for form in self.of_line(line)):
            elsewhere = any(form.url == url for form in self._forms)
            return _OTHER_LINE if elsewhere else "No form has this address."
        if version and (line, url, version) not in self._by_key:
            return "The form of this address has no such version."
        opened = self._catalogue.service(url.rpartition("/")[2].removesuffix("-adaptive"), on)
        if opened is None or version > opened.version:
            return "This version of the form is not in force yet."
        return "This version of the form counts no longer."

    def of_line(self, line: Line) -> tuple[Form, ...]:
        """Every form of a line, of every version."""
        return tuple(form for form in self._forms if form.line == line)

    def current(self, line: Line, on: date) -> tuple[Form, ...]:
        """Every form in force on a day, standard and adaptive."""
        return tuple(
            form
            for form in self._forms
            if form.line == line and self._catalogue.service(form.rules.slug, on) is form.rules
        )

    def questionnaires(self, line: Line) -> tuple[Json, ...]:
        """Every Questionnaire of a line, of every version."""
        return tuple(form.questionnaire for form in self.of_line(line))

    def libraries(self) -> tuple[Json, ...]:
        """Every Library. They are the same on both lines."""
        return self._logic.libraries()

    def value_sets(self) -> tuple[Json, ...]:
        """Every ValueSet, as it is defined. They are the same on both lines."""
        return self._value_sets.published()

    def value_set(self, url: str, version: str | None = None) -> Json | None:
        """A ValueSet by its canonical; without a version the newest."""
        return self._value_sets.find(url, version)


def contained_questionnaire(
    form: Form, question_ids: Collection[str], *, clinical_complete: bool = False
) -> Json:
    """The Questionnaire inside a response to an adaptive `form`, with the questions asked so far.

    `clinical_complete` adds the display item that closes the clinical part. Its id is
    `adaptive_form.CONTAINED_ID`.
    """
    return contained_form(
        form.plan,
        form.questionnaire,
        form.items,
        question_ids,
        clinical_complete=clinical_complete,
    )


def _active(catalogue: Catalogue) -> Iterator[ServiceRules]:
    for slug in catalogue.slugs:
        yield from (rules for rules in catalogue.versions(slug) if rules.is_active)


def _forms(
    catalogue: Catalogue,
    rules: ServiceRules,
    line: Line,
    public_base: str,
    logic: Logic,
    value_sets: ValueSets,
) -> Iterator[Form]:
    """The standard form of a rule file, and the adaptive one where it can leave out anything."""
    name = library_name(rules.slug)
    known = logic.has(name, rules.version)
    plan = Plan(
        rules=rules,
        line=line,
        until=catalogue.form_until(rules),
        library=(name, rules.version) if known else None,
        filled=logic.filled(rules),
    )
    libraries = logic.closure(name, rules.version) if known else ()
    sets = value_sets.shipped(line, logic.value_sets(name, rules.version)) if known else ()
    items = {each.id: plan.item(each, conditional=False) for each in rules.questions}
    yield Form(plan, False, questionnaire(plan), libraries, sets, items)
    if is_worth_adapting(rules):
        yield Form(plan, True, search_form(plan, public_base), libraries, sets, items)
