"""What cases are worked on with, in a server and in a worker alike."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from sqlalchemy.ext.asyncio import AsyncEngine

from wiser_fhir.audit.recorder import Recorder
from wiser_fhir.clock import Clock
from wiser_fhir.coverage.catalogue import Catalogue
from wiser_fhir.deployment.addresses import base_urls
from wiser_fhir.deployment.keys import audit_key
from wiser_fhir.deployment.policies import decision_reasons, policy, reject_reasons, utn_source
from wiser_fhir.fhir.codes import Line
from wiser_fhir.pas.answers import PasAnswers
from wiser_fhir.pas.claim_response import Renderer
from wiser_fhir.priorauth.decide import Decider
from wiser_fhir.priorauth.desk import Desk
from wiser_fhir.priorauth.registry import Registry
from wiser_fhir.priorauth.service import PriorAuthService
from wiser_fhir.priorauth.updates import UpdateService
from wiser_fhir.sandbox.scenarios import Scenarios
from wiser_fhir.sandbox.scripted import ScriptedPriorAuth, ScriptedUpdates, Stage
from wiser_fhir.sandbox.tenant import Tenant
from wiser_fhir.settings import Settings


@dataclass(frozen=True, slots=True)
class Casework:
    """The services that change cases. `stage` is the sandbox's scripted clinician."""

    catalogue: Catalogue
    registry: Registry
    recorder: Recorder
    renderers: Mapping[Line, Renderer]
    answers: PasAnswers
    desk: Desk
    service: PriorAuthService
    updates: UpdateService
    stage: Stage | None

    @classmethod
    def of(
        cls,
        settings: Settings,
        clock: Clock,
        engine: AsyncEngine,
        catalogue: Catalogue,
        registry: Registry,
    ) -> Self:
        """What the settings come to. In a sandbox test members are answered by script."""
        recorder = Recorder(engine, audit_key(settings))
        source = utn_source(settings)
        decider = Decider(catalogue, registry, policy(settings), source)
        rejects, reasons = reject_reasons(settings), decision_reasons(settings)
        renderers = {
            line: Renderer(line, base_url, rejects, reasons)
            for line, base_url in base_urls(settings).items()
        }
        answers = PasAnswers(renderers)
        desk = Desk(engine, recorder, clock, answers, source, catalogue)
        stage = None
        service = PriorAuthService(engine, decider, recorder, clock)
        updates = UpdateService(engine, decider, recorder, clock, answers)
        if settings.sandbox:
            stage = Stage.of(Scenarios.load(), desk, Tenant.load())
            service = ScriptedPriorAuth(engine, decider, recorder, clock, stage=stage)
            updates = ScriptedUpdates(engine, decider, recorder, clock, answers, stage=stage)
        return cls(
            catalogue=catalogue,
            registry=registry,
            recorder=recorder,
            renderers=renderers,
            answers=answers,
            desk=desk,
            service=service,
            updates=updates,
            stage=stage,
        )
