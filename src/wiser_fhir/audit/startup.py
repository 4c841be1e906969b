"""What a process starts with, on the trail: a change of settings shows by another digest."""

from uuid import uuid4

from sqlalchemy.ext.asyncio import AsyncConnection

from wiser_fhir.audit.recorder import AuditRow, write


async def record_start(db: AsyncConnection, process: str, settings: str, version: str) -> None:
    """Leave a row about a start; a process whose start cannot be recorded does not begin.

    `process` is a word such as `server`, `settings` a digest of what is set and no secret.
    """
    detail = {"process": process, "settings": settings, "version": version}
    await write(db, AuditRow(uuid4(), "service.start", "done", detail=detail))
