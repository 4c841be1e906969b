"""The input pack for the public CRD conformance suite: bodies for every hook, in both lines.

`python -m tests.conformance.inferno.crd.build` writes all files, those of examples/cds too; a test
holds them to this. A file is what goes into one field of the suite: a list of bodies, or the one
body of any-hook.json.
"""

import json
from collections.abc import Callable, Iterable
from datetime import date
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from tests.bundle_resources import concept, procedure
from tests.bundle_values import MEMBERS, Json, Line, Member
from tests.conformance.inferno.crd.resources import Chart
from wiser_fhir.resources import resource_path

FOLDER = Path(__file__).parent
EXAMPLES = resource_path("examples") / "cds"
LINES: tuple[Line, ...] = ("2.2", "2.0")
EHR = "https://ehr.sandbox.example/fhir"
USER = "Practitioner/practitioner"
# Test members of the sandbox: sandbox/suite.toml gives the answers to the first one every type of
# card, sandbox/tenant.toml says what the registry knows of the others.
SUITE = Member("9XX9XX9XX81", "Suiteley", "Frances", date(1950, 6, 17), "female")
DECEASED = Member("9XX9XX9XX91", "Goneby", "Gilbert", date(1931, 2, 8), "male")
ADVANTAGE = Member("9XX9XX9XX92", "Planworth", "Hazel", date(1954, 9, 23), "female")
NOBODY = Member("9XX9XX9XX93", "Noone", "Ike", date(1947, 12, 4), "male")
# Longer than one authorization can cover.
LONG = {"start": "2026-12-01", "end": "2027-12-01"}
_HOOK_INSTANCES = uuid5(NAMESPACE_URL, "https://wiser-fhir.example/made-up-hook-calls")
# One wording of ours where a service type has no billing code of its own: nobody can decide on it.
CONSULTATION = concept("http://terminology.hl7.org/CodeSystem/service-type", "221")


def order_sign(line: Line) -> list[Json]:
    """Every situation that an order can be in."""
    return [*_wiser_orders(line), *_other_orders(line), *_registry_orders(line)]


def _wiser_orders(line: Line) -> list[Json]:
    """Orders that WISeR has something to ask about."""
    texas, jersey = Chart(line, MEMBERS[0]), Chart(line, MEMBERS[1], "NJ")
    ohio, oklahoma = Chart(line, MEMBERS[2], "OH"), Chart(line, MEMBERS[3], "OK")
    washington, suite = Chart(line, MEMBERS[4], "WA"), Chart(line, SUITE)
    untold = dict.fromkeys(("performer", "locationCode", "locationReference", "occurrenceDateTime"))
    return [
        _signed("one service", texas, _injection(texas)),
        _signed("a test member", suite, _injection(suite)),
        _signed(
            "several orders",
            oklahoma,
            _injection(oklahoma),
            _add_on(oklahoma),
            oklahoma.service("mri", "72148", "M54.16"),
            oklahoma.device("bed", "E0250"),
        ),
        _signed("an add-on alone", jersey, _add_on(jersey)),
        _signed("a long time", jersey, _long(jersey)),
        _signed("a skin substitute", ohio, ohio.service("skin", "15275", "E11.621")),
        _signed("a stimulator", washington, washington.service("nerve", "64568", "G40.011")),
        _signed(
            "who and where not told", texas, texas.service("bone", "22514", "M80.08XA", **untold)
        ),
    ]


def _other_orders(line: Line) -> list[Json]:
    """Orders that WISeR asks nothing about."""
    arizona, ohio = Chart(line, MEMBERS[2], "AZ"), Chart(line, MEMBERS[2], "OH")
    oklahoma, elsewhere = Chart(line, MEMBERS[3], "OK"), Chart(line, MEMBERS[1], "CA")
    plan = Chart(line, MEMBERS[4], "TX", "medicare-advantage")
    return [
        _signed("no WISeR service", ohio, ohio.device("oxygen", "E0424")),
        _signed("not in this state", arizona, arizona.service("skin", "15275", "E11.621")),
        _signed("a state without WISeR", elsewhere, elsewhere.service("knee", "29877", "M17.11")),
        _signed("a delayed service", oklahoma, oklahoma.service("brain", "61885", "G20.A1")),
        _signed("an Advantage plan", plan, plan.service("knee", "29877", "M17.11")),
    ]


