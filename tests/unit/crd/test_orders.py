"""Each order becomes a request as the core understands it, and a bad one spoils no other."""

import copy
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from tests.chart_resources import (
    ACT_CODE,
    CPT,
    ICD,
    POS,
    SERVER,
    SNOMED,
    Json,
    appointment,
    appointment_book,
    concept,
    encounter_hook,
    order_dispatch,
    order_select,
    order_sign,
    service_request,
)
from tests.unit.crd.reading import NOTHING, catalogue, one, told
from wiser_fhir.coverage.requested import HCPCS, Code
from wiser_fhir.crd.gather import Gathered
from wiser_fhir.priorauth.foresee import Foreseen, Situation, foresee
from wiser_fhir.priorauth.models import CoverageKind, PartyRole, Site, SiteKind
from wiser_fhir.priorauth.registry import InMemoryRegistry

OPTIONS = "http://hl7.org/fhir/us/davinci-crd/StructureDefinition/ext-billing-options"
CARRIED = "http://hl7.org/fhir/us/davinci-crd/StructureDefinition/ext-coverage-information"
CATEGORY = "http://hl7.org/fhir/us/davinci-crd/StructureDefinition/ext-request-category"
ALTERNATE = "http://hl7.org/fhir/StructureDefinition/alternate-reference"


def codes_of(order: Json) -> tuple[str, ...]:
    return tuple(code.code for code in one(order_sign(order)).submission.items[0].service.codes)


def without(order: Json, *keys: str) -> Json:
    return {key: value for key, value in order.items() if key not in keys}


def with_chart(body: Json, *resources: Json) -> Json:
    """The call with these in prefetch instead of those of the same name."""
    body["prefetch"] |= {f"{each['resourceType']}{each['id']}": each for each in resources}
    return body


def encounter(**elements: Any) -> Json:
    return {"resourceType": "Encounter", "id": "e1", "status": "in-progress", **elements}


def test_an_order_with_everything() -> None:
    body = order_sign()
    asked = one(body)
    item = asked.submission.items[0]
    assert asked.resource is body["context"]["draftOrders"]["entry"][0]["resource"]
    assert asked.reference == "ServiceRequest/sr1"
    assert item.service.codes == (Code(CPT, "62323"),)
    assert item.service.date_of_service == item.service_end == date(2026, 12, 1)
    assert item.service.state == "NJ"
    assert item.site == Site(SiteKind.PLACE_OF_SERVICE, "11")
    assert asked.submission.diagnoses == ("M54.16",)
    assert asked.submission.coverage is CoverageKind.ORIGINAL_MEDICARE
    assert asked.submission.beneficiary.mbi == "1EG4TE5MK73"
    assert [(p.role, p.npi) for p in asked.submission.parties] == [
        (PartyRole.REQUESTER, "1234567893"),
        (PartyRole.RENDERING, "1902800006"),
        (PartyRole.FACILITY, "1003000126"),
    ]
    assert not asked.excluded
    assert not asked.technical
    assert asked.assumptions == asked.companions == ()
    assert asked.carried is None


def foreseen(body: Json, gathered: Gathered = NOTHING) -> Foreseen:
    """What the core makes of the one order of a call."""
    return foresee(
        one(body, gathered).submission,
        (),
        catalogue=catalogue(),
        registry=InMemoryRegistry(),
        served_states=frozenset({"NJ"}),
        on=date(2026, 11, 20),
    )


def test_what_is_read_is_what_the_core_foresees_from() -> None:
    assert foreseen(order_sign()).situation is Situation.NEEDS_AUTHORIZATION


def test_reading_changes_nothing() -> None:
    body = order_sign(service_request(), service_request("64483", "sr2"))
    before = copy.deepcopy(body)
    told(body)
    assert body == before


