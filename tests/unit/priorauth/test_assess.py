"""What the rules say of a request in scope: affirm, or leave it to a clinician."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.unit.coverage.made_up import REAL, bent, make_folder
from tests.unit.coverage.made_up import SERVICE as MADE_UP
from tests.unit.priorauth.wiser_requests import (
    CATALOGUE,
    FIRST_INJECTION,
    ON,
    RECEIVED,
    SERVICE,
    form,
    request,
)
from wiser_fhir.coverage.catalogue import Catalogue
from wiser_fhir.coverage.examples import Example, examples
from wiser_fhir.priorauth.assess import assess
from wiser_fhir.priorauth.models import (
    AnswerValue,
    Assessment,
    CompletedForm,
    Finding,
    FindingStatus,
    Recommendation,
    Submission,
)

RULES = CATALOGUE.service(SERVICE, ON)
# The first instant at which the rules of 2026-01-15 take requests: from 2026-01-05, Eastern time.
OPENS = datetime(2026, 1, 5, 5, 0, tzinfo=UTC)


def assessed(submission: Submission, **changes: Any) -> Assessment:
    """The assessment of an epidural injection, with everything switched on."""
    assert RULES is not None
    options = {"auto_affirm": True, "require_reviewed": False} | changes
    return assess(RULES, submission, CATALOGUE, **options)


def status(assessment: Assessment) -> dict[str, FindingStatus]:
    """Each finding's status by its criterion."""
    return {finding.criterion: finding.status for finding in assessment.findings}


def answered(**changes: AnswerValue | None) -> CompletedForm:
    """The form with answers changed, or taken out; `_` in a name stands for `-`."""
    named = {name.replace("_", "-"): value for name, value in changes.items()}
    merged = {**FIRST_INJECTION, **named}
    return form({name: value for name, value in merged.items() if value is not None})


def test_a_request_that_meets_everything_is_affirmed() -> None:
    assessment = assessed(request())
    assert assessment.recommendation is Recommendation.AFFIRM
    assert set(status(assessment).values()) == {FindingStatus.MET}
    assert [finding.criterion for finding in assessment.findings] == list(FIRST_INJECTION)
    assert RULES is not None
    assert assessment.findings[0].text == RULES.by_id["esi-purpose"].text


@pytest.mark.parametrize(
    ("changes", "criterion", "told"),
    [
        ({"esi_indication": "axial"}, "esi-indication", FindingStatus.UNMET),
        ({"esi_impact": None}, "esi-impact", FindingStatus.UNANSWERED),
        (
            {"esi_sedation": True, "esi_sedation_why": False},
            "esi-sedation-why",
            FindingStatus.NEEDS_JUDGEMENT,
        ),
        ({"esi_purpose": False}, "esi-purpose", FindingStatus.UNMET),
    ],
)
def test_a_criterion_that_is_not_met_goes_to_a_clinician(
    changes: dict[str, Any], criterion: str, told: FindingStatus
) -> None:
    assessment = assessed(request(forms=(answered(**changes),)))
    assert assessment.recommendation is Recommendation.REVIEW
    assert status(assessment)[criterion] is told


def test_an_out_of_scope_answer_never_affirms(tmp_path: Path) -> None:
    """Also where the gate for such answers is not among a catalogue's gates."""
    outside = bent(
        ('if_unmet = "info"\nsource   = ["guide"]\n\n[decision]', 'if_unmet = "out_of_scope"\n'
         'source   = ["guide"]\n\n[decision]'),
        text=MADE_UP,
    )  # fmt: skip
    catalogue = Catalogue.load(make_folder(tmp_path, {"made-up/2026-01-15.toml": outside}))
    answers: dict[str, AnswerValue] = {"agreed": True, "way": "left", "signs": ("one",)}
    for score, recommendation in ((2, Recommendation.AFFIRM), (9, Recommendation.REVIEW)):
        completed = made_up_form(answers | {"score": score})
        assessment = made_up_assessment(catalogue, completed)
        assert assessment.recommendation is recommendation


def made_up_form(answers: Mapping[str, AnswerValue], version: str = "2026-01-15") -> CompletedForm:
    """A form of the made-up service."""
    url = "https://wiser-fhir.example/v2.0/fhir/Questionnaire/made-up"
    return form(answers, questionnaire=url, version=version)


