"""Guides to small files: profiles as trees, codes as lists, nothing else.

`igs/compiled/<line>/` holds, one record a line and sorted, so that a difference can be read, what
is that line's own; `igs/compiled/shared/` what is the same in all of them:

definitions.jsonl   url TAB version TAB compact definition (see `snapshot`); of several versions
                    of one url the first is the one that an unversioned canonical means
valuesets.jsonl     url TAB {"systems": {system: codes | null | false}, "open": bool}
codesystems.jsonl   url TAB {"codes": [...], "caseless": bool}
"""

import json
import tempfile
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wiser_fhir.fhir.validation import fhirpath, slices, snapshot
from wiser_fhir.fhir.validation.packages import LinePins, Pins, read
from wiser_fhir.fhir.validation.terminology import Expander, complete, concepts
from wiser_fhir.resources import resource_path

Json = dict[str, Any]

SHARED = "shared"
FILES = ("definitions.jsonl", "valuesets.jsonl", "codesystems.jsonl")
# A request may carry any of its versions. Source: PAS 2.2.1 §spec-1.
_EVERY_VERSION = "http://hl7.org/fhir/us/core/"


class CompileError(Exception):
    """A guide says something that we cannot turn into a check."""


@dataclass(frozen=True, slots=True)
class CompileReport:
    """What was written: a line of the API, a file, records and bytes."""

    written: tuple[tuple[str, str, int, int], ...]


def compile_guides(packages: Path, out: Path) -> CompileReport:
    """Compile every line of `igs/packages.toml` into `out`.

    Raises PackageError for an absent or different package, CompileError for what we cannot check.
    """
    pins = Pins.load(resource_path("igs/packages.toml"))
    lines = {name: _Line.read(packages, line).files() for name, line in pins.lines.items()}
    written = []
    for file in FILES:
        common = frozenset.intersection(*(frozenset(found[file]) for found in lines.values()))
        common = frozenset(r for r in common if all(_is_alone(r, f[file]) for f in lines.values()))
        parts = {SHARED: sorted(common)}
        for name, found in lines.items():
            parts[name] = [record for record in found[file] if record not in common]
        for name, records in parts.items():
            size = _write(out / name / file, records)
            written.append((name, file, len(records), size))
    return CompileReport(tuple(written))


def _is_alone(record: str, records: list[str]) -> bool:
    """Whether a url has one version only: their order is a line's own."""
    start = record.partition("\t")[0] + "\t"
    at = bisect_left(records, start)
    return not any(r.startswith(start) for r in records[at + 1 : at + 2])


def _write(file: Path, records: list[str]) -> int:
    file.parent.mkdir(parents=True, exist_ok=True)
    body = "".join(record + "\n" for record in records).encode()
    file.write_bytes(body)
    return len(body)


def verify_guides(packages: Path) -> list[str]:
    """Compile again and compare with what is committed: the files that differ, none if equal."""
    committed = resource_path("igs/compiled")
    with tempfile.TemporaryDirectory() as fresh:
        compile_guides(packages, Path(fresh))
        return [f"igs/compiled/{name} differs" for name in _differences(Path(fresh), committed)]


def _differences(fresh: Path, committed: Path) -> Iterator[str]:
    names = {p.relative_to(f) for f in (fresh, committed) for p in f.rglob("*") if p.is_file()}
    for name in sorted(names):
        sides = [f / name for f in (fresh, committed)]
        if not all(s.is_file() for s in sides) or sides[0].read_bytes() != sides[1].read_bytes():
            yield name.as_posix()


def _dump(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)


