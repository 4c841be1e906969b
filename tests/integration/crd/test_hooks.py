"""What each hook is about, and what an answer makes of several orders at once."""

import pytest

from tests.bundle_resources import concept
from tests.bundle_values import Json, Line
from tests.crd_bodies import LONG, Record, bundle, hook_call
from tests.integration.crd.door import (
    Ehr,
    HookClient,
    answered,
    broken_rules,
    extensions_of,
    said_in,
    told,
    without_information,
)
from tests.integration.crd.scenarios import EXEMPT_NPI, OFFICE, place

SNOMED = "http://snomed.info/sct"
BILLING_OPTIONS = "http://hl7.org/fhir/us/davinci-crd/StructureDefinition/ext-billing-options"
DISPLAYED: dict[Line, str] = {
    "2.2": "http://terminology.hl7.org/CodeSystem/cdshooks-card-type",
    "2.0": "http://hl7.org/fhir/us/davinci-crd/CodeSystem/temp",
}


def names(answer: Json) -> list[str]:
    """What has an answer."""
    resources = (action["resource"] for action in answer["systemActions"])
    return [f"{each['resourceType']}/{each['id']}" for each in resources]


# Several orders


async def test_an_add_on_beside_its_primary_hangs_on_it(hooks: HookClient, line: Line) -> None:
    record = Record.of(line)
    orders = [record.order("64484", name="more"), record.order("64483", name="first")]
    answer = answered(await hooks.call(hook_call("order-sign", record, *orders)))
    assert names(answer) == ["ServiceRequest/more", "ServiceRequest/first"]
    said = told(answer, "ServiceRequest/more")
    assert (said.pa_needed, said.dependencies) == ("auth-needed", ("ServiceRequest/first",))
    assert told(answer, "ServiceRequest/first").dependencies == ()
    assert "warning" not in {card["indicator"] for card in answer["cards"]}


async def test_an_add_on_alone_is_a_claim_that_would_be_denied(
    hooks: HookClient, line: Line
) -> None:
    record = Record.of(line)
    body = hook_call("order-sign", record, record.order("64484"))
    [card] = answered(await hooks.call(body))["cards"]
    assert (card["indicator"], card["source"]["topic"]["code"]) == ("warning", "claim")


async def test_twenty_orders_have_twenty_answers_each_its_own(
    hooks: HookClient, line: Line
) -> None:
    record = Record.of(line)
    orders = [record.order("64483", name=f"order-{n}") for n in range(20)]
    answer = answered(await hooks.call(hook_call("order-sign", record, *orders)))
    assert names(answer) == [f"ServiceRequest/order-{n}" for n in range(20)]
    ids = {told(answer, name).id for name in names(answer)}
    assert len(ids) == 20
    assert len(answer["cards"]) == 1  # one for all of them


async def test_of_several_only_the_selected_are_answered_but_the_others_are_read(
    hooks: HookClient, line: Line
) -> None:
    """Source: CRD 2.2.1 §hook-30, §hook-34."""
    record = Record.of(line)
    orders = [record.order("64484", name="more"), record.order("64483", name="first")]
    body = hook_call("order-select", record, *orders, selections=["ServiceRequest/more"])
    answer = answered(await hooks.call(body))
    assert names(answer) == ["ServiceRequest/more"]
    assert told(answer).pa_needed == "auth-needed"


# Codes


async def test_a_clinical_code_is_read_and_the_reading_told(hooks: HookClient, line: Line) -> None:
    """Source: CRD 2.2.1 §resp-51; CRD-032."""
    record = Record.of(line)
    order = record.order("64483") | {"code": concept(SNOMED, "171787008")}
    said = told(answered(await hooks.call(hook_call("order-sign", record, order))))
    assert said.pa_needed == "auth-needed"
    assert any("SNOMED CT 171787008" in str(detail["value"]) for detail in said.details)


