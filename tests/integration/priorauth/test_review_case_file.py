"""What a reviewer sees of a case."""

from datetime import timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.cases import ORDERING_NPI, RECEIVED, RENDERING_NPI, REQUESTER_NPI, a_submission
from tests.clocks import StillClock
from tests.database import MakeCase, MakeOrganization
from tests.reviewing import (
    NOW,
    SERVICE,
    MakePerson,
    affirm,
    by,
    determination,
    non_affirm,
    rows,
    sent_again,
    signed_in,
)
from wiser_fhir.auth.people import Reviewer
from wiser_fhir.errors import Forbidden, NotFound
from wiser_fhir.priorauth.case_file import Criterion, LetterFacts, PaperFacts
from wiser_fhir.priorauth.clocks import Nearness
from wiser_fhir.priorauth.determination import DecidedBy, Outcome
from wiser_fhir.priorauth.models import (
    AnswerOrigin,
    Assessment,
    Beneficiary,
    CaseStatus,
    Finding,
    FindingStatus,
    Identifier,
    Origin,
    PartyRole,
    PriorAuthorization,
    Recommendation,
)
from wiser_fhir.priorauth.review import ReviewService

CHART = Finding("esi-purpose", FindingStatus.NEEDS_JUDGEMENT, "The note and the form differ.")
GATE = Finding("gate-code", FindingStatus.NEEDS_JUDGEMENT, "Line 1 names two codes.")
GIVEN = AnswerOrigin("esi-purpose", Origin.OVERRIDE, counted=False)


async def test_it_shows_the_request_and_who_is_behind_it(
    review: ReviewService,
    make_case: MakeCase,
    make_organization: MakeOrganization,
    clinician: Reviewer,
) -> None:
    asked = a_submission(await make_organization())
    case = await make_case(CaseStatus.IN_REVIEW, submission=asked, **SERVICE)
    file = await review.case_file(by(clinician), case.id)
    assert file.case.id == case.id
    assert (file.line, file.state, file.expedite_requested) == ("2.2", "NJ", False)
    assert file.beneficiary == Beneficiary(
        asked.beneficiary.mbi, "Doe", "Jane", asked.beneficiary.birth_date
    )
    assert [(party.role, party.npi) for party in file.parties] == [
        (PartyRole.REQUESTER, REQUESTER_NPI),
        (PartyRole.RENDERING, RENDERING_NPI),
        (PartyRole.ORDERING, ORDERING_NPI),
    ]
    assert file.documents == (PaperFacts(1, 1, "DocumentReference", None, "application/pdf", 1200),)
    (sent,) = file.submissions
    assert (sent.operation, sent.revision, sent.line) == ("submit", 1, "2.2")
    assert (sent.identifier, sent.trace) == (asked.identifier, asked.trace)
    assert (file.assigned, file.events, file.conversations, file.letters) == (None, (), (), ())


async def test_each_finding_stands_with_its_question_and_who_answered_it(
    review: ReviewService, make_case: MakeCase, clinician: Reviewer
) -> None:
    found = Assessment(Recommendation.REVIEW, (CHART, GATE), (GIVEN,))
    case = await make_case(CaseStatus.IN_REVIEW, assessment=found, **SERVICE)
    file = await review.case_file(by(clinician), case.id)
    question = file.criteria[0].question
    assert question is not None
    assert question.startswith("Is the injection")
    assert file.criteria == (Criterion(CHART, question, GIVEN), Criterion(GATE, None, None))


@pytest.mark.parametrize("changes", [{"rules": "1999-01-01"}, {"rules": None}])
async def test_without_its_rules_a_finding_stands_alone(
    review: ReviewService, make_case: MakeCase, clinician: Reviewer, changes: dict[str, str | None]
) -> None:
    found = Assessment(Recommendation.REVIEW, (CHART,), ())
    facts = {**SERVICE, **changes}
    case = await make_case(CaseStatus.IN_REVIEW, assessment=found, **facts)
    file = await review.case_file(by(clinician), case.id)
    assert file.criteria == (Criterion(CHART, None, None),)


async def test_a_case_without_an_assessment_has_no_criteria(
    review: ReviewService, make_case: MakeCase, clinician: Reviewer
) -> None:
    case = await make_case(CaseStatus.DISMISSED, assessment=None, service=None, rules=None)
    file = await review.case_file(by(clinician), case.id)
    assert (file.criteria, file.nearness) == ((), None)


