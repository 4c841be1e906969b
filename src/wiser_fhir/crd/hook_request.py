"""A CDS Hooks call as plain values, with all that is wrong with it said at once.

What a call must have is checked, what it may have is read with care, and what nobody knows is
passed over. Source: CDS Hooks 2.0, "HTTP Request"; CRD 2.2.1 §found-33, §hook-23.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, Literal, get_args
from uuid import UUID

from wiser_fhir.errors import Malformed, Problem, ProfileViolation
from wiser_fhir.fhir.codes import Line
from wiser_fhir.fhir.elements import Json
from wiser_fhir.intake.references import is_id, name_of, read_reference

Hook = Literal[
    "order-sign",
    "order-select",
    "order-dispatch",
    "appointment-book",
    "encounter-start",
    "encounter-discharge",
]
HOOKS: Final[tuple[Hook, ...]] = get_args(Hook)
PRIMARY_HOOKS: Final = frozenset({"order-sign", "order-dispatch", "appointment-book"})
"""Source: CRD 2.2.1 §hook-16."""

ORDER_TYPES: Final = frozenset(
    {
        "CommunicationRequest",
        "DeviceRequest",
        "MedicationRequest",
        "NutritionOrder",
        "ServiceRequest",
        "VisionPrescription",
    }
)
VERSION = "davinci-crd.requestedVersion"
CONFIGURATION = "davinci-crd.configuration"

_VERSION = re.compile(r"(2\.0|2\.2)(\.[0-9]+)?")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_BUNDLES: Mapping[Hook, str] = {
    "order-sign": "draftOrders",
    "order-select": "draftOrders",
    "appointment-book": "appointments",
}
MOST: Final = 500
"""Orders, selections or tasks of one call: some are looked at beside each other."""
_TOO_MANY = f"no more than {MOST} at a time"
_ENCOUNTER_HOOKS = ("encounter-start", "encounter-discharge")
_TOKEN_SHOWN = "a Bearer access_token is expected beside fhirServer"  # noqa: S105


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a Bundle. `resource` is whatever stands there, of any JSON type."""

    resource: Any
    full_url: str | None
    place: str


@dataclass(frozen=True, slots=True)
class HookRequest:
    """A hook call.

    `in_scope` names what is asked about: `Type/id`, or as written where that is not told. `entries`
    is the context's Bundle, `drafts` the resources of it; `tasks` what an order-dispatch says of
    the fulfilment.
    """

    hook: Hook
    hook_instance: UUID
    line: Line
    fhir_server: str | None
    access_token: str | None = field(repr=False)
    user: str | None
    patient_id: str
    encounter_id: str | None
    context: Json = field(repr=False)
    prefetch: Json = field(repr=False)
    entries: tuple[Entry, ...] = field(repr=False)
    in_scope: tuple[str, ...]
    performer: str | None
    tasks: tuple[Json, ...] = field(default=(), repr=False)
    configuration: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def drafts(self) -> tuple[Json, ...]:
        """Every resource of the context's Bundle."""
        return tuple(entry.resource for entry in self.entries if isinstance(entry.resource, dict))


def read_line(body: Json) -> Line:
    """The line of the guide a call speaks; 2.0 where it does not say. Raises Malformed.

    Source: CRD 2.2.1 §dev-3.
    """
    problem = _line_problem(body)
    if problem is not None:
        raise Malformed(problem.text, [problem])
    asked = (body.get("extension") or {}).get(VERSION)
    return "2.2" if isinstance(asked, str) and asked.startswith("2.2") else "2.0"


def _line_problem(body: Json) -> Problem | None:
    asked = body.get("extension")
    version = asked.get(VERSION) if isinstance(asked, dict) else None
    if asked is not None and not isinstance(asked, dict):
        return _problem("extension", "an object expected")
    if version is None or (isinstance(version, str) and _VERSION.fullmatch(version)):
        return None
    return _problem(f"extension.'{VERSION}'", "this service speaks 2.0 and 2.2 of CRD")


def read_hook_request(body: Json, hook: Hook) -> HookRequest:
    """A call of a hook's service, with everything in it that can be read.

    Raises Malformed, in line 2.0 ProfileViolation, with all that is wrong. A fhirServer is not
    demanded: 2.2 wants one of clients (§found-20, CRDHooksRequest), but no statement has a server
    refuse a call for lack of it, and §found-34 wants an answer from what is there.
    Source: CRD 2.2.1 §hook-13 (400 for what breaks CDS Hooks), 2.0.1, "CRD Hooks" (422).
    """
    reader = _Reader(body, hook)
    request = reader.request()
    if not reader.problems and request is not None:
        return request
    line = "2.2" if _line_problem(body) is not None else read_line(body)
    error = Malformed if line == "2.2" else ProfileViolation
    raise error("The hook call cannot be read.", reader.problems)


