"""`certificate revoke|list|unrevoke`, on the test's database."""

from hashlib import sha256
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.hand_made_jwt import base64url
from tests.integration.cli.running import Run, audited, commands, rows
from wiser_fhir.auth.registration import RegistrationRefused
from wiser_fhir.auth.tokens import Authenticator
from wiser_fhir.clock import utc_now
from wiser_fhir.db.embedded import Urls
from wiser_fhir.errors import NotFound, Unauthenticated

DIGEST = sha256(b"a certificate").digest()
THUMBPRINT = base64url(DIGEST)
AS_OPENSSL_HAS_IT = DIGEST.hex(":").upper()
REVOKE = ("certificate", "revoke", "--because", "key lost")


@pytest.fixture
def command(database: Urls, clean_database: None, tmp_path: Path) -> Run:
    return commands(database, tmp_path)


@pytest.mark.parametrize("written", [THUMBPRINT, AS_OPENSSL_HAS_IT, DIGEST.hex()])
async def test_a_certificate_is_taken_no_longer_and_then_again(
    command: Run, superuser_engine: AsyncEngine, written: str
) -> None:
    assert (await command(*REVOKE, "--", written)).stdout == "revoked\n"
    stored = "select thumbprint, reason from revoked_certificate"
    assert await rows(superuser_engine, stored) == [(THUMBPRINT, "key lost")]
    table = (await command("certificate", "list")).stdout.splitlines()
    assert table[0] == "thumbprint,revoked_at,reason"
    assert table[1].endswith(",key lost")
    again = await command(*REVOKE, "--", written)
    assert isinstance(again.exception, RegistrationRefused)
    assert (await command("certificate", "unrevoke", "--", written)).stdout == "taken again\n"
    assert await rows(superuser_engine, stored) == []
    nothing = await command("certificate", "unrevoke", "--", written)
    assert isinstance(nothing.exception, NotFound)
    recorded = await rows(
        superuser_engine,
        "select action, object_id from audit_event where object_kind = 'certificate' order by at",
    )
    assert recorded == [("certificate.revoke", THUMBPRINT), ("certificate.unrevoke", THUMBPRINT)]


async def test_a_thumbprint_that_begins_with_a_dash_is_no_option(command: Run) -> None:
    dashed = base64url(b"\xf8" + DIGEST[1:])
    assert dashed.startswith("-")
    assert (await command("certificate", "revoke", dashed, "--because", "lost")).exit_code == 0
    assert dashed in (await command("certificate", "list")).stdout
    assert (await command("certificate", "unrevoke", f"'{dashed}")).stdout == "taken again\n"
    mistyped = await command("certificate", "revoke", dashed, "--becuase", "lost")
    assert mistyped.exit_code == 2


async def test_tokens_bound_to_it_end_and_no_others(
    command: Run, superuser_engine: AsyncEngine, app_engine: AsyncEngine
) -> None:
    bound = (await command("token", "--client", "sandbox-ehr")).stdout.strip()
    async with superuser_engine.begin() as db:
        await db.execute(text("update access_token set certificate = :t"), {"t": THUMBPRINT})
    free = (await command("token", "--client", "sandbox-ehr")).stdout.strip()
    assert (await command(*REVOKE, "--", THUMBPRINT)).exit_code == 0
    assert await audited(superuser_engine, "certificate.revoke") == [{"tokens": 1}]
    authenticator = Authenticator(app_engine, utc_now)
    with pytest.raises(Unauthenticated):
        await authenticator.principal([f"Bearer {bound}"], THUMBPRINT)
    assert (await authenticator.principal([f"Bearer {free}"])).client_name == "sandbox-ehr"


@pytest.mark.parametrize("written", ["", "x", THUMBPRINT + "A", DIGEST.hex()[:-1], "é" * 43])
async def test_what_is_no_thumbprint(command: Run, written: str) -> None:
    done = await command(*REVOKE, "--", written)
    assert isinstance(done.exception, RegistrationRefused)
    assert "a thumbprint is SHA-256" in str(done.exception)


async def test_a_reason_says_something(command: Run) -> None:
    done = await command("certificate", "revoke", "--because", " - ", "--", THUMBPRINT)
    assert isinstance(done.exception, RegistrationRefused)
