"""What each line is to WISeR, and which one service a request is for."""

from datetime import date

import pytest

from tests.unit.priorauth.wiser_requests import CATALOGUE, ON, line, request
from wiser_fhir.coverage.requested import CPT, HCPCS, Code, RequestedService
from wiser_fhir.priorauth.items import Classification, classify
from wiser_fhir.priorauth.models import ItemRole, RequestedItem, Submission


def classified(*codes: str, diagnoses: tuple[str, ...] = ("M54.16",)) -> Classification:
    """A request with one line per code."""
    lines = tuple(line(code, sequence=n) for n, code in enumerate(codes, start=1))
    return classify(request(items=lines, diagnoses=diagnoses), CATALOGUE, ON)


def roles(found: Classification) -> list[ItemRole]:
    """The roles in the order of the lines."""
    return [entry.role for entry in found.items]


def test_a_primary_its_add_on_an_associated_code_and_a_stranger() -> None:
    found = classified("64483", "64484", "99152", "99213")
    assert found.service is not None
    assert found.service.slug == "epidural-steroid-injection"
    assert roles(found) == [
        ItemRole.PRIMARY,
        ItemRole.ADD_ON,
        ItemRole.ASSOCIATED,
        ItemRole.NOT_WISER,
    ]
    assert [entry.code.code for entry in found.items] == ["64483", "64484", "99152", "99213"]
    assert [item.sequence for item in found.wiser_items] == [1, 2]
    assert found.findings == ()


@pytest.mark.parametrize("codes", [("64484",), ("64484", "64479"), ("64484", "62323")])
def test_an_add_on_without_its_primary_goes_to_a_person(codes: tuple[str, ...]) -> None:
    found = classified(*codes)
    assert found.service is not None
    assert roles(found)[0] is ItemRole.ADD_ON
    [finding] = found.findings
    assert finding.criterion == "gate-add-on"
    assert "64484 needs 64483" in finding.text


def test_any_of_an_add_ons_primaries_will_do() -> None:
    assert classified("22515", "22514").findings == ()


def test_associated_codes_do_not_stand_alone() -> None:
    found = classified("99152")
    assert found.services == ()
    assert found.service is None
    assert roles(found) == [ItemRole.NOT_WISER]


def test_two_services_are_both_named() -> None:
    found = classified("64483", "29877")
    assert found.service is None
    assert [rules.slug for rules in found.services] == [
        "epidural-steroid-injection",
        "knee-arthroscopy-oa",
    ]
    assert roles(found) == [ItemRole.PRIMARY, ItemRole.PRIMARY]


@pytest.mark.parametrize("diagnoses", [("G47.33",), ()])
def test_a_code_that_its_closed_list_leaves_out_follows_the_other_service(
    diagnoses: tuple[str, ...],
) -> None:
    found = classified("64582", "64568", diagnoses=diagnoses)
    assert found.service is not None
    assert found.service.slug == "hypoglossal-nerve-stimulation"
    assert roles(found) == [ItemRole.PRIMARY, ItemRole.ASSOCIATED]


def test_a_code_that_its_closed_list_takes_in_asks_for_its_own_service() -> None:
    found = classified("64582", "64568", diagnoses=("G47.33", "G40.011"))
    assert [rules.slug for rules in found.services] == [
        "hypoglossal-nerve-stimulation",
        "vagus-nerve-stimulation",
    ]


@pytest.mark.parametrize(
    ("diagnoses", "services"),
    [
        (("M54.16",), ["epidural-steroid-injection"]),
        ((), ["epidural-steroid-injection", "skin-substitutes"]),
        (("E11.621",), ["epidural-steroid-injection", "skin-substitutes"]),
    ],
)
def test_beside_an_open_service_a_closed_list_needs_its_diagnosis(
    diagnoses: tuple[str, ...], services: list[str]
) -> None:
    found = classified("64483", "15271", diagnoses=diagnoses)
    assert [rules.slug for rules in found.services] == services
    told = ItemRole.PRIMARY if len(services) > 1 else ItemRole.NOT_WISER
    assert roles(found) == [ItemRole.PRIMARY, told]


def test_two_closed_lists_without_their_diagnoses_stay_two_services() -> None:
    assert len(classified("64568", "15271").services) == 2


def test_a_delayed_service_is_told_and_not_taken() -> None:
    alone = classified("61867")
    assert alone.services == ()
    assert [rules.slug for rules in alone.delayed] == ["deep-brain-stimulation"]
    beside = classified("64483", "61867")
    assert beside.service is not None
    assert roles(beside) == [ItemRole.PRIMARY, ItemRole.NOT_WISER]


def test_a_code_counts_from_its_own_day_of_service() -> None:
    def hypoglossal(day: date | None) -> Classification:
        items = (line("64582"), line("C8007", sequence=2, day=day, system=HCPCS))
        return classify(request(items=items), CATALOGUE, ON)

    assert roles(hypoglossal(date(2026, 4, 5)))[1] is ItemRole.NOT_WISER
    assert roles(hypoglossal(date(2026, 4, 6)))[1] is ItemRole.PRIMARY
    assert roles(hypoglossal(None))[1] is ItemRole.PRIMARY


def with_codings(*codings: Code) -> Submission:
    """A request of one line that carries several codings."""
    service = RequestedService(codings, date(2026, 5, 20), "NJ", None)
    return request(items=(RequestedItem(1, service),))


def test_the_coding_that_tells_is_kept() -> None:
    local = Code("https://ehr.example/codes", "64483")
    found = classify(with_codings(local, Code(HCPCS, "64483"), Code(CPT, "64483")), CATALOGUE, ON)
    assert found.items[0].code == Code(HCPCS, "64483")
    assert found.findings == ()


def test_a_line_with_two_codes_of_the_model_goes_to_a_person() -> None:
    found = classify(with_codings(Code(CPT, "64483"), Code(CPT, "64479")), CATALOGUE, ON)
    [finding] = found.findings
    assert finding.criterion == "gate-code"
    assert "64479, 64483" in finding.text


def test_a_line_without_a_code_is_none_of_wisers() -> None:
    found = classify(with_codings(), CATALOGUE, ON)
    assert roles(found) == [ItemRole.NOT_WISER]
    assert found.items[0].code == Code("", "")
