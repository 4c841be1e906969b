import asyncio
import ssl
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from tests.integration.egress.peer import Peer, serving, whole
from wiser_fhir.egress.client import Egress, EgressError

TENANT = UUID(int=1)


def certificate_for(name: str, folder: Path) -> Path:
    """A certificate of its own making with its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = folder / f"{name}.pem"
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    file.write_bytes(secret + certificate.public_bytes(Encoding.PEM))
    return file


class Named:
    """A TLS server's side that takes down which name it was asked for."""

    def __init__(self, certificate: Path) -> None:
        self.names: list[str | None] = []
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificate)
        self.context.sni_callback = self._asked

    def _asked(self, _connection: ssl.SSLObject, name: str | None, _context: object) -> None:
        self.names.append(name)


async def here(host: str, port: int) -> Sequence[str]:
    return ["127.0.0.1"]


async def get(peer: Peer, tls: ssl.SSLContext | None, seconds: float = 3) -> object:
    base = f"https://ehr.example:{peer.port}"
    egress = Egress([base], resolve=here, tls=tls)
    try:
        return await egress.get_json(f"{base}/fhir", within=[base], tenant=TENANT, seconds=seconds)
    finally:
        await egress.aclose()


async def test_the_name_is_what_tls_and_host_say_while_the_address_is_connected_to(
    tmp_path: Path,
) -> None:
    file = certificate_for("ehr.example", tmp_path)
    server = Named(file)
    async with serving(whole(b"{}"), server.context) as peer:
        assert await get(peer, ssl.create_default_context(cafile=file)) == {}
    assert server.names == ["ehr.example"]
    assert f"Host: ehr.example:{peer.port}\r\n" in peer.heads[0]


async def test_a_certificate_for_another_name_is_not_believed(tmp_path: Path) -> None:
    file = certificate_for("evil.example", tmp_path)
    async with serving(whole(b"{}"), Named(file).context) as peer:
        with pytest.raises(EgressError, match="away"):
            await get(peer, ssl.create_default_context(cafile=file))
    assert peer.heads == []


async def test_a_certificate_the_system_does_not_know_is_not_believed(tmp_path: Path) -> None:
    file = certificate_for("ehr.example", tmp_path)
    async with serving(whole(b"{}"), Named(file).context) as peer:
        with pytest.raises(EgressError, match="away"):
            await get(peer, None)
    assert peer.heads == []


async def test_who_speaks_no_tls_is_away() -> None:
    async with serving(whole(b"{}"), greeting=b"220 mail.example\r\n") as peer:
        with pytest.raises(EgressError, match="away"):
            await get(peer, None)


async def test_a_handshake_that_stands_still_is_slow_and_leaves_no_connection() -> None:
    async with serving(whole(b"{}")) as peer:
        with pytest.raises(EgressError, match="slow"):
            await get(peer, None, seconds=0.2)
        await asyncio.sleep(0.05)
        assert peer.connections == 1
        assert peer.closed == 1


async def test_a_name_server_that_stands_still_is_slow() -> None:
    async def silent(host: str, port: int) -> Sequence[str]:
        await asyncio.sleep(60)
        return []

    base = "https://ehr.example"
    egress = Egress(resolve=silent)
    with pytest.raises(EgressError, match="slow"):
        await egress.get_json(base, within=[base], tenant=TENANT, seconds=0.1)
    await egress.aclose()
