"""The folder of certificates: made once, renewed in time, and never in two halves."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from pathlib import Path

import pytest
from cryptography import x509

from wiser_fhir.clock import utc_now
from wiser_fhir.sandbox.authority import Authority, Issued, read_key
from wiser_fhir.sandbox.certificates import CLIENT_URIS, WANTED, CertificateFolder

START = datetime(2026, 11, 20, tzinfo=UTC)


def at(days: float) -> Callable[[], datetime]:
    return lambda: START + timedelta(days=days)


def written(folder: Path, days: float = 0, revoke: str | None = None) -> dict[str, Issued]:
    return CertificateFolder(folder, at(days)).write(revoke)


def contents(folder: Path) -> dict[str, bytes]:
    return {each.name: each.read_bytes() for each in folder.iterdir() if each.suffix != ".lock"}


def revoked(folder: Path) -> set[int]:
    return {each.serial_number for each in x509.load_pem_x509_crl(contents(folder)["crl.pem"])}


def test_everything_is_there_and_keys_are_the_owner_s_alone(tmp_path: Path) -> None:
    folder = tmp_path / "new"
    written(folder)
    names = {f"{name}.{kind}" for name in (*WANTED, "ca") for kind in ("pem", "key")}
    assert set(contents(folder)) == names | {"crl.pem", ".lock"}
    assert {each.stat().st_mode & 0o777 for each in folder.glob("*.key")} == {0o600}
    assert folder.stat().st_mode & 0o777 == 0o700


def test_each_client_s_certificate_names_its_uri(tmp_path: Path) -> None:
    found = written(tmp_path)
    for name, uri in CLIENT_URIS.items():
        names = found[name].certificate.extensions.get_extension_for_class(
            x509.SubjectAlternativeName
        )
        assert names.value.get_values_for_type(x509.UniformResourceIdentifier) == [uri]


def test_written_again_all_stays_but_the_list_is_new(tmp_path: Path) -> None:
    written(tmp_path)
    before = contents(tmp_path)
    written(tmp_path, days=29)
    after = contents(tmp_path)
    assert after.pop("crl.pem") != before.pop("crl.pem")
    assert after == before


def test_what_is_about_to_end_is_renewed_and_keeps_its_key(tmp_path: Path) -> None:
    first = written(tmp_path)
    ca = contents(tmp_path)["ca.pem"]
    second = written(tmp_path, days=310)
    assert contents(tmp_path)["ca.pem"] == ca
    for name, issued in second.items():
        assert issued.serial != first[name].serial
        assert issued.key_pem == first[name].key_pem
        assert issued.certificate.not_valid_after_utc > at(600)()


def test_an_authority_about_to_end_is_replaced_with_all_below_it(tmp_path: Path) -> None:
    written(tmp_path)
    found = written(tmp_path, days=3600)
    authority = Authority.load(tmp_path)
    for issued in found.values():
        issued.certificate.verify_directly_issued_by(authority.certificate)
    crl = x509.load_pem_x509_crl(contents(tmp_path)["crl.pem"])
    assert crl.is_signature_valid(authority.certificate.public_key())  # type: ignore[arg-type]


def test_a_revoked_one_is_listed_for_good_and_replaced_with_its_key_the_next_time(
    tmp_path: Path,
) -> None:
    first = written(tmp_path, revoke="sandbox-clinic")["sandbox-clinic"]
    assert revoked(tmp_path) == {first.serial}
    second = written(tmp_path, days=1)["sandbox-clinic"]
    assert second.serial != first.serial
    assert second.key_pem != first.key_pem
    assert revoked(tmp_path) == {first.serial}


def test_nobody_can_be_revoked_who_has_none(tmp_path: Path) -> None:
    with pytest.raises(KeyError):
        written(tmp_path / "new", revoke="nobody")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("broken", ["ca.key", "ca.pem", "crl.pem", "server.pem", "proxy.key"])
@pytest.mark.parametrize("content", [None, b"", b"half"], ids=["gone", "empty", "half"])
def test_what_a_killed_run_left_is_made_whole(
    tmp_path: Path, broken: str, content: bytes | None
) -> None:
    written(tmp_path)
    (tmp_path / broken).unlink()
    if content is not None:
        (tmp_path / broken).write_bytes(content)
    written(tmp_path)
    authority = Authority.load(tmp_path)
    for name in WANTED:
        certificate = x509.load_pem_x509_certificate((tmp_path / f"{name}.pem").read_bytes())
        certificate.verify_directly_issued_by(authority.certificate)
        key = read_key((tmp_path / f"{name}.key").read_bytes())
        assert key.public_key() == certificate.public_key()
    x509.load_pem_x509_crl((tmp_path / "crl.pem").read_bytes())


def write_now(folder: Path) -> None:
    CertificateFolder(folder, utc_now).write()


def test_of_several_at_once_all_find_the_same(tmp_path: Path) -> None:
    spawn = get_context("spawn")
    processes = [spawn.Process(target=write_now, args=(tmp_path,)) for _ in range(3)]
    for each in processes:
        each.start()
    for each in processes:
        each.join(30)
        assert each.exitcode == 0
    authority = Authority.load(tmp_path)
    for name in WANTED:
        pem = (tmp_path / f"{name}.pem").read_bytes()
        x509.load_pem_x509_certificate(pem).verify_directly_issued_by(authority.certificate)
