"""What the settings come to: the database behind them, keys, policies, and who gives numbers."""

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from wiser_fhir.db import migrate
from wiser_fhir.db.embedded import Embedded
from wiser_fhir.db.engine import create_engine, transaction
from wiser_fhir.egress.scanner import ClamdScanner, Scanner, ScannerAddress
from wiser_fhir.fhir.codes import Line
from wiser_fhir.notify.sealing import KEY_BYTES
from wiser_fhir.pas.decision_reasons import DecisionReasons
from wiser_fhir.pas.reject_reasons import RejectReasons
from wiser_fhir.priorauth.decide import Policy
from wiser_fhir.priorauth.numbers import LocalUtnSource, UtnSource
from wiser_fhir.priorauth.registry import InMemoryRegistry, Registry
from wiser_fhir.sandbox import ehr
from wiser_fhir.sandbox.scanner import SandboxScanner
from wiser_fhir.sandbox.tenant import Tenant
from wiser_fhir.settings import SANDBOX_PREFIX, Settings, SettingsError

PATHS: Mapping[Line, str] = {"2.2": "/fhir", "2.0": "/v2.0/fhir"}

_AUDIT_KEY_BYTES = 32
# Where `serve` listens unless it is told: a sandbox's worker knows no better.
_SANDBOX_URL = "http://127.0.0.1:8000"


@dataclass(frozen=True, slots=True)
class Database:
    """How to reach the database, by role. The owner's URL only where it is known."""

    app: str
    owner: str | None


def base_urls(settings: Settings) -> Mapping[Line, str]:
    """Where clients find each line."""
    origin = settings.public_url or _SANDBOX_URL
    return {line: f"{origin}{path}" for line, path in PATHS.items()}


def scanner(settings: Settings) -> Scanner | None:
    """What looks at attachments; None leaves all of them in quarantine."""
    if settings.scanner is not None:
        return ClamdScanner(ScannerAddress.of(settings.scanner))
    return SandboxScanner() if settings.sandbox else None


def utn_source(settings: Settings) -> UtnSource:
    """Who gives numbers. There is one source yet; `check_mode` has seen to its prefix."""
    return LocalUtnSource(SANDBOX_PREFIX if settings.sandbox else settings.utn_prefix or "")


def reject_reasons(settings: Settings) -> RejectReasons:
    """From our reasons to the codes of X12. Raises SettingsError for a file that does not say."""
    try:
        return RejectReasons.load(settings.reject_reasons)
    except (AttributeError, TypeError, ValueError) as fault:
        raise SettingsError(f"WISER_REJECT_REASONS: {fault}") from fault


def decision_reasons(settings: Settings) -> DecisionReasons:
    """From our reasons for a decision to X12's codes. Raises SettingsError for a bad file."""
    try:
        return DecisionReasons.load(settings.decision_reasons)
    except (AttributeError, TypeError, ValueError) as fault:
        raise SettingsError(f"WISER_DECISION_REASONS: {fault}") from fault


def policy(settings: Settings) -> Policy:
    """What the operator decided, with what the mode decides where nothing was said."""
    return Policy(
        served_states=frozenset(settings.states),
        auto_affirm=settings.affirms_by_software,
        require_reviewed=not settings.sandbox,
    )


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Database]:
    """The database of these settings. A sandbox starts its own, migrates it and seeds the tenant.

    Raises NotReady, EmbeddedError, Unavailable.
    """
    if settings.database_url is not None:
        database = Database(settings.database_url.get_secret_value(), owner_url(settings))
        if settings.sandbox and database.owner is not None:
            await _prepare_sandbox(database.owner, settings)
        yield database
        return
    server = await asyncio.to_thread(Embedded.start, settings.data_dir)
    try:
        urls = server.urls()
        await _prepare_sandbox(urls.owner, settings)
        yield Database(urls.app, urls.owner)
    finally:
        await asyncio.to_thread(server.stop)


def owner_url(settings: Settings) -> str | None:
    """The owner role's URL, if it was given."""
    url = settings.database_owner_url
    return None if url is None else url.get_secret_value()


async def _prepare_sandbox(url: str, settings: Settings) -> None:
    tenant = Tenant.load()
    jwks = ehr.public_keys(ehr_key(settings))
    await migrate.upgrade(url, "sandbox")
    engine = create_engine(url, pool_size=1)
    try:
        async with transaction(engine) as db:
            await tenant.seed(db)
            await tenant.seed_cds_clients(db, jwks, settings.sandbox_hosts)
    finally:
        await engine.dispose()


def registry(settings: Settings) -> Registry:
    """What is known of people beyond a request: a file, the sandbox's, or nothing."""
    if settings.registry is not None:
        return InMemoryRegistry.load(settings.registry)
    if settings.sandbox:
        return InMemoryRegistry.of(Tenant.load().registry)
    return InMemoryRegistry()


def audit_key(settings: Settings) -> bytes:
    """The key that stands between the audit trail and a beneficiary's number."""
    if settings.audit_key is not None:
        return settings.audit_key.get_secret_value()
    return _kept_key(settings.data_dir / "audit.key", lambda: secrets.token_bytes(_AUDIT_KEY_BYTES))


def secrets_key(settings: Settings) -> bytes:
    """The key of what is stored encrypted."""
    if settings.secrets_key is not None:
        return settings.secrets_key.get_secret_value()
    file = settings.data_dir / "secrets.key"
    return _kept_key(file, lambda: secrets.token_bytes(KEY_BYTES))


def ehr_key(settings: Settings) -> bytes:
    """The private key of the sandbox's EHR, as PEM."""
    return _kept_key(settings.data_dir / "sandbox-ehr.key", ehr.new_key)


def _kept_key(file: Path, new_key: Callable[[], bytes]) -> bytes:
    """The key in a file that is made where missing; of two commands at once one makes it."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not file.exists():
        new = file.with_name(f"{file.name}.{os.getpid()}")
        new.touch(mode=0o600)
        new.write_bytes(new_key())
        try:
            file.hardlink_to(new)
        except FileExistsError:
            pass
        finally:
            new.unlink()
    return file.read_bytes()
