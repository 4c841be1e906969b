"""`coverage check`: everything is read, every example run, and the whole shown as a table."""

import textwrap
from collections.abc import Sequence
from pathlib import Path

from wiser_fhir.coverage.catalogue import Catalogue
from wiser_fhir.coverage.examples import examples, faults
from wiser_fhir.coverage.loading import CatalogueError
from wiser_fhir.coverage.models import ServiceCode, ServiceRules

_HEAD = ("service", "from", "status", "policy", "codes", "states", "questions", "examples")
_WIDTHS = (36, 10, 8, 22, 27, 17, 27, 8)


def check_catalogue(folder: Path | None = None) -> str:
    """The catalogue as a table. Raises CatalogueError for a fault, or an example that fails."""
    base = folder or Path(__file__).parent
    catalogue = Catalogue.load(base)
    rows, wrong, total = [], list[str](), 0
    for slug in catalogue.slugs:
        cases = examples(catalogue, base, slug)
        wrong += [fault for example in cases for fault in faults(example)]
        total += len(cases)
        for rules in catalogue.versions(slug):
            ran = sum(example.rules is rules for example in cases)
            rows.append((*_cells(rules), str(ran)))
    if wrong:
        raise CatalogueError(wrong)
    return f"{_table(rows)}\n\n{_summary(catalogue, total)}"


def _cells(rules: ServiceRules) -> tuple[str, ...]:
    facts = sum(question.kind == "fact" for question in rules.questions)
    asked = len(rules.questions)
    reviewed = f"reviewed {rules.reviewed_on}" if rules.is_reviewed else "not reviewed"
    return (
        rules.slug,
        rules.version,
        rules.status,
        f"{rules.policies[0].type} {', '.join(policy.id for policy in rules.policies)}",
        ", ".join(_code(code) for code in rules.codes) or "none",
        " ".join(rules.states),
        f"{facts} facts, {asked - facts} attestations, {reviewed}",
    )


def _code(code: ServiceCode) -> str:
    """A code with a plus for an add-on and a question mark for one that only recognises."""
    return code.code + {"primary": "", "add-on": "+", "recognition": "?"}[code.role]


def _summary(catalogue: Catalogue, total: int) -> str:
    newest = [catalogue.versions(slug)[-1] for slug in catalogue.slugs]
    active = [rules for rules in newest if rules.is_active]
    codes = sum(len(rules.codes) for rules in active)
    return (
        f"{len(active)} services active with {codes} codes, {len(newest) - len(active)} delayed; "
        f"{total} examples hold. + add-on, ? known but not taken."
    )


def _table(rows: Sequence[Sequence[str]]) -> str:
    """Columns of fixed width, long cells wrapped."""
    lines: list[str] = []
    for row in (_HEAD, tuple("-" * width for width in _WIDTHS), *rows):
        cells = [
            textwrap.wrap(cell, width, break_on_hyphens=False)
            for cell, width in zip(row, _WIDTHS, strict=True)
        ]
        for depth in range(max(map(len, cells))):
            parts = [cell[depth] if depth < len(cell) else "" for cell in cells]
            padded = (part.ljust(width) for part, width in zip(parts, _WIDTHS, strict=True))
            lines.append("  ".join(padded).rstrip())
    return "\n".join(lines)
