from collections.abc import Iterator

from wiser_fhir import errors
from wiser_fhir.errors import Problem, WiserError
from wiser_fhir.web.errors import STATUS
from wiser_fhir.web.outcome import FhirResponse, operation_outcome


def tree(root: type[WiserError]) -> Iterator[type[WiserError]]:
    yield root
    for child in root.__subclasses__():
        yield from tree(child)


def test_every_error_has_a_status_and_every_status_an_error() -> None:
    assert {each.issue_code for each in tree(WiserError)} == STATUS.keys()


def test_every_error_stands_in_the_drawn_tree() -> None:
    assert errors.__doc__
    drawn = [each for each in tree(WiserError) if each.__module__ == errors.__name__]
    assert all(each.__name__ in errors.__doc__ for each in drawn)


def test_an_outcome_carries_every_problem() -> None:
    problems = [
        Problem("error", "required", "One is missing.", "Bundle.entry[0].resource.item"),
        Problem("warning", "value", "One is odd."),
    ]
    assert operation_outcome(problems) == {
        "resourceType": "OperationOutcome",
        "issue": [
            {
                "severity": "error",
                "code": "required",
                "details": {"text": "One is missing."},
                "expression": ["Bundle.entry[0].resource.item"],
            },
            {"severity": "warning", "code": "value", "details": {"text": "One is odd."}},
        ],
    }


def test_bytes_are_sent_as_they_stand() -> None:
    response = FhirResponse(b'{"amount": 100.10}')
    assert response.body == b'{"amount": 100.10}'
    assert response.headers["content-type"] == "application/fhir+json"
