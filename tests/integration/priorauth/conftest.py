"""People who review, and what they review with."""

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.cases import a_submission
from tests.clocks import StillClock
from tests.database import MakeCase, MakeOrganization
from tests.reviewing import NOW, SERVICE, MakePerson, a_desk, insert_person
from wiser_fhir.auth.people import Reviewer
from wiser_fhir.priorauth.desk import Desk
from wiser_fhir.priorauth.models import CaseStatus, PriorAuthorization, RequestKind
from wiser_fhir.priorauth.review import ReviewService
from wiser_fhir.priorauth.talks import TalkService


@pytest.fixture
def make_person(superuser_engine: AsyncEngine, clean_database: None) -> MakePerson:
    """Commits somebody who reviews: `await make_person(roles=..., npi=..., organizations=...)`."""

    async def make(**facts: object) -> Reviewer:
        async with superuser_engine.begin() as connection:
            return await insert_person(connection, **facts)

    return make


@pytest.fixture
async def clinician(make_person: MakePerson) -> Reviewer:
    """A clinician who belongs to nobody."""
    return await make_person()


@pytest.fixture
async def coordinator(make_person: MakePerson) -> Reviewer:
    """Somebody who arranges and asks, and decides nothing."""
    return await make_person(roles=("coordinator",))


@pytest.fixture
def now() -> StillClock:
    """The clock of the desk, five hours after receipt until a test moves it."""
    return StillClock(NOW)


@pytest.fixture
def desk(app_engine: AsyncEngine, now: StillClock) -> Desk:
    """The desk, on the application's connections."""
    return a_desk(app_engine, now)


@pytest.fixture
def review(desk: Desk) -> ReviewService:
    """What people do with cases."""
    return ReviewService(desk)


@pytest.fixture
def talks(desk: Desk) -> TalkService:
    """What people do about conversations."""
    return TalkService(desk)


@pytest.fixture
async def pended(make_case: MakeCase) -> PriorAuthorization:
    """A case in review with two lines."""
    return await make_case(CaseStatus.IN_REVIEW, **SERVICE)


@pytest.fixture
async def expedited(make_case: MakeCase, make_organization: MakeOrganization) -> PriorAuthorization:
    """A case in review for which an expedited review was asked."""
    asked = a_submission(await make_organization(), expedite_requested=True)
    return await make_case(CaseStatus.IN_REVIEW, submission=asked, expedited=True, **SERVICE)


@pytest.fixture
async def resubmitted(
    make_case: MakeCase, make_organization: MakeOrganization
) -> PriorAuthorization:
    """A case in review that follows one not affirmed."""
    asked = a_submission(
        await make_organization(), kind=RequestKind.RESUBMISSION, previous_utn="ZZB00000000001"
    )
    return await make_case(CaseStatus.IN_REVIEW, submission=asked, **SERVICE)
