"""What stands against publishing our CQL: it and the catalogue have to say the same."""

from collections.abc import Collection, Iterator

from wiser_fhir.coverage.catalogue import Catalogue
from wiser_fhir.coverage.models import ServiceRules
from wiser_fhir.dtr.data_requirements import value_set_canonicals
from wiser_fhir.dtr.libraries import Logic, Source, library_name


def logic_faults(catalogue: Catalogue, logic: Logic, value_sets: Collection[str]) -> Iterator[str]:
    """Every fault, by library. `value_sets` are the canonicals of those we publish."""
    for source in logic.sources.values():
        yield from _source_faults(source, logic, value_sets)
    for slug in catalogue.slugs:
        for rules in catalogue.versions(slug):
            if rules.is_active:
                yield from _service_faults(rules, logic)


def _source_faults(source: Source, logic: Logic, value_sets: Collection[str]) -> Iterator[str]:
    name = "-".join(source.key)
    if name != source.stem:
        yield f"{source.stem}: the library inside is {name}"
    for used in source.includes:
        if used not in logic.sources:
            yield f"{source.stem}: includes {'-'.join(used)}, which is not there"
    for canonical in value_set_canonicals(source.library):
        if canonical not in value_sets:
            yield f"{source.stem}: names {canonical}, no value set of the catalogue"


def _service_faults(rules: ServiceRules, logic: Logic) -> Iterator[str]:
    """A fact that the chart tells is defined, and nothing else bears a question's name."""
    name = library_name(rules.slug)
    source = logic.sources.get((name, rules.version))
    defines = source.defines if source else frozenset()
    for question in rules.questions:
        if question.chart is not None and question.id not in defines:
            yield f"{name}-{rules.version}: does not define {question.id}"
        if question.chart is None and question.id in defines:
            yield f"{name}-{rules.version}: defines {question.id}, which no chart tells"
