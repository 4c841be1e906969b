"""A completed form tells of coverage what CRD asserted, and nothing else."""

import time
from datetime import date
from typing import Any

import pytest

from tests.adaptive_walks import form_of
from tests.ledger_values import an_assertion
from wiser_fhir.dtr.coverage_answer import (
    assertion_ids,
    coverage_information,
    with_coverage_answers,
)
from wiser_fhir.fhir.codes import Line

Json = dict[str, Any]
URL = "http://hl7.org/fhir/us/davinci-crd/StructureDefinition/ext-coverage-information"
FUSION = "cervical-fusion"
ON = date(2026, 5, 20)
ANSWER: Json = {
    "covered": "covered",
    "pa-needed": "auth-needed",
    "doc-needed": ["clinical"],
    "doc-purpose": ["withpa"],
    "info-needed": [],
    "missing": [],
    "reasons": [{"text": "Reviewed.", "code": None}, {"text": "Known.", "code": "gold-card"}],
    "questionnaires": ["https://wiser-fhir.example/fhir/Questionnaire/cervical-fusion|2026-01-15"],
    "satisfied-pa-id": None,
}
TOLD: Json = {
    "url": URL,
    "extension": [
        {"url": "coverage", "valueReference": {"reference": "Coverage/c-1"}},
        {"url": "covered", "valueCode": "covered"},
        {"url": "pa-needed", "valueCode": "auth-needed"},
        {"url": "doc-needed", "valueCode": "clinical"},
        {"url": "reason", "valueCodeableConcept": {"text": "Reviewed."}},
        {
            "url": "reason",
            "valueCodeableConcept": {
                "coding": [
                    {
                        "system": "http://hl7.org/fhir/us/davinci-crd/CodeSystem/temp",
                        "code": "gold-card",
                    }
                ],
                "text": "Known.",
            },
        },
        {
            "url": "questionnaire",
            "valueCanonical": (
                "https://wiser-fhir.example/fhir/Questionnaire/cervical-fusion-adaptive|2026-01-15"
            ),
        },
        {"url": "date", "valueDate": "2026-05-20"},
        {"url": "coverage-assertion-id", "valueString": "A-1"},
    ],
}
OTHER: Json = {"url": "http://ehr.example/own", "valueString": "kept"}


def record(**changes: Any) -> Any:
    usual: Json = {"id": "A-1", "service": FUSION, "answer": ANSWER, "expires_on": None}
    return an_assertion(**(usual | changes))


def sent(name: str = "A-1", **parts: Json) -> Json:
    """An extension as a client may have it; what it says beside the id is the client's."""
    inner = [{"url": "coverage-assertion-id", "valueString": name}]
    inner += [{"url": url.replace("_", "-"), **value} for url, value in parts.items()]
    return {"url": URL, "extension": inner}


def completed(*extensions: Any) -> Json:
    return {"resourceType": "QuestionnaireResponse", "extension": list(extensions)}


def told(response: Json, *records: Any, line: Line = "2.2") -> Json:
    proven = {each.id: each for each in records}
    return with_coverage_answers(response, proven, form=form_of(FUSION, line), on=ON)


def again(assertion: Any, line: Line = "2.2") -> list[Json] | None:
    """The parts of an assertion told again."""
    found = coverage_information(assertion, form_of(FUSION, line), ON)
    return found["extension"] if found else None


def test_what_crd_asserted_is_told_again_under_its_id() -> None:
    assert again(record()) == TOLD["extension"]


def test_the_earlier_line_says_what_the_documents_are_for() -> None:
    found = again(record(), "2.0")
    assert found is not None
    codes = [(part["url"], part["valueCode"]) for part in found if "valueCode" in part]
    assert codes[2:] == [("doc-needed", "clinical"), ("doc-purpose", "withpa")]


def test_it_takes_the_place_of_whatever_the_client_says() -> None:
    satisfied = sent(
        pa_needed={"valueCode": "satisfied"},
        satisfied_pa_id={"valueString": "ZZ"},
        coverage={"valueReference": {"reference": "Coverage/another"}},
    )
    response = completed(OTHER, satisfied, OTHER)
    assert told(response, record())["extension"] == [OTHER, TOLD, OTHER]
    assert response == completed(OTHER, satisfied, OTHER)


def test_an_assertion_is_told_once() -> None:
    both = completed(sent(), sent(), sent("A-2"))
    second = record(id="A-2", coverage="Coverage/c-2")
    found = told(both, record(), second)["extension"]
    assert found[0] == TOLD
    assert [e["extension"][-1]["valueString"] for e in found] == ["A-1", "A-2"]


