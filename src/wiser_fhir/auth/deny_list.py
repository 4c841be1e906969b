"""Certificates that are taken no longer, whatever their issuer says: kept by an operator, as the
owner role.
"""

import re
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from wiser_fhir.auth.cds_clients import RegistrationRefused
from wiser_fhir.errors import NotFound

_THUMBPRINT = re.compile("[A-Za-z0-9_-]{43}")
_HEXADECIMAL = re.compile("[0-9A-Fa-f]{64}")

_INSERT = text("""
insert into revoked_certificate (thumbprint, revoked_at, reason)
values (:thumbprint, :now, :reason) on conflict do nothing
""")

_END_TOKENS = text("""
update access_token set revoked_at = :now
where certificate = :thumbprint and revoked_at is null and expires_at > :now
""")

_DELETE = text("delete from revoked_certificate where thumbprint = :thumbprint")
_LIST = text(
    "select thumbprint, revoked_at, reason from revoked_certificate order by revoked_at, 1"
)


@dataclass(frozen=True, slots=True)
class Revoked:
    """A certificate on the list, by its `x5t#S256`."""

    thumbprint: str
    revoked_at: datetime
    reason: str


def read_thumbprint(value: str) -> str:
    """A certificate's `x5t#S256`, also from the SHA-256 fingerprint that OpenSSL prints.

    Raises RegistrationRefused.
    """
    if _THUMBPRINT.fullmatch(value):
        return value
    digits = value.replace(":", "")
    if _HEXADECIMAL.fullmatch(digits) is None:
        raise RegistrationRefused("a thumbprint is SHA-256: 43 characters, or 64 hex digits")
    return urlsafe_b64encode(bytes.fromhex(digits)).rstrip(b"=").decode()


async def revoke(db: AsyncConnection, thumbprint: str, reason: str, now: datetime) -> int:
    """Take a certificate no longer and end the tokens bound to it; how many those were.

    Raises RegistrationRefused.
    """
    if not any(map(str.isalnum, reason)):
        raise RegistrationRefused("say why the certificate is taken no longer")
    row = {"thumbprint": thumbprint, "reason": reason, "now": now}
    if (await db.execute(_INSERT, row)).rowcount == 0:
        raise RegistrationRefused("it is on the list already")
    return (await db.execute(_END_TOKENS, {"thumbprint": thumbprint, "now": now})).rowcount


async def unrevoke(db: AsyncConnection, thumbprint: str) -> None:
    """Take a certificate again. Raises NotFound."""
    if (await db.execute(_DELETE, {"thumbprint": thumbprint})).rowcount == 0:
        raise NotFound("certificate on the list")


async def listed(db: AsyncConnection) -> list[Revoked]:
    """The whole list, oldest first."""
    return [Revoked(*row) for row in await db.execute(_LIST)]