class TestCodes:
    @pytest.mark.parametrize(
        ("system", "code", "expected"),
        [
            (CPT, "62323", Code(CPT, "62323")),
            ("urn:oid:2.16.840.1.113883.6.12", "62323", Code(CPT, "62323")),
            (HCPCS, "c8007", Code(HCPCS, "C8007")),
            (HCPCS.replace("http:", "https:"), "C8007", Code(HCPCS, "C8007")),
            ("urn:oid:2.16.840.1.113883.6.285", "C8007", Code(HCPCS, "C8007")),
            (CPT, "not a code", Code(CPT, "NOT A CODE")),
        ],
    )
    def test_every_spelling_of_a_system(self, system: str, code: str, expected: Code) -> None:
        asked = one(order_sign(service_request(code=concept(code, system))))
        assert asked.submission.items[0].service.codes == (expected,)

    def test_modifiers_behind_a_code(self) -> None:
        item = one(order_sign(service_request(code=concept("64483:50:ET")))).submission.items[0]
        assert item.service.codes == (Code(CPT, "64483"),)
        assert item.modifiers == ("50", "ET")

    def test_several_codings_in_their_order(self) -> None:
        coding = [
            {"system": SNOMED, "code": "171787008"},
            {"system": CPT, "code": "62323"},
            {"system": CPT, "code": "62323"},
            {"system": CPT},
        ]
        assert codes_of(service_request(code={"coding": coding})) == ("171787008", "62323")

    def test_billing_options_are_weighed(self) -> None:
        options = [
            {"url": OPTIONS, "valueCodeableConcept": concept(code)} for code in ("62321", "62323")
        ]
        code = concept("171787008", SNOMED) | {"extension": [*options, {"url": OPTIONS}, {}]}
        asked = one(order_sign(service_request(code=code)))
        found = [c.code for c in asked.submission.items[0].service.codes]
        assert found == ["171787008", "62321", "62323"]
        assert asked.assumptions == ("Billing options of the order: CPT 62321, 62323.",)

    def test_a_clinical_code_is_read_as_likely_codes(self) -> None:
        asked = one(order_sign(service_request(code=concept("171787008", SNOMED))))
        found = [c.code for c in asked.submission.items[0].service.codes]
        assert found == ["171787008", "62321", "62323", "64479", "64483"]
        assert asked.assumptions == (
            "SNOMED CT 171787008 was read as CPT 62321, 62323, 64479, 64483.",
        )

    def test_a_billing_code_beside_it_says_which(self) -> None:
        coding = [{"system": SNOMED, "code": "171787008"}, {"system": CPT, "code": "62322"}]
        assert codes_of(service_request(code={"coding": coding})) == ("171787008", "62322")

    def test_an_unknown_clinical_code_is_kept_as_it_is(self) -> None:
        asked = one(order_sign(service_request(code=concept("1", SNOMED))))
        assert asked.submission.items[0].service.codes == (Code(SNOMED, "1"),)
        assert asked.assumptions == ()

    def test_words_alone_are_no_code(self) -> None:
        assert codes_of(service_request(code={"text": "an injection"})) == ()


BASE: Json = {
    "id": "x",
    "status": "draft",
    "intent": "order",
    "subject": {"reference": "Patient/p1"},
}


class TestKinds:
    @pytest.mark.parametrize(
        "order",
        [
            {"resourceType": "DeviceRequest", "codeCodeableConcept": concept("62323")},
            {"resourceType": "DeviceRequest", "codeReference": {"reference": "Device/d1"}},
            {"resourceType": "MedicationRequest", "medicationCodeableConcept": concept("62323")},
            {
                "resourceType": "MedicationRequest",
                "medicationReference": {"reference": "Medication/m1"},
            },
            {
                "resourceType": "MedicationRequest",
                "contained": [{"resourceType": "Medication", "id": "m", "code": concept("62323")}],
                "medicationReference": {"reference": "#m"},
            },
        ],
    )
    def test_orders_of_every_kind(self, order: Json) -> None:
        body = with_chart(
            order_sign(BASE | order),
            {"resourceType": "Device", "id": "d1", "type": concept("62323")},
            {"resourceType": "Medication", "id": "m1", "code": concept("62323")},
        )
        asked = one(body)
        assert asked.submission.items[0].service.codes == (Code(CPT, "62323"),)

    def test_orders_that_name_what_they_are_for_elsewhere(self) -> None:
        nutrition = without(BASE, "subject") | {
            "resourceType": "NutritionOrder",
            "patient": {"reference": "Patient/p1"},
            "dateTime": "2026-11-20",
            "oralDiet": {"type": [concept("1", SNOMED)]},
            "supplement": [{"type": concept("2", SNOMED)}],
            "enteralFormula": {"baseFormulaType": concept("3", SNOMED)},
        }
        assert codes_of(nutrition) == ("1", "2", "3")
        vision = {
            "resourceType": "VisionPrescription",
            "id": "v",
            "status": "draft",
            "created": "2026-11-20",
            "patient": {"reference": "Patient/p1"},
            "dateWritten": "2026-11-20",
            "prescriber": {"reference": "Practitioner/doc2"},
            "lensSpecification": [{"product": concept("lens"), "eye": "left"}],
        }
        asked = one(order_sign(vision))
        assert asked.submission.items[0].service.codes == (Code(CPT, "LENS"),)
        assert asked.submission.items[0].service.date_of_service is None
        assert asked.submission.parties[0].npi == "1902800006"
        url = "http://hl7.org/fhir/5.0/StructureDefinition/extension-CommunicationRequest.payload"
        payload = {
            "contentString": "a report",
            "extension": [
                {"url": url, "valueCodeableConcept": concept("65752-8", "http://loinc.org")}
            ],
        }
        message = without(BASE, "intent") | {
            "resourceType": "CommunicationRequest",
            "payload": [payload],
        }
        assert codes_of(message) == ("65752-8",)

    def test_quantities(self) -> None:
        asked = one(order_sign(service_request(quantityQuantity={"value": 2.5})))
        assert asked.submission.items[0].service.quantity == Decimal("2.5")
        pills = BASE | {
            "resourceType": "MedicationRequest",
            "medicationCodeableConcept": concept("1", SNOMED),
            "dispenseRequest": {"quantity": {"value": 3}},
        }
        assert one(order_sign(pills)).submission.items[0].service.quantity == 3

    def test_an_urgent_order(self) -> None:
        assert one(order_sign(service_request(priority="stat"))).submission.expedite_requested
        assert not one(order_sign(service_request(priority="asap"))).submission.expedite_requested


