"""What about the lines of a request no gate dismisses for, and software must not affirm over."""

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest

from tests.bundles import valid_npi
from tests.unit.priorauth.wiser_requests import (
    FACILITY_NPI,
    MBI,
    NPI,
    OFFICE,
    ON,
    OUTPATIENT,
    SURGERY_CENTER,
    facility,
    findings,
    line,
    practitioner,
    request,
    scoped,
)
from wiser_fhir.coverage.requested import CPT, HCPCS, Code
from wiser_fhir.priorauth.models import (
    FindingStatus,
    Party,
    PartyRole,
    RequestedItem,
    Site,
    SiteKind,
)
from wiser_fhir.priorauth.registry import (
    BeneficiaryRecord,
    InMemoryRegistry,
    ProviderRecord,
    RegistryFile,
)
from wiser_fhir.priorauth.scope import ScopeResult

JUDGE = FindingStatus.NEEDS_JUDGEMENT
LAST_DAY = ON + timedelta(days=119)
OTHER_NPI = valid_npi("199999088")


def told(*items: RequestedItem, **changes: Any) -> dict[str, FindingStatus]:
    """The findings about a request for these lines."""
    return findings(request(items=items, **changes))


def texts(*items: RequestedItem, **changes: Any) -> list[str]:
    """What the findings about a request for these lines say."""
    result = scoped(request(items=items, **changes))
    assert isinstance(result, ScopeResult), result
    return [finding.text for finding in result.findings]


def with_codes(*codes: Code) -> RequestedItem:
    """A line that names several codes."""
    item = line("64483")
    return replace(item, service=replace(item.service, codes=codes))


def test_each_doubt_of_the_request_goes_to_a_person() -> None:
    result = scoped(request(doubts=("One thing.", "Another.")))
    assert isinstance(result, ScopeResult)
    found = [(f.criterion, f.status, f.text) for f in result.findings]
    assert found == [("request", JUDGE, "One thing."), ("request", JUDGE, "Another.")]


# Codes


def test_a_primary_with_its_add_on_and_what_follows_raises_none() -> None:
    lines = [line(code, sequence=n) for n, code in enumerate(("64483", "64484", "99152"), 1)]
    assert told(*lines) == {}


@pytest.mark.parametrize("other", [Code(CPT, "27447"), Code(HCPCS, "C1767"), Code(CPT, "22551")])
@pytest.mark.parametrize("first", [True, False])
def test_a_line_with_two_procedure_codes(other: Code, first: bool) -> None:
    ours = Code(CPT, "64483")
    codes = (ours, other) if first else (other, ours)
    assert "Line 1 names more than one procedure code." in texts(with_codes(*codes))


def test_a_local_code_beside_it_and_a_code_said_twice_raise_none() -> None:
    ours = Code(CPT, "64483")
    assert told(with_codes(Code("urn:local", "ESI"), ours, ours)) == {}


def test_several_primaries_with_one_form() -> None:
    lines = (line("64483"), line("64479", sequence=2))
    assert texts(*lines) == ["More than one primary code is asked for with one form."]
    assert told(*lines) == {"lines": JUDGE}


@pytest.mark.parametrize(
    "elements", [{}, {"day": date(2026, 6, 2)}, {"modifiers": ("RT",)}], ids=["same", "day", "side"]
)
def test_the_same_code_on_several_lines(elements: dict[str, Any]) -> None:
    lines = (line("64483", modifiers=("LT",)), line("64483", sequence=2, **elements))
    assert texts(*lines) == ["The same code stands on more than one line."]


def test_a_line_that_is_none_of_wisers_is_not_looked_at() -> None:
    other = [line("99213", sequence=n, day=date(2020, 1, 1)) for n in (2, 3)]
    assert told(line("64483"), *other) == {}


# Days


