"""What the routes of the review door work with."""

from dataclasses import dataclass
from typing import Self
from uuid import UUID

from wiser_fhir.errors import NotFound
from wiser_fhir.priorauth.case_file import CaseFile, MessageFacts
from wiser_fhir.priorauth.desk import Desk, Reviewing
from wiser_fhir.priorauth.papers import PaperService
from wiser_fhir.priorauth.queue import ReviewQueue
from wiser_fhir.priorauth.reading import Content, Reading
from wiser_fhir.priorauth.repository import StoredCase
from wiser_fhir.priorauth.review import ReviewService
from wiser_fhir.priorauth.talks import TalkService
from wiser_fhir.review.case_schemas import CaseView


@dataclass(frozen=True, slots=True)
class ReviewDoor:
    """The services behind the door, and who reads requests as they are kept."""

    queue: ReviewQueue
    review: ReviewService
    talks: TalkService
    papers: PaperService
    reading: Reading

    @classmethod
    def of(cls, desk: Desk, reading: Reading) -> Self:
        """The door to one desk."""
        return cls(
            queue=ReviewQueue(desk.engine),
            review=ReviewService(desk),
            talks=TalkService(desk),
            papers=PaperService(desk),
            reading=reading,
        )

    async def view(self, by: Reviewing, case_id: UUID) -> CaseView:
        """A case with what its present request tells. Raises NotFound, Unavailable."""
        file = await self.review.case_file(by, case_id)
        body = await self._request_body(by, file, file.case.revision)
        told = self.reading.submission(StoredCase(file.case, file.line, body))
        attachments = await self.papers.attachments(by, case_id)
        return CaseView(file, told, attachments, self.review.desk.rules_of(file.case))

    async def document(self, by: Reviewing, case_id: UUID, position: int) -> Content:
        """A document that came in a request, once a scanner has cleared it.

        Raises NotFound, Conflict, Unavailable.
        """
        file = await self.review.case_file(by, case_id)
        facts = next((each for each in file.documents if each.position == position), None)
        if facts is None:
            raise NotFound("document")
        facts.check_clear()
        body = await self._request_body(by, file, facts.revision)
        before = [each for each in file.documents if each.revision == facts.revision]
        found = self.reading.document(body, before.index(facts) + 1)
        if found is None:
            raise NotFound("document")
        return found

    async def _request_body(self, by: Reviewing, file: CaseFile, revision: int) -> bytes:
        request = request_message(file, revision)
        return await self.review.request_body(by, file.case.id, request.id)


def request_message(file: CaseFile, revision: int) -> MessageFacts:
    """The request that made a revision: each of a case makes one, and no two come at once."""
    requests = [m for m in file.messages if m.direction == "in" and m.kind.startswith("claim-")]
    return requests[revision - 1]
