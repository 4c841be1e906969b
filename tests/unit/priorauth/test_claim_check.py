"""What is said of each line of a claim."""

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from tests.claim_values import (
    DAY,
    ESI,
    FACILITY_NPI,
    HOME,
    HOSPITAL,
    NPI,
    NUMBER,
    OFFICE,
    ON,
    ORDERING_NPI,
    OUTPATIENT,
    SURGERY_CENTER,
    a_claim,
    a_line,
    an_authorization,
    an_item,
)
from tests.unit.priorauth.wiser_requests import CATALOGUE
from wiser_fhir.priorauth.claim import Authorization, Claim, LineAnswer, LineStatus, UnitUse
from wiser_fhir.priorauth.claim_check import check_claim
from wiser_fhir.priorauth.models import (
    CaseStatus,
    ItemStatus,
    Party,
    PartyRole,
    Site,
    SiteKind,
    UtnState,
)
from wiser_fhir.priorauth.registry import ExemptionRecord, InMemoryRegistry, RegistryFile

NOBODY_EXEMPT = InMemoryRegistry()


def said_of(
    claim: Claim, *found: Authorization, registry: InMemoryRegistry = NOBODY_EXEMPT
) -> tuple[LineAnswer, ...]:
    return check_claim(claim, found, CATALOGUE, registry, ON)


def said(claim: Claim, *found: Authorization) -> LineAnswer:
    (answer,) = said_of(claim, *found)
    return answer


def status(claim: Claim, *found: Authorization) -> str:
    return said(claim, *found).status.value


def test_a_line_is_covered_by_a_live_number_that_affirms_it() -> None:
    answer = said(a_claim(), an_authorization())
    assert answer == LineAnswer(
        line=1,
        status=LineStatus.COVERED,
        text="Provisionally affirmed: the number covers this line.",
        utn=NUMBER,
        service=ESI,
        remaining=Decimal(2),
        uses=(UnitUse(NUMBER, 1, Decimal(1)),),
    )


def test_a_service_billed_after_the_numbers_end_is_covered_by_its_own_day() -> None:
    ended = an_authorization(state=UtnState.EXPIRED)
    assert status(
        a_claim(a_line(first_day=date(2026, 8, 31), last_day=date(2026, 8, 31))), ended
    ) == ("covered")


@pytest.mark.parametrize(
    ("line", "found", "expected"),
    [
        ({"utn": None}, {}, "utn-missing"),
        ({"utn": "R12345678901234"}, {}, "utn-malformed"),
        ({"utn": "ZZB00000000002"}, {}, "utn-unknown"),
        ({}, {"case_status": CaseStatus.CANCELLED}, "cancelled"),
        ({}, {"state": UtnState.SUPERSEDED}, "superseded"),
        ({}, {"parties": (Party(PartyRole.RENDERING, npi=FACILITY_NPI),)}, "wrong-provider"),
        ({}, {"parties": ()}, "wrong-provider"),
        ({"code": "64483"}, {}, "wrong-code"),
        ({"first_day": date(2026, 9, 1), "last_day": date(2026, 9, 1)}, {}, "expired"),
        ({"last_day": date(2026, 9, 1)}, {}, "expired"),
        ({"first_day": date(2026, 5, 3)}, {}, "out-of-period"),
        ({"site": HOME}, {}, "wrong-site"),
        ({"site": SURGERY_CENTER}, {}, "wrong-provider"),
        ({"units": Decimal("2.001")}, {}, "units-exceeded"),
        ({"modifiers": ("ET",)}, {}, "emergency"),
        ({"revenue_code": "0450"}, {}, "emergency"),
        ({"site": HOSPITAL}, {}, "professional-claim"),
        ({"site": Site(SiteKind.PLACE_OF_SERVICE, "21")}, {}, "outside-the-model"),
        ({"code": "99213"}, {}, "not-wiser"),
        (
            {"first_day": date(2026, 1, 14), "last_day": date(2026, 1, 14)},
            {},
            "outside-the-model",
        ),
    ],
)
def test_what_is_not_covered_is_told_why(
    line: dict[str, Any], found: dict[str, Any], expected: str
) -> None:
    assert status(a_claim(a_line(**line)), an_authorization(**found)) == expected


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        ({"affirmed": False, "status": ItemStatus.NON_AFFIRMED}, "non-affirmed"),
        ({"affirmed": None, "status": ItemStatus.CANCELLED}, "cancelled"),
        ({"affirmed": None, "status": ItemStatus.PENDED}, "wrong-code"),
        ({"affirmed": None, "status": ItemStatus.NOT_APPLICABLE}, "wrong-code"),
        ({"used": Decimal(2)}, "units-exceeded"),
        ({"used": Decimal(3)}, "units-exceeded"),
        ({"quantity": None, "used": Decimal(1)}, "units-exceeded"),
        ({"quantity": None}, "covered"),
        ({"last_day": date(2026, 5, 19)}, "out-of-period"),
        ({"first_day": date(2026, 5, 21)}, "out-of-period"),
        ({"first_day": None, "last_day": None}, "covered"),
        ({"site": None}, "covered"),
        ({"site": OUTPATIENT}, "wrong-site"),
        ({"site": Site(SiteKind.OTHER, "nowhere")}, "wrong-site"),
    ],
)
def test_what_was_decided_of_the_code_billed_tells(item: dict[str, Any], expected: str) -> None:
    assert status(a_claim(), an_authorization(an_item(**item))) == expected