def made_up_assessment(catalogue: Catalogue, *forms: CompletedForm, **changes: Any) -> Assessment:
    """The assessment of a request for the made-up service."""
    rules = catalogue.service("made-up", ON)
    assert rules is not None
    options = {"auto_affirm": True, "require_reviewed": False} | changes
    return assess(rules, request(forms=forms), catalogue, **options)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"questionnaire": None}, "not the one of the service"),
        ({"questionnaire": "https://other.example/Questionnaire/x"}, "not the one of the service"),
        (
            {"questionnaire": "https://wiser-fhir.example/fhir/Questionnaire/knee-arthroscopy-oa"},
            "not the one of the service",
        ),
        ({"version": None}, "does not name its version"),
        ({"version": "2025-01-01"}, "not known here"),
        ({"completed": False}, "not completed"),
        ({"about_the_patient": False}, "not about the patient"),
        ({"authored": None}, "at what instant"),
        ({"authored": datetime(2026, 5, 4, 13, 0)}, "at what instant"),  # noqa: DTZ001
        ({"authored": RECEIVED + timedelta(microseconds=1)}, "after the request was received"),
        ({"authored": OPENS - timedelta(microseconds=1)}, "before its version was in force"),
        ({"authored": datetime(1990, 1, 1, tzinfo=UTC)}, "before its version was in force"),
        ({"authored": datetime.min.replace(tzinfo=UTC)}, "before its version was in force"),
    ],
)
def test_a_form_that_does_not_count(changes: dict[str, Any], says: str) -> None:
    assessment = assessed(request(forms=(form(**changes),)))
    assert assessment.recommendation is Recommendation.REVIEW
    assert says in assessment.findings[0].text
    assert assessment.findings[0].criterion == "form"
    assert status(assessment)["esi-purpose"] is FindingStatus.UNANSWERED


@pytest.mark.parametrize(
    "authored",
    [
        RECEIVED,
        RECEIVED.astimezone(timezone(timedelta(hours=-7))),
        OPENS,
    ],
)
def test_a_form_written_by_the_moment_of_receipt_counts(authored: datetime) -> None:
    assert assessed(request(forms=(form(authored=authored),))).recommendation == "affirm"


def test_no_form_at_all() -> None:
    assessment = assessed(request(forms=()))
    assert assessment.recommendation is Recommendation.REVIEW
    assert status(assessment)["form"] is FindingStatus.UNANSWERED


def test_two_forms_of_the_service_go_to_a_clinician_unread() -> None:
    assessment = assessed(request(forms=(form(), form())))
    assert assessment.recommendation is Recommendation.REVIEW
    assert "More than one" in assessment.findings[0].text
    assert status(assessment)["esi-purpose"] is FindingStatus.UNANSWERED


def test_a_form_that_does_not_count_spoils_the_one_that_does() -> None:
    assessment = assessed(request(forms=(form(completed=False), form())))
    assert assessment.recommendation is Recommendation.REVIEW
    assert status(assessment)["esi-purpose"] is FindingStatus.MET


@pytest.mark.parametrize(
    ("answers", "says"),
    [
        ({"esi-unknown": True}, "a question it does not have"),
        ({"esi-indication": "elsewhere"}, "No possible answer: Which indication"),
        ({"esi-treatments-12m": Decimal("1.5")}, "No possible answer: Treatment days"),
        ({"esi-treatments-12m": 0}, "No possible answer: Treatment days"),
        ({"esi-levels": -3}, "No possible answer: "),
        ({"esi-levels": 0}, "No possible answer: "),
    ],
)
def test_an_answer_nobody_can_give(answers: dict[str, AnswerValue], says: str) -> None:
    assessment = assessed(request(forms=(form({**FIRST_INJECTION, **answers}),)))
    assert assessment.recommendation is Recommendation.REVIEW
    assert assessment.findings[0].criterion == "form-answers"
    assert says in assessment.findings[0].text


def by_software(*names: str) -> CompletedForm:
    """The form with some answers filled by software."""
    answers = form().answers
    return form(
        answers={name: replace(a, by_software=name in names) for name, a in answers.items()}
    )


def test_a_fact_may_be_filled_by_software() -> None:
    submission = request(forms=(by_software("esi-treatments-12m", "esi-repeat", "esi-with-care"),))
    assert assessed(submission).recommendation is Recommendation.AFFIRM


def test_an_attestation_filled_by_software_does_not_count() -> None:
    assessment = assessed(request(forms=(by_software("esi-impact"),)))
    assert assessment.recommendation is Recommendation.REVIEW
    assert status(assessment)["esi-impact"] is FindingStatus.NEEDS_JUDGEMENT
    [finding] = [f for f in assessment.findings if f.criterion == "esi-impact"]
    assert finding.text.endswith("(Answered by software; a person must.)")


def test_without_a_clinical_document_nothing_is_affirmed() -> None:
    assessment = assessed(request(evidence=0))
    assert assessment.recommendation is Recommendation.REVIEW
    assert status(assessment)["evidence"] is FindingStatus.UNANSWERED


