"""What the guide says a request or an inquiry has: without it, 4xx, where the line asks for it."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest

from tests.bundles import Json, Line, inquiry_bundle, request_bundle
from tests.integration.pas.door import LINES, MET, Client, actions, claim_response, outcome_of

Change = Callable[[Json], None]
CLAIM = ("entry", 0, "resource")


def _without(*path: str | int) -> Change:
    def change(bundle: Json) -> None:
        *way, last = path
        del _at(bundle, way)[last]

    return change


def _with(value: Any, *path: str | int) -> Change:
    def change(bundle: Json) -> None:
        *way, last = path
        _at(bundle, way)[last] = value

    return change


def _at(node: Any, way: list[str | int]) -> Any:
    for step in way:
        node = node[step]
    return node


def _of_kind(bundle: Json, kind: str) -> Json:
    return next(e["resource"] for e in bundle["entry"] if e["resource"]["resourceType"] == kind)


def _claim_second(bundle: Json) -> None:
    entries = bundle["entry"]
    entries[0], entries[1] = entries[1], entries[0]


def _twice(bundle: Json) -> None:
    bundle["entry"].append(deepcopy(bundle["entry"][1]))


BUNDLE: dict[str, Change] = {
    "another type": _with("batch", "type"),
    "no identifier": _without("identifier"),
    "no timestamp": _without("timestamp"),
    "no fullUrl": _without("entry", 1, "fullUrl"),
    "no resource": _without("entry", 1, "resource"),
    "a request": _with({"method": "GET", "url": "x"}, "entry", 1, "request"),
    "a response": _with({"status": "200"}, "entry", 1, "response"),
    "a search": _with({"mode": "match"}, "entry", 1, "search"),
    "no Claim": _without("entry", 0),
    "the Claim second": _claim_second,
    "an instance twice": _twice,
}


async def _refused(client: Client, line: Line, bundle: Json, operation: str = "submit") -> None:
    answer = await client.at(line).post(f"Claim/${operation}", bundle)
    assert answer.status_code in (400, 422), answer.text
    issues = outcome_of(answer, answer.status_code)
    assert any(issue["severity"] == "error" for issue in issues)


@pytest.mark.parametrize("change", BUNDLE)
async def test_a_bundle_that_breaks_a_rule_is_refused(
    change: str, line: Line, client: Client
) -> None:
    bundle = request_bundle(line, answers=MET)
    BUNDLE[change](bundle)
    await _refused(client, line, bundle)


@pytest.mark.parametrize("change", BUNDLE)
async def test_so_is_an_inquiry(change: str, line: Line, client: Client) -> None:
    bundle = inquiry_bundle(line, any_service=True)
    BUNDLE[change](bundle)
    if change == "no identifier" and line == "2.0":
        return  # line 2.0 leaves it open
    await _refused(client, line, bundle, "inquire")


NEEDED: dict[str, Change] = {
    **{
        f"no {name}": _without(*CLAIM, name)
        for name in (
            *("status", "type", "use", "patient", "created", "insurer", "provider", "priority"),
            *("insurance", "identifier", "item"),
        )
    },
    "a draft": _with("draft", *CLAIM, "status"),
    "a bill": _with("claim", *CLAIM, "use"),
    "no focal coverage": _with(False, *CLAIM, "insurance", 0, "focal"),
}


@pytest.mark.parametrize("change", NEEDED)
async def test_a_claim_without_what_it_needs_is_refused(
    change: str, line: Line, client: Client
) -> None:
    bundle = request_bundle(line, answers=MET)
    NEEDED[change](bundle)
    await _refused(client, line, bundle)


@pytest.mark.parametrize("element", ["patient", "insurer", "provider", "insurance"])
async def test_an_inquiry_without_what_it_needs_is_refused(
    element: str, line: Line, client: Client
) -> None:
    bundle = inquiry_bundle(line, any_service=True)
    _without(*CLAIM, element)(bundle)
    await _refused(client, line, bundle, "inquire")


@pytest.mark.parametrize("element", ["item", "supportingInfo", "careTeam", "diagnosis"])
async def test_a_number_used_twice_is_refused(element: str, line: Line, client: Client) -> None:
    bundle = request_bundle(
        line, answers=MET, codes=("64483", "64484"), diagnoses=("M54.16", "M48.061")
    )
    elements = bundle["entry"][0]["resource"][element]
    elements[1]["sequence"] = elements[0]["sequence"]
    issues = outcome_of(await client.at(line).submit(bundle), 422)
    expressions = [e for issue in issues for e in issue.get("expression", ())]
    assert any(f"{element}[1].sequence" in expression for expression in expressions)


def _no_extension(end: str) -> Change:
    def change(bundle: Json) -> None:
        item = bundle["entry"][0]["resource"]["item"][0]
        item["extension"] = [e for e in item["extension"] if not e["url"].endswith(end)]

    return change


def _no_document_information(bundle: Json) -> None:
    for info in bundle["entry"][0]["resource"]["supportingInfo"]:
        info.pop("extension", None)


def _no_member_id(bundle: Json) -> None:
    del _of_kind(bundle, "Coverage")["identifier"]


ONLY_2_2: dict[str, Change] = {
    "document information": _no_document_information,
    "request type": _no_extension("serviceItemRequestType"),
    "certification type": _no_extension("certificationType"),
    "location": _without(*CLAIM, "item", 0, "locationCodeableConcept"),
    "claim type": _with("vision", *CLAIM, "type", "coding", 0, "code"),
    "member id": _no_member_id,
    "quantity without a value": _with({"unit": "visits"}, *CLAIM, "item", 0, "quantity"),
}


@pytest.mark.parametrize("change", ONLY_2_2)
async def test_line_2_2_wants_what_line_2_0_does_not(change: str, client: Client) -> None:
    for line in LINES:
        bundle = request_bundle(line, answers=MET)
        ONLY_2_2[change](bundle)
        if line == "2.2":
            await _refused(client, line, bundle)
        else:
            assert set(actions(claim_response(await client.at(line).submit(bundle)))) == {1}
