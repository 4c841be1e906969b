"""Two organizations with the same things, and everybody who might call: what isolation is tried on.

What is of one has an id in `Tenant.names`, under the name that a path or a body calls it by. What
must never be seen by others is among its `canaries`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any
from uuid import UUID

from fastapi import FastAPI
from httpx import ASGITransport, AsyncClient
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.bundle_values import Json, Member, valid_npi
from tests.bundles import request_bundle
from tests.clocks import StillClock
from tests.crd_bodies import EHR, LONG, Record, hook_call
from tests.hand_made_jwt import ec_pair
from tests.integration.claims.deliveries import deliver
from tests.integration.crd.door import Ehr, HookClient, answered, change_door
from tests.integration.pas.attaching import Worker, attach, call
from tests.integration.pas.door import (
    CARE_UNMET,
    LINES,
    MET,
    NOW,
    ORIGIN,
    PATHS,
    Client,
    claim_response,
    register,
)
from tests.integration.pas.subscribing import may_be_told, subscribed
from tests.integration.review.door import Person, arrive
from tests.pki import showing
from tests.subscriptions import a_subscription
from tests.unit.priorauth.wiser_requests import CATALOGUE
from wiser_fhir.auth import cds_clients
from wiser_fhir.auth.cds_clients import Registration
from wiser_fhir.db.engine import transaction
from wiser_fhir.db.tables import OF_ORGANIZATIONS
from wiser_fhir.fhir.codes import Line
from wiser_fhir.priorauth.prepayment_life import PrepaymentLife
from wiser_fhir.sandbox.authority import Issued

# In no example that is published.
MEMBERS = {
    "ours": Member("6KM9YK1RQ38", "Ownfield", "Olga", date(1944, 11, 30), "female"),
    "theirs": Member("7MN1AM2TR49", "Foreignham", "Felix", date(1939, 5, 2), "male"),
}
# Cases that an act of a person changes, one for each act.
_CASES = ("case_id", "decided", "asked", "withdrawn", "noted", "given", "expedited", "talked")


@dataclass
class Tenant:
    """An organization: its clients, its contractor, who belongs to it, and what it has here."""

    name: str
    member: Member
    client: Client
    mac: Client
    hooks: HookClient
    names: dict[str, str] = field(default_factory=dict)

    def mbi(self, number: int) -> str:
        """One of the numbers of beneficiaries that are its own."""
        return f"{self.member.mbi[:-2]}{number:02}"

    @property
    def canaries(self) -> tuple[str, ...]:
        """What nobody else may be shown."""
        return (
            *self.names.values(),
            self.member.mbi[:-2],
            self.member.family,
            str(self.client.organization_id),
            str(self.mac.organization_id),
            str(self.client.client_id),
        )


@dataclass
class World:
    """The application, the two, and a look behind."""

    app: FastAPI
    http: AsyncClient
    superuser: AsyncEngine
    ours: Tenant
    theirs: Tenant
    connections: dict[bytes, AsyncClient] = field(default_factory=dict)
    people: dict[str, Person] = field(default_factory=dict)

    def connection(self, shown: Issued | None) -> AsyncClient:
        """HTTP over which a certificate was shown, or none. Kept: making one takes long."""
        der = b"" if shown is None else shown.der
        if der not in self.connections:
            transport = ASGITransport(showing(self.app, shown))
            self.connections[der] = AsyncClient(transport=transport, base_url=ORIGIN, timeout=60)
        return self.connections[der]

    async def audited(self, request_id: UUID) -> list[dict[str, Any]]:
        """What the trail says of a request."""
        query = text("select * from audit_event where request_id = :id order by id")
        async with self.superuser.connect() as db:
            return [dict(row) for row in (await db.execute(query, {"id": request_id})).mappings()]

    async def belongings(self, tenant: Tenant) -> dict[str, str]:
        """A digest of every row that an organization and its contractor have, by table."""
        digests = " union all ".join(
            f"select '{table}', md5(string_agg(t::text, '|' order by t::text))"  # noqa: S608
            f" from {table} t where organization_id = any (:owners)"
            for table in OF_ORGANIZATIONS
        )
        owners = [tenant.client.organization_id, tenant.mac.organization_id]
        async with self.superuser.connect() as db:
            found = await db.execute(text(digests), {"owners": owners})
            return {table: digest for table, digest in found if digest is not None}


async def built(
    app: FastAPI, http: AsyncClient, superuser: AsyncEngine, owner: AsyncEngine
) -> World:
    """The world: the same of both, about different people."""
    change_door(app, egress=Ehr().egress())
    people = [await arrive(superuser, http, roles=(role,)) for role in ("clinician", "coordinator")]
    ours, theirs = [
        await _tenant(name, member, app, http, superuser, owner, people)
        for name, member in MEMBERS.items()
    ]
    return World(app, http, superuser, ours, theirs)


async def _tenant(
    name: str,
    member: Member,
    app: FastAPI,
    http: AsyncClient,
    superuser: AsyncEngine,
    owner: AsyncEngine,
    people: list[Person],
) -> Tenant:
    client = await register(superuser, http)
    mac = await register(superuser, http)
    async with superuser.begin() as db:
        query = "update organization set kind = 'mac', acts_for = 'own' where id = :id"
        await db.execute(text(query), {"id": mac.organization_id})
    hooks = await _ehr(client, owner)
    tenant = Tenant(name, member, client, mac, hooks)
    await _cases(tenant)
    await _asked_for(tenant, app, superuser, people)
    await _subscriptions(tenant, superuser)
    await _cards(tenant)
    await _reviews(tenant, app, superuser)
    tenant.names["token"] = (
        await register(superuser, http, organization_id=client.organization_id)
    ).token
    return tenant


async def _ehr(client: Client, owner: AsyncEngine) -> HookClient:
    """The client's own EHR, which calls hooks."""
    pair, iss = ec_pair(str(client.client_id)), f"https://{client.client_id}.example"
    registration = Registration(iss, jwks={"keys": [pair.jwk()]}, fhir_servers=(EHR,))
    async with transaction(owner) as db:
        await cds_clients.register(db, client.client_id, client.organization_id, registration)
    return HookClient(client.http, pair, client.organization_id, client.client_id, iss)


