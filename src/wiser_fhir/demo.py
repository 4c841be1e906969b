"""The journey a stranger sees first: an order and three requests to a real server, and the rows."""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from threading import Timer
from typing import Any

import httpx
from sqlalchemy import text

from wiser_fhir.clock import business_date, utc_now
from wiser_fhir.db.engine import enter, transaction
from wiser_fhir.deployment.database import opened
from wiser_fhir.resources import resource_path
from wiser_fhir.settings import Settings

_CLIENT = "sandbox-ehr"
_START_SECONDS = 60
_FHIR_JSON = {"Content-Type": "application/fhir+json", "Accept": "application/fhir+json"}
_REVIEW_ACTION = "http://hl7.org/fhir/us/davinci-pas/StructureDefinition/extension-reviewAction"
_MILLISECONDS = 1000
_SERVICE_DATE = date(2027, 1, 12)  # in the examples
_VALID_DAYS = 120

_SENDER = "select organization_id from client where name = :client"
_ROWS = """
select c.received_at::timestamp(0) as received, c.status, coalesce(u.utn, '-') as utn,
    coalesce(c.valid_until::text, '-') as last_valid_day, i.code, i.status as item,
    (select count(*) from message m where m.case_id = c.id) as messages,
    (select count(*) from audit_event a where a.object_id = c.id::text
        and a.action = 'claim.submit' and a.outcome = c.status) as audit_rows
from prior_auth_case c
join case_item i on i.organization_id = c.organization_id and i.case_id = c.id
left join utn u on u.organization_id = c.organization_id and u.case_id = c.id
where c.id = any(cast(:ids as uuid[]))
order by c.received_at, i.sequence
"""


class DemoFailed(Exception):
    """Something did not come out as it must. The text says what."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, and how long it took in milliseconds."""

    status: int
    body: Any
    raw: bytes
    ms: float

    @property
    def claim_response(self) -> dict[str, Any]:
        """The ClaimResponse of a response Bundle."""
        found: dict[str, Any] = self.body["entry"][0]["resource"]
        return found


def run(settings: Settings) -> int:
    """Play the journey, print it, and say by 0 or 1 whether all of it came out right."""
    try:
        _journey(settings)
    except DemoFailed as failed:
        print(f"\nThe demo failed: {failed}", file=sys.stderr)
        return 1
    return 0


def _journey(settings: Settings) -> None:
    print("Starting a sandbox server with its own Postgres ...", flush=True)
    started = time.perf_counter()
    with _server() as url, httpx.Client(base_url=url, timeout=30) as client:
        print(f"  ready at {url} after {time.perf_counter() - started:.1f} s\n")
        client.headers["Authorization"] = f"Bearer {_token()}"
        _form(client, _ordered(client, url))
        affirmed = _affirmed(client)
        pended = _pended(client)
        _broken(client)
        _again(client, affirmed)
        _asked(client, pended)
        asyncio.run(_show_rows(settings, [affirmed, pended]))
        _next_steps()


def _ordered(client: httpx.Client, url: str) -> dict[str, Any]:
    """Ask about an order. What DTR is to be asked with: coverage, order and our answer's id."""
    print("1. While the order is being signed, the EHR asks: POST /cds-services/order-sign-crd")
    service = "/cds-services/order-sign-crd"
    body = _for_today(resource_path("examples/cds/order-sign-2.2.json").read_bytes())
    headers = {"Authorization": f"Bearer {_printed('cds-token', url + service)}"}
    headers["Content-Type"] = "application/json"
    answer = _timed(lambda: client.post(service, content=body, headers=headers))
    _expect(answer.status == httpx.codes.OK, f"HTTP 200 expected, {answer.status} found")
    [action] = answer.body["systemActions"]
    told = {part["url"]: part for part in action["resource"]["extension"][-1]["extension"]}
    _expect(told["pa-needed"]["valueCode"] == "auth-needed", "pa-needed auth-needed expected")
    covered, form = told["covered"]["valueCode"], told["questionnaire"]["valueCanonical"]
    _say(answer, f"{covered}, pa-needed auth-needed, doc-needed clinical")
    print(f"   the form: {form}")
    for card in answer.body["cards"]:
        print(f"   card: {card['summary']}")
    print()
    held = json.loads(body)["prefetch"].values()
    whole = [entry["resource"] for each in held for entry in each.get("entry", ())]
    coverage = next(e for e in (*held, *whole) if e["resourceType"] == "Coverage")
    return _parameters(
        {"name": "coverage", "resource": coverage},
        {"name": "order", "resource": action["resource"]},
        {"name": "context", "valueString": told["coverage-assertion-id"]["valueString"]},
    )


def _parameters(*given: dict[str, Any]) -> dict[str, Any]:
    return {"resourceType": "Parameters", "parameter": list(given)}


