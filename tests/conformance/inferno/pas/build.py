"""The input pack for the public PAS server suites: every field of both lines.

`python -m tests.conformance.inferno.pas.build` writes all files; a test holds them to this. A file
is what goes into one field of a suite: a Bundle, a list of Bundles, or a Subscription.
"""

import json
import re
from copy import deepcopy
from datetime import date
from pathlib import Path
from typing import Any

from tests.bundle_resources import PAS
from tests.bundle_values import Asked, Json, Line, Member
from tests.bundles import inquiry_bundle, request_bundle
from tests.conformance.inferno.pas.claims import days, whole_claim, whole_inquiry
from tests.conformance.inferno.pas.resources import order, whole
from tests.conformance.inferno.pas.updates import update_chain

FOLDER = Path(__file__).parent
VERSIONS: dict[Line, str] = {"2.2": "2.2.1", "2.0": "2.0.1"}
LINES: tuple[Line, ...] = ("2.2", "2.0")
BACKPORT = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/"
TOPIC = "http://hl7.org/fhir/us/davinci-pas/SubscriptionTopic/PASSubscriptionTopic"
# What the scripts of sandbox/scenarios.toml make of a request for these members.
AFFIRMED = Member("9TT9TT9TT01", "Affirmington", "Alma", date(1948, 3, 9), "female")
NON_AFFIRMED = Member("9TT9TT9TT02", "Nonaffirm", "Norbert", date(1951, 7, 22), "male")
PENDED = Member("9TT9TT9TT51", "Pendleton", "Petra", date(1944, 11, 30), "female")
EVERYTHING = Member("9TT9TT9TT12", "Maximowitz", "Max", date(1956, 1, 14), "male")
# A request that is asked for more stays undecided, and the next one for its member would repeat it:
# each line has a member of its own.
ASKED: dict[Line, Member] = {
    "2.2": Member("9TT9TT9TT06", "Askington", "Agnes", date(1946, 8, 27), "female"),
    "2.0": Member("9TT9TT9TT16", "Askerby", "Arthur", date(1943, 2, 18), "male"),
}
UPDATED = Member("9TT9TT9TT21", "Updike", "Ursula", date(1939, 5, 2), "female")
_CODES = ("64483", "64484")
# The guide asks for random UUIDs (version 4); ours hang on names, so that files can be compared.
_BY_NAME = re.compile(r"(urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-)5")


def approval(line: Line) -> Json:
    """A request that is affirmed at once."""
    return _request(line, "approval", AFFIRMED)


def denial(line: Line) -> Json:
    """A request that a clinician non-affirms at once."""
    return _request(line, "denial", NON_AFFIRMED)


def pended(line: Line) -> Json:
    """A request that is decided some seconds later, so that a notification has news."""
    return _request(line, "pended", PENDED)


def asked_back(line: Line) -> Json:
    """A request that is answered with what to send: a document, and the service's form."""
    return _request(line, "asked-back", ASKED[line])


def pended_inquiry(line: Line) -> Json:
    """What has become of that request."""
    return plain_inquiry(line, "pended", PENDED)


def everything(line: Line) -> Json:
    """A request that says all that a request may, and is answered with all that an answer may."""
    asked = Asked(line=line, seed="everything", member=EVERYTHING, codes=_CODES)
    bundle = request_bundle(line, seed="everything", member=EVERYTHING, codes=_CODES)
    found = {entry["fullUrl"]: entry["resource"] for entry in bundle["entry"]}
    resources = {
        "claim": whole_claim(found[asked.full_url("claim")], asked),
        **whole(bundle, asked),
        "order": order(found[asked.full_url("order")], asked),
        "document": found[asked.full_url("document")],
    }
    return _as_random(_with(bundle, asked, resources))


def everything_inquiry(line: Line) -> Json:
    """An inquiry that says all that an inquiry may."""
    fields: dict[str, Any] = {"seed": "whole-inquiry", "member": EVERYTHING, "codes": _CODES}
    asked = Asked(line=line, **fields)
    # What a request holds about people and places, an inquiry may hold too.
    bundle = request_bundle(line, **fields)
    short = inquiry_bundle(line, **fields)
    resources = whole(bundle, asked)
    claim = short["entry"][0]["resource"]
    kept = {n: r for n, r in resources.items() if n not in ("encounter", "condition")}
    return _as_random(_with(short, asked, {"claim": whole_inquiry(claim, asked), **kept}))


