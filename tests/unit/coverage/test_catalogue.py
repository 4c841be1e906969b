"""The catalogue as committed, and how a rule file is picked."""

from datetime import date
from pathlib import Path

import pytest
from pydantic import ValidationError

from tests.unit.coverage.made_up import SERVICE, bent, make_folder
from wiser_fhir.coverage.catalogue import Catalogue
from wiser_fhir.coverage.requested import CPT, HCPCS, Code

# Appendix A of the guide, as the fact sheet lists it. Add-ons with their primary codes.
PRIMARIES = {
    "knee-arthroscopy-oa": "29877",
    "induced-lesions-nerve-tracts": "64605 64610",
    "vagus-nerve-stimulation": "64568",
    "phrenic-nerve-stimulator": "33276",
    "electrical-nerve-stimulators": "63655",
    "incontinence-control-devices": "53440 53445 53451 53452 57288",
    "sacral-nerve-stimulation": "64561 64581",
    "penile-prosthesis": "54400 54401 54405",
    "percutaneous-vertebral-augmentation": "22510 22511 22513 22514",
    "epidural-steroid-injection": "62321 62323 64479 64483",
    "cervical-fusion": "22554",
    "hypoglossal-nerve-stimulation": "64582 C8007 C8011",
    "skin-substitutes": "15271 15273 15275 15277",
}
ADD_ONS = {
    "33277": "33276",
    "22512": "22510 22511",
    "22515": "22513 22514",
    "64480": "64479",
    "64484": "64483",
    "15272": "15271",
    "15274": "15273",
    "15276": "15275",
    "15278": "15277",
}
ALL_STATES = ("AZ", "NJ", "OH", "OK", "TX", "WA")
IN_MAY = date(2026, 5, 4)


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return Catalogue.load()


def test_thirteen_services_are_active_and_two_delayed(catalogue: Catalogue) -> None:
    in_force = catalogue.services_on(IN_MAY)
    assert {rules.slug for rules in in_force if rules.is_active} == set(PRIMARIES)
    assert {rules.slug for rules in in_force if not rules.is_active} == {
        "deep-brain-stimulation",
        "pild",
    }
    assert set(catalogue.slugs) == {rules.slug for rules in in_force}


@pytest.mark.parametrize("system", [CPT, HCPCS])
def test_the_forty_one_codes_belong_where_appendix_a_puts_them(
    catalogue: Catalogue, system: str
) -> None:
    told = 0
    for slug, codes in PRIMARIES.items():
        for code in codes.split():
            rules = catalogue.rules_for(Code(system, code), IN_MAY)
            assert rules is not None
            assert (rules.slug, rules.by_code[code].role) == (slug, "primary")
            told += 1
    for code, primaries in ADD_ONS.items():
        rules = catalogue.rules_for(Code(system, code), IN_MAY)
        assert rules is not None
        assert rules.by_code[code].role == "add-on"
        assert rules.by_code[code].add_on_to == tuple(primaries.split())
        told += 1
    assert told == 41 == sum(len(r.codes) for r in catalogue.services_on(IN_MAY) if r.is_active)


def test_a_code_of_another_system_is_nobodys(catalogue: Catalogue) -> None:
    assert catalogue.rules_for(Code("http://snomed.info/sct", "62321"), IN_MAY) is None
    assert catalogue.rules_for(Code(CPT, "99213"), IN_MAY) is None


def test_a_delayed_service_is_recognised_and_not_taken(catalogue: Catalogue) -> None:
    first_stage = Code(CPT, "61867")
    assert catalogue.rules_for(first_stage, IN_MAY) is None
    recognised = catalogue.recognised(first_stage, IN_MAY)
    assert recognised is not None
    assert recognised.slug == "deep-brain-stimulation"
    assert recognised.decision is None
    assert recognised.deciding == frozenset()


@pytest.mark.parametrize("code", ["C8007", "C8011"])
def test_two_codes_begin_in_april_by_date_of_service(catalogue: Catalogue, code: str) -> None:
    rules = catalogue.rules_for(Code(HCPCS, code), IN_MAY)
    assert rules is not None
    entry = rules.by_code[code]
    assert not entry.in_effect(date(2026, 4, 5))
    assert entry.in_effect(date(2026, 4, 6))
    assert entry.in_effect(None)
    assert entry.coding == Code(HCPCS, code)