class TestDates:
    @pytest.mark.parametrize(
        ("elements", "first", "last"),
        [
            ({"occurrenceDateTime": "2026-12-01T23:30:00-05:00"}, (12, 1), (12, 1)),
            ({"occurrencePeriod": {"start": "2026-12-02", "end": "2026-12-05"}}, (12, 2), (12, 5)),
            ({"occurrencePeriod": {"start": "2026-12-02"}}, (12, 2), (12, 2)),
            ({"occurrenceTiming": {"event": ["2026-12-09", "2026-12-03"]}}, (12, 3), (12, 9)),
            (
                {"occurrenceTiming": {"repeat": {"boundsPeriod": {"start": "2026-12-04"}}}},
                (12, 4),
                (12, 4),
            ),
        ],
    )
    def test_when_it_is_asked_for(
        self, elements: Json, first: tuple[int, int], last: tuple[int, int]
    ) -> None:
        order = without(service_request(), "occurrenceDateTime") | elements
        item = one(order_sign(order)).submission.items[0]
        assert item.service.date_of_service == date(2026, *first)
        assert item.service_end == date(2026, *last)

    @pytest.mark.parametrize("elements", [{}, {"occurrenceDateTime": "2026-12"}])
    def test_no_day_named(self, elements: Json) -> None:
        order = without(service_request(), "occurrenceDateTime") | elements
        item = one(order_sign(order)).submission.items[0]
        assert item.service.date_of_service is item.service_end is None


class TestWhereAndWho:
    def test_the_state_by_and_by(self) -> None:
        order = without(service_request(), "locationReference")
        role = {
            "resourceType": "PractitionerRole",
            "id": "role2",
            "location": [{"reference": "Location/site2"}],
        }
        site = {"resourceType": "Location", "id": "site2", "address": {"state": "tx"}}
        performed = order | {"performer": [{"reference": "PractitionerRole/role2"}]}
        asked = one(with_chart(order_sign(performed), role, site))
        assert asked.submission.items[0].service.state == "TX"
        assert asked.assumptions == ()
        asked = one(order_sign(order))
        assert asked.submission.items[0].service.state == "OH"
        assert asked.assumptions == ("State of the service read from who orders: OH.",)

    def test_the_encounters_place_is_the_last_to_tell(self) -> None:
        order = without(service_request(), "locationReference", "performer")
        order |= {"requester": {"reference": "Practitioner/doc1"}}
        here = encounter(location=[{"location": {"reference": "Location/site1"}}])
        asked = one(with_chart(order_sign(order), here))
        assert asked.submission.items[0].service.state == "NJ"
        assert asked.assumptions == ("State of the service read from the encounter: NJ.",)
        assert one(order_sign(order)).submission.items[0].service.state is None

    def test_the_site_of_the_place(self) -> None:
        order = without(service_request(), "locationCode")
        kinds = [concept("HOSP", "http://x.example"), concept("22", POS)]
        place = {"resourceType": "Location", "id": "site1", "type": kinds}
        asked = one(with_chart(order_sign(order), place))
        assert asked.submission.items[0].site == Site(SiteKind.PLACE_OF_SERVICE, "22")
        assert one(order_sign(order)).submission.items[0].site is None

    def test_who_is_signed_in_where_nobody_says_who_orders(self) -> None:
        asked = one(order_sign(without(service_request(), "requester")))
        assert asked.submission.parties[0].npi == "1234567893"
        assert asked.submission.parties[0].role is PartyRole.REQUESTER
        assert asked.assumptions == ("The person signed in was taken for the one who orders.",)

    def test_a_patient_signed_in_orders_nothing(self) -> None:
        body = order_sign(without(service_request(), "requester"))
        body["context"]["userId"] = "Patient/p1"
        assert PartyRole.REQUESTER not in {p.role for p in one(body).submission.parties}

    def test_a_performer_by_identifier_alone(self) -> None:
        named = {"identifier": {"system": "http://hl7.org/fhir/sid/us-npi", "value": "1003000126"}}
        organization = named | {"type": "Organization"}
        order = service_request(performer=[named, organization])
        order = without(order, "locationReference")
        found = [(p.role, p.npi) for p in one(order_sign(order)).submission.parties[1:]]
        assert found == [
            (PartyRole.RENDERING, "1003000126"),
            (PartyRole.FACILITY, "1003000126"),
        ]

    @pytest.mark.parametrize(
        ("site", "role", "npi"),
        [
            ("24", {"organization": {"reference": "Organization/clinic1"}}, "1003000126"),
            ("24", {"location": [{"reference": "Location/site1"}]}, "1003000126"),
            (
                "24",
                {
                    "location": [{"reference": "Location/none"}, {"reference": "Location/site1"}],
                    "organization": {"reference": "Organization/group"},
                },
                "1003000126",
            ),
            (
                "22",
                {
                    "location": [{"reference": "Location/bare"}],
                    "organization": {"reference": "Organization/clinic1"},
                },
                "1003000126",
            ),
            ("11", {"organization": {"reference": "Organization/clinic1"}}, None),
            ("24", {}, None),
        ],
    )
    def test_the_facility_a_performer_works_for(
        self, site: str, role: Json, npi: str | None
    ) -> None:
        order = without(service_request(), "locationReference")
        order |= {
            "locationCode": [concept(site, POS)],
            "performer": [{"reference": "PractitionerRole/role2"}],
        }
        works = {"resourceType": "PractitionerRole", "id": "role2", **role}
        works["practitioner"] = {"reference": "Practitioner/doc2"}
        bare = {"resourceType": "Location", "id": "bare"}
        group = {"resourceType": "Organization", "id": "group", "name": "Made-up Doctors"}
        asked = one(with_chart(order_sign(order), works, bare, group))
        found = [p.npi for p in asked.submission.parties if p.role is PartyRole.FACILITY]
        assert found == ([npi] if npi else [])
        assumed = "The place of who performs was taken for the facility."
        assert (assumed in asked.assumptions) is bool(npi)

    def test_a_facility_told_is_the_facility(self) -> None:
        order = service_request(performer=[{"reference": "PractitionerRole/role2"}])
        order["locationCode"] = [concept("24", POS)]
        group = {"resourceType": "Organization", "id": "group"}
        works: Json = {"resourceType": "PractitionerRole", "id": "role2"}
        works |= {"organization": {"reference": "Organization/group"}}
        asked = one(with_chart(order_sign(order), works, group))
        found = [p.npi for p in asked.submission.parties if p.role is PartyRole.FACILITY]
        assert found == ["1003000126"]

    def test_performers_that_are_no_providers(self) -> None:
        order = service_request(performer=[{"reference": "Patient/p1"}])
        assert len(one(order_sign(order)).submission.parties) == 2


