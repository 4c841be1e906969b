"""What an order comes to before anybody sends a request: every situation, and what is lacking."""

from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any, get_args

import pytest

from tests.unit.coverage.made_up import make_folder
from tests.unit.priorauth.foreseeing import foreseen
from tests.unit.priorauth.wiser_requests import (
    CATALOGUE,
    EVERYWHERE,
    FACILITY_NPI,
    MBI,
    NPI,
    ON,
    OUTPATIENT,
    REGISTRY,
    SERVICE,
    SURGERY_CENTER,
    facility,
    line,
    practitioner,
    request,
    scoped,
)
from wiser_fhir.coverage.catalogue import Catalogue
from wiser_fhir.coverage.process import GateName
from wiser_fhir.coverage.requested import CPT, HCPCS, Code, RequestedService
from wiser_fhir.priorauth.foresee import (
    TAKEN,
    Foreseen,
    Missing,
    Situation,
    after_failed_fetch,
    foresee,
)
from wiser_fhir.priorauth.models import (
    CoverageKind,
    ItemRole,
    Party,
    PartyRole,
    RequestedItem,
    Site,
    SiteKind,
)
from wiser_fhir.priorauth.outlook import SITUATIONS
from wiser_fhir.priorauth.registry import (
    BeneficiaryRecord,
    Defaults,
    ExemptionRecord,
    InMemoryRegistry,
    ProviderRecord,
    RegistryFile,
    Span,
)
from wiser_fhir.priorauth.rules import is_npi

SNOMED = "http://snomed.info/sct"
LOINC = "http://loinc.org"
RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
ELSEWHERE = EVERYWHERE - {"TX"}
NOWHERE = Site(SiteKind.PLACE_OF_SERVICE, "21")


def requester(**changes: Any) -> Party:
    """Who orders, and may be somebody else than who performs."""
    return replace(practitioner(), role=PartyRole.REQUESTER, **changes)


def registry(**content: Any) -> InMemoryRegistry:
    """A registry that knows everybody, and these records."""
    everybody = Defaults(beneficiary="known", provider="enrolled")
    return InMemoryRegistry.of(RegistryFile(defaults=everybody, **content))


def exempting(*npis: str) -> InMemoryRegistry:
    """A registry in which these providers are exempt."""
    return registry(exemptions=tuple(ExemptionRecord(npi=npi, service=SERVICE) for npi in npis))


def naming(*codes: str, system: str = CPT, **options: Any) -> RequestedItem:
    """A line whose one concept has several codings."""
    item = line(codes[0], **options)
    named = tuple(Code(system, code) for code in codes)
    return replace(item, service=replace(item.service, codes=named))


def test_a_whole_order_needs_authorization() -> None:
    found = foreseen()
    rules = CATALOGUE.service(SERVICE, ON)
    assert found == Foreseen(
        situation=Situation.NEEDS_AUTHORIZATION,
        code=Code(CPT, "64483"),
        role=ItemRole.PRIMARY,
        rules=rules,
        missing=(),
        detail="",
        standing=None,
        state="NJ",
    )


