"""Questionnaire/$log-questionnaire-errors over HTTP, and what is kept and listed of it."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from httpx import Response
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.bundles import Json, Line
from tests.clocks import StillClock
from tests.integration.pas.door import NOW, Client, MakeClient, Rows
from wiser_fhir.audit.recorder import AuditRow
from wiser_fhir.auth.principal import Principal
from wiser_fhir.dtr import error_log
from wiser_fhir.dtr.error_listing import grouped, listing, sightings
from wiser_fhir.dtr.error_log import ErrorLog, Kept
from wiser_fhir.dtr.error_report import ReportedIssue
from wiser_fhir.priorauth.numbers import time_ordered_uuid

TYPE_LEVEL = "Questionnaire/$log-questionnaire-errors"
BASES: dict[Line, str] = {
    "2.2": "https://wiser-fhir.example/fhir/Questionnaire/",
    "2.0": "https://wiser-fhir.example/v2.0/fhir/Questionnaire/",
}
ISSUE = {
    "severity": "error",
    "code": "exception",
    "diagnostics": "esi-purpose of Canarybird, born 1950-01-01: WiserChart failed",
    "expression": ["Questionnaire.item.where(linkId='esi-purpose').initial"],
}
COLUMNS = (
    "select line, form, version, severity, code, paths, details, mentions, reported_on"
    " from questionnaire_error order by form, severity, at"
)


def report(
    line: Line,
    *issues: dict[str, Any],
    forms: Sequence[str] = ("epidural-steroid-injection|2026-01-15",),
    name: str = "operationOutcome",
) -> Json:
    outcome = {"resourceType": "OperationOutcome", "issue": [*(issues or (ISSUE,))]}
    named = [
        {"name": "questionnaire", "valueCanonical": form if "//" in form else BASES[line] + form}
        for form in forms
    ]
    return {
        "resourceType": "Parameters",
        "parameter": [*named, {"name": name, "resource": outcome}],
    }


def said(response: Response) -> str:
    assert response.status_code == 200, response.text
    outcome = response.json()
    assert outcome["resourceType"] == "OperationOutcome"
    [issue] = outcome["issue"]
    assert issue["severity"] == "information"
    text: str = issue["details"]["text"]
    return text


@pytest.mark.parametrize("path", [TYPE_LEVEL, "$log-questionnaire-errors"])
@pytest.mark.parametrize("name", ["operationOutcome", "outcome"])
async def test_a_report_is_kept_in_words_that_cannot_tell_of_a_patient(
    client: Client, line: Line, rows: Rows, path: str, name: str
) -> None:
    assert "is kept" in said(await client.at(line).post(path, report(line, name=name)))
    assert await rows.all(COLUMNS) == [
        {
            "line": line,
            "form": "epidural-steroid-injection",
            "version": "2026-01-15",
            "severity": "error",
            "code": "exception",
            "paths": ["Questionnaire.item.initial"],
            "details": [],
            "mentions": ["WiserChart", "esi-purpose"],
            "reported_on": date(2026, 11, 20),
        }
    ]
    [row] = await rows.all("select organization_id, client_id, at from questionnaire_error")
    assert row == {
        "organization_id": client.organization_id,
        "client_id": client.client_id,
        "at": NOW,
    }


async def test_nothing_of_the_text_is_anywhere_in_the_database(client: Client, rows: Rows) -> None:
    issue = {
        **ISSUE,
        "expression": ["Canarybird"],
        "details": {"text": "Canarybird", "coding": [{"system": "x", "code": "Canarybird"}]},
    }
    forms = ("https://ehr.example/Questionnaire/Canarybird", "skin-substitutes|Canarybird")
    said(await client.post(TYPE_LEVEL, report("2.2", issue, forms=forms)))
    kept = await rows.all("select to_jsonb(e)::text as text from questionnaire_error e")
    kept += await rows.all("select to_jsonb(a)::text as text from audit_event a")
    kept += await rows.all("select to_jsonb(m)::text as text from message m")
    assert len(kept) == 3
    assert "canarybird" not in str(kept).lower()
    assert "1950" not in str(kept)
    assert [(row["form"], row["version"]) for row in await rows.all(COLUMNS)] == [
        ("skin-substitutes", None),
        (None, None),
    ]


async def test_a_report_is_audited_with_its_size(client: Client, rows: Rows) -> None:
    await client.post(TYPE_LEVEL, report("2.2"))
    await client.post(TYPE_LEVEL, report("2.2"))
    found = await rows.all("select action, outcome, detail from audit_event order by id")
    detail = {"line": "2.2", "forms": 1, "issues": 1}
    assert found == [
        {"action": "dtr.form-error", "outcome": "kept", "detail": detail},
        {"action": "dtr.form-error", "outcome": "repeated", "detail": detail},
    ]


async def test_the_same_is_kept_once_a_day_and_organization(
    make_client: MakeClient, rows: Rows, clock: StillClock
) -> None:
    one, other = await make_client(ttl=timedelta(days=2)), await make_client()
    assert "is kept" in said(await one.post(TYPE_LEVEL, report("2.2")))
    told_otherwise = {**ISSUE, "diagnostics": "WiserChart: esi-purpose, once more"}
    assert "before today" in said(await one.post(TYPE_LEVEL, report("2.2", told_otherwise)))
    assert "is kept" in said(await one.at("2.0").post(TYPE_LEVEL, report("2.0")))
    assert "is kept" in said(await other.post(TYPE_LEVEL, report("2.2")))
    clock.now = NOW + timedelta(days=1)
    assert "is kept" in said(await one.post(TYPE_LEVEL, report("2.2")))
    assert len(await rows.all(COLUMNS)) == 4


@pytest.mark.parametrize(
    ("body", "status", "expected"),
    [
        ({"resourceType": "Parameters"}, 400, ["required", "required"]),
        ({"resourceType": "OperationOutcome", "issue": []}, 400, ["structure"]),
        (report("2.2", {"severity": "x", "code": "y"}), 400, ["code-invalid", "code-invalid"]),
        (report("2.2", {}, forms=["a" * 3_000 + "//"]), 400, ["too-long"] + ["code-invalid"] * 2),
        (report("2.2", forms=["wounds"] * 21), 413, ["too-long"]),
        (report("2.2", *[ISSUE] * 101), 413, ["too-long"]),
        (report("2.2", {**ISSUE, "diagnostics": "a" * 300_000}), 413, ["too-long"]),
    ],
)
async def test_what_is_no_report_is_refused_with_all_that_is_wrong(
    client: Client, rows: Rows, body: Json, status: int, expected: list[str]
) -> None:
    for path in (TYPE_LEVEL, "$log-questionnaire-errors"):
        response = await client.post(path, body)
        assert response.status_code == status, response.text
        assert [each["code"] for each in response.json()["issue"]] == expected
    assert await rows.all(COLUMNS) == []


async def test_the_widest_report_is_kept(client: Client, rows: Rows) -> None:
    slugs = [
        "cervical-fusion", "electrical-nerve-stimulators", "epidural-steroid-injection",
        "hypoglossal-nerve-stimulation", "incontinence-control-devices", "knee-arthroscopy-oa",
        "induced-lesions-nerve-tracts", "penile-prosthesis", "phrenic-nerve-stimulator",
        "percutaneous-vertebral-augmentation", "sacral-nerve-stimulation", "skin-substitutes",
        "vagus-nerve-stimulation",
    ]  # fmt: skip
    longest = [
        "DocumentReference" + ".valueCodeableConcept" * 8 + last
        for last in (".valueCodeableConcept", ".modifierExtension", ".dataRequirement", ".answer")
    ]
    issues = [
        {"severity": severity, "code": "value", "expression": [*longest, "Library" + ".data" * n]}
        for n in range(9)
        for severity in ("fatal", "error", "warning", "information")
    ]
    said(await client.post(TYPE_LEVEL, report("2.2", *issues, forms=slugs)))
    assert len(await rows.all(COLUMNS)) == 13 * 36


async def test_who_reports_too_much_is_told_and_not_kept(
    client: Client, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(error_log, "MOST_A_DAY", 1)
    said(await client.post(TYPE_LEVEL, report("2.2")))
    more = report("2.2", {**ISSUE, "code": "timeout"})
    assert "Too much" in said(await client.post(TYPE_LEVEL, more))
    assert len(await rows.all(COLUMNS)) == 1
    assert ("dtr.form-error", "full") in await rows.audit()


async def test_reports_at_the_same_time_wait_for_each_other_and_keep_the_limit(
    client: Client, rows: Rows, app_engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(error_log, "MOST_A_DAY", 250)
    caller = Principal(client.client_id, "x", client.organization_id, {}, None)
    audit = AuditRow(time_ordered_uuid(), "dtr.form-error", "kept", client.organization_id)
    issues = [
        ReportedIssue(f"form-{n}", None, "error", "value", ("Library.data",), (), ())
        for n in range(300)
    ]

    async def keep(turn: int) -> Kept:
        told = issues[turn * 10 :][:200] if turn % 2 else issues[turn * 10 :][:200][::-1]
        own = replace(audit, request_id=time_ordered_uuid())
        return await ErrorLog(app_engine).keep(caller, "2.2", told, NOW, own)

    kept = await asyncio.gather(*map(keep, range(8)))
    assert Kept.FULL in kept
    assert len(await rows.all(COLUMNS)) == 250


async def test_reporting_needs_the_scope_of_questionnaires(
    make_client: MakeClient, line: Line
) -> None:
    without = await make_client(line, scopes=("system/ValueSet.rs", "system/Library.rs"))
    for path in (TYPE_LEVEL, "$log-questionnaire-errors"):
        assert (await without.post(path, report(line))).status_code == 403


async def test_a_report_and_its_audit_row_are_kept_together_or_not_at_all(
    client: Client, rows: Rows, app_engine: AsyncEngine
) -> None:
    caller = Principal(client.client_id, "x", client.organization_id, {}, None)
    issue = ReportedIssue("wounds", None, "error", "value", ("Jane Doe",), (), ())
    audit = AuditRow(time_ordered_uuid(), "dtr.form-error", "kept", client.organization_id)
    with pytest.raises(Exception, match="ck_questionnaire_error_paths"):
        await ErrorLog(app_engine).keep(caller, "2.2", [issue], NOW, audit)
    assert await rows.all(COLUMNS) == []
    assert await rows.audit() == []
    assert await ErrorLog(app_engine).keep(caller, "2.2", [], NOW, audit) is Kept.REPEATED


async def test_the_listing_puts_the_same_together_newest_first(
    make_client: MakeClient, owner_engine: AsyncEngine, clock: StillClock
) -> None:
    one, other = await make_client(ttl=timedelta(days=3)), await make_client(ttl=timedelta(days=3))
    for client in (one, other):
        await client.post(TYPE_LEVEL, report("2.2"))
    clock.now = NOW + timedelta(days=1)
    await one.post(TYPE_LEVEL, report("2.2"))
    clock.now = NOW + timedelta(days=1, hours=1)
    foreign = ["https://elsewhere.example/Questionnaire/x"]
    plain = {"severity": "warning", "code": "timeout"}
    await one.post(TYPE_LEVEL, report("2.2", plain, forms=foreign))
    found = grouped(await sightings(owner_engine))
    assert [(each.issue.code, each.reports, each.organizations) for each in found] == [
        ("timeout", 1, 1),
        ("exception", 3, 2),
    ]
    assert listing(found) == (
        "2026-11-21 17:00Z  1 times by 1  warning timeout  (no form of ours) (line 2.2)\n"
        "2026-11-21 16:00Z  3 times by 2  error exception"
        "  epidural-steroid-injection|2026-01-15 (line 2.2)\n"
        "    paths: Questionnaire.item.initial\n"
        "    mentions: WiserChart, esi-purpose"
    )


async def test_the_listing_may_be_narrowed(
    client: Client, owner_engine: AsyncEngine, clock: StillClock
) -> None:
    forms = ("skin-substitutes", "epidural-steroid-injection")
    await client.post(TYPE_LEVEL, report("2.2", forms=forms))
    of_skin = await sightings(owner_engine, slug="skin-substitutes")
    assert [each.issue.form for each in of_skin] == ["skin-substitutes"]
    assert len(await sightings(owner_engine, since=date(2026, 11, 20))) == 2
    assert await sightings(owner_engine, since=date(2026, 11, 21)) == []
    assert listing(grouped([])) == "no errors reported"


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("form", "Jane Doe"),
        ("version", "Jane"),
        ("severity", "bad"),
        ("code", "Jane Doe"),
        ("paths", "{Patient.name 'Jane'}"),
        ("paths", "{Patient.name[0]}"),
        ("details", "{jane}"),
        ("mentions", "{Jane Doe}"),
        ("mentions", "{NULL}"),
        ("line", "2.1"),
        ("sha256", "\\x00"),
        ("reported_on", "2026-11-19"),
    ],
)
async def test_the_database_itself_lets_no_sentence_in(
    client: Client, superuser_engine: AsyncEngine, column: str, value: str
) -> None:
    row: dict[str, Any] = {
        "organization_id": client.organization_id,
        "client_id": client.client_id,
        "reported_on": "2026-11-20",
        "sha256": "\\x" + "00" * 32,
        "at": datetime(2026, 11, 20, 16, tzinfo=UTC).isoformat(),
        "line": "2.2",
        "form": "skin-substitutes",
        "version": "2026-01-15",
        "severity": "error",
        "code": "value",
        "paths": "{Library.data}",
        "details": "{MSG_NO_EXIST}",
        "mentions": "{WiserChart}",
    }
    insert = "insert into questionnaire_error ({}) values ({})"

    async def write(values: dict[str, Any]) -> None:
        shown = ", ".join("'" + str(each).replace("'", "''") + "'" for each in values.values())
        async with superuser_engine.begin() as connection:
            await connection.exec_driver_sql(insert.format(", ".join(values), shown))

    with pytest.raises(Exception, match=f"ck_questionnaire_error_{column}"):
        await write({**row, column: value})
    await write(row)
