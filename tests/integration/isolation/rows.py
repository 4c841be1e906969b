"""The rows of `matrix.toml`, one for each method of a path."""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.integration.isolation.world import line_of
from tests.integration.pas.door import PATHS
from wiser_fhir.fhir.codes import Line


@dataclass(frozen=True, slots=True)
class Row:
    """What is said of one method of one path; see the head of the file."""

    method: str
    path: str
    door: str
    right: int = 0
    scopes: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    as_mac: bool = False
    again: int | None = None
    names: Mapping[str, str] = field(default_factory=dict)
    fixed: Mapping[str, str] = field(default_factory=dict)
    body: str | None = None
    foreign: int | None = None
    refused: tuple[int, ...] = ()
    silent: bool = False
    only: str | None = None

    @property
    def id(self) -> str:
        """The row's name."""
        return f"{self.method} {self.path}"

    @property
    def line(self) -> Line:
        """The line of a FHIR path; of others the newest."""
        return line_of(self.path)

    def url(self, names: Mapping[str, str]) -> str:
        """The path, with what its placeholders stand for."""
        found = self.path
        for part in self.path.split("/"):
            if part.startswith("{"):
                found = found.replace(part, self.named(part.strip("{}"), names))
        return found

    def named(self, placeholder: str, names: Mapping[str, str]) -> str:
        """What a placeholder stands for."""
        if placeholder in self.fixed:
            return self.fixed[placeholder]
        name = self.names.get(placeholder, placeholder)
        return names.get(f"{name} {self.line}") or names[name]


def rows() -> Iterator[Row]:
    """Every row, both lines where a table is about both."""
    said = tomllib.loads((Path(__file__).parent / "matrix.toml").read_text(encoding="utf-8"))
    for table in said["route"]:
        yield from _rows(table)


def _rows(table: dict[str, Any]) -> Iterator[Row]:
    facts = {name: value for name, value in table.items() if name not in ("path", "methods", "as")}
    facts |= {name: tuple(facts[name]) for name in ("scopes", "roles", "refused") if name in facts}
    paths = {table["path"].replace("{fhir}", base) for base in PATHS.values()}
    for path in sorted(paths):
        for method in table["methods"]:
            yield Row(method, path, as_mac=table.get("as") == "mac", **facts)


ROWS = tuple(rows())