class TestDiagnoses:
    def test_codes_and_conditions(self) -> None:
        told_of = [{"reference": f"Condition/{n}"} for n in ("1", "2", "3")]
        refuted = concept("refuted", "http://terminology.hl7.org/CodeSystem/condition-ver-status")
        conditions: list[Json] = [
            {"resourceType": "Condition", "id": "1", "code": concept("n39.41", ICD)},
            {"resourceType": "Condition", "id": "2", "code": concept("G00.0", ICD)},
            {"resourceType": "Condition", "id": "3"},
        ]
        conditions[1]["verificationStatus"] = refuted
        order = service_request(
            reasonCode=[concept("M54.16", ICD), concept("1", SNOMED)], reasonReference=told_of
        )
        asked = one(with_chart(order_sign(order), *conditions))
        assert asked.submission.diagnoses == ("M54.16", "N39.41")

    def test_the_encounters_only_where_it_can_help(self) -> None:
        here = encounter(reasonCode=[concept("N39.41", ICD)])
        listed = without(service_request("64561"), "reasonCode")
        asked = one(with_chart(order_sign(listed), here))
        assert asked.submission.diagnoses == ("N39.41",)
        assert asked.assumptions == ("Diagnosis read from the encounter.",)
        other = encounter(reasonCode=[concept("I10", ICD)])
        assert one(with_chart(order_sign(listed), other)).submission.diagnoses == ()
        unlisted = without(service_request("62323"), "reasonCode")
        assert one(with_chart(order_sign(unlisted), here)).submission.diagnoses == ()


class TestExcluded:
    @pytest.mark.parametrize(
        ("code", "excluded"),
        [
            ("IMP", True),
            ("ACUTE", True),
            ("NONAC", True),
            ("EMER", True),
            ("AMB", False),
            ("SS", False),
            ("OBSENC", False),
        ],
    )
    def test_the_class_of_the_encounter(self, code: str, excluded: bool) -> None:
        order = without(service_request(occurrenceDateTime="2026-11-20"), "locationCode")
        here = encounter(**{"class": {"system": ACT_CODE, "code": code}})
        assert one(with_chart(order_sign(order), here)).excluded is excluded

    def test_the_place_of_service_says_more_than_the_encounter(self) -> None:
        here = encounter(**{"class": {"code": "IMP"}})
        assert not one(with_chart(order_sign(), here)).excluded

    def test_the_order_says_most(self) -> None:
        inpatient = service_request(category=[concept("IMP", ACT_CODE)])
        assert one(order_sign(inpatient)).excluded
        outpatient = service_request(category=[concept("x"), concept("AMB", ACT_CODE)])
        here = encounter(**{"class": {"code": "IMP"}})
        assert not one(with_chart(order_sign(outpatient), here)).excluded
        category = {"url": CATEGORY, "valueCodeableConcept": concept("EMER", ACT_CODE)}
        device = BASE | {
            "resourceType": "DeviceRequest",
            "codeCodeableConcept": concept("1"),
            "extension": [category],
        }
        assert one(order_sign(device)).excluded

    def test_a_service_after_the_stay(self) -> None:
        order = without(service_request(), "locationCode")
        period = {"start": "2026-11-18", "end": "2026-11-30"}
        here = encounter(**{"class": {"code": "IMP"}, "period": period})
        assert not one(with_chart(order_sign(order), here)).excluded
        before = order | {"occurrenceDateTime": "2026-11-17"}
        assert not one(with_chart(order_sign(before), here)).excluded

    @pytest.mark.parametrize(
        ("starts", "day", "excluded"),
        [
            ("2026-11-18", "2026-11-20", True),
            ("2026-11-18", "2026-11-21", False),
            ("2026-11-18", None, False),
            (None, "2026-11-20", True),
            (None, "2026-12-01", False),
            ("2026-12-01", "2026-12-01", True),
            ("2026-12-01", "2026-12-02", False),
        ],
    )
    def test_an_open_stay_lasts_to_the_day_of_the_call_as_far_as_anybody_knows(
        self, starts: str | None, day: str | None, excluded: bool
    ) -> None:
        order = without(service_request(), "locationCode", "occurrenceDateTime")
        here = encounter(**{"class": {"code": "EMER"}})
        if starts:
            here["period"] = {"start": starts}
        if day:
            order["occurrenceDateTime"] = day
        assert one(with_chart(order_sign(order), here)).excluded is excluded

    def test_an_encounter_asked_about_is_what_its_class_says(self) -> None:
        here = encounter(**{"class": {"code": "IMP"}})
        assert one(with_chart(encounter_hook(), here)).excluded

    def test_the_orders_own_encounter_and_none(self) -> None:
        order = without(service_request(), "locationCode")
        order["occurrenceDateTime"] = "2026-11-20"
        other = encounter(**{"class": {"code": "EMER"}}) | {"id": "e2"}
        own = order | {"encounter": {"reference": "Encounter/e2"}}
        assert one(with_chart(order_sign(own), other)).excluded
        body = order_sign(order)
        del body["context"]["encounterId"]
        assert not one(body).excluded


