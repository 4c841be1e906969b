"""Certificates for tests, made at run time and once for each run; and an app that is shown one.

`pki()` is the authority of those who belong, `rogue()` that of those who do not.
"""

import ssl
import tempfile
from datetime import timedelta
from functools import cache
from pathlib import Path

from starlette.types import ASGIApp, Receive, Scope, Send

from wiser_fhir.auth.certificates import thumbprint_of
from wiser_fhir.clock import utc_now
from wiser_fhir.sandbox.authority import Authority, Issued, write_whole

EHR_URI = "https://ehr.example.org/wiser"


@cache
def _authority(rsa: bool, trusted: bool) -> Authority:
    return Authority.new("Test authority", rsa=rsa)


def pki(*, rsa: bool = False) -> Authority:
    """The authority that tests trust."""
    return _authority(rsa, True)


def rogue(*, rsa: bool = False) -> Authority:
    """An authority that nobody trusts, of the same name."""
    return _authority(rsa, False)


@cache
def issued(uri: str = EHR_URI, *, rsa: bool = False, number: int = 1) -> Issued:
    """A client's certificate for a URI, the same each time; another for another number."""
    return pki(rsa=rsa).issue((uri,), rsa=rsa)


@cache
def server_certificate() -> Issued:
    """A server's on this machine."""
    return pki().issue(dns=("localhost",), ips=("127.0.0.1",), client=False, server=True)


@cache
def proxy_certificate() -> Issued:
    """The one that a proxy shows us."""
    return pki().issue(dns=("proxy.example.org",))


def days_ago(authority: Authority, days: int) -> Authority:
    """The authority as it was: what it issued then for fewer days has expired."""
    return Authority(
        authority.certificate,
        authority.key,
        authority.chain_pem,
        lambda: utc_now() - timedelta(days=days),
    )


def stored(issued: Issued, folder: Path, name: str) -> tuple[Path, Path]:
    """Chain and key as files of a folder."""
    chain, key = folder / f"{name}.pem", folder / f"{name}.key"
    write_whole(chain, issued.chain_pem)
    write_whole(key, issued.key_pem, mode=0o600)
    return chain, key


def client_tls(shown: Issued | None = None) -> ssl.SSLContext:
    """The TLS of a client that trusts `pki()` and has this certificate, or none."""
    context = ssl.create_default_context(cadata=pki().certificate_pem.decode())
    if shown is not None:
        with tempfile.TemporaryDirectory() as folder:
            context.load_cert_chain(*stored(shown, Path(folder), "client"))
    return context


def showing(app: ASGIApp, shown: Issued | None) -> ASGIApp:
    """The app as behind a listener to which the client has shown a certificate, or none."""

    async def behind(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            facts = {
                "tls_version": "TLSv1.3",
                "client_cert": shown.der if shown else None,
                "x5t#S256": thumbprint_of(shown.der) if shown else None,
            }
            scope = {**scope, "extensions": {**scope.get("extensions", {}), "tls": facts}}
        await app(scope, receive, send)

    return behind