@pytest.mark.parametrize(
    "records",
    [
        [],
        [record(id="A-9")],
        [record(service="skin-substitutes")],
        [record(service=None)],
        [record(expires_on=date(2026, 5, 19))],
        [record(answer=ANSWER | {"pa-needed": "satisfied", "satisfied-pa-id": "ZZB1"})],
        [record(answer=ANSWER | {"satisfied-pa-id": "ZZB1"})],
    ],
)
def test_nothing_is_told_without_an_assertion_that_proves_it(records: list[Any]) -> None:
    assert told(completed(OTHER, sent()), *records) == completed(OTHER)
    alone = told(completed(sent()), *records)
    assert "extension" not in alone


def test_an_assertion_holds_on_its_last_day() -> None:
    assert told(completed(sent()), record(expires_on=ON))["extension"] == [TOLD]


def test_without_coverage_information_nothing_is_added() -> None:
    assert told(completed(OTHER), record()) == completed(OTHER)
    assert told({"resourceType": "QuestionnaireResponse"}, record()) == {
        "resourceType": "QuestionnaireResponse"
    }


def test_an_answer_without_what_was_kept_later_is_told_as_far_as_it_goes() -> None:
    short = {"covered": "not-covered", "pa-needed": None}
    found = again(record(answer=short))
    assert found is not None
    assert [part["url"] for part in found] == [
        "coverage",
        "covered",
        "date",
        "coverage-assertion-id",
    ]


@pytest.mark.parametrize(
    ("line", "base"),
    [
        ("2.2", "https://wiser-fhir.example/fhir"),
        ("2.0", "https://wiser-fhir.example/v2.0/fhir"),
    ],
)
def test_the_form_that_was_filled_is_named_as_the_line_has_it(line: Line, base: str) -> None:
    named = [f"{base}/Questionnaire/cervical-fusion|2026-01-15", "urn:foreign"]
    found = again(record(answer=ANSWER | {"questionnaires": named}), line)
    assert found is not None
    told = [part["valueCanonical"] for part in found if part["url"] == "questionnaire"]
    assert told == [f"{base}/Questionnaire/cervical-fusion-adaptive|2026-01-15"]


SENT_BY_CRD: Json = {
    "url": URL,
    "extension": [
        {"url": "coverage", "valueReference": {"reference": "Coverage/c-1"}},
        {"url": "covered", "valueCode": "covered"},
        {"url": "pa-needed", "valueCode": "auth-needed"},
        {"url": "billingCode", "valueCoding": {"code": "22551"}},
        {"url": "detail", "extension": [{"url": "category", "valueCode": "cat-other"}]},
        {"url": "questionnaire", "valueCanonical": "https://one.example"},
        {"url": "questionnaire", "valueCanonical": "https://two.example"},
        {"url": "date", "valueDate": "2026-04-07"},
        {"url": "coverage-assertion-id", "valueString": "A-1"},
        {"url": "satisfied-pa-id", "valueString": "ZZB1"},
        {"url": "contact", "valueContactDetail": {"name": "Somebody"}},
        {"url": "expiry-date", "valueDate": "2026-07-06"},
    ],
}


def test_all_that_crd_said_is_told_again_but_for_day_form_and_number() -> None:
    kept = record(answer=ANSWER | {"line": "2.2", "extension": SENT_BY_CRD})
    sent = SENT_BY_CRD["extension"]
    form = "https://wiser-fhir.example/fhir/Questionnaire/cervical-fusion-adaptive|2026-01-15"
    assert again(kept) == [
        *sent[:5],
        {"url": "questionnaire", "valueCanonical": form},
        {"url": "date", "valueDate": "2026-05-20"},
        sent[8],
        *sent[10:],
    ]
    assert SENT_BY_CRD["extension"][7] == {"url": "date", "valueDate": "2026-04-07"}


def test_what_crd_said_on_the_other_line_is_told_as_far_as_both_have_it() -> None:
    kept = record(answer=ANSWER | {"line": "2.0", "extension": SENT_BY_CRD})
    assert again(kept) == TOLD["extension"]


