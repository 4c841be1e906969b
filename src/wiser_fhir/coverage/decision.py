"""The decision tree of a service: which criteria must hold together.

In a rule file a node is the id of a question, or a table: `all` or `any` of further nodes; `if` a
yes/no question is true, or `if_equals` an answer is a value, `then` a branch; `equals`, an answer
that is a value. A branch is one node.
"""

from collections.abc import Iterator
from typing import Annotated, Any, Union

from pydantic import Discriminator, Field, Tag

from wiser_fhir.coverage.frozen import Frozen, Slug

_KEYS = ("all", "any", "if", "if_equals", "equals")


def _kind(node: Any) -> str | None:
    """Which kind of node raw data is. None for what is no node at all."""
    if isinstance(node, str):
        return "question"
    if isinstance(node, dict):
        return next((key for key in _KEYS if key in node), None)
    return None


Node = Annotated[
    Union[  # noqa: UP007 - the forward references need it
        Annotated[Slug, Tag("question")],
        Annotated["AllOf", Tag("all")],
        Annotated["AnyOf", Tag("any")],
        Annotated["IfTrue", Tag("if")],
        Annotated["IfEquals", Tag("if_equals")],
        Annotated["Equals", Tag("equals")],
    ],
    Discriminator(
        _kind,
        custom_error_type="no_node",
        custom_error_message="a node is a question id, or has one of: " + ", ".join(_KEYS),
    ),
]


class Comparison(Frozen):
    """An answer set beside a value."""

    question: Slug
    value: bool | str


class AllOf(Frozen):
    """Every branch holds."""

    branches: tuple[Node, ...] = Field(alias="all", min_length=1)


class AnyOf(Frozen):
    """At least one branch holds."""

    branches: tuple[Node, ...] = Field(alias="any", min_length=1)


class IfTrue(Frozen):
    """The branch holds when the answer is yes. Skipped when it is no, or when nobody asks."""

    question: Slug = Field(alias="if")
    then: Node


class IfEquals(Frozen):
    """The branch holds when the answer is the value. Skipped when it is another, or nobody asks."""

    if_equals: Comparison
    then: Node


class Equals(Frozen):
    """The answer is the value."""

    equals: Comparison


for _model in (AllOf, AnyOf, IfTrue, IfEquals):
    _model.model_rebuild()


def nodes(node: Node) -> Iterator[Node]:
    """A node and everything below it."""
    yield node
    match node:
        case AllOf(branches=branches) | AnyOf(branches=branches):
            for branch in branches:
                yield from nodes(branch)
        case IfTrue(then=then) | IfEquals(then=then):
            yield from nodes(then)
