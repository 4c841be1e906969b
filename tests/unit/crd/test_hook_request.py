"""A hook call is read whole or refused with everything that is wrong in it."""

from typing import Any
from uuid import UUID

import pytest

from tests.chart_resources import (
    INSTANCE,
    SERVER,
    Json,
    appointment,
    appointment_book,
    bundle,
    encounter_hook,
    hook_call,
    order_dispatch,
    order_select,
    order_sign,
    service_request,
)
from tests.unit.crd.reading import request_of
from wiser_fhir.crd.hook_request import HOOKS, PRIMARY_HOOKS, read_hook_request, read_line
from wiser_fhir.errors import Malformed, ProfileViolation, WiserError

ONE_OF_EACH = {
    "order-sign": order_sign(),
    "order-select": order_select(["ServiceRequest/sr1"]),
    "order-dispatch": order_dispatch("ServiceRequest/sr1"),
    "appointment-book": appointment_book(),
    "encounter-start": encounter_hook(),
    "encounter-discharge": encounter_hook("encounter-discharge"),
}
IN_SCOPE = {
    "order-sign": ("ServiceRequest/sr1",),
    "order-select": ("ServiceRequest/sr1",),
    "order-dispatch": ("ServiceRequest/sr1",),
    "appointment-book": ("Appointment/a1",),
    "encounter-start": ("Encounter/e1",),
    "encounter-discharge": ("Encounter/e1",),
}


def refused(body: Json, hook: Any = None) -> WiserError:
    with pytest.raises(WiserError) as caught:
        read_hook_request(body, hook or body["hook"])
    return caught.value


def places(error: WiserError) -> list[str | None]:
    return [problem.expression for problem in error.problems]


@pytest.mark.parametrize("hook", HOOKS)
def test_a_call_of_each_hook(hook: Any) -> None:
    request = request_of(ONE_OF_EACH[hook])
    assert request.hook == hook
    assert request.hook_instance == UUID(INSTANCE)
    assert request.line == "2.2"
    assert (request.patient_id, request.fhir_server) == ("p1", SERVER)
    assert request.in_scope == IN_SCOPE[hook]
    assert request.access_token == "made-up-token"
    assert "made-up-token" not in repr(request)


def test_three_hooks_are_primary() -> None:
    assert set(HOOKS) > PRIMARY_HOOKS == {"order-sign", "order-dispatch", "appointment-book"}


@pytest.mark.parametrize(
    ("version", "line"),
    [(None, "2.0"), ("2.0", "2.0"), ("2.0.1", "2.0"), ("2.2", "2.2"), ("2.2.1", "2.2")],
)
def test_the_line_is_what_the_client_asks_for(version: str | None, line: str) -> None:
    assert read_line(order_sign(line=version)) == line


@pytest.mark.parametrize("version", ["2.1", "2", "2.20", "3.0", "", 2.2, [], "2.2.x"])
def test_another_version_is_refused_and_both_are_named(version: Any) -> None:
    body = order_sign(extension={"davinci-crd.requestedVersion": version})
    with pytest.raises(Malformed, match=r"2\.0 and 2\.2"):
        read_line(body)
    error = refused(body | {"hookInstance": "1"})
    assert isinstance(error, Malformed)
    assert places(error) == ["extension.'davinci-crd.requestedVersion'", "hookInstance"]


def test_everything_wrong_is_said_at_once() -> None:
    body = {
        "hook": "order-select",
        "hookInstance": "42",
        "fhirServer": "ftp://x",
        "fhirAuthorization": {"token_type": "mac"},
        "context": {
            "patientId": "a b",
            "encounterId": 7,
            "draftOrders": [],
            "selections": {"a": 1},
        },
        "prefetch": [],
        "extension": {"davinci-crd.requestedVersion": "2.2"},
    }
    assert places(refused(body, "order-sign")) == [
        "hook",
        "hookInstance",
        "fhirServer",
        "fhirAuthorization.access_token",
        "fhirAuthorization.token_type",
        "prefetch",
        "context.userId",
        "context.patientId",
        "context.encounterId",
        "context.draftOrders",
    ]
    assert all(p.code == "structure" and p.severity == "error" for p in refused(body).problems)


def test_no_problem_repeats_what_was_sent() -> None:
    body = order_sign()
    body["context"]["patientId"] = "Ada Example"
    assert "Ada" not in "".join(problem.text for problem in refused(body).problems)


