"""Our CQL libraries as FHIR Libraries: the source, the compiled form, and what they read.

Source: DTR 2.2.0 §spec-68, §spec-87, §spec-95, §spec-98, §spec-99.
"""

import json
from base64 import b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from wiser_fhir.coverage.canonical import CANONICAL
from wiser_fhir.coverage.catalogue import Catalogue
from wiser_fhir.coverage.models import ServiceRules
from wiser_fhir.dtr.data_requirements import data_requirements, value_set_canonicals
from wiser_fhir.dtr.questionnaire import PUBLISHER, computer_name
from wiser_fhir.fhir.elements import Json
from wiser_fhir.resources import resource_path

Key = tuple[str, str]
"""A library's name and version."""

_PROFILE = "http://hl7.org/fhir/uv/sdc/StructureDefinition/sdc-library"
_SHARED = "What the population logic of all services has in common"


def library_name(slug: str) -> str:
    """The CQL library of a service."""
    return f"Wiser{computer_name(slug)}"


@dataclass(frozen=True)
class Source:
    """One library as it lies in the folder: the CQL text and the ELM made of it."""

    stem: str
    cql: bytes
    elm: bytes

    @cached_property
    def library(self) -> Json:
        """The `library` object of the ELM."""
        return json.loads(self.elm)["library"]  # type: ignore[no-any-return]

    @property
    def key(self) -> Key:
        """Its name and version, as the compiler saw them."""
        identifier = self.library["identifier"]
        return identifier["id"], identifier["version"]

    @property
    def includes(self) -> tuple[Key, ...]:
        """The libraries it uses."""
        used = self.library.get("includes", {}).get("def", ())
        return tuple((each["path"], each["version"]) for each in used)

    @property
    def defines(self) -> frozenset[str]:
        """The names of its public defines, functions left out."""
        statements = self.library.get("statements", {}).get("def", ())
        return frozenset(each["name"] for each in statements if each.get("type") != "FunctionDef")


@dataclass(frozen=True)
class Logic:
    """Every library we have, and as FHIR."""

    sources: Mapping[Key, Source]
    titles: Mapping[str, str]

    @classmethod
    def load(cls, catalogue: Catalogue, folder: Path | None = None) -> "Logic":
        """Read `cql/<name>-<version>.cql` with `elm/<name>-<version>.json` of a folder.

        A library that is not compiled is left out; `logic_faults` tells what is missing then.
        """
        base = folder or resource_path("igs/wiser")
        sources = (
            Source(path.stem, path.read_bytes(), elm.read_bytes())
            for path in sorted(base.glob("cql/*.cql"))
            if (elm := base / "elm" / f"{path.stem}.json").exists()
        )
        titles = {
            library_name(slug): f"What a chart says of: {catalogue.versions(slug)[-1].name}"
            for slug in catalogue.slugs
        }
        return cls({source.key: source for source in sources}, titles)

    def has(self, name: str, version: str) -> bool:
        """Whether there is such a library."""
        return (name, version) in self.sources

    def filled(self, rules: ServiceRules) -> frozenset[str]:
        """The questions of a service whose answers its library defines."""
        source = self.sources.get((library_name(rules.slug), rules.version))
        if source is None:
            return frozenset()
        asked = {question.id for question in rules.questions if question.chart is not None}
        return source.defines & asked

    def closure(self, name: str, version: str) -> tuple[Json, ...]:
        """A library and all that it includes, itself first."""
        return tuple(self._as_fhir[key] for key in self._reached((name, version)))

    def value_sets(self, name: str, version: str) -> tuple[str, ...]:
        """The canonicals of the value sets that a library and all that it includes name."""
        found = (
            canonical
            for key in self._reached((name, version))
            for canonical in value_set_canonicals(self.sources[key].library)
        )
        return tuple(dict.fromkeys(found))

    def libraries(self) -> tuple[Json, ...]:
        """Every Library."""
        return tuple(self._as_fhir.values())

    @cached_property
    def _as_fhir(self) -> dict[Key, Json]:
        return {key: self._library(source) for key, source in self.sources.items()}

    def _reached(self, key: Key) -> dict[Key, None]:
        """The keys of a library and of all that it includes, each once."""
        found = {key: None}
        for used in self.sources[key].includes:
            found |= self._reached(used)
        return found

    def _library(self, source: Source) -> Json:
        name, version = source.key
        title = self.titles.get(name, _SHARED)
        reads = [self.sources[key].library for key in self._reached(source.key)]
        library: Json = {
            "resourceType": "Library",
            "id": f"{name}-{version}",
            "meta": {"profile": [_PROFILE]},
            "url": _url("Library", name),
            "version": version,
            "name": name,
            "title": title,
            "status": "active",
            "experimental": False,
            "type": {"coding": [_LOGIC_LIBRARY]},
            "subjectCodeableConcept": {"coding": [_PATIENT]},
            "publisher": PUBLISHER,
            "description": f"{title}.",
        }
        related = list(self._depends_on(source))
        required = data_requirements(reads)
        return (
            library
            | ({"relatedArtifact": related} if related else {})
            | ({"dataRequirement": required} if required else {})
            | {"content": [_content("text/cql", source.cql), _content(_ELM, source.elm)]}
        )

    def _depends_on(self, source: Source) -> Iterator[Json]:
        """What a library needs itself; what those need, they say."""
        for name, version in source.includes:
            yield _artifact(_url("Library", name), version, name)
        for canonical in value_set_canonicals(source.library):
            url, _, version = canonical.partition("|")
            yield _artifact(url, version, url.rpartition("/")[2])


_ELM = "application/elm+json"
_LOGIC_LIBRARY = {
    "system": "http://terminology.hl7.org/CodeSystem/library-type",
    "code": "logic-library",
    "display": "Logic Library",
}
_PATIENT = {"system": "http://hl7.org/fhir/resource-types", "code": "Patient"}


def _url(kind: str, name: str) -> str:
    return f"{CANONICAL}/{kind}/{name}"


def _artifact(url: str, version: str, display: str) -> Json:
    resource = f"{url}|{version}"
    return {"type": "depends-on", "display": display, "url": url, "resource": resource}


def _content(content_type: str, data: bytes) -> Json:
    return {"contentType": content_type, "data": b64encode(data).decode()}