DIED = registry(beneficiaries=(BeneficiaryRecord(mbi=MBI, deceased=True),))
NOBODY = registry(beneficiaries=(BeneficiaryRecord(mbi=MBI, nobody=True),))
IN_A_PLAN = registry(beneficiaries=(BeneficiaryRecord(mbi=MBI, medicare_advantage=(Span(),)),))
INELIGIBLE = registry(providers=(ProviderRecord(npi=NPI, status="ineligible"),))
CERTAIN: dict[str, tuple[Situation, dict[str, Any]]] = {
    "exempt": (Situation.EXEMPT, {"registry": exempting(NPI)}),
    "another code": (Situation.NOT_WISER, {"items": (line("99213"),)}),
    "a test": (Situation.NOT_WISER, {"items": (line("2085-9", system=LOINC),)}),
    "a drug": (Situation.NOT_WISER, {"items": (line("161", system=RXNORM),)}),
    "a thing": (
        Situation.NOT_WISER,
        {"items": (line("1", system=SNOMED),), "of_procedure": False},
    ),
    "a code before its day": (
        Situation.NOT_WISER,
        {"items": (line("C8007", day=date(2026, 4, 5), system=HCPCS),)},
    ),
    "another participant": (
        Situation.OTHER_MODEL_STATE,
        {"items": (line("64483", state="TX"),), "served": ELSEWHERE},
    ),
    "a state outside": (Situation.STATE_OUTSIDE, {"items": (line("64483", state="CA"),)}),
    "a state without this service": (
        Situation.STATE_OUTSIDE,
        {"items": (line("15271", state="WA"),), "diagnoses": ("E11.621",)},
    ),
    "a day outside": (Situation.DATE_OUTSIDE, {"items": (line("64483", day=date(2026, 1, 14)),)}),
    "a place outside": (Situation.SITE_OUTSIDE, {"items": (line("64483", site=NOWHERE),)}),
    "a diagnosis outside": (Situation.DIAGNOSIS_OUTSIDE, {"items": (line("64568"),)}),
    "an emergency": (Situation.EXCLUDED, {"items": (line("64483", modifiers=("ET",)),)}),
    "an inpatient": (Situation.EXCLUDED, {"excluded": True}),
    "railroad": (Situation.RAILROAD, {"coverage": CoverageKind.RAILROAD}),
    "a plan": (Situation.MEDICARE_ADVANTAGE, {"coverage": CoverageKind.MEDICARE_ADVANTAGE}),
    "medicaid": (Situation.MEDICARE_ADVANTAGE, {"coverage": CoverageKind.MEDICAID}),
    "a plan by the records": (Situation.MEDICARE_ADVANTAGE, {"registry": IN_A_PLAN}),
    "delayed": (Situation.DELAYED, {"items": (line("61867"),)}),
    "nobody's number": (Situation.MEMBER_NOT_FOUND, {"registry": NOBODY}),
    "no number": (
        Situation.MEMBER_NOT_FOUND,
        {"beneficiary": replace(request().beneficiary, mbi=None)},
    ),
    "no Medicare number": (
        Situation.MEMBER_NOT_FOUND,
        {"beneficiary": replace(request().beneficiary, mbi="123")},
    ),
    "deceased": (Situation.MEMBER_ENDED, {"registry": DIED}),
    "coverage ended": (Situation.COVERAGE_ENDED, {"coverage_ended": True}),
    "ineligible": (Situation.INELIGIBLE, {"registry": INELIGIBLE}),
}


@pytest.mark.parametrize("name", CERTAIN)
def test_what_is_certain(name: str) -> None:
    situation, changes = CERTAIN[name]
    found = foreseen(**changes)
    assert found.situation is situation
    assert found.missing == ()
    assert found.standing is None
    assert found.situation not in TAKEN
    assert found.detail


SILENT = (line("64483", site=None, day=None, state=None),)


@pytest.mark.parametrize("name", sorted(set(CERTAIN) - {"exempt", "ineligible"}))
def test_a_certain_no_wins_over_whatever_is_missing(name: str) -> None:
    situation, changes = CERTAIN[name]
    told = changes.get("items", (line("64483"),))[0]
    keeps = {
        Situation.DATE_OUTSIDE: {"site": None, "state": None},
        Situation.SITE_OUTSIDE: {"day": None, "state": None},
        Situation.STATE_OUTSIDE: {"day": None, "site": None},
        Situation.OTHER_MODEL_STATE: {"day": None, "site": None},
    }.get(situation, {"site": None, "state": None})
    service = replace(
        told.service,
        date_of_service=None if "day" in keeps else told.service.date_of_service,
        state=None if "state" in keeps else told.service.state,
    )
    bare = replace(told, service=service, site=None if "site" in keeps else told.site)
    found = foreseen(**(changes | {"items": (bare,), "parties": ()}))
    assert found.situation is situation


