"""What one line publishes, and where reports about it go: what the routes of it work with."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Self
from uuid import UUID

from wiser_fhir.audit.recorder import AuditRow
from wiser_fhir.auth.principal import Principal
from wiser_fhir.clock import Clock, business_date
from wiser_fhir.coverage.canonical import CANONICAL
from wiser_fhir.coverage.catalogue import Catalogue
from wiser_fhir.coverage.models import ServiceRules
from wiser_fhir.dtr.error_log import ErrorLog, Kept
from wiser_fhir.dtr.error_report import FormName, Names, read_report
from wiser_fhir.dtr.expand import ExpandRequest, expanded
from wiser_fhir.dtr.forms import Forms
from wiser_fhir.dtr.operations import Parameter
from wiser_fhir.dtr.reading import Kind, Search, Shelf
from wiser_fhir.dtr.value_sets import not_in_effect
from wiser_fhir.errors import NotFound
from wiser_fhir.fhir.codes import LINES, Line
from wiser_fhir.fhir.elements import Json


@dataclass(frozen=True, slots=True)
class Publications:
    """One line's Questionnaires, Libraries and value sets."""

    line: Line
    base: str
    shelves: Mapping[Kind, Shelf]
    forms: Forms
    procedures: Mapping[str, ServiceRules]
    names: Names
    log: ErrorLog
    clock: Clock

    @classmethod
    def of(
        cls, line: Line, base: str, forms: Forms, catalogue: Catalogue, log: ErrorLog, clock: Clock
    ) -> Self:
        """Everything that is published on a line, served below the address `base`."""
        shelves = {
            "Questionnaire": Shelf.of("Questionnaire", forms.questionnaires(line)),
            "Library": Shelf.of("Library", forms.libraries()),
            "ValueSet": Shelf.of("ValueSet", forms.value_sets()),
        }
        return cls(
            line=line,
            base=base,
            shelves=MappingProxyType(shelves),  # type: ignore[arg-type]
            forms=forms,
            procedures=MappingProxyType(dict(_procedure_sets(catalogue))),
            names=published_names(forms, catalogue),
            log=log,
            clock=clock,
        )

    def search(self, kind: Kind, search: Search) -> bytes:
        """The answer to a search, as a Bundle."""
        return self.shelves[kind].searchset(search, self.base)

    def expand(self, asked: ExpandRequest) -> Json:
        """A value set by its canonical, with its codes of today. Raises NotFound."""
        found = self.forms.value_set(asked.url or "", asked.version)
        if found is None:
            raise NotFound("ValueSet")
        return self._expanded(found, asked)

    def expand_one(self, name: str, asked: ExpandRequest) -> Json:
        """The value set with this id, with its codes of today. Raises NotFound."""
        return self._expanded(self.shelves["ValueSet"].read(name).resource, asked)

    def _expanded(self, value_set: Json, asked: ExpandRequest) -> Json:
        """Source: DTR 2.2.0 §oper-5 (active codes only, as of the current date)."""
        now = self.clock()
        rules = self.procedures.get(f"{value_set['url']}|{value_set['version']}")
        ended = not_in_effect(rules, business_date(now)) if rules else frozenset()
        return expanded(value_set, asked, now, ended)

    async def report(self, caller: Principal, request_id: UUID, given: Sequence[Parameter]) -> Kept:
        """Keep what a client reports of forms. Raises InvalidResource, TooLarge, Unavailable.

        Source: DTR 2.2.0 §oper-1.
        """
        issues = read_report(given, self.names)
        forms = {(issue.form, issue.version) for issue in issues}
        audit = AuditRow(
            request_id=request_id,
            action="dtr.form-error",
            outcome=Kept.KEPT,
            organization_id=caller.organization_id,
            client_id=caller.client_id,
            detail={"line": self.line, "forms": len(forms), "issues": len(issues)},
        )
        return await self.log.keep(caller, self.line, issues, self.clock(), audit)


def _procedure_sets(catalogue: Catalogue) -> Iterator[tuple[str, ServiceRules]]:
    """The rule files by the canonical of the value set of their procedure codes."""
    for slug in catalogue.slugs:
        for rules in catalogue.versions(slug):
            yield f"{CANONICAL}/ValueSet/{slug}-procedures|{rules.version}", rules


def published_names(forms: Forms, catalogue: Catalogue) -> Names:
    """Every name that we publish: of forms, questions, libraries and value sets."""
    named: dict[str, FormName] = {}
    for line in LINES:
        for each in forms.questionnaires(line):
            form = each["url"].rpartition("/")[2]
            named[each["url"]] = FormName(form, None)
            named[f"{each['url']}|{each['version']}"] = FormName(form, each["version"])
    words = {form.form for form in named.values()}
    words |= {each["name"] for each in forms.libraries()}
    words |= {each["url"].rpartition("/")[2] for each in forms.value_sets()}
    for slug in catalogue.slugs:
        for rules in catalogue.versions(slug):
            words |= rules.by_id.keys()
    return Names(MappingProxyType(named), frozenset(words))