class TestTechnical:
    @pytest.mark.parametrize(
        ("failed", "lacking", "technical"),
        [
            ("Location/site1", ["locationCode"], True),
            ("Location/site1", [], True),
            ("Practitioner/doc2", ["locationReference"], True),
            ("Condition/1", ["reasonCode"], True),
            ("Condition/1", [], False),
            ("Patient/p1", [], False),
        ],
    )
    def test_a_fact_that_hangs_on_a_failed_fetch(
        self, failed: str, lacking: list[str], technical: bool
    ) -> None:
        order = service_request(reasonReference=[{"reference": "Condition/1"}])
        body = order_sign(without(order, *lacking))
        body["prefetch"] = {
            key: each
            for key, each in body["prefetch"].items()
            if f"{each['resourceType']}/{each['id']}" != failed
        }
        asked = one(body, Gathered(failed=frozenset({failed}), asked=True))
        assert asked.technical is technical

    def test_nobody_stands_in_for_a_place_that_could_not_be_fetched(self) -> None:
        body = order_sign()
        del body["prefetch"]["Locationsite1"]
        asked = one(body, Gathered(failed=frozenset({"Location/site1"})))
        assert asked.submission.items[0].service.state is None
        assert one(body).submission.items[0].service.state is not None

    @pytest.mark.parametrize(("told", "kept"), [("M54.16", False), ("G40.011", True)])
    def test_a_diagnosis_that_may_be_the_one_that_counts(self, told: str, kept: bool) -> None:
        reason = [{"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": told}]}]
        code = {"coding": [{"system": CPT, "code": "64568"}]}
        behind = [{"reference": "Condition/1"}]
        order = service_request(code=code, reasonCode=reason, reasonReference=behind)
        failed = Gathered(failed=frozenset({"Condition/1"}))
        asked = one(order_sign(order), failed)
        assert asked.submission.diagnoses == ((told,) if kept else ())
        assert asked.technical is not kept
        assert one(order_sign(order)).submission.diagnoses == (told,)

    def test_what_stands_behind_a_provider(self) -> None:
        body = order_sign(
            without(service_request(), "locationReference", "performer", "locationCode")
        )
        del body["prefetch"]["Organizationclinic1"]
        failed = Gathered(failed=frozenset({"Organization/clinic1"}))
        assert one(body, failed).technical
        assert not one(body).technical

    def test_a_member_whose_number_hangs_on_the_patient(self) -> None:
        body = order_sign()
        del body["prefetch"]["Patientp1"]
        assert not one(body, Gathered(failed=frozenset({"Patient/p1"}))).technical
        body["prefetch"]["Coveragec1"]["subscriberId"] = "no Medicare number"
        assert one(body, Gathered(failed=frozenset({"Patient/p1"}))).technical
        del body["prefetch"]["Coveragec1"]["subscriberId"]
        assert one(body, Gathered(failed=frozenset({"Patient/p1"}))).technical
        assert not one(body).technical

    def test_a_product_that_could_not_be_read(self) -> None:
        order = BASE | {
            "resourceType": "DeviceRequest",
            "codeReference": {"reference": "Device/d1"},
        }
        assert one(order_sign(order), Gathered(failed=frozenset({"Device/d1"}))).technical

    @pytest.mark.parametrize("line", ["2.2", None])
    @pytest.mark.parametrize(
        "kind", [{}, {"serviceType": [concept("57", "http://x.example/service-type")]}]
    )
    def test_the_order_behind_an_appointment(self, line: str | None, kind: Json) -> None:
        booked = appointment(basedOn=[{"reference": "ServiceRequest/sr1"}], **kind)
        body = appointment_book(booked, line=line)
        asked = one(body, Gathered(failed=frozenset({"ServiceRequest/sr1"})))
        assert asked.technical
        assert asked.submission.items[0].service.codes == ()
        assert not one(body).technical
        told_itself = appointment_book(booked | {"serviceType": [concept("62323")]}, line=line)
        asked = one(told_itself, Gathered(failed=frozenset({"ServiceRequest/sr1"})))
        assert asked.submission.items[0].service.codes == (Code(CPT, "62323"),)


