"""The population logic run over charts, by the official translator and engine under Node.

`python -m tests.conformance.dtr.charts_run SLUG` prints what the charts of a service answer.
"""

import fcntl
import json
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

from wiser_fhir.coverage.canonical import CANONICAL
from wiser_fhir.coverage.chart import CHART_SYSTEMS
from wiser_fhir.coverage.loading import first_day, read
from wiser_fhir.coverage.models import ServiceRules

Json = dict[str, Any]

ROOT = Path(__file__).parents[3]
LOGIC = ROOT / "igs/wiser"
WORKSHOP = ROOT / "build/cql"
CHARTS = Path(__file__).parent / "charts"
SERVICES = ROOT / "src/wiser_fhir/coverage/services"
TODAY = "2026-03-02"


def library_name(rules: ServiceRules) -> str:
    """Name and version of a service's library, as its file is called."""
    words = rules.slug.replace("-", " ").title().replace(" ", "")
    return f"Wiser{words}-{rules.version}"


def rule_files(slug: str = "*") -> Iterator[ServiceRules]:
    """The rule files of active services, each read for itself."""
    for path in sorted(SERVICES.glob(f"{slug}/*.toml")):
        extra = {"slug": path.parent.name, "first_day": first_day(path)}
        rules = read(ServiceRules, path, extra)
        if rules.is_active:
            yield rules


def value_sets(rules: ServiceRules) -> dict[str, list[Json]]:
    """The codes of every value set a service's logic may name, by address."""
    base = f"{CANONICAL}/ValueSet/{rules.slug}"
    found = {
        f"{base}-{each.name}": [_coding(code.coding) for code in each.codes]
        for each in rules.chart_codes
    }
    found[f"{base}-procedures"] = [_coding(code.coding) for code in rules.codes]
    if rules.diagnosis is not None:
        groups = rules.diagnosis.groups
        system = CHART_SYSTEMS["ICD-10-CM"]
        found[f"{base}-diagnoses"] = [
            {"system": system, "code": code} for group in groups for code in group.codes
        ]
    return found


def _coding(code: Any) -> Json:
    return {"system": code.system, "code": code.code}


@contextmanager
def workshop() -> Iterator[Path]:
    """The directory where the pinned translator and engine are installed, for one process."""
    WORKSHOP.mkdir(parents=True, exist_ok=True)
    with (WORKSHOP / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _install()
        yield WORKSHOP


def _install() -> None:
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            raise RuntimeError(
                f"{program} is needed to run the population logic (Node 20 or later)"
            )
    wanted = (LOGIC / "package-lock.json").read_text(encoding="utf-8")
    for name in ("package.json", "package-lock.json", ".npmrc", "compile.mjs", "run.mjs"):
        shutil.copyfile(LOGIC / name, WORKSHOP / name)
    stamp = WORKSHOP / "installed.json"
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == wanted:
        return
    _called(["npm", "ci", "--ignore-scripts"], "")
    stamp.write_text(wanted, encoding="utf-8")


def _called(command: list[str], given: str) -> str:
    done = subprocess.run(
        command, cwd=WORKSHOP, input=given, capture_output=True, text=True, timeout=300, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}:\n{done.stderr or done.stdout}")
    return done.stdout


def compile_to(target: Path, *stems: str) -> None:
    """CQL libraries translated into `target`: those named, or every one."""
    with workshop():
        _called(["node", "compile.mjs", str(LOGIC / "cql"), str(target), *stems], "")


def answers(services: Iterable[ServiceRules]) -> dict[str, dict[str, dict[str, Any]]]:
    """What the charts of the services answer: by service, chart and question."""
    known = list(services)
    own = {
        "elm": {path.stem: json.loads(path.read_text()) for path in (LOGIC / "elm").glob("*.json")},
        "valueSets": {
            url: {rules.version: codes}
            for rules in known
            for url, codes in value_sets(rules).items()
        },
    }
    runs = [run for rules in known for run in _runs(rules)]
    return _by_service(executed({"own": own}, runs, TODAY))


def executed(
    packages: Mapping[str, Json], runs: Iterable[Json], today: str
) -> dict[str, dict[str, Any]]:
    """What the official engine answers, by run and question. See `run.mjs` for what goes in."""
    task = {"today": today, "packages": packages, "runs": list(runs)}
    with workshop():
        found: dict[str, dict[str, Any]] = json.loads(
            _called(["node", "run.mjs"], json.dumps(task))
        )
    return found


def _runs(rules: ServiceRules) -> Iterator[Json]:
    for name, bundle in charts_of(rules.slug).items():
        yield {
            "name": f"{rules.slug}/{name}",
            "package": "own",
            "library": library_name(rules),
            "bundle": bundle,
        }


def charts_of(slug: str) -> dict[str, Json]:
    """The charts of a service, by name."""
    paths = sorted((CHARTS / slug).glob("*.json"))
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in paths}


def _by_service(found: Mapping[str, Json]) -> dict[str, dict[str, Json]]:
    sorted_in: dict[str, dict[str, Json]] = {}
    for name, filled in found.items():
        slug, chart = name.split("/")
        sorted_in.setdefault(slug, {})[chart] = filled
    return sorted_in


def readable(value: Any) -> Any:
    """An answer as the tables of expected answers write it: options by their code."""
    if isinstance(value, list):
        return sorted(readable(each) for each in value)
    if isinstance(value, dict):
        return value["code"]
    return "nothing" if value is None else value


def expected(slug: str) -> dict[str, Json]:
    """What somebody who read the charts of a service says they answer, by chart and question."""
    tables = tomllib.loads((CHARTS / slug / "expected.toml").read_text(encoding="utf-8"))
    return {
        chart: {name: _literal(value) for name, value in answers.items()}
        for chart, answers in tables.items()
    }


def _literal(value: Any) -> Any:
    if isinstance(value, list):
        return sorted(value)
    return value.isoformat() if isinstance(value, date) else value


def show(slug: str) -> None:
    """Translate a service's library, run its charts, and print what they answer."""
    services = list(rule_files(slug))
    compile_to(LOGIC / "elm", "WiserChart-1.0.0", *(library_name(rules) for rules in services))
    for service, charts in answers(services).items():
        wanted = expected(service) if (CHARTS / service / "expected.toml").is_file() else {}
        for chart, filled in charts.items():
            print(f"[{chart}]")
            for name, value in filled.items():
                found, literal = readable(value), wanted.get(chart, {}).get(name)
                print(f"{name} = {found!r}" + ("" if found == literal else f"  # not {literal!r}"))


if __name__ == "__main__":
    show(sys.argv[1])
