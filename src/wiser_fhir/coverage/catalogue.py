"""The catalogue: every service, version and table, read once at start and never changed."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache, cached_property
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType

from wiser_fhir.coverage.canonical import questionnaire_urls, service_of
from wiser_fhir.coverage.frozen import repeated
from wiser_fhir.coverage.loading import CatalogueError, first_day, read, short
from wiser_fhir.coverage.models import ServiceRules
from wiser_fhir.coverage.process import Geography, Mac, Participant, Process, Source, Sources, State
from wiser_fhir.coverage.requested import CPT, HCPCS, Code


@dataclass(frozen=True)
class Catalogue:
    """What WISeR covers. `on` is always the business date of receipt; it picks the rule file."""

    process: Process
    states: Mapping[str, State]
    participants: Mapping[str, Participant]
    macs: Mapping[str, Mac]
    sources: Mapping[str, Source]
    _versions: Mapping[str, tuple[ServiceRules, ...]]
    _slugs_by_code: Mapping[str, tuple[str, ...]]

    @classmethod
    def load(cls, folder: Path | None = None) -> "Catalogue":
        """The catalogue in `folder`, or the one beside this module, which is read once.

        Raises CatalogueError.
        """
        return _ours() if folder is None else cls._read(folder)

    @classmethod
    def _read(cls, base: Path) -> "Catalogue":
        geography = read(Geography, base / "geography.toml")
        sources = read(Sources, base / "sources.toml").sources
        versions = _versions(base / "services")
        faults = [
            *_foreign_names(versions, geography, sources),
            *_shared_codes(versions),
            *_order_faults(versions),
        ]
        if faults:
            raise CatalogueError(faults)
        return cls(
            process=read(Process, base / "process.toml"),
            states=MappingProxyType(geography.states),
            participants=MappingProxyType(geography.participants),
            macs=MappingProxyType(geography.macs),
            sources=MappingProxyType(sources),
            _versions=MappingProxyType(versions),
            _slugs_by_code=MappingProxyType(_slugs_by_code(versions)),
        )

    @property
    def slugs(self) -> tuple[str, ...]:
        """Every service, active or delayed, in order of name."""
        return tuple(self._versions)

    def versions(self, slug: str) -> tuple[ServiceRules, ...]:
        """Every rule file of a service, oldest first. Empty for a service we do not know."""
        return self._versions.get(slug, ())

    def version(self, slug: str, version: str) -> ServiceRules | None:
        """The rule file whose form carries this version."""
        return next((rules for rules in self.versions(slug) if rules.version == version), None)

    def service(self, slug: str, on: date) -> ServiceRules | None:
        """The rule file of a service in force on a day."""
        opened = [rules for rules in self.versions(slug) if rules.opens_on <= on]
        return opened[-1] if opened else None

    def services_on(self, day: date) -> tuple[ServiceRules, ...]:
        """Every service with a rule file in force on a day, delayed ones too."""
        found = (self.service(slug, day) for slug in self._versions)
        return tuple(rules for rules in found if rules is not None)

    def rules_for(self, code: Code, on: date) -> ServiceRules | None:
        """The active service a code belongs to, as a primary or an add-on.

        Whether the code is in effect on the date of service is `ServiceCode.in_effect`.
        """
        rules = self.recognised(code, on)
        return rules if rules is not None and rules.is_active else None

    def recognised(self, code: Code, on: date) -> ServiceRules | None:
        """The service that lists a code, delayed ones too. Either code system will do."""
        if code.system not in (CPT, HCPCS):
            return None
        for slug in self._slugs_by_code.get(code.code, ()):
            rules = self.service(slug, on)
            if rules is not None and code.code in rules.by_code:
                return rules
        return None

    def likely_codes(self, code: Code, on: date) -> tuple[Code, ...]:
        """The procedure codes a clinical code is likely to be billed under. Empty for any other."""
        for rules in self._naming(code, on):
            for entry in rules.clinical_codes:
                if entry.coding == code:
                    return tuple(rules.by_code[likely].coding for likely in entry.likely)
        return ()

    def why_not_included(self, code: Code, on: date) -> str | None:
        """Why a code close to a service is not WISeR's, where a rule file says so."""
        for rules in self._naming(code, on):
            for entry in rules.not_included:
                if code.code in entry.codes and entry.with_diagnosis is None:
                    return entry.reason
        return None

    @cached_property
    def _slugs_naming(self) -> Mapping[str, tuple[str, ...]]:
        """The services with a file that names a code without listing it as theirs."""
        found: dict[str, dict[str, None]] = {}
        for _, rules in _all(self._versions):
            clinical = (entry.code for entry in rules.clinical_codes)
            others = (code for entry in rules.not_included for code in entry.codes)
            for code in (*clinical, *others):
                found.setdefault(code, {})[rules.slug] = None
        return {code: tuple(slugs) for code, slugs in found.items()}

    def _naming(self, code: Code, on: date) -> Iterator[ServiceRules]:
        """Those of them in force on a day."""
        for slug in self._slugs_naming.get(code.code, ()):
            rules = self.service(slug, on)
            if rules is not None:
                yield rules

    def form(self, questionnaire: str, version: str, on: date) -> ServiceRules | None:
        """The rule file of a form that still counts on a day, by its canonical and version."""
        slug = service_of(questionnaire)
        rules = self.version(slug, version) if questionnaire in questionnaire_urls(slug) else None
        return rules if rules is not None and self._form_counts(rules, on) else None

    def form_until(self, rules: ServiceRules) -> date | None:
        """Last day on which a form of this version counts. None while nothing has replaced it."""
        later = [other for other in self.versions(rules.slug) if other.first_day > rules.first_day]
        if not later:
            return None
        return later[0].previous_forms_until or later[0].opens_on - timedelta(days=1)

    def _form_counts(self, rules: ServiceRules, on: date) -> bool:
        until = self.form_until(rules)
        return rules.opens_on <= on and (until is None or on <= until)


