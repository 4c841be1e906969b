"""`Questionnaire/$questionnaire-package` at the door: who may ask, what comes, what is kept."""

from typing import Any

import orjson
import pytest
from httpx import AsyncClient, Response
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.bundle_values import MEMBERS
from tests.bundles import request_bundle
from tests.integration.pas.door import (
    CARE_UNMET,
    FHIR_JSON,
    MET,
    PATHS,
    Client,
    MakeClient,
    Rows,
    outcome_of,
)
from tests.ledger_values import a_call as a_hook_call
from tests.ledger_values import an_assertion, an_audit
from tests.package_bodies import (
    MBI,
    UNKNOWN,
    Json,
    a_call,
    a_coverage,
    an_order,
    canonical,
)
from wiser_fhir.auth.scopes import ALL_SCOPES
from wiser_fhir.fhir.codes import Line
from wiser_fhir.priorauth.ledger import AssertionRecord, Ledger

PACKAGE = "Questionnaire/$questionnaire-package"
AT_BASE = "$questionnaire-package"
DTR = "http://hl7.org/fhir/us/davinci-dtr/StructureDefinition/"
V = "2026-01-15"
TRACE = "TRN-7"


def bundles(response: Response) -> list[Json]:
    """The packages of an answer."""
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].split(";")[0] == FHIR_JSON
    body = response.json()
    if body["resourceType"] == "Bundle":
        return [body]
    resources = [each["resource"] for each in body.get("parameter", ())]
    return [each for each in resources if each["resourceType"] == "Bundle"]


def forms(response: Response) -> list[str]:
    """The ids of the forms sent, the first entry of each package."""
    return [each["entry"][0]["resource"]["id"] for each in bundles(response)]


def drafts(response: Response) -> list[Json]:
    """The draft responses, the second entry of each package."""
    return [each["entry"][1]["resource"] for each in bundles(response)]


def remarks(response: Response) -> list[tuple[str, str]]:
    """Severity and text of what was remarked in an answer that is none of refusal."""
    assert response.status_code == 200, response.text
    body = response.json()
    if body["resourceType"] == "OperationOutcome":
        outcomes = [body]
    else:
        resources = [each["resource"] for each in body.get("parameter", ())]
        outcomes = [each for each in resources if each["resourceType"] == "OperationOutcome"]
    issues = [issue for outcome in outcomes for issue in outcome["issue"]]
    return [(issue["severity"], issue["details"]["text"]) for issue in issues]


async def asserted(client: Client, engine: AsyncEngine, **changes: Any) -> AssertionRecord:
    """An answer of CRD to the client's organization."""
    assertion = an_assertion(expires_on=None, **changes)
    organization = client.organization_id
    call = a_hook_call(client.client_id)
    await Ledger(engine).record(organization, call, [assertion], [], an_audit(organization))
    return assertion


@pytest.mark.parametrize("path", [PACKAGE, AT_BASE])
async def test_by_order(client: Client, line: Line, path: str, rows: Rows) -> None:
    response = await client.at(line).post(path, a_call(an_order()))
    assert forms(response) == [f"epidural-steroid-injection-{V}"]
    assert remarks(response) == []
    [draft] = drafts(response)
    assert draft["subject"] == {"reference": "Patient/patient-1"}
    assert draft["questionnaire"] == canonical(line, "epidural-steroid-injection", V)
    contexts = [each["valueReference"]["reference"] for each in draft["extension"][:2]]
    assert contexts == ["Coverage/coverage-1", "ServiceRequest/order-1"]
    [row] = await rows.all("select * from audit_event")
    assert (row["action"], row["outcome"]) == ("dtr.package", "sent")
    assert (row["object_kind"], row["object_id"]) == (
        "questionnaire",
        f"epidural-steroid-injection-{V}",
    )
    assert row["detail"] == {
        "form-1": f"epidural-steroid-injection-{V}",
        "by": None,
        "assertion": None,
        "populated": False,
        "line": line,
        "ms": 0,
    }
    assert row["organization_id"] == client.organization_id
    assert row["client_id"] == client.client_id
    assert len(row["patient"]) == 32


async def test_nothing_of_a_call_is_kept(client: Client, line: Line, rows: Rows) -> None:
    await client.at(line).post(PACKAGE, a_call(an_order("15271")))
    assert set((await rows.counts()).values()) == {0}
    [row] = await rows.all("select * from audit_event")
    told = str(dict(row))
    for secret in (MBI, "patient-1", "coverage-1", "order-1", "15271"):
        assert secret not in told


