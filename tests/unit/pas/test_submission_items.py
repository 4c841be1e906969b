"""The lines of a request: what, how much, when, where."""

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from tests.bundles import Item, Json, request_bundle
from tests.unit.pas.reading import claim, of_kind, read, with_profile
from wiser_fhir.coverage.requested import CPT, HCPCS, Code
from wiser_fhir.fhir import codes
from wiser_fhir.priorauth.models import RequestedItem, Site, SiteKind

DAY = date(2026, 12, 15)


def _items(**fields: Any) -> tuple[RequestedItem, ...]:
    return read(request_bundle(**fields)).items


def _changed(**elements: object) -> RequestedItem:
    """The one item of a request with these elements instead of its own; None takes one away."""
    bundle = request_bundle()
    item = claim(bundle)["item"][0]
    for name, value in elements.items():
        item.pop(name, None)
        if value is not None:
            item[name] = value
    return read(bundle).items[0]


def test_each_line_keeps_its_sequence() -> None:
    bundle = request_bundle(codes=("64483", "64484"))
    claim(bundle)["item"][0]["sequence"] = 7
    claim(bundle)["item"][1]["sequence"] = 3
    assert [item.sequence for item in read(bundle).items] == [7, 3]


def test_a_line_with_everything() -> None:
    line = Item("C1767", quantity=2.5, modifiers=("59", "LT"), revenue="0450", site="131")
    (item,) = _items(codes=(line,))
    assert item.service.codes == (Code(HCPCS, "C1767"),)
    assert item.service.quantity == Decimal("2.5")
    assert item.service.date_of_service == DAY
    assert item.service.state == "TX"
    assert item.service_end == DAY
    assert item.modifiers == ("59", "LT")
    assert item.revenue_code == "0450"
    assert item.site == Site(SiteKind.BILL_TYPE, "131")


@pytest.mark.parametrize(
    ("written", "code"), [("450", "0450"), ("0450", "0450"), ("1", "0001"), ("12345", "12345")]
)
def test_a_revenue_code_has_four_digits(written: str, code: str) -> None:
    revenue = {"coding": [{"system": "urn:revenue", "code": written}]}
    assert _changed(revenue=revenue).revenue_code == code
    assert _changed(revenue={"text": "none"}).revenue_code is None


def test_modifiers_are_read_in_capitals() -> None:
    modifiers = [{"coding": [{"code": "et"}]}, {"coding": [{"code": "Lt"}]}]
    assert _changed(modifier=modifiers).modifiers == ("ET", "LT")


def test_a_line_with_nothing_but_its_sequence() -> None:
    bundle = request_bundle(state=None, requestor_state=None)
    for practitioner in ("profile-practitioner",):
        del with_profile(bundle, practitioner)["address"]
    claim(bundle)["item"] = [{"sequence": 1}]
    (item,) = read(bundle).items
    assert item.service.codes == ()
    assert (item.service.date_of_service, item.service_end) == (None, None)
    assert (item.service.state, item.service.quantity) == (None, None)
    assert (item.modifiers, item.revenue_code, item.site) == ((), None, None)


def test_every_coding_of_a_service_is_kept_in_order() -> None:
    both: Json = {
        "coding": [
            {"system": "urn:local", "code": "ESI"},
            {"system": CPT, "code": "64483"},
            {"code": "bare"},
            {"system": CPT},
        ]
    }
    item = _changed(productOrService=both)
    assert item.service.codes == (Code("urn:local", "ESI"), Code(CPT, "64483"), Code("", "bare"))


@pytest.mark.parametrize(
    ("period", "days"),
    [
        ({"start": "2026-12-15", "end": "2026-12-17"}, (DAY, date(2026, 12, 17))),
        ({"start": "2026-12-15"}, (DAY, DAY)),
        ({"end": "2026-12-17"}, (None, date(2026, 12, 17))),
        ({"start": "2026-12"}, (None, None)),
        ({}, (None, None)),
        # A day is the day where it was written, whatever the hour.
        (
            {"start": "2026-12-15T23:30:00-06:00", "end": "2026-12-17T00:30:00+01:00"},
            (DAY, date(2026, 12, 17)),
        ),
    ],
)
def test_a_period_of_service(period: Json, days: tuple[date | None, date | None]) -> None:
    item = _changed(servicedDate=None, servicedPeriod=period)
    assert (item.service.date_of_service, item.service_end) == days


@pytest.mark.parametrize(("text", "day"), [("2026-12-15", DAY), ("2026-12", None), ("2026", None)])
def test_a_date_of_service(text: str, day: date | None) -> None:
    item = _changed(servicedDate=text)
    assert (item.service.date_of_service, item.service_end) == (day, day)


def test_a_line_may_be_silent_on_its_date() -> None:
    assert _changed(servicedDate=None).service.date_of_service is None


