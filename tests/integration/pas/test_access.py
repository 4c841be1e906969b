"""Who may do what: tokens, scopes, organizations."""

from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest
from httpx import AsyncClient

from tests.bundles import Json, Line, inquiry_bundle, request_bundle, valid_npi
from tests.clocks import StillClock
from tests.integration.pas.door import (
    CARE_UNMET,
    FHIR_JSON,
    MET,
    NOW,
    PATHS,
    Client,
    MakeClient,
    Rows,
    claim_response,
    found_by,
    outcome_of,
    reference_number,
)
from tests.update_bundles import update_of

REQUESTER = valid_npi("199999010")
TIN_SYSTEMS = (
    "http://terminology.hl7.org/NamingSystem/USEIN",
    "urn:oid:2.16.840.1.113883.4.4",
)


@pytest.mark.parametrize("path", ["Claim/$submit", "Claim/$inquire"])
async def test_without_a_token_nothing_is_taken(
    path: str, line: Line, stranger: AsyncClient, rows: Rows
) -> None:
    answer = await stranger.post(
        f"{PATHS[line]}/{path}", json=request_bundle(line), headers={"content-type": FHIR_JSON}
    )
    (issue,) = outcome_of(answer, 401)
    assert issue["code"] == "login"
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert set((await rows.counts()).values()) == {0}


@pytest.mark.parametrize("token", ["", "x", "A" * 43, "é"])
async def test_a_bad_token_is_none(token: str, client: Client, line: Line, rows: Rows) -> None:
    bad = replace(client, token=token).at(line)
    answer = await bad.http.post(
        f"{PATHS[line]}/Claim/$submit",
        json=request_bundle(line),
        headers=[
            (b"authorization", f"Bearer {token}".encode()),
            (b"content-type", b"application/json"),
        ],
    )
    outcome_of(answer, 401)
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert await rows.audit() == [("request.refused", "login")]


async def test_an_expired_token_is_none(make_client: MakeClient, line: Line) -> None:
    expired = await make_client(line, issued_at=NOW - timedelta(hours=2), ttl=timedelta(hours=1))
    answer = await expired.submit(request_bundle(line))
    outcome_of(answer, 401)
    assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_a_token_ends_while_in_use(client: Client, clock: StillClock) -> None:
    clock.now = NOW + timedelta(hours=1)
    outcome_of(await client.get("ClaimResponse/x"), 401)


async def test_a_stranger_learns_nothing_of_a_bundle(stranger: AsyncClient, line: Line) -> None:
    """401 comes before anything is said of the body."""
    answer = await stranger.post(f"{PATHS[line]}/Claim/$submit", content=b"{broken")
    outcome_of(answer, 401)


@pytest.mark.parametrize("scope", ["system/ClaimResponse.rs", "system/Claim.u"])
async def test_submitting_needs_its_scope(
    scope: str, make_client: MakeClient, line: Line, rows: Rows
) -> None:
    reader = await make_client(line, scopes=(scope,))
    (issue,) = outcome_of(await reader.submit(request_bundle(line)), 403)
    assert issue["code"] == "forbidden"
    assert set((await rows.counts()).values()) == {0}


@pytest.mark.parametrize("scope", ["system/Claim.c", "system/ClaimResponse.r"])
async def test_asking_needs_its_scope(scope: str, make_client: MakeClient, line: Line) -> None:
    sender = await make_client(line, scopes=(scope,))
    outcome_of(await sender.inquire(inquiry_bundle(line)), 403)
    outcome_of(await sender.get(f"ClaimResponse/{uuid4()}"), 403)


async def test_a_provider_sends_for_itself_alone(
    make_client: MakeClient, line: Line, rows: Rows
) -> None:
    clinic = await make_client(line, npis=(REQUESTER,))
    claim_response(await clinic.submit(request_bundle(line, answers=MET)))
    before = await rows.counts()
    other = request_bundle(line, requestor_npi=valid_npi("199999088"), seed="other")
    (issue,) = outcome_of(await clinic.submit(other), 403)
    assert issue["code"] == "forbidden"
    assert await rows.counts() == before