@pytest.mark.parametrize(
    ("starts", "ends", "says"),
    [
        (ON, None, None),
        (ON, ON, None),
        (LAST_DAY, None, None),
        (ON, LAST_DAY, None),
        (ON - timedelta(days=1), None, "lies before the request"),
        (ON - timedelta(days=1), ON, "lies before the request"),
        (LAST_DAY + timedelta(days=1), None, "beyond the days"),
        (ON, LAST_DAY + timedelta(days=1), "beyond the days"),
        (ON + timedelta(days=2), ON + timedelta(days=1), "beyond the days"),
        (ON, date(2036, 1, 1), "beyond the days"),
    ],
)
def test_the_service_lies_in_the_days_an_affirmation_covers(
    starts: date, ends: date | None, says: str | None
) -> None:
    item = line("64483", day=starts, service_end=ends)
    assert told(item) == ({"gate-date": JUDGE} if says else {})
    assert all(says is not None and says in text for text in texts(item))


def test_each_line_has_its_own_days() -> None:
    lines = (line("64483"), line("64484", sequence=2, day=LAST_DAY + timedelta(days=1)))
    (text,) = texts(*lines)
    assert text.startswith("Line 2:")


def test_a_line_without_a_day_is_only_not_told() -> None:
    undated = line("64483", day=None, service_end=date(2036, 1, 1))
    assert told(undated) == {"gate-date": FindingStatus.UNANSWERED}


# Units


@pytest.mark.parametrize(
    ("units", "usual"),
    [
        (None, True),
        ("1", True),
        ("1.0", True),
        ("99", True),
        ("100", False),
        ("0", False),
        ("-5", False),
        ("0.5", False),
        ("1E+300", False),
        ("Infinity", False),
    ],
)
def test_units(units: str | None, usual: bool) -> None:
    item = line("64483")
    quantity = None if units is None else Decimal(units)
    asked = replace(item, service=replace(item.service, quantity=quantity))
    assert told(asked) == ({} if usual else {"lines": JUDGE})


# Places


@pytest.mark.parametrize("other", [OUTPATIENT, SURGERY_CENTER, Site(SiteKind.OTHER, "x"), None])
@pytest.mark.parametrize("office_first", [True, False])
def test_lines_in_different_places(other: Site | None, office_first: bool) -> None:
    sites = (OFFICE, other) if office_first else (other, OFFICE)
    lines = (line("64483", site=sites[0]), line("64484", sequence=2, site=sites[1]))
    said = texts(*lines, parties=(practitioner(), facility()))
    assert "The lines name different places of service." in said


def test_two_names_of_one_place_are_one() -> None:
    lines = (line("64483", site=OUTPATIENT), line("64484", sequence=2, site=_hospital()))
    assert told(*lines, parties=(practitioner(), facility())) == {}


def _hospital() -> Site:
    return Site(SiteKind.BILL_TYPE, "13X")


# People


def _registry(*ineligible: str) -> InMemoryRegistry:
    numbers = (NPI, FACILITY_NPI, OTHER_NPI)
    return InMemoryRegistry.of(
        RegistryFile(
            beneficiaries=(BeneficiaryRecord(mbi=MBI),),
            providers=tuple(
                ProviderRecord(npi=n, status="ineligible" if n in ineligible else "enrolled")
                for n in numbers
            ),
        )
    )


@pytest.mark.parametrize("role", PartyRole)
def test_whoever_takes_part_may_bill(role: PartyRole) -> None:
    """Also a second clinician behind the first, and a facility in an office."""
    submission = request(parties=(practitioner(), Party(role, npi=OTHER_NPI)))
    assert findings(submission, registry=_registry()) == {}
    assert findings(submission, registry=_registry(OTHER_NPI)) == {"gate-enrolment": JUDGE}
    result = scoped(submission, registry=_registry(OTHER_NPI))
    assert isinstance(result, ScopeResult)
    assert result.findings[0].text == f"The {role.value} provider may not bill."


def test_who_has_no_number_cannot_be_looked_up() -> None:
    submission = request(parties=(practitioner(), Party(PartyRole.ORDERING)))
    assert findings(submission, registry=_registry()) == {}