def _registry_orders(line: Line) -> list[Json]:
    """Orders for those of whom the registry knows something."""
    charts = [Chart(line, member, "OH") for member in (DECEASED, ADVANTAGE, NOBODY)]
    return [_signed(chart.member.family, chart, _injection(chart)) for chart in charts]


def order_select(line: Line) -> list[Json]:
    """One of several orders is selected."""
    texas, jersey = Chart(line, MEMBERS[0]), Chart(line, MEMBERS[1], "NJ")
    suite = Chart(line, SUITE)
    drafts = [_injection(texas), texas.medication("medicine", "105611")]
    return [
        _selected("one of two", texas, drafts, drafts[:1]),
        _selected("the medicine", texas, drafts, drafts[1:]),
        _selected("a test member", suite, [_injection(suite)]),
        _selected("an add-on alone", jersey, [_add_on(jersey)]),
        _selected("a long time", jersey, [_long(jersey)]),
    ]


def order_dispatch(line: Line) -> list[Json]:
    """An order finds its performer: told as 2.0 does, or as 2.2 does."""
    texas, jersey = Chart(line, MEMBERS[0]), Chart(line, MEMBERS[1], "NJ")
    ohio, suite = Chart(line, MEMBERS[2], "OH"), Chart(line, SUITE)
    bed = ohio.device("bed", "E0250")
    both = [ohio.service("skin", "15275", "E11.621", performer=None), bed]
    return [
        _dispatched("a service", texas, [_injection(texas, performer=None)]),
        _dispatched("a test member", suite, [_injection(suite, performer=None)]),
        _dispatched("an add-on alone", jersey, [_add_on(jersey, performer=None)]),
        _dispatched("equipment", ohio, [bed]),
        *([_dispatched("two at once", ohio, both)] if line == "2.2" else []),
    ]


def appointment_book(line: Line) -> list[Json]:
    """Hours for a service, for a talk, and for two things; in 2.2 also for an order."""
    texas, jersey = Chart(line, MEMBERS[0]), Chart(line, MEMBERS[1], "NJ")
    suite = Chart(line, SUITE)
    talk = jersey.appointment("talk", 10, serviceType=[CONSULTATION])
    knee = jersey.appointment("knee", 13, serviceType=[procedure("29877")])
    of_order = {"basedOn": [{"reference": "ServiceRequest/injection"}]}
    ordered = texas.appointment("ordered-hour", 14, **of_order)
    return [
        _booked("a service", texas, _hour(texas, "64483")),
        _booked("a test member", suite, _hour(suite, "64483")),
        _booked("an add-on alone", jersey, _hour(jersey, "64484")),
        _booked("two hours", jersey, talk, knee),
        _booked("an order", texas, ordered, order=_injection(texas)),
    ]


def encounter_start(line: Line) -> list[Json]:
    """Somebody comes in."""
    charts = (Chart(line, MEMBERS[0]), Chart(line, SUITE))
    return [_visit("encounter-start", chart, "in-progress") for chart in charts]


def encounter_discharge(line: Line) -> list[Json]:
    """Somebody leaves."""
    charts = (Chart(line, MEMBERS[0]), Chart(line, SUITE))
    return [_visit("encounter-discharge", chart, "finished") for chart in charts]


def any_hook(line: Line) -> Json:
    """The one body of "Demonstrate A Hook Response"."""
    return order_sign(line)[0]


def example(line: Line) -> Json:
    """The hook call of the documentation: for somebody of whom no other example tells."""
    chart = Chart(line, MEMBERS[3], "OK")
    return _signed("the example", chart, _injection(chart))


BODIES: dict[str, Callable[[Line], list[Json]]] = {
    "order-sign": order_sign,
    "order-select": order_select,
    "order-dispatch": order_dispatch,
    "appointment-book": appointment_book,
    "encounter-start": encounter_start,
    "encounter-discharge": encounter_discharge,
}


def files() -> dict[Path, str]:
    """Every file of the pack with its content."""
    made: dict[Path, Json | list[Json]] = {}
    for line in LINES:
        made |= {FOLDER / line / f"{hook}.json": bodies(line) for hook, bodies in BODIES.items()}
        made[FOLDER / line / "any-hook.json"] = any_hook(line)
        made[EXAMPLES / f"order-sign-{line}.json"] = example(line)
    return {file: json.dumps(content, indent=1) + "\n" for file, content in made.items()}


