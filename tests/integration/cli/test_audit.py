"""`wiser-fhir audit`, on a trail of this test."""

import asyncio
import base64
import hashlib
import hmac
import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.database import MakeCase
from tests.integration.audit.chained import MASTER, Chained
from tests.integration.cli.running import Run, commands
from tests.vaults import ENVIRONMENT
from wiser_fhir.audit.checkpoints import CheckpointFolder, SigningKeys, new_signing_key
from wiser_fhir.clock import utc_now
from wiser_fhir.db.embedded import Urls
from wiser_fhir.errors import Unavailable
from wiser_fhir.settings import SettingsError

TODAY = f"{utc_now():%Y-%m-%d}"


@pytest.fixture
def pem() -> str:
    return new_signing_key().decode()


@pytest.fixture
async def chained(
    app_engine: AsyncEngine,
    superuser_engine: AsyncEngine,
    clean_database: None,
    tmp_path: Path,
    pem: str,
) -> Chained:
    """Five sealed rows and a checkpoint."""
    folder = CheckpointFolder(tmp_path / "checkpoints")
    folder.path.mkdir()
    made = Chained(app_engine, superuser_engine, SigningKeys.read(pem), folder)
    await made.write(5)
    await made.seal()
    await made.checkpoint()
    return made


@pytest.fixture
def run(database: Urls, tmp_path: Path, pem: str, chained: Chained) -> Run:
    key = tmp_path / "signing.pem"
    key.write_text(pem)
    return commands(
        database,
        tmp_path,
        WISER_AUDIT_KEY=base64.b64encode(MASTER).decode(),
        WISER_AUDIT_SIGNING_KEY=str(key),
        WISER_AUDIT_CHECKPOINTS=str(chained.folder.path),
    )


async def outcomes(chained: Chained, action: str) -> list[str]:
    query = f"select outcome from audit_event where action = '{action}' order by id"  # noqa: S608
    return [each["outcome"] for each in await chained.rows(query)]


async def test_a_sound_trail_and_one_that_is_not(run: Run, chained: Chained) -> None:
    sound = await run("audit", "verify")
    assert (sound.exit_code, sound.output) == (
        0,
        "sound: 5 rows sealed to sequence 5, 1 checkpoints\n",
    )
    audit_id = (await chained.ids())[2]
    await chained.tamper(f"update audit_event set outcome = 'x' where id = {audit_id}")  # noqa: S608
    bad = await run("audit", "verify")
    assert bad.exit_code == 1
    assert bad.stdout.startswith(f"changed at sequence 3, audit id {audit_id}: ")
    [file] = chained.folder.files()
    later = await run("audit", "verify", "--from-checkpoint", str(file))
    assert later.exit_code == 0
    assert await outcomes(chained, "audit.verify") == ["sound", "changed", "sound"]


async def test_a_stranger_s_checkpoint_is_no_beginning(
    run: Run, tmp_path: Path, chained: Chained
) -> None:
    stranger = tmp_path / "stranger.pem"
    stranger.write_text(new_signing_key().decode())
    [file] = chained.folder.files()
    arguments = ("--from-checkpoint", str(file), "--signed-by", str(stranger))
    answer = await run("audit", "verify", *arguments)
    assert answer.exit_code == 1
    assert "not signed by a key of ours" in str(answer.exception)


async def test_in_production_no_key_is_made_up(
    database: Urls, tmp_path: Path, chained: Chained
) -> None:
    answer = await commands(database, tmp_path, WISER_MODE="production")("audit", "verify")
    assert isinstance(answer.exception, SettingsError)
    assert str(answer.exception) == "WISER_AUDIT_KEY: production needs it"
    assert not (tmp_path / "audit.key").exists()
    assert await outcomes(chained, "audit.verify") == []


@pytest.mark.parametrize("named", [True, False])
async def test_checkpoints_are_not_passed_over_for_want_of_a_key(
    database: Urls, tmp_path: Path, chained: Chained, named: bool
) -> None:
    folder = str(chained.folder.path)
    changes = {} if named else {"WISER_AUDIT_CHECKPOINTS": folder}
    key = base64.b64encode(MASTER).decode()
    run = commands(database, tmp_path, WISER_MODE="production", WISER_AUDIT_KEY=key, **changes)
    answer = await run("audit", "verify", *(["--checkpoints", folder] if named else []))
    assert answer.exit_code == 1
    assert isinstance(answer.exception, SettingsError)
    assert str(answer.exception) == f"{folder}: needs WISER_AUDIT_SIGNING_KEY or --signed-by"
    assert await outcomes(chained, "audit.verify") == []


