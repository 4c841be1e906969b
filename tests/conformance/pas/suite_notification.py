"""What the public PAS server suites look at in a notification, said again.

Source: Inferno PAS kit 0.15.1 and subscriptions test kit 0.12, notification conformance.
"""

from collections.abc import Iterator

from tests.bundle_values import Json
from tests.conformance.pas.suite_input import held
from tests.subscriptions import parameters


def envelope_faults(notification: Json, kind: str, subscription: Json) -> Iterator[str]:
    """What is wrong with the Bundle around a handshake or an event."""
    if (notification["resourceType"], notification["type"]) != ("Bundle", "history"):
        yield "no history"
    for entry in notification["entry"]:
        if not entry.keys() >= {"request", "response"}:
            yield "an entry without request or response"
    first = notification["entry"][0]
    if first["resource"]["resourceType"] != "Parameters":
        yield "the first entry is no Parameters"
        return
    if not first["request"]["url"].endswith(f"Subscription/{subscription['id']}/$status"):
        yield f"the status is of {first['request']['url']}"
    said = parameters(notification)
    if said["subscription"].rpartition("/")[2] != subscription["id"]:
        yield f"the subscription is {said['subscription']}"
    expected = {"handshake": "requested", "event-notification": "active"}[kind]
    if (said["type"], said["status"]) != (kind, expected):
        yield f"{said['type']} of a subscription that is {said['status']}"


def id_only_faults(notification: Json) -> Iterator[str]:
    """An event names its focus; further entries have no resource."""
    events = parameters(notification)["notification-event"]
    if not events or any("focus" not in each for each in events):
        yield "an event without a focus"
    if any("resource" in entry for entry in notification["entry"][1:]):
        yield "an entry with a resource"


def full_resource_faults(notification: Json) -> Iterator[str]:
    """An event's focus is an entry: the PAS response Bundle."""
    events = parameters(notification)["notification-event"]
    if not events:
        yield "no event"
    by_name = {f"Bundle/{each.get('id')}": each for each in held(notification)}
    by_name |= {entry["fullUrl"]: entry["resource"] for entry in notification["entry"]}
    for event in events:
        focus = by_name.get(event["focus"])
        if focus is None:
            yield f"{event['focus']} is no entry"
        elif (focus["resourceType"], focus.get("type")) != ("Bundle", "collection"):
            yield "the focus is no collection"
        elif not any(each["resourceType"] == "ClaimResponse" for each in held(focus)):
            yield "the focus has no ClaimResponse"
