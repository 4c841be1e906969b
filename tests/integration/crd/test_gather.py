"""What prefetch lacks is fetched in parallel, within the budget, and never at any price."""

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import httpx
import pytest

from tests.chart_resources import (
    SERVER,
    Json,
    appointment,
    appointment_book,
    bundle,
    chart,
    concept,
    encounter_hook,
    order_dispatch,
    order_sign,
    service_request,
)
from wiser_fhir.crd.chart import Chart
from wiser_fhir.crd.gather import MOST_FETCHES, Gathered, gather
from wiser_fhir.crd.hook_request import read_hook_request
from wiser_fhir.egress.client import Egress

TENANT = UUID("00000000-0000-4000-8000-000000000007")
Answer = Callable[[str], Any]


@dataclass
class Ehr:
    """A made-up EHR over an httpx transport. `special` answers before the chart does."""

    holds: dict[str, Json] = field(default_factory=chart)
    special: dict[str, Any] = field(default_factory=dict)
    delay: float = 0.0
    asked: list[str] = field(default_factory=list)
    tokens: set[str | None] = field(default_factory=set)
    busiest: int = 0
    _busy: int = 0

    async def answer(self, request: httpx.Request) -> httpx.Response:
        name = str(request.url).removeprefix(f"{SERVER}/")
        self.asked.append(name)
        self.tokens.add(request.headers.get("authorization"))
        self._busy += 1
        self.busiest = max(self.busiest, self._busy)
        await asyncio.sleep(self.delay)
        self._busy -= 1
        found = self.special.get(name.partition("?")[0], self._of(name))
        if isinstance(found, int):
            return httpx.Response(found)
        if isinstance(found, Exception):
            raise found
        if found is None:
            return httpx.Response(404)
        content = found if isinstance(found, bytes) else json.dumps(found).encode()
        # A stream, as a network has it: the egress module reads the raw bytes.
        headers = {"content-type": "application/fhir+json"}
        return httpx.Response(200, headers=headers, stream=httpx.ByteStream(content))

    def _of(self, name: str) -> Any:
        if name.startswith("Coverage?"):
            covers = [r for r in self.holds.values() if r["resourceType"] == "Coverage"]
            link = [{"relation": "self", "url": f"{SERVER}/{name}"}]
            return bundle(*covers) | {"type": "searchset", "link": link}
        return self.holds.get(name)

    def egress(self) -> Egress:
        return Egress(transport=httpx.MockTransport(self.answer))


@dataclass
class Done:
    gathered: Gathered
    chart: Chart
    seconds: float


async def gathering(
    ehr: Ehr, body: Json, servers: tuple[str, ...] = (SERVER,), seconds: float = 1.5
) -> Done:
    request = read_hook_request(body, body["hook"])
    found = Chart.of(request)
    egress = ehr.egress()
    start = time.monotonic()
    gathered = await gather(
        request, found, egress, fhir_servers=servers, tenant=TENANT, seconds=seconds
    )
    taken = time.monotonic() - start
    await egress.aclose()
    return Done(gathered, found, taken)


def bare(body: Json, **context: Any) -> Json:
    body["context"] |= context
    return body | {"prefetch": {}}


async def test_everything_that_lacks_is_fetched() -> None:
    ehr = Ehr()
    done = await gathering(ehr, bare(order_sign()))
    assert done.gathered.failed == frozenset()
    assert done.gathered.fetched == len(ehr.asked) == len(set(ehr.asked))
    assert done.gathered.token_use == "used"
    assert ehr.tokens == {"Bearer made-up-token"}
    assert set(ehr.asked) == {
        "Patient/p1",
        "Coverage?patient=p1&status=active",
        "Organization/payer1",
        "Encounter/e1",
        "PractitionerRole/role1",
        "Practitioner/doc1",
        "Practitioner/doc2",
        "Organization/clinic1",
        "Location/site1",
    }
    assert {name for name in chart() if done.chart.get(name) is not None} == set(chart())


async def test_what_is_at_hand_is_not_asked_for() -> None:
    ehr = Ehr()
    done = await gathering(ehr, order_sign())
    assert ehr.asked == []
    assert done.gathered == Gathered()


async def test_rounds_go_in_parallel() -> None:
    ehr = Ehr(delay=0.05)
    done = await gathering(ehr, bare(order_sign()))
    assert ehr.busiest > 3
    assert done.seconds < 0.05 * len(ehr.asked)
    assert done.gathered.failed == frozenset()


