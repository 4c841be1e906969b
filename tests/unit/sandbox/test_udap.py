"""The sandbox's own trust community."""

import stat
from datetime import timedelta
from pathlib import Path

from cryptography import x509

from tests.udap import BASES, ORIGIN, REGISTER
from wiser_fhir.auth.udap_chain import Trust
from wiser_fhir.auth.udap_communities import Community
from wiser_fhir.auth.udap_lists import FolderLists
from wiser_fhir.auth.udap_statement import read_statement
from wiser_fhir.clock import Clock, utc_now
from wiser_fhir.sandbox.udap import COMMUNITY, SandboxClient, SandboxCommunity, keep

CRL = f"{ORIGIN}/udap/crl"


def later(days: int) -> Clock:
    return lambda: utc_now() + timedelta(days=days)


def prepared(folder: Path, clock: Clock = utc_now) -> Community:
    return SandboxCommunity(folder, clock).prepare(BASES, CRL)


def leaf(community: Community) -> x509.Certificate:
    assert community.signer is not None
    return community.signer.chain[0]


def test_it_is_made_once_and_then_the_same(tmp_path: Path) -> None:
    first, second = prepared(tmp_path / "udap"), prepared(tmp_path / "udap")
    assert (first.anchors, leaf(first)) == (second.anchors, leaf(second))
    assert first.uri == COMMUNITY
    assert first.signer is not None
    assert first.signer.uris == BASES
    for file in ("ca.key", "server.key"):
        assert stat.S_IMODE((tmp_path / "udap" / file).stat().st_mode) == 0o600


def test_another_address_or_an_old_certificate_is_made_anew_by_the_same_authority(
    tmp_path: Path,
) -> None:
    first = prepared(tmp_path)
    elsewhere = SandboxCommunity(tmp_path, utc_now).prepare(["http://127.0.0.1:1/fhir"], CRL)
    moved = SandboxCommunity(tmp_path, utc_now).prepare(["http://127.0.0.1:1/fhir"], f"{CRL}/2")
    old = prepared(tmp_path)
    renewed = prepared(tmp_path, later(363))
    assert {first.anchors, elsewhere.anchors, moved.anchors, old.anchors, renewed.anchors} == {
        first.anchors
    }
    assert len({leaf(each) for each in (first, elsewhere, moved, old, renewed)}) == 5


def test_what_is_broken_is_made_anew(tmp_path: Path) -> None:
    first = prepared(tmp_path)
    (tmp_path / "server.key").write_bytes(b"")
    assert leaf(prepared(tmp_path)) != leaf(first)


def test_its_certificate_says_where_the_list_is_that_vouches_for_it(tmp_path: Path) -> None:
    """Kit: `udap_signed_metadata_trust_verification`, which asks for the list over http."""
    community = prepared(tmp_path)
    own = leaf(community)
    places = own.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    assert [name.value for each in places for name in each.full_name or ()] == [CRL]
    crl = x509.load_der_x509_crl(SandboxCommunity(tmp_path, utc_now).crl.read_bytes())
    [anchor] = community.anchors
    own.verify_directly_issued_by(anchor)
    assert crl.is_signature_valid(anchor.public_key())  # type: ignore[arg-type]
    assert crl.issuer == own.issuer
    assert crl.get_revoked_certificate_by_serial_number(own.serial_number) is None


async def test_the_list_is_renewed_before_it_ends(tmp_path: Path) -> None:
    prepared(tmp_path)
    lists = []
    for days in (0, 3, 5, 5):
        await SandboxCommunity(tmp_path, later(days)).renew()
        lists.append(SandboxCommunity(tmp_path, utc_now).crl.read_bytes())
    assert [each == lists[0] for each in lists] == [True, True, False, False]
    assert lists[2] == lists[3]


def test_a_client_of_it_is_trusted_by_it(tmp_path: Path) -> None:
    place = SandboxCommunity(tmp_path, utc_now)
    community = prepared(tmp_path)
    keep(tmp_path, "client", place.issue("https://my-app.example/udap"))
    client = SandboxClient.load(tmp_path, utc_now)
    trust = Trust({COMMUNITY: community.anchors}, FolderLists([place.lists]))
    statement = client.statement(REGISTER, ["system/Claim.c"], cancel=False)
    read = read_statement(statement, trust, [REGISTER], utc_now())
    assert read.iss == "https://my-app.example/udap"
    assert read.metadata is not None
    assert read.metadata.scopes == ("system/Claim.c",)
    ending = client.statement(REGISTER, ["system/Claim.c"], cancel=True)
    assert read_statement(ending, trust, [REGISTER], utc_now()).metadata is None
