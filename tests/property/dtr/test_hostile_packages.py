"""Whatever is done to a call for packages, it is answered or refused in our own words."""

import copy
import json
from collections.abc import Iterator
from typing import Any
from uuid import UUID

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.ledger_values import an_assertion
from tests.package_bodies import CPT, Json, a_call, a_coverage, an_order, canonical, parameter
from tests.unit.dtr.packing import NOW, TODAY, catalogue, forms, read
from wiser_fhir.dtr.choice import choose
from wiser_fhir.dtr.context import of_assertion
from wiser_fhir.dtr.coverage_faults import coverage_faults
from wiser_fhir.dtr.door import occasion_of
from wiser_fhir.dtr.draft import draft
from wiser_fhir.dtr.known_answers import known_answers
from wiser_fhir.dtr.package import Packages
from wiser_fhir.errors import ProfileViolation, WiserError
from wiser_fhir.fhir.codes import LINES, Line
from wiser_fhir.priorauth.registry import InMemoryRegistry

RESPONSE_ID = UUID("00000000-0000-4000-8000-000000000007")
PACKAGES = {line: Packages(line, "https://payer.example") for line in LINES}
KINDS = {"Parameters", "Bundle", "OperationOutcome"}

_COVERAGE = a_coverage(
    contained=[
        {
            "resourceType": "Organization",
            "id": "o",
            "identifier": [{"system": "urn:oid:1.2", "value": "1"}],
        },
        {"resourceType": "Patient", "id": "p", "birthDate": "1950-02-28"},
    ],
    beneficiary={"reference": "#p"},
    payor=[{"reference": "#o"}],
    type={"coding": [{"system": "https://nahdo.org/sopt", "code": "12"}]},
    identifier=[{"value": "1", "type": {"coding": [{"code": "MB"}]}}],
)
_DEVICE = {
    "resourceType": "DeviceRequest",
    "id": "d",
    "intent": "order",
    "contained": [{"resourceType": "Device", "id": "x", "type": {"text": "a device"}}],
    "codeReference": {"reference": "#x"},
    "subject": {"reference": "Patient/patient-1"},
}
_APPOINTMENT = {
    "resourceType": "Appointment",
    "id": "a",
    "status": "proposed",
    "basedOn": [{"reference": "ServiceRequest/order-1"}],
    "participant": [{"actor": {"reference": "Patient/patient-1"}, "status": "accepted"}],
}
_PATIENT = {"resourceType": "Patient", "id": "patient-1", "identifier": [{"value": "1"}]}
SAMPLES = [
    a_call(an_order()),
    a_call(an_order("15271"), _DEVICE, _APPOINTMENT, coverage=_COVERAGE, context="a"),
    a_call(_APPOINTMENT, more=(parameter("referenced", "resource", an_order()),)),
    a_call(
        an_order(),
        questionnaires=(canonical("2.2", "skin-substitutes"), canonical("2.0", "skin-substitutes")),
        since="2026-01-01T00:00:00Z",
        more=(parameter("referenced", "resource", _PATIENT),),
    ),
]

