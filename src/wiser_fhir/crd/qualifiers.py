"""What an answer holds for, and nothing else: codes, place, days, people, diagnosis.

Source: CRD 2.2.1 §resp-30; ext-coverage-information, `billingCode`.
"""

import re
from collections.abc import Iterator
from datetime import date

from wiser_fhir.coverage.catalogue import Catalogue
from wiser_fhir.coverage.requested import CPT, HCPCS, Code
from wiser_fhir.fhir.codes import Line
from wiser_fhir.priorauth.foresee import Foreseen, Missing, Situation
from wiser_fhir.priorauth.models import (
    ItemStatus,
    PartyRole,
    RequestedItem,
    Site,
    SiteKind,
    Submission,
)
from wiser_fhir.priorauth.outlook import is_procedure
from wiser_fhir.priorauth.rules import is_npi, site_of_service

CODE_SETS = {CPT: "CPT", HCPCS: "HCPCS"}

_MODIFIER = re.compile("[0-9A-Z]{2}")
_SITE_CODE = re.compile("[0-9A-Za-z]{1,4}")
_DIAGNOSIS = re.compile(r"[A-Z][0-9][0-9A-Z](\.?[0-9A-Z]{1,4})?")
_PLACES = {SiteKind.BILL_TYPE: "type of bill", SiteKind.PLACE_OF_SERVICE: "place of service"}


def held_codes(
    foreseen: Foreseen, asked: Submission | None, catalogue: Catalogue, day: date
) -> tuple[Code, ...]:
    """The codes that an answer holds for, each in its own system. None where the code is lacking.

    Those that the order names beside the one that told, where the answer is the same for them: of
    the same service, and with a case the same there. Codes of no service never need authorization:
    where nothing of the order does, the answer holds for them too.
    """
    told = foreseen.code
    if told is None or Missing.CODE in foreseen.missing:
        return ()
    beside = asked.items[0].service.codes if asked else ()
    codes = [_known(code, foreseen) for code in (told, *beside) if is_procedure(code)]
    also = (code for code in codes[1:] if _is_the_same_for(code, foreseen, catalogue, day))
    return tuple(dict.fromkeys((*codes[:1], *also))) if is_procedure(told) else ()


def billing_codes(
    codes: tuple[Code, ...], item: RequestedItem | None, line: Line
) -> Iterator[Code]:
    """The codes with the order's modifiers behind each, in CPT's own syntax; plain in 2.0."""
    modifiers = _modifiers(item)
    for code in codes:
        together = ":".join((code.code, *modifiers))
        yield Code(CPT, together) if code.system == CPT and line != "2.0" else code


def place_and_time(foreseen: Foreseen, item: RequestedItem | None) -> Iterator[str]:
    """Modifiers, quantity, state, place and days, as far as they are told."""
    if modifiers := _modifiers(item):
        yield f"with modifier {' and '.join(modifiers)}"
    if item is not None and item.service.quantity is not None:
        yield f"quantity {item.service.quantity:f}"
    if foreseen.state is not None:
        yield f"delivered in {foreseen.state}"
    if item is None:
        return
    site = item.site
    # What is neither of the two is a kind of place, which no claim carries.
    if site is not None and site.kind in _PLACES and _SITE_CODE.fullmatch(site.code):
        yield f"{_PLACES[site.kind]} {site.code}"
    first, last = item.service.date_of_service, item.service_end
    if first is not None:
        yield f"from {first} to {last}" if last is not None and last > first else f"on {first}"


def providers(asked: Submission | None, catalogue: Catalogue) -> Iterator[str]:
    """Who performs the service, and the facility where one bills; each of several will do."""
    if performers := npis_of(asked, PartyRole.RENDERING):
        yield f"performed by NPI {' or '.join(performers)}"
    bills = asked is not None and facility_bills(asked.items[0].site, catalogue)
    facilities = npis_of(asked, PartyRole.FACILITY)
    if bills and facilities:
        yield f"billed by the facility with NPI {' or '.join(facilities)}"


def diagnoses(foreseen: Foreseen, asked: Submission | None) -> Iterator[str]:
    """The diagnoses that decide, where a closed list does: those on it, else all that are named."""
    closed = foreseen.rules.diagnosis if foreseen.rules else None
    if closed is None or asked is None:
        return
    named = [code for code in asked.diagnoses if _DIAGNOSIS.fullmatch(code)]
    deciding = [code for code in named if closed.names_any_of((code,))] or named
    if deciding:
        yield f"for diagnosis {' or '.join(deciding)}"


def facility_bills(site: Site | None, catalogue: Catalogue) -> bool:
    """Whether the place is of a kind where the facility's claim carries the number."""
    found = site_of_service(site, catalogue.process)
    return found is not None and found.facility_identifier != "none"


def billers(asked: Submission | None, catalogue: Catalogue) -> tuple[str, ...]:
    """The provider numbers whose claim may be the one that counts."""
    if asked is None:
        return ()
    facility = facility_bills(asked.items[0].site, catalogue)
    return npis_of(asked, PartyRole.FACILITY if facility else PartyRole.RENDERING)


def npis_of(asked: Submission | None, role: PartyRole) -> tuple[str, ...]:
    """The numbers of all in a role, those that can be one."""
    parties = asked.parties if asked else ()
    named = (party.npi for party in parties if party.role is role)
    return tuple(dict.fromkeys(npi for npi in named if npi and is_npi(npi)))


def _known(code: Code, foreseen: Foreseen) -> Code:
    """The coding as the service lists it: either code system may have been named."""
    rules = foreseen.rules
    return rules.by_code[code.code].coding if rules and code.code in rules.by_code else code


def _is_the_same_for(code: Code, foreseen: Foreseen, catalogue: Catalogue, day: date) -> bool:
    rules, case = foreseen.rules, foreseen.standing
    if rules is None or code.code not in rules.by_code:
        return foreseen.situation not in _OF_THE_CODE and catalogue.recognised(code, day) is None
    if foreseen.situation is Situation.SATISFIED and case is not None:
        return case.of_code(code.code) == {ItemStatus.AFFIRMED}
    if foreseen.situation is Situation.PENDED and case is not None:
        return bool(case.of_code(code.code))
    if foreseen.situation is Situation.NON_AFFIRMED and case is not None:
        return ItemStatus.NON_AFFIRMED in case.of_code(code.code)
    return True


# Answers that are a service's own: a code of no service does not get them.
_OF_THE_CODE = frozenset(
    {
        Situation.NEEDS_AUTHORIZATION,
        Situation.SATISFIED,
        Situation.PENDED,
        Situation.NON_AFFIRMED,
        Situation.EXEMPT,
        Situation.OTHER_MODEL_STATE,
        Situation.INELIGIBLE,
        Situation.ADD_ON_ALONE,
        Situation.MISSING,
        Situation.TECHNICAL,
    }
)


def _modifiers(item: RequestedItem | None) -> tuple[str, ...]:
    told = item.modifiers if item else ()
    return tuple(each for each in told if _MODIFIER.fullmatch(each))
