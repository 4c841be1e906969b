"""A FHIR Subscription -> what it asks for, with everything that is wrong with it.

The lines differ in how strict they are: 2.2 refuses what it cannot heed; 2.0 leaves it out, keeps
the rest and says so in `Subscription.error`, the one element of R4 that tells a subscriber in words
what became of its Subscription (a warning header is no longer part of HTTP, RFC 9111 §5.5, and the
body of a 201 has to be the Subscription).

Source: PAS 2.2.1 profile-subscription, §spec-54 to §spec-62; Subscriptions R5 Backport 1.1.0,
"Conformance" (what is not supported is refused, or altered to what is).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson

from wiser_fhir.egress.url import read_url
from wiser_fhir.errors import InvalidResource, Problem, ProfileViolation
from wiser_fhir.fhir import codes
from wiser_fhir.fhir.codes import Line
from wiser_fhir.fhir.elements import Json, extension, extensions
from wiser_fhir.fhir.validation.validator import GuideValidator
from wiser_fhir.fhir.values import instant
from wiser_fhir.notify.subscriptions import Content, Status, Wanted
from wiser_fhir.notify.telling import Channel

TOPIC = "http://hl7.org/fhir/us/davinci-pas/SubscriptionTopic/PASSubscriptionTopic"
BACKPORT = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/"
PROFILES: dict[Line, str] = {
    "2.2": codes.PAS + "profile-subscription",
    "2.0": BACKPORT + "backport-subscription",
}
_FILTER = BACKPORT + "backport-filter-criteria"
_CONTENT = BACKPORT + "backport-payload-content"
_HEARTBEAT = BACKPORT + "backport-heartbeat-period"
_TIMEOUT = BACKPORT + "backport-timeout"

# The topic, the prose and the suite spell the one filter in three ways. Source: PAS 2.2.1 §spec-58.
_OWN = frozenset({"orgidentifier", "org-identifier", "identifier"})
_CONTENTS: dict[Line, frozenset[str]] = {
    "2.2": frozenset({Content.FULL_RESOURCE}),
    "2.0": frozenset({Content.ID_ONLY, Content.FULL_RESOURCE}),
}
_SHORTEST_HEARTBEAT = 60
_MOST_HEADERS = 20
_LONGEST_HEADER = 4_096
_MEDIA_TYPE = re.compile(r"application/(?:fhir\+)?json(?: ?; ?[A-Za-z]+=[A-Za-z0-9.-]+){0,3}")
_HEADER = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([!-~](?:[ -~\t]*[!-~])?)")
# These belong to the connection and to what is sent, not to who is told.
_NOT_THEIRS = frozenset(
    {
        *("host", "content-length", "content-type", "content-encoding", "transfer-encoding"),
        *("connection", "keep-alive", "te", "trailer", "upgrade", "expect", "accept-encoding"),
        *("user-agent", "proxy-connection", "proxy-authorization"),
    }
)
_OURS = ("id", "status", "error")
_OUR_META = ("versionId", "lastUpdated")


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose a Subscription is. `identifiers` name its organization, None where it acts for all;
    `origins` are where it may be told.
    """

    identifiers: frozenset[str] | None
    origins: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a Subscription was sent: a line and its base URL."""

    line: Line
    base_url: str


@dataclass(slots=True)
class _Findings:
    """What is wrong, and what is left out of a Subscription that is kept all the same."""

    strict: bool
    problems: list[Problem] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def refuse(self, code: str, text: str, where: str) -> None:
        self.problems.append(Problem("error", code, text, f"Subscription.{where}"))

    def leave_out(self, code: str, text: str, where: str) -> None:
        """Refused where the line is strict."""
        if self.strict:
            self.refuse(code, text, where)
        else:
            self.warnings.append(text)


def wanted(
    resource: Json, at: Place, owner: Owner, validator: GuideValidator, now: datetime
) -> Wanted:
    """What a Subscription asks for.

    Raises InvalidResource (breaks base R4) or ProfileViolation, each with every problem found.
    """
    line = at.line
    if resource.get("resourceType") != "Subscription":
        text = "A Subscription was expected."
        raise InvalidResource(text, [Problem("error", "structure", text, "resourceType")])
    found = _Findings(strict=line == "2.2")
    if not validator.proves(resource, PROFILES[line]):
        found.problems += validator.problems(resource, PROFILES[line])
        if any(p.severity == "error" for p in validator.base_problems(resource)):
            raise InvalidResource("The Subscription is not valid FHIR R4.", found.problems)
    kept = _kept(resource)
    status = _status(resource, found)
    _check_topic(resource, found)
    _check_channel(resource["channel"], line, owner, found)
    ends_at = _end(kept, now, found)
    _check_filters(kept, owner, found)
    if any(problem.severity == "error" for problem in found.problems):
        raise ProfileViolation("The Subscription cannot be kept.", found.problems)
    channel = resource["channel"]
    return Wanted(
        resource=orjson.dumps(kept),
        status=status,
        content=Content(_content(channel)),
        host=_host(channel["endpoint"]),
        base_url=at.base_url,
        heartbeat=_heartbeat(channel),
        ends_at=ends_at,
        warnings=tuple(found.warnings),
    )


def channel_of(resource: bytes) -> Channel:
    """Where and how to tell a subscriber, from a Subscription that was found good and kept."""
    channel = orjson.loads(resource)["channel"]
    timeout = extension(channel, _TIMEOUT) or {}
    headers = (_HEADER.fullmatch(each.strip()) for each in channel.get("header", ()))
    return Channel(
        endpoint=channel["endpoint"],
        headers=tuple((match[1], match[2]) for match in headers if match),
        media_type=channel["payload"],
        seconds=timeout.get("valueUnsignedInt") or None,
    )


def _kept(resource: Json) -> Json:
    """The Subscription without what only we say of it."""
    kept = {name: value for name, value in resource.items() if name.strip("_") not in _OURS}
    meta = {n: v for n, v in resource.get("meta", {}).items() if n.strip("_") not in _OUR_META}
    return kept | ({"meta": meta} if meta else {"meta": {}})


def _status(resource: Json, found: _Findings) -> Status:
    """What to do with it. A profile of PAS 2.1 asks for `active` on what is only requested."""
    told = resource.get("status")
    if told not in (Status.REQUESTED, Status.ACTIVE, Status.OFF):
        text = "The status to send is requested, or off; error is ours to give."
        found.refuse("business-rule", text, "status")
        return Status.OFF
    return Status(told)


def _check_topic(resource: Json, found: _Findings) -> None:
    if resource.get("criteria") != TOPIC:
        found.refuse("not-supported", f"The one topic here is {TOPIC}.", "criteria")


def _check_channel(channel: Json, line: Line, owner: Owner, found: _Findings) -> None:
    if channel.get("type") != "rest-hook":
        found.refuse("not-supported", "The one channel here is rest-hook.", "channel.type")
    if _content(channel) not in _CONTENTS[line]:
        offered = " or ".join(sorted(_CONTENTS[line]))
        text = f"The payload content offered in this line is {offered}."
        found.refuse("not-supported", text, "channel.payload.extension")
    if not _MEDIA_TYPE.fullmatch(channel.get("payload", "")):
        text = "Notifications are sent as application/fhir+json or application/json."
        found.refuse("not-supported", text, "channel.payload")
    _check_endpoint(channel.get("endpoint"), owner, found)
    _check_headers(channel.get("header", ()), found)


def _check_endpoint(endpoint: str | None, owner: Owner, found: _Findings) -> None:
    place = read_url(endpoint) if endpoint else None
    if place is None:
        text = "An http or https URL was expected that can be read in one way only."
        found.refuse("value", text, "channel.endpoint")
        return
    origins = {read.origin for each in owner.origins if (read := read_url(each)) is not None}
    if place.origin not in origins:
        text = "This client is not registered to be told at this host; an operator can do that."
        found.refuse("forbidden", text, "channel.endpoint")


def _check_headers(headers: Any, found: _Findings) -> None:
    if len(headers) > _MOST_HEADERS:
        found.refuse("too-long", f"At most {_MOST_HEADERS} headers are sent.", "channel.header")
    for number, header in enumerate(headers):
        where = f"channel.header[{number}]"
        plain = header.strip() if isinstance(header, str) else ""
        match = _HEADER.fullmatch(plain) if len(plain) <= _LONGEST_HEADER else None
        if match is None:
            found.refuse("value", "A header of the form `Name: value` was expected.", where)
        elif match[1].lower() in _NOT_THEIRS:
            found.refuse("not-supported", "This header is not for a subscriber to set.", where)


def _content(channel: Json) -> str:
    told = extension(channel.get("_payload", {}), _CONTENT) or {}
    return str(told.get("valueCode", ""))


def _host(endpoint: str) -> str:
    place = read_url(endpoint)
    return "" if place is None else f"{place.scheme}://{place.host}:{place.port}"


def _heartbeat(channel: Json) -> int | None:
    period = (extension(channel, _HEARTBEAT) or {}).get("valueUnsignedInt")
    return max(period, _SHORTEST_HEARTBEAT) if period else None


def _end(kept: Json, now: datetime, found: _Findings) -> datetime | None:
    """When it ends. One that has ended already is kept without an end where the line allows it."""
    ends_at = instant(kept.get("end"))
    if ends_at is None and "end" in kept:
        found.refuse("value", "An instant between the years 1 and 9999 was expected.", "end")
    if ends_at is not None and ends_at <= now:
        text = "The end has passed and is not heeded: send a later one, or none."
        found.leave_out("business-rule", text, "end")
        for name in ("end", "_end"):
            kept.pop(name, None)
        return None
    return ends_at


def _check_filters(kept: Json, owner: Owner, found: _Findings) -> None:
    """Filters that name the owner stay. Whatever they say, one is told of one's own cases alone.

    Source: PAS 2.2.1 §spec-58, §spec-59 (nobody else's may be subscribed to).
    """
    criteria = kept.get("_criteria")
    if not isinstance(criteria, dict):
        return
    refused = []
    for number, each in enumerate(extensions(criteria, _FILTER)):
        where = f"criteria.extension[{number}]"
        told = [_refusal(name, values, owner) for name, values in _pairs(each)]
        for code, text in filter(None, told or [("value", "An empty filter says nothing.")]):
            found.leave_out(code, text, where)
            refused.append(each)
    stay = [each for each in criteria.get("extension", ()) if each not in refused]
    rest = {name: value for name, value in criteria.items() if name != "extension"}
    kept["_criteria"] = rest | ({"extension": stay} if stay else {})
    if not kept["_criteria"]:
        del kept["_criteria"]


def _refusal(name: str, values: frozenset[str], owner: Owner) -> tuple[str, str] | None:
    if name.lower() not in _OWN:
        text = "The one filter here is org-identifier (also orgIdentifier, identifier); not heeded."
        return "not-supported", text
    if not values or (owner.identifiers is not None and not values & owner.identifiers):
        text = (
            "The filter names no identifier of this client's organization (an NPI, or the client's"
            " registered name) and is not heeded: only its own cases are told of."
        )
        return "business-rule", text
    return None


def _pairs(filter_criteria: Json) -> Iterator[tuple[str, frozenset[str]]]:
    """Names and values of `[Type?]name=value[,value][&...]`; a value may carry its system."""
    text = str(filter_criteria.get("valueString", ""))
    for part in text.rpartition("?")[2].split("&"):
        name, _, values = part.partition("=")
        if name.strip():
            plain = (value.rpartition("|")[2].strip() for value in values.split(","))
            yield name.strip(), frozenset(value for value in plain if value)
