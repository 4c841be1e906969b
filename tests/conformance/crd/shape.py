"""The public conformance suite's tests of a CRD server, said again for tests of our own.

Suite `crd_server`: a function a test, under the test's own id, written from what the suite says it
checks. The suite pools all answers of a hook, and so does `hook_group`; `check_response` judges one
answer. What a resource has to be is asked of the `errors` that a caller hands in.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from tests.conformance.crd import card_types as types
from tests.conformance.crd.answer_fields import (
    action_faults,
    answer_faults,
    card_faults,
    optional_card_faults,
)
from tests.conformance.crd.fields import Json, field_faults, kind_of, objects
from tests.conformance.crd.profiles import COVERAGE_INFORMATION
from tests.conformance.crd.request_fields import (
    ORDERS,
    ResourceErrors,
    context_faults,
    draft_orders,
    optional_faults,
    required_faults,
)

HOOKS = (
    "appointment-book",
    "encounter-start",
    "encounter-discharge",
    "order-select",
    "order-dispatch",
    "order-sign",
)
PRIMARY = ("appointment-book", "order-sign", "order-dispatch")
ABOUT = {
    "appointment-book": ("Appointment",),
    "encounter-start": ("Encounter",),
    "encounter-discharge": ("Encounter",),
}
# What an answer may well be without. The suite fails or skips where no answer of a hook has one.
ABSENT = "no answer has one"

Outcome = Literal["pass", "fail", "skip"]


@dataclass(frozen=True, slots=True)
class Call:
    """One invocation: what was sent and what came back."""

    request: Json
    answer: Json
    status: int = 200


@dataclass(frozen=True, slots=True)
class Result:
    """How one test of the suite ends."""

    test: str
    outcome: Outcome
    faults: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Group:
    """The calls of one hook, with what the suite takes from one test to the next."""

    hook: str
    calls: tuple[Call, ...]
    errors: ResourceErrors
    cards: list[Json] = field(default_factory=list)
    actions: list[Json] = field(default_factory=list)
    complete_cards: list[Json] = field(default_factory=list)
    informing: list[Json] = field(default_factory=list)

    def crd_service_call_test(self) -> Result:
        """Every call is answered 200 with JSON."""
        return _judged(
            "crd_service_call_test",
            [f"status {call.status}" for call in self.calls if call.status != 200],
        )

    def crd_service_request_required_fields_validation(self) -> Result:
        """Every request has what each hook's has."""
        found = [f for call in self.calls for f in required_faults(self.hook, call.request)]
        return _judged("crd_service_request_required_fields_validation", found)

    def crd_service_request_context_validation(self) -> Result:
        """Every context has what its hook asks for."""
        contexts = [call.request.get("context") for call in self.calls]
        found = [
            fault
            for context in contexts
            if isinstance(context, dict)
            for fault in context_faults(self.hook, context, self.errors)
        ]
        return _judged("crd_service_request_context_validation", found)

    def crd_service_request_optional_fields_validation(self) -> Result:
        """What else a request has is whole."""
        found = [f for call in self.calls for f in optional_faults(call.request)]
        return _judged("crd_service_request_optional_fields_validation", found)

    def crd_service_response_validation(self) -> Result:
        """Every answer has cards and, of some hooks, system actions, each of them whole."""
        found: list[str] = []
        for call in self.calls:
            found += answer_faults(self.hook, call.answer)
            found += _sift(call.answer.get("cards"), card_faults, self.cards)
            found += _sift(call.answer.get("systemActions"), action_faults, self.actions)
        return _judged("crd_service_response_validation", found)

    def crd_card_optional_fields_validation(self) -> Result:
        """What else a card has is whole."""
        found = [*_sift(self.cards, optional_card_faults, self.complete_cards)]
        return _judged("crd_card_optional_fields_validation", found)

    def crd_external_reference_card_validation(self) -> Result:
        """A card leads to pages."""
        test = "crd_external_reference_card_validation"
        return _present(test, map(types.is_external_reference, self.complete_cards), "fail")

    def crd_launch_smart_app_card_validation(self) -> Result:
        """A card leads to apps."""
        test = "crd_launch_smart_app_card_validation"
        return _present(test, map(types.is_smart_launch, self.complete_cards), "skip")

    def crd_valid_instructions_card_received(self) -> Result:
        """A card is there to be read only."""
        test = "crd_valid_instructions_card_received"
        return _present(test, map(types.is_instructions, self.cards), "fail")

    def crd_coverage_info_system_action_received(self) -> Result:
        """A system action carries coverage-information for what the hook is about."""
        wanted = ABOUT.get(self.hook, ORDERS)
        self.informing.extend(
            action
            for action in self.actions
            if kind_of(action.get("resource")) in wanted and types.carries_information(action)
        )
        return _present("crd_coverage_info_system_action_received", self.informing, "fail")

    def crd_coverage_info_system_action_validation(self) -> Result:
        """Each of those updates a valid resource, and an assertion's id belongs to one coverage."""
        test = "crd_coverage_info_system_action_validation"
        if not self.informing:
            return Result(test, "skip", (ABSENT,))
        found = [fault for action in self.informing for fault in self._information_faults(action)]
        return _judged(test, found)

    def crd_propose_alternate_request_card_validation(self) -> Result:
        """A card changes or replaces orders that were sent, by valid ones."""
        drafts = {d for call in self.calls for d in draft_orders(call.request["context"])}
        return self._suggested(
            "crd_propose_alternate_request_card_validation",
            [card for card in self.complete_cards if types.is_alternative(card)],
            lambda actions: self._replacement_faults(actions, drafts),
        )

    def crd_additional_orders_card_validation(self) -> Result:
        """A card adds valid orders."""
        return self._suggested(
            "crd_additional_orders_card_validation",
            [card for card in self.complete_cards if types.is_additional(card)],
            self._resource_faults,
        )

    def crd_request_form_completion_response_validation(self) -> Result:
        """A card or a system action creates a valid task to fill in a form."""
        test = "crd_request_form_completion_response_validation"
        with_suggestions = [card for card in self.complete_cards if card.get("suggestions")]
        if any("actions" not in s for card in with_suggestions for s in card["suggestions"]):
            return Result(test, "fail", ("a suggestion without actions breaks the suite's test",))
        cards = [card for card in with_suggestions if types.is_form_card(card)]
        actions = [action for action in self.actions if types.is_form_action(action)]
        actions += [a for a in _suggested_actions(cards) if types.is_form_action(a)]
        return self._created(test, actions)

    def crd_create_or_update_coverage_info_response_validation(self) -> Result:
        """A card or a system action creates or updates a valid Coverage."""
        cards = [card for card in self.complete_cards if types.is_coverage_card(card)]
        actions = [action for action in self.actions if types.is_coverage_action(action)]
        actions += [a for a in _suggested_actions(cards) if types.is_coverage_action(a)]
        return self._created("crd_create_or_update_coverage_info_response_validation", actions)

    def _information_faults(self, action: Json) -> Iterator[str]:
        if action["type"] != "update":
            yield f"coverage-information in an action to {action['type']}"
        yield from self.errors(action["resource"])
        yield from _assertion_faults(action["resource"])

    def _replacement_faults(self, actions: Sequence[Json], drafts: set[str]) -> Iterator[str]:
        yield from self._resource_faults(actions)
        created = {kind_of(a.get("resource")) for a in actions if a["type"] == "create"}
        for action in actions:
            resource = action.get("resource", {})
            changed = f"{resource.get('resourceType')}/{resource.get('id')}"
            if action["type"] == "update" and changed not in drafts:
                yield f"{changed} is updated and no draft order"
            if action["type"] != "delete":
                continue
            if action["resourceId"] not in drafts:
                yield f"{action['resourceId']} is deleted and no draft order"
            elif action["resourceId"].partition("/")[0] not in created:
                yield f"nothing takes the place of {action['resourceId']}"

    def _resource_faults(self, actions: Sequence[Json]) -> Iterator[str]:
        for action in actions:
            if action["type"] in ("create", "update"):
                yield from self.errors(action["resource"])

    def _suggested(
        self, test: str, cards: list[Json], faults: Callable[[Sequence[Json]], Iterable[str]]
    ) -> Result:
        if not cards:
            return Result(test, "skip", (ABSENT,))
        suggestions = [s for card in cards for s in card["suggestions"]]
        return _judged(test, [f for s in suggestions for f in faults(objects(s.get("actions")))])

    def _created(self, test: str, actions: list[Json]) -> Result:
        if not actions:
            return Result(test, "skip", (ABSENT,))
        return _judged(test, list(self._resource_faults(actions)))


