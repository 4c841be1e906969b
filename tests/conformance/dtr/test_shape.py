"""The suite's tests as we say them again: each passes what is right and finds what is wrong."""

import copy
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from tests.conformance.dtr import shape
from tests.conformance.dtr.shape import (
    AdaptiveGroup,
    Outcome,
    Reply,
    StaticGroup,
    adaptive_group,
    static_group,
)

Json = dict[str, Any]
SDC = "http://hl7.org/fhir/uv/sdc/StructureDefinition/"
CORE = "http://hl7.org/fhir/StructureDefinition/"
LIBRARY_URL = "https://payer.example/Library/Injections"

LIBRARY: Json = {
    "resourceType": "Library",
    "url": LIBRARY_URL,
    "name": "Injections",
    "content": [{"contentType": "text/cql"}, {"contentType": "application/elm+json"}],
}
FILLED: Json = {
    "linkId": "age",
    "extension": [
        {
            "url": SDC + "sdc-questionnaire-initialExpression",
            "valueExpression": {"language": "text/cql", "expression": '"Injections"."age"'},
        }
    ],
}
FORM: Json = {
    "resourceType": "Questionnaire",
    "id": "form",
    "extension": [
        {"url": CORE + "cqf-library", "valueCanonical": LIBRARY_URL},
        {
            "url": CORE + "variable",
            "valueExpression": {"language": "text/cql", "expression": "1"},
        },
    ],
    "item": [{"linkId": "group", "item": [FILLED]}],
}
PACKAGE: Json = {
    "resourceType": "Bundle",
    "entry": [{"resource": FORM}, {"resource": LIBRARY}],
}
ANSWER: Json = {
    "resourceType": "Parameters",
    "parameter": [{"name": "PackageBundle", "resource": PACKAGE}],
}
REQUEST: Json = {"resourceType": "Parameters", "parameter": []}
STEP: Json = {"resourceType": "QuestionnaireResponse", "status": "in-progress"}
NEXT: Json = {
    "resourceType": "QuestionnaireResponse",
    "status": "completed",
    "contained": [FORM],
    "questionnaire": "#form",
}


def no_errors(_: Json, __: str) -> Iterable[str]:
    return ()


def errors_by(*profiles: str) -> Callable[[Json, str], Iterable[str]]:
    """A judge that finds everything wrong by some profiles, and nothing by the others."""
    return lambda _, profile: ["wrong"] if profile in profiles else []


def form_of(answer: Json) -> Json:
    found: Json = answer["parameter"][0]["resource"]["entry"][0]["resource"]
    return found


def library_of(answer: Json) -> Json:
    found: Json = answer["parameter"][0]["resource"]["entry"][1]["resource"]
    return found


def bundle_of(answer: Json) -> Json:
    found: Json = answer["parameter"][0]["resource"]
    return found


def the_static(
    answer: Json | None = None, status: int = 200, errors: Any = no_errors
) -> dict[str, Outcome]:
    group = StaticGroup(REQUEST, Reply(status, answer or ANSWER), errors)
    return {name: each.outcome for name, each in static_group(group).items()}


def the_adaptive(
    answer: Json | None = None,
    *replies: Json,
    status: int = 200,
    next_status: int = 200,
    steps: tuple[Json, ...] = (STEP,),
    errors: Any = no_errors,
) -> dict[str, Outcome]:
    group = AdaptiveGroup(
        REQUEST,
        Reply(status, answer or ANSWER),
        steps,
        [Reply(next_status, reply) for reply in replies or (NEXT,)],
        errors,
    )
    return {name: each.outcome for name, each in adaptive_group(group).items()}


def failing(outcomes: dict[str, Outcome]) -> set[str]:
    return {name for name, outcome in outcomes.items() if outcome == "fail"}


def changed(whole: Json, change: Callable[[Json], object]) -> Json:
    found = copy.deepcopy(whole)
    change(found)
    return found


def test_what_is_right_passes() -> None:
    assert set(the_static().values()) == {"pass"}
    assert set(the_adaptive().values()) == {"pass"}
    assert len(the_static()) == 6
    assert len(the_adaptive()) == 13


def test_a_package_may_stand_by_itself() -> None:
    assert set(the_static(PACKAGE).values()) == {"pass"}
    assert set(the_static(status=201).values()) == {"pass"}


def test_what_a_tester_puts_in_has_to_be_valid() -> None:
    refused = errors_by(shape.INPUT)
    assert failing(the_static(errors=refused)) == {
        "dtr_v201_payer_static_form_request_validation_test"
    }
    assert failing(the_adaptive(errors=refused)) == {
        "payer_server_adaptive_questionnaire_request_validation"
    }
    for profile in (shape.RESPONSE_IN, shape.PARAMETERS_IN):
        kind = "QuestionnaireResponse" if profile == shape.RESPONSE_IN else "Parameters"
        steps = ({"resourceType": kind},)
        found = failing(the_adaptive(steps=steps, errors=errors_by(profile)))
        assert found == {"payer_server_next_request_validation"}