def test_the_records_tell_that_the_performer_is_exempt_with_the_date_unknown() -> None:
    bare = (line("64483", day=None, state=None),)
    assert foreseen(items=bare, registry=exempting(NPI)).situation is Situation.EXEMPT
    assert foreseen(items=bare, registry=INELIGIBLE).situation is Situation.INELIGIBLE


def test_whose_the_state_is_travels_with_the_answer() -> None:
    found = foreseen(items=(line("64483", state="TX"),), served=ELSEWHERE)
    right = CATALOGUE.participants[CATALOGUE.states["TX"].participant]
    assert (found.state, right.phone in found.detail) == ("TX", True)


@pytest.mark.parametrize(
    ("changes", "situation"),
    [
        ({"items": (line("99213", state="TX"),)}, Situation.NOT_WISER),
        ({"items": (line("64483", state="TX", site=NOWHERE),)}, Situation.SITE_OUTSIDE),
        ({"items": (line("64483", state="TX"),), "excluded": True}, Situation.EXCLUDED),
        ({"items": (line("64483", state="TX"),), "registry": exempting(NPI)}, Situation.EXEMPT),
    ],
)
def test_what_nobody_reviews_is_not_sent_to_another_participant(
    changes: dict[str, Any], situation: Situation
) -> None:
    assert foreseen(served=ELSEWHERE, **changes).situation is situation


@pytest.mark.parametrize("name", ["nobody's number", "deceased", "a plan", "coverage ended"])
def test_of_no_member_nothing_is_covered_whatever_the_code(name: str) -> None:
    situation, changes = CERTAIN[name]
    assert foreseen(**{**changes, "items": (line("99213"),)}).situation is situation


def test_a_registry_that_knows_nothing_changes_nothing() -> None:
    assert foreseen(registry=InMemoryRegistry()).situation is Situation.NEEDS_AUTHORIZATION


LACKS: dict[str, tuple[tuple[Missing, ...], dict[str, Any]]] = {
    "nobody performs": ((Missing.PERFORMER,), {"parties": ()}),
    "only the requester": ((Missing.PERFORMER,), {"parties": (requester(),)}),
    "a performer without NPI": ((Missing.PERFORMER,), {"parties": (practitioner(npi=None),)}),
    "a performer whose NPI is none": (
        (Missing.PERFORMER,),
        {"parties": (practitioner(npi="1234567890"),)},
    ),
    "an empty NPI": ((Missing.PERFORMER,), {"parties": (practitioner(npi=""),)}),
    "a requester whose NPI is none": (
        (Missing.PERFORMER,),
        {"parties": (practitioner(), requester(npi="1234567890"))},
    ),
    "the facility that bills": (
        (Missing.PERFORMER,),
        {"items": (line("64483", site=SURGERY_CENTER),)},
    ),
    "an exempt requester": (
        (Missing.PERFORMER,),
        {"parties": (requester(),), "registry": exempting(NPI)},
    ),
    "an ineligible requester": (
        (Missing.PERFORMER,),
        {
            "parties": (requester(), facility()),
            "items": (line("64483", site=SURGERY_CENTER),),
            "registry": INELIGIBLE,
        },
    ),
    "no site": ((Missing.SITE,), {"items": (line("64483", site=None),)}),
    "another code for the site": (
        (Missing.SITE,),
        {"items": (line("64483", site=Site(SiteKind.OTHER, "x")),)},
    ),
    "no type of bill": (
        (Missing.SITE,),
        {"items": (line("64483", site=Site(SiteKind.BILL_TYPE, "1")),)},
    ),
    "whose exemption counts": (
        (Missing.SITE,),
        {"items": (line("64483", site=None),), "registry": exempting(NPI)},
    ),
    "no day": ((Missing.DATE,), {"items": (line("64483", day=None),)}),
    "no state": ((Missing.STATE,), {"items": (line("64483", state=None),)}),
    "no diagnosis where a list is closed": (
        (Missing.DIAGNOSIS,),
        {"items": (line("64568"),), "diagnoses": ()},
    ),
    "nothing told": (
        (Missing.PERFORMER, Missing.SITE, Missing.DATE, Missing.STATE),
        {"items": SILENT, "parties": ()},
    ),
    "no code": (
        (Missing.CODE,),
        {"items": (RequestedItem(1, RequestedService((), None, None, None)),)},
    ),
}


