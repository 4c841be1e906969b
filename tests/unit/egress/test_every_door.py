"""Every place where others name a URL that this server would call: none takes a hostile one."""

from typing import Any

import httpx
import pytest

from tests.subscriptions import a_subscription
from tests.unit.egress.peer import TENANT, Peer
from tests.unit.egress.test_url import HOSTILE
from wiser_fhir.auth.issuer import Issuer
from wiser_fhir.auth.keys import JwksCache
from wiser_fhir.auth.registration import RegistrationRefused, check_url
from wiser_fhir.clock import utc_now
from wiser_fhir.deployment.checks import check_mode
from wiser_fhir.egress.client import Egress
from wiser_fhir.egress.crl import CrlEgress
from wiser_fhir.egress.errors import EgressError
from wiser_fhir.errors import InvalidResource, ProfileViolation, Unavailable
from wiser_fhir.fhir.validation.validator import GuideValidator
from wiser_fhir.pas.subscription import Owner, Place, wanted
from wiser_fhir.settings import Settings, SettingsError

# Read in one way, and leading where nobody on the internet lives.
INSIDE = [
    "https://127.0.0.1/",
    "https://127.8.9.1/keys",
    "https://10.0.0.1/keys",
    "https://172.16.0.1/keys",
    "https://192.168.1.1/keys",
    "https://169.254.169.254/latest/meta-data",
    "https://100.64.0.1/keys",
    "https://0.0.0.0/keys",
    "https://224.0.0.1/keys",
    "https://255.255.255.255/keys",
    "https://[::1]/keys",
    "https://[::]/keys",
    "https://[fe80::1]/keys",
    "https://[fd00:ec2::254]/latest/meta-data",
    "https://[::ffff:127.0.0.1]/keys",
    "https://[::ffff:169.254.169.254]/latest",
    "https://[64:ff9b::7f00:1]/keys",
    "https://[2002:7f00:1::1]/keys",
    "https://[2001:0:4136:e378:8000:63bf:3fff:fdd2]/keys",
]
# In the clear, where only what is signed may come from.
PLAIN = ["http://keys.example/jwks", "http://8.8.8.8/jwks"]


def test_there_are_enough_of_them() -> None:
    assert len({*HOSTILE, *INSIDE}) >= 100


@pytest.mark.parametrize("url", [*HOSTILE, *INSIDE, *PLAIN])
async def test_the_way_out_sends_nothing_there_even_if_it_was_registered(url: str) -> None:
    peer = Peer()
    egress = Egress(transport=peer)
    place: dict[str, Any] = {"within": [url], "tenant": TENANT}
    for asked in (
        egress.get_document(url, **place),
        egress.post_form(url, {}, **place),
        egress.post(url, b"{}", headers=(), seconds=1.0, **place),
    ):
        with pytest.raises(EgressError, match="refused"):
            await asked
    assert peer.requests == []


@pytest.mark.parametrize("url", [*HOSTILE, *INSIDE, *PLAIN])
async def test_no_keys_are_asked_for_there(url: str) -> None:
    peer = Peer(b'{"keys": []}')
    with pytest.raises(Unavailable):
        await JwksCache(Egress(transport=peer)).key(url, TENANT, "kid")
    assert peer.requests == []


@pytest.mark.parametrize("url", [*HOSTILE, *PLAIN])
def test_no_client_and_no_ehr_is_registered_with_it(url: str) -> None:
    with pytest.raises(RegistrationRefused):
        check_url("the JWKS", url, ())


@pytest.mark.parametrize("url", [*HOSTILE, *(each.replace("https", "http") for each in INSIDE)])
async def test_no_list_of_revoked_certificates_is_asked_for_there(url: str) -> None:
    reached: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        reached.append(request)
        return httpx.Response(200)

    # An address inside is known as such by the network below, which connects to none.
    inside = url not in HOSTILE
    lists = CrlEgress([url], transport=None if inside else httpx.MockTransport(answer))
    with pytest.raises(EgressError, match="refused"):
        await lists.get(url)
    await lists.aclose()
    assert reached == []


@pytest.mark.parametrize("name", ["auth_issuer", "people_issuer", "udap_crl_urls"])
@pytest.mark.parametrize("url", [each for each in HOSTILE if each and "," not in each])
def test_no_operator_can_name_it_by_mistake(name: str, url: str) -> None:
    given = {"WISER_MODE": "sandbox", f"WISER_{name.upper()}": url}
    with pytest.raises(SettingsError, match=f"WISER_{name.upper()}"):
        check_mode(Settings.from_env(given))


@pytest.mark.parametrize("url", [*INSIDE, *PLAIN])
async def test_no_issuer_is_asked_there_what_it_says_of_itself(url: str) -> None:
    peer = Peer()
    with pytest.raises(Unavailable):
        await Issuer(url, Egress(transport=peer)).metadata()
    assert peer.requests == []


@pytest.fixture(scope="module")
def validator() -> GuideValidator:
    """Of one line: the endpoint is looked at alike in both."""
    return GuideValidator.load("2.2")


@pytest.mark.parametrize("url", [*HOSTILE, *INSIDE, *PLAIN])
def test_no_subscription_is_taken_for_it(validator: GuideValidator, url: str) -> None:
    sent = a_subscription("2.2")
    sent["channel"]["endpoint"] = url
    owner, place = Owner(None, ("https://ehr.example",)), Place("2.2", "https://payer.example/fhir")
    with pytest.raises((ProfileViolation, InvalidResource)) as refused:
        wanted(sent, place, owner, validator, utc_now())
    found = {each.expression for each in refused.value.problems}
    assert found & {"Subscription.channel.endpoint", "Subscription.channel"}