def test_a_list_of_both_kinds_is_not_valid() -> None:
    steps = (STEP, {"resourceType": "Parameters"})
    assert failing(the_adaptive(steps=steps)) == {"payer_server_next_request_validation"}
    assert failing(the_adaptive(steps=({"resourceType": "Bundle"},))) == {
        "payer_server_next_request_validation"
    }


PACKAGE_FAULTS: dict[str, tuple[Json, int, Any]] = {
    "another status": (ANSWER, 202, no_errors),
    "invalid Parameters": (ANSWER, 200, errors_by(shape.OUTPUT)),
    "an invalid Bundle": (PACKAGE, 200, errors_by(shape.PACKAGE)),
}


@pytest.mark.parametrize("fault", PACKAGE_FAULTS)
def test_a_faulty_answer_to_a_package_request_is_known(fault: str) -> None:
    answer, status, errors = PACKAGE_FAULTS[fault]
    assert failing(the_static(answer, status, errors)) == {
        "dtr_v201_payer_static_form_response_test"
    }
    found = failing(the_adaptive(answer, status=status, errors=errors))
    assert "payer_server_adaptive_response_validation_test" in found


def test_an_answer_without_package_fails_every_test_of_it() -> None:
    for answer in ({"resourceType": "OperationOutcome"}, REQUEST):
        assert failing(the_static(answer)) == {
            "dtr_v201_payer_static_form_response_test",
            "dtr_v201_payer_static_form_libraries_test",
            "dtr_v201_payer_static_form_extensions_test",
            "dtr_v201_payer_static_form_expressions_test",
        }
        found = failing(the_adaptive(answer))
        assert found >= {
            "payer_server_adaptive_response_validation_test",
            "payer_server_adaptive_response_bundles_validation_test",
            "payer_server_adaptive_response_search_validation_test",
        }


def test_each_package_and_form_of_it_has_to_be_valid_by_itself() -> None:
    assert failing(the_adaptive(errors=errors_by(shape.PACKAGE))) == {
        "payer_server_adaptive_response_bundles_validation_test"
    }
    assert failing(the_adaptive(errors=errors_by(shape.SEARCH_FORM))) == {
        "payer_server_adaptive_response_search_validation_test"
    }


LIBRARY_FAULTS: dict[str, Callable[[Json], object]] = {
    "no CQL": lambda answer: library_of(answer)["content"].pop(0),
    "no ELM": lambda answer: library_of(answer)["content"].pop(1),
    "no content": lambda answer: library_of(answer).pop("content"),
    "two of one name": lambda answer: bundle_of(answer)["entry"].append(
        {"resource": {**LIBRARY, "url": "https://payer.example/Library/Other"}}
    ),
    "one of them without ELM": lambda answer: bundle_of(answer)["entry"].append(
        {"resource": {**LIBRARY, "name": "Other", "content": LIBRARY["content"][:1]}}
    ),
    "one in two packages": lambda answer: answer["parameter"].append(answer["parameter"][0]),
}


@pytest.mark.parametrize("fault", LIBRARY_FAULTS)
def test_a_faulty_library_is_known(fault: str) -> None:
    answer = changed(ANSWER, LIBRARY_FAULTS[fault])
    assert failing(the_static(answer)) == {"dtr_v201_payer_static_form_libraries_test"}
    assert failing(the_adaptive(answer)) == {"dtr_v201_payer_adaptive_form_libraries_test"}


def test_a_package_without_library_is_known() -> None:
    answer = changed(ANSWER, lambda answer: bundle_of(answer)["entry"].pop(1))
    assert "dtr_v201_payer_static_form_libraries_test" in failing(the_static(answer))
    assert "dtr_v201_payer_adaptive_form_libraries_test" in failing(the_adaptive(answer))


ROOT_FAULTS: dict[str, Callable[[Json], object]] = {
    "nothing": lambda form: form.pop("extension"),
    "something else": lambda form: form["extension"].__setitem__(
        slice(None), [{"url": CORE + "preferredTerminologyServer"}]
    ),
    "the library's version": lambda form: form["extension"][0].update(
        valueCanonical=f"{LIBRARY_URL}|1"
    ),
    "no library of the package": lambda form: form["extension"][0].update(
        valueCanonical="https://payer.example/Library/Other"
    ),
    "a library without address": lambda form: form["extension"][0].pop("valueCanonical"),
    "a variable in another language": lambda form: form["extension"][1].update(
        valueExpression={"language": "text/fhirpath"}
    ),
    "a context in another language": lambda form: form["extension"].append(
        {
            "url": SDC + "sdc-questionnaire-itemPopulationContext",
            "valueExpression": {"language": "application/x-fhir-query"},
        }
    ),
}


