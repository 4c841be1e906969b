"""The TLS of calls to other servers: whom we believe, and what we show."""

import ssl
from pathlib import Path


class EgressTlsRefused(Exception):
    """A file that no call can be made with. The text names it in one line."""


def outgoing(
    extra_ca: Path | None = None, certificate: tuple[Path, Path] | None = None
) -> ssl.SSLContext:
    """TLS 1.2 or 1.3 with every server verified by name and chain.

    `extra_ca` is believed beside the system's authorities. `certificate` (chain, key) is shown to
    a server that asks for one. Raises EgressTlsRefused.
    """
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if extra_ca is not None:
        try:
            context.load_verify_locations(extra_ca)
        except OSError:
            raise EgressTlsRefused(f"{extra_ca}: not a PEM file of authorities") from None
    if certificate is not None:
        chain, key = certificate
        try:
            context.load_cert_chain(chain, key, password=_no_password)
        except (OSError, ValueError):
            raise EgressTlsRefused(f"{chain} and {key}: not a certificate and its key") from None
    return context


def _no_password() -> str:
    """OpenSSL would ask at the terminal."""
    raise ValueError
