"""The addresses of forms."""

import pytest

from wiser_fhir.coverage.canonical import is_adaptive, questionnaire_urls, service_of


def test_a_service_has_a_whole_and_an_adaptive_form_on_each_line() -> None:
    assert questionnaire_urls("some-service") == {
        "https://wiser-fhir.example/fhir/Questionnaire/some-service",
        "https://wiser-fhir.example/fhir/Questionnaire/some-service-adaptive",
        "https://wiser-fhir.example/v2.0/fhir/Questionnaire/some-service",
        "https://wiser-fhir.example/v2.0/fhir/Questionnaire/some-service-adaptive",
    }


@pytest.mark.parametrize(
    ("name", "service", "adaptive"),
    [("some-service", "some-service", False), ("some-service-adaptive", "some-service", True)],
)
def test_what_an_address_says(name: str, service: str, adaptive: bool) -> None:
    address = f"https://wiser-fhir.example/fhir/Questionnaire/{name}"
    assert service_of(address) == service
    assert is_adaptive(address) is adaptive
    assert address in questionnaire_urls(service)
