"""Mutations meant to leave a resource as valid as it was. The judge has the last word.

Each takes a Draw, changes its copy and says where; None if there is no such place.
"""

import json
import re
from datetime import date, timedelta
from typing import Any

from tests.oracle.draw import Draw, Node, Place, is_date
from tests.oracle.faults import Mutate

FREE_TEXT = re.compile(r"(display|text|description|family|city|title|comment|patientInstruction)$")
OPEN_SYSTEM = re.compile(r"x12\.org|icd-10|ama-assn|cms\.gov|snomed|loinc|nubc|example")
NARRATIVE = '<div xmlns="http://www.w3.org/1999/xhtml"><p>{}</p></div>'
US_CORE = "http://hl7.org/fhir/us/core/StructureDefinition/"


def permuted_keys(draw: Draw) -> str | None:
    """Every object's members in another order."""
    for _, node in draw.nodes():
        members = list(node.items())
        draw.dice.shuffle(members)
        node.clear()
        node.update(members)
    return f"{draw.root['resourceType']} throughout"


def permuted_list(draw: Draw) -> str | None:
    """Lists whose order means nothing."""
    place = draw.list_place(
        lambda place: (
            len(place.value) > 1
            and place.key
            in ("extension", "coding", "identifier", "given", "telecom", "line", "type")
        )
    )
    if place is None:
        return None
    shuffled = list(place.value)
    draw.dice.shuffle(shuffled)
    place.put(shuffled)
    return place.path


def permuted_entries(draw: Draw) -> str | None:
    """All entries but the first, which the profiles want where it is."""
    entries = draw.entries()
    if len(entries) < 3:
        return None
    rest = entries[1:]
    draw.dice.shuffle(rest)
    draw.root["entry"] = [entries[0], *rest]
    return "Bundle.entry"


def added_extension(draw: Draw) -> str | None:
    """An unknown extension, which every element may carry."""
    found = [
        (path, node)
        for path, node in draw.nodes()
        if not re.search(r"xtension\[\d+\]$", path) and node.get("resourceType") != "Bundle"
    ]
    found = [(path, node) for path, node in found if not re.search(r"\.(text|meta)$", path)]
    path, node = draw.dice.choice(found or draw.nodes())
    if "resourceType" in node and node["resourceType"] in ("Bundle", "Parameters"):
        return None
    value: dict[str, Any] = draw.dice.choice(
        [
            {"valueString": "note"},
            {"valueBoolean": True},
            {"valueDate": "2024-05-05"},
            {"valueCoding": {"system": "http://example.org/c", "code": "a"}},
            {"valuePeriod": {"start": "2024-01-01", "end": "2024-02-01"}},
            {"extension": [{"url": "part", "valueInteger": 3}]},
        ]
    )
    extension = {"url": f"http://example.org/extension/{draw.dice.randrange(9)}", **value}
    node["extension"] = [*node.get("extension", []), extension]
    return f"{path}.extension + {extension}"


def changed_text(draw: Draw) -> str | None:
    place = draw.place(
        lambda place: isinstance(place.value, str) and FREE_TEXT.search(place.key) is not None
    )
    if place is None:
        return None
    place.put(
        draw.dice.choice(
            ["Changed", "Ünïcödé – text", "a & b", "two\nlines", place.value + ".", "x" * 300, "0"]
        )
    )
    return place.path


def changed_ids(draw: Draw) -> str | None:
    """Another id for one entry, its fullUrl and all references to it."""
    entries = [entry for entry in draw.entries() if "id" in entry.get("resource", {})]
    if not entries:
        return _changed_own_id(draw)
    resource = draw.dice.choice(entries)["resource"]
    old, new = resource["id"], f"r{draw.dice.randrange(10**9)}"
    name = f"{resource['resourceType']}/{old}"
    text = json.dumps(draw.root).replace(f'{name}"', f'{resource["resourceType"]}/{new}"')
    draw.root = json.loads(text.replace(f'"id": "{old}"', f'"id": "{new}"'))
    return f"{name} to {new}"


