"""The sandbox's own trust community: an authority that issues to whoever runs the sandbox.

It lives in a folder: `ca.pem` and `ca.key`, our own `server.pem` and `server.key`, and the list of
what was revoked, which is nothing.
"""

import fcntl
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from wiser_fhir.auth.assertion import AUTH_METHOD
from wiser_fhir.auth.token_grant import GRANT_TYPE
from wiser_fhir.auth.udap_client import EXTENSION
from wiser_fhir.auth.udap_communities import Community, CommunityRefused, Signer
from wiser_fhir.auth.udap_metadata import signed_by_chain
from wiser_fhir.clock import Clock
from wiser_fhir.sandbox.authority import Authority, Issued, write_whole

COMMUNITY: Final = "urn:wiser-fhir:sandbox"
LIFE: Final = timedelta(minutes=5)

_DAYS = 365
_LIST_DAYS = 7
_RENEWED_BEFORE = timedelta(days=3)


@dataclass(frozen=True, slots=True)
class SandboxCommunity:
    """The community in a folder. Of two commands at once one makes what is missing."""

    folder: Path
    clock: Clock

    @property
    def lists(self) -> Path:
        """The folder of the list of revoked certificates."""
        return self.folder / "crls"

    @property
    def crl(self) -> Path:
        """The list itself, DER."""
        return self.lists / "sandbox.crl"

    def prepare(self, bases: Sequence[str], crl_url: str) -> Community:
        """The community, with a certificate of ours for these base URLs."""
        with self._turn():
            authority = self._authority()
            self._renew(authority)
            signer = self._signer()
            if signer is None or not self._serves(signer, authority, bases, crl_url):
                issued = authority.issue(bases, rsa=True, days=_DAYS, crl_url=crl_url)
                keep(self.folder, "server", issued)
                signer = Signer.load(self.folder / "server.pem", self.folder / "server.key")
        return Community(COMMUNITY, (authority.certificate,), signer)

    def issue(self, uri: str) -> Issued:
        """A certificate for a client that goes by this URI, with a key of RSA."""
        with self._turn():
            return self._authority().issue((uri,), rsa=True, days=_DAYS)

    async def renew(self) -> int:
        """Renew the list of revoked certificates before it ends: a job. Always 0: no more to do."""
        with self._turn():
            self._renew(self._authority())
        return 0

    def _authority(self) -> Authority:
        if not (self.folder / "ca.pem").exists():
            Authority.new("Sandbox UDAP community", clock=self.clock).store(self.folder)
        return Authority.load(self.folder, self.clock)

    def _renew(self, authority: Authority) -> None:
        self.lists.mkdir(exist_ok=True)
        if self.crl.exists():
            ends = x509.load_der_x509_crl(self.crl.read_bytes()).next_update_utc
            if ends is not None and ends > self.clock() + _RENEWED_BEFORE:
                return
        crl = x509.load_pem_x509_crl(authority.crl(days=_LIST_DAYS))
        write_whole(self.crl, crl.public_bytes(Encoding.DER))

    def _signer(self) -> Signer | None:
        try:
            return Signer.load(self.folder / "server.pem", self.folder / "server.key")
        except (CommunityRefused, OSError):
            return None

    def _serves(
        self, signer: Signer, authority: Authority, bases: Sequence[str], crl_url: str
    ) -> bool:
        """Whether our certificate is of this authority and names these URLs for a while yet."""
        leaf = signer.chain[0]
        places = leaf.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
        named = [name.value for place in places for name in place.full_name or ()]
        return (
            set(signer.uris) == set(bases)
            and named == [crl_url]
            and leaf.issuer == authority.certificate.subject
            and leaf.not_valid_after_utc > self.clock() + _RENEWED_BEFORE
        )

    @contextmanager
    def _turn(self) -> Iterator[None]:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (self.folder / "turn.lock").open("w") as turn:
            fcntl.flock(turn, fcntl.LOCK_EX)
            yield


def keep(folder: Path, name: str, issued: Issued) -> None:
    """Write a certificate with those above it, and its key, as `<name>.pem` and `<name>.key`."""
    write_whole(folder / f"{name}.key", issued.key_pem, mode=0o600)
    write_whole(folder / f"{name}.pem", issued.chain_pem)


@dataclass(frozen=True, slots=True)
class SandboxClient:
    """A made-up client of the community: what it would sign."""

    signer: Signer
    clock: Clock

    @classmethod
    def load(cls, folder: Path, clock: Clock) -> "SandboxClient":
        """From `client.pem` and `client.key` of a folder. Raises CommunityRefused, OSError."""
        return cls(Signer.load(folder / "client.pem", folder / "client.key"), clock)

    def statement(self, registration_url: str, scopes: Sequence[str], *, cancel: bool) -> str:
        """A software statement; to `cancel` is to ask for no grant at all."""
        uri = self.signer.uris[0]
        return self._signed(
            uri,
            {
                "aud": registration_url,
                "client_name": "A client in the sandbox",
                "contacts": ["mailto:nobody@sandbox.example"],
                "grant_types": [] if cancel else [GRANT_TYPE],
                "token_endpoint_auth_method": AUTH_METHOD,
                "scope": " ".join(scopes),
            },
        )

    def assertion(self, client_id: str, token_url: str) -> str:
        """What it proves itself by when it asks for a token, for an organization that is itself."""
        extension = {
            "version": "1",
            "organization_id": self.signer.uris[0],
            "purpose_of_use": ["SYSDEV"],
        }
        about = {EXTENSION: extension}
        return self._signed(client_id, {"aud": token_url, "extensions": about})

    def _signed(self, issuer: str, claims: dict[str, object]) -> str:
        issued = int(self.clock().timestamp())
        times = {"iat": issued, "exp": issued + int(LIFE.total_seconds())}
        jti = secrets.token_urlsafe(24)
        whole = {"iss": issuer, "sub": issuer, **times, "jti": jti, **claims}
        return signed_by_chain(self.signer, whole)
