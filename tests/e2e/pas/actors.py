"""Who takes part in a journey over sockets: provider, clinician, contractor and operator.

Each has a token of its own and asks the server as its program would.
"""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import httpx
import orjson

from tests.bundles import Json, Line, inquiry_bundle
from tests.e2e.program import printed
from tests.subscriptions import a_subscription
from wiser_fhir.auth import people, tokens
from wiser_fhir.db.embedded import Urls
from wiser_fhir.db.engine import create_engine, transaction

PATHS: Mapping[Line, str] = {"2.2": "/fhir", "2.0": "/v2.0/fhir"}
FHIR_JSON = "application/fhir+json"
JSON = "application/json"


async def issued(database: Urls, at: datetime) -> tuple[str, str, str]:
    """Tokens of the sandbox's EHR, clinician and contractor that outlive every number."""
    life = timedelta(days=400)
    engine = create_engine(database.app, pool_size=1)
    try:
        async with transaction(engine) as db:
            ehr = await tokens.issue(db, "sandbox-ehr", (), life, at)
            clinician = await people.issue_person_token(db, "Rhoda Reviewer", life, at)
            contractor = await tokens.issue(db, "sandbox-mac", (), life, at)
    finally:
        await engine.dispose()
    return ehr.token, clinician.token, contractor.token


@dataclass(frozen=True)
class Commands:
    """An operator at the command line."""

    environment: Mapping[str, str]

    def run(self, *arguments: str) -> str:
        """What a command prints."""
        return printed(self.environment, *arguments)

    def register(self, first: str, last: str) -> list[dict[str, str]]:
        """The register of tracking numbers ordered on these days."""
        printed = self.run("utn", "register", "--from", first, "--to", last)
        return list(csv.DictReader(printed.splitlines()))


@dataclass(frozen=True)
class Asks:
    """Somebody with a token."""

    http: httpx.Client
    token: str

    def get(self, path: str) -> Json:
        """What is at a path."""
        return _read(self.http.get(path, headers=self._headers(JSON)), 200)

    def send(
        self, method: str, path: str, body: object, kind: str = JSON, status: int = 200
    ) -> Json:
        """What answers a body."""
        headers, content = self._headers(kind), orjson.dumps(body)
        return _read(self.http.request(method, path, content=content, headers=headers), status)

    def _headers(self, kind: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}", "Content-Type": kind}


@dataclass(frozen=True)
class Provider(Asks):
    """The EHR of those who ask."""

    def subscribe(self, line: Line, origin: str) -> str:
        """The id of a new subscription, told at a path that names the line."""
        body = a_subscription(line, f"{origin}/told?line={line}")
        found = self.send("POST", f"{PATHS[line]}/Subscription", body, FHIR_JSON, 201)
        return str(found["id"])

    def hears(self, line: Line, subscription_id: str) -> bool:
        """Whether the handshake of a subscription was answered."""
        found = self.get(f"{PATHS[line]}/Subscription/{subscription_id}")
        return bool(found["status"] == "active")

    def submit(self, line: Line, bundle: Json) -> Json:
        """The answer to a request."""
        return self.send("POST", f"{PATHS[line]}/Claim/$submit", bundle, FHIR_JSON)

    def attach(self, line: Line, call: Json) -> str:
        """What is said of attachments."""
        said = self.send("POST", f"{PATHS[line]}/$submit-attachment", call, FHIR_JSON)
        return " ".join(issue["details"]["text"] for issue in said["issue"])

    def inquire(self, line: Line, utn: str) -> Json:
        """The one ClaimResponse that is found by a tracking number."""
        bundle = inquiry_bundle(line, utn=utn)
        answer = self.send("POST", f"{PATHS[line]}/Claim/$inquire", bundle, FHIR_JSON)
        [found] = of_kind(answer, "ClaimResponse")
        return found


@dataclass(frozen=True)
class Clinician(Asks):
    """Somebody with a licence, at the review door."""

    def queue(self) -> list[str]:
        """The cases that wait."""
        return [case["id"] for case in self.get("/review/cases")["cases"]]

    def case(self, case_id: str) -> Json:
        """All there is to see of a case."""
        return self.get(f"/review/cases/{case_id}")

    def ask_for_document(self, case_id: str, code: str) -> Json:
        """The case, once a document is asked for by its LOINC code."""
        asked = [{"kind": "documents", "wanted": [{"code": code, "lines": [1]}]}]
        body = {"revision": 1, "requests": asked}
        return self.send("POST", f"/review/cases/{case_id}/requests", body)

    def determine(self, case_id: str, *items: Json) -> Json:
        """The case, once it is decided."""
        body = {"revision": 1, "items": items}
        return self.send("PUT", f"/review/cases/{case_id}/determination", body)


@dataclass(frozen=True)
class Contractor(Asks):
    """A Medicare administrative contractor that asks about claims."""

    def check(self, utn: str, code: str, day: str) -> str:
        """What is said of one unit of a code on a day."""
        claim = {
            "mbi": "1EG4TE5MK73",
            "provider_npi": "1999990207",
            "place_of_service": "11",
            "state": "TX",
            "utn": utn,
            "lines": [{"line": 1, "code": code, "units": 1, "service_date": day}],
        }
        [line] = self.send("POST", "/claims/check", claim)["lines"]
        assert line["covered"] == (line["status"] == "covered")
        return str(line["status"])


def of_kind(answer: Json, kind: str) -> list[Json]:
    """The resources of a kind in a Bundle, or in the Bundles of Parameters."""
    held = [*answer.get("entry", ()), *answer.get("parameter", ())]
    inside = [each["resource"] for each in held if "resource" in each]
    own = [each for each in inside if each["resourceType"] == kind]
    return own + [found for each in inside for found in of_kind(each, kind)]


def _read(answer: httpx.Response, status: int) -> Json:
    assert answer.status_code == status, answer.text
    found: Json = answer.json()
    return found