def test_affirming_can_be_switched_off() -> None:
    assessment = assessed(request(), auto_affirm=False)
    assert assessment.recommendation is Recommendation.REVIEW
    assert status(assessment)["auto-affirm"] is FindingStatus.NEEDS_JUDGEMENT


def test_a_finding_of_a_gate_goes_to_a_clinician() -> None:
    gate = Finding("gate-state", FindingStatus.UNANSWERED, "No state.")
    assessment = assessed(request(), findings=(gate,))
    assert assessment.recommendation is Recommendation.REVIEW
    assert assessment.findings[0] is gate


SIGNED = ('category      = "made-up"', 'category = "made-up"\nreviewed_by = "Dr. A"\n'
          "reviewed_on = 2026-02-03")  # fmt: skip
MADE_UP_ANSWERS: Mapping[str, AnswerValue] = {"agreed": True, "way": "left", "signs": ("one",)}


def test_rules_that_no_clinician_signed_only_review_in_production(tmp_path: Path) -> None:
    assessment = assessed(request(), require_reviewed=True)
    assert assessment.recommendation is Recommendation.REVIEW
    assert status(assessment)["rules-reviewed"] is FindingStatus.NEEDS_JUDGEMENT

    files = {"made-up/2026-01-15.toml": bent(SIGNED)}
    signed = Catalogue.load(make_folder(tmp_path, files))
    affirmed = made_up_assessment(signed, made_up_form(MADE_UP_ANSWERS), require_reviewed=True)
    assert affirmed.recommendation is Recommendation.AFFIRM


@pytest.fixture
def replaced(tmp_path: Path) -> Catalogue:
    """A service whose second file drops a criterion, and is signed; old forms still count."""
    shorter = ('all = ["agreed", {', "all = [{")
    both = ('category      = "made-up"', SIGNED[1] + "\nprevious_forms_until = 2026-08-31")
    files = {
        "made-up/2026-01-15.toml": MADE_UP,
        "made-up/2026-05-01.toml": bent(both, shorter),
    }
    return Catalogue.load(make_folder(tmp_path, files))


def test_a_form_of_an_older_version_is_assessed_by_its_own_file(replaced: Catalogue) -> None:
    answers: dict[str, AnswerValue] = {**MADE_UP_ANSWERS, "agreed": False}
    old, new = made_up_form(answers), made_up_form(answers, version="2026-05-01")
    assert made_up_assessment(replaced, old).recommendation is Recommendation.REVIEW
    assert made_up_assessment(replaced, new).recommendation is Recommendation.AFFIRM


def test_both_files_of_an_older_form_must_be_signed(replaced: Catalogue) -> None:
    old, new = made_up_form(MADE_UP_ANSWERS), made_up_form(MADE_UP_ANSWERS, version="2026-05-01")
    strict = {"require_reviewed": True}
    assert made_up_assessment(replaced, old, **strict).recommendation is Recommendation.REVIEW
    assert made_up_assessment(replaced, new, **strict).recommendation is Recommendation.AFFIRM


def test_an_older_form_without_grace_does_not_count(tmp_path: Path) -> None:
    files = {"made-up/2026-01-15.toml": MADE_UP, "made-up/2026-05-01.toml": MADE_UP}
    catalogue = Catalogue.load(make_folder(tmp_path, files))
    assessment = made_up_assessment(catalogue, made_up_form(MADE_UP_ANSWERS))
    assert assessment.recommendation is Recommendation.REVIEW
    assert "counts no longer" in assessment.findings[0].text


EXAMPLES = [example for slug in CATALOGUE.slugs for example in examples(CATALOGUE, REAL, slug)]


@pytest.mark.parametrize("slug", CATALOGUE.slugs)
def test_a_request_with_an_examples_answers_is_assessed_as_the_example_says(slug: str) -> None:
    for example in EXAMPLES:
        if example.rules.slug == slug:
            assessment = assessed_example(example)
            affirmed = assessment.recommendation is Recommendation.AFFIRM
            assert affirmed == (example.expect == "affirm"), example.name
            told = status(assessment)
            unmet = (FindingStatus.UNMET, FindingStatus.NEEDS_JUDGEMENT)
            assert {n for n, s in told.items() if s in unmet} == set(example.unmet)
            unanswered = {n for n, s in told.items() if s is FindingStatus.UNANSWERED}
            assert unanswered == set(example.unanswered)


def assessed_example(example: Example) -> Assessment:
    """The assessment of a request whose form has an example's answers."""
    completed = form(
        questionnaire=f"https://wiser-fhir.example/fhir/Questionnaire/{example.rules.slug}",
        answers=example.answers,
    )
    return assess(
        example.rules,
        request(forms=(completed,)),
        CATALOGUE,
        auto_affirm=True,
        require_reviewed=False,
    )