_OF_ORDERS = (
    Group.crd_propose_alternate_request_card_validation,
    Group.crd_additional_orders_card_validation,
)
_TESTS = (
    Group.crd_service_call_test,
    Group.crd_service_request_required_fields_validation,
    Group.crd_service_request_context_validation,
    Group.crd_service_request_optional_fields_validation,
    Group.crd_service_response_validation,
    Group.crd_card_optional_fields_validation,
    Group.crd_external_reference_card_validation,
    Group.crd_launch_smart_app_card_validation,
    Group.crd_valid_instructions_card_received,
    Group.crd_coverage_info_system_action_received,
    Group.crd_coverage_info_system_action_validation,
    *_OF_ORDERS,
    Group.crd_request_form_completion_response_validation,
    Group.crd_create_or_update_coverage_info_response_validation,
)
_DEMONSTRATION = (*_TESTS[:3], Group.crd_service_response_validation)


def hook_group(hook: str, calls: Sequence[Call], errors: ResourceErrors) -> dict[str, Result]:
    """The suite's tests of one hook over all its calls, by test id and in its order."""
    group = Group(hook, tuple(calls), errors)
    of_orders = hook in ("order-select", "order-sign")
    tests = [test for test in _TESTS if of_orders or test not in _OF_ORDERS]
    return {result.test: result for result in (test(group) for test in tests)}


