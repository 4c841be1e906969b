"""Subscriptions as a client sends them, for tests of every kind."""

from typing import Any

from tests.bundle_values import Json, Line

TOPIC = "http://hl7.org/fhir/us/davinci-pas/SubscriptionTopic/PASSubscriptionTopic"
BACKPORT = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/"
SECRET = "Authorization: Bearer canary-0123456789"
CONTENT = {"2.2": "full-resource", "2.0": "id-only"}


def a_subscription(line: Line = "2.2", endpoint: str = "https://ehr.example/told") -> Json:
    """A Subscription of either line, with a secret header."""
    return {
        "resourceType": "Subscription",
        "status": "requested",
        "reason": "To hear of answers to our requests.",
        "criteria": TOPIC,
        "_criteria": {"extension": [a_filter("org-identifier=1999000015")]},
        "channel": {
            "type": "rest-hook",
            "endpoint": endpoint,
            "header": [SECRET],
            "payload": "application/fhir+json",
            "_payload": {"extension": [content(CONTENT[line])]},
        },
    }


def a_filter(text: str) -> Json:
    """A filter criterion."""
    return {"url": BACKPORT + "backport-filter-criteria", "valueString": text}


def content(code: str) -> Json:
    """How much a notification is to carry."""
    return {"url": BACKPORT + "backport-payload-content", "valueCode": code}


def parameters(notification: Json) -> dict[str, Any]:
    """The status in a notification Bundle: the plain value of each parameter by its name.

    `notification-event` is a list of such.
    """
    status = notification["entry"][0]["resource"]
    assert status["resourceType"] == "Parameters"
    return parameters_of(status)


def parameters_of(status: Json) -> dict[str, Any]:
    """The same of a status by itself."""
    found: dict[str, Any] = {"notification-event": []}
    for each in status["parameter"]:
        if each["name"] == "notification-event":
            found["notification-event"].append({p["name"]: _value(p) for p in each["part"]})
        else:
            found[each["name"]] = _value(each)
    return found


def _value(parameter: Json) -> Any:
    [value] = [value for name, value in parameter.items() if name.startswith("value")]
    return value["reference"] if isinstance(value, dict) and "reference" in value else value
