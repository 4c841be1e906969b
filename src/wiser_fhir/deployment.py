"""What the settings come to: the database behind them, keys, policies, and who gives numbers."""

import asyncio
import json
import os
import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from urllib.parse import urlsplit

from joserfc.jwk import RSAKey
from pydantic import SecretBytes, SecretStr
from sqlalchemy.ext.asyncio import AsyncEngine

from wiser_fhir.audit.chain import Keyring
from wiser_fhir.audit.checkpoints import CheckpointFolder, SigningKeys, new_signing_key
from wiser_fhir.audit.decision_mac import decision_key
from wiser_fhir.auth.authenticators import Authenticators
from wiser_fhir.auth.external import ExternalAuthenticator, IntrospectedTokens, JwtTokens
from wiser_fhir.auth.issuer import Introspection, Issuer, IssuerRefused, OwnKey
from wiser_fhir.auth.keys import JwksCache
from wiser_fhir.auth.oidc import Provider, RelyingParty, client_key
from wiser_fhir.auth.tokens import Authenticator
from wiser_fhir.auth.udap_chain import Trust
from wiser_fhir.auth.udap_communities import CommunityRefused, by_community, communities
from wiser_fhir.auth.udap_lists import FolderLists
from wiser_fhir.clock import Clock
from wiser_fhir.db import migrate
from wiser_fhir.db.blind import KEY_BYTES as INDEX_KEY_BYTES
from wiser_fhir.db.blind import BlindIndex
from wiser_fhir.db.embedded import Embedded
from wiser_fhir.db.engine import create_engine, transaction
from wiser_fhir.db.envelope import KEY_BYTES, KeyRing
from wiser_fhir.db.vault import Vault
from wiser_fhir.egress.client import Egress
from wiser_fhir.egress.scanner import ClamdScanner, Scanner, ScannerAddress
from wiser_fhir.egress.tls import outgoing
from wiser_fhir.fhir.codes import Line
from wiser_fhir.oauth.udap_discovery import CRL_PATH
from wiser_fhir.oauth.udap_door import Udap
from wiser_fhir.pas.decision_reasons import DecisionReasons
from wiser_fhir.pas.reject_reasons import RejectReasons
from wiser_fhir.priorauth.decide import Policy
from wiser_fhir.priorauth.numbers import LocalUtnSource, UtnSource
from wiser_fhir.priorauth.registry import InMemoryRegistry, Registry
from wiser_fhir.sandbox import ehr
from wiser_fhir.sandbox import issuer as sandbox_issuers
from wiser_fhir.sandbox import udap as sandbox_udap
from wiser_fhir.sandbox.issuer import App
from wiser_fhir.sandbox.issuer import Issuer as SandboxIssuer
from wiser_fhir.sandbox.scanner import SandboxScanner
from wiser_fhir.sandbox.tenant import Tenant
from wiser_fhir.settings import SANDBOX_PREFIX, Settings, SettingsError
from wiser_fhir.sign_in.routes import CALLBACK

_SECRET_LISTS = frozenset({"audit_keys_before", "secrets_keys_before"})
PATHS: Mapping[Line, str] = {"2.2": "/fhir", "2.0": "/v2.0/fhir"}

_AUDIT_KEY_BYTES = 32
# Where `serve` listens unless it is told: a sandbox's worker knows no better.
_SANDBOX_URL = "http://127.0.0.1:8000"


@dataclass(frozen=True, slots=True)
class Database:
    """How to reach the database, by role, and what opens what is sealed in it.

    The owner's URL only where it is known. Without a `vault` nothing can be sealed or opened,
    without an `index` no beneficiary found.
    """

    app: str
    owner: str | None
    vault: Vault | None
    index: BlindIndex | None

    def engine(self, *, pool_size: int) -> AsyncEngine:
        """A pool of connections as the application's role."""
        return create_engine(self.app, pool_size=pool_size, vault=self.vault, index=self.index)

    def owner_engine(self) -> AsyncEngine | None:
        """A connection as the owner role, where its URL is known."""
        if self.owner is None:
            return None
        return create_engine(self.owner, pool_size=1, vault=self.vault, index=self.index)


def public_origin(settings: Settings) -> str:
    """Where clients find this server; also the name of the authorization server as an issuer."""
    return settings.public_url or _SANDBOX_URL


def base_urls(settings: Settings) -> Mapping[Line, str]:
    """Where clients find each line."""
    origin = public_origin(settings)
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
        app = settings.database_url.get_secret_value()
        database = Database(app, owner_url(settings), vault(settings), index(settings))
        if settings.sandbox and database.owner is not None:
            await _prepare_sandbox(database.owner, settings)
        yield database
        return
    server = await asyncio.to_thread(Embedded.start, settings.data_dir)
    try:
        urls = server.urls()
        await _prepare_sandbox(urls.owner, settings)
        yield Database(urls.app, urls.owner, vault(settings), index(settings))
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
            await tenant.seed_client_keys(db, jwks)
            await tenant.seed_cds_clients(db, jwks, settings.sandbox_hosts)
            guests = (sandbox_udap.COMMUNITY, *by_community(settings.udap_anchors))
            await tenant.seed_udap_guests(db, guests)
    finally:
        await engine.dispose()


