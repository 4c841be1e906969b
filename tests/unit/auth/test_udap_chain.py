"""From `x5c` to a holder: every way in which a chain can be no good."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from tests.pki import days_ago
from tests.udap import (
    COMMUNITY,
    URI,
    ListsOf,
    authority,
    below,
    der,
    intermediate,
    issued,
    trust,
)
from wiser_fhir.auth.certificates import thumbprint_of
from wiser_fhir.auth.udap_chain import ChainRefused, Trust
from wiser_fhir.clock import utc_now
from wiser_fhir.sandbox.authority import Authority, Issued, Key

OTHER = Authority.new("Example community")


def x5c(holder: Issued) -> dict[str, Any]:
    return {"x5c": der(holder.chain_pem)}


def refused(trusted: Trust, header: dict[str, Any], now: datetime | None = None) -> str:
    with pytest.raises(ChainRefused) as refusal:
        trusted.holder(header, now or utc_now())
    return refusal.value.reason


@pytest.mark.parametrize("holder", [issued, below])
def test_who_a_community_vouches_for_is_known_by_the_uris(holder: Callable[[], Issued]) -> None:
    found = trust().holder(x5c(holder()), utc_now())
    assert (found.community, found.uris) == (COMMUNITY, (URI,))
    assert found.thumbprint == thumbprint_of(holder().der)
    assert found.key.key.as_dict(private=False)["kty"] == "RSA"


def test_a_key_on_a_curve_is_as_good() -> None:
    found = trust().holder(x5c(authority().issue((URI,))), utc_now())
    assert found.key.key.as_dict(private=False)["crv"] == "P-256"


def test_all_uris_of_a_certificate_count() -> None:
    found = trust().holder(x5c(issued(URI, "urn:example:two")), utc_now())
    assert found.uris == (URI, "urn:example:two")


def test_anchors_may_be_of_rsa() -> None:
    root = Authority.new("An RSA community", rsa=True)
    found = trust(root.crl(), anchors=(root,)).holder(x5c(root.issue((URI,))), utc_now())
    assert found.uris == (URI,)


def expired() -> Issued:
    return days_ago(authority(), 40).issue((URI,), days=30)


def of_a_foreign_root() -> Issued:
    return OTHER.issue((URI,))


def by_a_leaf() -> Issued:
    return issued().authority().issue((URI,))


def for_servers_only() -> Issued:
    return authority().issue((URI,), client=False, server=True)


def an_authority() -> Issued:
    return intermediate()


@pytest.mark.parametrize(
    "holder", [expired, of_a_foreign_root, by_a_leaf, for_servers_only, an_authority]
)
def test_a_chain_that_leads_to_no_anchor_is_refused(holder: Callable[[], Issued]) -> None:
    assert refused(trust(), x5c(holder())) == "chain"


def test_one_that_is_not_valid_yet_is_refused() -> None:
    soon = utc_now() - timedelta(days=1)
    assert refused(trust(), x5c(issued()), soon) == "chain"


def test_an_expired_intermediate_ends_the_chain() -> None:
    old = days_ago(authority(), 40).issue(("urn:example:old",), ca=True, days=30)
    assert refused(trust(), x5c(old.authority().issue((URI,)))) == "chain"


def test_an_intermediate_that_is_not_brought_along_is_not_fetched() -> None:
    assert refused(trust(), {"x5c": der(below().certificate_pem)}) == "chain"


def test_the_order_behind_the_leaf_and_what_else_is_brought_do_not_matter() -> None:
    brought = [*der(below().chain_pem), *der(OTHER.certificate_pem)]
    mixed = [brought[0], brought[2], brought[1]]
    assert trust().holder({"x5c": mixed}, utc_now()).uris == (URI,)


def test_an_anchor_itself_is_nobody_s_certificate() -> None:
    leaf = issued()
    anchors = {COMMUNITY: [leaf.certificate]}
    lists = ListsOf((authority().crl(),))
    assert refused(Trust(anchors, lists), x5c(leaf)) == "chain"


def test_a_revoked_certificate_is_refused() -> None:
    root, lower = authority(), intermediate().authority()
    assert refused(trust(root.crl([issued().serial]), lower.crl()), x5c(issued())) == "revoked"
    assert refused(trust(root.crl(), lower.crl([below().serial])), x5c(below())) == "revoked"


def test_a_certificate_below_a_revoked_authority_is_refused() -> None:
    lists = authority().crl([intermediate().serial]), intermediate().authority().crl()
    assert refused(trust(*lists), x5c(below())) == "revoked"


def test_one_current_list_that_names_it_is_enough() -> None:
    lists = authority().crl(), authority().crl([issued().serial]), authority().crl()
    assert refused(trust(*lists), x5c(issued())) == "revoked"


@pytest.mark.parametrize("missing", ["root", "intermediate"])
def test_without_the_list_of_an_issuer_there_is_no_trust(missing: str) -> None:
    lists = {"root": authority().crl(), "intermediate": intermediate().authority().crl()}
    del lists[missing]
    assert refused(trust(*lists.values()), x5c(below())) == "revocation-unknown"


def test_a_list_past_its_next_update_counts_for_nothing() -> None:
    stale = days_ago(authority(), 10).crl(days=7)
    assert refused(trust(stale), x5c(issued())) == "revocation-unknown"


def test_a_list_from_the_future_counts_for_nothing() -> None:
    early = days_ago(authority(), -10).crl(days=7)
    assert refused(trust(early), x5c(issued())) == "revocation-unknown"


def test_a_list_signed_by_somebody_of_the_same_name_counts_for_nothing() -> None:
    assert OTHER.certificate.subject == authority().certificate.subject
    assert refused(trust(OTHER.crl()), x5c(issued())) == "revocation-unknown"


def test_a_list_of_a_part_counts_for_nothing() -> None:
    now = utc_now()
    key = authority().key
    part = x509.IssuingDistributionPoint(
        full_name=None,
        relative_name=None,
        only_contains_user_certs=False,
        only_contains_ca_certs=True,
        only_some_reasons=None,
        indirect_crl=False,
        only_contains_attribute_certs=False,
    )
    partial = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(authority().certificate.subject)
        .last_update(now - timedelta(days=1))
        .next_update(now + timedelta(days=1))
        .add_extension(part, critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = partial.public_bytes(Encoding.PEM)
    assert refused(trust(pem), x5c(issued())) == "revocation-unknown"


def with_an_extension_twice(by: Authority) -> bytes:
    """A list in the community's name that is signed, and cannot be read to its end."""
    now = utc_now()
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(authority().certificate.subject)
        .last_update(now - timedelta(days=1))
        .next_update(now + timedelta(days=1))
        .add_extension(x509.CRLNumber(1), critical=False)
        .add_extension(x509.DeltaCRLIndicator(1), critical=False)
    )
    assert isinstance(by.key, ec.EllipticCurvePrivateKey)
    delta, number = bytes.fromhex("0603551d1b"), bytes.fromhex("0603551d14")
    told = builder.sign(by.key, hashes.SHA256()).tbs_certlist_bytes.replace(delta, number)
    ecdsa_by_sha256 = bytes.fromhex("300a06082a8648ce3d040302")
    signature = b"\0" + by.key.sign(told, ec.ECDSA(hashes.SHA256()))
    parts = told + ecdsa_by_sha256 + bytes([3, len(signature)]) + signature
    length = bytes([0x81]) if len(parts) < 256 else bytes([0x82, 1])
    whole = b"\x30" + length + bytes([len(parts) % 256]) + parts
    return x509.load_der_x509_crl(whole).public_bytes(Encoding.PEM)