def test_states(catalogue: Catalogue) -> None:
    assert tuple(sorted(catalogue.states)) == ALL_STATES
    for rules in catalogue.services_on(IN_MAY):
        wanted = ("NJ", "OH", "OK", "TX") if rules.slug == "skin-substitutes" else ALL_STATES
        assert rules.states == wanted


@pytest.mark.parametrize(
    ("state", "mac", "participant"),
    [
        ("AZ", "JF", "Zyter Inc. (Zyter|TruCare)"),
        ("NJ", "JL", "Genzeon Corporation"),
        ("OH", "J15", "Innovaccer Inc."),
        ("OK", "JH", "Humata Health, Inc."),
        ("TX", "JH", "Cohere Health, Inc."),
        ("WA", "JF", "Virtix Health LLC"),
    ],
)
def test_who_serves_a_state(catalogue: Catalogue, state: str, mac: str, participant: str) -> None:
    place = catalogue.states[state]
    assert place.mac == mac
    assert mac in catalogue.macs
    assert catalogue.participants[place.participant].name == participant


def test_the_policy_of_a_service_depends_on_the_mac(catalogue: Catalogue) -> None:
    injections = catalogue.service("epidural-steroid-injection", IN_MAY)
    knee = catalogue.service("knee-arthroscopy-oa", IN_MAY)
    assert injections is not None
    assert knee is not None
    by_mac = {mac: [p.id for p in injections.policies_in(mac)] for mac in catalogue.macs}
    assert by_mac == {"JF": ["L39240"], "J15": ["L39015"], "JL": ["L36920"], "JH": ["L36920"]}
    assert [policy.id for policy in knee.policies_in("JF")] == ["150.9"]


def test_closed_diagnosis_lists(catalogue: Catalogue) -> None:
    lists = {
        rules.slug: rules.diagnosis
        for rules in catalogue.services_on(IN_MAY)
        if rules.diagnosis is not None
    }
    assert {slug: (each.table, len(each.codes)) for slug, each in lists.items()} == {
        "vagus-nerve-stimulation": ("B1", 14),
        "sacral-nerve-stimulation": ("B2", 9),
        "skin-substitutes": ("B3", 41),
    }
    urinary = lists["sacral-nerve-stimulation"]
    assert urinary.names_any_of(("R15.9", "n3941"))
    assert not urinary.names_any_of(("R15.9",))
    assert not urinary.names_any_of(())


def test_associated_codes(catalogue: Catalogue) -> None:
    skin = catalogue.service("skin-substitutes", IN_MAY)
    assert skin is not None
    assert len(skin.associated_codes) == 269
    assert not {"Q4100", "Q4106"} & set(skin.associated_codes)


def test_why_a_close_code_is_not_included(catalogue: Catalogue) -> None:
    reason = catalogue.why_not_included(Code(CPT, "63650"), IN_MAY)
    assert reason is not None
    assert "hospital outpatient department" in reason
    assert catalogue.why_not_included(Code(CPT, "64568"), IN_MAY) is None
    assert catalogue.why_not_included(Code(CPT, "99213"), IN_MAY) is None


def test_process_facts(catalogue: Catalogue) -> None:
    process = catalogue.process
    days = process.timeframes
    assert process.partial_decisions_from == date(2026, 4, 1)
    assert (days.standard_decision_days, days.expedited_decision_days) == (3, 2)
    assert (days.documents_days, days.prepayment_decision_days) == (45, 3)
    assert (days.validity_days, days.mac_forwarding_days) == (120, 1)
    assert process.model.requests_from == date(2026, 1, 5)
    assert process.model.service_dates_from == date(2026, 1, 15)
    assert process.model.end == date(2031, 12, 31)
    places = {code for site in process.sites for code in site.place_of_service}
    assert places == {"11", "12", "19", "22", "24"}


def test_a_request_before_the_first_service_day_finds_its_rules(catalogue: Catalogue) -> None:
    opening = catalogue.process.model.requests_from
    assert len(catalogue.services_on(opening)) == 15
    assert catalogue.services_on(date(2026, 1, 4)) == ()