@pytest.mark.parametrize("name", LACKS)
def test_what_is_missing(name: str) -> None:
    missing, changes = LACKS[name]
    found = foreseen(**changes)
    assert (found.situation, found.missing) == (Situation.MISSING, missing)
    assert found.detail.startswith("Not told: ")


def test_what_matters_to_a_request_only_is_not_missing() -> None:
    bare = replace(request().beneficiary, birth_date=None)
    parties = (practitioner(ptan=None), facility(ccn=None, ptan=None))
    found = foreseen(forms=(), evidence=0, diagnoses=(), beneficiary=bare, parties=parties)
    assert found.situation is Situation.NEEDS_AUTHORIZATION


@pytest.mark.parametrize("site", [SURGERY_CENTER, OUTPATIENT])
def test_where_a_facility_bills_its_exemption_counts(site: Site) -> None:
    items, parties = (line("64483", site=site),), (practitioner(), facility())
    asked: dict[str, Any] = {"items": items, "parties": parties}
    assert foreseen(**asked).situation is Situation.NEEDS_AUTHORIZATION
    by_surgeon = foreseen(**asked, registry=exempting(NPI))
    assert by_surgeon.situation is Situation.NEEDS_AUTHORIZATION
    assert foreseen(**asked, registry=exempting(FACILITY_NPI)).situation is Situation.EXEMPT


def test_a_facility_alone_is_who_performs_where_it_bills() -> None:
    found = foreseen(items=(line("64483", site=SURGERY_CENTER),), parties=(facility(),))
    assert found.situation is Situation.NEEDS_AUTHORIZATION


# Add-ons

PAIR = (line("64484"), line("64483"))


def test_an_add_on_beside_its_primary_is_judged_with_it() -> None:
    found = foreseen(items=PAIR)
    assert found.situation is Situation.NEEDS_AUTHORIZATION
    assert (found.role, found.code) == (ItemRole.ADD_ON, Code(CPT, "64484"))


def test_an_add_on_takes_place_where_and_when_its_primary_does() -> None:
    bare = line("64484", day=None, state=None, site=None)
    found = foreseen(items=(bare, line("64483")))
    assert (found.situation, found.state) == (Situation.NEEDS_AUTHORIZATION, "NJ")
    outside = foreseen(items=(bare, line("64483", site=NOWHERE)))
    assert outside.situation is Situation.SITE_OUTSIDE


@pytest.mark.parametrize(
    "beside",
    [
        (),
        (line("64479"),),
        (line("64483", system=SNOMED),),
        (line("99213"), line("15271")),
    ],
)
def test_an_add_on_alone(beside: tuple[RequestedItem, ...]) -> None:
    found = foreseen(items=(line("64484", site=None), *beside))
    assert found.situation is Situation.ADD_ON_ALONE
    assert found.missing == (Missing.SITE, Missing.PRIMARY)


def test_an_add_on_s_primary_with_a_place_that_is_none_lends_it_nothing() -> None:
    odd = line("64483", site=Site(SiteKind.BILL_TYPE, "1"))
    found = foreseen(items=(line("64484", site=None), odd))
    assert (found.situation, found.missing) == (Situation.MISSING, (Missing.SITE,))


def test_a_primary_does_not_care_what_is_ordered_beside_it() -> None:
    for beside in (line("29877", state="CA"), line("99213"), line("64484", state=None)):
        assert foreseen(items=(line("64483"), beside)) == foreseen()


def test_a_code_that_follows_needs_nothing_of_its_own() -> None:
    found = foreseen(items=(line("99152"), line("64483")))
    assert (found.situation, found.role) == (Situation.NOT_WISER, ItemRole.ASSOCIATED)
    assert "Follows the primary service" in found.detail
    assert foreseen(items=(line("99152"),)).role is ItemRole.NOT_WISER


