"""Mutations that mostly break a resource, in named classes. The judge says which ones do.

Each takes a Draw, changes its copy in one place and says where; None if there is no such place.
"""

import copy
import re
from collections.abc import Callable
from typing import Any

from tests.oracle.draw import Draw, Node, Place, is_code

Mutate = Callable[[Draw], str | None]

CHOICES = ("value", "serviced", "location", "diagnosis", "timing", "occurrence", "content")
KNOWN_EXTENSIONS = (
    "http://hl7.org/fhir/StructureDefinition/patient-birthPlace",
    "http://hl7.org/fhir/StructureDefinition/iso21090-ADXP-streetName",
    "http://hl7.org/fhir/us/davinci-pas/StructureDefinition/extension-itemTraceNumber",
    "http://hl7.org/fhir/us/davinci-pas/StructureDefinition/extension-levelOfServiceCode",
    "http://hl7.org/fhir/us/davinci-pas/StructureDefinition/extension-reviewAction",
    "http://hl7.org/fhir/us/core/StructureDefinition/us-core-birthsex",
)


def dropped_element(draw: Draw) -> str | None:
    place = draw.place(lambda place: place.key not in ("div", "resourceType"))
    if place is None:
        return None
    del place.node[place.key]
    return place.path


def dropped_item(draw: Draw) -> str | None:
    place = draw.list_place()
    if place is None:
        return None
    index = draw.dice.randrange(len(place.value))
    place.put(place.value[:index] + place.value[index + 1 :])
    if not place.value:
        del place.node[place.key]
    return f"{place.path}[{index}]"


def dropped_resource_type(draw: Draw) -> str | None:
    path, node = draw.dice.choice(draw.resources())
    del node["resourceType"]
    return f"{path}.resourceType"


def retyped(draw: Draw) -> str | None:
    place = draw.place(lambda place: place.key != "resourceType")
    if place is None:
        return None
    place.put(_retyped(draw, place.value))
    return place.path


def _retyped(draw: Draw, value: Any) -> Any:
    match value:
        case bool():
            return draw.dice.choice([str(value).lower(), int(value), [value]])
        case int() | float():
            return draw.dice.choice([str(value), {"value": value}, [value], value > 0])
        case str():
            return draw.dice.choice([7, True, [value], {"value": value}, {"text": value}])
        case list():
            return draw.dice.choice([value[0], {}, "text", [value]])
        case _:
            return draw.dice.choice(["text", [value], 7, {}])


def emptied(draw: Draw) -> str | None:
    place = draw.place(lambda place: place.key != "resourceType")
    if place is None:
        return None
    place.put(draw.dice.choice(["", " ", None, {}, []]))
    return place.path


def duplicated(draw: Draw) -> str | None:
    place = draw.place(lambda place: place.key != "div")
    if place is None:
        return None
    if isinstance(place.value, list):
        index = draw.dice.randrange(len(place.value))
        twin = copy.deepcopy(place.value[index])
        place.put([*place.value, twin])
        return f"{place.path}[{index}]"
    place.put([place.value, copy.deepcopy(place.value)])
    return place.path


def moved(draw: Draw) -> str | None:
    place = draw.place(lambda place: place.key not in ("resourceType", "fullUrl"))
    homes = [(path, node) for path, node in draw.nodes() if place and place.key not in node]
    if place is None or not homes:
        return None
    value = place.node.pop(place.key)
    path, home = draw.dice.choice(homes)
    home[place.key] = value
    return f"{place.path} to {path}"


def renamed(draw: Draw) -> str | None:
    place = draw.place()
    if place is None:
        return None
    key = place.key
    choice = next((name for name in CHOICES if re.match(name + "[A-Z]", key)), None)
    if choice is not None and draw.dice.random() < 0.7:
        kinds = ("String", "Boolean", "Date", "Period", "Reference", "CodeableConcept", "Quantity")
        name = choice + draw.dice.choice(kinds)
    else:
        name = draw.dice.choice([key + "s", key.capitalize(), key[:-1] + "x", "x" + key, "_" + key])
    if name == key:
        return None
    place.node[name] = place.node.pop(key)
    return f"{place.path} to {name}"


def unknown_element(draw: Draw) -> str | None:
    path, node = draw.dice.choice(draw.nodes())
    name = draw.dice.choice(["colour", "valueBase", "sequenceNumber", "note2", "resourcetype"])
    node[name] = draw.dice.choice(["blue", 3, {"text": "blue"}, [{"text": "blue"}]])
    return f"{path}.{name}"


