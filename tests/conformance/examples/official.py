"""The guides' own request and inquiry examples, with what is expected of them."""

import json
import tarfile
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from tests.bundles import Json, Line
from tests.oracle.judge import packages_folder

TABLE = Path(__file__).parents[1] / "pas_official.toml"
_PACKAGES: dict[Line, str] = {
    "2.2": "hl7.fhir.us.davinci-pas#2.2.1.tgz",
    "2.0": "hl7.fhir.us.davinci-pas#2.0.1.tgz",
}


@dataclass(frozen=True, slots=True)
class OfficialExample:
    """A row of pas_official.toml, whose head explains the columns."""

    file: str
    line: Line
    operation: Literal["submit", "inquire"]
    engine: Literal["valid", "invalid"]
    engine_errors: list[str]
    status: int
    outcome: str
    error_reason: str

    def __str__(self) -> str:
        return f"{self.line}-{self.file.removesuffix('.json')}"

    def body(self) -> bytes:
        """The file as the guide's package has it. Raises JudgeUnavailable without packages."""
        return _examples(self.line)[self.file]

    def bundle(self) -> Json:
        """The same, read."""
        bundle: Json = json.loads(self.body())
        return bundle


def official_examples() -> list[OfficialExample]:
    """Every row of the table."""
    return [OfficialExample(**row) for row in tomllib.loads(TABLE.read_text())["examples"]]


def request_examples(line: Line) -> set[str]:
    """The files of a guide whose first entry is a Claim, which is what a table has to list."""
    return {name for name, body in _examples(line).items() if _first_is_claim(json.loads(body))}


def _first_is_claim(bundle: Json) -> bool:
    return bool(bundle["entry"][0]["resource"]["resourceType"] == "Claim")


@cache
def _examples(line: Line) -> dict[str, bytes]:
    """The example Bundles of a guide by file name."""
    found = {}
    with tarfile.open(packages_folder() / _PACKAGES[line]) as package:
        for member in package:
            path = Path(member.name)
            if path.parts[:2] == ("package", "example") and path.name.startswith("Bundle-"):
                held = package.extractfile(member)
                assert held is not None
                found[path.name] = held.read()
    return found
