"""Hooks over real sockets: the server is one process, the EHR that it asks another."""

import asyncio
import json
from base64 import urlsafe_b64decode
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest
from sqlalchemy import text

from tests.bundle_resources import concept, procedure
from tests.bundle_values import Json, Line
from tests.bundles import affirming_answers, request_bundle
from tests.conformance.inferno.crd.resources import ICD_10, NPIS, SERVICE_DAY
from tests.database import run_sql
from tests.e2e.crd.calling import Caller, answer, informed, order_dispatch, order_sign, said
from tests.e2e.crd.fake_ehr import (
    BEHAVIOURS,
    MEMBER,
    ORDER,
    TROUBLE,
    FakeEhr,
    Seen,
    fake_ehr,
    holdings,
)
from tests.e2e.program import printed
from tests.e2e.serving import sandbox, serving, token
from tests.vaults import engine_of, opened_bodies, opened_columns
from wiser_fhir import exact
from wiser_fhir.db.embedded import Embedded, Urls
from wiser_fhir.db.tables import metadata
from wiser_fhir.priorauth.numbers import time_ordered_uuid

# One server and two EHRs for the whole file.
pytestmark = pytest.mark.xdist_group("hooks-over-sockets")

TOKEN = "made-up-ehr-token-Canarybird"
LINES: tuple[Line, ...] = ("2.2", "2.0")
PERFORMER = "Practitioner/practitioner"
ASSERTION = "coverage-assertion-id"


@dataclass(frozen=True, slots=True)
class Place:
    """A server, the EHR that is registered with it, and one that is not."""

    caller: Caller
    environment: dict[str, str]
    urls: Urls
    ehr: FakeEhr
    stranger: FakeEhr

    def rows(self, query: str, *arguments: object) -> list[dict[str, Any]]:
        """What a query finds, past all rules."""
        return asyncio.run(rows(self.urls, query, *arguments))

    def hook_call(self, body: Json) -> dict[str, Any]:
        """The row of one call."""
        query = "select * from hook_call where hook_instance = $1::text::uuid"
        [found] = self.rows(query, body["hookInstance"])
        return found


async def rows(urls: Urls, query: str, *arguments: object) -> list[dict[str, Any]]:
    connection = await asyncpg.connect(urls.superuser)
    try:
        return [dict(each) for each in await connection.fetch(query, *arguments)]
    finally:
        await connection.close()


@pytest.fixture(scope="module")
def stranger() -> Iterator[FakeEhr]:
    """An EHR that nobody registered."""
    with fake_ehr(TOKEN) as running:
        yield running


@pytest.fixture(scope="module")
def ehr(stranger: FakeEhr) -> Iterator[FakeEhr]:
    """The EHR that is registered; where it redirects, then to the other."""
    with fake_ehr(TOKEN, elsewhere=stranger.url) as running:
        yield running


@pytest.fixture(scope="module")
def place(
    postgres: Embedded,
    tmp_path_factory: pytest.TempPathFactory,
    ehr: FakeEhr,
    stranger: FakeEhr,
) -> Iterator[Place]:
    name = f"wiser_{time_ordered_uuid().hex}"
    run_sql(postgres, f"create database {name} owner wiser_owner")
    urls = postgres.urls(name)
    environment = sandbox(urls, tmp_path_factory.mktemp("data")) | {"WISER_SANDBOX_HOSTS": ehr.url}
    with serving(environment) as server:
        yield Place(Caller.of(server, environment), environment, urls, ehr, stranger)
    run_sql(postgres, f"drop database {name} with (force)")


def a_draft(**changes: Any) -> Json:
    """The EHR's order, with a performer, as it is before it is signed."""
    return holdings()[ORDER] | {"performer": [{"reference": PERFORMER}]} | changes


def without_extension(resource: Json) -> bytes:
    return exact.dumps({key: value for key, value in resource.items() if key != "extension"})


@pytest.mark.parametrize("line", LINES)
def test_a_dispatch_that_brings_nothing_is_answered_from_the_ehr(place: Place, line: Line) -> None:
    body = order_dispatch(place.ehr.base, TOKEN, line)
    order = informed(answer(place.caller.call(body)))
    assert said(order, "covered") == ["covered"]
    assert said(order, "pa-needed") == ["auth-needed"]
    assert said(order, "coverage") == [{"reference": "Coverage/coverage"}]
    assert b'"value":1.00}' in without_extension(order)
    assert without_extension(order) == exact.dumps(holdings()[ORDER])
    kept = place.hook_call(body)
    assert (kept["token_use"], kept["status"]) == ("used", 200)
    assert kept["fetched"] == 8


@pytest.mark.parametrize("how", BEHAVIOURS)
def test_an_ehr_that_gives_nothing_makes_no_answer_late_or_wrong(place: Place, how: str) -> None:
    body = order_dispatch(place.ehr.behaving(how), TOKEN)
    response = place.caller.call(body)
    kept = place.hook_call(body)
    if how in TROUBLE:
        told = answer(response)
        assert told["systemActions"] == []
        assert [card["summary"] for card in told["cards"]] == ["No coverage to answer about"]
    else:  # it says that there is no Coverage
        assert response.status_code == 400
        assert response.json()["resourceType"] == "OperationOutcome"
    assert kept["fetched"] == 0