def _changed_own_id(draw: Draw) -> str | None:
    if draw.root["resourceType"] == "Bundle":
        return None
    draw.root["id"] = draw.dice.choice(["a", "A.b-1", "x" * 64, "123"])
    return f"{draw.root['resourceType']}.id"


def urn_urls(draw: Draw) -> str | None:
    """A Bundle that names one of its entries by urn:uuid instead of by address."""
    entries = [entry for entry in draw.entries() if "id" in entry.get("resource", {})]
    if not entries:
        return None
    entry = draw.dice.choice(entries)
    resource = entry["resource"]
    name = f"{resource['resourceType']}/{resource['id']}"
    urn = f"urn:uuid:{draw.dice.randrange(16**8):08x}-0000-4000-8000-000000000001"
    absolute = json.dumps(entry["fullUrl"])
    text = json.dumps(draw.root).replace(f'"reference": "{name}"', f'"reference": "{urn}"')
    draw.root = json.loads(text.replace(absolute, f'"{urn}"'))
    return f"{name} as {urn}"


def added_element(draw: Draw) -> str | None:
    """An optional element that the kind of object allows."""
    found = [(path, node, extra) for path, node in draw.nodes() for extra in _optional(path, node)]
    found = [(path, node, extra) for path, node, extra in found if extra[0] not in node]
    if not found:
        return None
    path, node, (key, value) = draw.dice.choice(found)
    node[key] = value
    return f"{path}.{key}"


_OF_TYPE: dict[str, list[tuple[str, Any]]] = {
    "Patient": [
        ("birthDate", "1950-02-03"),
        ("deceasedBoolean", False),
        ("maritalStatus", {"text": "married"}),
        ("communication", [{"language": {"text": "English"}, "preferred": True}]),
    ],
    "Organization": [("alias", ["Other name"]), ("telecom", [{"system": "phone", "value": "1"}])],
    "Practitioner": [("birthDate", "1970-01-01"), ("active", True)],
    "PractitionerRole": [("availabilityExceptions", "Mondays"), ("active", True)],
    "Coverage": [("policyHolder", {"display": "Somebody"}), ("dependent", "01"), ("order", 1)],
    "ServiceRequest": [("patientInstruction", "Come early"), ("note", [{"text": "Note"}])],
    "Encounter": [("length", {"value": 20, "unit": "min"})],
    "Location": [("alias", ["Wing"]), ("description", "Second floor")],
    "DeviceRequest": [("note", [{"text": "Note"}])],
    "DocumentReference": [("description", "A document")],
    "QuestionnaireResponse": [("author", {"display": "Somebody"})],
}


def _optional(path: str, node: Node) -> list[tuple[str, Any]]:
    if "resourceType" in node:
        shared: list[tuple[str, Any]] = [("language", "en-US")]
        return shared + _OF_TYPE.get(node["resourceType"], [])
    last = re.sub(r"\[\d+\]$", "", path.rsplit(".", 1)[-1])
    match last:
        case "meta":
            return [("versionId", "1"), ("lastUpdated", "2024-05-05T10:00:00Z"), ("source", "#s1")]
        case "address":
            return [("district", "County"), ("text", "All of it")]
        case "identifier":
            return [("period", {"start": "2020-01-01"}), ("id", "i1")]
        case "name":
            return [("suffix", ["Jr."]), ("period", {"start": "2001"}), ("id", "n1")]
        case "coding":
            return [("userSelected", True), ("id", "c1")]
        case _ if last.endswith(("CodeableConcept", "category", "priority", "productOrService")):
            return [("text", "In words"), ("id", "k1")]
        case _ if last.endswith(("Reference", "patient", "insurer", "provider", "coverage")):
            return [("display", "By name"), ("id", "f1")]
        case "entry" | "extension" | "text":
            return [("id", "e1")]
        case _:
            return []


