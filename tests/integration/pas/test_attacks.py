"""A request is affirmed; the same with one change that a person has to see is not."""

from collections.abc import Mapping

import pytest

from tests.bundle_resources import NPI_SYSTEM
from tests.bundles import Json, request_bundle, valid_npi
from tests.integration.pas.attacks import PENDED, REFUSED, UPDATES, Change
from tests.integration.pas.door import (
    CARE_UNMET,
    MET,
    Client,
    MakeClient,
    Rows,
    actions,
    claim_response,
    outcome_of,
)
from wiser_fhir.fhir import codes

OWN, FOREIGN = valid_npi("199999010"), valid_npi("199999088")


async def _numbers(rows: Rows) -> int:
    return (await rows.counts())["utn"]


async def test_without_a_change_it_is_affirmed(client: Client, rows: Rows) -> None:
    response = claim_response(await client.submit(request_bundle(answers=MET)))
    assert actions(response) == {1: "A1"}
    assert await _numbers(rows) == 1


@pytest.mark.parametrize("attack", PENDED)
async def test_with_one_change_a_person_looks(attack: str, client: Client, rows: Rows) -> None:
    bundle = request_bundle(answers=MET)
    PENDED[attack](bundle)
    response = claim_response(await client.submit(bundle))
    assert set(actions(response).values()) == {"A4"}, response.get("disposition")
    assert await _numbers(rows) == 0


@pytest.mark.parametrize("attack", UPDATES)
async def test_a_change_to_an_earlier_request_is_no_new_one(
    attack: str, client: Client, rows: Rows
) -> None:
    bundle = request_bundle(answers=MET)
    UPDATES[attack](bundle)
    assert claim_response(await client.submit(bundle))["outcome"] == "error"
    assert await rows.audit() == [("claim.update", "update-of-unknown-request")]
    assert await _numbers(rows) == 0


@pytest.mark.parametrize("attack", REFUSED)
async def test_what_may_mean_something_else_is_refused(
    attack: str, client: Client, rows: Rows
) -> None:
    bundle = request_bundle(answers=MET)
    REFUSED[attack](bundle)
    outcome_of(await client.submit(bundle), 422)
    assert set((await rows.counts()).values()) == {0}


@pytest.mark.parametrize(
    "more",
    [
        {"implicitRules": "https://rules.example/negated"},
        {"extension": [{"url": "urn:x", "valueBoolean": True}]},
        {"meta": {"tag": [{"code": "x"}]}},
    ],
    ids=lambda more: next(iter(more)),
)
async def test_a_wrapper_holds_the_bundle_and_nothing_else(more: Json, client: Client) -> None:
    parameter = {"name": "resource", "resource": request_bundle(answers=MET)}
    whole = {"resourceType": "Parameters", "parameter": [parameter]}
    outcome_of(await client.submit({**whole, **more}), 400)
    marked = {**parameter, "modifierExtension": [{"url": "urn:x", "valueBoolean": True}]}
    outcome_of(await client.submit({**whole, "parameter": [marked]}), 400)


# Who sends


def _requestor(bundle: Json) -> Json:
    provider = bundle["entry"][0]["resource"]["provider"]["reference"]
    found: Json = next(e["resource"] for e in bundle["entry"] if e["fullUrl"] == provider)
    return found


def _no_number(bundle: Json) -> None:
    del _requestor(bundle)["identifier"][0]


def _under_another_system(system: str) -> Change:
    return lambda bundle: _requestor(bundle)["identifier"][0].update(system=system)


def _provider(provider: Json) -> Change:
    return lambda bundle: bundle["entry"][0]["resource"].update(provider=provider)


def _foreign_beside(bundle: Json) -> None:
    """Under the other name of the system."""
    number = {"system": codes.NPI_SYSTEMS[1], "value": FOREIGN}
    _requestor(bundle)["identifier"].append(number)


def _foreign_reference(bundle: Json) -> None:
    number = {"system": NPI_SYSTEM, "value": FOREIGN}
    bundle["entry"][0]["resource"]["provider"]["identifier"] = number


def _role_of_another_organization(bundle: Json) -> None:
    """The practitioner is the caller's own, the organization behind the role is not."""
    role = next(e for e in bundle["entry"] if e["resource"]["resourceType"] == "PractitionerRole")
    practitioner = next(
        e["resource"] for e in bundle["entry"] if e["resource"]["resourceType"] == "Practitioner"
    )
    practitioner["identifier"][0]["value"] = OWN
    _requestor(bundle)["identifier"][0]["value"] = FOREIGN
    bundle["entry"][0]["resource"]["provider"] = {"reference": role["fullUrl"]}


SENDERS: Mapping[str, Change] = {
    "no number": _no_number,
    "another spelling": _under_another_system("HTTP://hl7.org/fhir/sid/us-npi"),
    "words alone": _provider({"display": "Made-up Clinic"}),
    "a foreign number beside the own": _foreign_beside,
    "a foreign number in the reference": _foreign_reference,
    "a role in a foreign organization": _role_of_another_organization,
}


@pytest.mark.parametrize("attack", SENDERS)
async def test_a_clinic_sends_under_its_own_numbers_alone(
    attack: str, make_client: MakeClient, rows: Rows
) -> None:
    clinic = await make_client("2.0", npis=(OWN,))
    bundle = request_bundle("2.0", answers=MET)
    SENDERS[attack](bundle)
    (issue,) = outcome_of(await clinic.submit(bundle), 403)
    assert issue["code"] == "forbidden"
    assert set((await rows.counts()).values()) == {0}


@pytest.mark.parametrize("number", [OWN, FOREIGN])
async def test_the_other_name_of_the_number_counts(
    number: str, make_client: MakeClient, rows: Rows
) -> None:
    clinic = await make_client(npis=(OWN,))
    bundle = request_bundle(answers=MET)
    identifier = _requestor(bundle)["identifier"][0]
    identifier.update(system="urn:oid:2.16.840.1.113883.4.6", value=number)
    answer = await clinic.submit(bundle)
    if number == OWN:
        assert actions(claim_response(answer)) == {1: "A1"}
    else:
        outcome_of(answer, 403)


# Who waits for whom


async def test_nobody_is_kept_waiting_by_one_that_only_names_them(
    make_client: MakeClient,
) -> None:
    """A request that names another clinic as rendering does not shut that clinic's own out."""
    attacker = await make_client(npis=(FOREIGN,))
    naming = request_bundle(answers=CARE_UNMET, requestor_npi=FOREIGN, npi=OWN, seed="attack")
    assert actions(claim_response(await attacker.submit(naming))) == {1: "A4"}
    clinic = await make_client(npis=(OWN,))
    asked = request_bundle(answers=MET, requestor_npi=OWN, seed="own")
    assert actions(claim_response(await clinic.submit(asked))) == {1: "A1"}


async def test_another_code_of_a_service_in_review_waits_for_its_decision(
    client: Client, rows: Rows
) -> None:
    await client.submit(request_bundle(answers=CARE_UNMET, seed="first"))
    other = request_bundle(answers=MET, codes=("64479",), seed="second")
    assert claim_response(await client.submit(other))["outcome"] == "error"
    assert [case["status"] for case in await rows.cases()] == ["in-review", "dismissed"]
    assert await _numbers(rows) == 0
