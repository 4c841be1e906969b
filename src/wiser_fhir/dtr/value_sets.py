"""The value sets of the catalogue as ValueSets: chart codes, diagnoses and procedure codes.

Our wording of a code is a designation, never its display: a display is the code system's own.
Procedure codes carry none at all, since CPT's wording is licensed.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, time
from hashlib import sha256
from itertools import groupby
from uuid import NAMESPACE_URL, uuid5

from wiser_fhir.clock import EASTERN
from wiser_fhir.coverage.canonical import CANONICAL
from wiser_fhir.coverage.catalogue import Catalogue
from wiser_fhir.coverage.chart import CHART_SYSTEMS
from wiser_fhir.coverage.models import ServiceRules
from wiser_fhir.coverage.requested import CPT, Code
from wiser_fhir.dtr.questionnaire import PUBLISHER, computer_name
from wiser_fhir.fhir.codes import Line
from wiser_fhir.fhir.elements import Json

FEW = 40
"""Fewer codes than this are shipped expanded; more are left to $expand in 2.2 (DTR 2.2.0
§oper-15, §spec-163)."""

_LONGEST_ID = 64
_PROCEDURES = "procedures"
Coded = tuple[Code, str | None]
"""A code and our wording of it."""


@dataclass(frozen=True)
class ValueSets:
    """Every value set, by canonical with version, in order of service and name."""

    by_canonical: dict[str, Json]

    @classmethod
    def of(cls, catalogue: Catalogue) -> "ValueSets":
        """The value sets of every version of every active service."""
        found = {
            canonical(each): each
            for slug in catalogue.slugs
            for rules in catalogue.versions(slug)
            if rules.is_active
            for each in _of_service(rules)
        }
        return cls(found)

    def published(self) -> tuple[Json, ...]:
        """All of them, as they are defined: which codes are in effect is another thing each day."""
        return tuple(self.by_canonical.values())

    def find(self, url: str, version: str | None = None) -> Json | None:
        """One of them; without a version the newest."""
        if version is not None:
            return self.by_canonical.get(f"{url}|{version}")
        known = [each for each in self.by_canonical.values() if each["url"] == url]
        return max(known, key=lambda each: each["version"], default=None)

    def shipped(self, line: Line, canonicals: Iterable[str]) -> tuple[Json, ...]:
        """Those of some value sets that a package of the line carries, not expanded yet."""
        named = (self.by_canonical[name] for name in canonicals)
        return tuple(each for each in named if line == "2.0" or is_small(each))


def canonical(value_set: Json) -> str:
    """The canonical of a value set with its version."""
    return f"{value_set['url']}|{value_set['version']}"


def is_small(value_set: Json) -> bool:
    """Whether a package of 2.2 carries the value set."""
    return sum(len(part["concept"]) for part in value_set["compose"]["include"]) < FEW


def not_in_effect(rules: ServiceRules, on: date) -> frozenset[str]:
    """The procedure codes of a service that are not in effect on a day."""
    return frozenset(each.code for each in rules.codes if not each.in_effect(on))


def expanded(value_set: Json, rules: ServiceRules, on: date) -> Json:
    """A value set of a service with its expansion as of a day, the same all day long.

    Procedure codes that are not in effect are left out. Source: DTR 2.2.0 §oper-15.
    """
    procedures = value_set["url"] == _url(f"{rules.slug}-{_PROCEDURES}")
    ended = not_in_effect(rules, on) if procedures else frozenset()
    codes = [
        {"system": part["system"], **concept}
        for part in value_set["compose"]["include"]
        for concept in part["concept"]
        if concept["code"] not in ended
    ]
    told = f"{canonical(value_set)} on {on}"
    expansion = {
        "identifier": f"urn:uuid:{uuid5(NAMESPACE_URL, told)}",
        "timestamp": datetime.combine(on, time(), EASTERN).isoformat(),
        "total": len(codes),
        "offset": 0,
        **({"contains": codes} if codes else {}),
    }
    return value_set | {"expansion": expansion}


def _of_service(rules: ServiceRules) -> Iterator[Json]:
    for entry in rules.chart_codes:
        codes = [(each.coding, each.text) for each in entry.codes]
        yield _value_set(rules, entry.name, entry.title, codes)
    if rules.diagnosis is not None:
        listed = (code for group in rules.diagnosis.groups for code in group.codes)
        system = CHART_SYSTEMS["ICD-10-CM"]
        diagnoses = [(Code(system, code), None) for code in dict.fromkeys(listed)]
        yield _value_set(rules, "diagnoses", f"Diagnoses: {rules.name}", diagnoses)
    procedures = [(each.coding, None) for each in rules.codes]
    yield _value_set(rules, _PROCEDURES, f"Procedure codes: {rules.name}", procedures)


def _value_set(rules: ServiceRules, name: str, title: str, codes: Collection[Coded]) -> Json:
    full = f"{rules.slug}-{name}"
    return {
        "resourceType": "ValueSet",
        "id": _id(full, rules.version),
        "url": _url(full),
        "version": rules.version,
        "name": computer_name(full),
        "title": title,
        "status": "active",
        "experimental": False,
        "date": rules.version,
        "publisher": PUBLISHER,
        "description": f"{title}. For the documentation of: {rules.name}.",
        "immutable": True,
        "compose": {"include": list(_includes(codes))},
    }


def _url(name: str) -> str:
    return f"{CANONICAL}/ValueSet/{name}"


def _id(name: str, version: str) -> str:
    """Name and version; a name too long for an id is cut, with a digest of the whole."""
    room = _LONGEST_ID - len(version) - 1
    if len(name) > room:
        digest = sha256(name.encode()).hexdigest()[:8]
        name = f"{name[: room - len(digest) - 1]}-{digest}"
    return f"{name}-{version}"


def _includes(codes: Collection[Coded]) -> Iterator[Json]:
    """One part per code system, in the order in which the systems first come."""
    systems = list(dict.fromkeys(code.system for code, _ in codes))
    by_system = sorted(codes, key=lambda coded: systems.index(coded[0].system))
    for system, part in groupby(by_system, key=lambda coded: coded[0].system):
        yield {"system": system, "concept": [_concept(*coded) for coded in part]}


def _concept(code: Code, text: str | None) -> Json:
    if text is None or code.system == CPT:
        return {"code": code.code}
    return {"code": code.code, "designation": [{"language": "en", "value": text}]}
