"""What it costs to know who calls and to write it down, each beside its floor in the same run.

One caller at a time, so these are durations of a single call and no rates: medians, for the tail of
a few hundred calls tells more about the machine. Rows of the trail are counted by the second.
"""

import asyncio
import http.client
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from urllib.parse import urlencode, urlsplit
from uuid import uuid4

import orjson
from joserfc import jws
from joserfc.jwk import ECKey, RSAKey
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from bench import processes
from bench.processes import Running
from bench.submit import WrongAnswer
from wiser_fhir.audit.chain import Keyring
from wiser_fhir.audit.recorder import AuditRow, write
from wiser_fhir.audit.sealing import TrailSealer
from wiser_fhir.audit.verifying import Verifier
from wiser_fhir.auth import client_keys, clients, sessions, tokens
from wiser_fhir.auth.clients import NewClient
from wiser_fhir.auth.jws import read_jwt, registry, verify
from wiser_fhir.auth.keys import read_keys
from wiser_fhir.auth.registration import Keys
from wiser_fhir.auth.sessions import Sessions
from wiser_fhir.auth.tokens import Authenticator
from wiser_fhir.clock import utc_now
from wiser_fhir.db.embedded import Embedded, Urls
from wiser_fhir.db.engine import create_engine, transaction
from wiser_fhir.sandbox.authority import Authority, write_whole

ORIGIN = "https://payer.bench.example"
TOKEN = f"{ORIGIN}/oauth/token"
ALGORITHMS = ("ES384", "RS384")
CALLS = 100
CONNECTIONS = 50
ROWS = 200
SEALED = 4_000
_READ = f"/fhir/ClaimResponse/{uuid4()}"
_SCOPE = "system/ClaimResponse.rs"
_FORM = {"Content-Type": "application/x-www-form-urlencoded"}
_ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


@dataclass(frozen=True, slots=True)
class Token:
    """Milliseconds for one token, for the signature alone, and for an echo of the same form."""

    algorithm: str
    token: float
    verify: float
    echo: float


@dataclass(frozen=True, slots=True)
class Calls:
    """Milliseconds of one call by how it came: on a connection of its own, on one that was kept."""

    by: str
    new: float
    kept: float


@dataclass(frozen=True, slots=True)
class Trail:
    """Milliseconds of a transaction, with nothing in it and with a row of the trail; rows a second
    sealed and verified; milliseconds of a transaction again, by turns with finding out who has a
    session, or a token, from the database.
    """

    empty: float
    row: float
    sealed: float
    verified: float
    asked: float
    session: float
    bearer: float


@dataclass(frozen=True, slots=True)
class Measured:
    """All of it."""

    tokens: tuple[Token, ...]
    calls: tuple[Calls, ...]
    trail: Trail


def measure(folder: Path) -> Measured:
    """Raises StartError, WrongAnswer."""
    data_dir = folder / "data"
    folder.mkdir()
    authority = Authority.new("Bench")
    tls = _tls_files(authority, folder)
    with ExitStack() as stack:
        plain = stack.enter_context(processes.serve(data_dir, settings=_PUBLIC))
        made = {name: _key(name) for name in ALGORITHMS}
        asyncio.run(_register(Embedded(data_dir.absolute()).urls(), made))
        echo = stack.enter_context(processes.echo(data_dir))
        asked = tuple(_tokens(plain, echo, name, made[name]) for name in ALGORITHMS)
        secured = stack.enter_context(processes.serve(data_dir, settings={**_PUBLIC, **tls}))
        calls = _calls(plain, secured, authority, made["ES384"], folder)
    with Embedded.start(data_dir.absolute()) as server:
        return Measured(
            asked, calls, asyncio.run(_trail(server.urls(), (data_dir / "audit.key").read_bytes()))
        )


_PUBLIC = {"WISER_PUBLIC_URL": ORIGIN}


def _key(algorithm: str) -> ECKey | RSAKey:
    return ECKey.generate_key("P-384") if algorithm == "ES384" else RSAKey.generate_key(2_048)


