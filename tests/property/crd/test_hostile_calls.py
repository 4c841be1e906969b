"""Whatever is done to a hook call, it is answered for or refused in our own words."""

import asyncio
import copy
import json
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import httpx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.chart_resources import (
    CPT,
    SERVER,
    Json,
    appointment,
    appointment_book,
    chart,
    concept,
    encounter_hook,
    order_dispatch,
    order_select,
    order_sign,
    service_request,
)
from tests.unit.crd.reading import (
    ORGANIZATION,
    RECEIVED,
    TODAY,
    base_problems,
    catalogue,
)
from wiser_fhir.crd.chart import Chart
from wiser_fhir.crd.gather import Gathered, gather
from wiser_fhir.crd.hook_request import Hook, HookRequest, read_hook_request
from wiser_fhir.crd.orders import NoCoverage, asks, focal_coverage
from wiser_fhir.egress.client import Egress
from wiser_fhir.errors import WiserError
from wiser_fhir.intake.shapes import readable

TENANT = UUID("00000000-0000-4000-8000-000000000007")


def _with_everything(body: Json) -> Json:
    order = service_request()
    condition = {"resourceType": "Condition", "id": "1", "code": concept("M54.16")}
    body["prefetch"] |= {"order": order, "condition": condition, "all": {"resourceType": "Bundle"}}
    body["prefetch"]["all"]["entry"] = [{"resource": each} for each in chart().values()]
    return body


DEVICE = {
    "resourceType": "DeviceRequest",
    "id": "d",
    "contained": [{"resourceType": "Device", "id": "x", "type": concept("62323")}],
    "codeReference": {"reference": "#x"},
    "subject": {"reference": "Patient/p1"},
}
SAMPLES = [
    _with_everything(body)
    for body in (
        order_sign(service_request(reasonReference=[{"reference": "Condition/1"}]), DEVICE),
        order_sign(line=None),
        order_select(["ServiceRequest/sr1"], service_request(), service_request("64484", "sr2")),
        order_dispatch("ServiceRequest/sr1", fulfillmentTasks=[{"resourceType": "Task"}]),
        appointment_book(appointment(basedOn=[{"reference": "ServiceRequest/sr1"}])),
        appointment_book(appointment(serviceType=[concept("62323")]), line=None),
        encounter_hook(),
    )
]

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**20), 10**20),
    st.floats(allow_nan=False),
    st.text(max_size=12),
    st.sampled_from(
        [
            "#",
            "#x",
            "Patient/p2",
            f"{SERVER}/Patient/p1",
            "urn:uuid:1",
            "ServiceRequest/sr1",
            "2026-02-30",
            "9999-12-31T24:00:00Z",
            "2.2",
            CPT,
            "171787008",
        ]
    ),
)
anything = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(["resourceType", "id", "reference", "coding", "code", "entry", "x"]),
            inner,
            max_size=3,
        ),
    ),
    max_leaves=6,
)


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every value inside a JSON value."""
    children = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in children:
        yield (*at, key)
        if isinstance(inner, dict | list):
            yield from places(inner, (*at, key))


@st.composite
def bent_calls(draw: st.DrawFn) -> tuple[Json, Hook]:
    """A sample with a few of its values replaced, dropped or wrapped, and its service's hook."""
    body = copy.deepcopy(draw(st.sampled_from(SAMPLES)))
    hook = body["hook"]
    for _ in range(draw(st.integers(1, 4))):
        *way, last = draw(st.sampled_from(list(places(body))))
        holder = body
        for step in way:
            holder = holder[step]
        kind = draw(st.sampled_from(["replace", "drop", "wrap", "swap"]))
        if kind == "drop":
            del holder[last]
        elif kind == "wrap":
            holder[last] = [holder[last]]
        elif kind == "swap":
            other = draw(st.sampled_from(list(places(body))))
            found: Any = body
            for step in other:
                found = found[step]
            holder[last] = copy.deepcopy(found)
        else:
            holder[last] = draw(anything)
    return body, hook


def read_or_refused(body: Json, hook: Hook) -> HookRequest | WiserError:
    """The call, or the refusal of it."""
    try:
        return read_hook_request(body, hook)
    except WiserError as error:
        return error


def answered(request: HookRequest, found: Chart, gathered: Gathered) -> None:
    """Read the call to its end."""
    try:
        coverage = focal_coverage(found, gathered, TODAY)
    except NoCoverage:
        return
    asked, unusable = asks(
        request,
        found,
        coverage,
        catalogue(),
        organization_id=ORGANIZATION,
        received_at=RECEIVED,
        gathered=gathered,
        base_problems=base_problems(request.line),
    )
    assert all(each.submission.items for each in asked)
    assert all(each.problems for each in unusable)
    names = [each.reference for each in asked]
    assert len(names) == len(set(names))


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(call=bent_calls())
def test_a_bent_call_is_read_or_refused_and_never_changed(call: tuple[Json, Hook]) -> None:
    body, hook = call
    before = copy.deepcopy(body)
    request = read_or_refused(body, hook)
    if isinstance(request, WiserError):
        assert request.problems
        assert all(problem.expression for problem in request.problems)
    else:
        answered(request, Chart.of(request), Gathered())
    assert body == before


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(call=bent_calls(), answers=st.lists(anything, min_size=1, max_size=4))
def test_whatever_an_ehr_answers_is_survived(call: tuple[Json, Hook], answers: list[Any]) -> None:
    body, hook = call
    body["prefetch"] = {}
    asked: list[str] = []
    resources = list(chart().values())

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        told = [*answers, *resources][len(asked) % (len(answers) + len(resources))]
        stream = httpx.ByteStream(json.dumps(told).encode())
        headers = {"content-type": "application/fhir+json"}
        return httpx.Response(200, headers=headers, stream=stream)

    async def run(request: HookRequest) -> None:
        found = Chart.of(request)
        egress = Egress(transport=httpx.MockTransport(answer))
        gathered = await gather(request, found, egress, fhir_servers=[SERVER], tenant=TENANT)
        answered(request, found, gathered)

    request = read_or_refused(body, hook)
    if isinstance(request, HookRequest):
        asyncio.run(run(request))
    assert all(url.startswith(f"{SERVER}/") for url in asked)


@given(value=anything)
def test_a_readable_copy_of_anything(value: Any) -> None:
    view = readable(value)
    assert view is None or readable(view) == view
