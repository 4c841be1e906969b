"""One order with one context, asked about on several days while its form counts."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.bundle_values import Line
from tests.clocks import StillClock
from tests.integration.pas.door import MakeClient
from tests.ledger_values import a_call as a_hook_call
from tests.ledger_values import an_assertion, an_audit
from tests.package_bodies import MBI, Json, a_call, an_order
from wiser_fhir.priorauth.ledger import Ledger

FORM = "epidural-steroid-injection"
# From the form's first day on, in New York; it has no last one.
DAYS = (datetime(2026, 1, 15, 6, tzinfo=UTC), datetime(2026, 6, 1, 15, tzinfo=UTC))
OF_THE_DAY = ("authored", "lastUpdated", "timestamp")


def without_the_day(told: Any) -> Any:
    """An answer without what tells when it was made, and the numbers that each one gets anew."""
    if isinstance(told, list):
        return [without_the_day(each) for each in told if not is_day_of_coverage(each)]
    if not isinstance(told, dict):
        return told
    return {
        key: without_the_day(each)
        for key, each in told.items()
        if key not in OF_THE_DAY and not str(each).startswith("urn:uuid:")
    }


def is_day_of_coverage(part: Any) -> bool:
    """Whether this is the day in a coverage-information."""
    return isinstance(part, dict) and part.get("url") == "date"


@pytest.mark.parametrize("named", [FORM, f"{FORM}-adaptive"])
async def test_the_same_order_and_context_get_the_same_package_on_any_day(
    make_client: MakeClient, app_engine: AsyncEngine, clock: StillClock, line: Line, named: str
) -> None:
    client = await make_client(line, issued_at=DAYS[0], ttl=timedelta(days=365))
    assertion = an_assertion(service=FORM, mbi=MBI, expires_on=None)
    call = a_hook_call(client.client_id)
    organization = client.organization_id
    await Ledger(app_engine).record(organization, call, [assertion], [], an_audit(organization))
    base = {"2.2": "https://wiser-fhir.example/fhir", "2.0": "https://wiser-fhir.example/v2.0/fhir"}
    asked = (f"{base[line]}/Questionnaire/{named}",)
    body = a_call(an_order(), questionnaires=asked, context=assertion.id)
    told: list[Json] = []
    for clock.now in DAYS:
        answer = await client.post("Questionnaire/$questionnaire-package", body)
        assert answer.status_code == 200, answer.text
        told.append(answer.json())
    assert told[0] != told[1]
    assert without_the_day(told[0]) == without_the_day(told[1])