@pytest.mark.parametrize("how", BEHAVIOURS)
def test_one_resource_that_cannot_be_had_leaves_what_is_known(place: Place, how: str) -> None:
    """The Location leads to the state and to the facility; without it nobody in here does."""
    body = order_sign(place.ehr.behaving(f"{how}.Location"), TOKEN, without=("Location",))
    for each in body["prefetch"].values():
        each.pop("address", None)
    order = informed(answer(place.caller.call(body)))
    assert said(order, "covered") == ["covered"]
    if how in TROUBLE:
        assert said(order, "pa-needed") == ["indeterminate"]
        assert said(order, "reason")[0]["coding"][0]["code"] == "technical"
    else:
        assert said(order, "pa-needed") == ["conditional"]
        assert said(order, "info-needed") == ["performer", "location"]
    assert without_extension(order) == exact.dumps(order_of(body))
    assert place.hook_call(body)["token_use"] == (
        "rejected" if how in ("401", "403") else "not-used"
    )


def test_only_what_lacks_is_asked_for(place: Place) -> None:
    before = place.ehr.seen().asked
    order = informed(answer(place.caller.call(order_sign(place.ehr.base, TOKEN))))
    assert said(order, "pa-needed") == ["auth-needed"]
    assert place.ehr.seen().asked == before
    answer(place.caller.call(order_sign(place.ehr.base, TOKEN, without=("Location",))))
    more = Counter(place.ehr.seen().asked) - Counter(before)
    assert more == {"/fhir/Location/location": 1}


def test_a_stranger_is_never_called(place: Place) -> None:
    """Not as fhirServer, not by a reference to it, not by a redirect, nor beside our port."""
    before = place.ehr.seen()
    disguised = f"{place.ehr.url}@{place.stranger.base.removeprefix('http://')}"
    far = {"reference": f"{place.stranger.base}/Location/location"}
    order = a_draft(locationReference=[far])
    for body in (
        order_dispatch(place.stranger.base, TOKEN, "2.0"),
        order_sign(place.stranger.base, TOKEN, without=("Location",)),
        order_sign(disguised, TOKEN, without=("Location",)),
        order_sign(place.ehr.base, TOKEN, order=order, without=("Location",)),
        order_dispatch(place.ehr.behaving("redirect"), TOKEN),
    ):
        answer(place.caller.call(body))
        assert place.hook_call(body)["fetched"] == 0
    assert place.stranger.seen() == Seen(connections=0, asked={}, tokens={})
    more = Counter(place.ehr.seen().asked) - Counter(before.asked)
    assert all(path.startswith("/redirect/") for path in more)


def test_a_token_that_the_ehr_refuses_leaves_what_came_along(place: Place) -> None:
    body = order_sign(place.ehr.base, "another-token", without=("Encounter",))
    order = informed(answer(place.caller.call(body)))
    assert said(order, "pa-needed") == ["auth-needed"]
    assert place.hook_call(body)["token_use"] == "rejected"


def test_one_jwt_serves_three_calls_and_the_command_prints_one(place: Place) -> None:
    bodies = [order_sign(place.ehr.base, TOKEN, line) for line in ("2.2", "2.0", "2.2")]
    url = place.caller.service("order-sign")
    jwt = printed(place.environment, "cds-token", "--client", "sandbox-ehr", url).strip()
    ids = [said(informed(answer(place.caller.call(body, jwt))), ASSERTION)[0] for body in bodies]
    assert len(set(ids)) == 3
    jti = json.loads(urlsafe_b64decode(jwt.split(".")[1] + "=="))["jti"]
    assert place.rows("select uses from cds_jwt where jti = $1", jti) == [{"uses": 3}]


def test_what_became_of_a_card_is_kept_once(place: Place) -> None:
    body = order_sign(place.ehr.base, TOKEN, order=a_draft(code=procedure("64484")))
    [card, *_] = answer(place.caller.call(body))["cards"]
    told = {
        "card": card["uuid"],
        "outcome": "overridden",
        "overrideReason": {"reason": {"code": "other"}, "userComment": "Made-up comment"},
        "outcomeTimestamp": datetime.now(UTC).isoformat(),
    }
    for _ in range(2):
        assert place.caller.feedback("order-sign", told).status_code == httpx.codes.OK
    kept = place.rows(
        "select outcome, override_code from card_feedback where card_id = $1", UUID(card["uuid"])
    )
    assert kept == [{"outcome": "overridden", "override_code": "other"}]
    never_shown = place.caller.feedback("order-sign", told | {"card": str(uuid4())})
    assert never_shown.status_code == httpx.codes.NOT_FOUND


