"""Who sends for whom, at each door: numbers of providers that are another's open nothing.

Source: threats I1 and T4 of docs/security.md; WISeR Operational Guide 6.0, 4.1.
"""

from typing import Any

import pytest

from tests.bundle_values import valid_npi
from tests.bundles import Json, Line, inquiry_bundle, request_bundle
from tests.crd_bodies import Record, hook_call
from tests.integration.crd.door import answered, told
from tests.integration.isolation.world import World
from tests.integration.pas.door import (
    CARE_UNMET,
    LINES,
    MET,
    Client,
    claim_response,
    found_by,
    outcome_of,
    register,
)
from tests.update_bundles import cancel_of, update_of

MINE, FOREIGN = valid_npi("199999010"), valid_npi("199999088")
KINDS = ("provider", "clearinghouse")


async def sender(world: World, kind: str, line: Line, *npis: str) -> Client:
    """Who sends for providers by name: one of them, or a clearinghouse."""
    made = await register(
        world.superuser, world.http, npis=npis or (MINE,), clearinghouse=kind == "clearinghouse"
    )
    return made.at(line)


def a_request(world: World, line: Line, number: int, **fields: object) -> Json:
    """A request that a clinician has to look at, about one of our beneficiaries."""
    values = {"answers": CARE_UNMET, "seed": f"whose {number} {line}", **fields}
    mbi = world.ours.mbi(number)
    return request_bundle(line, member=world.ours.member, mbi=mbi, **values)


def of_a_foreign_taxpayer(bundle: Json) -> Json:
    """The bundle, its sender under a taxpayer's number that nobody registered."""
    claim = bundle["entry"][0]["resource"]
    place = claim["provider"]["reference"]
    (requestor,) = (each["resource"] for each in bundle["entry"] if each["fullUrl"] == place)
    for identifier in requestor["identifier"]:
        if identifier["system"].endswith("USEIN"):
            identifier["value"] = "000000009"
    return bundle


@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize("kind", KINDS)
async def test_what_changes_a_request_names_no_other_provider(
    world: World, kind: str, line: Line
) -> None:
    client = await sender(world, kind, line)
    number = 60 + KINDS.index(kind) * 2 + LINES.index(line)
    sent = a_request(world, line, number)
    case = claim_response(await client.submit(sent))
    before = (await client.get(f"ClaimResponse/{case['id']}")).json()
    other = a_request(world, line, number, requestor_npi=FOREIGN)
    for bundle in (
        update_of(other, line, add=("64484",)),
        cancel_of(other, line),
        of_a_foreign_taxpayer(update_of(sent, line, add=("64484",), seed="taxpayer")),
        of_a_foreign_taxpayer(cancel_of(sent, line, seed="taxpayer cancel")),
    ):
        (issue,) = outcome_of(await client.submit(bundle), 403)
        assert issue["code"] == "forbidden"
        assert FOREIGN not in str(issue)
    assert (await client.get(f"ClaimResponse/{case['id']}")).json() == before


@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize("how", [update_of, cancel_of])
async def test_another_organization_s_request_is_updated_as_if_there_were_none(
    world: World, line: Line, how: object
) -> None:
    number = 70 + LINES.index(line) + (2 if how is update_of else 0)
    sent = a_request(world, line, number)
    claim_response(await world.theirs.client.at(line).submit(sent))
    before = await world.belongings(world.theirs)
    never_sent = a_request(world, line, number, seed=f"never {number} {line}")
    answers = []
    for bundle in (sent, never_sent):
        changed = (
            update_of(bundle, line, add=("64484",)) if how is update_of else cancel_of(bundle, line)
        )
        answers.append(await world.ours.client.at(line).submit(changed))
    foreign, absent = answers
    assert foreign.status_code == absent.status_code
    assert _said(foreign.json()) == _said(absent.json())
    assert await world.belongings(world.theirs) == before


def _said(answer: Json) -> object:
    """What is said of what was wrong: all that does not repeat the request."""
    if answer["resourceType"] == "OperationOutcome":
        return answer["issue"]
    response = answer["entry"][0]["resource"]
    return response["outcome"], response.get("error"), response.get("disposition")


@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize("kind", KINDS)
async def test_an_inquiry_for_another_provider_finds_nothing(
    world: World, kind: str, line: Line
) -> None:
    number = 80 + KINDS.index(kind) * 2 + LINES.index(line)
    sent = a_request(world, line, number, answers=MET)
    response = claim_response(await world.theirs.client.at(line).submit(sent))
    client = await sender(world, kind, line, FOREIGN)
    about: dict[str, Any] = {"member": world.ours.member, "mbi": world.ours.mbi(number)}
    for asked in ({"any_service": True}, {"utn": response["preAuthRef"]}):
        for npi in (MINE, FOREIGN):
            answer = await client.inquire(inquiry_bundle(line, requestor_npi=npi, **about, **asked))
            assert found_by(answer) == []
            assert response["id"] not in answer.text


@pytest.mark.parametrize("kind", KINDS)
async def test_a_claim_of_another_provider_is_told_nothing_of(world: World, kind: str) -> None:
    number = 90 + KINDS.index(kind)
    sent = a_request(world, "2.2", number, answers=MET)
    response = claim_response(await world.theirs.client.submit(sent))
    client = await sender(world, kind, "2.2", FOREIGN)
    line = {"line": 1, "code": "64483", "units": 1, "service_date": "2026-12-15"}
    body = {
        "mbi": world.ours.mbi(number),
        "place_of_service": "24",
        "state": "TX",
        "lines": [{**line, "utn": response["preAuthRef"]}],
    }
    headers = {"authorization": f"Bearer {client.token}"}
    for npi in (MINE, FOREIGN):
        answer = await world.http.post(
            "/claims/check", json={**body, "provider_npi": npi}, headers=headers
        )
        assert [each["status"] for each in answer.json()["lines"]] == ["utn-unknown"]


async def test_a_hook_of_another_organization_is_not_told_of_a_number(world: World) -> None:
    sent = a_request(world, "2.2", 95, answers=MET)
    number = claim_response(await world.theirs.client.submit(sent))["preAuthRef"]
    record = Record.of("2.2", world.ours.member)
    for each in record.held.values():
        for identifier in each.get("identifier", ()):
            if identifier.get("value") == world.ours.member.mbi:
                identifier["value"] = world.ours.mbi(95)
    body = hook_call("order-sign", record, record.order("64483"))
    answer = await world.ours.hooks.call(body)
    assert told(answered(answer)).number is None
    assert number not in answer.text