class TestMember:
    """Whose name nobody told is not for that reason nobody's member."""

    @pytest.mark.parametrize(
        "patient",
        [
            None,
            {"name": None},
            {"name": [{"text": "Ann Zed"}]},
            {"name": [{"given": ["Ann"]}]},
            {"name": [{"family": " "}]},
        ],
    )
    def test_a_number_without_a_family_name(self, patient: Json | None) -> None:
        body = order_sign()
        if patient is None:
            del body["prefetch"]["Patientp1"]
        else:
            body["prefetch"]["Patientp1"] |= patient
        assert foreseen(body).situation is Situation.NEEDS_AUTHORIZATION
        failed = Gathered(failed=frozenset({"Patient/p1"}))
        assert foreseen(body, failed).situation is Situation.NEEDS_AUTHORIZATION

    def test_no_number_at_all(self) -> None:
        body = order_sign()
        del body["prefetch"]["Patientp1"]
        del body["prefetch"]["Coveragec1"]["subscriberId"]
        assert foreseen(body).situation is Situation.MEMBER_NOT_FOUND


class TestCoverageEnded:
    @pytest.mark.parametrize(
        ("period", "day", "ended"),
        [
            ({"end": "2026-11-30"}, "2026-12-01", True),
            ({"end": "2026-11-30"}, "2026-11-30", False),
            ({"end": "2026-11-30"}, None, False),
            ({"end": "2026-11-19"}, "2026-11-19", False),
            ({"end": "2026-11-19"}, None, True),
            ({"start": "2026-12-01"}, "2026-12-01", False),
            ({"start": "2026-12-02"}, "2026-12-01", True),
            ({"start": "2026-12-01"}, None, True),
            ({}, "2026-12-01", False),
        ],
    )
    def test_by_the_day_of_service_else_of_the_call(
        self, period: Json, day: str | None, ended: bool
    ) -> None:
        order = without(service_request(), "occurrenceDateTime")
        order |= {"occurrenceDateTime": day} if day else {}
        body = order_sign(order)
        body["prefetch"]["Coveragec1"]["period"] = period
        assert one(body).coverage_ended is ended
        assert told(body).coverage.ended is ended

    def test_each_order_by_its_own_day(self) -> None:
        late = service_request(own="late", occurrenceDateTime="2027-01-12")
        body = order_sign(service_request(), late)
        body["prefetch"]["Coveragec1"]["period"] = {"end": "2026-12-31"}
        assert [each.coverage_ended for each in told(body).asked] == [False, True]
        assert not told(body).coverage.ended

    def test_a_cancelled_one(self) -> None:
        body = order_sign()
        body["prefetch"]["Coveragec1"]["status"] = "cancelled"
        assert one(body).coverage_ended


class TestCarried:
    def test_our_own_earlier_answer_about_this_coverage(self) -> None:
        def answer(coverage: Any, own: str) -> Json:
            return {
                "url": CARRIED,
                "extension": [
                    {"url": "coverage", "valueReference": {"reference": coverage}},
                    {"url": "coverage-assertion-id", "valueString": own},
                ],
            }

        extensions = [
            {"url": CARRIED, "extension": "x"},
            answer("Coverage/c9", "other"),
            answer(f"{SERVER}/Coverage/c1", "ours"),
        ]
        body = order_sign(service_request(extension=extensions))
        carried = one(body).carried
        assert carried is not None
        assert carried["extension"][1]["valueString"] == "ours"


