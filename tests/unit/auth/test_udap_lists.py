"""Lists of revoked certificates in a folder, and the job that keeps them new."""

import logging
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tests.pki import days_ago
from tests.udap import authority, intermediate
from wiser_fhir.auth.udap_lists import FolderLists, ListsKeptNew
from wiser_fhir.clock import utc_now
from wiser_fhir.egress.errors import EgressError

ISSUER = authority().certificate.subject
URL = "http://crl.example.org/root.crl"
OTHER_URL = "http://crl.example.org/other.crl"


def der(pem: bytes) -> bytes:
    return x509.load_pem_x509_crl(pem).public_bytes(Encoding.DER)


def files_in(folder: Path) -> int:
    return len(list(folder.iterdir()))


@dataclass
class Shelf:
    """Stands for the way out."""

    content: dict[str, bytes] = field(default_factory=dict)

    async def get(self, url: str) -> bytes:
        if url not in self.content:
            raise EgressError("away")
        return self.content[url]


def test_lists_are_found_by_their_issuer_in_either_form(tmp_path: Path) -> None:
    lower = intermediate().authority()
    (tmp_path / "root.crl").write_bytes(der(authority().crl()))
    (tmp_path / "both.pem").write_bytes(authority().crl() + lower.crl())
    lists = FolderLists([tmp_path])
    assert len(lists.of(ISSUER)) == 2
    assert len(lists.of(lower.certificate.subject)) == 1
    assert lists.of(x509.Name([])) == []


def test_a_file_that_comes_goes_or_changes_is_noticed(tmp_path: Path) -> None:
    lists = FolderLists([tmp_path / "a", tmp_path / "b"])
    assert lists.of(ISSUER) == []
    (tmp_path / "b").mkdir()
    file = tmp_path / "b" / "root.crl"
    file.write_bytes(authority().crl())
    assert len(lists.of(ISSUER)) == 1
    file.write_bytes(authority().crl([1]))
    [changed] = lists.of(ISSUER)
    assert changed.get_revoked_certificate_by_serial_number(1) is not None
    file.unlink()
    assert lists.of(ISSUER) == []


def test_an_unreadable_file_hides_no_other(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "broken.crl").write_bytes(b"no list")
    (tmp_path / "broken.pem").write_bytes(b"-----BEGIN X509 CRL-----\nx\n-----END X509 CRL-----")
    (tmp_path / "folder").mkdir()
    (tmp_path / ".half").write_bytes(b"being written")
    (tmp_path / "root.crl").write_bytes(authority().crl())
    with caplog.at_level(logging.WARNING):
        assert len(FolderLists([tmp_path]).of(ISSUER)) == 1
    assert len(caplog.records) == 3


async def test_what_an_operator_names_is_got_and_kept(tmp_path: Path) -> None:
    shelf = Shelf({URL: authority().crl(), OTHER_URL: der(intermediate().authority().crl())})
    job = ListsKeptNew(tmp_path, [URL, OTHER_URL], shelf, utc_now)
    assert await job() == 0
    assert await job() == 0
    assert files_in(tmp_path) == 2
    assert len(FolderLists([tmp_path]).of(ISSUER)) == 1


async def test_one_that_cannot_be_had_or_read_keeps_no_other_away(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shelf = Shelf({OTHER_URL: authority().crl(), "http://crl.example.org/no": b"<html>"})
    urls = [URL, "http://crl.example.org/no", OTHER_URL]
    with caplog.at_level(logging.WARNING):
        await ListsKeptNew(tmp_path, urls, shelf, utc_now)()
    assert len(FolderLists([tmp_path]).of(ISSUER)) == 1
    assert [each.error for each in caplog.records] == ["away", "no-crl"]  # type: ignore[attr-defined]


async def test_a_list_stays_until_it_ends_beside_a_newer_one(tmp_path: Path) -> None:
    shelf = Shelf({URL: days_ago(authority(), 3).crl(days=7)})
    (tmp_path / "by-hand.crl").write_bytes(days_ago(authority(), 30).crl(days=7))

    async def refreshed(now: datetime) -> int:
        await ListsKeptNew(tmp_path, [URL], shelf, lambda: now)()
        return files_in(tmp_path)

    now = utc_now()
    assert await refreshed(now) == 2
    shelf.content[URL] = authority().crl(days=7)
    assert await refreshed(now) == 3
    shelf.content.clear()
    assert await refreshed(now + timedelta(days=5)) == 2
    assert (tmp_path / "by-hand.crl").exists()


async def test_a_forged_list_displaces_none_that_holds(tmp_path: Path) -> None:
    forger = type(authority()).new("Example community")
    shelf = Shelf({URL: days_ago(authority(), 1).crl()})
    job = ListsKeptNew(tmp_path, [URL], shelf, utc_now)
    await job()
    shelf.content[URL] = forger.crl()
    await job()
    key = authority().key.public_key()
    lists = FolderLists([tmp_path]).of(ISSUER)
    assert sorted(each.is_signature_valid(key) for each in lists) == [False, True]


async def test_nor_does_one_that_says_it_is_of_the_same_instant(tmp_path: Path) -> None:
    moment = utc_now()
    root = authority()
    forger = type(root).new("Example community")
    shelf = Shelf({URL: type(root)(forger.certificate, forger.key, b"", lambda: moment).crl()})
    job = ListsKeptNew(tmp_path, [URL], shelf, utc_now)
    await job()
    shelf.content[URL] = type(root)(root.certificate, root.key, b"", lambda: moment).crl()
    await job()
    lists = FolderLists([tmp_path]).of(ISSUER)
    assert len({each.last_update_utc for each in lists}) == 1
    assert sorted(each.is_signature_valid(root.key.public_key()) for each in lists) == [False, True]
