"""What the settings of UDAP come to."""

from pathlib import Path

import pytest

from tests.udap import BASES, authority, intermediate, issued
from wiser_fhir.auth.udap_communities import CommunityRefused, Signer, by_community, communities
from wiser_fhir.sandbox.authority import Issued

OTHER = "urn:example:other"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Anchors and a certificate of ours, as files."""
    (tmp_path / "root.pem").write_bytes(authority().certificate_pem)
    (tmp_path / "anchors").mkdir()
    (tmp_path / "anchors" / "a.pem").write_bytes(authority().certificate_pem)
    (tmp_path / "anchors" / "b.pem").write_bytes(intermediate().certificate_pem)
    (tmp_path / "anchors" / "notes.txt").write_text("no certificate")
    write(tmp_path, "own", issued(*BASES))
    return tmp_path


def write(folder: Path, name: str, holder: Issued) -> None:
    (folder / f"{name}.pem").write_bytes(holder.chain_pem)
    (folder / f"{name}.key").write_bytes(holder.key_pem)


def test_each_entry_is_a_community(folder: Path) -> None:
    found = communities(
        [f"{OTHER}={folder}/anchors", f"{folder}/root.pem"],
        [f"{OTHER}={folder}/own.pem"],
        [f"{OTHER}={folder}/own.key"],
    )
    assert list(found) == [OTHER, ""]
    assert found[OTHER].anchors == (authority().certificate, intermediate().certificate)
    assert found[""].anchors == (authority().certificate,)
    signer = found[OTHER].signer
    assert signer is not None
    assert signer.uris == BASES
    assert found[""].signer is None


def test_a_certificate_without_a_uri_is_for_each_that_has_none_of_its_own(folder: Path) -> None:
    write(folder, "special", issued(BASES[0]))
    found = communities(
        [f"{OTHER}={folder}/anchors", f"urn:example:third={folder}/root.pem"],
        [f"{folder}/own.pem", f"{OTHER}={folder}/special.pem"],
        [f"{OTHER}={folder}/special.key", f"{folder}/own.key"],
    )
    signers = {uri: each.signer for uri, each in found.items()}
    assert {uri: each and each.uris for uri, each in signers.items()} == {
        OTHER: (BASES[0],),
        "urn:example:third": BASES,
    }


def test_a_uri_may_hold_what_parts_it_from_the_path() -> None:
    named = "https://community.example/?name=value"
    assert by_community([f"{named}=/anchors.pem"]) == {named: Path("/anchors.pem")}


@pytest.mark.parametrize(
    ("anchors", "certificates", "keys", "why"),
    [
        (["root.pem", "root.pem"], [], [], "named twice"),
        (["other=root.pem"], [], [], "is no URI"),
        (["own.key"], [], [], "no PEM certificates"),
        (["empty"], [], [], "no certificate in"),
        (["root.pem"], ["own.pem"], [], "needs its key"),
        (["root.pem"], [], ["own.key"], "needs its key"),
        (["root.pem"], ["own.pem"], ["root.pem"], "no PEM file"),
        (["root.pem"], ["root.pem"], ["own.key"], "not that of the first"),
        (["root.pem"], ["curve.pem"], ["curve.key"], "must be RSA"),
        (["root.pem"], ["urn:x:y=own.pem"], ["urn:x:y=own.key"], "has no anchors"),
    ],
)
def test_what_cannot_work_stops_the_start(
    folder: Path, anchors: list[str], certificates: list[str], keys: list[str], why: str
) -> None:
    (folder / "empty").mkdir()
    write(folder, "curve", authority().issue(BASES))

    def placed(entries: list[str]) -> list[str]:
        parts = (each.rpartition("=") for each in entries)
        return [f"{uri}{sign}{folder}/{file}" for uri, sign, file in parts]

    with pytest.raises(CommunityRefused, match=why):
        communities(placed(anchors), placed(certificates), placed(keys))


def test_a_file_that_is_not_there_stops_the_start(folder: Path) -> None:
    with pytest.raises(OSError, match="nothing"):
        communities([f"{folder}/nothing.pem"])
    with pytest.raises(OSError, match="nothing"):
        Signer.load(folder / "own.pem", folder / "nothing.key")
