"""Everything that an answer must be able to say is said by one of ours: element by element."""

import re
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from fhirpathpy import compile as compiled
from fhirpathpy.models import models

from tests.bundles import Json, Line
from tests.unit.pas import maximal
from wiser_fhir.fhir import codes

FILE = Path(__file__).with_name("response_must_support.toml")
_EXTENSION = re.compile(r"EXT\((\w+)\)")


def _elements() -> Iterator[tuple[Line, str, str, str]]:
    """Line, operation, type of resource and path of each element that has to appear."""
    listed: dict[Line, dict[str, dict[str, list[str]]]] = tomllib.loads(FILE.read_text())  # type: ignore[assignment]
    for line, kinds in listed.items():
        for kind, paths in kinds.items():
            for operation in ("submit", "inquire"):
                for path in (*paths.get("both", ()), *paths.get(operation, ())):
                    yield line, operation, kind, path


@cache
def _answered(line: Line, operation: str) -> dict[str, list[Json]]:
    """The resources of all answers to an operation, by type; each Bundle as one of them."""
    writer, request = maximal.renderer(line), maximal.request(line)
    write = writer.submit_response if operation == "submit" else writer.inquiry_response
    found: dict[str, list[Json]] = {}
    for case in maximal.CASES.values():
        bundle = write(case, request)
        for resource in (bundle, *(entry["resource"] for entry in bundle["entry"])):
            found.setdefault(resource["resourceType"], []).append(resource)
    return found


@cache
def _expression(path: str) -> Any:
    full = _EXTENSION.sub(rf"extension('{codes.PAS}extension-\1')", path)
    full = full.replace("DAR", f"extension('{codes.DATA_ABSENT}')")
    return compiled(full, models["r4"])


def _says(resource: Json, path: str) -> bool:
    return any(value not in (None, "", [], {}) for value in _expression(path)(resource))


@pytest.mark.parametrize(("line", "operation", "kind", "path"), list(_elements()))
def test_it_is_said_by_one_answer(line: Line, operation: str, kind: str, path: str) -> None:
    assert any(_says(each, path) for each in _answered(line, operation).get(kind, ()))


@pytest.mark.parametrize("line", ["2.2", "2.0"])
def test_an_inquirys_answer_asks_for_nothing(line: Line) -> None:
    """Source: PAS 2.2.1 §spec-9."""
    assert "CommunicationRequest" not in _answered(line, "inquire")


def test_an_element_that_nobody_says_is_missed() -> None:
    (response,) = _answered("2.2", "submit")["ClaimResponse"][:1]
    assert _says(response, "status")
    assert not _says(response, "item.EXT(itemCategory)")
    assert not _says({"resourceType": "ClaimResponse"}, "addItem.serviced")
