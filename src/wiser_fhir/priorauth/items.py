"""What each line of a request is to WISeR, and which one service the request is for."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date

from wiser_fhir.coverage.catalogue import Catalogue
from wiser_fhir.coverage.models import ServiceCode, ServiceRules
from wiser_fhir.coverage.requested import Code
from wiser_fhir.priorauth.models import (
    ClassifiedItem,
    Finding,
    FindingStatus,
    ItemRole,
    RequestedItem,
    Submission,
)

_NO_CODE = Code("", "")
_ROLES = {"primary": ItemRole.PRIMARY, "add-on": ItemRole.ADD_ON}


@dataclass(frozen=True, slots=True)
class Classification:
    """The lines of a request with their roles.

    `services` are the active services asked for: none, the one, or more than one request can be
    for. `delayed` are services that are not taken yet. `findings` are what a person must look at.
    """

    items: tuple[ClassifiedItem, ...]
    services: tuple[ServiceRules, ...]
    delayed: tuple[ServiceRules, ...] = ()
    findings: tuple[Finding, ...] = ()

    @property
    def service(self) -> ServiceRules | None:
        """The one service asked for. None when there is none, or more than one."""
        return self.services[0] if len(self.services) == 1 else None

    @property
    def wiser_items(self) -> tuple[RequestedItem, ...]:
        """The lines that carry a code of the model."""
        roles = (ItemRole.PRIMARY, ItemRole.ADD_ON)
        return tuple(entry.item for entry in self.items if entry.role in roles)


@dataclass(frozen=True, slots=True)
class _Match:
    """A coding of a line that a service lists."""

    coding: Code
    rules: ServiceRules
    entry: ServiceCode


def classify(submission: Submission, catalogue: Catalogue, on: date) -> Classification:
    """Each line's role: primary, add-on, associated, or none of WISeR's.

    `on` is the business date of receipt; a code's own dates are held against the date of service.
    Source: WISeR Operational Guide 6.0, 3 (one select service per request), Appendix A and C.
    """
    matches = {item.sequence: _matches(item, catalogue, on) for item in submission.items}
    listed = _distinct(match.rules for found in matches.values() for match in found)
    services = _asked_for([rules for rules in listed if rules.is_active], submission, matches)
    slugs = {rules.slug for rules in services}
    pairs = [
        (item, [match for match in matches[item.sequence] if match.rules.slug in slugs])
        for item in submission.items
    ]
    return Classification(
        items=tuple(_classified(item, found, services) for item, found in pairs),
        services=tuple(services),
        delayed=tuple(rules for rules in listed if not rules.is_active),
        findings=(*_ambiguous(pairs), *_lonely_add_ons(pairs)),
    )


def _matches(item: RequestedItem, catalogue: Catalogue, on: date) -> list[_Match]:
    """The codings that a service lists and that are in effect on the line's date of service."""
    found = []
    for coding in item.service.codes:
        rules = catalogue.recognised(coding, on)
        if rules is not None:
            entry = rules.by_code[coding.code]
            if entry.in_effect(item.service.date_of_service):
                found.append(_Match(coding, rules, entry))
    return found


def _distinct(services: Iterator[ServiceRules]) -> list[ServiceRules]:
    """Each service once, in the order of the lines."""
    return list({rules.slug: rules for rules in services}.values())


def _asked_for(
    candidates: list[ServiceRules],
    submission: Submission,
    matches: dict[int, list[_Match]],
) -> list[ServiceRules]:
    """The candidates, less those whose closed diagnosis list leaves them out of this request.

    A code of such a service counts only with a diagnosis of its list. Beside another service it is
    then that one's associated code, or none of WISeR's. Without any diagnosis on the request it is
    left out only where the other service lists it as associated.
    """
    if len(candidates) < 2:
        return candidates

    def left_out(rules: ServiceRules) -> bool:
        if rules.diagnosis is None or rules.diagnosis.names_any_of(submission.diagnoses):
            return False
        codes = {m.entry.code for found in matches.values() for m in found if m.rules is rules}
        others = [other for other in candidates if other is not rules]
        follows = any(codes <= set(other.associated_codes) for other in others)
        return bool(submission.diagnoses) or follows

    kept = [rules for rules in candidates if not left_out(rules)]
    return kept or candidates


def _classified(
    item: RequestedItem, found: list[_Match], services: list[ServiceRules]
) -> ClassifiedItem:
    if found:
        return ClassifiedItem(item, _ROLES[found[0].entry.role], found[0].coding)
    for coding in item.service.codes:
        if any(coding.code in rules.associated_codes for rules in services):
            return ClassifiedItem(item, ItemRole.ASSOCIATED, coding)
    return ClassifiedItem(item, ItemRole.NOT_WISER, next(iter(item.service.codes), _NO_CODE))


_Pairs = Sequence[tuple[RequestedItem, list[_Match]]]


def _ambiguous(pairs: _Pairs) -> Iterator[Finding]:
    """Lines whose codings name more than one code of the model."""
    for item, found in pairs:
        codes = sorted({match.entry.code for match in found})
        if len(codes) > 1:
            yield Finding(
                "gate-code",
                FindingStatus.NEEDS_JUDGEMENT,
                f"Line {item.sequence} names more than one code of the model: {', '.join(codes)}.",
            )


def _lonely_add_ons(pairs: _Pairs) -> Iterator[Finding]:
    """Add-ons that stand without any of their primary codes: they cannot be decided alone."""
    requested = {match.entry.code for _, found in pairs for match in found}
    for item, found in pairs:
        for match in found[:1]:
            if match.entry.role == "add-on" and not requested.intersection(match.entry.add_on_to):
                primaries = " or ".join(match.entry.add_on_to)
                yield Finding(
                    "gate-add-on",
                    FindingStatus.NEEDS_JUDGEMENT,
                    f"Line {item.sequence}: {match.entry.code} needs {primaries} beside it.",
                )