async def _register(urls: Urls, made: Mapping[str, ECKey | RSAKey]) -> None:
    engine = create_engine(urls.owner, pool_size=1)
    try:
        async with transaction(engine) as db:
            for name, key in made.items():
                new = NewClient(_client(name), "Sandbox Clearinghouse", (_SCOPE,), None, None)
                held = await clients.add(db, new, utc_now())
                public = key.as_dict(private=False, kid=key.thumbprint(), use="sig", alg=name)
                document = read_keys({"keys": [public]}).document()
                await client_keys.register(db, held.id, held.organization_id, Keys(jwks=document))
    finally:
        await engine.dispose()


def _client(algorithm: str) -> str:
    return f"bench-{algorithm}"


def _assertion(algorithm: str, key: ECKey | RSAKey) -> str:
    name, now = _client(algorithm), int(time.time())
    claims = {"iss": name, "sub": name, "aud": TOKEN, "exp": now + 300, "jti": str(uuid4())}
    header = {"alg": algorithm, "typ": "JWT", "kid": key.thumbprint()}
    return jws.serialize_compact(header, orjson.dumps(claims), key, registry=registry((algorithm,)))


def _form(assertion: str) -> bytes:
    fields = {
        "grant_type": "client_credentials",
        "client_assertion_type": _ASSERTION_TYPE,
        "client_assertion": assertion,
    }
    return urlencode(fields).encode()


def _tokens(server: Running, echo: Running, algorithm: str, key: ECKey | RSAKey) -> Token:
    """Tokens and echoes by turns, each on a connection that is kept."""
    assertions = [_assertion(algorithm, key) for _ in range(CALLS)]
    asking, echoing = _connection(server.url), _connection(echo.url)
    took: dict[str, list[float]] = {"token": [], "echo": [], "verify": []}
    for assertion in assertions:
        form = _form(assertion)
        took["token"].append(_took(asking, "POST", "/oauth/token", form, _FORM, 200))
        body = orjson.dumps(form.decode())
        took["echo"].append(_took(echoing, "POST", "/echo", body, {}, 200))
        jwt, started = read_jwt(assertion), time.perf_counter()
        verify(jwt, key)
        took["verify"].append(time.perf_counter() - started)
    asking.close()
    echoing.close()
    return Token(algorithm, **{name: median(each) * 1000 for name, each in took.items()})


def _connection(url: str, tls: ssl.SSLContext | None = None) -> http.client.HTTPConnection:
    place = urlsplit(url)
    if tls is None:
        return http.client.HTTPConnection(place.hostname or "", place.port, timeout=30)
    return http.client.HTTPSConnection(place.hostname or "", place.port, timeout=30, context=tls)


def _took(
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    body: bytes | None,
    headers: Mapping[str, str],
    expected: int,
) -> float:
    """Seconds until the whole answer is there. Raises WrongAnswer."""
    started = time.perf_counter()
    connection.request(method, path, body, dict(headers))
    answer = connection.getresponse()
    content = answer.read()
    ended = time.perf_counter()
    if answer.status != expected:
        raise WrongAnswer(f"{path} answered {answer.status}: {content[:500].decode()}")
    return ended - started


def _tls_files(authority: Authority, folder: Path) -> dict[str, str]:
    """Settings of a server that asks for certificates."""
    issued = authority.issue(dns=("localhost",), ips=("127.0.0.1",), client=False, server=True)
    files = {
        "WISER_TLS_CERT": issued.chain_pem,
        "WISER_TLS_KEY": issued.key_pem,
        "WISER_TLS_CLIENT_CA": authority.certificate_pem,
    }
    for name, content in files.items():
        write_whole(folder / name, content, mode=0o600)
    return {name: str(folder / name) for name in files}