async def test_billing_options_are_weighed(hooks: HookClient, line: Line) -> None:
    """Source: CRD 2.2.1 §billopt-2, §billopt-3."""
    record = Record.of(line)
    option = {"url": BILLING_OPTIONS, "valueCodeableConcept": record.order("64483")["code"]}
    order = record.order("64483") | {"code": {"text": "Injection"}, "extension": [option]}
    said = told(answered(await hooks.call(hook_call("order-sign", record, order))))
    assert (said.pa_needed, said.billing) == ("auth-needed", ("64483",))


@pytest.mark.parametrize("number", [0, 1])
async def test_of_several_codings_the_procedure_counts(
    number: int, hooks: HookClient, line: Line
) -> None:
    record = Record.of(line)
    order = record.order("64483")
    local = {"system": "https://ehr.sandbox.example/codes", "code": "64483"}
    order["code"]["coding"].insert(number, local)
    said = told(answered(await hooks.call(hook_call("order-sign", record, order))))
    assert said.pa_needed == "auth-needed"


# Places

CMS_LOCATIONS = "http://hl7.org/fhir/us/davinci-crd/CodeSystem/temp"


async def test_a_kind_of_place_that_is_no_place_of_service_is_not_called_one(
    hooks: HookClient, line: Line
) -> None:
    """The place of service is what the answer asks for: it cannot hold for one."""
    record = Record.of(line)
    order = record.order("64483", locationCode=None)
    said = told(answered(await hooks.call(hook_call("order-sign", record, order))))
    assert said.info_needed == ("location",)
    assert not any("place of service OF" in str(detail["value"]) for detail in said.details)


@pytest.mark.parametrize(("code", "expected"), [("22", "auth-needed"), ("34", "no-auth")])
async def test_2_0_tells_the_place_of_service_by_its_own_codes(
    code: str, expected: str, hooks: HookClient
) -> None:
    """Source: CRD 2.0.1, profile-location, `type` (value set CMSMappableLocationCodes)."""
    record = Record.of("2.0")
    record.held["Location/location"]["type"] = [concept(CMS_LOCATIONS, code)]
    order = record.order("64483", locationCode=None)
    said = told(answered(await hooks.call(hook_call("order-sign", record, order))))
    assert said.pa_needed == expected


# What a hook is about


@pytest.mark.parametrize("shape", ["order", "dispatchedOrders"])
async def test_a_dispatch_is_understood_in_either_shape(
    shape: str, hooks: HookClient, line: Line
) -> None:
    """Source: CRD-019, CRD-020."""
    record = Record.of(line)
    order = record.order("64483", performer=None)
    body = hook_call("order-dispatch", record, order)
    for each in ("order", "dispatchedOrders"):
        body["context"].pop(each, None)
    body["context"][shape] = (
        "ServiceRequest/order" if shape == "order" else ["ServiceRequest/order"]
    )
    answer = answered(await hooks.call(body))
    assert told(answer).pa_needed == "auth-needed"
    assert without_information(answer["systemActions"][0]["resource"]) == order


async def test_who_is_asked_to_do_it_decides_over_who_is_named_on_the_order(
    hooks: HookClient, line: Line
) -> None:
    record = Record.of(line)
    other = {**record.held["Practitioner/practitioner"], "id": "exempt"}
    other["identifier"] = [{"system": "http://hl7.org/fhir/sid/us-npi", "value": EXEMPT_NPI}]
    record.held["Practitioner/exempt"] = other
    order = record.order("64483", performer=None, locationCode=place(OFFICE))
    for performer, expected in (("practitioner", "auth-needed"), ("exempt", "no-auth")):
        body = hook_call("order-dispatch", record, order, performer=f"Practitioner/{performer}")
        assert told(answered(await hooks.call(body))).pa_needed == expected


async def test_a_dispatched_order_that_is_not_there_is_fetched(
    hooks: HookClient, ehr: Ehr, line: Line
) -> None:
    record = Record.of(line)
    order = record.order("64483")
    body = hook_call("order-dispatch", record, order)
    del body["prefetch"]["orders"]
    ehr.holds = {"ServiceRequest/order": order}
    answer = answered(await hooks.call(body))
    assert without_information(answer["systemActions"][0]["resource"]) == order


