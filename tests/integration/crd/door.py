"""The CRD door over ASGI, the EHR on both its ends, and the answer read back by means of our own.

Nothing here reads an answer with the product's code: what it says is taken from the JSON.
"""

import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID

import httpx
from fastapi import FastAPI
from httpx import AsyncClient, Response
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.bundle_values import Json, Line
from tests.crd_bodies import EHR
from tests.hand_made_jwt import Pair, ec_pair, header_for, jwt
from tests.integration.pas.door import NOW, ORIGIN
from tests.vaults import A_SEALED_SQL
from wiser_fhir import exact
from wiser_fhir.auth import cds_clients
from wiser_fhir.auth.cds_clients import Registration
from wiser_fhir.crd.door import CrdDoor
from wiser_fhir.db.engine import transaction
from wiser_fhir.egress.client import Egress
from wiser_fhir.priorauth.numbers import time_ordered_uuid
from wiser_fhir.sandbox.tenant import Tenant

ISSUER = "https://ehr.sandbox.example"
CLEARINGHOUSE = UUID("5a5d0b0c-0000-4000-8000-000000000001")
CLINICIAN = UUID("5a5d0b0c-0000-4000-8000-000000000201")
INFORMATION = "http://hl7.org/fhir/us/davinci-crd/StructureDefinition/ext-coverage-information"


@dataclass
class Ehr:
    """The EHR behind our way out. It holds nothing until a test gives it something.

    `trouble` maps a name to the status it is answered with.
    """

    holds: dict[str, Json] = field(default_factory=dict)
    trouble: dict[str, int] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    tokens: set[str | None] = field(default_factory=set)

    def answer(self, request: httpx.Request) -> httpx.Response:
        """Answer one request."""
        name = str(request.url).removeprefix(f"{EHR}/")
        self.asked.append(name)
        self.tokens.add(request.headers.get("authorization"))
        kind = name.partition("?")[0]
        if kind in self.trouble:
            return httpx.Response(self.trouble[kind])
        found = self._searched() if name.startswith("Coverage?") else self.holds.get(name)
        if found is None:
            return httpx.Response(404)
        headers = {"content-type": "application/fhir+json"}
        content = exact.dumps(found)
        # A stream, as a network has it: the way out reads the raw bytes.
        return httpx.Response(200, headers=headers, stream=httpx.ByteStream(content))

    def egress(self) -> Egress:
        """The way out that leads here and nowhere else."""
        return Egress(transport=httpx.MockTransport(self.answer))

    def _searched(self) -> Json:
        found = [each for each in self.holds.values() if each["resourceType"] == "Coverage"]
        entries = [{"resource": each} for each in found]
        return {"resourceType": "Bundle", "type": "searchset", "entry": entries}


@dataclass(frozen=True)
class HookClient:
    """An EHR that is registered, towards our hooks. Every call brings a new JWT."""

    http: AsyncClient
    pair: Pair
    organization_id: UUID
    client_id: UUID
    iss: str = ISSUER

    def token(self, path: str, **claims: Any) -> str:
        """A JWT for a path; claims replaced, left out where None."""
        now = int(NOW.timestamp())
        usual = {"iss": self.iss, "aud": f"{ORIGIN}{path}", "iat": now, "exp": now + 300}
        told = {**usual, "jti": secrets.token_hex(16), **claims}
        kept = {name: value for name, value in told.items() if value is not None}
        return jwt(self.pair, header_for(self.pair), kept)

    async def post(
        self, path: str, body: Json | bytes, token: str | None = None, **headers: str
    ) -> Response:
        """POST with a JWT; `accept="..."` sets a header."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        usual = {
            "authorization": f"Bearer {token or self.token(path)}",
            "content-type": "application/json",
        }
        content = body if isinstance(body, bytes) else exact.dumps(body)
        return await self.http.post(path, content=content, headers=usual | named)

    async def call(self, body: Json | bytes, hook: str | None = None, **headers: str) -> Response:
        """Call a hook's service: that which the body names, unless one is given."""
        named = hook or (body["hook"] if isinstance(body, dict) else "order-sign")
        return await self.post(service(named), body, **headers)

    async def feedback(self, hook: str, body: Json | bytes, **headers: str) -> Response:
        """Tell a service what became of its cards."""
        return await self.post(f"{service(hook)}/feedback", body, **headers)


def service(hook: str) -> str:
    """The path of a hook's service."""
    return f"/cds-services/{hook}-crd"


async def seed_sandbox(superuser: AsyncEngine, owner: AsyncEngine, http: AsyncClient) -> HookClient:
    """The sandbox's own organizations and clinicians, and sandbox-ehr with a key of the test's."""
    tenant, pair = Tenant.load(), ec_pair("sandbox-ehr")
    async with transaction(owner) as db:
        await tenant.seed(db)
        await tenant.seed_cds_clients(db, {"keys": [pair.jwk()]})
    async with superuser.connect() as db:
        found = await db.execute(text("select id from client where name = 'sandbox-ehr'"))
        client_id: UUID = found.scalar_one()
    return HookClient(http, pair, CLEARINGHOUSE, client_id)