async def _cases(tenant: Tenant) -> None:
    """One affirmed case, whose number is known, and those that people act on.

    Each is about another number, for a second request about one beneficiary is dismissed.
    """
    affirmed = await tenant.client.submit(
        request_bundle(answers=MET, member=tenant.member, seed=tenant.name)
    )
    response = claim_response(affirmed)
    tenant.names |= {"claim_response_id": response["id"], "utn": response["preAuthRef"]}
    for number, each in enumerate(_CASES):
        sent = request_bundle(
            answers=CARE_UNMET,
            member=tenant.member,
            mbi=tenant.mbi(number),
            seed=f"{tenant.name} {each}",
            expedited=each == "expedited",
        )
        tenant.names[each] = claim_response(await tenant.client.submit(sent))["id"]


async def _asked_for(
    tenant: Tenant, app: FastAPI, superuser: AsyncEngine, people: list[Person]
) -> None:
    """Documents that a reviewer asked for, and a file that came and is clear."""
    clinician, coordinator = people
    names = tenant.names
    worker = Worker(app.state.engine, StillClock(NOW))
    asked = await worker.ask(tenant.client, UUID(names["case_id"]))
    names |= {"task_id": str(asked), "communication_request_id": f"{asked}-1"}
    wanted = {"kind": "documents", "wanted": [{"code": "18776-5"}]}
    withdrawn = await coordinator.post(
        f"cases/{names['withdrawn']}/requests", {"revision": 1, "requests": [wanted]}
    )
    assert withdrawn.status_code == 200, withdrawn.text
    (request,) = withdrawn.json()["requests"]
    names["request_id"] = request["id"]
    shown = await clinician.case(names["case_id"])
    sent = [each for each in shown["messages"] if each["direction"] == "out"]
    names["message_id"] = sent[0]["id"]
    query = text("select trace_value from prior_auth_case where id = :id")
    async with superuser.connect() as db:
        names["trace"] = str(await db.scalar(query, {"id": names["case_id"]}))
    answer = await attach(tenant.client, call(names["trace"], tenant.mbi(_CASES.index("case_id"))))
    assert answer.status_code == 200, answer.text
    await worker.run()
    await worker.check_documents()
    (file,) = (await clinician.case(names["case_id"]))["attachments"]
    names["attachment_id"] = file["id"]


async def _subscriptions(tenant: Tenant, superuser: AsyncEngine) -> None:
    """One of each line to look at and to change, and one to delete."""
    await may_be_told(superuser, tenant.client, "https://ehr.example")
    for line in LINES:
        client = tenant.client.at(line)
        for name in ("own_id", "doomed"):
            kept = await subscribed(client, a_subscription(line))
            tenant.names[f"{name} {line}"] = kept["id"]


async def _cards(tenant: Tenant) -> None:
    """A card that was shown."""
    record = Record.of("2.2", tenant.member)
    body = hook_call("order-sign", record, record.order("64483", **LONG))
    cards = answered(await tenant.hooks.call(body))["cards"]
    tenant.names["card"] = cards[0]["uuid"]


async def _reviews(tenant: Tenant, app: FastAPI, superuser: AsyncEngine) -> None:
    """Two reviews before payment, with a document that came for each."""
    for name in ("review_id", "recommended"):
        review = await _review(tenant, name)
        tenant.names[name] = review["id"]
        await deliver(
            superuser,
            tenant.client.organization_id,
            review["adr_number"],
            at=NOW,
            member=tenant.member.mbi,
        )
    life = PrepaymentLife(app.state.engine, StillClock(NOW), CATALOGUE.process.timeframes)
    await life.match_documents()
    await life.move_on()
    query = text(
        "select a.id from attachment a join attachment_delivery d on d.id = a.delivery_id"
        " and d.organization_id = a.organization_id join prepayment_review r"
        " on r.adr_number = d.tracking_value where r.id = :id"
    )
    async with superuser.connect() as db:
        found = await db.scalar(query, {"id": UUID(tenant.names["review_id"])})
    tenant.names["document_id"] = str(found)


async def _review(tenant: Tenant, number: str) -> Json:
    """What a claim opens that nobody decided on before."""
    claim = {
        "claim_number": f"{tenant.name}-{number}",
        "mbi": tenant.member.mbi,
        "provider_npi": valid_npi("199999010"),
        "place_of_service": "11",
        "state": "NJ",
        "lines": [{"line": 1, "code": "62323", "units": 1, "service_date": "2026-11-02"}],
    }
    headers = {"authorization": f"Bearer {tenant.mac.token}"}
    answer = await tenant.mac.http.post("/claims", json=claim, headers=headers)
    assert answer.status_code == 200, answer.text
    (review,) = answer.json()["reviews"]
    found: Json = review
    return found


def line_of(path: str) -> Line:
    """In which line a path is."""
    return "2.0" if path.startswith(PATHS["2.0"]) else "2.2"


def absent(names: Mapping[str, str]) -> dict[str, str]:
    """The same names for what there is not."""
    return {name: _another(value) for name, value in names.items()}


def _another(value: str) -> str:
    """Of the same form, and nobody's: the last character but one is another."""
    changed = "1" if value[-2] != "1" else "2"
    return f"{value[:-2]}{changed}{value[-1]}"
