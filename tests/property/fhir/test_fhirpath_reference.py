"""Our FHIRPath against fhirpathpy, invariant by invariant, on generated nodes."""

import json
import re
from functools import cache
from typing import Any

import pytest
from fhirpathpy import compile as reference_compile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wiser_fhir.fhir.validation import fhirpath
from wiser_fhir.fhir.validation.fhirpath_values import BY_HAND, CHOICES, Scope
from wiser_fhir.resources import resource_path

# Outside the comparison: what needs the resource around, a type, or functions the reference lacks;
# operators of which it raises on several items where FHIRPath wants an error, not a verdict.
_OUTSIDE = re.compile(
    r"%|resolve|memberOf|htmlChecks|hasValue|\$this|ofType| is | as |trace|iif|contains '"
    r"|descendants|<|>|\bQuestionnaireResponse\b|toInteger|length\(\)|repeat|matches"
    r"|startsWith|extension\(| mod "
)


@cache
def expressions() -> tuple[str, ...]:
    found = set()
    for file in sorted(resource_path("igs/compiled").glob("*/definitions.jsonl")):
        for line in file.read_text("utf-8").splitlines():
            found |= set(_constraints(json.loads(line.split("\t", 2)[2])["root"]))
    return tuple(sorted(found))


def _constraints(node: dict[str, Any]) -> list[str]:
    own = [e for key, _, e in node.get("constraints", ()) if key not in BY_HAND]
    below = [*node.get("children", ()), *node.get("slices", ())]
    return own + [e for child in below for e in _constraints(child)]


def comparable(expression: str) -> bool:
    names = set(re.findall(r"(?<![\w'/])[a-z]\w+(?!\w|\()", expression))
    repaired = fhirpath._REPAIRED.get(expression, expression) != expression
    return not _OUTSIDE.search(expression) and not names & CHOICES and not repaired


@st.composite
def node_for(draw: st.DrawFn, expression: str) -> Any:
    names = sorted(
        set(re.findall(r"(?<![\w'/])[a-z]\w+(?![\w(])", expression))
        - {"and", "or", "in", "not", "implies", "xor"}
    )
    texts = re.findall(r"'([^']*)'", expression) or ["x"]
    leaf = st.sampled_from([*texts, "other"])

    def tree(depth: int) -> st.SearchStrategy[Any]:
        inner = (
            leaf
            if depth == 0
            else st.one_of(leaf, tree(depth - 1), st.lists(tree(depth - 1), min_size=1, max_size=2))
        )
        return st.dictionaries(st.sampled_from(names or ["a"]), inner, max_size=4)

    return draw(tree(2))


def verdict(items: Any) -> bool:
    return bool(items) and (items[0] is True if isinstance(items[0], bool) else True)


@pytest.mark.parametrize("number", range(10))
def test_the_same_verdicts(number: int) -> None:
    chosen = [e for e in expressions() if comparable(e)][number::10]
    assert len(chosen) >= 5
    for expression in chosen:
        compare(expression)


def compare(expression: str) -> None:
    reference: Any = reference_compile(expression)
    ours = fhirpath.predicate("none", expression)

    @settings(
        max_examples=25, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(node=node_for(expression))
    def run(node: Any) -> None:
        scope = Scope(node, node, "", None, lambda _: None, lambda _value, _url: True)
        try:
            expected = verdict(reference(node))
        except Exception:  # the reference raises where a singleton is wanted
            return
        assert ours(node, scope) is expected, (expression, node)

    run()
