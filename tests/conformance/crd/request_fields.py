"""The fields of a hook request, as the public conformance suite wants them of who sends it."""

import re
from collections.abc import Callable, Iterator

from tests.conformance.crd.fields import (
    Json,
    Kind,
    field_faults,
    is_empty,
    is_reference,
    kind_of,
    objects,
)

ResourceErrors = Callable[[Json], list[str]]

UUID = re.compile(r"[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}", re.IGNORECASE)
ORDERS = (
    "DeviceRequest",
    "MedicationRequest",
    "NutritionOrder",
    "ServiceRequest",
    "VisionPrescription",
)
STAFF = ("Practitioner", "PractitionerRole")
USERS = {"appointment-book": ("Patient", "RelatedPerson", *STAFF)}
_PERSONAL: dict[str, Kind] = {"userId": "text", "patientId": "text"}
CONTEXT: dict[str, dict[str, Kind]] = {
    "appointment-book": {**_PERSONAL, "appointments": "object"},
    "encounter-start": {**_PERSONAL, "encounterId": "text"},
    "encounter-discharge": {**_PERSONAL, "encounterId": "text"},
    "order-select": {**_PERSONAL, "selections": "list", "draftOrders": "object"},
    "order-sign": {**_PERSONAL, "draftOrders": "object"},
    "order-dispatch": {"patientId": "text", "performer": "text"},
}
_AUTHORIZATION: tuple[str, ...] = ("access_token", "token_type", "scope", "subject")


def required_faults(hook: str, body: Json) -> Iterator[str]:
    """hook, hookInstance and context; a server that goes with a token."""
    yield from field_faults(body, "hook", "text", "the request")
    yield from field_faults(body, "hookInstance", "text", "the request")
    yield from field_faults(body, "context", "object", "the request")
    if body.get("hook") != hook:
        yield f"the hook is {body.get('hook')}"
    if body.get("fhirAuthorization") and is_empty(body.get("fhirServer")):
        yield "fhirAuthorization without fhirServer"
    if not UUID.fullmatch(str(body.get("hookInstance"))):
        yield "hookInstance is no UUID"


def optional_faults(body: Json) -> Iterator[str]:
    """Nothing is there and empty; a token comes with all that belongs to it."""
    yield from (f"{name} is empty" for name, value in body.items() if is_empty(value))
    for name in ("fhirAuthorization", "prefetch"):
        if name in body and not isinstance(body[name], dict):
            yield f"{name} is no object"
    if not isinstance(body.get("fhirServer", ""), str):
        yield "fhirServer is no text"
    given = body.get("fhirAuthorization")
    if not isinstance(given, dict):
        return
    for name in _AUTHORIZATION:
        yield from field_faults(given, name, "text", "fhirAuthorization")
    if type(given.get("expires_in")) is not int:
        yield "expires_in is no whole number"
    if given.get("token_type") != "Bearer":
        yield "token_type is not Bearer"
    yield from (f"{name} is empty" for name, value in given.items() if is_empty(value))


def context_faults(hook: str, context: Json, errors: ResourceErrors) -> Iterator[str]:
    """What a hook's context has, its resources valid by `errors`."""
    for name, kind in CONTEXT[hook].items():
        yield from field_faults(context, name, kind, "the context")
    if hook != "order-dispatch" and not is_reference(context.get("userId"), USERS.get(hook, STAFF)):
        yield f"userId is {context.get('userId')}"
    for name in ("patientId", "encounterId"):
        if "/" in str(context.get(name, "")):
            yield f"{name} is no plain id"
    if hook == "appointment-book":
        yield from _bundle_faults(context, "appointments", ("Appointment",), errors)
        if any(a.get("status") != "proposed" for a in held(context, "appointments")):
            yield "an appointment is not proposed"
    elif hook == "order-dispatch":
        yield from _dispatch_faults(context, errors)
    elif hook in ("order-select", "order-sign"):
        yield from _bundle_faults(context, "draftOrders", ORDERS, errors)
    if hook == "order-select":
        yield from _selection_faults(context)


def held(context: Json, name: str) -> list[Json]:
    """The resources of a Bundle in a context."""
    bundle = context.get(name)
    entries = objects(bundle.get("entry")) if isinstance(bundle, dict) else []
    return [e["resource"] for e in entries if kind_of(e.get("resource"))]


def draft_orders(context: Json) -> set[str]:
    """References to the orders being made."""
    return {f"{r['resourceType']}/{r.get('id')}" for r in held(context, "draftOrders")}


def _bundle_faults(
    context: Json, name: str, kinds: tuple[str, ...], errors: ResourceErrors
) -> Iterator[str]:
    if kind_of(context.get(name)) != "Bundle":
        yield f"{name} is no Bundle"
        return
    resources = held(context, name)
    if any(is_empty(resource.get("id")) for resource in resources):
        yield f"a resource of {name} has no id"
    wanted = [resource for resource in resources if kind_of(resource) in kinds]
    if not wanted:
        yield f"{name} has none of {', '.join(kinds)}"
    for resource in wanted:
        yield from errors(resource)


def _selection_faults(context: Json) -> Iterator[str]:
    orders = draft_orders(context)
    for selected in context.get("selections", ()):
        if not is_reference(selected, ORDERS) or selected not in orders:
            yield f"the selection {selected} is no draft order"


def _dispatch_faults(context: Json, errors: ResourceErrors) -> Iterator[str]:
    """One order in 2.0, a list of them in 2.2."""
    many = context.get("dispatchedOrders")
    orders = many if isinstance(many, list) else [context.get("order")]
    if not orders:
        yield "no order is dispatched"
    if not is_reference(context.get("performer")):
        yield f"performer is {context.get('performer')}"
    yield from (f"the order is {one}" for one in orders if not is_reference(one, ORDERS))
    task = context.get("task")
    tasks = [*context.get("fulfillmentTasks", ()), *([] if task is None else [task])]
    for one in tasks:
        if kind_of(one) != "Task":
            yield "a task is no Task"
        else:
            yield from errors(one)