def test_an_add_on_that_was_not_requested_is_not_covered_by_its_primary() -> None:
    found = an_authorization(an_item("15271"), service="skin-substitutes")
    primary, add_on = said_of(a_claim(a_line("15271"), a_line("15272")), found)
    assert primary.status is LineStatus.COVERED
    assert add_on.status is LineStatus.ADD_ON_NOT_REQUESTED
    assert add_on.text == (
        "15272 is an add-on to 15271, which is all that was requested: the number does not cover"
        " it."
    )


def test_an_add_on_that_was_requested_is_covered() -> None:
    found = an_authorization(an_item("15271"), an_item("15272"), service="skin-substitutes")
    answers = said_of(a_claim(a_line("15271"), a_line("15272")), found)
    assert [answer.status.value for answer in answers] == ["covered", "covered"]


def test_lines_of_one_claim_share_the_units() -> None:
    answers = said_of(a_claim(a_line(), a_line(), a_line()), an_authorization())
    assert [(answer.status.value, answer.remaining) for answer in answers] == [
        ("covered", Decimal(2)),
        ("covered", Decimal(1)),
        ("units-exceeded", Decimal(0)),
    ]
    assert answers[2].text == "1 units are billed and 0 are left of those authorized."


def test_units_are_taken_of_several_items_for_the_same_code_in_their_order() -> None:
    found = an_authorization(
        an_item(used=Decimal("0.5")), an_item(quantity=Decimal(1)), an_item(used=Decimal(2))
    )
    answer = said(a_claim(a_line(units=Decimal("2.5"))), found)
    assert answer.remaining == Decimal("2.5")
    assert answer.uses == (UnitUse(NUMBER, 1, Decimal("1.5")), UnitUse(NUMBER, 2, Decimal(1)))


def test_items_of_other_days_or_sites_lend_no_units() -> None:
    found = an_authorization(
        an_item(quantity=Decimal(1)),
        an_item(last_day=date(2026, 5, 19)),
        an_item(site=HOME),
    )
    answer = said(a_claim(a_line(units=Decimal(2))), found)
    assert (answer.status, answer.remaining) == (LineStatus.UNITS_EXCEEDED, Decimal(1))


def test_a_superseded_number_names_the_newer_one() -> None:
    ended = an_authorization(state=UtnState.SUPERSEDED, newer="ZZB00000000009")
    answer = said(a_claim(), ended)
    assert answer.newer == "ZZB00000000009"
    assert answer.text == (
        "A later decision took the place of this one: use its number, ZZB00000000009."
    )
    waiting = said(a_claim(), an_authorization(state=UtnState.SUPERSEDED))
    assert waiting.newer is None
    assert waiting.text.endswith("use its number, one that is still to come.")


def test_the_number_of_a_line_stands_for_that_line() -> None:
    other = an_authorization(an_item("64483"), number="ZZB00000000002")
    answers = said_of(
        a_claim(a_line(), a_line("64483", utn="ZZB00000000002")), an_authorization(), other
    )
    assert [answer.status.value for answer in answers] == ["covered", "covered"]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "utn-pending"),
        ({"state": UtnState.FAILED}, "utn-pending"),
        ({"service": "skin-substitutes"}, "utn-missing"),
        ({"parties": (Party(PartyRole.RENDERING, npi=FACILITY_NPI),)}, "utn-missing"),
    ],
)
def test_a_decided_case_whose_number_is_to_come_asks_for_patience(
    changes: dict[str, Any], expected: str
) -> None:
    waiting = an_authorization(**{"number": None, "state": UtnState.PENDING, **changes})
    assert status(a_claim(a_line(utn=None)), waiting) == expected