async def test_by_name_static_and_adaptive(client: Client, line: Line) -> None:
    asked = (canonical(line, "skin-substitutes", V), canonical(line, "skin-substitutes-adaptive"))
    response = await client.at(line).post(PACKAGE, a_call(questionnaires=asked))
    assert forms(response) == [f"skin-substitutes-{V}", f"skin-substitutes-adaptive-{V}"]
    static, adaptive = drafts(response)
    assert "contained" not in static
    [inside] = adaptive["contained"]
    assert adaptive["questionnaire"] == f"#{inside['id']}"
    assert inside["derivedFrom"] == [canonical(line, "skin-substitutes-adaptive", V)]


async def test_another_line_s_form_is_none_here(client: Client, line: Line) -> None:
    other: Line = "2.0" if line == "2.2" else "2.2"
    asked = (canonical(other, "skin-substitutes"),)
    [issue] = outcome_of(await client.at(line).post(PACKAGE, a_call(questionnaires=asked)), 422)
    assert issue["code"] == "not-found"
    assert issue["expression"] == ["Parameters.parameter[1].value"]


async def test_unknown_beside_known_is_a_warning(client: Client, line: Line) -> None:
    call = a_call(an_order(), an_order(UNKNOWN, id="b"), questionnaires=("https://x.example/q",))
    response = await client.at(line).post(PACKAGE, call)
    assert forms(response) == [f"epidural-steroid-injection-{V}"]
    assert remarks(response) == [
        ("warning", "The order names no service that WISeR asks about."),
        ("warning", "No form has this address."),
    ]


@pytest.mark.parametrize(
    ("call", "status"),
    [
        (a_call(), 422),
        ({"resourceType": "Parameters"}, 422),
        ({"resourceType": "Bundle", "type": "collection"}, 400),
        (a_call(an_order(status="x y")), 400),
        (a_call(an_order(UNKNOWN)), 422),
        (a_call(context="an-id-nobody-knows"), 422),
        (a_call(an_order(), context="an-id-nobody-knows"), 422),
        (a_call(context="x" * 201), 422),
        (a_call(context="an-id", coverage=a_coverage(subscriberId="", id="c")), 400),
        (b"[]", 400),
        (b"{", 400),
    ],
)
async def test_what_is_refused(
    client: Client, line: Line, call: Json | bytes, status: int, rows: Rows
) -> None:
    response = await client.at(line).post(PACKAGE, call)
    assert outcome_of(response, status)
    actions = [action for action, _ in await rows.audit()]
    assert "dtr.package" not in actions
    assert actions[-1] == "request.refused"


@pytest.mark.parametrize(
    ("changes", "codes"),
    [
        ({"subscriberId": "9XX9XX9XX93"}, ["not-found"]),  # nobody's, in the registry at hand
        ({"subscriberId": "12345"}, ["not-found"]),
        ({"status": "cancelled", "period": {"end": "2026-01-31"}}, ["business-rule"] * 2),
    ],
)
async def test_a_coverage_that_cannot_be_used(
    client: Client, line: Line, changes: Json, codes: list[str], rows: Rows
) -> None:
    call = a_call(an_order(), coverage=a_coverage(**changes))
    issues = outcome_of(await client.at(line).post(PACKAGE, call), 422)
    assert [each["code"] for each in issues] == codes
    assert ("dtr.package", "sent") not in await rows.audit()


@pytest.mark.parametrize(
    ("written", "drafted"),
    [("60.50", b'"valueDecimal":60.50'), ("6e1", b'"valueDecimal":6E+1'), ("6e-200000000", None)],
)
async def test_a_number_is_drafted_as_it_was_written_unless_it_measures_nothing(
    client: Client, line: Line, written: str, drafted: bytes | None
) -> None:
    told = {"esi-repeat": True, "esi-repeat-benefit": 77.75, "esi-repeat-months": 4}
    body = orjson.dumps(request_bundle(line, trace=TRACE, answers={**CARE_UNMET, **told}))
    assert b"77.75" in body
    response = await client.at(line).submit(body.replace(b"77.75", written.encode()))
    assert response.status_code == 200, response.text
    call = a_call(context=TRACE, coverage=a_coverage(subscriberId=MEMBERS[0].mbi))
    response = await client.at(line).post(PACKAGE, call)
    assert bundles(response)
    assert len(response.content) < 2_000_000
    assert (b'"esi-repeat-benefit","answer"' in response.content) is (drafted is not None)
    assert drafted is None or drafted in response.content