def wrong_resource_type(draw: Draw) -> str | None:
    path, node = draw.dice.choice(draw.resources())
    node["resourceType"] = draw.dice.choice(["Claim", "Patient", "Basic", "Nothing", "claim"])
    return f"{path}.resourceType"


def wrong_code(draw: Draw) -> str | None:
    place = draw.place(is_code)
    if place is None:
        return None
    place.put(
        draw.dice.choice(
            ["bogus", place.value.upper(), place.value + "x", " " + place.value, "active", "draft"]
        )
    )
    return f"{place.path} = {place.value!r}"


def wrong_system(draw: Draw) -> str | None:
    place = draw.place(lambda place: place.key == "system" and isinstance(place.value, str))
    if place is None:
        return None
    place.put(
        draw.dice.choice(
            [
                "http://example.org/other",
                place.value + "x",
                "http://snomed.info/sct",
                "http://hl7.org/fhir/sid/us-npi",
                "http://terminology.hl7.org/CodeSystem/v3-ActCode",
                "not a uri",
            ]
        )
    )
    return f"{place.path} = {place.value!r}"


def wrong_slice(draw: Draw) -> str | None:
    """Another value where slices are told apart: url, code of a category, system."""
    place = draw.place(
        lambda place: (
            place.key in ("url", "code", "system", "use", "name", "linkId")
            and isinstance(place.value, str)
            and re.search(r"xtension|category|coding|identifier|parameter", place.path) is not None
        )
    )
    if place is None:
        return None
    key = place.key
    values = [other.value for other in draw.places(lambda other: other.key == key)]
    others = sorted({value for value in values if isinstance(value, str)})
    if not others:
        return None
    place.put(draw.dice.choice(others))
    return f"{place.path} = {place.value!r}"


def wrong_extension(draw: Draw) -> str | None:
    path, node = draw.dice.choice(draw.nodes())
    url = draw.dice.choice(KNOWN_EXTENSIONS)
    bad: list[Node] = [
        {"url": "http://example.org/x"},
        {"valueString": "no url"},
        {"url": "http://example.org/x", "valueString": "a", "valueCode": "b"},
        {"url": "relative", "valueString": "a"},
        {"url": url, "valueString": "a"},
        {"url": url, "valueCodeableConcept": {"text": "a"}},
        {"url": url, "valueIdentifier": {"value": "a"}},
        {
            "url": "http://example.org/x",
            "valueString": "a",
            "extension": [{"url": "http://example.org/y", "valueString": "b"}],
        },
    ]
    key = "modifierExtension" if draw.dice.random() < 0.15 else "extension"
    extension = draw.dice.choice(bad)
    node[key] = [*_list(node.get(key)), extension]
    return f"{path}.{key} + {extension}"


def wrong_extension_value(draw: Draw) -> str | None:
    found = [(path, node) for path, node in draw.extensions() if _value_key(node)]
    if not found:
        return None
    path, node = draw.dice.choice(found)
    key = _value_key(node)
    assert key is not None
    old = node.pop(key)
    new: list[tuple[str, Any]] = [
        ("valueString", "text"),
        ("valueBoolean", True),
        ("valueInteger", 3),
        ("valueDate", "2024-02-30"),
        ("valueCodeableConcept", {"text": "text"}),
        ("valueReference", {"reference": "Patient/none"}),
        ("valueIdentifier", {"value": "1"}),
        ("value", old),
        (key, [old]),
    ]
    name, value = draw.dice.choice(new)
    node[name] = value
    return f"{path}.{key} to {name}"


def _value_key(node: Node) -> str | None:
    return next((key for key in node if key.startswith("value")), None)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def wrong_reference(draw: Draw) -> str | None:
    place = draw.place(lambda place: place.key == "reference" and isinstance(place.value, str))
    if place is None:
        return None
    known = [entry.get("fullUrl") for entry in draw.entries()]
    others = sorted({other.value for other in draw.places(lambda other: other.key == "reference")})
    place.put(
        draw.dice.choice(
            [
                place.value + "-none",
                "Patient/nobody",
                "urn:uuid:7a0f5d3e-8f0e-4f57-9a0c-000000000000",
                "#nothing",
                "",
                "no reference",
                "Nothing/1",
                "Basic/1",
                *[url for url in known if isinstance(url, str)],
                *others,
            ]
        )
    )
    return f"{place.path} = {place.value!r}"


