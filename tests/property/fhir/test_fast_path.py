"""The fast path never accepts what the checker refuses, whatever is done to a good Bundle."""

import copy
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wiser_fhir.fhir.validation.packages import VARIABLE, examples
from wiser_fhir.fhir.validation.validator import GuideValidator

PROFILE = "http://hl7.org/fhir/us/davinci-pas/StructureDefinition/profile-pas-request-bundle"
VALUES: st.SearchStrategy[Any] = st.sampled_from(
    [None, "", " ", "x", "2024-02-30", "2024-05-06", 0, 1, -1, 1.0, 1.5, True, [], {}, ["x"], [{}],
     {"reference": "Patient/none"}, {"coding": [{"system": "http://loinc.org", "code": "1-8"}]},
     {"extension": [{"url": "https://x.example/e", "valueString": "y"}]},
     [{"url": "https://x.example/e", "valueString": "y"}]]
)  # fmt: skip
KEYS = st.sampled_from(
    ["id", "extension", "modifierExtension", "contained", "_status", "value", "type", "code"]
)


@pytest.fixture(scope="module")
def bundle() -> Any:
    named = os.environ.get(VARIABLE)
    folder = Path(named) if named else Path(__file__).resolve().parents[3].parent / "shared" / "igs"
    found = dict(examples(folder, "hl7.fhir.us.davinci-pas#2.2.1.tgz"))
    return found["Bundle-ReferralAuthorizationBundleExample.json"]


def nodes(value: Any) -> list[Any]:
    found = [value] if isinstance(value, dict | list) and value else []
    children = (
        value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    )
    return found + [n for child in children for n in nodes(child)]


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_what_it_proves_is_good(
    data: st.DataObject, bundle: Any, validator: GuideValidator
) -> None:
    mutant = copy.deepcopy(bundle)  # and so is what is put in: a second change may go into it
    for _ in range(data.draw(st.integers(1, 2))):
        found = nodes(mutant)
        node = found[data.draw(st.integers(0, len(found) - 1))]
        if isinstance(node, list):
            node[data.draw(st.integers(0, len(node) - 1))] = copy.deepcopy(data.draw(VALUES))
        elif data.draw(st.booleans()):
            node[data.draw(KEYS)] = copy.deepcopy(data.draw(VALUES))
        else:
            key = data.draw(st.sampled_from(sorted(node)))
            if data.draw(st.booleans()):
                del node[key]
            else:
                node[key] = copy.deepcopy(data.draw(VALUES))
    before = json.dumps(mutant, sort_keys=True)
    errors = [p for p in validator.problems(mutant, PROFILE) if p.severity == "error"]
    assert validator.accepts(mutant, PROFILE) is not bool(errors)
    assert json.dumps(mutant, sort_keys=True) == before
