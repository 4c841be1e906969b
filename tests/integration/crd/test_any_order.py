"""Any order of valid parts is answered and left as it was; any mutation is answered or refused."""

import copy
from collections.abc import Iterator
from datetime import date
from hashlib import sha256
from typing import Any

import orjson
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.bundle_resources import concept, procedure
from tests.bundle_values import MEMBERS, STATES, Json, Line
from tests.conformance.inferno.crd.resources import ICD_10
from tests.crd_bodies import HOOKS, LINES, PRIMARY_HOOKS, Record, hook_call
from tests.integration.crd.door import (
    HookClient,
    answered,
    broken_rules,
    extensions_of,
    said_in,
    without_information,
)
from tests.integration.crd.scenarios import place
from tests.integration.pas.door import Rows
from tests.vaults import opened_call
from wiser_fhir import exact

QUICK = settings(
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.generate],
    database=None,
)
SNOMED = "http://snomed.info/sct"
# Of the model, delayed, add-ons, associated, equipment, and what is nobody's.
CODES = (
    *("64483", "64484", "62321", "15275", "15272", "64568", "61885", "22514", "29877", "77003"),
    *("72148", "99213", "E0250", "A4290", "L8679", "00000"),
)
CLINICAL = ("171787008", "53976000", "47411002", "160670007")
NUMBERS = ("1", "1.0", "1.00", "2.50", "1e2", "0.10", "12345678901234567890")

words = st.text(st.characters(codec="utf-8", exclude_categories=["C"]), min_size=1, max_size=40)
days = st.dates(date(1900, 1, 1), date(2100, 12, 31)).map(date.isoformat)
numbers = st.sampled_from(NUMBERS).map(exact.Number)
codings = st.sampled_from(CODES).map(procedure) | st.sampled_from(CLINICAL).map(
    lambda code: concept(SNOMED, code)
)


@st.composite
def codes(draw: st.DrawFn) -> Json:
    """One coding or several, with words or without, or words alone."""
    found = [c for each in draw(st.lists(codings, max_size=3)) for c in each["coding"]]
    text = draw(words.filter(str.strip) if not found else st.none() | words.filter(str.strip))
    return {**({"coding": found} if found else {}), **({"text": text} if text else {})}


@st.composite
def whens(draw: st.DrawFn) -> Json:
    """When it is to be done, in one of the ways there are, or not told."""
    first, last = sorted((draw(days), draw(days)))
    period = {"start": first, "end": last}
    how = draw(st.sampled_from(["none", "day", "period", "timing", "open"]))
    told: dict[str, Json] = {
        "none": {},
        "day": {"occurrenceDateTime": first},
        "period": {"occurrencePeriod": period},
        "timing": {"occurrenceTiming": {"repeat": {"boundsPeriod": period}}},
        "open": {"occurrencePeriod": {"start": first}},
    }
    return told[how]


@st.composite
def orders(draw: st.DrawFn, record: Record, name: str) -> Json:
    """A ServiceRequest that base FHIR allows."""
    order = record.order("64483", name=name, occurrenceDateTime=None)
    order |= {"code": draw(codes()), **draw(whens())}
    for optional in ("performer", "locationCode", "locationReference", "reasonCode", "requester"):
        if draw(st.booleans()):
            del order[optional]
    more: Json = {
        "locationCode": st.sampled_from(["11", "12", "19", "21", "22", "23", "24", "99"]).map(
            place
        ),
        "reasonCode": st.sampled_from(["M54.16", "E11.621", "Z00.00"]).map(
            lambda code: [concept(ICD_10, code)]
        ),
        "quantityQuantity": st.builds(dict, value=numbers),
        "priority": st.sampled_from(["routine", "urgent", "asap", "stat"]),
        "status": st.sampled_from(["draft", "active", "on-hold"]),
        "note": st.builds(lambda text: [{"text": text}], words.filter(str.strip)),
        "extension": st.builds(
            lambda number: [{"url": "https://ehr.sandbox.example/own", "valueDecimal": number}],
            numbers,
        ),
    }
    for element, values in more.items():
        if draw(st.booleans()):
            order[element] = draw(values)
    return order


@st.composite
def calls(draw: st.DrawFn) -> Json:
    """A call of a hook that is about orders, or hours, or a visit."""
    record = Record.of(
        draw(st.sampled_from(LINES)),
        draw(st.sampled_from(MEMBERS)),
        draw(st.sampled_from(sorted(STATES))),
        draw(st.sampled_from(["original-medicare", "medicare-advantage", "railroad"])),
    )
    hook = draw(st.sampled_from(HOOKS))
    several = 1 if hook == "order-dispatch" else 3
    count = draw(st.integers(1, several))
    if hook == "appointment-book":
        about = [record.appointment(f"hour-{n}", serviceType=[draw(codes())]) for n in range(count)]
    elif hook.startswith("encounter"):
        about = [record.encounter(hook)]
    else:
        about = [draw(orders(record, f"order-{n}")) for n in range(count)]
    return hook_call(hook, record, *about)