def test_no_rule_file_is_reviewed_yet_and_each_question_knows_its_source(
    catalogue: Catalogue,
) -> None:
    for rules in catalogue.services_on(IN_MAY):
        assert not rules.is_reviewed
        for question in rules.questions:
            assert set(question.source) <= set(catalogue.sources)


def test_what_is_read_cannot_be_changed(catalogue: Catalogue) -> None:
    knee = catalogue.service("knee-arthroscopy-oa", IN_MAY)
    assert knee is not None
    with pytest.raises(ValidationError):
        knee.name = "Other"  # type: ignore[misc]
    with pytest.raises(ValidationError):
        knee.questions[0].kind = "fact"  # type: ignore[misc]


def test_required_questions_keep_the_order_of_the_file(catalogue: Catalogue) -> None:
    skin = catalogue.service("skin-substitutes", IN_MAY)
    assert skin is not None
    required = [question.id for question in skin.required_questions]
    assert [question.id for question in skin.questions if question.id in required] == required
    optional = {question.id for question in skin.questions} - set(required)
    assert optional == {"ctp-abi", "ctp-toe"}
    assert [question.id for question in skin.required_questions if question.is_attestation][:1] == [
        "ctp-baseline"
    ]


@pytest.fixture
def versioned(tmp_path: Path) -> Catalogue:
    """A service of three versions: the second follows without grace, the third with some."""
    grace = ('category      = "made-up"', 'category = "made-up"\nprevious_forms_until = 2026-08-31')
    renamed = ('id       = "score"', 'id       = "points"')
    files = {
        "made-up/2026-01-15.toml": SERVICE,
        "made-up/2026-04-01.toml": bent(('code   = "99991"', 'code   = "99992"')),
        "made-up/2026-08-01.toml": bent(grace, renamed),
    }
    return Catalogue.load(make_folder(tmp_path, files))


@pytest.mark.parametrize(
    ("on", "version"),
    [
        ("2026-01-14", None),
        ("2026-01-15", "2026-01-15"),
        ("2026-03-31", "2026-01-15"),
        ("2026-04-01", "2026-04-01"),
        ("2030-01-01", "2026-08-01"),
    ],
)
def test_the_day_of_receipt_picks_the_file(
    versioned: Catalogue, on: str, version: str | None
) -> None:
    rules = versioned.service("made-up", date.fromisoformat(on))
    assert (rules.version if rules else None) == version


def test_a_code_is_known_while_its_file_is_in_force(versioned: Catalogue) -> None:
    assert versioned.rules_for(Code(CPT, "99991"), date(2026, 3, 31)) is not None
    assert versioned.rules_for(Code(CPT, "99991"), date(2026, 4, 1)) is None
    assert versioned.rules_for(Code(CPT, "99992"), date(2026, 4, 1)) is not None
    assert versioned.rules_for(Code(CPT, "99990"), date(2025, 1, 1)) is None


def test_versions(versioned: Catalogue) -> None:
    days = [rules.version for rules in versioned.versions("made-up")]
    assert days == ["2026-01-15", "2026-04-01", "2026-08-01"]
    assert versioned.versions("unknown") == ()
    assert versioned.version("made-up", "2026-04-02") is None
    ends = [versioned.form_until(rules) for rules in versioned.versions("made-up")]
    assert ends == [date(2026, 3, 31), date(2026, 8, 31), None]


@pytest.mark.parametrize(
    ("version", "on", "counts"),
    [
        ("2026-01-15", "2026-03-31", True),
        ("2026-01-15", "2026-04-01", False),
        ("2026-04-01", "2026-08-31", True),
        ("2026-04-01", "2026-09-01", False),
        ("2026-08-01", "2026-07-31", False),
        ("2026-08-01", "2030-01-01", True),
        ("2027-01-01", "2030-01-01", False),
    ],
)
def test_how_long_a_form_counts(versioned: Catalogue, version: str, on: str, counts: bool) -> None:
    for base in ("https://wiser-fhir.example/fhir", "https://wiser-fhir.example/v2.0/fhir"):
        form = versioned.form(f"{base}/Questionnaire/made-up", version, date.fromisoformat(on))
        assert (form is not None) == counts
    elsewhere = "https://elsewhere.example/Questionnaire/made-up"
    assert versioned.form(elsewhere, version, date.fromisoformat(on)) is None
