"""FHIR packages as files: `<id>#<version>.tgz`, pinned by `igs/packages.toml`."""

import hashlib
import json
import os
import tarfile
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Resource = dict[str, Any]

VARIABLE = "WISER_FHIR_PACKAGES"


@dataclass(frozen=True, slots=True)
class Pin:
    """One package that we compile, exactly as it was when we did."""

    id: str
    version: str
    sha256: str

    @property
    def file_name(self) -> str:
        """The name of the package's file."""
        return f"{self.id}#{self.version}.tgz"


@dataclass(frozen=True, slots=True)
class LinePins:
    """What one line of the API is compiled from: packages first come, first served."""

    packages: tuple[Pin, ...]
    roots: tuple[str, ...]
    contexts: dict[str, tuple[str, ...]]
    """Elements where an extension may stand though its own definition leaves them out."""


@dataclass(frozen=True, slots=True)
class Pins:
    """The content of `igs/packages.toml`."""

    lines: dict[str, LinePins]

    @classmethod
    def load(cls, file: Path) -> "Pins":
        """Read the pins. Raises KeyError when a line names a package that is not pinned."""
        data = tomllib.loads(file.read_text("utf-8"))
        pinned = {f"{p['id']}#{p['version']}": Pin(**p) for p in data["packages"]}
        lines = {
            name: LinePins(
                tuple(pinned[p] for p in line["packages"]),
                tuple(line["roots"]),
                {c["extension"]: tuple(c["elements"]) for c in line.get("contexts", ())},
            )
            for name, line in data["lines"].items()
        }
        return cls(lines)


class PackageError(Exception):
    """A package is absent, or not the one that is pinned."""


def packages_folder() -> Path:
    """The folder that the environment names. Raises PackageError."""
    value = os.environ.get(VARIABLE)
    if not value:
        raise PackageError(f"{VARIABLE} is not set: name a folder of <id>#<version>.tgz files")
    folder = Path(value)
    if not folder.is_dir():
        raise PackageError(f"{VARIABLE} names {folder}, which is no folder")
    return folder


def read(folder: Path, pin: Pin) -> Iterator[Resource]:
    """The conformance resources of a package, ordered by file name.

    Raises PackageError when the file is absent or its checksum differs.
    """
    file = folder / pin.file_name
    if not file.is_file():
        raise PackageError(f"{pin.file_name} is not in {folder}")
    if hashlib.sha256(file.read_bytes()).hexdigest() != pin.sha256:
        raise PackageError(f"{pin.file_name} is not the pinned file: its sha256 differs")
    return _resources(file)


def _resources(file: Path) -> Iterator[Resource]:
    with tarfile.open(file) as archive:
        members = [m for m in archive.getmembers() if _is_conformance(m.name)]
        for member in sorted(members, key=lambda m: m.name):
            stream = archive.extractfile(member)
            if stream is not None:
                yield json.loads(stream.read())


def _is_conformance(name: str) -> bool:
    folder, _, base = name.rpartition("/")
    kinds = ("StructureDefinition-", "ValueSet-", "CodeSystem-")
    return folder == "package" and base.endswith(".json") and base.startswith(kinds)


def examples(folder: Path, file_name: str) -> Iterator[tuple[str, Resource]]:
    """The examples a package carries, with their file names."""
    with tarfile.open(folder / file_name) as archive:
        for member in sorted(archive.getmembers(), key=lambda m: m.name):
            if "/example" not in member.name or not member.name.endswith(".json"):
                continue
            stream = archive.extractfile(member)
            if stream is None:
                continue
            data = json.loads(stream.read())
            if isinstance(data, dict) and "resourceType" in data:
                yield member.name.rpartition("/")[2], data