def removed_text(draw: Draw) -> str | None:
    """No narrative, or no display of a coding or reference."""
    place = draw.place(lambda place: place.key == "display" or place.path.endswith(".text.div"))
    if place is None:
        return None
    if place.key == "display":
        del place.node["display"]
        return place.path
    owner = next(node for _, node in draw.nodes() if node.get("text") is place.node)
    del owner["text"]
    return place.path


def added_narrative(draw: Draw) -> str | None:
    path, node = draw.dice.choice(draw.resources())
    if node["resourceType"] in ("Bundle", "Parameters"):
        return None
    words = draw.dice.choice(["Text", "a &amp; b &lt; c", "<b>bold</b> <i>and</i> <br/> more"])
    node["text"] = {"status": "generated", "div": NARRATIVE.format(words)}
    return f"{path}.text"


def other_date(draw: Draw) -> str | None:
    """Another day, some days off, in the same precision."""
    place = draw.place(lambda place: is_date(place) and len(place.value) >= 10)
    if place is None:
        return None
    try:
        day = date.fromisoformat(place.value[:10])
    except ValueError:
        return None
    moved = day + timedelta(days=draw.dice.choice([-30, -2, -1, 1, 3, 40, 400]))
    place.put(moved.isoformat() + place.value[10:])
    return f"{place.path} = {place.value!r}"


def other_time(draw: Draw) -> str | None:
    """The same instant written otherwise."""
    place = draw.place(lambda place: is_date(place) and "T" in place.value)
    if place is None:
        return None
    day = place.value[:10]
    place.put(
        day
        + draw.dice.choice(
            [
                "T11:01:00Z",
                "T11:01:00.5Z",
                "T11:01:00.123456-08:00",
                "T23:59:59+14:00",
                "T00:00:00Z",
            ]
        )
    )
    return f"{place.path} = {place.value!r}"


def other_code(draw: Draw) -> str | None:
    """Another code of a system that nobody publishes in a package."""
    place = draw.place(
        lambda place: (
            place.key == "code"
            and isinstance(place.value, str)
            and OPEN_SYSTEM.search(str(place.node.get("system"))) is not None
        )
    )
    if place is None:
        return None
    place.put(draw.dice.choice(["99213", "A1", "M54.5", "X", "1", "G0463"]))
    place.node.pop("display", None)
    return f"{place.path} = {place.value!r}"


def added_coding(draw: Draw) -> str | None:
    place = draw.list_place(lambda place: place.key == "coding")
    if place is None:
        return None
    coding = {"system": "http://example.org/local", "code": f"L{draw.dice.randrange(99)}"}
    place.put([*place.value, coding])
    return place.path


def other_number(draw: Draw) -> str | None:
    place = draw.place(
        lambda place: (
            isinstance(place.value, int | float)
            and not isinstance(place.value, bool)
            and place.key in ("value", "valueDecimal", "factor", "percentage")
        )
    )
    if place is None:
        return None
    place.put(draw.dice.choice([1, 2.5, 100.25, 0.125, 1e-3, 12345.67, 7]))
    return f"{place.path} = {place.value!r}"


def other_value(draw: Draw) -> str | None:
    """Another identifier, member number, trace number, street."""
    place = draw.place(_open_value)
    if place is None:
        return None
    place.put(draw.dice.choice(["X1", "a b c", "000", "ÄÖ-7", "1/2#3"]))
    return f"{place.path} = {place.value!r}"


def _open_value(place: Place) -> bool:
    npi = place.node.get("system") == "http://hl7.org/fhir/sid/us-npi"
    names = ("value", "valueString", "subscriberId", "postalCode", "city", "preAuthRef")
    return isinstance(place.value, str) and place.key in names and not npi