@pytest.mark.parametrize(
    ("hook", "missing"),
    [
        ("order-sign", {"userId", "patientId", "draftOrders"}),
        ("order-select", {"userId", "patientId", "draftOrders", "selections"}),
        ("order-dispatch", {"patientId", "dispatchedOrders", "performer"}),
        ("appointment-book", {"userId", "patientId", "appointments"}),
        ("encounter-start", {"userId", "patientId", "encounterId"}),
        ("encounter-discharge", {"userId", "patientId", "encounterId"}),
    ],
)
@pytest.mark.parametrize("nothing", [{}, None])
def test_what_each_context_must_hold(hook: str, missing: set[str], nothing: Json | None) -> None:
    body = hook_call(hook, {})
    body["context"] = {} if nothing == {} else dict.fromkeys(missing)
    assert set(places(refused(body))) == {f"context.{key}" for key in missing}


@pytest.mark.parametrize("context", [None, [], "x"])
def test_a_call_without_context(context: Any) -> None:
    assert places(refused(order_sign() | {"context": context})) == ["context"]


def test_a_call_of_another_hook() -> None:
    assert places(refused(order_sign(), "order-select"))[0] == "hook"


@pytest.mark.parametrize(
    "instance", [None, 4, "", INSTANCE.replace("-", ""), "{" + INSTANCE + "}", INSTANCE + "0"]
)
def test_a_hook_instance_is_a_uuid(instance: Any) -> None:
    assert places(refused(order_sign() | {"hookInstance": instance})) == ["hookInstance"]


def test_in_line_2_0_what_breaks_the_rules_is_422() -> None:
    wrong = {"hookInstance": "1"}
    assert isinstance(refused(order_sign(line="2.2") | wrong), Malformed)
    assert isinstance(refused(order_sign(line=None) | wrong), ProfileViolation)


class TestServer:
    def test_a_token_needs_a_server(self) -> None:
        body = order_sign()
        del body["fhirServer"]
        assert places(refused(body)) == ["fhirServer"]

    def test_a_call_without_server_is_read_in_both_lines(self) -> None:
        for line in ("2.2", None):
            body = order_sign(line=line)
            del body["fhirServer"], body["fhirAuthorization"]
            request = request_of(body)
            assert (request.fhir_server, request.access_token) == (None, None)

    def test_an_authorization_that_is_none(self) -> None:
        assert places(refused(order_sign(fhirAuthorization="token"))) == ["fhirAuthorization"]

    @pytest.mark.parametrize("server", [7, "ehr.example", "https://", "https://e.example/f?x=1"])
    def test_a_server_is_a_url(self, server: Any) -> None:
        assert places(refused(order_sign(fhirServer=server))) == ["fhirServer"]


class TestLeniency:
    def test_unknown_elements_are_passed_over(self) -> None:
        body = order_sign(colour="blue", extension={"x": [], "davinci-crd.requestedVersion": "2.2"})
        body["context"]["mood"] = {"good": True}
        assert request_of(body).in_scope == ("ServiceRequest/sr1",)

    def test_an_encounter_need_not_be_told_before_an_encounter_hook(self) -> None:
        body = order_sign()
        del body["context"]["encounterId"]
        assert request_of(body).encounter_id is None

    def test_ids_may_carry_their_type(self) -> None:
        body = order_sign()
        body["context"] |= {"patientId": "Patient/p1", "encounterId": f"{SERVER}/Encounter/e1"}
        request = request_of(body)
        assert (request.patient_id, request.encounter_id) == ("p1", "e1")

    def test_ids_of_another_type_are_none(self) -> None:
        body = order_sign()
        body["context"]["patientId"] = "Group/p1"
        assert places(refused(body)) == ["context.patientId"]

    @pytest.mark.parametrize("prefetch", [None, {}])
    def test_prefetch_may_be_absent(self, prefetch: Any) -> None:
        assert request_of(order_sign() | {"prefetch": prefetch}).prefetch == {}

    def test_a_bundle_of_nothing(self) -> None:
        assert request_of(hook_call("order-sign", {"draftOrders": bundle()})).in_scope == ()
        empty = {"resourceType": "Bundle", "type": "collection"}
        assert request_of(hook_call("order-sign", {"draftOrders": empty})).drafts == ()

    def test_entries_that_hold_nothing_name_nothing(self) -> None:
        drafts = bundle(None, "x", {}, {"resourceType": ["ServiceRequest"]}, service_request())
        drafts["entry"] += [None, 7, {"fullUrl": 3}]
        request = request_of(hook_call("order-sign", {"draftOrders": drafts}))
        assert request.in_scope == ("ServiceRequest/sr1",)
        assert len(request.entries) == 8
        assert len(request.drafts) == 3

    def test_entries_that_are_no_list(self) -> None:
        drafts = {"resourceType": "Bundle", "entry": {}}
        assert places(refused(hook_call("order-sign", {"draftOrders": drafts}))) == [
            "context.draftOrders.entry"
        ]

    def test_other_resources_among_the_orders_are_not_asked_about(self) -> None:
        body = order_sign(service_request(), {"resourceType": "Practitioner", "id": "x"})
        assert request_of(body).in_scope == ("ServiceRequest/sr1",)