async def register_ehr(
    superuser: AsyncEngine,
    owner: AsyncEngine,
    http: AsyncClient,
    *,
    npis: tuple[str, ...] | None = None,
) -> HookClient:
    """Another organization's EHR; without `npis` a clearinghouse that may send for everybody."""
    organization_id, client_id = time_ordered_uuid(), time_ordered_uuid()
    pair, iss = ec_pair("another"), f"https://{client_id}.example"
    kind, acts_for = ("clearinghouse", "all") if npis is None else ("provider", "own")
    async with superuser.begin() as db:
        await db.execute(
            text(
                "insert into organization (id, name, kind, acts_for, npis)"
                " values (:id, 'Another one', :kind, :acts_for, :npis)"
            ),
            {"id": organization_id, "kind": kind, "acts_for": acts_for, "npis": list(npis or ())},
        )
        await db.execute(
            text(
                "insert into client (id, organization_id, name, scopes) values (:c, :o, :n, '{}')"
            ),
            {"c": client_id, "o": organization_id, "n": f"ehr-{client_id}"},
        )
    async with transaction(owner) as db:
        registration = Registration(iss, jwks={"keys": [pair.jwk()]}, fhir_servers=(EHR,))
        await cds_clients.register(db, client_id, organization_id, registration)
    return HookClient(http, pair, organization_id, client_id, iss)


def change_door(app: FastAPI, **changes: Any) -> None:
    """The door with other tools. The fixture `door` puts the first one back."""
    door: CrdDoor = app.state.crd
    app.state.crd = replace(door, **changes)


async def non_affirm(engine: AsyncEngine, organization_id: UUID, case_id: UUID, utn: str) -> None:
    """A clinician non-affirms a case in review, all of it, and the MAC numbers the decision."""
    steps = (
        "insert into determination (organization_id, case_id, sequence, revision, outcome,"  # noqa: S608
        " decided_at, decided_by, clinician_id, rationale, resubmission_steps, input_sha256,"
        " signed_in_at, mac)"
        " select organization_id, case_id, sequence, 1, 'non-affirmed', :at, 'clinician',"
        f" :clinician, {A_SEALED_SQL}, {A_SEALED_SQL}, decode(repeat('00', 32), 'hex'),"
        " :at, decode(repeat('00', 32), 'hex')"
        " from case_item where case_id = :case",
        "update case_item set status = 'non-affirmed' where case_id = :case",
        "update prior_auth_case set status = 'non-affirmed', decided_at = :at where id = :case",
        "insert into utn (utn, organization_id, case_id, revision, source, state, requested_at,"
        " assigned_at) values (:utn, :organization, :case, 1, 'local', 'assigned', :at, :at)",
    )
    values = {
        "organization": organization_id,
        "case": case_id,
        "at": NOW,
        "clinician": CLINICIAN,
        "utn": utn,
    }
    async with transaction(engine, organization_id) as db:
        for step in steps:
            used = {name: value for name, value in values.items() if f":{name}" in step}
            await db.execute(text(step), used)


# The answer, read back


@dataclass(frozen=True, slots=True)
class Said:
    """What one coverage-information extension says."""

    coverage: str
    covered: str
    pa_needed: str | None
    doc_needed: tuple[str, ...]
    doc_purpose: tuple[str, ...]
    info_needed: tuple[str, ...]
    reasons: tuple[str, ...]
    reason_texts: tuple[str, ...]
    details: tuple[Json, ...]
    billing: tuple[str, ...]
    questionnaires: tuple[str, ...]
    dependencies: tuple[str, ...]
    contacts: tuple[str, ...]
    date: str
    id: str
    number: str | None
    expires: str | None
    others: frozenset[str]


_READ = {
    "coverage", "covered", "pa-needed", "doc-needed", "doc-purpose", "info-needed", "reason",
    "detail", "billingCode", "questionnaire", "dependency", "contact", "date",
    "coverage-assertion-id", "satisfied-pa-id", "expiry-date",
}  # fmt: skip


def said_in(extension: Json) -> Said:
    """One extension, part by part; what CRD does not know of lands in `others`."""

    def values(url: str) -> list[Any]:
        parts = [each for each in extension["extension"] if each["url"] == url]
        return [each[key] for each in parts for key in each if key.startswith("value")]

    def one(url: str) -> Any:
        found = values(url)
        assert len(found) <= 1, f"{url} stands {len(found)} times"
        return found[0] if found else None

    parts = extension["extension"]
    reasons = values("reason")
    return Said(
        coverage=one("coverage")["reference"],
        covered=one("covered"),
        pa_needed=one("pa-needed"),
        doc_needed=tuple(values("doc-needed")),
        doc_purpose=tuple(values("doc-purpose")),
        info_needed=tuple(values("info-needed")),
        reasons=tuple(c["code"] for each in reasons for c in each.get("coding", ())),
        reason_texts=tuple(each.get("text", "") for each in reasons),
        details=tuple(_detail(each) for each in parts if each["url"] == "detail"),
        billing=tuple(each["code"] for each in values("billingCode")),
        questionnaires=tuple(values("questionnaire")),
        dependencies=tuple(each["reference"] for each in values("dependency")),
        contacts=tuple(
            key for each in parts if each["url"] == "contact" for key in each if key != "url"
        ),
        date=one("date"),
        id=one("coverage-assertion-id"),
        number=one("satisfied-pa-id"),
        expires=one("expiry-date"),
        others=frozenset(each["url"] for each in parts) - _READ,
    )


