"""The map of CRD's requirements: all of the guide's and all of the suite's, none of them twice."""

import re

from tests.conformance.crd.shape import HOOKS, Call, across_hooks, demonstration, hook_group
from tests.requirements_plugin import CONFORMANCE, Requirements

FILE = CONFORMANCE / "crd_requirements.toml"
# The guides' lines are numbered by section, with room between them.
SECTIONS = (
    (1, 9),
    (10, 32),
    (40, 51),
    (60, 64),
    (70, 95),
    (100, 131),
    (140, 145),
    (150, 155),
    (160, 167),
    (170, 170),
    (180, 184),
)


def test_every_line_is_mapped_once_and_the_map_names_no_other() -> None:
    requirements = Requirements.load(FILE)
    assert len(set(requirements.ids)) == len(requirements.ids)
    assert list(requirements.faults()) == []


def test_every_line_of_the_guides_is_there() -> None:
    listed = [name for name in Requirements.load(FILE).ids if re.fullmatch(r"CRD-\d{3}", name)]
    numbers = [number for first, last in SECTIONS for number in range(first, last + 1)]
    assert listed == [f"CRD-{number:03}" for number in numbers]


def test_every_test_of_the_suite_is_there() -> None:
    groups = {
        "discovery_group": [
            "crd_server_tls_version_stu2",
            "crd_discovery_endpoint_test",
            "crd_discovery_services_validation",
        ],
        "demonstrate_hook_response": list(demonstration(Call({"hook": "order-sign"}, {}), _none)),
        **{hook.replace("-", "_"): list(hook_group(hook, [], _none)) for hook in HOOKS},
        "required_card_response_validation": list(across_hooks([])),
    }
    wanted = [f"crd_server_{group}-{test}" for group, tests in groups.items() for test in tests]
    listed = [name for name in Requirements.load(FILE).ids if not name.startswith("CRD-")]
    assert sorted(listed) == sorted(wanted)
    assert len(listed) == 92


def _none(_: dict[str, object]) -> list[str]:
    return []