def demonstration(call: Call, errors: ResourceErrors) -> dict[str, Result]:
    """The suite's group that calls any one hook once."""
    group = Group(call.request["hook"], (call,), errors)
    return {result.test: result for result in (test(group) for test in _DEMONSTRATION)}


def across_hooks(groups: Iterable[dict[str, Result]]) -> dict[str, Result]:
    """The suite's last group: what has to have come of one hook at least."""
    passed = {r.test for group in groups for r in group.values() if r.outcome == "pass"}
    wanted = {
        "crd_external_reference_card_across_hooks_validation": (
            "crd_external_reference_card_validation"
        ),
        "crd_valid_instructions_card_received_across_hooks": "crd_valid_instructions_card_received",
        "crd_coverage_info_system_action_across_hooks_validation": (
            "crd_coverage_info_system_action_validation"
        ),
    }
    return {
        name: Result(name, "pass" if test in passed else "skip") for name, test in wanted.items()
    }


def check_response(
    hook: str, request: Json, response: Json, errors: ResourceErrors = lambda _: []
) -> list[str]:
    """What is wrong with one answer, each fault after the id of the test that finds it.

    That an answer has no card of some type is no fault, nor that one to a supporting hook has no
    coverage-information; that one to a primary hook has none is.
    """
    results = hook_group(hook, [Call(request, response)], errors)
    needed = {"crd_coverage_info_system_action_received"} if hook in PRIMARY else set()
    return [
        f"{result.test}: {fault}"
        for result in results.values()
        for fault in result.faults
        if fault != ABSENT or result.test in needed
    ]


def crd_discovery_endpoint_test(status: int, body: object) -> Result:
    """Discovery is answered 200 with a JSON object."""
    found = [] if status == 200 else [f"status {status}"]
    found += [] if isinstance(body, dict) else ["discovery is no object"]
    return _judged("crd_discovery_endpoint_test", found)


def crd_discovery_services_validation(body: Json) -> Result:
    """Every service has its hook, description and id."""
    test = "crd_discovery_services_validation"
    services = body.get("services")
    if not isinstance(services, list):
        return Result(test, "fail", ("services is no list",))
    if not services:
        return Result(test, "skip", ("no services",))
    wanted = ("hook", "description", "id")
    return _judged(
        test, [f for s in services for name in wanted for f in field_faults(s, name, "text", "it")]
    )


def _judged(test: str, faults: Sequence[str]) -> Result:
    return Result(test, "fail" if faults else "pass", tuple(faults))


def _present(test: str, found: Iterable[object], otherwise: Outcome) -> Result:
    return Result(test, "pass") if any(found) else Result(test, otherwise, (ABSENT,))


def _sift(
    given: object, faults: Callable[[Json], Iterator[str]], sound: list[Json]
) -> Iterator[str]:
    """What is wrong with each of a list; those without fault are put down as sound."""
    for one in given if isinstance(given, list) else ():
        wrong = list(faults(one))
        yield from wrong
        if not wrong:
            sound.append(one)


def _suggested_actions(cards: list[Json]) -> list[Json]:
    return [a for card in cards for s in card["suggestions"] for a in objects(s.get("actions"))]


def _assertion_faults(resource: Json) -> Iterator[str]:
    """One assertion id and at most one authorization number a coverage, none of them shared."""
    assertions: dict[str, set[str]] = {}
    numbers: dict[str, set[str]] = {}
    for extension in objects(resource.get("extension")):
        if extension.get("url") != COVERAGE_INFORMATION:
            continue
        parts = {part.get("url"): part for part in objects(extension.get("extension"))}
        coverage = parts.get("coverage", {}).get("valueReference", {}).get("reference", "")
        said = parts.get("coverage-assertion-id", {}).get("valueString", "")
        assertions.setdefault(coverage, set()).add(said)
        numbers.setdefault(coverage, set())
        if "satisfied-pa-id" in parts:
            numbers[coverage].add(parts["satisfied-pa-id"].get("valueString", ""))
    for name, by_coverage in (("assertion id", assertions), ("number", numbers)):
        if any(len(ids) > 1 for ids in by_coverage.values()):
            yield f"more than one {name} for a coverage"
        given = [one for ids in by_coverage.values() for one in ids]
        if len(set(given)) < len(given):
            yield f"two coverages share one {name}"
