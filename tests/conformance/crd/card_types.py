"""The type of CRD response that a card or system action is: known by its shape, not its topic."""

from typing import Any

from tests.conformance.crd.fields import (
    Json,
    is_empty,
    is_web_address,
    kind_of,
    objects,
)
from tests.conformance.crd.profiles import COVERAGE_INFORMATION

ADDITIONAL = (
    "CommunicationRequest",
    "Device",
    "DeviceRequest",
    "Medication",
    "MedicationRequest",
    "NutritionOrder",
    "ServiceRequest",
    "VisionPrescription",
)
ALTERNATIVE = ("Encounter", *(kind for kind in ADDITIONAL if kind != "CommunicationRequest"))


def is_external_reference(card: Json) -> bool:
    """Links, and all of them to pages."""
    return _all_links(card, "absolute")


def is_smart_launch(card: Json) -> bool:
    """Links, and all of them to apps."""
    return _all_links(card, "smart")


def is_instructions(card: Json) -> bool:
    """Nothing to click."""
    return is_empty(card.get("links")) and is_empty(card.get("suggestions"))


def is_alternative(card: Json) -> bool:
    """A suggestion that changes an order, or deletes one and creates one."""
    return any(_is_replacement(suggestion) for suggestion in objects(card.get("suggestions")))


def is_additional(card: Json) -> bool:
    """Suggestions that create orders and do nothing else."""
    suggestions = objects(card.get("suggestions"))
    return bool(suggestions) and all(
        objects(suggestion.get("actions"))
        and all(_does(a, "create", ADDITIONAL) for a in objects(suggestion["actions"]))
        for suggestion in suggestions
    )


def is_form_card(card: Json) -> bool:
    """Each suggestion creates one task to complete a questionnaire."""
    suggestions = objects(card.get("suggestions"))
    return bool(suggestions) and all(
        sum(map(is_form_action, objects(suggestion.get("actions")))) == 1
        for suggestion in suggestions
    )


def is_form_action(action: Json) -> bool:
    """Creates a task to complete a questionnaire."""
    task: Any = action.get("resource")
    if not _does(action, "create", ("Task",)):
        return False
    codes = [c.get("code") for c in objects(task.get("code", {}).get("coding"))]
    return "complete-questionnaire" in codes and any(
        given.get("type", {}).get("text") == "questionnaire"
        and is_web_address(given.get("valueCanonical"))
        for given in objects(task.get("input"))
    )


def is_coverage_card(card: Json) -> bool:
    """One suggestion with one action that creates or updates a Coverage."""
    suggestions = objects(card.get("suggestions"))
    if len(suggestions) != 1:
        return False
    return sum(map(is_coverage_action, objects(suggestions[0].get("actions")))) == 1


def is_coverage_action(action: Json) -> bool:
    """Creates or updates a Coverage."""
    return any(_does(action, kind, ("Coverage",)) for kind in ("create", "update"))


def carries_information(action: Json) -> bool:
    """Its resource has coverage-information."""
    resource: Any = action.get("resource")
    extensions = objects(resource.get("extension")) if isinstance(resource, dict) else []
    return any(extension.get("url") == COVERAGE_INFORMATION for extension in extensions)


def _all_links(card: Json, kind: str) -> bool:
    links = objects(card.get("links"))
    return bool(links) and all(link.get("type") == kind for link in links)


def _is_replacement(suggestion: Json) -> bool:
    actions = objects(suggestion.get("actions"))
    done = {
        kind
        for kind in ("create", "update", "delete")
        if any(_does(a, kind, ALTERNATIVE) for a in actions)
    }
    return "update" in done or {"create", "delete"} <= done


def _does(action: Json, kind: str, to: tuple[str, ...]) -> bool:
    if action.get("type") != kind:
        return False
    if kind == "delete":
        return str(action.get("resourceId")).partition("/")[0] in to
    return kind_of(action.get("resource")) in to