@pytest.mark.parametrize("how", ["identifier", "contained"])
async def test_however_the_provider_is_named(how: str, make_client: MakeClient, rows: Rows) -> None:
    clinic = await make_client(npis=(REQUESTER,))
    bundle = request_bundle(answers=MET)
    claim = bundle["entry"][0]["resource"]
    number = {"system": "http://hl7.org/fhir/sid/us-npi", "value": valid_npi("199999088")}
    if how == "identifier":
        claim["provider"] = {"type": "Organization", "identifier": number}
    else:
        requestor = next(
            e["resource"] for e in bundle["entry"] if e["fullUrl"] == claim["provider"]["reference"]
        )
        claim["contained"] = [{**requestor, "id": "requestor", "identifier": [number]}]
        claim["provider"] = {"reference": "#requestor"}
    answer = await clinic.submit(bundle)
    assert answer.status_code in (403, 422), answer.text
    assert set((await rows.counts()).values()) == {0}


def named_by(bundle: Json, *tins: str, first: int = 0) -> Json:
    """The bundle with these taxpayers' numbers in what Claim.provider leads to, and no others.

    They are under either name of the system in turn, from the `first` one on: the profile allows
    one of each.
    """
    claim = bundle["entry"][0]["resource"]
    requestor = next(
        e["resource"] for e in bundle["entry"] if e["fullUrl"] == claim["provider"]["reference"]
    )
    kept = [each for each in requestor["identifier"] if each["system"] not in TIN_SYSTEMS]
    systems = (TIN_SYSTEMS[first], TIN_SYSTEMS[1 - first])
    named = zip(systems, tins, strict=False)
    requestor["identifier"] = [*kept, *({"system": a, "value": tin} for a, tin in named)]
    return bundle


@pytest.mark.parametrize("tins", [(), ("000000001",), ("00-0000001",), ("000000001", "000000002")])
async def test_a_provider_names_its_own_tins_or_none(
    make_client: MakeClient, line: Line, tins: tuple[str, ...]
) -> None:
    clinic = await make_client(line, npis=(REQUESTER,), tins=("000000001", "000000002"))
    bundle = named_by(request_bundle(line, answers=MET), *tins)
    claim_response(await clinic.submit(bundle))


@pytest.mark.parametrize("clearinghouse", [False, True])
@pytest.mark.parametrize(
    ("registered", "named"),
    [
        (("000000001",), ("000000009",)),
        (("000000001",), ("000000001", "000000009")),
        ((), ("000000001",)),
        (("000000001",), ("000000001x",)),
    ],
)
async def test_a_foreign_tin_is_refused_and_audited(
    make_client: MakeClient,
    rows: Rows,
    clearinghouse: bool,
    registered: tuple[str, ...],
    named: tuple[str, ...],
) -> None:
    sender = await make_client(npis=(REQUESTER,), tins=registered, clearinghouse=clearinghouse)
    for first in range(len(TIN_SYSTEMS)):
        bundle = named_by(request_bundle(answers=MET), *named, first=first)
        (issue,) = outcome_of(await sender.submit(bundle), 403)
        assert issue["code"] == "forbidden"
        assert named[-1] not in str(issue)
    assert set((await rows.counts()).values()) == {0}
    assert await rows.audit() == [("request.refused", "forbidden")] * 2


async def test_a_foreign_tin_beside_the_reference_counts_too(make_client: MakeClient) -> None:
    clinic = await make_client(npis=(REQUESTER,))
    bundle = named_by(request_bundle(answers=MET))
    number = {"system": TIN_SYSTEMS[1], "value": "000000009"}
    bundle["entry"][0]["resource"]["provider"]["identifier"] = number
    outcome_of(await clinic.submit(bundle), 403)


async def test_who_may_send_for_everybody_names_any_tin(make_client: MakeClient) -> None:
    sender = await make_client(tins=())
    claim_response(await sender.submit(named_by(request_bundle(answers=MET), "000000009")))