def dropped_reference(draw: Draw) -> str | None:
    place = draw.place(lambda place: place.key == "reference")
    if place is None:
        return None
    del place.node[place.key]
    if draw.dice.random() < 0.5:
        place.node["display"] = "somebody"
    return place.path


def wrong_date(draw: Draw) -> str | None:
    place = draw.date()
    if place is None:
        return None
    day = place.value[:10]
    place.put(
        draw.dice.choice(
            [
                "2024-02-30",
                "2024-13-01",
                "24-01-01",
                "01/02/2024",
                f"{day}T10:00",
                f"{day}T10:00:00",
                f"{day}T25:00:00Z",
                f"{day} ",
                f"{day}T10:00:00Z",
                day.replace("-", ""),
                day[:4],
                day[:7],
                day,
            ]
        )
    )
    return f"{place.path} = {place.value!r}"


def wrong_number(draw: Draw) -> str | None:
    place = draw.place(
        lambda place: isinstance(place.value, int | float) and not isinstance(place.value, bool)
    )
    if place is None:
        return None
    place.put(draw.dice.choice([-1, 0, 1.5, 2147483648, -0.5, "1", "1.0", "x", 1e2, 99]))
    return f"{place.path} = {place.value!r}"


def wrong_id(draw: Draw) -> str | None:
    place = draw.place(
        lambda place: place.key in ("id", "url", "system", "fullUrl", "profile", "versionId")
    )
    if place is None:
        return None
    place.put(
        draw.dice.choice(
            ["a b", "a_b", "x" * 65, "a/b", "http://example.org/a b", " lead", "relative/path", ""]
        )
    )
    return f"{place.path} = {place.value!r}"


def wrong_profile(draw: Draw) -> str | None:
    found = [(path, node) for path, node in draw.resources() if node.get("meta", {}).get("profile")]
    if not found:
        return None
    path, node = draw.dice.choice(found)
    base = "http://hl7.org/fhir/us/davinci-pas/StructureDefinition/"
    others = ("claim", "claim-update", "claim-inquiry", "coverage", "insurer", "requestor")
    people = ("subscriber", "beneficiary", "practitioner", "practitionerrole", "claimresponse")
    node["meta"]["profile"] = [f"{base}profile-{draw.dice.choice(others + people)}"]
    return f"{path}.meta.profile = {node['meta']['profile']}"


def wrong_bundle(draw: Draw) -> str | None:
    entries = draw.entries()
    if len(entries) < 2:
        return None
    number = draw.dice.randrange(len(entries))
    entry = entries[number]
    fault = draw.dice.choice(_BUNDLE_FAULTS)
    fault(draw, entries, entry)
    return f"{fault.__name__} {number}"


def _no_url(_: Draw, __: list[Node], entry: Node) -> None:
    del entry["fullUrl"]


def _same_url(_: Draw, entries: list[Node], entry: Node) -> None:
    entry["fullUrl"] = entries[0]["fullUrl"]


def _twin(_: Draw, entries: list[Node], entry: Node) -> None:
    entries.append(copy.deepcopy(entry))


def _no_resource(_: Draw, __: list[Node], entry: Node) -> None:
    entry.pop("resource", None)


def _request(_: Draw, __: list[Node], entry: Node) -> None:
    entry["request"] = {"method": "POST", "url": "Claim"}


def _search(_: Draw, __: list[Node], entry: Node) -> None:
    entry["search"] = {"mode": "match"}


def _type(draw: Draw, _: list[Node], __: Node) -> None:
    draw.root["type"] = draw.dice.choice(["batch", "document", "message", "searchset", "history"])


def _first(_: Draw, entries: list[Node], entry: Node) -> None:
    entries.remove(entry)
    entries.insert(0, entry)


def _no_entries(draw: Draw, _: list[Node], __: Node) -> None:
    draw.root["entry"] = []


def _total(draw: Draw, _: list[Node], __: Node) -> None:
    draw.root["total"] = 3


def _other_url(_: Draw, __: list[Node], entry: Node) -> None:
    entry["fullUrl"] = "http://example.org/fhir/Basic/other"


_BUNDLE_FAULTS = (
    _no_url,
    _same_url,
    _twin,
    _no_resource,
    _request,
    _search,
    _type,
    _first,
    _no_entries,
    _total,
    _other_url,
)