def plain_inquiry(line: Line, seed: str, member: Member) -> Json:
    """An inquiry that finds whatever a member has."""
    bundle = inquiry_bundle(line, member=member, seed=f"{seed}-inquiry", any_service=True)
    bundle["entry"][0]["resource"]["supportingInfo"] = days()
    return _as_random(bundle)


def updates(line: Line) -> dict[str, Json]:
    """The request and three updates, each naming the one before."""
    chain = update_chain(line, UPDATED, _CODES)
    return {name: _as_random(bundle) for name, bundle in chain.items()}


def subscription(line: Line) -> Json:
    """What asks to be told of decisions: of line 2.2 all of it, of line 2.0 the id.

    The endpoint is the suite's to fill in.
    """
    content = "full-resource" if line == "2.2" else "id-only"
    profile = f"{PAS}profile-subscription" if line == "2.2" else f"{BACKPORT}backport-subscription"
    filtered = {"url": f"{BACKPORT}backport-filter-criteria", "valueString": _FILTERS[line]}
    payload = {"url": f"{BACKPORT}backport-payload-content", "valueCode": content}
    return {
        "resourceType": "Subscription",
        "meta": {"profile": [profile]},
        "status": "requested",
        "end": "2031-12-31T12:00:00Z",
        "reason": "Decisions on prior authorization requests",
        "criteria": TOPIC,
        "_criteria": {"extension": [filtered]},
        "channel": {
            "type": "rest-hook",
            "endpoint": "https://ehr.sandbox.example/notifications",
            "payload": "application/fhir+json",
            "_payload": {"extension": [payload]},
        },
    }


_FILTERS: dict[Line, str] = {
    "2.2": "org-identifier=SANDBOX-SENDER",
    "2.0": "org-identifier=1999990106",
}


def inputs(line: Line) -> dict[str, Json | list[Json]]:
    """Everything that goes into a suite, by the name of its field."""
    chain = updates(line) if line == "2.2" else {}
    changed = [chain[name] for name in ("initial", "add_item", "modify_cancel") if name in chain]
    made: dict[str, Json | list[Json]] = {
        "subscription_resource": subscription(line),
        "approval_pa_submit_request_payload": approval(line),
        "denial_pa_submit_request_payload": denial(line),
        "pended_pa_submit_request_payload": pended(line),
        "pended_pa_inquire_request_payload": pended_inquiry(line),
        "must_support_pa_submit_request_payload": [everything(line), asked_back(line), *changed],
        "must_support_pa_inquire_request_payload": [
            plain_inquiry(line, "everything", EVERYTHING),
            plain_inquiry(line, "asked-back", ASKED[line]),
            everything_inquiry(line),
        ],
    }
    return made | {f"claim_update_{name}_submit_payload": each for name, each in chain.items()}


def files() -> dict[Path, str]:
    """Every file of the pack with its content."""
    made = {
        FOLDER / VERSIONS[line] / f"{name}.json": content
        for line in LINES
        for name, content in inputs(line).items()
    }
    return {file: json.dumps(content, indent=1) + "\n" for file, content in made.items()}


def _request(line: Line, seed: str, member: Member) -> Json:
    return _as_random(request_bundle(line, seed=seed, member=member, order=False, codes=_CODES))


def _with(bundle: Json, asked: Asked, resources: dict[str, Json]) -> Json:
    entries = [{"fullUrl": asked.full_url(n), "resource": r} for n, r in resources.items()]
    return {**deepcopy(bundle), "entry": entries}


def _as_random(bundle: Json) -> Json:
    """The same with UUIDs of the random kind, which the suites tell by their version."""
    found: Json = json.loads(_BY_NAME.sub(r"\g<1>4", json.dumps(bundle)))
    return found


if __name__ == "__main__":
    for file, content in files().items():
        file.parent.mkdir(exist_ok=True)
        file.write_text(content, encoding="utf-8")
