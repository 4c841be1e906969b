"""The app's doors with the scripted clinician behind them, until the test is over."""

from dataclasses import fields, replace
from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.integration.pas.door import LINES
from wiser_fhir.pas.routes import PasDoor
from wiser_fhir.priorauth.desk import Desk
from wiser_fhir.priorauth.service import PriorAuthService
from wiser_fhir.priorauth.updates import UpdateService
from wiser_fhir.sandbox.scenarios import Scenarios
from wiser_fhir.sandbox.scripted import ScriptedPriorAuth, ScriptedUpdates, Stage
from wiser_fhir.sandbox.tenant import Tenant


async def set_the_stage(
    app: FastAPI, monkeypatch: pytest.MonkeyPatch, superuser: AsyncEngine
) -> Stage:
    """People are written to the database, and both lines get the scripted services."""
    tenant = Tenant.load()
    async with superuser.begin() as db:
        await tenant.seed(db)
    door: PasDoor = app.state.pas["2.2"]
    usual, updates = door.service, door.updates
    desk = Desk(
        app.state.engine,
        app.state.recorder,
        usual.clock,
        updates.answers,
        usual.decider.utn_source,
        usual.decider.catalogue,
    )
    stage = Stage.of(Scenarios.load(), desk, tenant)
    for line in LINES:
        known: PasDoor = app.state.pas[line]
        scripted = replace(
            known,
            service=ScriptedPriorAuth(**_parts(known.service, PriorAuthService), stage=stage),
            updates=ScriptedUpdates(**_parts(known.updates, UpdateService), stage=stage),
        )
        monkeypatch.setitem(app.state.pas, line, scripted)
    return stage


def clear_the_stage(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both lines get the services that know no test member."""
    for line in LINES:
        known: PasDoor = app.state.pas[line]
        usual = replace(
            known,
            service=PriorAuthService(**_parts(known.service, PriorAuthService)),
            updates=UpdateService(**_parts(known.updates, UpdateService)),
        )
        monkeypatch.setitem(app.state.pas, line, usual)


def _parts(service: Any, kind: type[Any]) -> dict[str, Any]:
    """What a service of this kind is made of, whatever more it may be."""
    return {each.name: getattr(service, each.name) for each in fields(kind)}