@dataclass(slots=True)
class _Line:
    """One line's packages, by kind and canonical; the first package that has a thing wins."""

    pins: LinePins
    found: dict[tuple[str, str], dict[str, Json]]

    @classmethod
    def read(cls, folder: Path, pins: LinePins) -> "_Line":
        found: dict[tuple[str, str], dict[str, Json]] = {}
        for resource in _all(folder, pins):
            key = (resource["resourceType"], resource.get("url", ""))
            found.setdefault(key, {}).setdefault(resource.get("version", ""), resource)
        return cls(pins, found)

    def one(self, kind: str, canonical: str) -> Json | None:
        """The resource a canonical names; an unknown version falls back to the first."""
        url, _, version = canonical.partition("|")
        versions = self.found.get((kind, url))
        if not versions:
            return None
        return versions.get(version) or next(iter(versions.values()))

    def files(self) -> dict[str, list[str]]:
        """Every file's records, sorted."""
        definitions = self._definitions()
        sets = self._value_sets(definitions)
        return dict(
            zip(
                FILES,
                (
                    self._records(definitions),
                    sorted(f"{url}\t{_dump(codes)}" for url, codes in sets.items()),
                    sorted(self._code_systems()),
                ),
                strict=True,
            )
        )

    def _records(self, definitions: list[Json]) -> list[str]:
        """By url; of one url the version first that the line's first package has."""

        def order(d: Json) -> tuple[str, int]:
            versions = list(self.found["StructureDefinition", d["url"]])
            return d["url"] + "\t", versions.index(d["version"])

        found = sorted(definitions, key=order)
        return [f"{d['url']}\t{d['version']}\t{_dump(d)}" for d in found]

    def _definitions(self) -> list[Json]:
        compact: dict[tuple[str, str], Json] = {}
        todo = [r for r in self._structures() if self._is_root(r)]
        while todo:
            resource = todo.pop()
            key = (resource["url"], resource.get("version", ""))
            if key in compact or "snapshot" not in resource:
                continue
            compact[key] = self._corrected(snapshot.definition(resource))
            todo += self._reached(compact[key])
        self._finish(list(compact.values()))
        return list(compact.values())

    def _corrected(self, definition: Json) -> Json:
        elements = self.pins.contexts.get(definition["url"], ())
        if elements:
            definition["context"] += [["element", element] for element in elements]
        return definition

    def _structures(self) -> Iterator[Json]:
        for (kind, _), versions in self.found.items():
            if kind == "StructureDefinition":
                yield from versions.values()

    def _is_root(self, resource: Json) -> bool:
        if resource["kind"] == "logical":
            return False
        first = self.one("StructureDefinition", resource["url"])
        if resource is not first and not resource["url"].startswith(_EVERY_VERSION):
            return False
        if resource["type"] == "Extension" or resource.get("derivation") != "constraint":
            return True
        return bool(resource["url"].startswith(self.pins.roots))

    def _reached(self, compact: Json) -> Iterator[Json]:
        canonicals = [compact["base"]] if "base" in compact else []
        for node in nodes(compact["root"]):
            for entry in node.get("types", ()):
                canonicals += [c for group in entry[1:3] for c in group]
        for canonical in canonicals:
            if (found := self.one("StructureDefinition", canonical)) is not None:
                yield found

    def _finish(self, definitions: list[Json]) -> None:
        """Work out what a slice is known by, and refuse an invariant that we cannot run."""
        by_url: dict[str, Json] = {}
        for d in definitions:
            by_url[f"{d['url']}|{d['version']}"] = d
        for d in definitions:
            first = self.one("StructureDefinition", d["url"]) or {}
            if first.get("version", "") == d["version"]:
                by_url[d["url"]] = d

        def find(canonical: str) -> Json | None:
            return by_url.get(canonical) or by_url.get(canonical.partition("|")[0])

        for d in definitions:
            for node in nodes(d["root"]):
                slices.resolve(node, find, d["url"])
                _check_constraints(node, d["url"])

    def _value_sets(self, definitions: list[Json]) -> dict[str, Any]:
        expander = Expander(
            lambda url: self.one("ValueSet", url), lambda url: self.one("CodeSystem", url)
        )
        bound = {
            url.partition("|")[0]
            for d in definitions
            for node in nodes(d["root"])
            for url in (*node.get("binding", ())[1:], *filter(None, [node.get("outermost")]))
        }
        sets = {url: expander.expand(url) for url in sorted(bound | _member_of(definitions))}
        return {url: codes for url, codes in sets.items() if codes is not None}

    def _code_systems(self) -> Iterator[str]:
        for (kind, url), versions in self.found.items():
            system = next(iter(versions.values()))
            if kind == "CodeSystem" and complete(system):
                codes = [c["code"] for c, _ in concepts(system)]
                record: Json = {"codes": codes}
                if system.get("caseSensitive") is False:
                    record["caseless"] = True
                yield f"{url}\t{_dump(record)}"


def _all(folder: Path, pins: LinePins) -> Iterator[Json]:
    for file in sorted(resource_path("igs/stubs").glob("*.json")):
        yield json.loads(file.read_text("utf-8"))
    for pin in pins.packages:
        yield from read(folder, pin)


def nodes(node: Json) -> Iterator[Json]:
    """A node and all below it."""
    yield node
    for part in ("slices", "children"):
        for child in node.get(part, ()):
            yield from nodes(child)


def _member_of(definitions: list[Json]) -> set[str]:
    found = set()
    for d in definitions:
        for node in nodes(d["root"]):
            for _, _, expression in node.get("constraints", ()):
                found |= set(fhirpath.value_sets(expression))
    return found


def _check_constraints(node: Json, url: str) -> None:
    for key, _, expression in node.get("constraints", ()):
        try:
            fhirpath.predicate(key, expression)
        except fhirpath.FhirPathError as error:
            raise CompileError(f"{url}, invariant {key}: {error}") from error