@pytest.mark.parametrize(
    ("system", "code", "site"),
    [
        (codes.PLACE_OF_SERVICE, "11", Site(SiteKind.PLACE_OF_SERVICE, "11")),
        (codes.TYPE_OF_BILL, "131", Site(SiteKind.BILL_TYPE, "131")),
        ("urn:local", "room-3", Site(SiteKind.OTHER, "room-3")),
    ],
)
def test_a_place_is_known_by_its_code_set(system: str, code: str, site: Site) -> None:
    place = {"coding": [{"system": system, "code": code}]}
    assert _changed(locationCodeableConcept=place).site == site


def test_of_two_places_the_place_of_service_counts() -> None:
    both = [
        {"system": codes.TYPE_OF_BILL, "code": "131"},
        {"system": codes.PLACE_OF_SERVICE, "code": "22"},
    ]
    site = Site(SiteKind.PLACE_OF_SERVICE, "22")
    assert _changed(locationCodeableConcept={"coding": both}).site == site


@pytest.mark.parametrize("place", [None, {"text": "somewhere"}, {"coding": [{"system": "urn:x"}]}])
def test_a_place_without_a_code_is_none(place: Json | None) -> None:
    assert _changed(locationCodeableConcept=place).site is None


def test_units_keep_their_digits() -> None:
    assert _changed(quantity={"value": 100.25}).service.quantity == Decimal("100.25")
    assert _changed(quantity={"unit": "each"}).service.quantity is None


# The state of the service: where it is delivered, as near as anybody tells.


def _without_address(bundle: Json, *profiles: str) -> Json:
    for profile in profiles:
        del with_profile(bundle, profile)["address"]
    return bundle


def _state(bundle: Json) -> str | None:
    return read(bundle).items[0].service.state


def _told_by(**states: str) -> Json:
    """A request where only these tell a state: location, facility, rendering, requester."""
    bundle = request_bundle(state="TX")
    places = {
        "location": of_kind(bundle, "Location"),
        "facility": with_profile(bundle, "profile-organization"),
        "rendering": of_kind(bundle, "Practitioner"),
        "requester": with_profile(bundle, "profile-requestor"),
    }
    for name, resource in places.items():
        del resource["address"]
        if name in states:
            address = {"state": states[name]}
            resource["address"] = address if name == "location" else [address]
    return bundle


def test_the_facilitys_own_address_goes_first() -> None:
    everybody = {"location": "NJ", "facility": "OH", "rendering": "OK", "requester": "AZ"}
    assert _state(_told_by(**everybody)) == "NJ"


def test_then_who_runs_the_facility() -> None:
    assert _state(_told_by(facility="OH", rendering="OK", requester="AZ")) == "OH"


def test_a_facility_in_the_care_team_counts_without_claim_facility() -> None:
    bundle = _told_by(location="NJ", facility="OH", rendering="OK", requester="AZ")
    del claim(bundle)["facility"]
    assert _state(bundle) == "OH"


def test_then_the_rendering_provider() -> None:
    assert _state(_told_by(rendering="OK", requester="AZ")) == "OK"


def test_the_rendering_providers_place_of_work_goes_before_the_own_address() -> None:
    bundle = _told_by(rendering="OK", requester="AZ")
    office = {"resourceType": "Location", "address": {"state": "WA"}}
    bundle["entry"].append({"fullUrl": "urn:uuid:office", "resource": office})
    role = of_kind(bundle, "PractitionerRole")
    role["location"] = [{"reference": "urn:uuid:office"}]
    assert _state(bundle) == "WA"


def test_last_the_requester() -> None:
    assert _state(_told_by(requester="AZ")) == "AZ"


def test_nobody_may_tell() -> None:
    assert _state(_told_by()) is None


def test_an_ordering_provider_does_not_tell_where_the_service_is_delivered() -> None:
    bundle = _told_by(rendering="OK")
    claim(bundle)["careTeam"][0]["role"]["coding"][0]["code"] = "DK"
    assert _state(bundle) is None


def test_a_state_is_written_in_capitals() -> None:
    assert _state(_told_by(location=" nj ")) == "NJ"


@pytest.mark.parametrize("written", ["Texas", "T", "TXX", "T1", "  "])
def test_what_is_no_two_letters_is_no_state(written: str) -> None:
    assert _state(_told_by(location=written)) is None
    assert _state(_told_by(location=written, rendering="OK")) == "OK"


def test_the_first_address_with_a_state_counts() -> None:
    bundle = _told_by()
    requester = with_profile(bundle, "profile-requestor")
    requester["address"] = [{"city": "Somewhere"}, {"state": "OH"}, {"state": "NJ"}]
    assert _state(bundle) == "OH"