def _injection(chart: Chart, **more: Any) -> Json:
    return chart.service("injection", "64483", "M54.16", **more)


def _add_on(chart: Chart, **more: Any) -> Json:
    return chart.service("injection-level-2", "64484", "M54.16", **more)


def _long(chart: Chart) -> Json:
    when = {"occurrenceDateTime": None, "occurrencePeriod": LONG}
    return chart.service("skin-for-a-year", "15275", "E11.621", **when)


def _hour(chart: Chart, code: str) -> Json:
    return chart.appointment("hour", 9, serviceType=[procedure(code)])


def _signed(what: str, chart: Chart, *orders: Json) -> Json:
    context = {
        "userId": USER,
        "patientId": chart.patient_id,
        "draftOrders": _bundle("collection", orders),
    }
    return _call("order-sign", what, chart, context)


def _selected(
    what: str, chart: Chart, drafts: list[Json], selected: list[Json] | None = None
) -> Json:
    context = {
        "userId": USER,
        "patientId": chart.patient_id,
        "selections": [_name(order) for order in selected or drafts],
        "draftOrders": _bundle("collection", drafts),
    }
    return _call("order-select", what, chart, context)


def _dispatched(what: str, chart: Chart, orders: list[Json]) -> Json:
    context: Json = {"patientId": chart.patient_id, "performer": USER}
    names = [_name(order) for order in orders]
    if chart.line == "2.0":
        context["order"] = names[0]
        return _call("order-dispatch", what, chart, context, order=orders[0])
    context["dispatchedOrders"] = names
    services = [o["id"] for o in orders if o["resourceType"] == "ServiceRequest"]
    if services:
        context["fulfillmentTasks"] = [chart.dispatch(name) for name in services]
    return _call("order-dispatch", what, chart, context, orders=_bundle("searchset", orders))


def _booked(what: str, chart: Chart, *hours: Json, **prefetch: Json) -> Json:
    context = {
        "userId": USER,
        "patientId": chart.patient_id,
        "appointments": _bundle("collection", hours),
    }
    return _call("appointment-book", what, chart, context, **prefetch)


def _visit(hook: str, chart: Chart, status: str) -> Json:
    encounter = chart.encounter(status)
    context = {"userId": USER, "patientId": chart.patient_id, "encounterId": encounter["id"]}
    return _call(hook, chart.patient_id, chart, context, encounter=encounter)


def _call(hook: str, what: str, chart: Chart, context: Json, **prefetch: Json) -> Json:
    """A whole body. What its orders lead to is in prefetch, for nobody answers at the EHR."""
    instance = uuid5(_HOOK_INSTANCES, f"{chart.line} {hook} {what}")
    patient, coverage, *others = chart.people()
    return {
        "hook": hook,
        "hookInstance": str(instance),
        "fhirServer": EHR,
        "fhirAuthorization": {
            "access_token": "made-up",
            "token_type": "Bearer",
            "expires_in": 300,
            "scope": "patient/*.rs",
            "subject": "wiser-fhir",
            "patient": chart.patient_id,
        },
        **({"extension": {"davinci-crd.requestedVersion": "2.2"}} if chart.line == "2.2" else {}),
        "context": context,
        "prefetch": {
            "patient": patient,
            "coverage": _bundle("searchset", [coverage]),
            "practitioners": _only("Practitioner", others),
            "organizations": _only("Organization", others),
            "locations": _only("Location", others),
            **prefetch,
        },
    }


def _only(kind: str, resources: Iterable[Json]) -> Json:
    return _bundle("searchset", [r for r in resources if r["resourceType"] == kind])


def _bundle(kind: str, resources: Iterable[Json]) -> Json:
    entries = [{"fullUrl": f"{EHR}/{_name(one)}", "resource": one} for one in resources]
    return {"resourceType": "Bundle", "type": kind, "entry": entries}


def _name(resource: Json) -> str:
    return f"{resource['resourceType']}/{resource['id']}"


if __name__ == "__main__":
    for file, content in files().items():
        file.parent.mkdir(exist_ok=True)
        file.write_text(content, encoding="utf-8")
