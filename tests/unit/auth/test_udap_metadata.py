"""What is signed, for whom, and for how long."""

import json
from base64 import urlsafe_b64decode
from datetime import timedelta

import pytest

from tests.udap import BASES, COMMUNITY, authority, issued
from tests.udap_door import community, signer_of
from wiser_fhir.auth.udap_communities import Community
from wiser_fhir.auth.udap_metadata import LIFE, RENEWED_AFTER, Places, UdapMetadata
from wiser_fhir.clock import utc_now
from wiser_fhir.fhir.elements import Json
from wiser_fhir.sandbox.authority import Authority

OTHER = "urn:example:other"
PLACES = Places("https://wiser.example/oauth/token", "https://wiser.example/oauth/register")
BASE, SECOND_BASE = BASES
NOW = utc_now()


def metadata(*communities: Community) -> UdapMetadata:
    return UdapMetadata({each.uri: each for each in communities}, PLACES)


def signed(document: Json | None) -> str:
    assert document is not None
    return str(document["signed_metadata"])


def claims(document: Json | None) -> Json:
    part = signed(document).split(".")[1]
    read: Json = json.loads(urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return read


def test_each_base_url_speaks_for_itself() -> None:
    ours = metadata(community())
    assert claims(ours.document(BASE, None, NOW))["iss"] == BASE
    assert claims(ours.document(SECOND_BASE, None, NOW))["iss"] == SECOND_BASE
    assert ours.document("https://elsewhere.example/fhir", None, NOW) is None


def test_a_certificate_for_one_base_url_speaks_for_no_other() -> None:
    ours = metadata(community(BASE))
    assert ours.document(BASE, None, NOW) is not None
    assert ours.document(SECOND_BASE, None, NOW) is None


def test_a_community_gets_what_is_signed_with_its_own_certificate() -> None:
    other = Community(OTHER, (authority().certificate,), signer_of(issued(BASE, "urn:x:other")))
    ours = metadata(community(), other)
    default = signed(ours.document(BASE, None, NOW))
    assert signed(ours.document(BASE, COMMUNITY, NOW)) == default
    assert signed(ours.document(BASE, OTHER, NOW)) != default


def test_authorities_that_give_the_same_serial_number_are_told_apart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("cryptography.x509.random_serial_number", lambda: 7)
    both = [
        Community(uri, (root.certificate,), signer_of(root.issue((BASE,), rsa=True)))
        for uri, root in ((COMMUNITY, Authority.new("One")), (OTHER, Authority.new("Another")))
    ]
    serials = {each.signer.chain[0].serial_number for each in both if each.signer}
    assert serials == {7}
    ours = metadata(*both)
    first = signed(ours.document(BASE, COMMUNITY, NOW))
    assert signed(ours.document(BASE, OTHER, NOW)) != first
    assert signed(ours.document(BASE, COMMUNITY, NOW)) == first


@pytest.mark.parametrize("asked", ["", "urn:example:nobody", OTHER])
def test_where_there_is_no_certificate_of_ours_there_is_no_document(asked: str) -> None:
    nameless = Community("", (authority().certificate,), signer_of(issued(*BASES)))
    uncertified = Community(OTHER, (authority().certificate,))
    assert metadata(uncertified, nameless).document(BASE, asked, NOW) is None
    assert metadata(uncertified, nameless).document(BASE, None, NOW) is not None
    assert metadata(uncertified).document(BASE, None, NOW) is None
    assert metadata().document(BASE, None, NOW) is None


def test_it_is_signed_anew_each_hour_and_good_for_a_day() -> None:
    ours = metadata(community())
    first = ours.document(BASE, None, NOW)
    soon = ours.document(BASE, None, NOW + RENEWED_AFTER - timedelta(seconds=1))
    later = ours.document(BASE, None, NOW + RENEWED_AFTER)
    assert signed(first) == signed(soon)
    assert claims(first)["jti"] != claims(later)["jti"]
    assert claims(first)["exp"] - claims(first)["iat"] == LIFE.total_seconds()


def test_it_never_outlives_the_certificate_that_signs_it() -> None:
    ours = metadata(community())
    ends = issued(*BASES).certificate.not_valid_after_utc
    document = ours.document(BASE, None, ends - timedelta(hours=2))
    assert claims(document)["exp"] == int(ends.timestamp())
    assert ours.document(BASE, None, ends) is None
