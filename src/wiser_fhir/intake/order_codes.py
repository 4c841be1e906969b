"""The codes an order can be billed under: as written, as the client thinks, as we read them."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date

from wiser_fhir.coverage.catalogue import Catalogue
from wiser_fhir.coverage.requested import CPT, HCPCS, Code
from wiser_fhir.fhir.elements import Json
from wiser_fhir.intake.order_facts import Link, OrderFacts, billing_options
from wiser_fhir.intake.services import codes_of
from wiser_fhir.intake.systems import LOINC, RXNORM, SNOMED_CT, plain_system

_NAMES = {
    CPT: "CPT",
    HCPCS: "HCPCS",
    SNOMED_CT: "SNOMED CT",
    LOINC: "LOINC",
    RXNORM: "RxNorm",
}
MOST_CODES = 20
"""Codes of one order that are judged; procedure codes before others where there are more."""
# What may stand in our own words: nobody else's text.
_SHOWN = re.compile(r"[A-Za-z0-9.-]{1,20}")
# A procedure code, and the modifiers that may be written behind it. Source: CRD 2.2.1
# ext-coverage-information, billingCode ("CPT post-coordination").
_PROCEDURE = re.compile(r"([0-9A-Z]{5})((?:[:-][0-9A-Z]{2})*)")


@dataclass(frozen=True, slots=True)
class OrderCodes:
    """What an order asks for. `assumed` says in words how codes were come by that nobody wrote."""

    codes: tuple[Code, ...]
    modifiers: tuple[str, ...] = ()
    assumed: tuple[str, ...] = ()


def asked_codes(
    facts: OrderFacts, target: Callable[[Link], Json | None], catalogue: Catalogue, on: date
) -> OrderCodes:
    """The codes of an order and of the products it names. `target` follows a reference."""
    products = [p for link in facts.products if (p := target(link))]
    concepts = [*facts.concepts, *(p[k] for p in products for k in ("code", "type") if k in p)]
    options = [*facts.options, *(o for h in (*products, *concepts) for o in billing_options(h))]
    return order_codes(concepts, options, catalogue, on)


def order_codes(
    concepts: Iterable[Json], options: Iterable[Json], catalogue: Catalogue, on: date
) -> OrderCodes:
    """Every code of the concepts, then the likely billing codes.

    Where the order or its billing options name a procedure code, that is what will be billed.
    Only where none does, our own reading of the clinical codes counts.
    Source: CRD 2.2.1 §billopt-2, §billopt-3, §resp-51.
    """
    told, modifiers = _read(concepts)
    offered, more = _read(options)
    known = frozenset(told)
    offered = [code for code in offered if code not in known]
    assumed: list[str] = []
    billable = any(code.system in (CPT, HCPCS) for code in (*told, *offered))
    if offered:
        assumed.append(f"Billing options of the order: {_named(offered)}.")
    likely: list[Code] = []
    for code in () if billable else told:
        found = catalogue.likely_codes(code, on)
        if found:
            assumed.append(f"{_named([code])} was read as {_named(found)}.")
            likely += found
    codes = list(dict.fromkeys((*told, *offered, *likely)))
    if len(codes) > MOST_CODES:
        codes = sorted(codes, key=_is_clinical)[:MOST_CODES]
    return OrderCodes(tuple(codes), tuple(dict.fromkeys((*modifiers, *more))), tuple(assumed))


def _read(concepts: Iterable[Json]) -> tuple[list[Code], list[str]]:
    codes: dict[Code, None] = {}
    modifiers: list[str] = []
    for concept in concepts:
        for coded in codes_of(concept):
            system, code = plain_system(coded.system), coded.code.strip()
            if system in (CPT, HCPCS):
                found = _PROCEDURE.fullmatch(code.upper())
                code = found[1] if found else code.upper()
                modifiers += re.findall("[0-9A-Z]{2}", found[2]) if found else ()
            codes[Code(system, code)] = None
    return list(codes), modifiers


def _is_clinical(code: Code) -> bool:
    """Whether a code is none that is billed."""
    return code.system not in (CPT, HCPCS)


def _named(codes: Iterable[Code]) -> str:
    """Codes in words: `CPT 62321, 62323`."""
    by_system: dict[str, list[str]] = {}
    for code in codes:
        shown = code.code if _SHOWN.fullmatch(code.code) else "without a readable code"
        by_system.setdefault(_NAMES.get(code.system, "code"), []).append(shown)
    return "; ".join(f"{name} {', '.join(each)}" for name, each in by_system.items())