async def test_decisions_that_cannot_be_looked_at_are_told_of(
    run: Run, chained: Chained, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object) -> list[str]:
        raise Unavailable("The database is away.")

    monkeypatch.setattr("wiser_fhir.commands.audit.all_changed", away)
    answer = await run("audit", "verify")
    assert (answer.exit_code, answer.stdout) == (1, "decisions could not be checked\n")
    assert await outcomes(chained, "audit.verify") == ["decisions-unchecked"]


@pytest.mark.parametrize("mode", ["sandbox", "production"])
async def test_only_a_sandbox_is_ever_emptied(
    database: Urls,
    tmp_path: Path,
    run: Run,
    chained: Chained,
    pem: str,
    make_case: MakeCase,
    mode: str,
) -> None:
    case = await make_case()
    assert (await run("sandbox", "reset")).exit_code == 0
    await chained.seal()
    keys = {"WISER_AUDIT_KEY": base64.b64encode(MASTER).decode(), **ENVIRONMENT}
    answer = await commands(database, tmp_path, WISER_MODE=mode, **keys)("audit", "verify")
    said = f"decision changed: case {case.id}: 0 decisions of 2" in answer.output.splitlines()
    assert (answer.exit_code, said) == ((0, False) if mode == "sandbox" else (1, True))


async def test_how_far_it_is_sealed_is_told(run: Run, chained: Chained) -> None:
    answer = await run("audit", "status")
    assert answer.output.startswith("sequence 5, key ")
    assert answer.output.endswith(", lag 0.0 s\n")


async def test_an_export_is_verified_by_whoever_has_the_key(
    run: Run, tmp_path: Path, chained: Chained
) -> None:
    """With nothing of ours: a key, HMAC-SHA256, and what stands in a line."""
    out = tmp_path / "trail.ndjson"
    span = ("--since", TODAY, "--until", TODAY)
    answer = await run("audit", "export", *span, "--out", str(out))
    assert answer.output == "5 events written\n"
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    purpose = b"wiser-fhir audit chain 1"
    key = HKDF(algorithm=SHA256(), length=32, salt=None, info=purpose).derive(MASTER)
    before = bytes(32)
    for number, line in enumerate(lines, 1):
        covered = line["covered"].encode()
        before = hmac.new(key, before + covered, hashlib.sha256).digest()
        assert (line["sequence"], line["mac"]) == (number, before.hex())
        assert json.loads(covered)["event"]["action"] == "claim.submit"
    assert await outcomes(chained, "audit.export") == ["begun"]
    again = await run("audit", "export", *span, "--out", str(out))
    assert isinstance(again.exception, FileExistsError)


async def test_audit_events_are_exported(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "events.ndjson"
    span = ("--since", TODAY, "--until", TODAY)
    answer = await run("audit", "export", *span, "--fhir", "--out", str(out))
    assert answer.exit_code == 0, answer.output
    content = await asyncio.to_thread(out.read_text)
    events = [json.loads(line) for line in content.splitlines()]
    assert [each["resourceType"] for each in events] == ["AuditEvent"] * 6
    assert events[-1]["subtype"][-1]["code"] == "audit.export"


async def test_a_week_is_reviewed(run: Run, chained: Chained) -> None:
    await chained.write(120, client_id=None, person_id=None, action="request.refused",
                        outcome="login", patient=None)  # fmt: skip
    answer = await run("audit", "report", "--until", TODAY)
    assert answer.exit_code == 0, answer.output
    lines = answer.output.splitlines()
    assert lines[2] == "What happened"
    assert "  120 request.refused login" in lines
    assert "  5 claim.submit affirmed" in lines
    rule = next(n for n, line in enumerate(lines) if line.startswith("Rule 2"))
    assert lines[rule + 1] == "  120"
    rule = next(n for n, line in enumerate(lines) if line.startswith("Rule 5"))
    assert lines[rule + 1] == "  nothing"
    assert await outcomes(chained, "audit.report") == ["done"]
