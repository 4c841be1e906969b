"""The sandbox's EHR: one key pair for every process, JWTs that open hooks, and the commands."""

import asyncio
import json
import subprocess
import sys
from base64 import urlsafe_b64decode
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP384R1, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from typer.testing import CliRunner, Result

from tests.hand_made_jwt import EcPair, ec_pair, header_for, jwt
from tests.vaults import ENVIRONMENT
from wiser_fhir.auth.cds_jwt import CdsAuthenticator
from wiser_fhir.cli import cli
from wiser_fhir.clock import utc_now
from wiser_fhir.db.embedded import Urls
from wiser_fhir.deployment.keys import ehr_key
from wiser_fhir.egress.client import Document
from wiser_fhir.errors import NotFound, Unauthenticated
from wiser_fhir.sandbox import ehr
from wiser_fhir.settings import Settings

SERVICE = "https://payer.example/cds-services/order-sign"
ISS = "https://ehr.sandbox.example"
NEAR = "http://127.0.0.1:4567"

Run = Callable[..., Result]
_PROCESS = (
    "from pathlib import Path; from wiser_fhir.deployment.keys import ehr_key;"
    "from wiser_fhir.settings import Settings; import sys;"
    "s = Settings.model_validate({'mode': 'sandbox', 'data_dir': Path(sys.argv[1])});"
    "sys.stdin.read(); sys.stdout.buffer.write(ehr_key(s))"
)


class NoWayOut:
    """An egress that nothing is to be asked of."""

    async def get_document(
        self,
        url: str,
        *,
        within: Sequence[str],
        tenant: UUID,
        token: str | None = None,
        seconds: float = 5.0,
    ) -> Document:
        raise AssertionError("nothing is fetched")


@pytest.fixture
def command(database: Urls, clean_database: None, tmp_path: Path) -> Run:
    """`await command("cds-token", ...)` on the test's database."""
    environment = {
        "WISER_MODE": "sandbox",
        "WISER_DATABASE_URL": database.app,
        "WISER_DATABASE_OWNER_URL": database.owner,
        "WISER_DATA_DIR": str(tmp_path),
        **ENVIRONMENT,
        "WISER_SANDBOX_HOSTS": NEAR,
        "WISER_LOG_LEVEL": "error",
    }

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(cli, arguments, env=environment)

    return run


@pytest.fixture
def authenticator(app_engine: AsyncEngine) -> CdsAuthenticator:
    return CdsAuthenticator(app_engine, utc_now, NoWayOut())


async def events(engine: AsyncEngine, action: str) -> list[Any]:
    query = """
        select c.name, a.detail from audit_event a
        join client c on c.id = a.client_id and c.organization_id = a.organization_id
        where action = :action and outcome = 'done' order by a.id
    """
    async with engine.connect() as db:
        return [tuple(row) for row in await db.execute(text(query), {"action": action})]


