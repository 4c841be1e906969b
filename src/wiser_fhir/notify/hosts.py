"""At which hosts a client may be told: registered by an operator, as the owner role."""

from uuid import UUID

from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

from wiser_fhir.egress.url import read_origin
from wiser_fhir.errors import NotFound

# Each statement does nothing where there is nothing to do.
_ADD = text("""
update client set notify_hosts = array_append(array_remove(notify_hosts, :host), :host)
where name = :name returning id, organization_id
""")

_REMOVE = text("""
update client set notify_hosts = array_remove(notify_hosts, :host)
where name = :name returning id, organization_id
""")


class HostRefused(ValueError):
    """What was to be registered cannot be; the text says why."""


def checked(host: str) -> str:
    """An origin as it is kept. What is told is about patients, so https alone will do.

    Raises HostRefused.
    """
    origin = read_origin(host.rstrip("/"))
    if origin is None or origin[0] != "https":
        raise HostRefused("the host must be https://name or https://name:port")
    _, name, port = origin
    shown = f"[{name}]" if ":" in name else name
    return f"https://{shown}" if port == 443 else f"https://{shown}:{port}"


async def register(db: AsyncConnection, client: str, host: str) -> tuple[UUID, UUID]:
    """Let a client be told at a host; its id and its organization's. Raises NotFound."""
    return await _change(db, client, host, _ADD)


async def revoke(db: AsyncConnection, client: str, host: str) -> tuple[UUID, UUID]:
    """Send nothing there any more, whatever Subscriptions name it. Raises NotFound."""
    return await _change(db, client, host, _REMOVE)


async def _change(
    db: AsyncConnection, client: str, host: str, statement: TextClause
) -> tuple[UUID, UUID]:
    row = (await db.execute(statement, {"name": client, "host": host})).one_or_none()
    if row is None:
        raise NotFound("client")
    return row.id, row.organization_id