async def test_only_who_may_read_forms(
    make_client: MakeClient, stranger: AsyncClient, line: Line
) -> None:
    others = tuple(scope for scope in ALL_SCOPES if "Questionnaire" not in scope)
    unable = await make_client(line, scopes=others)
    outcome_of(await unable.post(PACKAGE, a_call(an_order())), 403)
    able = await make_client(line, scopes=("system/questionnaire.rs",))
    assert forms(await able.post(PACKAGE, a_call(an_order())))
    body = orjson.dumps(a_call(an_order()))
    for path in (PACKAGE, AT_BASE):
        url = f"{PATHS[line]}/{path}"
        outcome_of(await stranger.post(url, content=body), 401)
    outcome_of(await able.get(AT_BASE), 405)


async def test_an_answer_of_crd_as_context(
    client: Client, line: Line, app_engine: AsyncEngine
) -> None:
    assertion = await asserted(client, app_engine, service="skin-substitutes")
    response = await client.at(line).post(PACKAGE, a_call(context=assertion.id))
    assert forms(response) == [f"skin-substitutes-{V}"]
    [draft] = drafts(response)
    contexts = [each["valueReference"]["reference"] for each in draft["extension"][:2]]
    assert contexts == ["Coverage/coverage-1", "ServiceRequest/sr-1"]
    # The order at hand counts, which may have got its id only since.
    call = a_call(an_order("15271"), context=assertion.id)
    [draft] = drafts(await client.at(line).post(PACKAGE, call))
    references = [each.get("valueReference", {}).get("reference") for each in draft["extension"]]
    assert references == ["Coverage/coverage-1", "ServiceRequest/order-1", None]


async def test_an_adaptive_draft_tells_what_crd_said(
    client: Client, line: Line, app_engine: AsyncEngine
) -> None:
    answer = {"covered": "covered", "pa-needed": "auth-needed", "doc-needed": ["clinical"]}
    assertion = await asserted(client, app_engine, service="skin-substitutes", answer=answer)
    asked = (canonical(line, "skin-substitutes-adaptive"),)
    call = a_call(an_order("15271"), context=assertion.id, questionnaires=asked)
    [draft] = drafts(await client.at(line).post(PACKAGE, call))
    [information] = [each for each in draft["extension"] if "coverage-inf" in each["url"]]
    told = {each["url"]: each for each in information["extension"]}
    assert told["coverage-assertion-id"]["valueString"] == assertion.id
    assert told["coverage"]["valueReference"] == {"reference": assertion.coverage}
    # Without CRD before it there is nothing to tell.
    call = a_call(an_order("15271"), questionnaires=asked)
    [draft] = drafts(await client.at(line).post(PACKAGE, call))
    assert not [each for each in draft["extension"] if "coverage-inf" in each["url"]]


async def test_a_context_that_asks_for_nothing(
    client: Client, line: Line, app_engine: AsyncEngine
) -> None:
    assertion = await asserted(client, app_engine, situation="satisfied")
    response = await client.at(line).post(PACKAGE, a_call(context=assertion.id))
    assert bundles(response) == []
    assert remarks(response) == [
        ("information", "A prior authorization for the order is affirmed: no form is needed.")
    ]
    kind = {"2.2": "Parameters", "2.0": "OperationOutcome"}[line]
    assert response.json()["resourceType"] == kind


async def test_whose_context_it_is(
    client: Client, make_client: MakeClient, line: Line, app_engine: AsyncEngine
) -> None:
    assertion = await asserted(client, app_engine)
    call = a_call(context=assertion.id)
    assert forms(await client.at(line).post(PACKAGE, call))
    other = await make_client(line)
    outcome_of(await other.post(PACKAGE, call), 422)
    another_member = a_call(context=assertion.id, coverage=a_coverage(subscriberId="2EG4TE5MK73"))
    [issue] = outcome_of(await client.at(line).post(PACKAGE, another_member), 422)
    assert issue["code"] == "not-found"
    # A Coverage without a number contradicts nothing.
    unnumbered = {k: v for k, v in a_coverage().items() if k != "subscriberId"}
    call = a_call(context=assertion.id, coverage=unnumbered)
    assert forms(await client.at(line).post(PACKAGE, call))


async def a_pended_request(client: Client, line: Line, **fields: Any) -> str:
    """A request that a clinician has to look at; the member's number."""
    body = request_bundle(line, trace=TRACE, **{"answers": CARE_UNMET, **fields})
    response = await client.at(line).submit(body)
    assert response.status_code == 200, response.text
    return MEMBERS[0].mbi


