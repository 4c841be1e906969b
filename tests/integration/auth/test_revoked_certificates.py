"""The list of certificates taken back: soon known, and never guessed from memory."""

import pytest
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from wiser_fhir.auth.certificates import thumbprint_of
from wiser_fhir.auth.revoked_certificates import OLDEST_SECONDS, RevokedCertificates
from wiser_fhir.clock import utc_now
from wiser_fhir.db.engine import create_engine
from wiser_fhir.db.oauth import revoked_certificate
from wiser_fhir.errors import Unavailable


class Seconds:
    """Passes when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


async def revoke(engine: AsyncEngine, thumbprint: str) -> None:
    row = {"thumbprint": thumbprint, "revoked_at": utc_now(), "reason": "key lost"}
    async with engine.begin() as db:
        await db.execute(insert(revoked_certificate).values(row))


@pytest.mark.usefixtures("clean_database")
async def test_a_certificate_is_known_as_revoked_after_the_next_reading(
    app_engine: AsyncEngine, superuser_engine: AsyncEngine
) -> None:
    revoked = RevokedCertificates(app_engine)
    await revoked.refresh()
    gone, other = thumbprint_of(b"gone"), thumbprint_of(b"other")
    assert not revoked.names(gone)
    await revoke(superuser_engine, gone)
    await revoked.refresh()
    assert revoked.names(gone)
    assert not revoked.names(other)


async def test_before_the_first_reading_nothing_can_be_told(app_engine: AsyncEngine) -> None:
    with pytest.raises(Unavailable):
        RevokedCertificates(app_engine).names("any")


async def test_a_list_too_old_is_not_gone_by(app_engine: AsyncEngine) -> None:
    seconds = Seconds()
    revoked = RevokedCertificates(app_engine, seconds)
    await revoked.refresh()
    seconds.now += OLDEST_SECONDS
    assert not revoked.names("any")
    seconds.now += 0.1
    with pytest.raises(Unavailable):
        revoked.names("any")
    await revoked.refresh()
    assert not revoked.names("any")


async def test_a_reading_that_fails_leaves_the_list_as_old_as_it_was() -> None:
    away = create_engine("postgresql://nobody@127.0.0.1:1/none")
    revoked = RevokedCertificates(away)
    with pytest.raises(Unavailable):
        await revoked.refresh()
    with pytest.raises(Unavailable):
        revoked.names("any")
    await away.dispose()