@pytest.mark.parametrize("by", [authority(), OTHER], ids=["its issuer", "somebody else"])
def test_a_list_that_cannot_be_read_keeps_nobody_out_whom_a_sound_one_lets_in(
    by: Authority,
) -> None:
    broken = with_an_extension_twice(by)
    assert trust(broken, authority().crl()).holder(x5c(issued()), utc_now()).uris == (URI,)
    assert refused(trust(broken), x5c(issued())) == "revocation-unknown"


def made_by_hand(authority_: Authority, key: Key, *extensions: x509.ExtensionType) -> bytes:
    """A certificate such as no authority of ours issues, in the authority's own name."""
    now = utc_now()
    builder = (
        x509.CertificateBuilder()
        .subject_name(authority_.certificate.subject)
        .issuer_name(authority_.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
    )
    for each in extensions:
        builder = builder.add_extension(each, critical=isinstance(each, x509.BasicConstraints))
    return builder.sign(authority_.key, hashes.SHA256()).public_bytes(Encoding.PEM)


def test_a_list_by_an_authority_that_may_not_sign_any_counts_for_nothing() -> None:
    root = Authority.new("No lists")
    usage = x509.KeyUsage(False, False, False, False, False, True, False, False, False)
    own = x509.SubjectKeyIdentifier.from_public_key(root.key.public_key())
    pem = made_by_hand(root, root.key, x509.BasicConstraints(True, None), usage, own)
    limited = Authority(x509.load_pem_x509_certificate(pem), root.key)
    trusted = trust(limited.crl(), anchors=(limited,))
    assert refused(trusted, x5c(limited.issue((URI,)))) == "revocation-unknown"


def test_an_authority_that_does_not_say_what_its_key_is_for_is_none() -> None:
    root = Authority.new("No usage")
    own = x509.SubjectKeyIdentifier.from_public_key(root.key.public_key())
    pem = made_by_hand(root, root.key, x509.BasicConstraints(True, None), own)
    silent = Authority(x509.load_pem_x509_certificate(pem), root.key)
    trusted = trust(silent.crl(), anchors=(silent,))
    assert refused(trusted, x5c(silent.issue((URI,)))) == "chain"


def test_a_key_that_none_in_a_jwks_may_be_is_refused() -> None:
    now = utc_now()
    issuer = authority().key.public_key()
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(authority().certificate.subject)
        .public_key(ec.generate_private_key(ec.SECP521R1()).public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.UniformResourceIdentifier(URI)]), critical=True
        )
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer), critical=False)
    )
    certificate = builder.sign(authority().key, hashes.SHA256()).public_bytes(Encoding.PEM)
    assert refused(trust(), {"x5c": der(certificate)}) == "key"