async def test_dispatched_orders_and_what_they_name() -> None:
    ehr = Ehr()
    ehr.holds["ServiceRequest/sr1"] = service_request()
    performer = f"{SERVER}/PractitionerRole/role1"
    done = await gathering(ehr, bare(order_dispatch("ServiceRequest/sr1"), performer=performer))
    assert done.chart.received("ServiceRequest/sr1") == service_request()
    assert done.chart.get("Location/site1") is not None
    assert done.chart.get("Organization/clinic1") is not None


async def test_what_a_dispatch_names_beside_the_order() -> None:
    ehr = Ehr()
    task = {"resourceType": "Task", "location": {"reference": "Location/site1"}}
    told = {"fulfillmentTasks": [task, {"resourceType": 7}]}
    done = await gathering(ehr, bare(order_dispatch("ServiceRequest/sr1", **told)))
    assert done.chart.get("Location/site1") is not None


async def test_the_order_behind_an_appointment() -> None:
    ehr = Ehr()
    ehr.holds["ServiceRequest/sr1"] = service_request(
        reasonReference=[{"reference": "Condition/1"}]
    )
    ehr.holds["Condition/1"] = {"resourceType": "Condition", "id": "1", "code": concept("x")}
    booked = appointment(basedOn=[{"reference": "ServiceRequest/sr1"}])
    done = await gathering(ehr, bare(appointment_book(booked)))
    assert done.chart.get("Condition/1") is not None


async def test_whose_the_place_is_where_a_performer_works() -> None:
    ehr = Ehr()
    ehr.holds["PractitionerRole/role2"] = {
        "resourceType": "PractitionerRole",
        "id": "role2",
        "location": [{"reference": "Location/site1"}],
    }
    order = service_request(performer=[{"reference": "PractitionerRole/role2"}])
    del order["locationReference"], order["requester"]
    done = await gathering(ehr, bare(order_sign(order)))
    assert done.chart.get("Organization/clinic1") is not None


async def test_products_and_encounters() -> None:
    ehr = Ehr()
    ehr.holds["Medication/m1"] = {"resourceType": "Medication", "id": "m1"}
    order = {
        "resourceType": "MedicationRequest",
        "id": "x",
        "medicationReference": {"reference": "Medication/m1"},
    }
    done = await gathering(ehr, bare(order_sign(order)))
    assert done.chart.get("Medication/m1") is not None
    assert (await gathering(Ehr(), bare(encounter_hook()))).chart.get("Encounter/e1") is not None


class TestTrouble:
    @pytest.mark.parametrize(
        "trouble",
        [500, 503, 302, httpx.ConnectError("away"), b"<html>", b'{"a": 1, "a": 2}', b"[]"],
    )
    async def test_what_is_broken_costs_itself(self, trouble: Any) -> None:
        ehr = Ehr(special={"Location/site1": trouble})
        done = await gathering(ehr, bare(order_sign()))
        assert done.gathered.failed == frozenset({"Location/site1"})
        assert done.chart.get("Organization/clinic1") is not None

    @pytest.mark.parametrize("status", [403, 404, 410])
    async def test_what_is_not_there_has_not_failed(self, status: int) -> None:
        ehr = Ehr(special={"Location/site1": status})
        done = await gathering(ehr, bare(order_sign()))
        assert done.gathered.failed == frozenset()
        assert done.gathered.token_use == "used"

    async def test_a_token_nobody_takes(self) -> None:
        refused = dict.fromkeys([*chart(), "Coverage"], 401)
        done = await gathering(Ehr(special=refused), bare(order_sign()))
        assert done.gathered.token_use == "rejected"
        assert done.gathered.fetched == 0
        assert "Coverage" in done.gathered.failed

    async def test_a_slow_ehr_costs_the_budget_and_no_more(self) -> None:
        done = await gathering(Ehr(delay=5), bare(order_sign()), seconds=0.1)
        assert done.seconds < 0.6
        assert done.gathered.fetched == 0
        assert {"Patient/p1", "Coverage"} <= done.gathered.failed
        assert done.gathered.asked

    async def test_what_came_in_time_counts(self) -> None:
        ehr = Ehr(delay=0.15)
        done = await gathering(ehr, bare(order_sign()), seconds=0.25)
        assert done.chart.get("Patient/p1") is not None
        assert "Organization/payer1" in done.gathered.failed

    async def test_a_caller_who_leaves_is_not_held(self) -> None:
        body = bare(order_sign())
        task = asyncio.create_task(gathering(Ehr(delay=5), body))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    @pytest.mark.parametrize(
        "answer",
        [
            {"resourceType": "Patient", "id": "p2"},
            {"resourceType": "OperationOutcome", "id": "p1"},
            {"resourceType": ["Patient"], "id": "p1"},
            {},
        ],
    )
    async def test_another_answer_than_asked_for_is_not_believed(self, answer: Json) -> None:
        done = await gathering(Ehr(special={"Patient/p1": answer}), bare(order_sign()))
        assert done.chart.patient == {}

    async def test_another_patients_resource_is_dropped(self) -> None:
        ehr = Ehr()
        ehr.holds["Encounter/e1"]["subject"] = {"reference": "Patient/p2"}
        assert (await gathering(ehr, bare(order_sign()))).chart.get("Encounter/e1") is None


