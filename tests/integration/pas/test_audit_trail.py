"""Every act and every refusal leaves a row; no row says who the patient is."""

import hashlib
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
import pytest

from tests.bundles import Line, inquiry_bundle, request_bundle, valid_npi
from tests.integration.pas.door import (
    CARE_UNMET,
    MET,
    Client,
    MakeClient,
    Rows,
    claim_response,
)
from tests.update_bundles import update_of

Act = Callable[[Client], Awaitable[Any]]


async def _acts(rows: Rows) -> list[tuple[str, str]]:
    """Without the looks past the organization's border, which have rows of their own."""
    return [row for row in await rows.audit() if not row[0].startswith("gate.")]


@pytest.mark.parametrize(
    ("fields", "outcome"),
    [
        ({"answers": MET}, "affirmed"),
        ({"answers": CARE_UNMET}, "in-review"),
        ({"payer": "medicaid"}, "dismissed"),
    ],
)
async def test_a_submission_is_on_the_trail(
    fields: dict[str, Any], outcome: str, client: Client, line: Line, rows: Rows
) -> None:
    answer = await client.at(line).submit(request_bundle(line, **fields))
    assert await _acts(rows) == [("claim.submit", outcome)]
    (row,) = await rows.all("select * from audit_event where action = 'claim.submit'")
    assert row["organization_id"] == client.organization_id
    assert row["client_id"] == client.client_id
    assert str(row["request_id"]) == answer.headers["x-request-id"]
    assert (row["object_kind"], row["object_id"]) == (
        "prior-auth-case",
        claim_response(answer)["id"],
    )


async def test_the_look_for_a_duplicate_is_on_the_trail(client: Client, rows: Rows) -> None:
    await client.submit(request_bundle(answers=CARE_UNMET, seed="first"))
    await client.submit(request_bundle(answers=CARE_UNMET, seed="second"))
    assert ("gate.open-twin", "none") in await rows.audit()
    assert (await _acts(rows))[-1] == ("claim.submit", "dismissed")


async def test_asking_and_reading_are_on_the_trail(client: Client, line: Line, rows: Rows) -> None:
    sent = claim_response(await client.at(line).submit(request_bundle(line, answers=MET)))
    await client.at(line).inquire(inquiry_bundle(line, any_service=True))
    await client.at(line).get(f"ClaimResponse/{sent['id']}")
    assert await _acts(rows) == [
        ("claim.submit", "affirmed"),
        ("claim.inquire", "answered"),
        ("claim-response.read", "read"),
    ]


async def _conflict(client: Client) -> None:
    body = orjson.dumps(request_bundle(answers=MET))
    await client.submit(body)
    await client.submit(body + b" ")


REFUSALS: dict[str, tuple[Act, str]] = {
    "broken JSON": (lambda c: c.submit(b"{"), "structure"),
    "conflict": (_conflict, "conflict"),
    "absent": (lambda c: c.get("ClaimResponse/x"), "not-found"),
    "too large": (lambda c: c.submit(b" " * (32 * 1024 * 1024 + 1)), "too-long"),
    "no such operation": (lambda c: c.post("Claim/$frobnicate", {}), "not-found"),
}


@pytest.mark.parametrize("name", REFUSALS)
async def test_a_refusal_is_on_the_trail(name: str, client: Client, rows: Rows) -> None:
    act, code = REFUSALS[name]
    await act(client)
    assert (await _acts(rows))[-1] == ("request.refused", code)
    row = (await rows.all("select * from audit_event order by id"))[-1]
    assert row["organization_id"] == client.organization_id
    assert row["client_id"] == client.client_id
    assert row["detail"]["status"] >= 400


async def test_a_forbidden_act_is_on_the_trail(make_client: MakeClient, rows: Rows) -> None:
    clinic = await make_client(npis=(valid_npi("199999088"),))
    await clinic.submit(request_bundle(answers=MET))
    assert await _acts(rows) == [("request.refused", "forbidden")]


async def test_a_foreign_case_asked_for_is_on_the_askers_trail(
    make_client: MakeClient, rows: Rows
) -> None:
    owner, other = await make_client(), await make_client()
    sent = claim_response(await owner.submit(request_bundle(answers=MET)))
    await other.get(f"ClaimResponse/{sent['id']}")
    row = (await rows.all("select * from audit_event order by id"))[-1]
    assert (row["action"], row["outcome"]) == ("request.refused", "not-found")
    assert row["organization_id"] == other.organization_id


async def test_no_row_names_the_patient(client: Client, line: Line, rows: Rows) -> None:
    """A beneficiary is a keyed hash: not the number, and no hash that anybody could make of it."""
    first = request_bundle(line, answers=MET)
    await client.at(line).submit(first)
    await client.at(line).inquire(inquiry_bundle(line, any_service=True))
    for seed in ("taken", "outdated"):
        await client.at(line).submit(update_of(first, line, seed=seed, add=("64484",)))
    trail = await rows.all("select audit_event::text as whole, patient from audit_event")
    for row in trail:
        for secret in ("1EG4TE5MK73", "Testfeather", "Ada", "1948"):
            assert secret not in row["whole"]
    patients = {bytes(row["patient"]) for row in trail if row["patient"] is not None}
    assert len(patients) == 1
    assert patients.isdisjoint({hashlib.sha256(b"1EG4TE5MK73").digest()})