class TestSeveral:
    def test_the_others_are_companions(self) -> None:
        add_on = service_request("64484", "sr2")
        other = service_request("99213", "sr3")
        found = told(order_sign(service_request("64483"), add_on, other))
        assert [each.reference for each in found.asked] == [
            "ServiceRequest/sr1",
            "ServiceRequest/sr2",
            "ServiceRequest/sr3",
        ]
        second = found.asked[1]
        assert [item.service.codes[0].code for item in second.submission.items] == [
            "64484",
            "64483",
        ]
        assert [item.sequence for item in second.submission.items] == [2, 1]
        assert second.companions == ("ServiceRequest/sr1",)

    def test_selections_are_asked_about_the_rest_is_read(self) -> None:
        drafts = (service_request("64483"), service_request("64484", "sr2"))
        found = told(order_select(["ServiceRequest/sr2", "ServiceRequest/none"], *drafts))
        (asked,) = found.asked
        assert asked.reference == "ServiceRequest/sr2"
        assert asked.companions == ("ServiceRequest/sr1",)
        (unusable,) = found.unusable
        assert unusable.reference == "ServiceRequest/none"

    def test_a_bad_one_among_good_ones(self) -> None:
        wrong = service_request(own="bad", status=["draft"], code="x")
        other = service_request(own="p2s", subject={"reference": "Patient/p2"})
        no_id = without(service_request(), "id")
        nothing = service_request(own="not", doNotPerform=True)
        again = service_request()
        found = told(order_sign(wrong, None, service_request(), no_id, other, nothing, again))
        assert [each.reference for each in found.asked] == ["ServiceRequest/sr1"]
        assert found.asked[0].companions == ()
        assert [each.reference for each in found.unusable] == [
            "ServiceRequest/bad",
            None,
            None,
            "ServiceRequest/p2s",
            "ServiceRequest/not",
            "ServiceRequest/sr1",
        ]
        assert all(each.problems for each in found.unusable)
        assert found.unusable[1].problems[0].expression == "context.draftOrders.entry[1].resource"
        assert {p.severity for p in found.unusable[4].problems} == {"information"}

    @pytest.mark.parametrize("status", ["revoked", "entered-in-error", "completed"])
    def test_an_order_that_is_over_is_none(self, status: str) -> None:
        over = service_request("64483", status=status)
        found = told(order_sign(over, service_request("64484", "sr2")))
        (asked,) = found.asked
        assert (asked.reference, asked.companions) == ("ServiceRequest/sr2", ())
        (unusable,) = found.unusable
        assert unusable.reference == "ServiceRequest/sr1"
        assert not unusable.is_invalid
        assert [problem.code for problem in unusable.problems] == ["informational"]

    @pytest.mark.parametrize("status", ["cancelled", "noshow", "entered-in-error", "fulfilled"])
    def test_an_appointment_that_is_over_is_none(self, status: str) -> None:
        found = told(appointment_book(appointment(status=status)))
        assert found.asked == ()
        assert not found.unusable[0].is_invalid

    def test_a_visit_that_is_over_is_asked_about_at_its_end(self) -> None:
        here = encounter(**{"class": {"code": "AMB"}, "status": "finished"})
        assert one(with_chart(encounter_hook("encounter-discharge"), here))

    def test_a_bad_one_nobody_asks_about(self) -> None:
        found = told(order_select(["sr1"], service_request(), {"resourceType": 7}, 7))
        assert len(found.asked) == 1
        assert found.unusable == ()

    def test_elements_nobody_knows_spoil_nothing(self) -> None:
        order = service_request(colour="blue")
        order["code"]["shade"] = {"dark": True}
        assert one(order_sign(order)).resource["colour"] == "blue"

    def test_a_hundred_orders(self) -> None:
        orders = [service_request(own=f"s{n}") for n in range(100)]
        found = told(order_sign(*orders))
        assert len(found.asked) == 100
        assert {len(each.companions) for each in found.asked} == {40}
        assert all(each.reference not in each.companions for each in found.asked)


class TestDispatch:
    def prefetched(self, *orders: Json, **context: Any) -> Json:
        names = [f"{each['resourceType']}/{each['id']}" for each in orders]
        return with_chart(order_dispatch(*names, **context), *orders)

    def test_who_is_asked_performs(self) -> None:
        order = without(service_request(), "performer")
        asked = one(self.prefetched(order))
        assert asked.resource == order
        assert (PartyRole.RENDERING, "1902800006") in [
            (p.role, p.npi) for p in asked.submission.parties
        ]

    def test_the_task_of_an_order_tells_more(self) -> None:
        task = {
            "resourceType": "Task",
            "focus": {"reference": f"{SERVER}/ServiceRequest/sr1"},
            "location": {"reference": "Location/site1"},
            "restriction": {"period": {"start": "2026-12-05", "end": "2026-12-06"}},
        }
        order = without(service_request(), "locationReference", "occurrenceDateTime")
        asked = one(self.prefetched(order, fulfillmentTasks=[{"resourceType": 7}, task]))
        item = asked.submission.items[0]
        assert item.service.state == "NJ"
        assert (item.service.date_of_service, item.service_end) == (
            date(2026, 12, 5),
            date(2026, 12, 6),
        )
        other = task | {"focus": {"reference": "ServiceRequest/other"}}
        silent = one(self.prefetched(order, fulfillmentTasks=[other]))
        assert silent.submission.items[0].service.date_of_service is None
        dated = one(self.prefetched(service_request(), fulfillmentTasks=[task]))
        assert dated.submission.items[0].service.date_of_service == date(2026, 12, 5)

    @pytest.mark.parametrize(
        ("period", "first", "last"),
        [
            ({"start": "2026-12-05"}, date(2026, 12, 5), date(2026, 12, 5)),
            ({"end": "2026-11-25"}, date(2026, 12, 1), date(2026, 12, 1)),
        ],
    )
    def test_days_are_told_by_one(self, period: Json, first: date, last: date) -> None:
        task = {
            "resourceType": "Task",
            "focus": {"reference": "ServiceRequest/sr1"},
            "restriction": {"period": period},
        }
        item = one(self.prefetched(service_request(), fulfillmentTasks=[task])).submission.items[0]
        assert (item.service.date_of_service, item.service_end) == (first, last)

    def test_orders_that_are_not_at_hand_or_none(self) -> None:
        body = self.prefetched(service_request())
        body["context"]["dispatchedOrders"] += ["ServiceRequest/x", "Patient/p1", "urn:uuid:1"]
        late = Gathered(failed=frozenset({"ServiceRequest/x"}))
        found = told(body, late)
        assert [each.reference for each in found.asked] == ["ServiceRequest/sr1"]
        assert [each.reference for each in found.unusable] == [
            "ServiceRequest/x",
            "Patient/p1",
            "urn:uuid:1",
        ]
        codes = [each.problems[0].code for each in found.unusable]
        assert codes == ["transient", "invalid", "not-found"]
        assert [each.is_invalid for each in found.unusable] == [False, True, False]

    def test_the_others_dispatched_are_companions(self) -> None:
        orders = (service_request("64483"), service_request("64484", "sr2"))
        found = told(self.prefetched(*orders))
        assert [each.companions for each in found.asked] == [
            ("ServiceRequest/sr2",),
            ("ServiceRequest/sr1",),
        ]