async def test_an_appointment_for_an_order_is_about_the_order(
    hooks: HookClient, line: Line
) -> None:
    """2.2 puts the answer on the order, 2.0 on the Appointment. Source: CRD-102."""
    record = Record.of(line)
    order = record.order("64483", occurrenceDateTime=None)
    hour = record.appointment(basedOn=[{"reference": "ServiceRequest/order"}])
    body = hook_call("appointment-book", record, hour, beside=[order])
    answer = answered(await hooks.call(body))
    assert names(answer) == {"2.2": ["ServiceRequest/order"], "2.0": ["Appointment/hour"]}[line]
    assert told(answer).pa_needed == "auth-needed"
    resource = answer["systemActions"][0]["resource"]
    assert without_information(resource) == {"2.2": order, "2.0": hour}[line]


@pytest.mark.parametrize("hook", ["encounter-start", "encounter-discharge"])
async def test_a_visit_is_fetched_where_it_does_not_come_along(
    hook: str, hooks: HookClient, ehr: Ehr, line: Line
) -> None:
    record = Record.of(line)
    visit = record.encounter(hook)
    body = hook_call(hook, record, visit)
    del body["prefetch"]["encounter"]
    ehr.holds = {f"Encounter/{visit['id']}": visit}
    answer = answered(await hooks.call(body))
    [action] = answer["systemActions"]
    assert without_information(action["resource"]) == visit
    [extension] = extensions_of(action["resource"])
    assert broken_rules(said_in(extension), line) == []


async def test_other_resources_among_the_drafts_are_read_and_not_answered(
    hooks: HookClient, line: Line
) -> None:
    record = Record.of(line)
    place_of_it = record.held.pop("Location/location")
    order = record.order("64483")
    body = hook_call("order-sign", record, order, draftOrders=bundle([place_of_it, order]))
    answer = answered(await hooks.call(body))
    assert names(answer) == ["ServiceRequest/order"]
    assert told(answer).pa_needed == "auth-needed"


# Cards


async def test_a_card_is_of_the_payer_in_the_words_of_its_line(
    hooks: HookClient, line: Line
) -> None:
    """Source: CRD 2.2.1 §resp-3 to §resp-12, §resp-17, §resp-20."""
    record = Record.of(line)
    orders = [record.order("64483", name="long", **LONG), record.order("72148", name="mri")]
    answer = answered(await hooks.call(hook_call("order-sign", record, *orders)))
    assert len(answer["cards"]) == 2
    for card in answer["cards"]:
        assert card["source"]["label"] == "Medicare"
        assert card["source"]["topic"]["system"] == DISPLAYED[line]
        assert len(card["summary"]) < 140
        about = card["extension"]["davinci-crd.associated-resource"]
        assert about == [{"reference": "ServiceRequest/long"}]
        assert "64483" in card["detail"]  # which of them, for a reader
        for link in card.get("links", ()):
            assert link["type"] == "absolute"
            assert link["url"].startswith("https://www.cms.gov/")


async def test_what_is_proposed_is_the_same_order_ended_in_time(
    hooks: HookClient, line: Line
) -> None:
    """No card proposes another procedure code. Source: CRD 2.2.1 §resp-53."""
    record = Record.of(line)
    order = record.order("64483", **LONG)
    answer = answered(await hooks.call(hook_call("order-sign", record, order)))
    [suggestion] = [s for card in answer["cards"] for s in card.get("suggestions", ())]
    [action] = suggestion["actions"]
    assert (action["type"], bool(action["description"])) == ("update", True)
    proposed = without_information(action["resource"])
    assert proposed.pop("occurrencePeriod") == {"start": "2026-12-01", "end": "2027-03-19"}
    order.pop("occurrencePeriod")
    assert proposed == order