class TestCoverageSearch:
    @pytest.mark.parametrize(
        ("query", "found"), [("?patient=p1", 1), ("?status=active", 0), ("", 0)]
    )
    async def test_a_self_link_without_patient_is_not_believed(
        self, query: str, found: int
    ) -> None:
        answer = bundle(chart()["Coverage/c1"])
        answer["link"] = [{"relation": "self", "url": f"{SERVER}/Coverage{query}"}]
        done = await gathering(Ehr(special={"Coverage": answer}), bare(order_sign()))
        assert len(done.chart.of_type("Coverage")) == found

    async def test_only_coverage_of_the_patient_is_taken(self) -> None:
        other = chart()["Coverage/c1"] | {"id": "x", "beneficiary": {"reference": "Patient/p2"}}
        stray = {"resourceType": "Practitioner", "id": "stray"}
        answer = bundle(other, stray, None, chart()["Coverage/c1"])
        done = await gathering(Ehr(special={"Coverage": answer}), bare(order_sign()))
        assert [each["id"] for each in done.chart.of_type("Coverage")] == ["c1"]
        assert done.chart.get("Practitioner/stray") is None

    async def test_an_answer_that_is_no_bundle(self) -> None:
        answer = chart()["Coverage/c1"]
        done = await gathering(Ehr(special={"Coverage": answer}), bare(order_sign()))
        assert done.chart.of_type("Coverage") == ()


class TestWhereTo:
    @pytest.mark.parametrize("servers", [(), ("https://other.example/fhir",), (f"{SERVER}/below",)])
    async def test_only_where_the_caller_is_registered(self, servers: tuple[str, ...]) -> None:
        ehr = Ehr()
        done = await gathering(ehr, bare(order_sign()), servers=servers)
        assert ehr.asked == []
        assert done.gathered == Gathered()

    @pytest.mark.parametrize(
        "missing", [("fhirAuthorization",), ("fhirServer", "fhirAuthorization")]
    )
    async def test_without_a_token_nothing_is_asked(self, missing: tuple[str, ...]) -> None:
        ehr = Ehr()
        body = bare(order_sign())
        for key in missing:
            del body[key]
        assert (await gathering(ehr, body)).gathered == Gathered()

    @pytest.mark.parametrize(
        "elsewhere",
        [
            "https://evil.example/fhir/Location/x",
            f"{SERVER}.evil.example/Location/x",
            f"{SERVER}-evil/Location/x",
            "https://ehr.sandbox.example/other/Location/x",
            f"{SERVER}/../Location/x",
            "urn:uuid:4",
            "#contained",
            "Secret/x",
        ],
    )
    async def test_references_elsewhere_are_not_followed(self, elsewhere: str) -> None:
        ehr = Ehr()
        order = service_request(locationReference=[{"reference": elsewhere}])
        done = await gathering(ehr, bare(order_sign(order)))
        assert not any(name.endswith("/x") for name in ehr.asked)
        assert done.gathered.failed == frozenset()

    async def test_a_server_that_may_not_be_called_has_not_failed(self) -> None:
        local = "http://127.0.0.1/fhir"
        body = bare(order_sign(fhirServer=local))
        ehr = Ehr()
        done = await gathering(ehr, body, servers=(local,))
        assert ehr.asked == []
        assert (done.gathered.fetched, done.gathered.failed) == (0, frozenset())

    async def test_an_end_to_it(self) -> None:
        ehr = Ehr()
        orders = [
            service_request(own=f"s{n}", locationReference=[{"reference": f"Location/{n}"}])
            for n in range(100)
        ]
        done = await gathering(ehr, bare(order_sign(*orders)))
        assert len(ehr.asked) == MOST_FETCHES
        assert "Patient/p1" in ehr.asked
        assert done.chart.get("Organization/payer1") is not None
        assert "Location/99" in done.gathered.failed
