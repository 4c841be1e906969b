"""A folder of certificates to try TLS with: an authority, its list of revoked ones, who is who.

Written again it renews what is about to end and leaves the rest: a certificate is a client's
identity, and a proxy's is named in the settings. A renewed one keeps its key, so that no reader
finds a certificate and a key that do not fit.
"""

import fcntl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from wiser_fhir.clock import Clock
from wiser_fhir.sandbox.authority import Authority, Issued, Key, read_key, write_whole

# What a client's certificate must name. Source: HRex 1.2.0 "Security" (names are URIs).
CLIENT_URIS: Final[Mapping[str, str]] = {
    "sandbox-ehr": "https://ehr.sandbox.example",
    "sandbox-clinic": "https://clinic.sandbox.example",
    "sandbox-mac": "https://mac.sandbox.example",
}
AUTHORITY: Final = "wiser-fhir sandbox authority"

_DAYS = 365
_CRL_DAYS = 30
_RENEWED_BEFORE = timedelta(days=60)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Who gets a certificate, and for what."""

    uris: tuple[str, ...] = ()
    dns: tuple[str, ...] = ()
    ips: tuple[str, ...] = ()
    client: bool = True
    server: bool = False


WANTED: Final[Mapping[str, Wanted]] = {
    "server": Wanted(dns=("localhost",), ips=("127.0.0.1", "::1"), client=False, server=True),
    "proxy": Wanted(dns=("proxy.sandbox.example",)),
    "notifier": Wanted(uris=("https://wiser.sandbox.example",)),
    **{name: Wanted(uris=(uri,)) for name, uri in CLIENT_URIS.items()},
}


@dataclass(frozen=True, slots=True)
class CertificateFolder:
    """`ca.pem`, `crl.pem`, and `NAME.pem` with `NAME.key` for each of `wanted`."""

    folder: Path
    clock: Clock
    wanted: Mapping[str, Wanted] = field(default_factory=lambda: WANTED)

    def write(self, revoke: str | None = None) -> dict[str, Issued]:
        """Make or renew all of it, and put one on the list of those revoked: the certificates.

        One that is revoked is replaced when this is called again. Raises OSError, KeyError.
        """
        if revoke is not None:
            self.wanted[revoke]
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _alone(self.folder):
            authority = self._authority()
            revoked = self._revoked(authority)
            found = {name: self._certificate(authority, name, revoked) for name in self.wanted}
            if revoke is not None:
                revoked.add(found[revoke].serial)
            write_whole(self.folder / "crl.pem", authority.crl(sorted(revoked), _CRL_DAYS))
        return found

    def _authority(self) -> Authority:
        try:
            kept = Authority.load(self.folder, self.clock)
        except (OSError, ValueError):
            kept = None
        if kept is not None and self._lasts(kept.certificate.not_valid_after_utc):
            return kept
        new = Authority.new(AUTHORITY, clock=self.clock)
        new.store(self.folder)
        return new

    def _revoked(self, authority: Authority) -> set[int]:
        """Those on the authority's present list."""
        try:
            present = x509.load_pem_x509_crl((self.folder / "crl.pem").read_bytes())
        except (OSError, ValueError):
            return set()
        ours = present.is_signature_valid(authority.certificate.public_key())  # type: ignore[arg-type]
        return {each.serial_number for each in present} if ours else set()

    def _certificate(self, authority: Authority, name: str, revoked: set[int]) -> Issued:
        """The present one if it is still good, or a new one."""
        kept = self._kept(name)
        if kept is not None and self._is_good(authority, kept.certificate, revoked):
            return kept
        wanted = self.wanted[name]
        new = authority.issue(
            wanted.uris,
            wanted.dns,
            wanted.ips,
            client=wanted.client,
            server=wanted.server,
            days=_DAYS,
            key=self._key(kept, revoked),
        )
        write_whole(self.folder / f"{name}.key", new.key_pem, mode=0o600)
        write_whole(self.folder / f"{name}.pem", new.chain_pem)
        return new

    def _kept(self, name: str) -> Issued | None:
        try:
            chain = (self.folder / f"{name}.pem").read_bytes()
            key = (self.folder / f"{name}.key").read_bytes()
            fits = x509.load_pem_x509_certificate(chain).public_key() == read_key(key).public_key()
        except (OSError, ValueError):
            return None
        return Issued(chain, key, chain) if fits else None

    def _key(self, kept: Issued | None, revoked: set[int]) -> Key | None:
        """The key that stays. That of a revoked certificate does not."""
        if kept is None or kept.serial in revoked:
            return None
        return read_key(kept.key_pem)

    def _is_good(
        self, authority: Authority, certificate: x509.Certificate, revoked: set[int]
    ) -> bool:
        try:
            certificate.verify_directly_issued_by(authority.certificate)
        except (InvalidSignature, TypeError, ValueError):  # another authority's
            return False
        lasts = self._lasts(certificate.not_valid_after_utc)
        return lasts and certificate.serial_number not in revoked

    def _lasts(self, end: datetime) -> bool:
        return end - self.clock() > _RENEWED_BEFORE


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Of two at once, one after the other."""
    with (folder / ".lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        yield
