"""Whose word is taken for who somebody is: trust communities, providers, issuers."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from joserfc.jwk import RSAKey
from sqlalchemy.ext.asyncio import AsyncEngine

from wiser_fhir.auth.authenticators import Authenticators
from wiser_fhir.auth.external import ExternalAuthenticator, IntrospectedTokens, JwtTokens
from wiser_fhir.auth.issuer import Introspection, Issuer
from wiser_fhir.auth.keys import ISSUER_GRACE_SECONDS, JwksCache
from wiser_fhir.auth.oidc import Provider, RelyingParty
from wiser_fhir.auth.own_key import OwnKey
from wiser_fhir.auth.tokens import Authenticator
from wiser_fhir.auth.udap_chain import Trust
from wiser_fhir.auth.udap_communities import CommunityRefused, communities
from wiser_fhir.auth.udap_lists import FolderLists
from wiser_fhir.clock import Clock
from wiser_fhir.deployment.addresses import base_urls, public_origin
from wiser_fhir.deployment.keys import kept_key, people_client_key
from wiser_fhir.egress.client import Egress
from wiser_fhir.egress.tls import outgoing
from wiser_fhir.oauth.udap_discovery import CRL_PATH
from wiser_fhir.oauth.udap_door import Udap
from wiser_fhir.sandbox import issuer as sandbox_issuers
from wiser_fhir.sandbox import udap as sandbox_udap
from wiser_fhir.sandbox.issuer import App
from wiser_fhir.sandbox.issuer import Issuer as SandboxIssuer
from wiser_fhir.sandbox.tenant import Tenant
from wiser_fhir.settings import Settings, SettingsError
from wiser_fhir.sign_in.routes import CALLBACK


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


def sandbox_issuer(settings: Settings, clock: Clock) -> SandboxIssuer | None:
    """The sandbox's own provider, unless people sign in elsewhere. Production has none."""
    if not settings.sandbox or settings.people_issuer is not None:
        return None
    file = settings.data_dir / "sandbox-issuer.key"
    key = RSAKey.import_key(kept_key(file, sandbox_issuers.new_key))
    origin = public_origin(settings)
    own = OwnKey.load(people_client_key(settings))
    ours = sandbox_issuers.our_app(origin, CALLBACK, own.key)
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
            OwnKey.load(people_client_key(settings)),
            known_as=sandbox_issuers.KNOWN_AS,
        )
    file, secret = settings.people_client_key, settings.people_client_secret
    try:
        key = None if file is None else OwnKey.load(file.read_bytes())
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


@asynccontextmanager
async def people_party(settings: Settings, clock: Clock) -> AsyncIterator[RelyingParty | None]:
    """Us at the provider where people sign in, for as long as the block lasts."""
    provider = people_provider(settings)
    if provider is None:
        yield None
        return
    async with _calling(settings, provider.issuer) as egress:
        yield RelyingParty(provider, egress, clock)


@asynccontextmanager
async def other_issuer(settings: Settings) -> AsyncIterator[Issuer | None]:
    """Another issuer of clients' tokens than we, where there is one."""
    if settings.auth_issuer is None:
        yield None
        return
    async with _calling(settings, settings.auth_issuer, settings.auth_introspection_url) as egress:
        yield Issuer(settings.auth_issuer, egress)


@asynccontextmanager
async def _calling(settings: Settings, *urls: str | None) -> AsyncIterator[Egress]:
    """What calls these servers. The operator named them: they may be on a private network."""
    origins = {"{0.scheme}://{0.netloc}".format(urlsplit(url)) for url in urls if url is not None}
    egress = Egress((*settings.sandbox_hosts, *origins), tls=outgoing(settings.egress_ca))
    try:
        yield egress
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
    url, client_id = settings.auth_introspection_url, settings.auth_client_id
    keys = JwksCache(other.source, grace=ISSUER_GRACE_SECONDS)
    tokens: IntrospectedTokens | JwtTokens = JwtTokens(other, keys)
    if own is not None and url is not None and client_id is not None:
        tokens = IntrospectedTokens(Introspection(other, url, client_id, own, clock))
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
        return OwnKey.load(settings.auth_client_key.read_bytes())
    except ValueError as refused:
        raise SettingsError(f"WISER_AUTH_CLIENT_KEY: {refused}") from None
