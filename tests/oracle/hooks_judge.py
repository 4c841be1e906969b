"""HL7's validation engine as judge of CDS Hooks JSON, by HL7's and CRD's logical models.

What stands inside a resource is left to `judge`, which knows terminology and our stubs. Value sets
of CDS Hooks are in no package: codes such as a card's indicator are not looked up here.
"""

import hashlib
import json
import subprocess
import tomllib
from pathlib import Path
from typing import Any, Self

from tests.oracle.judge import (
    PINS,
    TARGET,
    Issue,
    JudgeUnavailable,
    build,
    packages_folder,
    program,
)

CRD = "http://hl7.org/fhir/us/davinci-crd/StructureDefinition/"
TOOLS = "http://hl7.org/fhir/tools/StructureDefinition/"
REQUEST = CRD + "CRDHooksRequest"
RESPONSE = CRD + "CRDHooksResponse"
SERVICES = TOOLS + "CDSHooksServices"
"""Discovery."""
BASE_REQUEST = TOOLS + "CDSHooksRequest"
BASE_RESPONSE = TOOLS + "CDSHooksResponse"
"""CDS Hooks without CRD: what there is for 2.0, whose guide has no models."""

_MODELS = "hl7.fhir.uv.tools.r4#current"
# The engine writes the name of a resource into the path, where it goes into one.
_INTO_RESOURCE = "/*"


class HooksJudge:
    """The running engine; use as a context manager, from one thread."""

    def __init__(self, packages: Path | None = None) -> None:
        self._packages = packages or packages_folder()

    def __enter__(self) -> Self:
        build()
        self._process = subprocess.Popen(
            [
                program("java"),
                "-Xmx1500m",
                "-XX:+UseSerialGC",
                "-XX:TieredStopAtLevel=1",
                "-cp",
                f"{TARGET / 'judge.jar'}:{TARGET / 'lib'}/*",
                "org.wiserfhir.judge.HooksJudge",
                str(self._packages),
                ",".join(_packages(self._packages)),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate(timeout=60)

    def errors(self, body: Any, model: str) -> list[Issue]:
        """What is wrong with a request, an answer or a discovery by a model, resources aside."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"model": model, "json": body}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the judge's process ended")
        answer = json.loads(line)
        if "failure" in answer:
            raise RuntimeError(answer["failure"])
        issues = [Issue(**issue) for issue in answer["issues"]]
        return [i for i in issues if i.is_error and _INTO_RESOURCE not in i.expression]


def _packages(folder: Path) -> list[str]:
    """The core, what 2.2 is compiled from, and the models. Raises JudgeUnavailable."""
    pins = tomllib.loads(PINS.read_text())
    pinned = {f"{p['id']}#{p['version']}": p["sha256"] for p in pins["packages"]}
    file = folder / f"{_MODELS}.tgz"
    if not file.is_file() or hashlib.sha256(file.read_bytes()).hexdigest() != pinned[_MODELS]:
        raise JudgeUnavailable(f"{file.name} is not in {folder}, or not the pinned one")
    *guides, core = pins["lines"]["2.2"]["packages"]
    return [core, *reversed(guides), _MODELS]
