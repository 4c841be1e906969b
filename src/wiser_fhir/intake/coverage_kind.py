"""Whose insurance a focal Coverage is, as far as it says."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

from wiser_fhir.fhir.elements import Json, codings
from wiser_fhir.intake.resolver import Resolver
from wiser_fhir.priorauth.models import CoverageKind


def coverage_kind(resolver: Resolver, coverage: Json) -> CoverageKind:
    """By Coverage.type and the payor's identifier; `coverage_types.toml` says how.

    Where they contradict each other, what is not Original Medicare counts.
    """
    kinds = [*_by_type(coverage), *_by_payor(resolver, coverage), CoverageKind.UNKNOWN]
    others = [kind for kind in kinds if kind is not CoverageKind.ORIGINAL_MEDICARE]
    return others[0] if len(others) > 1 else kinds[0]


def _by_type(coverage: Json) -> list[CoverageKind]:
    found = (_kind_of_type(c.get("system"), c["code"]) for c in codings(coverage.get("type")))
    return [kind for kind in found if kind is not None]


def payor_identifiers(resolver: Resolver, coverage: Json) -> list[tuple[str | None, str | None]]:
    """System and value of every identifier by which a Coverage names its payors."""
    return [
        (identifier.get("system"), identifier.get("value"))
        for payor in coverage.get("payor", ())
        for identifier in (
            *(resolver.target(coverage, payor) or {}).get("identifier", ()),
            payor.get("identifier") or {},
        )
        if identifier.get("value")
    ]


def _by_payor(resolver: Resolver, coverage: Json) -> list[CoverageKind]:
    known = _coverage_types().payors
    identifiers = payor_identifiers(resolver, coverage)
    return [known[identifier] for identifier in identifiers if identifier in known]


@dataclass(frozen=True, slots=True)
class _CoverageTypes:
    types: Mapping[str, Mapping[str, CoverageKind]]
    payors: Mapping[tuple[str | None, str | None], CoverageKind]


@cache
def _coverage_types() -> _CoverageTypes:
    file = resources.files("wiser_fhir.intake").joinpath("coverage_types.toml")
    data = tomllib.loads(file.read_text(encoding="utf-8"))
    types = {
        t["system"]: {prefix: CoverageKind(kind) for prefix, kind in t["prefixes"].items()}
        for t in data["types"]
    }
    payors = {(p["system"], p["value"]): CoverageKind(p["kind"]) for p in data["payors"]}
    return _CoverageTypes(types, payors)


def _kind_of_type(system: str | None, code: str) -> CoverageKind | None:
    prefixes = _coverage_types().types.get(system or "", {})
    longest = max((p for p in prefixes if code.startswith(p)), key=len, default=None)
    return prefixes[longest] if longest is not None else None
