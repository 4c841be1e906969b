"""A small catalogue in a folder of its own, with one made-up service that a test may bend."""

import shutil
from pathlib import Path

import wiser_fhir.coverage
from wiser_fhir.coverage.catalogue import Catalogue
from wiser_fhir.coverage.models import ServiceRules

REAL = Path(wiser_fhir.coverage.__path__[0])

SERVICE = """
name          = "Made-up service"
status        = "active"
category      = "made-up"
guide_section = "0.0"
states        = ["NJ", "TX"]
policies      = [{ type = "NCD", id = "0.0" }]
sources       = ["guide"]
associated_codes = ["99980"]

[[codes]]
code   = "99990"
system = "CPT"
role   = "primary"
text   = "The main thing"

[[codes]]
code   = "99991"
system = "CPT"
role   = "add-on"
add_on_to = ["99990"]
text   = "More of it"

[[questions]]
id       = "agreed"
text     = "Agreed?"
type     = "boolean"
kind     = "attestation"
rule     = { op = "eq", value = true }
if_unmet = "fail"
source   = ["guide"]

[[questions]]
id       = "way"
text     = "Which way?"
type     = "choice"
unfilled = "No record says it."
kind     = "fact"
options  = [
  { code = "left", label = "Left", outcome = "meet" },
  { code = "right", label = "Right", outcome = "fail" },
]
rule     = { op = "eq", value = "left" }
if_unmet = "fail"
source   = ["guide"]

[[questions]]
id       = "signs"
text     = "Which signs?"
type     = "multi_choice"
unfilled = "No record says it."
kind     = "fact"
enable_when = { question = "way", equals = "left" }
options  = [
  { code = "one", label = "One" },
  { code = "two", label = "Two" },
  { code = "none", label = "Neither", outcome = "fail" },
]
rule     = { op = "min_count", value = 1 }
if_unmet = "review"
source   = ["guide"]

[[questions]]
id       = "begun"
text     = "When did it begin?"
type     = "date"
unfilled = "No record says it."
kind     = "fact"
rule     = { op = "answered" }
if_unmet = "info"
source   = ["guide"]

[[questions]]
id       = "seen"
text     = "When was it seen?"
type     = "date"
unfilled = "No record says it."
kind     = "fact"
rule     = { op = "within_months_of", question = "begun", value = 2 }
if_unmet = "info"
source   = ["guide"]

[[questions]]
id       = "score"
text     = "Score"
type     = "decimal"
unfilled = "No record says it."
kind     = "fact"
required = false
rule     = { op = "between", min = 1, max = 2.5 }
if_unmet = "info"
source   = ["guide"]

[decision]
all = ["agreed", { if_equals = { question = "way", value = "left" }, then = "signs" }]
"""


def make_folder(base: Path, files: dict[str, str] | None = None) -> Path:
    """A catalogue folder: the real tables, and the service files given by their path."""
    for name in ("process.toml", "geography.toml", "sources.toml"):
        shutil.copy(REAL / name, base / name)
    for path, text in (files or {"made-up/2026-01-15.toml": SERVICE}).items():
        target = base / "services" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    return base


def bent(*changes: tuple[str, str], text: str = SERVICE) -> str:
    """The made-up service with parts of its text replaced; each part must be there."""
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new, 1)
    return text


def made_up(base: Path, *changes: tuple[str, str]) -> ServiceRules:
    """The made-up service, bent and read."""
    folder = make_folder(base, {"made-up/2026-01-15.toml": bent(*changes)})
    return Catalogue.load(folder).versions("made-up")[0]