strings = st.sampled_from(
    [
        *("#", "#x", "#o", "Patient/patient-2", "https://ehr.example/Patient/1", "urn:uuid:1"),
        *("2026-02-30", "9999-12-31T23:59:59-12:00", "0001-01-01T00:00:00Z", "0001", CPT, "64483"),
        *("order", "coverage", "context", "referenced", "Encounter", "SupplyRequest", "Device"),
        *("skin-substitutes", "|", f"{canonical('2.2', 'skin-substitutes')}|", "a" * 300),
    ]
)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**20), 10**20),
    st.floats(allow_nan=False),
    st.text(max_size=12),
    strings,
)
anything = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(
                ["resourceType", "id", "reference", "coding", "code", "contained", "extension"]
            ),
            inner,
            max_size=3,
        ),
    ),
    max_leaves=6,
)


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every value inside a JSON value."""
    children = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in children:
        yield (*at, key)
        if isinstance(inner, dict | list):
            yield from places(inner, (*at, key))


@st.composite
def bent_calls(draw: st.DrawFn) -> Json:
    """A sample with a few of its values replaced, dropped, wrapped, moved or under other names."""
    body = copy.deepcopy(draw(st.sampled_from(SAMPLES)))
    for _ in range(draw(st.integers(0, 2))):
        found = list(places(body))
        *way, last = draw(st.randoms(use_true_random=False)).choice(found)
        holder: Any = body
        for step in way:
            holder = holder[step]
        match draw(st.sampled_from(["drop", "text", "text", "replace", "wrap", "twice", "rename"])):
            case "text" if isinstance(holder[last], str):
                holder[last] = draw(strings)
            case "drop":
                del holder[last]
            case "wrap":
                holder[last] = [holder[last]]
            case "twice" if isinstance(holder, list):
                holder.append(copy.deepcopy(holder[last]))
            case "rename" if isinstance(holder, dict):
                holder[draw(st.sampled_from(["valueUri", "x", "id", "part"]))] = holder.pop(last)
            case _:
                holder[last] = draw(anything)
    return body


def answer(call: Json, line: Line, *, with_context: bool) -> bytes:
    """What the door does, less the database."""
    request = read(call, line)
    faults = coverage_faults(request, InMemoryRegistry(), TODAY)
    if faults:
        raise ProfileViolation("The Coverage cannot be used.", faults)
    context = None
    if with_context:
        context = of_assertion(an_assertion(service="skin-substitutes"), catalogue(), TODAY)
    choice = choose(request, context, forms(), catalogue(), line=line, on=TODAY)
    packed = [
        (each.form, draft(each.form, occasion_of(request, each, NOW)), RESPONSE_ID)
        for each in choice.wanted
    ]
    return PACKAGES[line].answer(packed, choice.remarks, TODAY)


def answered_or_refused(call: Json, line: Line, *, with_context: bool) -> bytes | WiserError:
    try:
        return answer(call, line, with_context=with_context)
    except WiserError as refusal:
        return refusal


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(call=bent_calls(), line=st.sampled_from(LINES), with_context=st.booleans())
def test_a_bent_call_is_answered_or_refused_and_never_changed(
    call: Json, line: Line, with_context: bool
) -> None:
    before = copy.deepcopy(call)
    found = answered_or_refused(call, line, with_context=with_context)
    if isinstance(found, WiserError):
        assert found.problems
        assert {each.severity for each in found.problems} == {"error"}
    else:
        assert json.loads(found)["resourceType"] in KINDS
    assert call == before


_RESPONSE = {
    "resourceType": "QuestionnaireResponse",
    "status": "completed",
    "questionnaire": canonical("2.2", "skin-substitutes", "2026-01-15"),
    "subject": {"reference": "Patient/p"},
    "item": [
        {"linkId": "ctp-area", "answer": [{"valueDecimal": 2.5}]},
        {"linkId": "ctp-wound", "answer": [{"valueCoding": {"code": "dfu"}}]},
    ],
}


@given(
    question=st.sampled_from(["ctp-area", "ctp-wound", "ctp-abi", "ctp-diabetes", "ctp-smoking"]),
    key=st.sampled_from(["valueDecimal", "valueInteger", "valueString", "valueBoolean", ""]),
    value=st.one_of(
        st.integers(-10, 10**9), st.floats(allow_nan=False), st.text(max_size=5), st.booleans()
    ),
)
def test_what_is_known_is_a_possible_answer(question: str, key: str, value: Any) -> None:
    claim = {"resourceType": "Claim", "patient": {"reference": "Patient/p"}}
    item = {"linkId": question, "answer": [{key: value} if key else {}]}
    response = _RESPONSE | {"item": [item]}
    request = {"resourceType": "Bundle", "entry": [{"resource": claim}, {"resource": response}]}
    rules = catalogue().service("skin-substitutes", TODAY)
    assert rules is not None
    for name, known in known_answers(request, rules).items():
        assert name == question
        assert not isinstance(known, str) or any(
            option.code == known for option in rules.by_id[name].options
        )
