"""The attachments of a case under review."""

from dataclasses import dataclass
from uuid import UUID

from wiser_fhir.audit.recorder import write
from wiser_fhir.priorauth.attached import AttachmentFacts
from wiser_fhir.priorauth.attachments import Attachments, Content
from wiser_fhir.priorauth.desk import Desk, Reviewing


@dataclass(frozen=True)
class PaperService:
    """What belongs to a case and came otherwise than in its request."""

    desk: Desk

    async def attachments(self, by: Reviewing, case_id: UUID) -> tuple[AttachmentFacts, ...]:
        """Everything attached, the first received first. Raises NotFound, Unavailable."""
        async with self.desk.seen(by, case_id) as opened:
            return tuple(await Attachments(opened.db).of_case(case_id))

    async def attachment(self, by: Reviewing, case_id: UUID, attachment_id: UUID) -> Content:
        """An attachment that the scanner has cleared. Raises NotFound, Conflict, Unavailable."""
        async with self.desk.seen(by, case_id) as opened:
            content = await Attachments(opened.db).content(attachment_id, case_id=case_id)
            await write(opened.db, opened.looked("case.attachment"))
        return content