@pytest.mark.parametrize(
    ("subject", "is_told"),
    [
        ({"reference": "Patient/p-1"}, True),
        ({"reference": "https://ehr.example/fhir/Patient/p-1"}, True),
        ({"reference": "Patient/p-1/_history/2"}, True),
        ({"reference": "Patient/p-2"}, False),
        ({"reference": "Group/p-1"}, False),
        ({"reference": "#p-1"}, False),
        ({"reference": "urn:uuid:50a1e9c8-7f2b-4a2a-9b65-2f0f0c3a9f11"}, False),
        ({"display": "Somebody"}, False),
        (None, False),
    ],
)
def test_an_assertion_is_told_of_its_own_patient_alone(subject: Any, is_told: bool) -> None:
    response = completed(sent()) | ({"subject": subject} if subject else {})
    kept = record(answer=ANSWER | {"patient": "Patient/p-1"})
    assert told(response, kept).get("extension") == ([TOLD] if is_told else None)
    assert told(response, record())["extension"] == [TOLD]


CLAIM: Json = {"url": URL, "extension": [{"url": "covered", "valueCode": "covered"}]}


@pytest.mark.parametrize(
    "url",
    [
        URL,
        f"{URL}|2.2.1",
        f"{URL}/",
        f" {URL} ",
        f"{URL}#x",
        URL.replace("http:", "https:"),
        URL.upper(),
    ],
)
@pytest.mark.parametrize(
    ("holder", "rest"),
    [
        ({"modifierExtension": ["X"]}, {}),
        ({"meta": {"extension": ["X"]}}, {}),
        ({"meta": {"extension": ["X"], "versionId": "1"}}, {"meta": {"versionId": "1"}}),
        ({"_status": {"extension": ["X"]}}, {}),
        (
            {"subject": {"id": "s", "extension": ["X", OTHER]}},
            {"subject": {"id": "s", "extension": [OTHER]}},
        ),
        ({"subject": {"id": "s", "extension": ["X"]}}, {}),
        ({"extension": [{"url": "http://x.example", "extension": ["X"]}]}, {}),
        (
            {"extension": [{"url": "http://x.example", "extension": ["X", OTHER]}]},
            {"extension": [{"url": "http://x.example", "extension": [OTHER]}]},
        ),
        ({"item": [{"linkId": "a", "extension": ["X"]}]}, {"item": [{"linkId": "a"}]}),
        (
            {"contained": [{"resourceType": "Basic", "id": "b", "extension": ["X"]}]},
            {"contained": [{"resourceType": "Basic", "id": "b"}]},
        ),
        (
            {"contained": [{"_given": [{"extension": ["X"]}, {"id": "g"}], "given": ["a", "b"]}]},
            {"contained": [{"_given": [None, {"id": "g"}], "given": ["a", "b"]}]},
        ),
        (
            {"contained": [{"_given": [{"extension": ["X"]}, None], "given": ["a", "b"]}]},
            {"contained": [{"given": ["a", "b"]}]},
        ),
        ({"item": []}, {"item": []}),
    ],
)
def test_a_claim_of_the_client_is_taken_out_wherever_it_stands(
    url: str, holder: Json, rest: Json
) -> None:
    claim = CLAIM | {"url": url}

    def put(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: put(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [claim if each == "X" else put(each) for each in value]
        return value

    plain = {"resourceType": "QuestionnaireResponse"}
    assert told(plain | put(holder), record()) == plain | rest


def test_very_many_extensions_are_told_in_time() -> None:
    many = completed(*([OTHER] * 20_000), *([sent()] * 20_000))
    begun = time.perf_counter()
    assert told(many, record())["extension"] == [*([OTHER] * 20_000), TOLD]
    assert time.perf_counter() - begun < 2


def test_a_word_that_the_earlier_line_lacks_is_not_told_there() -> None:
    unsure = record(answer=ANSWER | {"covered": "indeterminate"})
    assert again(unsure, "2.0") is None
    assert again(unsure) is not None


def test_the_ids_of_a_response_are_read_with_care() -> None:
    odd: list[Any] = [
        7,
        {"url": URL},
        {"url": URL, "extension": "x"},
        {"url": URL, "extension": [7, {"url": "coverage-assertion-id", "valueString": 7}]},
        sent("x" * 201),
        sent("A-2"),
        sent("A-1"),
        sent("A-2"),
    ]
    assert assertion_ids(completed(*odd)) == ("A-2", "A-1")
    assert assertion_ids({}) == ()
    many = [sent(str(number)) for number in range(60)]
    assert len(assertion_ids(completed(*many))) == 50
    assert told(completed(*odd[1:]), record())["extension"] == [TOLD]