def udap(settings: Settings, clock: Clock) -> Udap | None:
    """The trust communities of UDAP; None where there are none, or where no tokens are issued.

    Raises SettingsError for files that cannot be used.
    """
    if settings.auth_mode == "external":
        return None
    try:
        found = communities(settings.udap_anchors, settings.udap_certificate, settings.udap_key)
    except (CommunityRefused, OSError) as fault:
        raise SettingsError(f"WISER_UDAP_ANCHORS, _CERTIFICATE and _KEY: {fault}") from fault
    folders = [] if settings.udap_crls is None else [settings.udap_crls]
    bases = list(base_urls(settings).values())
    for each in found.values():
        if each.signer is not None and not set(bases) & set(each.signer.uris):
            raise SettingsError(f"WISER_UDAP_CERTIFICATE: names none of {', '.join(bases)}")
    crl = None
    if settings.sandbox:
        own = sandbox_community(settings, clock)
        found[sandbox_udap.COMMUNITY] = own.prepare(bases, f"{public_origin(settings)}{CRL_PATH}")
        folders.append(own.lists)
        crl = own.crl
    anchors = {uri: each.anchors for uri, each in found.items()}
    return Udap(found, Trust(anchors, FolderLists(folders)), crl) if found else None


def sandbox_community(settings: Settings, clock: Clock) -> sandbox_udap.SandboxCommunity:
    """The sandbox's own community, in its data directory."""
    return sandbox_udap.SandboxCommunity(settings.data_dir / "udap", clock)


def registry(settings: Settings) -> Registry:
    """What is known of people beyond a request: a file, the sandbox's, or nothing."""
    if settings.registry is not None:
        return InMemoryRegistry.load(settings.registry)
    if settings.sandbox:
        return InMemoryRegistry.of(Tenant.load().registry)
    return InMemoryRegistry()


def sandbox_issuer(settings: Settings, clock: Clock) -> SandboxIssuer | None:
    """The sandbox's own provider, unless people sign in elsewhere. Production has none."""
    if not settings.sandbox or settings.people_issuer is not None:
        return None
    file = settings.data_dir / "sandbox-issuer.key"
    key = RSAKey.import_key(_kept_key(file, sandbox_issuers.new_key))
    origin = public_origin(settings)
    ours = sandbox_issuers.our_app(origin, CALLBACK, client_key(_sandbox_client_key(settings)))
    anybodys = App(sandbox_issuers.ANY_APP)
    people = {each.subject: each.name for each in Tenant.load().people}
    apps = {each.client_id: each for each in (ours, anybodys)}
    return SandboxIssuer(origin, key, apps, people, clock)


def people_provider(settings: Settings) -> Provider | None:
    """Where people sign in, if anywhere. Raises SettingsError for a key that is none."""
    redirect_uri = f"{public_origin(settings)}{CALLBACK}"
    if settings.people_issuer is None:
        if not settings.sandbox:
            return None
        return Provider(
            f"{public_origin(settings)}{sandbox_issuers.PATH}",
            sandbox_issuers.OUR_CLIENT,
            redirect_uri,
            client_key(_sandbox_client_key(settings)),
            known_as=sandbox_issuers.KNOWN_AS,
        )
    file, secret = settings.people_client_key, settings.people_client_secret
    try:
        key = None if file is None else client_key(file.read_bytes())
    except ValueError as fault:
        raise SettingsError(f"WISER_PEOPLE_CLIENT_KEY: {fault}") from fault
    return Provider(
        settings.people_issuer,
        settings.people_client_id or "",
        redirect_uri,
        key,
        None if secret is None else secret.get_secret_value(),
        acr=settings.people_acr,
    )


def _sandbox_client_key(settings: Settings) -> bytes:
    """What a sandbox shows its own provider that it is itself."""
    return _kept_key(settings.data_dir / "people-client.key", ehr.new_key)


@asynccontextmanager
async def people_party(settings: Settings, clock: Clock) -> AsyncIterator[RelyingParty | None]:
    """Us at the provider where people sign in, for as long as the block lasts.

    The operator named it, so that it may be on a private network.
    """
    provider = people_provider(settings)
    if provider is None:
        yield None
        return
    place = urlsplit(provider.issuer)
    own = f"{place.scheme}://{place.netloc}"
    egress = Egress((*settings.sandbox_hosts, own), tls=outgoing(settings.egress_ca))
    try:
        yield RelyingParty(provider, egress, clock)
    finally:
        await egress.aclose()


@asynccontextmanager
async def other_issuer(settings: Settings) -> AsyncIterator[Issuer | None]:
    """Another issuer of clients' tokens than we, where there is one.

    The operator named it, so that it may be on a private network.
    """
    if settings.auth_issuer is None:
        yield None
        return
    urls = (settings.auth_issuer, settings.auth_introspection_url)
    origins = {"{0.scheme}://{0.netloc}".format(urlsplit(url)) for url in urls if url is not None}
    egress = Egress((*settings.sandbox_hosts, *origins), tls=outgoing(settings.egress_ca))
    try:
        yield Issuer(settings.auth_issuer, egress)
    finally:
        await egress.aclose()