def test_a_short_key_is_refused() -> None:
    key = rsa.generate_private_key(65_537, 1024)  # noqa: S505
    names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(URI)])
    usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
    header = {"x5c": der(made_by_hand(authority(), key, names, usage))}
    assert refused(trust(), header) == "chain"


@pytest.mark.parametrize(
    "value",
    [
        None,
        "MIIB",
        [],
        [1],
        [None],
        ["not base64!"],
        ["AAAA"],
        [["MIIB"]],
        {"0": "MIIB"},
        der(issued().certificate_pem) * 7,
        [der(issued().certificate_pem)[0][:-8]],
        [der(issued().certificate_pem)[0] + "\n"],
    ],
)
def test_what_holds_no_chain_is_told_apart(value: object) -> None:
    header = {} if value is None else {"x5c": value}
    assert refused(trust(), header) == "x5c"


def test_only_the_community_that_is_asked_for_may_vouch() -> None:
    two = Trust(
        {"urn:example:other": [OTHER.certificate], COMMUNITY: [authority().certificate]},
        ListsOf((authority().crl(),)),
    )
    now = utc_now()
    assert two.holder(x5c(issued()), now).community == COMMUNITY
    assert two.holder(x5c(issued()), now, COMMUNITY).community == COMMUNITY
    for community in ("urn:example:other", "urn:example:nobody"):
        with pytest.raises(ChainRefused, match="chain"):
            two.holder(x5c(issued()), now, community)


def test_that_it_was_revoked_is_told_though_another_community_knows_nothing_of_it() -> None:
    two = Trust(
        {COMMUNITY: [authority().certificate], "urn:example:other": [OTHER.certificate]},
        ListsOf((authority().crl([issued().serial]),)),
    )
    assert refused(two, x5c(issued())) == "revoked"


def test_where_there_is_no_community_nobody_is_known() -> None:
    assert refused(Trust({}, ListsOf(())), x5c(issued())) == "community"