def primitive_extension(draw: Draw) -> str | None:
    """An extension or an id on a primitive value."""
    place = draw.place(
        lambda place: (
            isinstance(place.value, str | bool | int | float)
            and place.key not in ("resourceType", "div", "id", "url", "fullUrl", "reference")
            and not place.key.startswith("_")
        )
    )
    if place is None or "_" + place.key in place.node:
        return None
    more: list[Node] = [
        {"id": "p1"},
        {"extension": [{"url": "http://example.org/why", "valueString": "because"}]},
    ]
    place.node["_" + place.key] = draw.dice.choice(more)
    return f"{place.path} with {place.node['_' + place.key]}"


def added_entry(draw: Draw) -> str | None:
    """One more entry, valid for US Core, referred to by another."""
    entries = draw.entries()
    patients = [
        entry for entry in entries if entry.get("resource", {}).get("resourceType") == "Patient"
    ]
    if not patients or draw.root.get("type") != "collection":
        return None
    extra = draw.dice.choice(_EXTRA)(patients[0]["fullUrl"])
    url = f"http://example.org/fhir/{extra['resourceType']}/extra"
    entries.append({"fullUrl": url, "resource": {**extra, "id": "extra"}})
    if extra["resourceType"] == "Organization":
        patients[0]["resource"].setdefault("managingOrganization", {"reference": url})
    return f"Bundle.entry + {extra['resourceType']}"


def _organization(_: str) -> Node:
    return {
        "resourceType": "Organization",
        "meta": {"profile": [US_CORE + "us-core-organization"]},
        "identifier": [{"system": "http://hl7.org/fhir/sid/us-npi", "value": "1234567893"}],
        "active": True,
        "name": "Extra organization",
        "telecom": [{"system": "phone", "value": "555-1234"}],
        "address": [{"line": ["1 Street"], "city": "Town", "state": "NJ", "postalCode": "08540"}],
    }


def _condition(patient: str) -> Node:
    return {
        "resourceType": "Condition",
        "clinicalStatus": {
            "coding": [
                {
                    "system": "http://terminology.hl7.org/CodeSystem/condition-clinical",
                    "code": "active",
                }
            ]
        },
        "verificationStatus": {
            "coding": [
                {
                    "system": "http://terminology.hl7.org/CodeSystem/condition-ver-status",
                    "code": "confirmed",
                }
            ]
        },
        "category": [
            {
                "coding": [
                    {
                        "system": "http://terminology.hl7.org/CodeSystem/condition-category",
                        "code": "encounter-diagnosis",
                    }
                ]
            }
        ],
        "code": {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "M54.16"}]},
        "subject": {"reference": patient},
    }


def _observation(patient: str) -> Node:
    return {
        "resourceType": "Observation",
        "status": "final",
        "category": [
            {
                "coding": [
                    {
                        "system": "http://terminology.hl7.org/CodeSystem/observation-category",
                        "code": "survey",
                    }
                ]
            }
        ],
        "code": {"coding": [{"system": "http://loinc.org", "code": "72514-3"}]},
        "subject": {"reference": patient},
        "effectiveDateTime": "2024-05-05",
        "valueInteger": 7,
    }


def _plain(_: str) -> Node:
    return {"resourceType": "Basic", "code": {"text": "something else"}}


_EXTRA = (_organization, _condition, _observation, _plain)


HARMLESS: dict[str, Mutate] = {
    "permuted keys": permuted_keys,
    "permuted list": permuted_list,
    "permuted entries": permuted_entries,
    "added extension": added_extension,
    "changed text": changed_text,
    "changed ids": changed_ids,
    "urn for an address": urn_urls,
    "added element": added_element,
    "removed text": removed_text,
    "added narrative": added_narrative,
    "other date": other_date,
    "other time": other_time,
    "other code": other_code,
    "added coding": added_coding,
    "other number": other_number,
    "other value": other_value,
    "extension of a primitive": primitive_extension,
    "added entry": added_entry,
}
