"""Limits on one caller are none for a conformance run: all that the public suites are given to
send, one request after the other as fast as they go, and more tokens and registrations than they
ask for.
"""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.e2e.hostile.town import ORIGIN, Town
from tests.e2e.hostile.wire import Answer, Caller, new_address, statuses
from tests.oauth_door import JWT_BEARER
from wiser_fhir.sandbox.ehr import cds_token

pytestmark = pytest.mark.xdist_group("hostile")

PACKS = Path(__file__).parents[2] / "conformance" / "inferno"
ISS = "https://ehr.sandbox.example"
BASES = {"2.2": "/fhir", "2.2.1": "/fhir", "2.0": "/v2.0/fhir", "2.0.1": "/v2.0/fhir"}
# By a word in the name of a file; the first that fits.
PATHS = {
    "next_question": "Questionnaire/$next-question",
    "questionnaire_request": "Questionnaire/$questionnaire-package",
    "inquire": "Claim/$inquire",
    "submit": "Claim/$submit",
    "subscription": "Subscription",
}


def _sent(kit: str) -> Iterator[tuple[Path, Any]]:
    """Every body of a kit's packs, with its file."""
    for file in sorted((PACKS / kit).glob("*/*.json")):
        content = json.loads(file.read_text())
        yield from ((file, each) for each in (content if isinstance(content, list) else [content]))


def _path(file: Path) -> str:
    """Where the bodies of a file go."""
    return next(path for word, path in PATHS.items() if word in file.name)


async def _one_after_the_other(caller: Caller, town: Town) -> list[Answer]:
    """The answers to everything that the three suites send."""
    answers = []
    for kit in ("pas", "dtr"):
        for file, body in _sent(kit):
            path = f"{BASES[file.parent.name]}/{_path(file)}"
            answers.append(await caller.post(path, orjson.dumps(body)))
    for _, body in _sent("crd"):
        path = f"/cds-services/{body['hook']}-crd"
        jwt = cds_token(town.key, ISS, f"{ORIGIN}{path}", datetime.now(UTC))
        signed = replace(caller, token=jwt)
        answers.append(await signed.post(path, orjson.dumps(body), "application/json"))
    return answers


async def _tokens(caller: Caller, town: Town, count: int) -> list[Answer]:
    form = {"grant_type": "client_credentials", "client_assertion_type": JWT_BEARER}
    return [
        await caller.form("/oauth/token", {**form, "client_assertion": town.assertion()})
        for _ in range(count)
    ]


async def _registrations(caller: Caller, count: int) -> list[Answer]:
    """Attempts with every kind of fault, as the suites try them."""
    return [
        await caller.post("/oauth/register", b'{"udap":"1"}', "application/json")
        for _ in range(count)
    ]


def test_a_run_of_every_suite_is_never_told_to_wait(town: Town) -> None:
    caller = town.attacker(new_address())

    async def run() -> list[Answer]:
        answers = await _one_after_the_other(caller, town)
        stranger = replace(caller, token=None)
        answers += await _tokens(stranger, town, 50)
        return answers + await _registrations(stranger, 50)

    found = statuses(asyncio.run(run()))
    # 400: registrations. 422: a subscription whose place is not registered here.
    assert set(found) <= {200, 201, 400, 422}
    assert found[200] > 150
    assert found[400] == 50
