"""What prefetch lacks, read from the EHR with the token of the call.

In rounds, each in parallel, within one budget of time: what comes late is done without. A slow or
broken EHR never makes an answer late and never an error. Source: CRD 2.2.1 §found-5, §found-22,
§found-34.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import quote
from uuid import UUID

from wiser_fhir.crd.chart import Chart, resources_in
from wiser_fhir.crd.hook_request import HookRequest
from wiser_fhir.crd.wanted import COVERAGE, wanted
from wiser_fhir.egress.client import Egress, EgressError, is_within
from wiser_fhir.fhir.elements import Json
from wiser_fhir.intake.references import name_of, read_reference

MOST_FETCHES = 40
MOST_AT_ONCE = 24
"""Of one round, so that a call with many orders leaves some for what these lead to."""
MOST_ROUNDS = 4
BUDGET_SECONDS = 1.5

TokenUse = Literal["used", "not-used", "rejected"]
"""Source: CRD 2.2.1 CRDMetricData, tokenUse."""

_REFUSED = frozenset({401, 403})
_TELLING = frozenset({403, 404, 410})
"""Answers that say what is so: it is not there, or not for us. Anything else is trouble."""


@dataclass(frozen=True, slots=True)
class Gathered:
    """What came of asking.

    `failed` names what could not be had for a technical reason: `Type/id`, or `Coverage` for the
    search. `asked` is False where nothing was asked for, or could be.
    """

    fetched: int = 0
    failed: frozenset[str] = frozenset()
    asked: bool = False
    token_use: TokenUse = "not-used"  # noqa: S105


async def gather(
    request: HookRequest,
    chart: Chart,
    egress: Egress,
    *,
    fhir_servers: Sequence[str],
    tenant: UUID,
    seconds: float = BUDGET_SECONDS,
) -> Gathered:
    """Fetch what a decision lacks into the chart. Never raises, and takes no longer than `seconds`.

    The token goes to no other place than the call's own fhirServer, and only where that lies below
    one of `fhir_servers`, the bases registered for the caller.
    """
    server, token = request.fhir_server, request.access_token
    if server is None or token is None or not any(is_within(server, b) for b in fhir_servers):
        return Gathered()
    round_trip = _Gathering(request, chart, egress, server.rstrip("/"), token, tenant, seconds)
    try:
        async with asyncio.timeout(seconds):
            await round_trip.run()
    except TimeoutError:
        pass  # what is not there by now stays in `failed`
    return round_trip.result()


@dataclass(slots=True)
class _Gathering:
    request: HookRequest
    chart: Chart
    egress: Egress
    base: str
    token: str = field(repr=False)
    tenant: UUID
    seconds: float
    tried: set[str] = field(default_factory=set)
    failed: set[str] = field(default_factory=set)
    fetched: int = 0
    refused: int = 0

    async def run(self) -> None:
        """Round after round, until nothing is lacking that could be had."""
        for _ in range(MOST_ROUNDS):
            lacking = self._lacking()
            now = lacking[: min(MOST_AT_ONCE, MOST_FETCHES - len(self.tried))]
            if not now:
                return
            self.tried.update(name_of(each) for each in now)
            self.failed.update(name_of(each) for each in lacking)
            async with asyncio.TaskGroup() as tasks:
                for reference in now:
                    tasks.create_task(self._fetch(reference))

    def result(self) -> Gathered:
        """What came of it so far."""
        use: TokenUse = "used" if self.fetched else "rejected" if self.refused else "not-used"
        return Gathered(self.fetched, frozenset(self.failed), bool(self.tried), use)

    def _lacking(self) -> list[str]:
        """What is wanted, not yet asked for, and on this server."""
        return [
            reference
            for reference in wanted(self.request, self.chart)
            if name_of(reference) not in self.tried and self._is_here(reference)
        ]

    def _is_here(self, reference: str) -> bool:
        local = read_reference(reference)
        return local is None or local.base is None or is_within(local.base, self.base)

    async def _fetch(self, reference: str) -> None:
        name = name_of(reference)
        try:
            answer = await self.egress.get_json(
                self._url(reference),
                within=(self.base,),
                tenant=self.tenant,
                token=self.token,
                seconds=self.seconds,
            )
        except EgressError as error:
            self.refused += error.status in _REFUSED
            if error.status in _TELLING or error.reason == "refused":
                self.failed.discard(name)
            return
        self.fetched += 1
        self.failed.discard(name)
        self._keep(reference, answer)

    def _url(self, reference: str) -> str:
        if reference == COVERAGE:
            patient = quote(self.request.patient_id, safe="")
            return f"{self.base}/Coverage?patient={patient}&status=active"
        local = read_reference(reference)
        base = local.base if local and local.base else self.base
        return f"{base}/{name_of(reference)}"

    def _keep(self, reference: str, answer: Any) -> None:
        """Into the chart what was asked for, and nothing else the EHR may have answered.

        Source: CRD 2.2.1, Foundation, "Query Notes".
        """
        if reference == COVERAGE:
            for resource, url in resources_in(answer if _is_bundle(answer) else None):
                if resource.get("resourceType") == "Coverage":
                    self.chart.add(resource, url)
        elif f"{answer.get('resourceType')}/{answer.get('id')}" == name_of(reference):
            self.chart.add(answer, self._url(reference))


def _is_bundle(answer: Json) -> bool:
    return answer.get("resourceType") == "Bundle"