def _calls(
    plain: Running, secured: Running, authority: Authority, key: ECKey | RSAKey, folder: Path
) -> tuple[Calls, ...]:
    """One read, which finds nothing and is audited: over http, TLS, and TLS of both sides."""
    shown = authority.issue(("https://bench.example",))
    write_whole(folder / "client.pem", shown.chain_pem)
    write_whole(folder / "client.key", shown.key_pem, mode=0o600)
    bare, mutual = (
        ssl.create_default_context(cadata=authority.certificate_pem.decode()) for _ in "12"
    )
    mutual.load_cert_chain(folder / "client.pem", folder / "client.key")
    ways: Sequence[tuple[str, Running, ssl.SSLContext | None]] = (
        ("http", plain, None),
        ("TLS", secured, bare),
        ("mutual TLS, bound", secured, mutual),
    )
    return tuple(_call(by, server, tls, key) for by, server, tls in ways)


def _call(by: str, server: Running, tls: ssl.SSLContext | None, key: ECKey | RSAKey) -> Calls:
    kept = _connection(server.url, tls)
    kept.request("POST", "/oauth/token", _form(_assertion("ES384", key)), _FORM)
    answer = orjson.loads(kept.getresponse().read())
    if "access_token" not in answer:
        raise WrongAnswer(f"no token over {by}: {answer}")
    headers = {"Authorization": f"Bearer {answer['access_token']}"}
    on_kept = [_took(kept, "GET", _READ, None, headers, 404) for _ in range(CALLS)]
    kept.close()
    on_new = []
    for _ in range(CONNECTIONS):
        connection = _connection(server.url, tls)
        on_new.append(_took(connection, "GET", _READ, None, headers, 404))
        connection.close()
    return Calls(by, median(on_new) * 1000, median(on_kept) * 1000)


async def _trail(urls: Urls, audit_key: bytes) -> Trail:
    """With no server beside, which would seal too; by its key, for the chain is one."""
    engine, owner = (create_engine(url, pool_size=2) for url in (urls.app, urls.owner))
    keys = Keyring.of(audit_key)
    try:
        empty, row = await _by_turns(_nothing(engine), _a_row(engine))
        async with transaction(engine) as db:
            for _ in range(SEALED):
                await write(db, _audited())
        sealer, started = TrailSealer(engine, keys, utc_now), time.perf_counter()
        sealed = 0
        while done := await sealer():
            sealed += done
        sealing = time.perf_counter() - started
        started = time.perf_counter()
        report = await Verifier(owner, keys, utc_now).verify()
        verifying = time.perf_counter() - started
        if report.fault is not None:
            raise WrongAnswer(f"the trail does not hold: {report.fault}")
        looked_up = await _looked_up(engine)
    finally:
        await engine.dispose()
        await owner.dispose()
    rates = sealed / sealing, report.sealed / verifying
    return Trail(empty, row, *rates, *looked_up)


def _audited() -> AuditRow:
    return AuditRow(uuid4(), "claim.read", "found", object_kind="case", object_id=str(uuid4()))


Act = Callable[[], Awaitable[object]]


def _nothing(engine: AsyncEngine) -> Act:
    async def act() -> None:
        async with transaction(engine) as db:
            await db.execute(text("select 1"))

    return act


def _a_row(engine: AsyncEngine) -> Act:
    async def act() -> None:
        async with transaction(engine) as db:
            await write(db, _audited())

    return act


async def _by_turns(*acts: Act) -> list[float]:
    """Median milliseconds of each, all of them by turns."""
    took: list[list[float]] = [[] for _ in acts]
    for _ in range(ROWS):
        for act, times in zip(acts, took, strict=True):
            started = time.perf_counter()
            await act()
            times.append(time.perf_counter() - started)
    return [median(each) * 1000 for each in took]


async def _looked_up(engine: AsyncEngine) -> list[float]:
    now = datetime.now(UTC)
    async with transaction(engine) as db:
        person = await db.scalar(text("select id from person where active limit 1"))
        session = await sessions.open_session(db, person, now, now)
        issued = await tokens.issue(db, "sandbox-ehr", (), timedelta(hours=1), now)

    async def by_token() -> None:
        # A new one each time: it remembers whom it has looked up.
        await Authenticator(engine, utc_now).principal([f"Bearer {issued.token}"], None)

    known = Sessions(engine, utc_now)
    return await _by_turns(_nothing(engine), lambda: known.reviewer(session), by_token)
