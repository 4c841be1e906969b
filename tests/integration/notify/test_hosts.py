from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.integration.notify.subscribers import MakeSubscriber
from wiser_fhir.db.engine import transaction
from wiser_fhir.errors import NotFound
from wiser_fhir.notify import hosts

ONE, OTHER = "https://one.example", "https://other.example"


async def test_hosts_are_registered_and_revoked_one_by_one_and_twice_does_no_harm(
    make_subscriber: MakeSubscriber, owner_engine: AsyncEngine
) -> None:
    subscriber = await make_subscriber()

    async def client() -> dict[str, Any]:
        [row] = await subscriber.rows("select name, notify_hosts from client")
        return row

    name = (await client())["name"]
    for change, host, expected in (
        (hosts.register, ONE, [ONE]),
        (hosts.register, OTHER, [ONE, OTHER]),
        (hosts.register, ONE, [OTHER, ONE]),
        (hosts.revoke, OTHER, [ONE]),
        (hosts.revoke, OTHER, [ONE]),
    ):
        async with transaction(owner_engine) as db:
            found = await change(db, name, host)
        assert found == (subscriber.client_id, subscriber.organization_id)
        assert (await client())["notify_hosts"] == expected


async def test_the_application_registers_nothing(
    make_subscriber: MakeSubscriber, app_engine: AsyncEngine
) -> None:
    await make_subscriber()
    with pytest.raises(Exception, match="permission denied"):
        async with transaction(app_engine) as db:
            await db.execute(text("update client set notify_hosts = '{https://evil.example}'"))


async def test_there_has_to_be_such_a_client(owner_engine: AsyncEngine) -> None:
    with pytest.raises(NotFound):
        async with transaction(owner_engine) as db:
            await hosts.register(db, "nobody", ONE)