@pytest.mark.parametrize("fault", ROOT_FAULTS)
def test_a_form_that_does_not_say_well_what_fills_it_is_known(fault: str) -> None:
    change = ROOT_FAULTS[fault]
    answer = changed(ANSWER, lambda answer: change(form_of(answer)))
    assert failing(the_static(answer)) == {"dtr_v201_payer_static_form_extensions_test"}
    assert failing(the_adaptive(answer)) == {"dtr_v201_payer_adaptive_form_extensions_test"}
    reply = changed(NEXT, lambda reply: change(reply["contained"][0]))
    assert failing(the_adaptive(None, reply)) == {
        "dtr_v201_payer_adaptive_next_question_extensions_test"
    }


ITEM_FAULTS: dict[str, Callable[[Json], object]] = {
    "no item": lambda form: form.pop("item"),
    "none is filled": lambda form: form["item"][0]["item"][0].pop("extension"),
    "by name only": lambda form: _expression(form).update(language="text/cql-identifier"),
    "by FHIRPath": lambda form: _expression(form).update(language="text/fhirpath"),
    "candidates by a query": lambda form: form["item"].append(
        {
            "linkId": "other",
            "extension": [
                {
                    "url": SDC + "sdc-questionnaire-candidateExpression",
                    "valueExpression": {"language": "application/x-fhir-query"},
                }
            ],
        }
    ),
    "a context by FHIRPath": lambda form: form["item"][0].update(
        extension=[
            {
                "url": SDC + "sdc-questionnaire-contextExpression",
                "valueExpression": {"language": "text/fhirpath"},
            }
        ]
    ),
}


def _expression(form: Json) -> Json:
    found: Json = form["item"][0]["item"][0]["extension"][0]["valueExpression"]
    return found


@pytest.mark.parametrize("fault", ITEM_FAULTS)
def test_a_form_whose_items_are_not_filled_by_cql_is_known(fault: str) -> None:
    change = ITEM_FAULTS[fault]
    answer = changed(ANSWER, lambda answer: change(form_of(answer)))
    assert failing(the_static(answer)) == {"dtr_v201_payer_static_form_expressions_test"}
    assert failing(the_adaptive(answer)) == {"dtr_v201_payer_adaptive_form_expressions_test"}
    reply = changed(NEXT, lambda reply: change(reply["contained"][0]))
    assert failing(the_adaptive(None, reply)) == {
        "dtr_v201_payer_adaptive_next_question_expressions_test"
    }


def test_a_package_without_form_is_known() -> None:
    answer = changed(ANSWER, lambda answer: bundle_of(answer)["entry"].pop(0))
    assert failing(the_static(answer)) == {
        "dtr_v201_payer_static_form_extensions_test",
        "dtr_v201_payer_static_form_expressions_test",
    }
    assert failing(the_adaptive(answer)) == {
        "dtr_v201_payer_adaptive_form_extensions_test",
        "dtr_v201_payer_adaptive_form_expressions_test",
        "payer_server_adaptive_response_search_validation_test",
    }


def test_what_is_computed_or_asked_on_a_condition_may_be_in_another_language() -> None:
    also = {
        "url": SDC + "sdc-questionnaire-calculatedExpression",
        "valueExpression": {"language": "text/fhirpath"},
    }
    answer = changed(ANSWER, lambda answer: form_of(answer)["item"][0].update(extension=[also]))
    assert failing(the_static(answer)) == set()


def test_an_answer_to_a_next_question_has_to_be_a_valid_response_by_itself() -> None:
    test = {"payer_server_next_response_validation_test"}
    assert failing(the_adaptive(next_status=201)) == test
    assert failing(the_adaptive(next_status=202)) == set()
    assert failing(the_adaptive(errors=errors_by(shape.RESPONSE_OUT))) == test
    held = {"resourceType": "Parameters", "parameter": [{"name": "return", "resource": NEXT}]}
    assert failing(the_adaptive(None, held)) >= test
    # One that is wrong is enough.
    assert failing(the_adaptive(None, NEXT, {**NEXT, "resourceType": "Bundle"})) == test


def test_one_answer_with_a_form_inside_is_enough_and_none_is_not() -> None:
    bare = changed(NEXT, lambda reply: reply.pop("contained"))
    assert failing(the_adaptive(None, NEXT, bare)) == set()
    assert failing(the_adaptive(None, bare)) == {
        "dtr_v201_payer_adaptive_next_question_extensions_test",
        "dtr_v201_payer_adaptive_next_question_expressions_test",
    }


def test_one_answer_has_to_be_completed() -> None:
    going_on = {**NEXT, "status": "in-progress"}
    assert failing(the_adaptive(None, going_on, NEXT, going_on)) == set()
    assert failing(the_adaptive(None, going_on)) == {"payer_server_adaptive_completion_test"}


def test_a_library_of_the_package_is_one_for_the_forms_inside_too() -> None:
    other = changed(
        ANSWER, lambda answer: library_of(answer).update(url="https://payer.example/Library/Other")
    )
    assert failing(the_adaptive(other)) == {
        "dtr_v201_payer_adaptive_form_extensions_test",
        "dtr_v201_payer_adaptive_next_question_extensions_test",
    }