def _form(client: httpx.Client, asked: dict[str, Any]) -> None:
    print("2. The form, with all it needs: POST /fhir/Questionnaire/$questionnaire-package")
    path = "/fhir/Questionnaire/$questionnaire-package"
    answer = _timed(lambda: client.post(path, content=json.dumps(asked), headers=_FHIR_JSON))
    _expect(answer.status == httpx.codes.OK, f"HTTP 200 expected, {answer.status} found")
    [package] = answer.body["parameter"]
    resources = [entry["resource"] for entry in package["resource"]["entry"]]
    questions = [item for item in resources[0]["item"] if item["type"] != "display"]
    by_chart = [item for item in questions if any(map(_fills, item.get("extension", ())))]
    kinds = Counter(resource["resourceType"] for resource in resources)
    _say(answer, f"{resources[0]['title']}, {len(answer.raw) // 1024} KB")
    print(
        f"   {len(questions)} questions; the chart can fill {len(by_chart)}, the clinician the rest"
    )
    print(f"   with it: {', '.join(f'{n} {kind}' for kind, n in kinds.items())}\n")
    _expect(bool(by_chart), "questions that the chart fills expected")


def _fills(extension: dict[str, Any]) -> bool:
    return str(extension["url"]).endswith("sdc-questionnaire-initialExpression")


def _affirmed(client: httpx.Client) -> Answer:
    print("3. An epidural injection, every criterion met: POST /fhir/Claim/$submit")
    answer = _post(client, "/fhir/Claim/$submit", "examples/2.2/epidural-affirmed.json")
    _expect(answer.status == httpx.codes.OK, f"HTTP 200 expected, {answer.status} found")
    response = answer.claim_response
    _expect(_actions(response) == ["A1"], "review action A1 expected on its only item")
    _expect("preAuthRef" in response, "a UTN expected in preAuthRef")
    _say(answer, response["disposition"])
    print(f"   UTN {response['preAuthRef']}, review action A1")
    period = response["preAuthPeriod"]
    print(f"   valid from {period['start']} to {period['end']}, both days included (120 days)\n")
    return answer


def _pended(client: httpx.Client) -> Answer:
    print(
        "4. The same service, one criterion unmet: pended for a clinician, never denied by software"
    )
    answer = _post(client, "/fhir/Claim/$submit", "examples/2.2/epidural-criterion-unmet.json")
    _expect(answer.status == httpx.codes.OK, f"HTTP 200 expected, {answer.status} found")
    response = answer.claim_response
    _expect(_actions(response) == ["A4"], "review action A4 expected on its only item")
    _expect("preAuthRef" not in response, "no UTN expected yet")
    _expect(bool(response.get("processNote")), "the unmet criterion expected in a note")
    _say(answer, response["disposition"])
    for note in response["processNote"]:
        print(f"   - {note['text']}")
    print(f"   our reference number: {_reference(response)}\n")
    return answer


def _broken(client: httpx.Client) -> None:
    print("5. A broken request: one OperationOutcome that names every problem")
    answer = _post(client, "/fhir/Claim/$submit", "examples/2.2/epidural-broken.json")
    _expect(answer.status in (400, 422), f"HTTP 400 or 422 expected, {answer.status} found")
    issues = answer.body["issue"]
    _expect(len(issues) > 1, "more than one issue expected")
    _say(answer, f"{len(issues)} issues")
    for issue in issues:
        where = ", ".join(issue.get("expression", ()))
        print(f"   - {issue['severity']} {issue['code']}: {where}\n     {issue['details']['text']}")
    print()


def _again(client: httpx.Client, first: Answer) -> None:
    print("6. The first request once more, as after a lost answer: the same bytes come back")
    answer = _post(client, "/fhir/Claim/$submit", "examples/2.2/epidural-affirmed.json")
    _expect(answer.raw == first.raw, "the same bytes as before expected")
    _say(answer, "byte for byte the same answer, no second case\n")


def _asked(client: httpx.Client, pended: Answer) -> None:
    print("7. How does the pended one stand? GET /fhir/ClaimResponse/{id}")
    answer = _get(client, f"/fhir/ClaimResponse/{pended.claim_response['id']}")
    _expect(answer.status == httpx.codes.OK, f"HTTP 200 expected, {answer.status} found")
    _expect(_actions(answer.body) == ["A4"], "review action A4 expected")
    _say(answer, answer.body["disposition"] + "\n")


async def _show_rows(settings: Settings, answers: list[Answer]) -> None:
    ids = [answer.claim_response["id"] for answer in answers]
    async with opened(settings) as database:
        engine = database.owner_engine() or database.engine(pool_size=1)
        try:
            async with transaction(engine) as connection:
                sender = await connection.scalar(text(_SENDER), {"client": _CLIENT})
                await enter(connection, sender)
                rows = (await connection.execute(text(_ROWS), {"ids": ids})).mappings().all()
        finally:
            await engine.dispose()
    _expect(len(rows) == len(ids), f"{len(ids)} rows expected in Postgres, {len(rows)} found")
    print("What Postgres holds of it:")
    _print_table([dict(row) for row in rows])