async def test_a_clearinghouse_for_named_providers_sends_for_them_alone(
    make_client: MakeClient, line: Line, rows: Rows
) -> None:
    named = await make_client(line, npis=(REQUESTER,), clearinghouse=True)
    claim_response(await named.submit(request_bundle(line, answers=MET)))
    before = await rows.counts()
    other = request_bundle(line, requestor_npi=valid_npi("199999088"), seed="other")
    outcome_of(await named.submit(other), 403)
    assert await rows.counts() == before


async def test_a_refused_sender_gets_no_stored_answer(make_client: MakeClient) -> None:
    """Even where the identifier is known: who may not send may not hear."""
    clinic = await make_client(npis=(REQUESTER,))
    bundle = request_bundle(answers=MET)
    await clinic.submit(bundle)
    other = await make_client(npis=(valid_npi("199999088"),))
    outcome_of(await other.submit(bundle), 403)


async def test_anothers_case_looks_like_none(make_client: MakeClient, line: Line) -> None:
    owner, other = await make_client(line), await make_client(line)
    case = claim_response(await owner.submit(request_bundle(line, answers=MET)))
    foreign = await other.get(f"ClaimResponse/{case['id']}")
    absent = await other.get(f"ClaimResponse/{uuid4()}")
    malformed = await other.get("ClaimResponse/no-such-id")
    (issue,) = outcome_of(foreign, 404)
    assert issue["code"] == "not-found"
    assert foreign.content == absent.content == malformed.content
    assert absent.status_code == malformed.status_code == 404
    assert foreign.headers["content-type"] == malformed.headers["content-type"]


async def test_an_inquiry_finds_nothing_of_another_organization(
    make_client: MakeClient, line: Line
) -> None:
    owner, other = await make_client(line), await make_client(line)
    affirmed = claim_response(await owner.submit(request_bundle(line, answers=MET)))
    pended = claim_response(
        await owner.submit(request_bundle(line, answers=CARE_UNMET, seed="pended"))
    )
    for asked in (
        {"any_service": True},
        {"utn": affirmed["preAuthRef"]},
        {"reference": reference_number(pended)},
    ):
        assert found_by(await other.inquire(inquiry_bundle(line, **asked))) == []


async def test_two_clients_of_one_organization_share_its_cases(make_client: MakeClient) -> None:
    one = await make_client()
    two = await make_client(organization_id=one.organization_id)
    case = claim_response(await one.submit(request_bundle(answers=MET)))
    assert (await two.get(f"ClaimResponse/{case['id']}")).status_code == 200


async def test_metadata_is_open_to_everybody(stranger: AsyncClient, line: Line) -> None:
    answer = await stranger.get(f"{PATHS[line]}/metadata")
    assert answer.status_code == 200
    body = answer.json()
    assert body["resourceType"] == "CapabilityStatement"
    (rest,) = body["rest"]
    operations = {
        operation["name"] for each in rest["resource"] for operation in each.get("operation", ())
    }
    assert operations >= {"submit", "inquire"}
    assert body["format"] == ["json", FHIR_JSON]


async def test_each_line_has_its_own_address_and_guide(stranger: AsyncClient) -> None:
    guides = {}
    for each, path in PATHS.items():
        body = (await stranger.get(f"{path}/metadata")).json()
        guides[each] = body["implementationGuide"]
        assert body["implementation"]["url"].endswith(path)
    assert any(guide.endswith("|2.2.1") for guide in guides["2.2"])
    assert any(guide.endswith("|2.0.1") for guide in guides["2.0"])


async def test_to_change_a_request_takes_more_than_to_send_one(
    make_client: MakeClient, line: Line, rows: Rows
) -> None:
    first = request_bundle(line, answers=CARE_UNMET)
    for scope, status in (("system/Claim.c", 403), ("system/Claim.cu", 200)):
        sender = (await make_client(line, scopes=(scope,))).at(line)
        assert (await sender.submit(first)).status_code == 200
        answer = await sender.submit(update_of(first, line, seed="add", add=("64484",)))
        assert answer.status_code == status
        if status == 403:
            assert 'scope="system/Claim.cu"' in answer.headers["www-authenticate"]
            (case,) = await rows.cases()
            assert case["revision"] == 1