@cache
def _ours() -> Catalogue:
    return Catalogue._read(Path(__file__).parent)


def _versions(folder: Path) -> dict[str, tuple[ServiceRules, ...]]:
    """Every rule file by service, oldest first. Raises CatalogueError with every fault of all."""
    faults: list[str] = []
    found: dict[str, tuple[ServiceRules, ...]] = {}
    for service in sorted(path for path in folder.glob("*") if path.is_dir()):
        rules = []
        for path in sorted(service.glob("*.toml")):
            try:
                place = {"slug": service.name, "first_day": first_day(path)}
                rules.append(read(ServiceRules, path, place))
            except CatalogueError as error:
                faults += error.faults
        found[service.name] = tuple(rules)
        if not any(service.glob("*.toml")):
            faults.append(f"{short(service)}: a service has at least one rule file")
    if faults:
        raise CatalogueError(faults)
    if not found:
        raise CatalogueError([f"{short(folder)}: no service at all"])
    return found


def _all(versions: Mapping[str, tuple[ServiceRules, ...]]) -> Iterator[tuple[str, ServiceRules]]:
    """Each rule file with its name."""
    for slug, files in versions.items():
        for rules in files:
            yield f"services/{slug}/{rules.version}.toml", rules


def _foreign_names(
    versions: Mapping[str, tuple[ServiceRules, ...]],
    geography: Geography,
    sources: Mapping[str, Source],
) -> Iterator[str]:
    """States, MACs and sources that a rule file names and no table knows."""
    for name, rules in _all(versions):
        for state in rules.states:
            if state not in geography.states:
                yield f"{name}: states: {state} is no state of the model"
            elif rules.is_active and not rules.policies_in(geography.states[state].mac):
                yield f"{name}: policies: none holds in {state}"
        for mac in sorted({mac for policy in rules.policies for mac in policy.macs}):
            if mac not in geography.macs:
                yield f"{name}: policies: no such MAC: {mac}"
        cited = {
            *rules.sources,
            *(key for question in rules.questions for key in question.source),
            *(key for code in rules.clinical_codes for key in code.source),
            *(key for codes in rules.chart_codes for key in codes.source),
        }
        for key in sorted(cited - sources.keys()):
            yield f"{name}: no such source: {key}"


def _order_faults(versions: Mapping[str, tuple[ServiceRules, ...]]) -> Iterator[str]:
    """A later file that opens no later than the one before would hide it."""
    for files in versions.values():
        for earlier, later in pairwise(files):
            if later.opens_on <= earlier.opens_on:
                yield (
                    f"services/{later.slug}/{later.version}.toml: opens on {later.opens_on}, "
                    f"no later than {earlier.version}.toml"
                )


def _shared_codes(versions: Mapping[str, tuple[ServiceRules, ...]]) -> Iterator[str]:
    """A code that two services claim on the same day."""
    days = sorted({rules.opens_on for _, rules in _all(versions)})
    told: set[str] = set()
    for day in days:
        opened = ([r for r in files if r.opens_on <= day] for files in versions.values())
        in_force = [files[-1] for files in opened if files]
        codes = tuple(code for rules in in_force for code in _listed(rules))
        for code in repeated(codes):
            owners = [rules for rules in in_force if code in _listed(rules)]
            names = " and ".join(f"services/{r.slug}/{r.version}.toml" for r in owners)
            fault = f"{names}: both list the code {code}"
            if fault not in told:
                told.add(fault)
                yield fault


def _listed(rules: ServiceRules) -> tuple[str, ...]:
    """The procedure codes of a file, and the clinical codes with their system."""
    clinical = (f"{entry.system} {entry.code}" for entry in rules.clinical_codes)
    return (*rules.by_code, *clinical)


def _slugs_by_code(versions: Mapping[str, tuple[ServiceRules, ...]]) -> dict[str, tuple[str, ...]]:
    """The services that list a code in any version."""
    found: dict[str, tuple[str, ...]] = {}
    for _, rules in _all(versions):
        for code in rules.by_code:
            slugs = found.get(code, ())
            if rules.slug not in slugs:
                found[code] = (*slugs, rules.slug)
    return found