def broken_rule(draw: Draw) -> str | None:
    """Values that only an invariant forbids."""
    faults = [rule for rule in _RULES if any(rule[0](place) for place in draw.places())]
    if not faults:
        return None
    wanted, values = draw.dice.choice(faults)
    place = draw.place(wanted)
    assert place is not None
    place.put(draw.dice.choice(values))
    return f"{place.path} = {place.value!r}"


def _npi(place: Place) -> bool:
    return place.key == "value" and place.node.get("system") == "http://hl7.org/fhir/sid/us-npi"


def _named(*keys: str) -> Callable[[Place], bool]:
    return lambda place: place.key in keys


_RULES: tuple[tuple[Callable[[Place], bool], tuple[Any, ...]], ...] = (
    (_npi, ("123456789", "12345678901", "1234567890", "abcdefghij", "1234567893")),
    (_named("end"), ("1999-01-01", "1999", "1999-01-01T00:00:00Z")),
    (_named("name"), ([{}], [{"use": "official"}], [{"text": "x"}], [{"family": "A"}])),
    (_named("telecom"), ([{"value": "555"}], [{"system": "phone"}], [{"rank": 0}])),
    (
        lambda place: place.key == "contained" or place.key == "meta",
        ({"versionId": "1", "tag": [{"userSelected": "yes"}]}, {"lastUpdated": "2020"}),
    ),
    (
        lambda place: place.key in ("quantity", "valueQuantity", "quantityQuantity"),
        ({"code": "mg"}, {"value": 1, "comparator": "="}, {"value": "1"}, {"unit": "d"}),
    ),
)


def wrong_narrative(draw: Draw) -> str | None:
    place = draw.place(lambda place: place.key == "text" and isinstance(place.value, dict))
    if place is None:
        return None
    space = 'xmlns="http://www.w3.org/1999/xhtml"'
    bad = (
        "<div>no namespace</div>",
        f"<div {space}><script>x</script></div>",
        f"<div {space}><b>open</div>",
        f"<div {space}></div>",
        f'<div {space}><a onclick="x">y</a></div>',
        f"<p {space}>no div</p>",
        "plain",
    )
    status, div = draw.dice.choice(
        [("generated", draw.dice.choice(bad)), ("wrong", f"<div {space}>x</div>"), ("empty", None)]
    )
    place.put({"status": status} if div is None else {"status": status, "div": div})
    return f"{place.path} = {place.value}"


def contained(draw: Draw) -> str | None:
    """A contained resource: one referred to, one that is not, a faulty one."""
    path, node = draw.dice.choice(draw.resources())
    if node["resourceType"] in ("Bundle", "Parameters"):
        return None
    inner: Node = draw.dice.choice(
        [
            {"resourceType": "Organization", "id": "in", "name": "x"},
            {"resourceType": "Organization", "id": "in"},
            {"resourceType": "Patient", "id": "in", "gender": "M"},
            {"resourceType": "Patient", "name": [{"family": "x"}]},
            {"resourceType": "Organization", "id": "in", "name": "x", "meta": {"versionId": "1"}},
            {"resourceType": "Organization", "id": "in", "name": "x", "colour": "blue"},
        ]
    )
    node["contained"] = [inner]
    if draw.dice.random() < 0.6:
        node["extension"] = [
            *_list(node.get("extension")),
            {"url": "http://example.org/who", "valueReference": {"reference": "#in"}},
        ]
    return f"{path}.contained"


FAULTS: dict[str, Mutate] = {
    "dropped element": dropped_element,
    "dropped item": dropped_item,
    "dropped resource type": dropped_resource_type,
    "dropped reference": dropped_reference,
    "retyped": retyped,
    "emptied": emptied,
    "duplicated": duplicated,
    "moved": moved,
    "renamed": renamed,
    "unknown element": unknown_element,
    "wrong resource type": wrong_resource_type,
    "wrong code": wrong_code,
    "wrong system": wrong_system,
    "wrong slice": wrong_slice,
    "wrong extension": wrong_extension,
    "wrong extension value": wrong_extension_value,
    "wrong reference": wrong_reference,
    "wrong date": wrong_date,
    "wrong number": wrong_number,
    "wrong id or uri": wrong_id,
    "wrong profile": wrong_profile,
    "wrong bundle": wrong_bundle,
    "broken rule": broken_rule,
    "wrong narrative": wrong_narrative,
    "contained": contained,
}
