"""What a Subscription has to say, what it may not, and what each line does with the rest."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from tests.bundle_values import Json, Line
from tests.subscriptions import BACKPORT, SECRET, a_filter, a_subscription, content
from wiser_fhir.errors import InvalidResource, ProfileViolation
from wiser_fhir.fhir.validation.validator import GuideValidator
from wiser_fhir.notify.subscriptions import Content, Status, Wanted
from wiser_fhir.pas.subscription import Owner, Place, channel_of, wanted

NOW = datetime(2026, 11, 20, 16, 0, tzinfo=UTC)
LINES: tuple[Line, ...] = ("2.2", "2.0")
OWNER = Owner(frozenset({"1999000015", "the-client"}), ("https://ehr.example", "http://near:9000"))
FOR_ALL = Owner(None, OWNER.origins)


@pytest.fixture(scope="module")
def validators() -> dict[Line, GuideValidator]:
    return {line: GuideValidator.load(line) for line in LINES}


@pytest.fixture
def read(validators: dict[Line, GuideValidator]) -> Callable[..., Wanted]:
    def read(resource: Json, line: Line = "2.2", owner: Owner = OWNER) -> Wanted:
        place = Place(line, "https://payer.example/fhir")
        return wanted(resource, place, owner, validators[line], NOW)

    return read


Read = Callable[..., Wanted]


def expressions(refusal: pytest.ExceptionInfo[Any]) -> set[str | None]:
    return {p.expression for p in refusal.value.problems if p.severity == "error"}


@pytest.mark.parametrize("line", LINES)
def test_one_that_is_as_it_should_be_is_kept_as_it_was_sent(read: Read, line: Line) -> None:
    sent = a_subscription(line)
    found = read(sent, line)
    assert sent.pop("status") == "requested"
    assert orjson.loads(found.resource) == sent | {"meta": {}}
    assert found.status is Status.REQUESTED
    assert found.content is {"2.2": Content.FULL_RESOURCE, "2.0": Content.ID_ONLY}[line]
    assert (found.host, found.base_url) == ("https://ehr.example:443", "https://payer.example/fhir")
    assert (found.warnings, found.ends_at, found.heartbeat) == ((), None, None)


def test_how_it_is_told_is_read_from_what_is_kept(read: Read) -> None:
    sent = a_subscription(endpoint="http://near:9000/a/b?c=d")
    sent["channel"]["header"].append("X-Tenant:  north ")
    sent["channel"]["extension"] = [{"url": BACKPORT + "backport-timeout", "valueUnsignedInt": 7}]
    channel = channel_of(read(sent).resource)
    assert channel.endpoint == "http://near:9000/a/b?c=d"
    assert channel.headers == (
        ("Authorization", "Bearer canary-0123456789"),
        ("X-Tenant", "north"),
    )
    assert (channel.media_type, channel.seconds) == ("application/fhir+json", 7)


def test_secrets_are_in_no_text_of_what_is_read(read: Read) -> None:
    found = read(a_subscription())
    assert "canary" not in repr(found)
    assert "canary" not in repr(channel_of(found.resource))


def test_what_only_we_say_of_it_is_not_kept(read: Read) -> None:
    sent = a_subscription() | {"id": "mine", "error": "an old one"}
    sent["meta"] = {"versionId": "9", "lastUpdated": "2026-01-01T00:00:00Z", "profile": ["p"]}
    sent["meta"]["profile"] = [BACKPORT + "backport-subscription"]
    kept = orjson.loads(read(sent).resource)
    assert not {"id", "status", "error"} & kept.keys()
    assert kept["meta"] == {"profile": [BACKPORT + "backport-subscription"]}


@pytest.mark.parametrize("status", ["requested", "active", "off"])
def test_a_client_may_ask_for_these(read: Read, status: str) -> None:
    assert read(a_subscription() | {"status": status}).status == status


@pytest.mark.parametrize("line", LINES)
def test_error_is_ours_to_say(read: Read, line: Line) -> None:
    with pytest.raises(ProfileViolation) as refusal:
        read(a_subscription(line) | {"status": "error"}, line)
    assert expressions(refusal) == {"Subscription.status"}


@pytest.mark.parametrize("line", LINES)
def test_another_topic_is_refused(read: Read, line: Line) -> None:
    sent = a_subscription(line) | {"criteria": "http://hl7.org/SubscriptionTopic/admission"}
    with pytest.raises(ProfileViolation) as refusal:
        read(sent, line)
    assert "Subscription.criteria" in expressions(refusal)


@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize("kind", ["websocket", "email", "sms", "message"])
def test_another_channel_is_refused(read: Read, line: Line, kind: str) -> None:
    sent = a_subscription(line)
    sent["channel"]["type"] = kind
    with pytest.raises(ProfileViolation) as refusal:
        read(sent, line)
    assert "Subscription.channel.type" in expressions(refusal)


@pytest.mark.parametrize(
    ("line", "code", "taken"),
    [
        ("2.2", "full-resource", True),
        ("2.2", "id-only", False),
        ("2.2", "empty", False),
        ("2.0", "id-only", True),
        ("2.0", "full-resource", True),
        ("2.0", "empty", False),
    ],
)
def test_each_line_offers_its_own_content(read: Read, line: Line, code: str, taken: bool) -> None:
    sent = a_subscription(line)
    sent["channel"]["_payload"]["extension"] = [content(code)]
    if taken:
        assert read(sent, line).content == code
        return
    with pytest.raises(ProfileViolation) as refusal:
        read(sent, line)
    assert "Subscription.channel.payload.extension" in expressions(refusal)


@pytest.mark.parametrize(
    ("payload", "taken"),
    [
        ("application/fhir+json", True),
        ("application/json", True),
        ("application/fhir+json; fhirVersion=4.0", True),
        ("application/fhir+json;charset=utf-8", True),
        ("application/fhir+xml", False),
        ("text/plain", False),
        ("application/json X-Evil: 1", False),
    ],
)
def test_only_json_is_sent(read: Read, payload: str, taken: bool) -> None:
    sent = a_subscription("2.0")
    sent["channel"]["payload"] = payload
    if taken:
        assert channel_of(read(sent, "2.0").resource).media_type == payload
        return
    with pytest.raises(ProfileViolation) as refusal:
        read(sent, "2.0")
    assert expressions(refusal) == {"Subscription.channel.payload"}


@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize(
    "endpoint",
    [
        "https://other.example/told",
        "http://ehr.example/told",
        "https://ehr.example:8443/told",
        "https://ehr.example.evil/told",
        "https://ehr.example@evil.example/told",
        "https://ehr.example/%2e%2e/told",
        "ftp://ehr.example/told",
        "not a url",
    ],
)
def test_only_a_registered_host_is_told(read: Read, line: Line, endpoint: str) -> None:
    with pytest.raises((ProfileViolation, InvalidResource)) as refusal:
        read(a_subscription(line, endpoint), line)
    assert "Subscription.channel.endpoint" in expressions(refusal)


@pytest.mark.parametrize("line", LINES)
def test_one_without_an_endpoint_is_refused(read: Read, line: Line) -> None:
    sent = a_subscription(line)
    del sent["channel"]["endpoint"]
    with pytest.raises(ProfileViolation):
        read(sent, line)


@pytest.mark.parametrize(
    "header",
    [
        "no colon",
        "Name:",
        "Name: a\nEvil: b",
        "Náme: a",
        "X: ü",
        "Host: other.example",
        "Content-Length: 1",
        "content-type: text/plain",
        "Transfer-Encoding: chunked",
        "Connection: close",
        f"X: {'a' * 4_096}",
    ],
)
def test_a_header_that_is_none_or_not_theirs_is_refused(read: Read, header: str) -> None:
    sent = a_subscription()
    sent["channel"]["header"] = [SECRET, header]
    with pytest.raises((ProfileViolation, InvalidResource)) as refusal:
        read(sent)
    assert "Subscription.channel.header[1]" in expressions(refusal)
    assert not any("canary" in problem.text for problem in refusal.value.problems)


def test_headers_are_bounded(read: Read) -> None:
    sent = a_subscription()
    sent["channel"]["header"] = [f"X-{n}: a" for n in range(21)]
    with pytest.raises(ProfileViolation) as refusal:
        read(sent)
    assert expressions(refusal) == {"Subscription.channel.header"}


@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize(
    "told",
    [
        "org-identifier=1999000015",
        "orgIdentifier=1999000015",
        "identifier=1999000015",
        "org-identifier=9999999999,1999000015",
        "org-identifier=http://hl7.org/fhir/sid/us-npi|1999000015",
        "ClaimResponse?org-identifier=1999000015",
        "org-identifier=the-client",
    ],
)
def test_every_spelling_of_one_s_own_organization_is_a_filter(
    read: Read, line: Line, told: str
) -> None:
    sent = a_subscription(line)
    sent["_criteria"]["extension"] = [a_filter(told)]
    found = read(sent, line)
    assert found.warnings == ()
    assert orjson.loads(found.resource)["_criteria"] == sent["_criteria"]


NOT_HEEDED = [
    "Encounter.patient=Patient/123",
    "org-identifier=9999999999",
    "org-identifier=",
    "org-identifier=1999000015&patient=Patient/1",
    "",
    "nonsense",
]


@pytest.mark.parametrize("told", NOT_HEEDED[:4])
def test_2_2_refuses_a_filter_that_it_cannot_heed(read: Read, told: str) -> None:
    sent = a_subscription()
    sent["_criteria"]["extension"].append(a_filter(told))
    with pytest.raises(ProfileViolation) as refusal:
        read(sent)
    assert expressions(refusal) == {"Subscription.criteria.extension[1]"}


@pytest.mark.parametrize("told", NOT_HEEDED[:4])
def test_2_0_leaves_a_filter_out_that_it_cannot_heed_and_says_so(read: Read, told: str) -> None:
    sent = a_subscription("2.0")
    sent["_criteria"]["extension"].append(a_filter(told))
    found = read(sent, "2.0")
    assert len(found.warnings) == 1
    kept = orjson.loads(found.resource)
    assert kept["_criteria"] == {"extension": [a_filter("org-identifier=1999000015")]}
    alone = a_subscription("2.0")
    alone["_criteria"]["extension"] = [a_filter(told)]
    assert "_criteria" not in orjson.loads(read(alone, "2.0").resource)


@pytest.mark.parametrize("told", ["org-identifier=8189991234", "identifier=ANY-SYSTEM"])
def test_who_acts_for_all_may_name_anybody(read: Read, told: str) -> None:
    sent = a_subscription()
    sent["_criteria"]["extension"] = [a_filter(told)]
    assert read(sent, owner=FOR_ALL).warnings == ()


def test_no_filter_is_needed(read: Read) -> None:
    sent = a_subscription()
    del sent["_criteria"]
    assert read(sent).warnings == ()


def test_2_2_refuses_an_end_that_has_passed_and_2_0_leaves_it_out(read: Read) -> None:
    past = {"end": "2020-12-31T12:00:00Z"}
    with pytest.raises(ProfileViolation) as refusal:
        read(a_subscription() | past)
    assert expressions(refusal) == {"Subscription.end"}
    found = read(a_subscription("2.0") | past, "2.0")
    assert found.ends_at is None
    assert len(found.warnings) == 1
    assert "end" not in orjson.loads(found.resource)


@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize("end", ["9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00"])
def test_an_end_that_no_clock_can_show_is_refused(read: Read, line: Line, end: str) -> None:
    with pytest.raises(ProfileViolation) as refusal:
        read(a_subscription(line) | {"end": end}, line)
    assert expressions(refusal) == {"Subscription.end"}


@pytest.mark.parametrize("line", LINES)
def test_an_end_to_come_is_heeded(read: Read, line: Line) -> None:
    found = read(a_subscription(line) | {"end": "2026-12-24T18:00:00+01:00"}, line)
    assert found.ends_at == datetime(2026, 12, 24, 17, 0, tzinfo=UTC)


@pytest.mark.parametrize(("asked", "given"), [(86_400, 86_400), (5, 60), (0, None)])
def test_a_heartbeat_comes_at_most_once_a_minute(read: Read, asked: int, given: int | None) -> None:
    sent = a_subscription("2.0")
    url = BACKPORT + "backport-heartbeat-period"
    sent["channel"]["extension"] = [{"url": url, "valueUnsignedInt": asked}]
    assert read(sent, "2.0").heartbeat == given


def test_all_that_is_wrong_is_said_at_once(read: Read) -> None:
    sent = a_subscription(endpoint="https://other.example/told") | {"end": "2020-01-01T00:00:00Z"}
    sent["channel"]["header"] = ["nothing"]
    sent["_criteria"]["extension"] = [a_filter("patient=1")]
    with pytest.raises(ProfileViolation) as refusal:
        read(sent)
    assert expressions(refusal) == {
        "Subscription.channel.endpoint",
        "Subscription.channel.header[0]",
        "Subscription.criteria.extension[0]",
        "Subscription.end",
    }


def test_another_resource_is_none(read: Read) -> None:
    with pytest.raises(InvalidResource):
        read({"resourceType": "Patient"})


@pytest.mark.parametrize(
    "broken",
    [
        {"resourceType": "Patient"},
        {"channel": None},
        {"channel": "rest-hook"},
        {"status": "sleeping"},
        {"unknown": True},
        {"end": "tomorrow"},
    ],
    ids=lambda broken: next(iter(broken)),
)
@pytest.mark.parametrize("line", LINES)
def test_what_is_no_subscription_breaks_r4(read: Read, line: Line, broken: Json) -> None:
    with pytest.raises(InvalidResource):
        read(a_subscription(line) | broken, line)


@pytest.mark.parametrize("missing", ["criteria", "status", "channel", "resourceType"])
@pytest.mark.parametrize("line", LINES)
def test_what_is_missing_is_missed_whatever_stands_beside_it(
    read: Read, line: Line, missing: str
) -> None:
    sent = a_subscription(line)
    del sent[missing]
    with pytest.raises((InvalidResource, ProfileViolation)):
        read(sent, line)
    absent = {"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason"}
    beside = {"extension": [absent | {"valueCode": "unknown"}]}
    with pytest.raises((InvalidResource, ProfileViolation)):
        read(sent | {f"_{missing}": beside}, line)


@pytest.mark.parametrize("name", ["type", "endpoint", "payload", "header"])
def test_an_extension_in_place_of_a_value_is_no_value(read: Read, name: str) -> None:
    sent = a_subscription("2.0")
    absent = {"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason"}
    beside: Any = {"extension": [absent | {"valueCode": "unknown"}]}
    sent["channel"].pop(name)
    sent["channel"][f"_{name}"] = [beside] if name == "header" else beside
    if name == "header":
        sent["channel"][name] = [None]
    with pytest.raises((InvalidResource, ProfileViolation)):
        read(sent, "2.0")