@pytest.mark.parametrize(
    ("role", "site", "expected"),
    [
        (PartyRole.RENDERING, OFFICE, "covered"),
        (PartyRole.REQUESTER, OFFICE, "covered"),
        (PartyRole.FACILITY, OFFICE, "covered"),
        (PartyRole.ORDERING, OFFICE, "covered"),
        (PartyRole.RENDERING, SURGERY_CENTER, "wrong-provider"),
        (PartyRole.ORDERING, SURGERY_CENTER, "wrong-provider"),
        (PartyRole.FACILITY, SURGERY_CENTER, "covered"),
        (PartyRole.REQUESTER, SURGERY_CENTER, "covered"),
        (PartyRole.FACILITY, OUTPATIENT, "covered"),
        (PartyRole.RENDERING, OUTPATIENT, "wrong-provider"),
    ],
)
def test_who_bills_depends_on_the_site(role: PartyRole, site: Site, expected: str) -> None:
    found = an_authorization(an_item(site=site), parties=(Party(role, npi=NPI),))
    assert status(a_claim(a_line(site=site)), found) == expected


def test_who_orders_bills_only_where_nobody_else_performs() -> None:
    claim = a_claim(provider_npi=ORDERING_NPI)
    assert status(claim, an_authorization()) == "wrong-provider"


def test_a_bill_type_and_its_other_spellings_are_one_site() -> None:
    found = an_authorization(
        an_item(site=Site(SiteKind.BILL_TYPE, "13X")), parties=(Party(PartyRole.FACILITY, npi=NPI),)
    )
    assert status(a_claim(a_line(site=Site(SiteKind.BILL_TYPE, "0131"))), found) == "covered"


def test_the_sites_asked_for_are_named() -> None:
    parties = (Party(PartyRole.REQUESTER, npi=NPI),)
    found = an_authorization(an_item(), an_item(site=SURGERY_CENTER), parties=parties)
    answer = said(a_claim(a_line(site=HOME)), found)
    assert answer.text == (
        "The request was for another place of service: ambulatory surgical center, office."
    )
    nowhere = an_authorization(an_item(site=Site(SiteKind.OTHER, "nowhere")))
    assert said(a_claim(), nowhere).text.endswith("none of the model.")


def test_an_associated_code_follows_its_primary_on_the_same_claim() -> None:
    (code, *_) = next(iter(CATALOGUE.versions(ESI))).associated_codes
    _, follows = said_of(a_claim(a_line(), a_line(code, utn=None)), an_authorization())
    assert follows.status is LineStatus.FOLLOWS_PRIMARY
    assert (follows.primary, follows.service) == (1, ESI)
    assert status(a_claim(a_line(code, utn=None))) == "not-wiser"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"state": "NY"}, "outside-the-model"),
        ({"state": "AZ"}, "utn-missing"),
        ({"state": None}, "utn-missing"),
    ],
)
def test_the_state_decides_whether_the_model_is_meant(
    changes: dict[str, Any], expected: str
) -> None:
    assert status(a_claim(a_line(utn=None), **changes)) == expected


def test_skin_substitutes_are_not_reviewed_in_arizona() -> None:
    claim = a_claim(a_line("15271", utn=None), state="AZ")
    assert said(claim).text == "No number is needed: the service is not reviewed in AZ."


def test_an_exempt_provider_needs_no_number() -> None:
    exempt = InMemoryRegistry.of(
        RegistryFile(exemptions=(ExemptionRecord(npi=NPI, service=ESI, first=DAY, last=DAY),))
    )
    (answer,) = said_of(a_claim(a_line(utn=None)), registry=exempt)
    assert answer.status is LineStatus.EXEMPT_PROVIDER
    later = a_line(utn=None, first_day=date(2026, 5, 21), last_day=date(2026, 5, 21))
    (answer,) = said_of(a_claim(later), registry=exempt)
    assert answer.status is LineStatus.UTN_MISSING


@pytest.mark.parametrize(
    ("diagnoses", "expected"),
    [((), "utn-missing"), (("G40.011",), "utn-missing"), (("G47.33",), "not-wiser")],
)
def test_a_closed_diagnosis_list_decides_where_a_diagnosis_is_told(
    diagnoses: tuple[str, ...], expected: str
) -> None:
    assert status(a_claim(a_line("64568", utn=None), diagnoses=diagnoses)) == expected


def test_a_code_of_a_later_day_is_none_of_the_models_yet() -> None:
    early = a_line("C8007", utn=None, first_day=date(2026, 4, 5), last_day=date(2026, 4, 5))
    assert status(a_claim(early)) == "not-wiser"


def test_the_numbers_of_a_claim_are_each_once() -> None:
    claim = a_claim(a_line(), a_line(utn=None), a_line(utn="AAB00000000001"), a_line())
    assert claim.numbers == ("AAB00000000001", NUMBER)
