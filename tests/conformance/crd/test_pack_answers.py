"""The input pack through our server, judged as the public suite would: every test of every hook."""

import json
from collections.abc import Iterator, Mapping
from functools import cache

import pytest
from httpx import AsyncClient

from tests.bundle_values import Json, Line
from tests.conformance.crd.collected import resources_in
from tests.conformance.crd.profiles import engine_errors
from tests.conformance.crd.shape import (
    Call,
    Result,
    across_hooks,
    crd_discovery_endpoint_test,
    crd_discovery_services_validation,
    demonstration,
    hook_group,
)
from tests.conformance.inferno.crd.build import FOLDER
from tests.crd_bodies import HOOKS, LINES
from tests.integration.crd.door import HookClient, without_information
from tests.oracle.hooks_judge import BASE_RESPONSE, RESPONSE, HooksJudge
from tests.oracle.judge import Judge
from wiser_fhir import exact

pytestmark = pytest.mark.oracle


@pytest.fixture(scope="module")
def hooks_judge() -> Iterator[HooksJudge]:
    with HooksJudge() as running:
        yield running


class Pool:
    """The resources that the pack's calls lead to, and what the engine said of each resource.

    An Appointment is judged with what it leads to: alone it is valid for nobody in 2.2.
    """

    def __init__(self, judge: Judge, line: Line, calls: list[Call]) -> None:
        self.judge, self.line = judge, line
        self.known: dict[str, list[str]] = {}
        found = (each for call in calls for each in resources_in(call.request))
        self.at_hand = list({f"{r['resourceType']}/{r['id']}": r for r in found}.values())

    def errors(self, resource: Json) -> list[str]:
        """What is wrong with a resource; each is asked about once."""
        text = json.dumps(resource, sort_keys=True)
        if text not in self.known:
            beside = self.at_hand if resource["resourceType"] == "Appointment" else []
            self.known[text] = engine_errors(self.judge, resource, self.line, beside)
        return self.known[text]


@cache
def bodies(line: Line, name: str) -> list[Json]:
    """The bodies of one file, as they stand in it."""
    content = exact.loads((FOLDER / line / f"{name}.json").read_bytes())
    return content if isinstance(content, list) else [content]


async def calls(hooks: HookClient, line: Line, name: str) -> list[Call]:
    """Every body of a file through the API, with one JWT as the suite has it."""
    hook: str = bodies(line, name)[0]["hook"]
    path = f"/cds-services/{hook}-crd"
    token = hooks.token(path)
    made = []
    for body in bodies(line, name):
        response = await hooks.post(path, body, token)
        made.append(Call(body, response.json(), response.status_code))
    return made


def failed(results: Mapping[str, Result]) -> dict[str, tuple[str, tuple[str, ...]]]:
    """What did not pass, skips too."""
    return {
        name: (each.outcome, each.faults)
        for name, each in results.items()
        if each.outcome != "pass"
    }


@pytest.mark.parametrize("hook", HOOKS)
async def test_every_test_of_a_hook_passes(
    hook: str, line: Line, hooks: HookClient, judge: Judge
) -> None:
    made = await calls(hooks, line, hook)
    pool = Pool(judge, line, made)
    assert failed(hook_group(hook, made, pool.errors)) == {}


async def test_any_hook_can_be_demonstrated(line: Line, hooks: HookClient, judge: Judge) -> None:
    [made] = await calls(hooks, line, "any-hook")
    pool = Pool(judge, line, [made])
    assert failed(demonstration(made, pool.errors)) == {}


async def test_what_has_to_come_of_one_hook_at_least_comes(line: Line, hooks: HookClient) -> None:
    groups = [hook_group(hook, await calls(hooks, line, hook), lambda _: []) for hook in HOOKS]
    assert failed(across_hooks(groups)) == {}


async def test_discovery_is_what_the_suite_wants(stranger: AsyncClient) -> None:
    answer = await stranger.get("/cds-services")
    assert crd_discovery_endpoint_test(answer.status_code, answer.json()).outcome == "pass"
    assert crd_discovery_services_validation(answer.json()).outcome == "pass"


@pytest.mark.xdist_group("hooks-judge")
@pytest.mark.parametrize("hook", HOOKS)
async def test_an_answer_is_cds_hooks_for_hl7_s_engine(
    hook: str, line: Line, hooks: HookClient, hooks_judge: HooksJudge
) -> None:
    """By HL7's logical models; those of CRD are 2.2's."""
    models = (BASE_RESPONSE, RESPONSE) if line == "2.2" else (BASE_RESPONSE,)
    for made in await calls(hooks, line, hook):
        for model in models:
            assert hooks_judge.errors(made.answer, model) == []


@pytest.mark.parametrize("hook", HOOKS)
async def test_the_resource_goes_back_as_it_came(hook: str, line: Line, hooks: HookClient) -> None:
    for made in await calls(hooks, line, hook):
        sent = {f"{r['resourceType']}/{r['id']}": r for r in resources_in(made.request)}
        for action in made.answer["systemActions"]:
            resource = action["resource"]
            name = f"{resource['resourceType']}/{resource['id']}"
            assert without_information(resource) == sent[name]


def test_both_lines_have_a_file_for_every_hook() -> None:
    for line in LINES:
        assert {file.stem for file in (FOLDER / line).glob("*.json")} == {*HOOKS, "any-hook"}
