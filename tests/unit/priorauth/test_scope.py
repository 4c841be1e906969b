"""The gates that look at the service: what is dismissed and why, and what is only not told."""

from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from tests.unit.coverage.made_up import make_folder
from tests.unit.priorauth.wiser_requests import (
    CATALOGUE,
    EVERYWHERE,
    FIRST_INJECTION,
    ON,
    REGISTRY,
    SERVICE,
    dismissed,
    facility,
    findings,
    form,
    line,
    practitioner,
    request,
    scoped,
)
from wiser_fhir.coverage.catalogue import Catalogue
from wiser_fhir.coverage.process import GateName
from wiser_fhir.coverage.requested import CPT, HCPCS
from wiser_fhir.priorauth.items import classify
from wiser_fhir.priorauth.models import (
    Answer,
    CoverageKind,
    Dismissal,
    DismissalReason,
    FindingStatus,
    ItemRole,
    Origin,
    RequestedItem,
    Site,
    SiteKind,
    Submission,
)
from wiser_fhir.priorauth.scope import GATES, ScopeResult, duplicate_of
from wiser_fhir.priorauth.visit import Visit

NOT_WISER = DismissalReason.NON_WISER_SERVICE
BILLING = DismissalReason.INVALID_BILLING_INFORMATION


def test_a_whole_request_passes_without_a_finding() -> None:
    result = scoped(request())
    assert isinstance(result, ScopeResult)
    assert result.rules.slug == SERVICE
    assert [entry.role for entry in result.items] == [ItemRole.PRIMARY]
    assert result.findings == ()


@pytest.mark.parametrize("state", ["AZ", "NJ", "OH", "OK", "TX", "WA"])
def test_another_wiser_state_is_another_participants(state: str) -> None:
    submission = request(items=(line("64483", state=state),))
    result = dismissed(submission, served=EVERYWHERE - {state})
    place = CATALOGUE.states[state]
    right, mac = CATALOGUE.participants[place.participant], CATALOGUE.macs[place.mac]
    assert result.reason is DismissalReason.WRONG_PARTICIPANT_OR_MAC
    for contact in (right.name, right.phone, right.email, right.portal, mac.name, mac.mail):
        assert contact in result.detail
    assert (right.fax or "fax 202") in result.detail or right.fax is None


@pytest.mark.parametrize(
    ("day", "in_scope"),
    [
        (date(2026, 1, 14), False),
        (date(2026, 1, 15), True),
        (date(2031, 12, 31), True),
        (date(2032, 1, 1), False),
    ],
)
def test_the_date_of_service_lies_in_the_models_years(day: date, in_scope: bool) -> None:
    submission = request(items=(line("64483", day=day),))
    assert isinstance(scoped(submission), ScopeResult) is in_scope
    if not in_scope:
        assert dismissed(submission).reason is NOT_WISER
        assert "2026-01-15 to 2031-12-31" in dismissed(submission).detail


def at(kind: SiteKind, code: str) -> Submission:
    """A request with a site, and a facility to go with it."""
    site = Site(kind, code)
    return request(items=(line("64483", site=site),), parties=(practitioner(), facility()))


@pytest.mark.parametrize("code", ["11", "12", "19", "22", "24"])
def test_places_of_the_model(code: str) -> None:
    assert findings(at(SiteKind.PLACE_OF_SERVICE, code)) == {}


@pytest.mark.parametrize(
    ("kind", "code", "reason"),
    [
        (SiteKind.PLACE_OF_SERVICE, "21", NOT_WISER),
        (SiteKind.BILL_TYPE, "111", NOT_WISER),
        (SiteKind.BILL_TYPE, "85X", NOT_WISER),
        (SiteKind.BILL_TYPE, "hospital", BILLING),
    ],
)
def test_other_places(kind: SiteKind, code: str, reason: DismissalReason) -> None:
    assert dismissed(at(kind, code)).reason is reason


def test_a_request_without_a_code_of_the_model() -> None:
    result = dismissed(request(items=(line("99213"),)))
    assert result.reason is NOT_WISER
    assert result.detail == "No line carries a code of the model."


def test_a_code_close_to_the_model_is_explained() -> None:
    result = dismissed(request(items=(line("63650"),)))
    assert "63650: Percutaneous lead placement is under the CMS hospital" in result.detail


def test_a_code_before_its_day_is_explained() -> None:
    before = line("C8007", day=date(2026, 4, 5), system=HCPCS)
    assert (
        "C8007 belongs to it for services from 2026-04-06."
        in dismissed(request(items=(before,))).detail
    )
    assert findings(request(items=(replace(before, service=line("C8007").service),))) == {}


