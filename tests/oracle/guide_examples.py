"""The guides' own examples, read from their packages."""

import json
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.oracle.judge import Line, Resource, packages_folder

GUIDES: dict[Line, tuple[str, ...]] = {
    "2.2": ("hl7.fhir.us.davinci-pas#2.2.1", "hl7.fhir.us.davinci-dtr#2.2.0"),
    "2.0": ("hl7.fhir.us.davinci-pas#2.0.1", "hl7.fhir.us.davinci-dtr#2.0.1"),
}


@dataclass(frozen=True, eq=False)
class Example:
    """An example that states its profile."""

    line: Line
    guide: str
    name: str
    profile: str
    resource: Resource


@cache
def examples() -> tuple[Example, ...]:
    """All examples of both lines that claim a profile, in a fixed order."""
    folder = packages_folder()
    found = [
        Example(line, guide.split("#")[0], name, profile, resource)
        for line, guides in GUIDES.items()
        for guide in guides
        for name, resource in _resources(folder / f"{guide}.tgz")
        for profile in _profiles(resource)[:1]
    ]
    return tuple(sorted(found, key=lambda example: (example.line, example.guide, example.name)))


def _profiles(resource: Resource) -> list[str]:
    stated: list[str] = resource.get("meta", {}).get("profile", [])
    return [profile.split("|")[0] for profile in stated]


def _resources(package: Path) -> Iterator[tuple[str, Resource]]:
    with tarfile.open(package) as tar:
        for member in tar:
            path = Path(member.name)
            if path.parent.name == "example" and path.suffix == ".json":
                content = tar.extractfile(member)
                assert content is not None
                resource = json.load(content)
                if "resourceType" in resource:
                    yield path.stem, resource