def _print_table(rows: list[dict[str, Any]]) -> None:
    names = list(rows[0])
    lines = [names, *[[str(row[name]) for name in names] for row in rows]]
    widths = [max(len(line[column]) for line in lines) for column in range(len(names))]
    for line in lines:
        print(
            "   " + "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        )


def _next_steps() -> None:
    print(
        "\nAll of it came out right. What to try next:\n"
        "   make serve      a sandbox that stays; README.md has a request for curl\n"
        "   make token      a token for it\n"
        "   edit a copy of examples/2.2/epidural-affirmed.json, with a new Bundle.identifier\n"
        "   .venv/bin/wiser-fhir coverage check      what WISeR asks, as a table\n"
        "   make test       the tests"
    )


@contextmanager
def _server() -> Iterator[str]:
    """A `wiser-fhir serve` of its own on a free port, stopped at the end. Yields its address."""
    command = [sys.executable, "-m", "wiser_fhir.cli", "serve", "--port", "0"]
    quiet = {**os.environ, "WISER_LOG_LEVEL": os.environ.get("WISER_LOG_LEVEL", "error")}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=quiet) as process:
        late = Timer(_START_SECONDS, process.terminate)
        late.start()
        try:
            yield _address(process)
        finally:
            late.cancel()
            process.terminate()
            if process.stdout is not None:
                process.stdout.read()
            process.wait(timeout=30)


def _address(process: "subprocess.Popen[str]") -> str:
    for line in process.stdout or ():
        if line.startswith("ready "):
            return line.split()[1]
    raise DemoFailed("the server did not start; its message stands above")


def _token() -> str:
    return _printed("token", "--ttl", "1h")


def _printed(kind: str, *rest: str) -> str:
    command = [sys.executable, "-m", "wiser_fhir.cli", kind, "--client", _CLIENT, *rest]
    printed = subprocess.run(command, capture_output=True, text=True, check=False)
    if printed.returncode != 0:
        raise DemoFailed(f"no token: {printed.stderr.strip()}")
    return printed.stdout.split()[-1]


def _post(client: httpx.Client, path: str, example: str) -> Answer:
    body = _for_today(resource_path(example).read_bytes())
    return _timed(lambda: client.post(path, content=body, headers=_FHIR_JSON))


def _for_today(body: bytes) -> bytes:
    """The example as it stands, while its date of service lies in the days it can be affirmed for.

    Later, a copy for the middle of next month, under an identifier of that month.
    """
    today = business_date(utc_now())
    if today <= _SERVICE_DATE < today + timedelta(days=_VALID_DAYS):
        return body
    later = (today.replace(day=1) + timedelta(days=31)).replace(day=15).isoformat()
    example = json.loads(body)
    if "identifier" in example:
        identifier = example["identifier"]
        identifier["value"] = f"{identifier['value']}-{later}"
    text = json.dumps(example, ensure_ascii=False)
    return text.replace(_SERVICE_DATE.isoformat(), later).encode()


def _get(client: httpx.Client, path: str) -> Answer:
    return _timed(lambda: client.get(path, headers=_FHIR_JSON))


def _timed(send: Any) -> Answer:
    started = time.perf_counter()
    try:
        response: httpx.Response = send()
    except httpx.HTTPError as error:
        raise DemoFailed(f"the server did not answer: {error!r}") from error
    ms = (time.perf_counter() - started) * _MILLISECONDS
    if response.status_code == httpx.codes.CONFLICT:
        raise DemoFailed(
            "this Bundle.identifier was used before with other bytes; empty the sandbox first:"
            " .venv/bin/wiser-fhir sandbox reset"
        )
    try:
        body = json.loads(response.content)
    except ValueError:
        raise DemoFailed(f"HTTP {response.status_code} without JSON") from None
    return Answer(response.status_code, body, response.content, ms)


def _actions(claim_response: dict[str, Any]) -> list[str]:
    return [
        part["valueCodeableConcept"]["coding"][0]["code"]
        for item in claim_response.get("item", ())
        for adjudication in item["adjudication"]
        for action in adjudication["extension"]
        if action["url"] == _REVIEW_ACTION
        for part in action["extension"]
        if "valueCodeableConcept" in part
    ]


def _reference(claim_response: dict[str, Any]) -> str:
    return next(
        str(extension["valueString"])
        for item in claim_response["item"]
        for extension in item["extension"]
        if extension["url"].endswith("administrationReferenceNumber")
    )


def _say(answer: Answer, words: str) -> None:
    print(f"   HTTP {answer.status} in {answer.ms:.0f} ms: {words}")


def _expect(held: bool, otherwise: str) -> None:
    if not held:
        raise DemoFailed(otherwise)