def test_a_code_after_its_last_day_is_explained(tmp_path: Path) -> None:
    make_folder(tmp_path)
    path = tmp_path / "services" / "made-up" / "2026-01-15.toml"
    ended = path.read_text(encoding="utf-8").replace(
        'role   = "primary"', 'role   = "primary"\neffective_until = 2026-03-31'
    )
    path.write_text(ended, encoding="utf-8")
    submission = request(items=(line("99990"),))
    result = dismissed(submission, catalogue=Catalogue.load(tmp_path))
    assert "99990 belongs to it for services from its first day to 2026-03-31." in result.detail


def test_two_services_are_to_be_sent_apart() -> None:
    lines = (line("64483"), line("29877", sequence=2), line("99213", sequence=3))
    result = dismissed(request(items=lines))
    assert result.reason is NOT_WISER
    assert "Epidural steroid injections for pain management (lines 1)" in result.detail
    assert "osteoarthritic knee (lines 2)" in result.detail


def test_a_request_before_the_model_takes_any() -> None:
    submission = request(items=(line("64483", day=date(2026, 1, 20)),))
    assert dismissed(submission, on=date(2026, 1, 4)).reason is NOT_WISER
    assert "form" not in findings(submission, on=date(2026, 1, 5))


@pytest.mark.parametrize(
    ("code", "diagnoses", "passes"),
    [
        ("64581", ("N39.41",), True),
        ("64581", ("R15.9", "N3941"), True),
        ("64581", ("R15.9",), False),
        ("64568", ("G47.33",), False),
        ("15271", ("L97.111",), False),
        ("64483", ("anything",), True),
    ],
)
def test_a_closed_diagnosis_list(code: str, diagnoses: tuple[str, ...], passes: bool) -> None:
    submission = request(items=(line(code),), diagnoses=diagnoses, forms=())
    if passes:
        assert findings(submission) == {}
    else:
        assert dismissed(submission).reason is NOT_WISER
        assert "Appendix B" in dismissed(submission).detail


@pytest.mark.parametrize("code", ["64483", "64581"])
def test_no_diagnosis_is_only_not_told(code: str) -> None:
    submission = request(items=(line(code),), diagnoses=(), forms=())
    assert findings(submission) == {"gate-diagnosis": FindingStatus.UNANSWERED}


def test_a_state_that_is_none_of_the_models() -> None:
    result = dismissed(request(items=(line("64483", state="CA"),)))
    assert result.reason is NOT_WISER
    assert "delivered in CA" in result.detail


@pytest.mark.parametrize("state", ["AZ", "WA"])
def test_skin_substitutes_are_not_reviewed_everywhere(state: str) -> None:
    skin = request(items=(line("15271", state=state),), diagnoses=("E11.621",), forms=())
    assert dismissed(skin).reason is NOT_WISER
    assert f"not reviewed in {state}" in dismissed(skin).detail


@pytest.mark.parametrize(
    "changes",
    [{"modifiers": ("RT", "ET")}, {"revenue_code": "0450"}, {"revenue_code": "0459"}],
)
def test_emergency_services_are_left_out(changes: dict[str, Any]) -> None:
    assert dismissed(request(items=(line("64483", **changes),))).reason is NOT_WISER


@pytest.mark.parametrize("changes", [{"modifiers": ("RT",)}, {"revenue_code": "0360"}])
def test_other_modifiers_and_revenue_codes_pass(changes: dict[str, Any]) -> None:
    assert findings(request(items=(line("64483", **changes),))) == {}


def test_a_delayed_service() -> None:
    result = dismissed(request(items=(line("61867"),)))
    assert result.reason is NOT_WISER
    assert "Deep brain stimulation" in result.detail


def test_an_answer_that_is_none_of_wisers() -> None:
    answers = {**FIRST_INJECTION, "esi-purpose": False}
    result = dismissed(request(forms=(form(answers),)))
    assert result.reason is NOT_WISER
    assert "Is the injection an epidural steroid injection for pain" in result.detail


@pytest.mark.parametrize("changes", [{"completed": False}, {"about_the_patient": False}])
def test_an_answer_that_does_not_count_never_dismisses(changes: dict[str, Any]) -> None:
    answers = {**FIRST_INJECTION, "esi-purpose": False}
    assert findings(request(forms=(form(answers, **changes),))) == {}
    software = {**FIRST_INJECTION, "esi-purpose": Answer(False, Origin.AUTO)}
    assert findings(request(forms=(form(software),))) == {}


