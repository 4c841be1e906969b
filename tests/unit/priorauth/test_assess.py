"""What the rules say of a request in scope: affirm, or leave it to a clinician."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
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
from wiser_fhir.coverage.evaluate import Asked, asked
from wiser_fhir.coverage.examples import Example, examples
from wiser_fhir.priorauth.assess import assess
from wiser_fhir.priorauth.models import (
    Answer,
    AnswerValue,
    Assessment,
    Beneficiary,
    CompletedForm,
    Finding,
    FindingStatus,
    GivenAs,
    Origin,
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
    for score, recommendation in ((2, Recommendation.AFFIRM), (9, Recommendation.REVIEW)):
        completed = made_up_form({**MADE_UP_ANSWERS, "score": score})
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


@pytest.mark.parametrize(
    ("name", "value", "given_as"),
    [
        ("esi-indication", "radicular", GivenAs.TEXT),
        ("esi-contra", "none", GivenAs.TEXT),
        ("esi-treatments-12m", 1, GivenAs.DECIMAL),
    ],
)
def test_an_answer_of_another_type_is_none(
    name: str, value: AnswerValue, given_as: GivenAs
) -> None:
    for told, affirmed in ((given_as, False), (EXPECTED[name], True), (None, True)):
        answers = {**FIRST_INJECTION, name: Answer(value, given_as=told)}
        assessment = assessed(request(forms=(form(answers),)))
        assert (assessment.recommendation is Recommendation.AFFIRM) is affirmed
        assert ("form-answers" in status(assessment)) is not affirmed


EXPECTED = {
    "esi-indication": GivenAs.OPTION,
    "esi-contra": GivenAs.OPTION,
    "esi-treatments-12m": GivenAs.INTEGER,
}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"esi-sedation-why": True}, "Answered, though an earlier answer leaves it unasked: "),
        ({"esi-indication": ("radicular", "stenosis")}, "Several answers where one is possible: "),
    ],
)
def test_a_form_that_its_own_questions_do_not_allow(
    changes: dict[str, AnswerValue], says: str
) -> None:
    assessment = assessed(request(forms=(form({**FIRST_INJECTION, **changes}),)))
    assert assessment.recommendation is Recommendation.REVIEW
    assert assessment.findings[0].criterion == "form-answers"
    assert assessment.findings[0].text.startswith(says)


def test_something_unreadable_under_a_question_goes_to_a_clinician() -> None:
    readable = {name: a for name, a in FIRST_INJECTION.items() if name != "esi-scale"}
    submission = request(forms=(form(readable, unreadable=frozenset({"esi-scale"})),))
    assessment = assessed(submission)
    assert assessment.recommendation is Recommendation.REVIEW
    assert assessment.findings[0].criterion == "form-answers"
    assert assessment.findings[0].text.startswith("No possible answer: ")
    assert status(assessment)["esi-scale"] is FindingStatus.UNANSWERED


def test_a_required_answer_missing_goes_to_a_clinician_whatever_the_decision_says() -> None:
    """One of two ways to meet the criterion is met, so the decision holds without the other."""
    example = next(e for e in EXAMPLES if e.name.endswith(REPEAT) and e.unanswered)
    assessment = assessed_example(example, answers=asked_for(example))
    assert assessment.recommendation is Recommendation.REVIEW
    told = status(assessment)
    assert [n for n, s in told.items() if s is FindingStatus.UNANSWERED] == ["esi-first-under"]
    spared = assessed_example(example, f"{SERVICE}-adaptive", asked_for(example))
    assert spared.recommendation is Recommendation.AFFIRM
    assert "esi-first-under" not in status(spared)


REPEAT = "repeat-with-benefit.json variation 40"


@pytest.mark.parametrize("base", ["https://wiser-fhir.example/fhir",
                                  "https://wiser-fhir.example/v2.0/fhir"])  # fmt: skip
def test_an_adaptive_form_is_one_of_the_service(base: str) -> None:
    address = f"{base}/Questionnaire/{SERVICE}-adaptive"
    assert assessed(request(forms=(form(questionnaire=address),))).recommendation == "affirm"
    other = form(questionnaire=f"{base}/Questionnaire/knee-arthroscopy-oa-adaptive")
    assert assessed(request(forms=(other,))).recommendation == "review"
    old = form(questionnaire=address, version="2025-01-01")
    assert "not known here" in assessed(request(forms=(old,))).findings[0].text


def test_what_software_attested_spares_an_adaptive_form_no_question() -> None:
    example = next(e for e in EXAMPLES if e.name.endswith("tumor.json variation 4"))
    told = {}
    for origin in (Origin.MANUAL, Origin.AUTO):
        answers = {
            name: Answer(value, origin if name == "cf-tumor" else Origin.MANUAL)
            for name, value in asked_for(example).items()
        }
        told[origin] = assessed_example(example, "cervical-fusion-adaptive", answers)
    assert told[Origin.MANUAL].recommendation is Recommendation.AFFIRM
    assert "cf-instability" not in status(told[Origin.MANUAL])
    assert told[Origin.AUTO].recommendation is Recommendation.REVIEW
    assert status(told[Origin.AUTO])["cf-instability"] is FindingStatus.UNANSWERED


def by_software(*names: str) -> CompletedForm:
    """The form with some answers filled by software."""
    answers = form().answers
    return form(
        answers={
            name: replace(a, origin=Origin.AUTO if name in names else Origin.MANUAL)
            for name, a in answers.items()
        }
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


def test_an_attestation_by_anybody_but_a_clinician_does_not_count() -> None:
    answers = {name: replace(a, by_clinician=False) for name, a in form().answers.items()}
    facts = {name: answers[name] for name in ("esi-treatments-12m", "esi-repeat")}
    assert assessed(request(forms=(form({**FIRST_INJECTION, **facts}),))).recommendation == "affirm"
    assessment = assessed(request(forms=(form(answers),)))
    assert assessment.recommendation is Recommendation.REVIEW
    texts = {finding.criterion: finding.text for finding in assessment.findings}
    assert texts["esi-impact"].endswith(" (Answered by somebody else; a clinician must.)")
    assert "Answered" not in texts["esi-repeat"]


def test_without_a_clinical_document_nothing_is_affirmed() -> None:
    assessment = assessed(request(evidence=0))
    assert assessment.recommendation is Recommendation.REVIEW
    assert status(assessment)["evidence"] is FindingStatus.UNANSWERED


def test_affirming_can_be_switched_off() -> None:
    assessment = assessed(request(), auto_affirm=False)
    assert assessment.recommendation is Recommendation.REVIEW
    assert status(assessment)["auto-affirm"] is FindingStatus.NEEDS_JUDGEMENT


def test_what_the_payer_has_not_done_is_for_its_own_people() -> None:
    unmet = request(forms=(answered(esi_indication="axial"),))
    assessment = assessed(unmet, auto_affirm=False, require_reviewed=True)
    internal = [finding.criterion for finding in assessment.findings if finding.internal]
    assert internal == ["rules-reviewed", "auto-affirm"]


def test_a_finding_of_a_gate_goes_to_a_clinician() -> None:
    gate = Finding("gate-state", FindingStatus.UNANSWERED, "No state.")
    assessment = assessed(request(), findings=(gate,))
    assert assessment.recommendation is Recommendation.REVIEW
    assert assessment.findings[0] is gate


SIGNED = ('category      = "made-up"', 'category = "made-up"\nreviewed_by = "Dr. A"\n'
          "reviewed_on = 2026-02-03")  # fmt: skip
MADE_UP_ANSWERS: Mapping[str, AnswerValue] = {
    "agreed": True,
    "way": "left",
    "signs": ("one",),
    "begun": date(2026, 3, 1),
    "seen": date(2026, 4, 1),
}


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
            whole = not example.unanswered and asked_for(example) == example.answers
            assert affirmed == (example.expect == "affirm" and whole), example.name
            told = status(assessment)
            assert ("form-answers" in told) == (asked_for(example) != example.answers)
            unmet = (FindingStatus.UNMET, FindingStatus.NEEDS_JUDGEMENT)
            told.pop("form-answers", None)
            assert {n for n, s in told.items() if s in unmet} == set(example.unmet)
            unanswered = {n for n, s in told.items() if s is FindingStatus.UNANSWERED}
            assert unanswered == set(example.unanswered)


@pytest.mark.parametrize("slug", CATALOGUE.slugs)
def test_an_adaptive_form_may_leave_open_what_the_decision_can_spare(slug: str) -> None:
    """A question that the decision does not name is asked all the same, and required."""
    for example in EXAMPLES:
        spared = example.rules.deciding.issuperset(example.unanswered)
        if example.rules.slug == slug and example.expect == "affirm" and spared:
            assessment = assessed_example(example, f"{slug}-adaptive", asked_for(example))
            assert assessment.recommendation is Recommendation.AFFIRM, example.name
            assert FindingStatus.UNANSWERED not in status(assessment).values(), example.name


def asked_for(example: Example) -> Mapping[str, AnswerValue]:
    """The answers of an example to questions that its other answers let be asked."""
    rules, given = example.rules, example.answers
    return {name: a for name, a in given.items() if asked(rules, given, name) is Asked.YES}


def assessed_example(
    example: Example,
    name: str | None = None,
    answers: Mapping[str, AnswerValue | Answer] | None = None,
) -> Assessment:
    """The assessment of a request whose form has an example's answers. Nobody says how old the
    beneficiary is, who is of another age in each example."""
    completed = form(
        questionnaire=f"https://wiser-fhir.example/fhir/Questionnaire/{name or example.rules.slug}",
        answers=example.answers if answers is None else answers,
    )
    nobody = Beneficiary("1EG4TE5MK73", "Doe", "Jane", None)
    return assess(
        example.rules,
        request(forms=(completed,), beneficiary=nobody),
        CATALOGUE,
        auto_affirm=True,
        require_reviewed=False,
    )
