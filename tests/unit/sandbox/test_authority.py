"""The certificates of the sandbox's authority, as OpenSSL and cryptography judge them."""

import subprocess
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import PolicyBuilder, Store

from tests.pki import issued, pki, rogue
from wiser_fhir.clock import utc_now
from wiser_fhir.sandbox.authority import Authority, Issued

URI = "https://ehr.example.org/" + "x" * 100


def verified(authority: Authority, leaf: Issued, folder: Path, *more: str) -> str:
    """What `openssl verify` says, strictly."""
    (folder / "ca.pem").write_bytes(authority.certificate_pem)
    (folder / "chain.pem").write_bytes(leaf.chain_pem)
    (folder / "leaf.pem").write_bytes(leaf.certificate_pem)
    done = subprocess.run(
        ["openssl", "verify", "-x509_strict", "-CAfile", "ca.pem", "-untrusted", "chain.pem",
         *more, "leaf.pem"],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.stdout + done.stderr


def test_a_chain_stands_before_both_verifiers_and_names_its_uri(tmp_path: Path) -> None:
    root = Authority.new("Root")
    leaf = root.issue(ca=True).authority().issue((URI,))
    assert "leaf.pem: OK" in verified(root, leaf, tmp_path, "-purpose", "sslclient")
    chain = x509.load_pem_x509_certificates(leaf.chain_pem)
    assert len(chain) == 2
    verifier = PolicyBuilder().store(Store([root.certificate])).build_client_verifier()
    subjects = verifier.verify(chain[0], chain[1:]).subjects
    assert [each.value for each in subjects or ()] == [URI]


@pytest.mark.parametrize(("client", "server"), [(True, False), (False, True), (True, True)])
def test_a_certificate_is_good_for_what_it_was_issued_for(
    tmp_path: Path, client: bool, server: bool
) -> None:
    leaf = pki().issue(dns=("x.example",), client=client, server=server)
    for purpose, good in (("sslclient", client), ("sslserver", server)):
        assert ("OK" in verified(pki(), leaf, tmp_path, "-purpose", purpose)) == good


def test_a_client_s_certificate_signs_no_other(tmp_path: Path) -> None:
    assert "OK" not in verified(pki(), issued().authority().issue((URI,)), tmp_path)


def test_a_root_of_the_same_name_is_another(tmp_path: Path) -> None:
    assert "OK" not in verified(pki(), rogue().issue((URI,)), tmp_path)


def test_what_is_revoked_is_on_the_list_and_nothing_else(tmp_path: Path) -> None:
    gone, stays = pki().issue((URI,)), pki().issue((URI,))
    (tmp_path / "crl.pem").write_bytes(pki().crl([gone.serial]))
    checked = ("-CRLfile", "crl.pem", "-crl_check")
    assert "certificate revoked" in verified(pki(), gone, tmp_path, *checked)
    assert "leaf.pem: OK" in verified(pki(), stays, tmp_path, *checked)


def test_a_list_ends_after_its_days() -> None:
    found = x509.load_pem_x509_crl(pki().crl(days=3))
    end = found.next_update_utc
    assert end is not None
    assert timedelta(days=2.9) < end - utc_now() < timedelta(days=3.1)
    assert found.is_signature_valid(pki().certificate.public_key())  # type: ignore[arg-type]


def test_keys_are_of_the_kind_asked_for() -> None:
    assert isinstance(issued().certificate.public_key(), ec.EllipticCurvePublicKey)
    by_rsa = pki(rsa=True).issue((URI,), rsa=True).certificate
    assert isinstance(by_rsa.public_key(), rsa.RSAPublicKey)
    usage = by_rsa.extensions.get_extension_for_class(x509.KeyUsage).value
    assert usage.digital_signature
    assert usage.key_encipherment


def test_serials_are_random_and_a_place_of_lists_is_named_where_given() -> None:
    leaf = pki().issue((URI,), crl_url="http://crl.example/ca.crl").certificate
    points = leaf.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    [name] = points[0].full_name or []
    assert name.value == "http://crl.example/ca.crl"
    serials = {pki().issue().serial for _ in range(3)}
    assert len(serials) == 3
    assert min(serials).bit_length() > 64


def test_without_a_use_none_is_named() -> None:
    leaf = pki().issue((URI,), client=False).certificate
    with pytest.raises(x509.ExtensionNotFound):
        leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    both = issued().certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    assert list(both.value) == [ExtendedKeyUsageOID.CLIENT_AUTH]


def test_an_authority_that_was_stored_goes_on(tmp_path: Path) -> None:
    pki().store(tmp_path)
    assert (tmp_path / "ca.key").stat().st_mode & 0o777 == 0o600
    again = Authority.load(tmp_path)
    assert "leaf.pem: OK" in verified(pki(), again.issue((URI,)), tmp_path)


def test_a_key_of_another_authority_is_refused(tmp_path: Path) -> None:
    pki().store(tmp_path)
    other = (tmp_path / "ca.pem").read_bytes()
    rogue().store(tmp_path)
    (tmp_path / "ca.pem").write_bytes(other)
    with pytest.raises(ValueError, match="another"):
        Authority.load(tmp_path)
