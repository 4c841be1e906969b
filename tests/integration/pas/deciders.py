"""The door of a line with another way to decide, until the test is over."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
from fastapi import FastAPI

from tests.integration.pas.door import LINES
from wiser_fhir.pas.routes import PasDoor


def decide_with(app: FastAPI, monkeypatch: pytest.MonkeyPatch, **changes: Any) -> None:
    """Another catalogue, registry, policy or UTN source for both lines."""
    for line in LINES:
        door: PasDoor = app.state.pas[line]
        decider = replace(door.service.decider, **changes)
        changed = replace(
            door,
            service=replace(door.service, decider=decider),
            updates=replace(door.updates, decider=decider),
        )
        monkeypatch.setitem(app.state.pas, line, changed)


def serve_only(app: FastAPI, monkeypatch: pytest.MonkeyPatch, states: Iterable[str]) -> None:
    """A participant that takes the requests of these states; of all of ours if none is named."""
    if wanted := frozenset(states):
        policy = app.state.pas["2.2"].service.decider.policy
        decide_with(app, monkeypatch, policy=replace(policy, served_states=wanted))