def _detail(detail: Json) -> Json:
    """A detail as code, category and so on, each its bare value."""
    return {
        part["url"]: value
        for part in detail["extension"]
        for key, value in part.items()
        if key != "url"
    }


def answered(response: Response) -> Json:
    """The body of an answer that came with 200, its numbers as they were written."""
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].split(";")[0] == "application/json"
    body: Json = exact.loads(response.content)
    assert isinstance(body["cards"], list)
    assert isinstance(body["systemActions"], list)
    return body


def extensions_of(resource: Json) -> list[Json]:
    """Every coverage-information of a resource."""
    return [each for each in resource.get("extension", ()) if each["url"] == INFORMATION]


def told(answer: Json, name: str | None = None) -> Said:
    """What the one answer about a resource says; without a name, about the only one."""
    resources = [action["resource"] for action in answer["systemActions"]]
    about = [r for r in resources if name in (None, f"{r['resourceType']}/{r['id']}")]
    assert len(about) == 1, [f"{r['resourceType']}/{r['id']}" for r in resources]
    [extension] = extensions_of(about[0])
    return said_in(extension)


def without_information(resource: Json) -> Json:
    """The resource as it was before anybody answered."""
    kept = [each for each in resource.get("extension", ()) if each["url"] != INFORMATION]
    bare = {key: value for key, value in resource.items() if key != "extension"}
    return bare | ({"extension": kept} if kept else {})


def broken_rules(said: Said, line: Line) -> list[str]:
    """The line's invariants in the words of its guide, as far as its engine can hold them.

    Source: CRD 2.2.1 and 2.0.1, ext-coverage-information, crd-ci-q1 to crd-ci-q9. Two are not as
    their words are: see `EXPECTED` in test_situations.
    """
    return list(_broken(said, line))


def _broken(said: Said, line: Line) -> Iterator[str]:
    coded = (said.covered, said.pa_needed, *said.doc_needed)
    if said.questionnaires and not said.doc_needed:
        yield "q1: a questionnaire, and no documentation needed"
    if line == "2.2" and said.covered == "not-covered" and said.pa_needed is not None:
        yield "q2: not covered, and yet authorization is spoken of"
    if line == "2.0" and said.covered != "not-covered" and said.pa_needed is None:
        yield "q2: nothing said of authorization"
    if ("conditional" in coded) != bool(said.info_needed):
        yield "q3: conditional, and nothing asked for, or the other way round"
    if said.pa_needed in ("satisfied", "no-auth") and "withpa" in said.doc_purpose:
        yield "q4: documents for an authorization that nobody needs"
    if (said.pa_needed == "satisfied") != (said.number is not None):
        yield "q5: satisfied without a number, or the other way round"
    yield from _unexplained(said, line)
    yield from _of_another_line(said, line)


def _unexplained(said: Said, line: Line) -> Iterator[str]:
    coded = (said.covered, said.pa_needed, *said.doc_needed)
    if "OTH" in said.info_needed and not said.reason_texts:
        yield "q6: something else is needed, and nobody says what"
    if not all(said.reason_texts):
        yield "q7: a reason without words"
    if said.doc_purpose and not said.reason_texts:
        yield "q8: a purpose without a reason"
    if "indeterminate" in coded and not (line == "2.2" and said.reason_texts):
        yield "q9: indeterminate, and nobody says why"


def _of_another_line(said: Said, line: Line) -> Iterator[str]:
    if said.others:
        yield f"parts that the guide does not know: {sorted(said.others)}"
    wanted = {"2.2": "valueContactDetail", "2.0": "valueContactPoint"}[line]
    if set(said.contacts) - {wanted}:
        yield f"contacts as {said.contacts}"
    if line == "2.0" and (said.expires or "indeterminate" in (said.covered, said.pa_needed)):
        yield "parts or codes that 2.0 does not have"
    if line == "2.0" and set(said.reasons) - {"gold-card", "detail-code"}:
        yield f"reasons that 2.0 does not have: {said.reasons}"
    for detail in said.details:
        if ("category" in detail) != (line == "2.2"):
            yield "a category that 2.0 does not have, or 2.2 lacks"


def at(moment: datetime = NOW) -> str:
    """An instant on the wire."""
    return moment.isoformat().replace("+00:00", "Z")