async def test_it_shows_what_happened_in_order(
    review: ReviewService,
    app_engine: AsyncEngine,
    pended: PriorAuthorization,
    clinician: Reviewer,
    now: StillClock,
) -> None:
    await review.note(by(clinician), pended.id, "Called the office.")
    await sent_again(app_engine, pended)
    now.now = NOW + timedelta(hours=1)
    said = determination(affirm(1), non_affirm(2))
    await review.determine(by(signed_in(clinician, now.now)), pended.id, 2, said)
    file = await review.case_file(by(clinician), pended.id)
    happened = [(event.kind, event.revision, event.person) for event in file.events]
    assert happened == [
        ("noted", 1, clinician.name),
        ("update-received", 2, None),
        ("determined", 2, clinician.name),
    ]
    assert await review.events(by(clinician), pended.id) == file.events
    assert [(sent.operation, sent.revision) for sent in file.submissions] == [
        ("submit", 1),
        ("update", 2),
    ]
    assert file.submissions[1].trace == Identifier("https://ehr.example/traces", "trace-2")
    first, second = file.determinations
    assert (first.revision, first.sequence, first.outcome) == (2, 1, Outcome.AFFIRMED)
    assert (second.decided_by, second.clinician) == (DecidedBy.CLINICIAN, clinician.name)
    assert second.rationale == "Four weeks of conservative care are not documented."
    assert file.letters == (LetterFacts("determination-copy", "beneficiary", 2, now.now, "queued"),)
    assert [(each.direction, each.kind) for each in file.messages] == [
        ("in", "claim-submit"),
        ("out", "claim-response"),
        ("in", "claim-update"),
        ("out", "claim-response"),
        ("out", "claim-response"),
    ]


async def test_a_decision_of_software_names_nobody(
    review: ReviewService, make_case: MakeCase, clinician: Reviewer
) -> None:
    case = await make_case(**SERVICE)
    (decision, _) = (await review.case_file(by(clinician), case.id)).determinations
    assert (decision.decided_by, decision.clinician) == (DecidedBy.SOFTWARE, None)


async def test_it_says_how_near_the_deadline_is(
    review: ReviewService,
    pended: PriorAuthorization,
    clinician: Reviewer,
    now: StillClock,
) -> None:
    seen = []
    for days in (1, 2, 3, 4):
        now.now = RECEIVED + timedelta(days=days)
        seen.append((await review.case_file(by(clinician), pended.id)).nearness)
    assert seen == [None, Nearness.NEAR, Nearness.NEAR, Nearness.PAST]


async def test_what_came_is_read_byte_for_byte(
    review: ReviewService, pended: PriorAuthorization, make_person: MakePerson
) -> None:
    auditor = await make_person(roles=("auditor",))
    file = await review.case_file(by(auditor), pended.id)
    request = file.messages[0]
    media_type, body = await review.message(by(auditor), pended.id, request.id)
    assert media_type == "application/fhir+json"
    assert body == b'{"resourceType": "Bundle", "id": 100.10}'
    assert request.length == len(body)
    assert await review.request_body(by(auditor), pended.id, request.id) == body


async def test_what_came_is_shown_to_nobody_but_an_auditor(
    review: ReviewService, pended: PriorAuthorization, clinician: Reviewer
) -> None:
    request, answer = (await review.case_file(by(clinician), pended.id)).messages
    with pytest.raises(Forbidden):
        await review.message(by(clinician), pended.id, request.id)
    media_type, _ = await review.message(by(clinician), pended.id, answer.id)
    assert media_type == "application/fhir+json"


async def test_a_message_of_another_case_is_none_of_this(
    review: ReviewService, make_case: MakeCase, pended: PriorAuthorization, clinician: Reviewer
) -> None:
    other = await make_case(
        CaseStatus.IN_REVIEW, submission=a_submission(pended.organization_id), **SERVICE
    )
    theirs = (await review.case_file(by(clinician), other.id)).messages[0].id
    with pytest.raises(NotFound, match="message"):
        await review.message(by(clinician), pended.id, theirs)


async def test_an_auditor_looks_and_that_is_in_the_trail(
    review: ReviewService,
    superuser_engine: AsyncEngine,
    pended: PriorAuthorization,
    make_person: MakePerson,
) -> None:
    auditor = await make_person(roles=("auditor",))
    file = await review.case_file(by(auditor), pended.id)
    await review.events(by(auditor), pended.id)
    await review.message(by(auditor), pended.id, file.messages[0].id)
    trail = (
        "select action, outcome, person_id, patient is not null from audit_event"
        " where object_id = cast(:case as uuid)::text and action like 'case.%' order by id"
    )
    who = auditor.person_id
    assert await rows(superuser_engine, trail, pended.id) == [
        ("case.look", "read", who, True),
        ("case.look", "read", who, True),
        ("case.message", "read", who, True),
    ]


async def test_nobody_looks_at_a_case_of_their_own(
    review: ReviewService, pended: PriorAuthorization, make_person: MakePerson
) -> None:
    insider = by(await make_person(organizations=[pended.organization_id]))
    with pytest.raises(NotFound):
        await review.case_file(insider, pended.id)
    with pytest.raises(NotFound):
        await review.events(insider, pended.id)
    with pytest.raises(NotFound):
        await review.note(insider, pended.id, "Mine.")
