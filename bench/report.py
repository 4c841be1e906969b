"""The results: one row per bound, as a table to read and as JSON, with the machine they are of."""

import os
import platform
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from bench.loads import Load
from bench.requests import ROOT

# Load average up to which a machine counts as idle.
QUIET = 0.5


@dataclass(frozen=True, slots=True)
class Row:
    """One bound and what was measured for it. `ok` is None where nothing was measured.

    Without a bound a row is there to be looked at.
    """

    work: str
    measured: str
    floor: str
    ratio: str
    bound: str
    ok: bool | None
    note: str = ""
    details: dict[str, Any] = field(default_factory=dict)


def of_load(load: Load) -> dict[str, Any]:
    """A load as the JSON keeps it."""
    return {**asdict(load), "per_second": round(load.per_second, 1)}


def latency(load: Load) -> str:
    """p50/p95/p99 of a load."""
    return f"{load.p50_ms:.1f}/{load.p95_ms:.1f}/{load.p99_ms:.1f} ms"


def machine(postgres: str) -> dict[str, Any]:
    """What the figures depend on. `busy` is the load average before the first measurement."""
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "cores": os.cpu_count(),
        "cpu": _cpu(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9),
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
        "postgres": postgres,
        "generator": _first_line("wrk", "-v"),
        "commit": _first_line("git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"),
        "busy": round(os.getloadavg()[0], 2),
    }


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _first_line(*command: str) -> str:
    try:
        run = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return "unknown"
    return run.stdout.partition("\n")[0].strip() or "unknown"


def table(rows: Sequence[Row]) -> str:
    """The rows in Markdown, columns aligned."""
    head = ("Work", "Measured", "Floor", "Ratio", "Bound", "")
    verdicts = {True: "met", False: "MISSED", None: "not measured"}
    lines = [head, tuple("---" for _ in head)]
    lines += [
        (r.work, r.measured, r.floor, r.ratio, r.bound, verdicts[r.ok] if r.bound else "")
        for r in rows
    ]
    widths = [max(len(line[n]) for line in lines) for n in range(len(head))]
    shown = [
        "| " + " | ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)) + " |"
        for line in lines
    ]
    notes = [f"- {row.work}: {row.note}" for row in rows if row.note]
    return "\n".join([*shown, "", *notes])


def write(file: Path, rows: Sequence[Row], on: dict[str, Any]) -> None:
    """All of it as JSON."""
    file.parent.mkdir(parents=True, exist_ok=True)
    content = {"machine": on, "rows": [asdict(row) for row in rows]}
    file.write_bytes(orjson.dumps(content, option=orjson.OPT_INDENT_2) + b"\n")