def test_a_code_of_the_model_does_not_become_one_that_follows() -> None:
    """64568 goes with 64582 where it is not for epilepsy: without a diagnosis nobody can tell."""
    found = foreseen(items=(line("64568"), line("64582")), diagnoses=())
    assert (found.situation, found.missing) == (Situation.MISSING, (Missing.DIAGNOSIS,))


# Codes that nobody can read as a procedure

UNREADABLE: dict[str, tuple[Code, ...]] = {
    "no system": (Code("", "64483"),),
    "too short": (Code(CPT, "6448"),),
    "words": (Code(CPT, "epidural"),),
    "letters": (Code(HCPCS, "ABCDE"),),
    "small letters": (Code(HCPCS, "c8007"),),
    "a system of one's own": (Code("urn:oid:1.2.3", "ESI"),),
    "a clinical code": (Code(SNOMED, "1"),),
    "several": (Code(SNOMED, "1"), Code(CPT, "6448")),
    "one that follows": (Code("", "99152"),),
    "a test without its code": (Code(LOINC, ""),),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_a_code_that_nobody_can_read_may_be_the_model_s(name: str) -> None:
    item = line("64483")
    asked = replace(item, service=replace(item.service, codes=UNREADABLE[name]))
    found = foreseen(items=(asked, line("64483")))
    assert (found.situation, found.missing) == (Situation.MISSING, (Missing.CODE,))
    of_a_thing = foreseen(items=(asked,), of_procedure=False)
    assert of_a_thing.situation is Situation.NOT_WISER


@pytest.mark.parametrize(
    ("codes", "situation"),
    [
        ((Code(SNOMED, "1"), Code(CPT, "99213")), Situation.NOT_WISER),
        ((Code(CPT, "6448"), Code(CPT, "64483")), Situation.NEEDS_AUTHORIZATION),
        ((Code("", "64484"), Code(HCPCS, "64483")), Situation.NEEDS_AUTHORIZATION),
        ((Code(CPT, "6448"), Code(LOINC, "2085-9")), Situation.NOT_WISER),
    ],
)
def test_one_code_that_can_be_read_decides(codes: tuple[Code, ...], situation: Situation) -> None:
    item = line("64483")
    asked = replace(item, service=replace(item.service, codes=codes))
    assert foreseen(items=(asked,)).situation is situation


@pytest.mark.parametrize(
    ("changes", "situation"),
    [
        ({"excluded": True}, Situation.EXCLUDED),
        ({"items": (line("1", system=SNOMED, state="CA"),)}, Situation.STATE_OUTSIDE),
        ({"items": (line("1", system=SNOMED, site=NOWHERE),)}, Situation.SITE_OUTSIDE),
        ({"items": (line("1", system=SNOMED, day=date(2026, 1, 14)),)}, Situation.DATE_OUTSIDE),
        ({"coverage": CoverageKind.RAILROAD}, Situation.RAILROAD),
    ],
)
def test_what_is_certain_whatever_the_code(changes: dict[str, Any], situation: Situation) -> None:
    asked = {"items": (line("1", system=SNOMED),)} | changes
    assert foreseen(**asked).situation is situation


def test_another_participant_is_not_named_for_a_code_nobody_can_read() -> None:
    found = foreseen(items=(line("1", system=SNOMED, state="TX"),), served=ELSEWHERE)
    assert (found.situation, found.missing) == (Situation.MISSING, (Missing.CODE,))


def test_a_thing_without_any_code_lacks_it() -> None:
    bare = RequestedItem(1, RequestedService((), None, None, None))
    found = foreseen(items=(bare,), of_procedure=False)
    assert (found.situation, found.missing) == (Situation.MISSING, (Missing.CODE,))


# Several who perform or bill

SECOND, THIRD = "1999000015", "1999000023"
BOTH = (practitioner(), practitioner(npi=SECOND))


@pytest.mark.parametrize(
    ("parties", "records", "situation", "missing"),
    [
        (BOTH, exempting(), Situation.NEEDS_AUTHORIZATION, ()),
        (BOTH, exempting(NPI, SECOND), Situation.EXEMPT, ()),
        (BOTH, exempting(NPI), Situation.MISSING, (Missing.PERFORMER,)),
        (BOTH, exempting(SECOND), Situation.MISSING, (Missing.PERFORMER,)),
        ((BOTH[0], BOTH[0]), exempting(NPI), Situation.EXEMPT, ()),
        ((BOTH[0], practitioner(npi=None)), exempting(NPI), Situation.EXEMPT, ()),
        ((practitioner(npi=None), BOTH[0]), exempting(), Situation.MISSING, (Missing.PERFORMER,)),
        (
            BOTH,
            registry(providers=(ProviderRecord(npi=SECOND, status="ineligible"),)),
            Situation.MISSING,
            (Missing.PERFORMER,),
        ),
    ],
)
def test_several_performers_are_alternatives(
    parties: tuple[Party, ...],
    records: InMemoryRegistry,
    situation: Situation,
    missing: tuple[Missing, ...],
) -> None:
    found = foreseen(parties=parties, registry=records)
    assert (found.situation, found.missing) == (situation, missing)


def test_so_are_several_facilities_where_they_bill() -> None:
    parties = (practitioner(), facility(), facility(npi=THIRD))
    asked: dict[str, Any] = {"items": (line("64483", site=SURGERY_CENTER),), "parties": parties}
    found = foreseen(**asked, registry=exempting(FACILITY_NPI))
    assert (found.situation, found.missing) == (Situation.MISSING, (Missing.PERFORMER,))
    both = foreseen(**asked, registry=exempting(FACILITY_NPI, THIRD))
    assert both.situation is Situation.EXEMPT


def test_what_holds_whoever_performs_is_said() -> None:
    texan: dict[str, Any] = {"items": (line("64483", state="TX"),), "parties": BOTH}
    told = exempting(NPI)
    assert foreseen(**texan, registry=told, excluded=True).situation is Situation.EXCLUDED
    elsewhere = foreseen(**texan, registry=told, served=ELSEWHERE)
    assert elsewhere.situation is Situation.OTHER_MODEL_STATE


def test_an_inpatient_s_is_left_out_also_where_those_who_may_perform_differ() -> None:
    barred = {SECOND: ProviderRecord(npi=SECOND, status="ineligible")}
    told = replace(exempting(NPI), providers=barred)
    assert foreseen(parties=BOTH, registry=told, excluded=True).situation is Situation.EXCLUDED
    assert foreseen(parties=BOTH, registry=told).situation is Situation.MISSING


def test_of_a_crowd_nobody_is_known() -> None:
    numbers = [npi for n in range(1000, 1400) if is_npi(npi := f"199900{n}")][:21]
    crowd = tuple(practitioner(npi=npi) for npi in numbers)
    everybody = exempting(*numbers)
    assert foreseen(parties=crowd[:20], registry=everybody).situation is Situation.EXEMPT
    found = foreseen(parties=crowd, registry=everybody)
    assert (found.situation, found.missing) == (Situation.MISSING, (Missing.PERFORMER,))
    other = foreseen(parties=crowd, registry=everybody, items=(line("99213"),))
    assert other.situation is Situation.NOT_WISER


# Several codings


@pytest.mark.parametrize(
    ("codes", "situation", "missing"),
    [
        (("64483", "64483"), Situation.NEEDS_AUTHORIZATION, ()),
        (("62321", "62323"), Situation.NEEDS_AUTHORIZATION, ()),
        (("64483", "99152"), Situation.NEEDS_AUTHORIZATION, ()),
        (("99213", "99214"), Situation.NOT_WISER, ()),
        (("99213", "61867"), Situation.DELAYED, ()),
        (("64483", "99213"), Situation.MISSING, (Missing.CODE,)),
        (("64483", "29877"), Situation.MISSING, (Missing.CODE,)),
        (("64483", "64484"), Situation.NEEDS_AUTHORIZATION, ()),
        (("64484", "64479"), Situation.MISSING, (Missing.CODE, Missing.PRIMARY)),
        (("64483", "61867"), Situation.MISSING, (Missing.CODE,)),
    ],
)
def test_an_order_that_may_mean_several_codes(
    codes: tuple[str, ...], situation: Situation, missing: tuple[Missing, ...]
) -> None:
    for order in (codes, codes[::-1]):
        found = foreseen(items=(naming(*order),))
        assert (found.situation, found.missing) == (situation, missing)


@pytest.mark.parametrize("codes", [("64568", "64483"), ("64483", "64568"), ("99213", "64483")])
def test_where_one_code_would_be_another_participant_s_that_one_is_to_be_asked(
    codes: tuple[str, ...],
) -> None:
    found = foreseen(items=(naming(*codes, state="TX"),), served=ELSEWHERE)
    assert found.situation is Situation.OTHER_MODEL_STATE


def test_the_first_coding_is_the_one_named() -> None:
    assert foreseen(items=(naming("62323", "62321"),)).code == Code(CPT, "62323")
    assert foreseen(items=(naming("61867", "99213"),)).rules is not None


def test_codes_that_lack_the_same_are_one_answer() -> None:
    found = foreseen(items=(naming("62321", "62323", day=None),))
    assert (found.situation, found.missing) == (Situation.MISSING, (Missing.DATE,))
    assert found.detail == "Not told: the date of service."


def test_a_clinical_code_beside_a_procedure_code_says_nothing() -> None:
    item = line("64483")
    both = (Code(SNOMED, "1"), *item.service.codes)
    asked = replace(item, service=replace(item.service, codes=both))
    assert foreseen(items=(asked,)) == foreseen()


# The gates themselves


def test_every_gate_that_can_dismiss_has_its_situation() -> None:
    assert {*SITUATIONS, "billing", "resubmission"} == set(get_args(GateName))


def test_gates_that_a_catalogue_leaves_out_are_not_asked(tmp_path: Path) -> None:
    folder = make_folder(tmp_path)
    path = folder / "process.toml"
    text = path.read_text(encoding="utf-8")
    start, end = text.index("gates = ["), text.index("]", text.index("gates = ["))
    path.write_text(f'{text[:start]}gates = ["site"{text[end:]}', encoding="utf-8")
    nobody = replace(request().beneficiary, mbi=None)
    asked = request(items=(line("99990", state="CA"),), beneficiary=nobody)
    options: dict[str, Any] = {
        "catalogue": Catalogue.load(folder),
        "registry": REGISTRY,
        "served_states": EVERYWHERE,
        "on": ON,
    }
    assert foresee(asked, (), **options).situation is Situation.NEEDS_AUTHORIZATION
    assert foresee(request(), (), **options).situation is Situation.NOT_WISER


def test_a_dismissal_names_its_gate() -> None:
    result = scoped(request(items=(line("64483", state="CA"),)))
    assert getattr(result, "gate", None) == "state"


# What could not be fetched


@pytest.mark.parametrize(
    ("changes", "situation"),
    [
        ({"parties": ()}, Situation.TECHNICAL),
        ({"registry": NOBODY}, Situation.TECHNICAL),
        ({"items": (line("99213"),)}, Situation.NOT_WISER),
        ({}, Situation.NEEDS_AUTHORIZATION),
    ],
)
def test_what_hangs_on_a_fetch_that_failed(changes: dict[str, Any], situation: Situation) -> None:
    found = after_failed_fetch(foreseen(**changes))
    assert (found.situation, found.missing) == (situation, ())


def test_nothing_is_kept_from_one_order_to_the_next() -> None:
    asked = request(items=PAIR)
    options: dict[str, Any] = {
        "catalogue": CATALOGUE,
        "registry": REGISTRY,
        "served_states": EVERYWHERE,
        "on": ON,
    }
    assert foresee(asked, (), **options) == foresee(asked, (), **options)
    assert asked == request(items=PAIR)