class TestAppointments:
    BASED = appointment(basedOn=[{"reference": "ServiceRequest/sr1"}])

    def test_one_without_an_order_is_asked_about_itself(self) -> None:
        asked = one(appointment_book(appointment(serviceType=[concept("62323")])))
        item = asked.submission.items[0]
        assert asked.reference == "Appointment/a1"
        assert item.service.codes == (Code(CPT, "62323"),)
        assert item.service.date_of_service == date(2026, 12, 9)
        assert item.service.state == "NJ"
        assert [p.npi for p in asked.submission.parties][1:] == ["1902800006", "1003000126"]

    def test_a_wished_period(self) -> None:
        wished = [{"start": "2026-12-08", "end": "2026-12-10"}]
        booked = without(appointment(requestedPeriod=wished), "start", "end")
        item = one(appointment_book(booked)).submission.items[0]
        assert (item.service.date_of_service, item.service_end) == (
            date(2026, 12, 8),
            date(2026, 12, 10),
        )

    def test_in_2_2_the_order_behind_it_is_asked_about(self) -> None:
        order = service_request(own="sr1")
        asked = one(with_chart(appointment_book(self.BASED), order))
        assert asked.reference == "ServiceRequest/sr1"
        assert asked.resource == order
        assert asked.submission.items[0].service.codes == (Code(CPT, "62323"),)
        assert asked.submission.items[0].service.date_of_service == date(2026, 12, 9)
        assert asked.submission.diagnoses == ("M54.16",)

    def test_in_2_0_the_appointment_is(self) -> None:
        asked = one(with_chart(appointment_book(self.BASED, line=None), service_request()))
        assert asked.reference == "Appointment/a1"
        assert asked.submission.items[0].service.codes == (Code(CPT, "62323"),)

    def test_an_order_of_two_appointments_is_asked_about_once(self) -> None:
        body = appointment_book(self.BASED, self.BASED | {"id": "a2"})
        assert len(told(with_chart(body, service_request())).asked) == 1

    def test_an_alternate_reference(self) -> None:
        device = BASE | {"resourceType": "DeviceRequest", "codeCodeableConcept": concept("1")}
        other = {"url": ALTERNATE, "valueReference": {"reference": "DeviceRequest/x"}}
        based = appointment(basedOn=[{"display": "an order", "extension": [other]}])
        assert one(with_chart(appointment_book(based), device)).reference == "DeviceRequest/x"

    def test_an_order_that_is_not_at_hand(self) -> None:
        assert one(appointment_book(self.BASED)).reference == "Appointment/a1"

    def test_what_an_appointment_is_based_on_may_be_no_order(self) -> None:
        based = [{"reference": "Patient/p1"}, {"reference": "#inside"}]
        inside = service_request(own="inside")
        booked = appointment(basedOn=based, contained=[inside])
        assert one(appointment_book(booked)).reference == "Appointment/a1"

    def test_a_bad_appointment(self) -> None:
        beside = {"resourceType": "Practitioner", "id": "x"}
        found = told(appointment_book({"resourceType": "Appointment"}, beside, appointment()))
        assert [each.reference for each in found.asked] == ["Appointment/a1"]
        assert len(found.unusable) == 1


class TestEncounters:
    def test_the_encounter_is_asked_about(self) -> None:
        here = encounter(
            **{
                "class": {"system": ACT_CODE, "code": "IMP"},
                "subject": {"reference": "Patient/p1"},
                "type": [concept("99221")],
                "serviceType": concept("1", SNOMED),
                "period": {"start": "2026-11-20T10:00:00Z"},
                "participant": [{"individual": {"reference": "Practitioner/doc2"}}],
                "serviceProvider": {"reference": "Organization/clinic1"},
                "location": [{"location": {"reference": "Location/site1"}}],
                "diagnosis": [{"condition": {"reference": "Condition/1"}}],
            }
        )
        condition = {"resourceType": "Condition", "id": "1", "code": concept("M54.16", ICD)}
        for hook in ("encounter-start", "encounter-discharge"):
            asked = one(with_chart(encounter_hook(hook), here, condition))
            item = asked.submission.items[0]
            assert asked.reference == "Encounter/e1"
            assert [code.code for code in item.service.codes] == ["99221", "1"]
            assert item.service.date_of_service == date(2026, 11, 20)
            assert item.service.state == "NJ"
            assert asked.submission.diagnoses == ("M54.16",)
            assert asked.excluded

    def test_one_that_is_not_at_hand(self) -> None:
        body = encounter_hook()
        del body["prefetch"]["Encountere1"]
        found = told(body)
        assert found.asked == ()
        assert [each.reference for each in found.unusable] == ["Encounter/e1"]