class TestConfiguration:
    def test_options_are_read(self) -> None:
        options = {"coverage-info": False, "max-cards": 5}
        body = order_sign(extension={"davinci-crd.configuration": options})
        assert request_of(body).configuration == options

    @pytest.mark.parametrize("options", [None, [], "x", 5])
    def test_what_is_no_options_is_passed_over(self, options: Any) -> None:
        body = order_sign(extension={"davinci-crd.configuration": options})
        assert request_of(body).configuration == {}

    @pytest.mark.parametrize("extension", [[], "x", 3])
    def test_an_extension_is_an_object(self, extension: Any) -> None:
        assert places(refused(order_sign(extension=extension))) == ["extension"]


class TestSelections:
    @pytest.mark.parametrize(
        "selection",
        [
            "ServiceRequest/sr1",
            "sr1",
            f"{SERVER}/ServiceRequest/sr1",
            "urn:uuid:8e9a1f9e-0000-4000-8000-000000000001",
            " ServiceRequest/sr1 ",
            "ServiceRequest/sr1/_history/2",
        ],
    )
    def test_a_selection_in_any_form(self, selection: str) -> None:
        body = order_select([selection], service_request(), service_request(own="sr2"))
        body["context"]["draftOrders"]["entry"][0]["fullUrl"] = (
            "urn:uuid:8e9a1f9e-0000-4000-8000-000000000001"
        )
        assert request_of(body).in_scope == ("ServiceRequest/sr1",)

    def test_selections_that_are_none(self) -> None:
        error = refused(order_select(["ServiceRequest/sr1", 7, ""]))
        assert places(error) == ["context.selections[1]", "context.selections[2]"]

    def test_each_once_and_none_at_all(self) -> None:
        assert request_of(order_select(["sr1", "sr1"])).in_scope == ("ServiceRequest/sr1",)
        assert request_of(order_select([])).in_scope == ()


class TestDispatch:
    def test_the_shape_of_2_0(self) -> None:
        context = {"order": f"{SERVER}/ServiceRequest/sr1", "performer": "Organization/o1"}
        body = hook_call("order-dispatch", {**context, "task": {"resourceType": "Task"}}, None)
        del body["context"]["userId"]
        request = request_of(body)
        assert request.in_scope == ("ServiceRequest/sr1",)
        assert request.performer == "Organization/o1"
        assert request.tasks == ({"resourceType": "Task"},)
        assert request.user is None

    def test_the_shape_of_2_2(self) -> None:
        tasks = [{"resourceType": "Task"}, None]
        names = ("ServiceRequest/sr1", "DeviceRequest/d1")
        request = request_of(order_dispatch(*names, fulfillmentTasks=tasks))
        assert request.in_scope == names
        assert request.tasks == ({"resourceType": "Task"},)

    def test_both_at_once(self) -> None:
        body = order_dispatch("ServiceRequest/sr1", order="ServiceRequest/sr0")
        assert request_of(body).in_scope == ("ServiceRequest/sr0", "ServiceRequest/sr1")

    def test_what_is_wrong_in_either(self) -> None:
        body = order_dispatch(order=7, performer=[], fulfillmentTasks="x")
        assert places(refused(body)) == [
            "context.fulfillmentTasks",
            "context.performer",
            "context.order",
        ]


def test_appointments_are_what_is_asked_about() -> None:
    body = appointment_book(appointment(), appointment(id="a2"), service_request())
    assert request_of(body).in_scope == ("Appointment/a1", "Appointment/a2")