def authenticators(
    settings: Settings,
    engine: AsyncEngine,
    clock: Clock,
    embedded: Authenticator,
    other: Issuer | None,
) -> Authenticators:
    """Who reads clients' tokens, by the mode. Raises SettingsError for a bad key file."""
    if other is None:
        return Authenticators(embedded, None)
    own = own_key(settings)
    url = settings.auth_introspection_url
    tokens: IntrospectedTokens | JwtTokens = JwtTokens(other, JwksCache(other.source))
    if own is not None and url is not None:
        tokens = IntrospectedTokens(Introspection(other, url, own, clock))
    audience = settings.auth_audience or public_origin(settings)
    external = ExternalAuthenticator(
        engine, clock, other.name, audience, tokens, unbound=settings.sandbox
    )
    return Authenticators(embedded if settings.auth_mode == "both" else None, external)


def own_key(settings: Settings) -> OwnKey | None:
    """By which we ask another issuer about tokens, if we do. Raises SettingsError."""
    if settings.auth_client_id is None or settings.auth_client_key is None:
        return None
    try:
        return OwnKey.load(settings.auth_client_id, settings.auth_client_key.read_bytes())
    except IssuerRefused as refused:
        raise SettingsError(f"WISER_AUTH_CLIENT_KEY: {refused}") from None


def audit_key(settings: Settings) -> bytes:
    """The key that stands between the audit trail and a beneficiary's number."""
    if settings.audit_key is not None:
        return settings.audit_key.get_secret_value()
    return _kept_key(settings.data_dir / "audit.key", lambda: secrets.token_bytes(_AUDIT_KEY_BYTES))


def vault(settings: Settings) -> Vault | None:
    """What seals and opens what is stored about people; None where no key was given.

    Only a sandbox makes its own key: in production another than that of the servers would be worse
    than none.
    """
    before = [key.get_secret_value() for key in settings.secrets_keys_before]
    if settings.secrets_key is not None:
        return Vault(KeyRing(settings.secrets_key.get_secret_value(), before))
    if not settings.sandbox:
        return None
    file = settings.data_dir / "secrets.key"
    return Vault(KeyRing(_kept_key(file, lambda: secrets.token_bytes(KEY_BYTES)), before))


def index(settings: Settings) -> BlindIndex | None:
    """What finds beneficiaries; None where no key was given, for the reason `vault` tells."""
    if settings.index_key is not None:
        return BlindIndex(settings.index_key.get_secret_value())
    if not settings.sandbox:
        return None
    file = settings.data_dir / "index.key"
    return BlindIndex(_kept_key(file, lambda: secrets.token_bytes(INDEX_KEY_BYTES)))


def ehr_key(settings: Settings) -> bytes:
    """The private key of the sandbox's EHR, as PEM."""
    return _kept_key(settings.data_dir / "sandbox-ehr.key", ehr.new_key)


def audit_keys_before(settings: Settings) -> tuple[bytes, ...]:
    """The audit keys of earlier days, newest first."""
    return tuple(each.get_secret_value() for each in settings.audit_keys_before)


def decision_keys(settings: Settings) -> list[bytes]:
    """The keys that determinations may bear a MAC of, the one in use first."""
    return [decision_key(each) for each in (audit_key(settings), *audit_keys_before(settings))]


def chain_keys(settings: Settings) -> Keyring:
    """The keys of the chain over the audit trail."""
    return Keyring.of(audit_key(settings), audit_keys_before(settings))


def checkpoint_keys(settings: Settings) -> SigningKeys | None:
    """The keys of checkpoints, where there are any. Raises SettingsError for a bad file."""
    if settings.audit_signing_key is not None:
        pem = settings.audit_signing_key.read_bytes()
    elif settings.sandbox:
        pem = _kept_key(settings.data_dir / "audit-signing.key", new_signing_key)
    else:
        return None
    try:
        return SigningKeys.read(pem.decode())
    except ValueError as fault:
        raise SettingsError(f"WISER_AUDIT_SIGNING_KEY: {fault}") from fault


def checkpoint_folder(settings: Settings) -> CheckpointFolder | None:
    """Where checkpoints are, if anywhere. A sandbox makes the folder."""
    if settings.audit_checkpoints is not None:
        return CheckpointFolder(settings.audit_checkpoints)
    if not settings.sandbox:
        return None
    folder = settings.data_dir / "audit-checkpoints"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return CheckpointFolder(folder)


def settings_digest(settings: Settings) -> str:
    """What the settings come to, without what is secret: the same for the same settings.

    The audit key shows by the id that its seals bear, so that a start tells of a change of it.
    """
    told = {
        name: "set" if isinstance(value, (SecretBytes, SecretStr)) else repr(value)
        for name, value in settings
        if name not in _SECRET_LISTS
    }
    told["audit_key"] = chain_keys(settings).current.id
    return sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


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