def test_the_token_is_for_the_ehr_alone_and_kept_nowhere(
    place: Place, empty_database: Urls, tmp_path: Path
) -> None:
    """On a server of its own, whose whole log this can read. Everybody is told the same token."""
    hosts = {"WISER_SANDBOX_HOSTS": place.ehr.url, "WISER_LOG_LEVEL": "debug"}
    environment = sandbox(empty_database, tmp_path) | hosts
    log_file = tmp_path / "log"
    with serving(environment, errors=log_file) as server:
        caller = Caller.of(server, environment)
        jwt = caller.jwt("order-dispatch")
        servers = (place.ehr.base, place.stranger.base, *map(place.ehr.behaving, ("401", "half")))
        for each in servers:
            answer(caller.call(order_dispatch(each, TOKEN, "2.0"), jwt))
        wrong = order_dispatch(place.ehr.base, TOKEN) | {"hook": "order-dispatch", "context": 1}
        assert caller.call(wrong, jwt).status_code == httpx.codes.BAD_REQUEST
        odd = order_dispatch(place.ehr.base, TOKEN) | {"access_token": TOKEN, "fhirServer": None}
        assert caller.call(odd, jwt).status_code == httpx.codes.BAD_REQUEST
    log = log_file.read_text()
    assert log.count("/cds-services/") == len(servers) + 2
    assert TOKEN not in log
    assert jwt not in log
    everything = asyncio.run(all_that_is_stored(empty_database))
    starred = [each for each in everything if '"access_token":"***"' in each]
    assert len(starred) == len(servers) + 2
    assert not [each for each in everything if TOKEN in each or jwt in each]
    assert place.stranger.seen().tokens == {}


def test_from_the_order_to_the_authorization_and_back(place: Place) -> None:
    draft = a_draft(code=procedure("15275"), reasonCode=[concept(ICD_10, "E11.621")])
    body = order_sign(place.ehr.base, TOKEN, order=draft)
    order = informed(answer(place.caller.call(body)))
    [assertion_id] = said(order, ASSERTION)
    assert said(order, "pa-needed") == ["auth-needed"]
    assert said(order, "doc-needed")

    response = submitted(place, request_with(order))
    [case] = place.rows("select status, assertions, remarks from prior_auth_case")
    assert case == {"status": "affirmed", "assertions": [assertion_id], "remarks": []}
    assert "processNote" not in response

    again = informed(answer(place.caller.call(body)))
    assert said(again, "pa-needed") == ["satisfied"]
    assert said(again, "satisfied-pa-id") == [response["preAuthRef"]]
    kept = place.rows(
        "select situation from coverage_assertion where id = any ($1) order by made_at",
        [assertion_id, said(again, ASSERTION)[0]],
    )
    assert [each["situation"] for each in kept] == ["needs-authorization", "satisfied"]


def request_with(order: Json) -> Json:
    """A PAS request for the order, which carries what CRD said of it."""
    bundle = request_bundle(
        "2.2",
        service="skin-substitutes",
        answers=affirming_answers("skin-substitutes"),
        member=MEMBER,
        npi=NPIS["practitioner"],
        facility_npi=NPIS["facility"],
        created=datetime.now(UTC) - timedelta(hours=1),
        service_date=SERVICE_DAY,
        identifier=str(uuid4()),
    )
    resources = [entry["resource"] for entry in bundle["entry"]]
    [sent] = [each for each in resources if each["resourceType"] == "ServiceRequest"]
    [claim] = [each for each in resources if each["resourceType"] == "Claim"]
    told = exact.dumps(order["extension"]).decode()
    insured = claim["insurance"][0]["coverage"]["reference"]
    sent["extension"] = json.loads(told.replace('"Coverage/coverage"', f'"{insured}"'))
    return bundle


def submitted(place: Place, bundle: Json) -> Json:
    """The ClaimResponse to a PAS request."""
    headers = {
        "Authorization": f"Bearer {token(place.environment)}",
        "Content-Type": "application/fhir+json",
    }
    url = f"{place.caller.url}/fhir/Claim/$submit"
    response = httpx.post(url, content=exact.dumps(bundle), headers=headers, timeout=30)
    assert response.status_code == httpx.codes.OK, response.text
    entries = response.json()["entry"]
    found: Json = entries[0]["resource"]
    return found


def order_of(body: Json) -> Json:
    """The one draft of an order-sign."""
    order: Json = body["context"]["draftOrders"]["entry"][0]["resource"]
    return order


async def all_that_is_stored(urls: Urls) -> list[str]:
    """Every row of every table as text, and every body and sealed value as what it was."""
    found: list[str] = []
    async with engine_of(urls.superuser) as engine:
        async with engine.connect() as db:
            for table in metadata.tables:
                rows = await db.execute(text(f"select t::text from {table} t"))  # noqa: S608
                found += rows.scalars()
        async for _, body in opened_bodies(engine):
            found.append(body.decode("latin-1"))
        async for _, told in opened_columns(engine):
            found.append(str(told))
    return found