async def test_a_trace_number_as_context(client: Client, line: Line, rows: Rows) -> None:
    mbi = await a_pended_request(client, line)
    coverage = a_coverage(subscriberId=mbi)
    call = a_call(context=TRACE, coverage=coverage)
    response = await client.at(line).post(PACKAGE, call)
    assert forms(response) == [f"epidural-steroid-injection-{V}"]
    [draft] = drafts(response)
    source = {"2.2": "auto-server", "2.0": "auto"}[line]
    origin = {
        "url": f"{DTR}information-origin",
        "extension": [{"url": "source", "valueCode": source}],
    }
    answers = {each["linkId"]: each["answer"] for each in draft["item"] if "answer" in each}
    # Facts, and only those: what the request says of judgements the clinician says anew.
    assert answers["esi-treatments-12m"] == [{"extension": [origin], "valueInteger": 2}]
    assert answers["esi-repeat"] == [{"extension": [origin], "valueBoolean": False}]
    assert answers.keys() <= {"esi-treatments-12m", "esi-repeat", "esi-with-care"}
    actions = await rows.audit()
    assert actions[-2:] == [("claim.trace", "read"), ("dtr.package", "sent")]
    # Our own number of the request leads there too.
    [case] = await rows.cases()
    call = a_call(context=case["reference"], coverage=coverage)
    assert forms(await client.at(line).post(PACKAGE, call))


async def test_the_trace_number_of_a_line_as_context(
    client: Client, make_client: MakeClient, line: Line
) -> None:
    sent = request_bundle(line, trace=TRACE, answers=CARE_UNMET)
    extensions = sent["entry"][0]["resource"]["item"][0]["extension"]
    (number,) = [e for e in extensions if e["url"].endswith("/extension-itemTraceNumber")]
    number["valueIdentifier"]["value"] = "LINE-TRACE-1"
    assert (await client.at(line).submit(sent)).status_code == 200
    call = a_call(context="LINE-TRACE-1", coverage=a_coverage(subscriberId=MEMBERS[0].mbi))
    assert forms(await client.at(line).post(PACKAGE, call)) == [f"epidural-steroid-injection-{V}"]
    outcome_of(await (await make_client(line)).post(PACKAGE, call), 422)
    unknown = a_call(context="LINE-TRACE-2", coverage=a_coverage(subscriberId=MEMBERS[0].mbi))
    outcome_of(await client.at(line).post(PACKAGE, unknown), 422)


async def test_a_large_request_is_read_as_well(client: Client, line: Line) -> None:
    mbi = await a_pended_request(client, line, evidence_text="A long note. " * 8_000)
    call = a_call(context=TRACE, coverage=a_coverage(subscriberId=mbi))
    [draft] = drafts(await client.at(line).post(PACKAGE, call))
    assert [each["linkId"] for each in draft["item"] if "answer" in each]


async def test_whose_trace_number_it_is(
    client: Client, make_client: MakeClient, line: Line
) -> None:
    mbi = await a_pended_request(client, line)
    call = a_call(context=TRACE, coverage=a_coverage(subscriberId=mbi))
    outcome_of(await (await make_client(line)).post(PACKAGE, call), 422)
    for number in ("2EG4TE5MK73", None):
        told = {k: v for k, v in a_coverage(subscriberId=number).items() if v is not None}
        outcome_of(await client.at(line).post(PACKAGE, a_call(context=TRACE, coverage=told)), 422)


async def test_the_trace_number_of_a_closed_request(client: Client, line: Line) -> None:
    mbi = await a_pended_request(client, line, answers=MET)
    call = a_call(context=TRACE, coverage=a_coverage(subscriberId=mbi))
    response = await client.at(line).post(PACKAGE, call)
    assert bundles(response) == []
    [(severity, text)] = remarks(response)
    assert severity == "information"
    assert text.startswith("The request with this number is closed")


async def test_nothing_has_changed(client: Client, line: Line, rows: Rows) -> None:
    call = a_call(an_order(), since="2026-06-01T00:00:00Z")
    response = await client.at(line).post(PACKAGE, call)
    assert bundles(response) == []
    assert remarks(response) == [
        ("information", "Unchanged since the instant given: 1 of the forms.")
    ]
    assert await rows.audit() == [("dtr.package", "none")]


async def test_the_same_call_gets_the_same_package(client: Client, line: Line) -> None:
    call = a_call(an_order("15271"))
    found = []
    for _ in range(2):
        [bundle] = bundles(await client.at(line).post(PACKAGE, call))
        assert bundle["entry"][1].pop("fullUrl").startswith("urn:uuid:")
        found.append(bundle)
    assert found[0] == found[1]


async def test_a_body_beyond_the_ordinary(client: Client, line: Line) -> None:
    long = an_order(note=[{"text": "A note. " * 20_000}])
    response = await client.at(line).post(PACKAGE, a_call(long))
    assert forms(response) == [f"epidural-steroid-injection-{V}"]