@pytest.mark.parametrize(
    ("items", "told"),
    [
        ((line("64483", state=None),), {"gate-state"}),
        ((line("64483", day=None),), {"gate-date"}),
        ((line("64483", state=None), line("64484", sequence=2, state=None)), {"gate-state"}),
        ((line("64483"), line("64484", sequence=2, state="CA")), {"gate-state"}),
        ((line("64483"), line("64484", sequence=2, day=date(2026, 1, 1))), {"gate-date"}),
        ((line("64483"), line("64484", sequence=2, modifiers=("ET",))), {"gate-exclusion"}),
        ((line("64484"),), {"gate-add-on"}),
    ],
)
def test_what_some_lines_do_not_tell_or_tell_apart(
    items: tuple[RequestedItem, ...], told: set[str]
) -> None:
    assert set(findings(request(items=items))) == told


def test_only_lines_of_the_model_are_looked_at() -> None:
    other = line("99213", sequence=2, state="CA", day=date(2020, 1, 1))
    assert findings(request(items=(line("64483"), other))) == {}


def test_the_gates_stand_in_the_designs_order() -> None:
    assert CATALOGUE.process.gates == tuple(GATES)


# Every way to be dismissed, in the order in which it is to be told.
FAULTS: dict[GateName, Any] = {
    "participant": {"items": {"state": "TX"}},
    "date": {"items": {"day": date(2020, 1, 1)}},
    "site": {"items": {"site": Site(SiteKind.PLACE_OF_SERVICE, "21")}},
    "code": {"items": {"code": "99213"}},
    "exclusion": {"items": {"modifiers": ("ET",)}},
    "railroad": {"coverage": CoverageKind.RAILROAD},
    "beneficiary": {"beneficiary": replace(request().beneficiary, mbi=None)},
    "billing": {"parties": (practitioner(npi="1234567890"),)},
}


@pytest.mark.parametrize("first", FAULTS)
def test_of_several_faults_the_first_gate_tells(first: GateName) -> None:
    order = list(FAULTS)
    both = [name for name in order if order.index(name) >= order.index(first)]
    items: dict[str, Any] = {"code": "64483"}
    changes: dict[str, Any] = {}
    for name in both:
        items |= FAULTS[name].get("items", {})
        changes |= {key: value for key, value in FAULTS[name].items() if key != "items"}
    code = items.pop("code")
    served = EVERYWHERE - {"TX"}
    alone: dict[str, Any] = dict(FAULTS[first])
    own = {"code": "64483"} | alone.pop("items", {})
    expected = dismissed(request(items=(line(own.pop("code"), **own),), **alone), served=served)
    several = dismissed(request(items=(line(code, **items),), **changes), served=served)
    assert several == expected


def test_gates_that_a_catalogue_leaves_out_are_not_asked(tmp_path: Path) -> None:
    """As a sandbox needs it; a request still is for one service."""
    folder = make_folder(tmp_path)
    path = folder / "process.toml"
    text = path.read_text(encoding="utf-8")
    start, end = text.index("gates = ["), text.index("]", text.index("gates = ["))
    path.write_text(f'{text[:start]}gates = ["answers", "diagnosis"{text[end:]}', encoding="utf-8")
    lifted = Catalogue.load(folder)
    anywhere = line("99990", state="CA", day=date(2020, 1, 1), system=CPT)
    nobody = replace(request().beneficiary, mbi=None)
    result = scoped(request(items=(anywhere,), beneficiary=nobody), catalogue=lifted)
    assert isinstance(result, ScopeResult)
    assert dismissed(request(), catalogue=lifted).reason is NOT_WISER


def test_gates_cope_with_a_request_that_is_for_no_one_service(tmp_path: Path) -> None:
    """Where the gate for codes comes last, the others have no rules to look at."""
    folder = make_folder(tmp_path)
    path = folder / "process.toml"
    text = path.read_text(encoding="utf-8").replace('  "code",\n', "")
    path.write_text(text.replace('  "resubmission",\n', '  "resubmission",\n  "code",\n'))
    result = dismissed(request(), catalogue=Catalogue.load(folder))
    assert result.detail == "No line carries a code of the model."


@pytest.mark.parametrize("fault", FAULTS)
def test_every_gate_can_be_asked_to_the_end(fault: GateName) -> None:
    changes = dict(FAULTS[fault])
    own = {"code": "64483"} | changes.pop("items", {})
    submission = request(items=(line(own.pop("code"), **own),), **changes)
    found = classify(submission, CATALOGUE, ON)
    visit = Visit(submission, found, CATALOGUE, REGISTRY, EVERYWHERE - {"TX"}, ON)
    verdicts = [verdict for gate in GATES.values() for verdict in gate(visit)]
    reasons = {verdict.reason for verdict in verdicts if isinstance(verdict, Dismissal)}
    assert len(reasons) == 1


def test_a_duplicate_says_to_wait_and_names_nobody_elses_case() -> None:
    dismissal = duplicate_of()
    assert dismissal.reason is DismissalReason.DUPLICATE
    assert "not decided yet" in dismissal.detail
