"""The TLS of a listener: of today, never resumed, and with the files as they are now.

Resumption would skip the check of a client's certificate, a revoked one's too. Without tickets TLS
1.3 has none, but OpenSSL goes on keeping TLS 1.2 sessions by their id, in the context that a
connection begins with, and Python has no switch for that. So each connection begins with a context
of its own, and is handed the one with keys and authorities before it needs them.
"""

import logging
import re
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from cryptography import x509

log = logging.getLogger(__name__)

_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
_OPTIONS = ssl.OP_NO_TICKET | ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
_LABEL = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----")
_AUTHORITY, _LIST = b"CERTIFICATE", b"X509 CRL"


class TlsRefused(Exception):
    """A file that no listener can work with. The text names it in one line."""


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """What a listener works with, all PEM.

    `client_ca`: whose certificates clients may show; None asks for none. `crl`: one list for each
    authority that issued one in a client's chain; None checks no revocation.
    """

    chain: Path
    key: Path
    client_ca: Path | None = None
    crl: Path | None = None

    def without_clients(self) -> "TlsFiles":
        """The same for a listener that asks for no certificate."""
        return TlsFiles(self.chain, self.key)

    def context(self) -> ssl.SSLContext:
        """What a listener is given. Raises TlsRefused."""
        return _ListenerContext.of(self)


class _ListenerContext(ssl.SSLContext):
    """For asyncio and uvloop, which ask it for each connection's TLS by `wrap_bio`."""

    _files: TlsFiles
    _current: ssl.SSLContext
    _seen: object

    @classmethod
    def of(cls, files: TlsFiles) -> Self:
        """Raises TlsRefused."""
        made = cls(ssl.PROTOCOL_TLS_SERVER)
        made._files, made._seen = files, _state(files)
        made._current = _loaded(files)
        return made

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        """The TLS of one new connection."""
        current = self._renewed()

        def hand_over(tls: ssl.SSLObject, _name: str | None, _first: ssl.SSLContext) -> None:
            tls.context = current

        first = _bare(self._files)
        first.sni_callback = hand_over  # called without a name too
        return first.wrap_bio(incoming, outgoing, server_side=True)

    def _renewed(self) -> ssl.SSLContext:
        """The files as they are. What cannot be read, perhaps half written, changes nothing."""
        state = _state(self._files)
        if state != self._seen:
            self._seen = state
            try:
                self._current = _loaded(self._files)
            except TlsRefused:
                log.error("certificates not renewed", extra={"error": "TlsRefused"})
            else:
                log.info("certificates renewed")
        return self._current


def _state(files: TlsFiles) -> object:
    """What changes with any of the files."""
    return tuple(
        _stamp(file)
        for file in (files.chain, files.key, files.client_ca, files.crl)
        if file is not None
    )


def _stamp(file: Path) -> tuple[int, int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _bare(files: TlsFiles) -> ssl.SSLContext:
    """What holds for a connection from its first byte; the keys come later.

    Source: RFC 9325 §3, §4.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.num_tickets = 0
    context.set_ciphers(_CIPHERS)
    context.options |= _OPTIONS
    if files.client_ca is not None:
        context.verify_mode = ssl.CERT_OPTIONAL
    if files.crl is not None:
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_CHAIN
    return context


def _loaded(files: TlsFiles) -> ssl.SSLContext:
    """The same with keys and authorities. Raises TlsRefused."""
    context = _bare(files)
    try:
        context.load_cert_chain(files.chain, files.key, password=_no_password)
    except (OSError, ValueError):  # ssl.SSLError is an OSError
        raise TlsRefused(f"{files.chain} and {files.key}: not a certificate and its key") from None
    if files.client_ca is not None:
        _load(context, files.client_ca, _AUTHORITY)
    if files.crl is not None:
        _load(context, files.crl, _LIST)
    return context


def _no_password() -> str:
    """OpenSSL would ask at the terminal."""
    raise ValueError


def _load(context: ssl.SSLContext, file: Path, label: bytes) -> None:
    """Add authorities or lists. A file of the one kind in place of the other is refused: whatever
    certificate OpenSSL finds, it trusts.
    """
    try:
        pem = file.read_bytes()
        if set(_LABEL.findall(pem)) != {label}:
            raise ValueError
        context.load_verify_locations(file)
        if label == _AUTHORITY:
            _check_authorities(pem)
    except (OSError, ValueError, x509.ExtensionNotFound):
        what = "authorities" if label == _AUTHORITY else "lists of revoked certificates"
        raise TlsRefused(f"{file}: not a PEM file of {what} alone") from None


def _check_authorities(pem: bytes) -> None:
    """Raises ValueError, ExtensionNotFound."""
    for each in x509.load_pem_x509_certificates(pem):
        if not each.extensions.get_extension_for_class(x509.BasicConstraints).value.ca:
            raise ValueError
