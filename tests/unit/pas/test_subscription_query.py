import pytest

from tests.bundle_values import Json
from tests.unit.pas.test_notices import TOLD
from wiser_fhir.errors import InvalidResource
from wiser_fhir.pas.subscription_query import EventsQuery, Query, StatusQuery, told_in


@pytest.mark.parametrize(
    ("pairs", "found"),
    [
        ([], True),
        ([("_id", str(TOLD.id))], True),
        ([("_id", f"other,{TOLD.id}")], True),
        ([("_id", "other")], False),
        ([("status", "active")], True),
        ([("status", "http://hl7.org/fhir/subscription-status|active")], True),
        ([("status", "http://other|active")], False),
        ([("status", "off")], False),
        ([("url", "https://ehr.example/told")], True),
        ([("url", "https://ehr.example/")], False),
        ([("status", "active"), ("url", "https://other.example")], False),
        ([("colour", "blue")], True),
    ],
)
def test_every_parameter_has_to_match(pairs: list[tuple[str, str]], found: bool) -> None:
    assert Query.of(pairs).finds(TOLD) is found


def test_what_is_not_known_is_passed_over_unless_the_client_is_strict() -> None:
    asked = [("status", "active"), ("colour", "blue"), ("_format", "json")]
    assert Query.of(asked).url("https://payer.example/fhir") == (
        "https://payer.example/fhir/Subscription?status=active"
    )
    with pytest.raises(InvalidResource):
        Query.of(asked, strict=True)
    assert Query.of([("_format", "json")], strict=True).used == ()


def test_a_search_is_bounded() -> None:
    with pytest.raises(InvalidResource):
        Query.of([("status", "active")] * 21)


@pytest.mark.parametrize(
    ("pairs", "found"),
    [
        ([], True),
        ([("id", f"x,{TOLD.id}")], True),
        ([("id", "x")], False),
        ([("status", "error,active")], True),
        ([("status", "error"), ("status", "off")], False),
    ],
)
def test_a_status_is_asked_for_by_ids_and_statuses(
    pairs: list[tuple[str, str]], found: bool
) -> None:
    assert StatusQuery.of(pairs).finds(TOLD) is found


def test_a_status_that_is_none_is_refused() -> None:
    with pytest.raises(InvalidResource):
        StatusQuery.of([("status", "asleep")])


def test_events_are_asked_for_by_number_both_ends_included() -> None:
    asked = [("eventsSinceNumber", "3"), ("eventsUntilNumber", "5"), ("content", "id-only")]
    assert EventsQuery.of(asked) == EventsQuery(3, 5, "id-only")
    assert EventsQuery.of([]) == EventsQuery(1, None, None)
    assert EventsQuery.of([("eventsSinceNumber", "0")]) == EventsQuery(1, None, None)


@pytest.mark.parametrize(
    "pair",
    [
        ("eventsSinceNumber", "three"),
        ("eventsSinceNumber", "-1"),
        ("eventsSinceNumber", "1,2"),
        ("eventsUntilNumber", "9" * 19),
        ("content", "everything"),
    ],
)
def test_what_is_no_number_or_content_is_refused(pair: tuple[str, str]) -> None:
    with pytest.raises(InvalidResource):
        EventsQuery.of([pair])


def test_parameters_say_the_same_as_a_query() -> None:
    body = {
        "resourceType": "Parameters",
        "parameter": [
            {"name": "eventsSinceNumber", "valueString": "2"},
            {"name": "content", "valueCode": "id-only"},
        ],
    }
    assert told_in(body) == [("eventsSinceNumber", "2"), ("content", "id-only")]
    assert told_in({"resourceType": "Parameters"}) == []


@pytest.mark.parametrize(
    "body",
    [
        {"resourceType": "Patient"},
        {"resourceType": "Parameters", "parameter": {}},
        {"resourceType": "Parameters", "parameter": ["a"]},
        {"resourceType": "Parameters", "parameter": [{"name": "a"}]},
        {"resourceType": "Parameters", "parameter": [{"name": "a", "valueCoding": {}}]},
    ],
)
def test_other_bodies_are_refused(body: Json) -> None:
    with pytest.raises(InvalidResource):
        told_in(body)