def entries_of(bundle: Any, place: str = "Bundle") -> Iterator[Entry]:
    """The entries of what may be a Bundle, those that hold nothing too."""
    entries = bundle.get("entry") if isinstance(bundle, dict) else None
    for index, entry in enumerate(entries if isinstance(entries, list) else ()):
        held = entry if isinstance(entry, dict) else {}
        url = held.get("fullUrl")
        full_url = url.strip() if isinstance(url, str) and url.strip() else None
        yield Entry(held.get("resource"), full_url, f"{place}.entry[{index}].resource")


def _problem(expression: str, text: str) -> Problem:
    return Problem("error", "structure", f"{expression}: {text}", expression)


class _Reader:
    """One body on its way to a request; `problems` grows as it is read."""

    def __init__(self, body: Json, hook: Hook) -> None:
        self.body, self.hook = body, hook
        self.problems: list[Problem] = []
        context = body.get("context")
        self.context: Json = context if isinstance(context, dict) else {}
        if not isinstance(context, dict):
            self.wrong("context", "an object expected")

    def wrong(self, expression: str, text: str) -> None:
        """Note a problem."""
        self.problems.append(_problem(expression, text))

    def request(self) -> HookRequest | None:
        """The request; None, or one that is not to be used, where there are problems."""
        if self.body.get("hook") != self.hook:
            self.wrong("hook", f"'{self.hook}' expected: this is the service of that hook")
        line_problem = _line_problem(self.body)
        if line_problem is not None:
            self.problems.append(line_problem)
        instance = self.instance()
        server, token = self.server()
        prefetch = self.prefetch()
        if not isinstance(self.body.get("context"), dict):
            return None
        user = self.text("userId", required=self.hook != "order-dispatch")
        patient = self.id("patientId", "Patient", required=True)
        encounter = self.id("encounterId", "Encounter", required=self.hook in _ENCOUNTER_HOOKS)
        entries = self.entries()
        tasks = self.tasks()
        performer = self.performer()
        in_scope = self.in_scope(entries, encounter)
        if self.problems or instance is None or patient is None:
            return None
        return HookRequest(
            hook=self.hook,
            hook_instance=instance,
            line=read_line(self.body),
            fhir_server=server,
            access_token=token,
            user=user,
            patient_id=patient,
            encounter_id=encounter,
            context=self.context,
            prefetch=prefetch,
            entries=entries,
            in_scope=in_scope,
            performer=performer,
            tasks=tasks,
            configuration=MappingProxyType(self.configuration()),
        )

    # The call itself

    def instance(self) -> UUID | None:
        """The hookInstance. Source: CDS Hooks 2.0, "HTTP Request" (a UUID)."""
        value = self.body.get("hookInstance")
        if isinstance(value, str) and _UUID.fullmatch(value):
            return UUID(value)
        self.wrong("hookInstance", "a UUID expected")
        return None

    def server(self) -> tuple[str | None, str | None]:
        """fhirServer and the token for it. Source: CDS Hooks 2.0, "FHIR Resource Access"."""
        server = self.body.get("fhirServer")
        if server is not None and not (
            isinstance(server, str) and re.fullmatch(r"https?://[^\s#?]+", server)
        ):
            self.wrong("fhirServer", "the base URL of a FHIR server expected")
            server = None
        authorization = self.body.get("fhirAuthorization")
        if authorization is None:
            return server, None
        if self.body.get("fhirServer") is None:
            self.wrong("fhirServer", "expected beside fhirAuthorization")
        if not isinstance(authorization, dict):
            self.wrong("fhirAuthorization", "an object expected")
            return server, None
        token, kind = authorization.get("access_token"), authorization.get("token_type", "Bearer")
        if not (isinstance(token, str) and token.strip()):
            self.wrong("fhirAuthorization.access_token", _TOKEN_SHOWN)
            token = None
        if not (isinstance(kind, str) and kind.lower() == "bearer"):
            self.wrong("fhirAuthorization.token_type", "'Bearer' expected")
        return server, token

    def prefetch(self) -> Json:
        """What came along; absent and null are the same."""
        value = self.body.get("prefetch")
        if value is not None and not isinstance(value, dict):
            self.wrong("prefetch", "an object expected")
        return value if isinstance(value, dict) else {}

    def configuration(self) -> Json:
        """The options a client sets; what is none is passed over. Source: CRD 2.2.1 §dev-17."""
        extension = self.body.get("extension")
        value = extension.get(CONFIGURATION) if isinstance(extension, dict) else None
        return dict(value) if isinstance(value, dict) else {}

    # The context

    def text(self, key: str, *, required: bool) -> str | None:
        """A text of the context."""
        value = self.context.get(key)
        if isinstance(value, str) and value.strip():
            return value.strip()
        if required or value is not None:
            self.wrong(f"context.{key}", "a text expected")
        return None

    def id(self, key: str, kind: str, *, required: bool) -> str | None:
        """A resource's id; its type before it does no harm."""
        value = self.text(key, required=required)
        if value is None:
            return None
        local = read_reference(value)
        plain = local.id if local and local.kind == kind else value
        if not is_id(plain):
            self.wrong(f"context.{key}", f"the id of a {kind} expected")
            return None
        return plain

    def entries(self) -> tuple[Entry, ...]:
        """The entries of the context's Bundle, where the hook has one."""
        key = _BUNDLES.get(self.hook)
        if key is None:
            return ()
        place, bundle = f"context.{key}", self.context.get(key)
        if not (isinstance(bundle, dict) and bundle.get("resourceType") == "Bundle"):
            self.wrong(place, "a Bundle expected")
            return ()
        if not isinstance(bundle.get("entry", []), list):
            self.wrong(f"{place}.entry", "an array expected")
        elif len(bundle.get("entry", [])) > MOST:
            self.wrong(f"{place}.entry", _TOO_MANY)
            return ()
        return tuple(entries_of(bundle, place))

    def tasks(self) -> tuple[Json, ...]:
        """What a dispatch says of the fulfilment: fulfillmentTasks, or one task as in 2.0."""
        if self.hook != "order-dispatch":
            return ()
        found = self.context.get("fulfillmentTasks", self.context.get("task"))
        if found is not None and not isinstance(found, list | dict):
            self.wrong("context.fulfillmentTasks", "an array of Tasks expected")
        each = found if isinstance(found, list) else [found]
        if len(each) > MOST:
            self.wrong("context.fulfillmentTasks", _TOO_MANY)
            return ()
        return tuple(task for task in each if isinstance(task, dict))

    def performer(self) -> str | None:
        """Who is asked to fulfil the orders dispatched."""
        if self.hook != "order-dispatch":
            return None
        return self.text("performer", required=True)

    def in_scope(self, entries: tuple[Entry, ...], encounter: str | None) -> tuple[str, ...]:
        """The names of what is asked about, in their order, each once."""
        if self.hook == "order-dispatch":
            names = self.dispatched()
        elif self.hook == "order-select":
            known = _known(entries)
            names = [known.get(text) or name_of(text) for text in self.references("selections")]
        elif self.hook in _ENCOUNTER_HOOKS:
            names = [f"Encounter/{encounter}"]
        else:
            wanted = ORDER_TYPES if self.hook == "order-sign" else {"Appointment"}
            names = [name for e in entries if (name := _name(e.resource, wanted)) is not None]
        return tuple(dict.fromkeys(names))

    def dispatched(self) -> list[str]:
        """The orders dispatched, in either shape: 2.2's dispatchedOrders, 2.0's order.

        Source: CRD 2.2.1 §hook-31; CDS Hooks, order-dispatch, 1.0 and 1.1.
        """
        one = self.context.get("order")
        if one is None:
            return [name_of(text) for text in self.references("dispatchedOrders")]
        many = self.references("dispatchedOrders") if "dispatchedOrders" in self.context else []
        single = self.text("order", required=True)
        return [name_of(text) for text in (*([single] if single else ()), *many)]

    def references(self, key: str) -> list[str]:
        """A list of references in the context."""
        value = self.context.get(key)
        if not isinstance(value, list):
            self.wrong(f"context.{key}", "an array of references expected")
            return []
        if len(value) > MOST:
            self.wrong(f"context.{key}", _TOO_MANY)
            return []
        for index, each in enumerate(value):
            if not (isinstance(each, str) and each.strip()):
                self.wrong(f"context.{key}[{index}]", "a reference such as ServiceRequest/1")
        return [each.strip() for each in value if isinstance(each, str) and each.strip()]


def _name(resource: Any, kinds: frozenset[str] | set[str]) -> str | None:
    """`Type/id` of a resource of one of the types."""
    if not isinstance(resource, dict):
        return None
    kind, own = resource.get("resourceType"), resource.get("id")
    known = isinstance(kind, str) and kind in kinds
    return f"{kind}/{own}" if known and is_id(own) else None


def _known(entries: tuple[Entry, ...]) -> dict[str, str]:
    """What a selection may say, full URL, name or id alone, to the name of what it leads to."""
    known: dict[str, str] = {}
    for entry in entries:
        name = _name(entry.resource, ORDER_TYPES)
        if name is not None:
            for text in (entry.full_url, name, entry.resource["id"]):
                known.setdefault(text or name, name)
    return known