def subjects(body: Json) -> dict[str, Json]:
    """What a call is about, by name."""
    context, prefetch = body["context"], body["prefetch"]
    holder = context.get("draftOrders") or context.get("appointments") or prefetch.get("orders")
    found = [e["resource"] for e in holder["entry"]] if holder else [prefetch["encounter"]]
    return {f"{each['resourceType']}/{each['id']}": each for each in found}


@settings(QUICK, max_examples=150)
@given(body=calls())
async def test_any_order_of_valid_parts_is_answered_and_left_as_it_was(
    body: Json, hooks: HookClient, rows: Rows
) -> None:
    sent = exact.dumps(body)
    response = await hooks.call(sent, body["hook"])
    answer = answered(response)
    about = subjects(body)
    line: Line = "2.2" if "extension" in body else "2.0"
    names = [f"{a['resource']['resourceType']}/{a['resource']['id']}" for a in _actions(answer)]
    if body["hook"] in PRIMARY_HOOKS:
        assert names == list(about)
    assert set(names) <= set(about)
    for name, action in zip(names, _actions(answer), strict=True):
        resource = action["resource"]
        assert exact.dumps(_sorted(without_information(resource))) == exact.dumps(
            _sorted(about[name])
        )
        [extension] = extensions_of(resource)
        assert broken_rules(said_in(extension), line) == []
        assert said_in(extension).coverage == "Coverage/coverage"
    [row] = await rows.all("select * from hook_call order by received_at desc, id desc limit 1")
    assert row["request_sha256"] == sha256(sent).digest()
    starred = copy.deepcopy(body)
    starred["fhirAuthorization"]["access_token"] = "***"
    row = await opened_call(rows.engine, row)
    assert row["request"] == exact.dumps(starred)
    assert row["response"] == response.content


def _actions(answer: Json) -> list[Json]:
    found: list[Json] = answer["systemActions"]
    return found


def _sorted(resource: Json) -> Json:
    """With its elements by name: the extension may have moved."""
    return {name: resource[name] for name in sorted(resource)}


# Mutations

JUNK: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    1.5,
    "",
    "x",
    " ",
    [],
    {},
    [[]],
    [None],
    {"a": None},
    "2026-13-45",
    "9" * 70,
)

REPLACED = (..., *JUNK)


def paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a JSON value."""
    if path:
        yield path
    if isinstance(value, dict):
        keys = list(value)
    else:
        keys = list(range(len(value))) if isinstance(value, list) else []
    for key in keys:
        yield from paths(value[key], (*path, key))


def changed(body: Json, path: tuple[Any, ...], value: object) -> Json:
    """The body with something else in one place; the place is gone for `...`."""
    result = copy.deepcopy(body)
    holder: Any = result
    for key in path[:-1]:
        holder = holder[key]
    if value is ...:
        del holder[path[-1]]
    else:
        holder[path[-1]] = copy.deepcopy(value)
    return result


# Drawn before a test begins: what hypothesis raises inside a coroutine would end its runner.


@st.composite
def mutated_calls(draw: st.DrawFn) -> tuple[str, Json]:
    """A hook, and a call of it that is changed in up to three places."""
    body = draw(calls())
    hook = body["hook"]
    for _ in range(draw(st.integers(1, 3))):
        places = list(paths(body))
        if places:
            body = changed(body, draw(st.sampled_from(places)), draw(st.sampled_from(REPLACED)))
    return hook, body


@st.composite
def broken_bytes(draw: st.DrawFn) -> tuple[str, bytes]:
    """A hook, and a call of it with bytes flipped, perhaps cut."""
    body = draw(calls())
    sent = bytearray(exact.dumps(body))
    for _ in range(draw(st.integers(1, 4))):
        sent[draw(st.integers(0, len(sent) - 1))] = draw(st.integers(0, 255))
    return body["hook"], bytes(sent[: draw(st.integers(0, len(sent)) | st.just(len(sent)))])


@settings(QUICK, max_examples=400)
@given(mutated=mutated_calls())
async def test_a_mutated_call_is_answered_or_refused_and_never_a_failure_of_ours(
    mutated: tuple[str, Json], hooks: HookClient
) -> None:
    hook, body = mutated
    response = await hooks.call(exact.dumps(body), hook)
    assert response.status_code in (200, 400, 413, 422), response.text
    if response.status_code == 200:
        answered(response)
    else:
        assert response.json()["resourceType"] == "OperationOutcome"


@settings(QUICK, max_examples=150)
@given(broken=broken_bytes())
async def test_bytes_that_were_cut_or_flipped_never_fail_us(
    broken: tuple[str, bytes], hooks: HookClient
) -> None:
    hook, sent = broken
    response = await hooks.call(sent, hook)
    assert response.status_code in (200, 400, 413, 422), response.text


@settings(QUICK, max_examples=60)
@given(entries=st.lists(st.dictionaries(words, st.sampled_from(JUNK), max_size=4), max_size=3))
async def test_no_feedback_fails_us(entries: list[Json], hooks: HookClient) -> None:
    named = [
        {"card": "5a5d0b0c-0000-4000-8000-00000000c001", "outcome": "accepted", **each}
        for each in entries
    ]
    response = await hooks.feedback("order-sign", orjson.dumps({"feedback": named}))
    assert response.status_code in (400, 404)
