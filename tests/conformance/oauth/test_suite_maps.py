"""The maps of the public suites of SMART, UDAP and TLS: as many tests as they have, none twice."""

from collections import Counter

import pytest

from tests.requirements_plugin import CONFORMANCE, DATA, Requirements

COUNTS = {
    "smart": {
        "smart_backend_services-discovery": 4,
        "smart_backend_services-authorization": 6,
        "smart_token_introspection-request": 2,
        "smart_token_introspection-response": 2,
    },
    "udap": {"discovery": 18, "registration": 4, "authentication": 3, "attestation": 8},
}


@pytest.mark.parametrize("suite", sorted(COUNTS))
def test_each_group_has_as_many_tests_as_the_suite_s(suite: str) -> None:
    ids = Requirements.load(CONFORMANCE / f"{suite}_suites.toml").ids
    assert len(set(ids)) == len(ids)
    assert Counter(each.rpartition("-")[0] for each in ids) == COUNTS[suite]


@pytest.mark.parametrize("suite", ["smart", "udap", "tls"])
def test_a_run_is_held_to_it(suite: str) -> None:
    assert CONFORMANCE / f"{suite}_suites.toml" in DATA


def test_all_of_udap_s_is_shown() -> None:
    mapped = Requirements.load(CONFORMANCE / "udap_suites.toml").mapped
    assert [each.id for each in mapped if not each.tests] == []


def test_all_that_is_not_shown_of_smart_s_is_what_app_launch_would_bring() -> None:
    mapped = Requirements.load(CONFORMANCE / "smart_suites.toml").mapped
    assert [each.id.rpartition("-")[2] for each in mapped if each.reason] == [
        "well_known_capabilities_stu2",
        "active_token",
    ]
