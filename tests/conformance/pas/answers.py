"""Requests that between them make us send every kind of answer this door has."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

import orjson
import pytest
from fastapi import FastAPI
from httpx import Response

from tests.bundle_values import MEMBERS
from tests.bundles import Json, Line, inquiry_bundle, request_bundle, valid_npi
from tests.conformance.examples import recipes
from tests.integration.pas.deciders import serve_only
from tests.integration.pas.dismissals import DISMISSALS
from tests.integration.pas.door import (
    CARE_UNMET,
    LINES,
    MET,
    Client,
    MakeClient,
    claim_response,
    reference_number,
)
from tests.update_bundles import cancel_of, claim_of, on, update_of


@dataclass(frozen=True)
class World:
    """What a scenario works with; `client` speaks the line the scenario is about."""

    app: FastAPI
    client: Client
    make_client: MakeClient
    monkeypatch: pytest.MonkeyPatch

    @property
    def line(self) -> Line:
        """The line spoken."""
        return self.client.line

    def request(self, **fields: Any) -> Json:
        """A request of this line."""
        return request_bundle(self.line, **fields)

    def inquiry(self, **fields: Any) -> Json:
        """An inquiry of this line."""
        return inquiry_bundle(self.line, **fields)


Scenario = Callable[[World], Awaitable[Response]]


def _submits(**fields: Any) -> Scenario:
    async def scenario(world: World) -> Response:
        return await world.client.submit(world.request(**fields))

    return scenario


def _is_dismissed(gate: str) -> Scenario:
    async def scenario(world: World) -> Response:
        dismissed = DISMISSALS[gate]
        serve_only(world.app, world.monkeypatch, dismissed.serves)
        return await world.client.submit(dismissed.bundle(world.line))

    return scenario


async def _duplicate(world: World) -> Response:
    await world.client.submit(world.request(answers=CARE_UNMET, identifier="first"))
    return await world.client.submit(world.request(answers=CARE_UNMET, identifier="second"))


def _updates(**fields: Any) -> Scenario:
    """A line added, one changed and one cancelled."""

    async def scenario(world: World) -> Response:
        first = world.request(codes=("64483", "64484"), **fields)
        await world.client.submit(first)
        later = {1: on("2026-12-18")}
        return await world.client.submit(
            update_of(first, world.line, change=later, cancel=(2,), add=("99213",))
        )

    return scenario


def _cancels(**fields: Any) -> Scenario:
    async def scenario(world: World) -> Response:
        first = world.request(answers=MET)
        await world.client.submit(first)
        return await world.client.submit(cancel_of(first, world.line, **fields))

    return scenario


async def _refused_update(world: World) -> Response:
    return await world.client.submit(update_of(world.request(answers=MET), world.line))


async def _bare_refused_update(world: World) -> Response:
    """Without anything of a Claim that need not be there."""
    bundle = update_of(world.request(answers=MET), world.line)
    claim_of(bundle).pop("extension", None)
    return await world.client.submit(bundle)


async def _read_cancelled(world: World) -> Response:
    """After a cancel that left its lines away, where the line allows it."""
    sent = claim_response(await _cancels(with_items=False)(world))
    return await world.client.get(f"ClaimResponse/{sent['id']}")


async def _logical_insurer(world: World) -> Response:
    """The payer by its identifier alone."""
    bundle = world.request(answers=MET)
    payer = {"system": "https://wiser-fhir.example/payer", "value": "original-medicare"}
    bundle["entry"][0]["resource"]["insurer"] = {"type": "Organization", "identifier": payer}
    return await world.client.submit(bundle)


async def _contained_insurer(world: World) -> Response:
    """The payer inside the Claim."""
    bundle = world.request(answers=MET)
    claim = bundle["entry"][0]["resource"]
    payer = next(
        e["resource"] for e in bundle["entry"] if e["fullUrl"] == claim["insurer"]["reference"]
    )
    claim["contained"] = [{**payer, "id": "payer"}]
    claim["insurer"] = {"reference": "#payer"}
    return await world.client.submit(bundle)


async def _read(world: World) -> Response:
    sent = claim_response(await world.client.submit(world.request(answers=MET)))
    return await world.client.get(f"ClaimResponse/{sent['id']}")


async def _finds_nothing(world: World) -> Response:
    return await world.client.inquire(world.inquiry())


async def _finds_one(world: World) -> Response:
    sent = claim_response(await world.client.submit(world.request(answers=CARE_UNMET)))
    return await world.client.inquire(world.inquiry(reference=reference_number(sent)))


async def _finds_many(world: World) -> Response:
    """Affirmed, dismissed and pended, of both lines, asked for at one of them."""
    for line in LINES:
        sender = world.client.at(line)
        sent: dict[str, dict[str, Any]] = {
            "affirmed": {"answers": MET},
            "dismissed": {"payer": "medicaid"},
            "pended": {"service": "skin-substitutes"},
        }
        for name, fields in sent.items():
            await sender.submit(request_bundle(line, seed=name, **fields))
    return await world.client.inquire(world.inquiry(any_service=True))


async def _finds_anothers(world: World) -> Response:
    await world.client.submit(world.request(answers=MET))
    rendering = valid_npi("199999020")
    other = (await world.make_client(npis=(rendering,))).at(world.line)
    return await other.inquire(world.inquiry(requestor_npi=rendering))


def _posts(body: Json | bytes, operation: str = "submit", **headers: str) -> Scenario:
    async def scenario(world: World) -> Response:
        return await world.client.post(f"Claim/${operation}", body, **headers)

    return scenario


async def _broken(world: World) -> Response:
    return await world.client.submit(recipes.broken(world.line))


async def _breaks_its_profile(world: World) -> Response:
    bundle = world.request(answers=MET)
    del bundle["entry"][0]["resource"]["item"][0]["category"]
    return await world.client.submit(bundle)


async def _conflict(world: World) -> Response:
    body = orjson.dumps(world.request(answers=MET))
    await world.client.submit(body)
    return await world.client.submit(body + b" ")


async def _without_token(world: World) -> Response:
    return await replace(world.client, token="none").submit(world.request())


async def _wrong_scope(world: World) -> Response:
    reader = await world.make_client(world.line, scopes=("system/ClaimResponse.rs",))
    return await reader.submit(world.request())


async def _another_provider(world: World) -> Response:
    clinic = await world.make_client(world.line, npis=(valid_npi("199900099"),))
    return await clinic.submit(world.request())


def _gets(path: str, **headers: str) -> Scenario:
    async def scenario(world: World) -> Response:
        return await world.client.get(path, **headers)

    return scenario


ANSWERED: dict[str, Scenario] = {
    "affirmed": _submits(answers=MET),
    "affirmed, many lines": _submits(answers=MET, codes=("64483", "64484", "99152", "99213")),
    "affirmed, type of bill": _submits(answers=MET, site="131"),
    "pended": _submits(answers=CARE_UNMET),
    "pended, nothing told": _submits(evidence=False, order=False, diagnoses=(), ptan=None),
    "pended, urgent": _submits(answers=CARE_UNMET, expedited=True, member=MEMBERS[2]),
    "pended, resubmission": _submits(answers=CARE_UNMET, previous_utn="ZZB00000000001"),
    "affirmed, insurer by identifier": _logical_insurer,
    "affirmed, insurer contained": _contained_insurer,
    "duplicate": _duplicate,
    "update, affirmed": _updates(answers=MET),
    "update, pended": _updates(answers=CARE_UNMET),
    "update, refused": _refused_update,
    "bare update, refused": _bare_refused_update,
    "cancelled": _cancels(),
    "cancelled without lines": _cancels(with_items=False),
    "cancelled, read": _read_cancelled,
    "read": _read,
    "inquiry, none": _finds_nothing,
    "inquiry, one": _finds_one,
    "inquiry, many": _finds_many,
    "inquiry, another's": _finds_anothers,
    "metadata": _gets("metadata"),
}
"""Answers with 200."""

DISMISSED: dict[tuple[str, Line], Scenario] = {
    (gate, line): _is_dismissed(gate)
    for gate, dismissed in DISMISSALS.items()
    for line in dismissed.lines
}

REFUSED: dict[str, tuple[int, Scenario]] = {
    "no JSON": (400, _posts(b"{")),
    "no object": (400, _posts(b"[]")),
    "key twice": (400, _posts(b'{"resourceType":"Bundle","type":"a","type":"b"}')),
    "empty Bundle": (400, _posts({"resourceType": "Bundle", "type": "collection", "entry": []})),
    "empty inquiry": (
        400,
        _posts({"resourceType": "Bundle", "type": "collection", "entry": []}, "inquire"),
    ),
    "another resource": (422, _posts({"resourceType": "Patient"})),
    "no resource": (400, _posts({"resourceType": "Nonsense"})),
    "broken": (400, _broken),
    "no token": (401, _without_token),
    "wrong scope": (403, _wrong_scope),
    "another provider": (403, _another_provider),
    "no such operation": (404, _posts({}, "frobnicate")),
    "no such case": (404, _gets("ClaimResponse/0")),
    "not acceptable": (406, _gets("metadata", accept="application/fhir+xml")),
    "wrong method": (405, _gets("Claim/$submit")),
    "conflict": (409, _conflict),
    "too large": (413, _posts(b" " * (32 * 1024 * 1024 + 1))),
    "XML": (415, _posts(b"<Bundle/>", **{"content_type": "application/fhir+xml"})),
    "breaks its profile": (422, _breaks_its_profile),
}
"""Refusals, each with its status."""
