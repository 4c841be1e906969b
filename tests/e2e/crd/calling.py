"""An EHR's side of CDS Hooks, for tests: it makes its JWT, calls a hook, and reads the answer."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx

from tests.bundle_values import Json, Line
from tests.e2e.crd.fake_ehr import ENCOUNTER, ORDER, PATIENT, holdings
from tests.e2e.serving import Running
from wiser_fhir import exact
from wiser_fhir.fhir.codes import COVERAGE_INFORMATION
from wiser_fhir.sandbox.ehr import cds_token

ISSUER = "https://ehr.sandbox.example"
LIMIT = timedelta(seconds=5)
"""Within which a hook has to be answered. Source: CRD 2.2.1 §found-34."""


@dataclass(frozen=True, slots=True)
class Caller:
    """The sandbox's EHR towards one server, by the private key that the server made for it.

    `services` are the ids of the server's services by hook, as its discovery names them.
    """

    url: str
    key: bytes = field(repr=False)
    services: Mapping[str, str]

    @classmethod
    def of(cls, server: Running, environment: Mapping[str, str]) -> "Caller":
        """Towards a server that runs in this environment."""
        folder = Path(environment["WISER_DATA_DIR"])
        found = httpx.get(f"{server.url}/cds-services").json()["services"]
        services = {service["hook"]: service["id"] for service in found}
        return cls(server.url, (folder / "sandbox-ehr.key").read_bytes(), services)

    def service(self, hook: str) -> str:
        """The URL of a hook's service."""
        return f"{self.url}/cds-services/{self.services[hook]}"

    def jwt(self, hook: str) -> str:
        """A new JWT for a hook's service."""
        return cds_token(self.key, ISSUER, self.service(hook), datetime.now(UTC))

    def call(self, body: Json, jwt: str | None = None) -> httpx.Response:
        """Call the hook that the body is of."""
        hook: str = body["hook"]
        return self._post(self.service(hook), body, jwt or self.jwt(hook))

    def feedback(self, hook: str, *entries: Json) -> httpx.Response:
        """Say what became of cards."""
        return self._post(
            f"{self.service(hook)}/feedback", {"feedback": list(entries)}, self.jwt(hook)
        )

    def _post(self, url: str, body: Json, jwt: str) -> httpx.Response:
        headers = {"Authorization": f"Bearer {jwt}", "Content-Type": "application/json"}
        return httpx.post(url, content=exact.dumps(body), headers=headers, timeout=30)


def order_dispatch(server: str, token: str, line: Line = "2.2") -> Json:
    """A dispatch of the EHR's order with nothing in prefetch, as each line says it."""
    told = {"order": ORDER} if line == "2.0" else {"dispatchedOrders": [ORDER]}
    context = {"patientId": PATIENT, "performer": "Practitioner/practitioner", **told}
    return _hook("order-dispatch", server, token, line, context)


def order_sign(
    server: str,
    token: str,
    line: Line = "2.2",
    *,
    order: Json | None = None,
    without: tuple[str, ...] = (),
) -> Json:
    """The EHR's order as a draft, with all but some types of resource in prefetch."""
    held = holdings()
    drafts = {"resourceType": "Bundle", "type": "collection"}
    context = {
        "userId": "Practitioner/practitioner",
        "patientId": PATIENT,
        "encounterId": ENCOUNTER,
        "draftOrders": {**drafts, "entry": [{"resource": order or _draft()}]},
    }
    prefetch = {
        name.replace("/", "-"): each
        for name, each in held.items()
        if name != ORDER and each["resourceType"] not in without
    }
    return _hook("order-sign", server, token, line, context) | {"prefetch": prefetch}


def _draft() -> Json:
    performer = {"reference": "Practitioner/practitioner"}
    return holdings()[ORDER] | {"performer": [performer]}


def _hook(hook: str, server: str, token: str, line: Line, context: Json) -> Json:
    return {
        "hook": hook,
        "hookInstance": str(uuid4()),
        "fhirServer": server,
        "fhirAuthorization": {
            "access_token": token,
            "token_type": "Bearer",
            "expires_in": 300,
            "scope": "patient/*.rs",
            "subject": "wiser-fhir",
        },
        "extension": {"davinci-crd.requestedVersion": line},
        "context": context,
    }


def answer(response: httpx.Response) -> Json:
    """A good answer that came in time."""
    assert response.status_code == httpx.codes.OK, response.text
    assert response.elapsed < LIMIT
    found: Json = exact.loads(response.content)
    return found


def informed(told: Json) -> Json:
    """The one resource that an answer sends back."""
    [action] = told["systemActions"]
    found: Json = action["resource"]
    return found


def said(resource: Json, part: str) -> list[Any]:
    """The values of one part of a resource's coverage-information."""
    [information] = [e for e in resource["extension"] if e["url"] == COVERAGE_INFORMATION]
    found = [each for each in information["extension"] if each["url"] == part]
    return [value for each in found for key, value in each.items() if key != "url"]