def test_processes_that_start_at_once_agree_on_the_key(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    starting = [
        subprocess.Popen(
            [sys.executable, "-c", _PROCESS, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for _ in range(3)
    ]
    keys = set()
    for process in starting:
        assert process.stdin is not None
        process.stdin.close()  # now
    for process in starting:
        with process:
            assert process.stdout is not None
            keys.add(process.stdout.read())
    settings = Settings.model_validate({"mode": "sandbox", "data_dir": folder})
    assert keys == {ehr_key(settings)}
    file = folder / "sandbox-ehr.key"
    assert file.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in folder.iterdir()] == [file.name]
    private = load_pem_private_key(file.read_bytes(), None)
    assert isinstance(private, EllipticCurvePrivateKey)
    assert isinstance(private.curve, SECP384R1)


def test_no_two_sandboxes_share_a_key() -> None:
    assert ehr.new_key() != ehr.new_key()


def test_a_token_of_ours_is_what_another_hand_would_make() -> None:
    pem = ehr.new_key()
    private = load_pem_private_key(pem, None)
    assert isinstance(private, EllipticCurvePrivateKey)
    (public,) = ehr.public_keys(pem)["keys"]
    pair = EcPair(private, "P-384", public["kid"])
    assert public == pair.jwk(use="sig", alg="ES384")
    token = ehr.cds_token(pem, ISS, SERVICE, datetime(2026, 11, 20, 15, 0, tzinfo=UTC))
    claims = json.loads(_decoded(token.split(".")[1]))
    assert len(claims.pop("jti")) == 32
    assert claims == {"iss": ISS, "aud": SERVICE, "iat": 1795186800, "exp": 1795187100}
    by_hand = jwt(pair, header_for(pair), {})
    assert json.loads(_decoded(token.split(".")[0])) == json.loads(_decoded(by_hand.split(".")[0]))


def _decoded(segment: str) -> bytes:
    return urlsafe_b64decode(segment + "=" * (-len(segment) % 4))


async def test_a_printed_token_opens_the_service_it_names(
    command: Run, authenticator: CdsAuthenticator, superuser_engine: AsyncEngine
) -> None:
    printed = []
    for _ in range(2):  # what a second start finds is the first one's key
        done = await asyncio.to_thread(command, "cds-token", "--client", "sandbox-ehr", SERVICE)
        assert done.exit_code == 0, done.output
        printed.append(done.stdout.strip())
    for token in printed:
        caller = await authenticator.caller([f"Bearer {token}"], SERVICE)
        assert caller.principal.client_name == "sandbox-ehr"
        assert caller.issuer == ISS
        assert caller.fhir_servers == (f"{ISS}/fhir", NEAR)
    with pytest.raises(Unauthenticated):
        await authenticator.caller([f"Bearer {printed[0]}"], f"{SERVICE}/feedback")
    assert (
        await events(superuser_engine, "cds-token.issue")
        == [("sandbox-ehr", {"by": "command"})] * 2
    )


async def test_no_token_is_made_for_a_client_whose_key_is_its_own(command: Run) -> None:
    done = await asyncio.to_thread(command, "cds-token", "--client", "sandbox-clinic", SERVICE)
    assert isinstance(done.exception, NotFound)
    assert done.stdout == ""


async def test_an_ehr_is_registered_changed_and_revoked_by_command(
    command: Run,
    authenticator: CdsAuthenticator,
    superuser_engine: AsyncEngine,
    tmp_path: Path,
) -> None:
    file = tmp_path / "jwks.json"
    file.write_text(json.dumps({"keys": [ec_pair().jwk()]}))
    iss = "https://clinic.example"

    async def run(*arguments: str) -> Result:
        named = ("cds-client", "--client", "sandbox-clinic", *arguments)
        return await asyncio.to_thread(command, *named)

    def bearer() -> list[str]:
        now = int(utc_now().timestamp())
        claims = {"iss": iss, "aud": SERVICE, "iat": now, "exp": now + 300, "jti": "j"}
        return [f"Bearer {jwt(ec_pair(), header_for(ec_pair()), claims)}"]

    servers = ("--fhir-server", f"{iss}/fhir", "--fhir-server", NEAR)
    done = await run("--iss", iss, "--jwks", str(file), *servers)
    assert (done.exit_code, done.stdout) == (0, "registered\n")
    header = bearer()
    caller = await authenticator.caller(header, SERVICE)
    assert caller.principal.client_name == "sandbox-clinic"
    assert caller.fhir_servers == (f"{iss}/fhir", NEAR)
    done = await run("--revoke")
    assert (done.exit_code, done.stdout) == (0, "revoked\n")
    with pytest.raises(Unauthenticated):
        await authenticator.caller(header, SERVICE)
    done = await run("--iss", iss, "--jwks-url", f"{iss}/jwks")
    assert done.exit_code == 0
    assert await events(superuser_engine, "cds-client.register") == [
        ("sandbox-clinic", {"iss": iss, "keys": "value"}),
        ("sandbox-clinic", {"iss": iss, "keys": f"{iss}/jwks"}),
    ]
    assert await events(superuser_engine, "cds-client.revoke") == [("sandbox-clinic", {})]


async def test_a_refused_registration_leaves_nothing(
    command: Run, superuser_engine: AsyncEngine
) -> None:
    named = ("cds-client", "--client", "sandbox-clinic", "--jwks-url", f"{ISS}/jwks")
    taken = await asyncio.to_thread(command, *named, "--iss", ISS)
    assert "another client" in str(taken.exception)
    unknown = ("cds-client", "--client", "nobody", "--jwks-url", f"{ISS}/j", "--iss", f"{ISS}/x")
    assert isinstance((await asyncio.to_thread(command, *unknown)).exception, NotFound)
    async with superuser_engine.connect() as db:
        assert await db.scalar(text("select count(*) from cds_client")) == 1
    assert await events(superuser_engine, "cds-client.register") == []


async def test_what_an_operator_made_of_the_sandbox_s_ehr_stays(
    command: Run, superuser_engine: AsyncEngine
) -> None:
    mine = ("cds-client", "--client", "sandbox-ehr", "--iss", f"{NEAR}/custom/crd_server")
    done = await asyncio.to_thread(command, *mine, "--jwks-url", f"{NEAR}/custom/crd_server/jwks")
    assert done.exit_code == 0, done.output
    token = await asyncio.to_thread(command, "cds-token", "--client", "sandbox-ehr", SERVICE)
    assert "keys of its own" in str(token.exception)
    assert token.stdout == ""
    async with superuser_engine.connect() as db:
        issuers = (await db.execute(text("select iss from cds_client"))).scalars().all()
    assert issuers == [f"{NEAR}/custom/crd_server"]
