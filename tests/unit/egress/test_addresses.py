from ipaddress import ip_address

import pytest

from wiser_fhir.egress.addresses import is_public, is_public_or_near, read_address

PUBLIC = ["8.8.8.8", "172.15.0.1", "172.32.0.1", "2606:4700::1111", "2a00:1450::1"]
NEAR = ["127.0.0.1", "127.8.9.1", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1"]
NEAR_6 = ["::1", "fc00::1", "fd12::1"]
NEVER = [
    "0.0.0.0",  # noqa: S104
    "0.1.2.3",
    "169.254.169.254",  # where clouds keep credentials
    "100.64.0.1",
    "100.127.255.254",
    "192.0.0.8",
    "192.0.0.170",
    "192.0.2.1",
    "192.88.99.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::127.0.0.1",
    "::8.8.8.8",
    "::ffff:0:8.8.8.8",
    "fe80::1",
    "fec0::1",
    "ff02::1",
    "ff0e::1",
    "2002:7f00:1::1",
    "2002:808:808::1",
    "2001::1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "2001:1::1",
    "2001:20::1",
    "2001:db8::1",
    "3fff::1",
    "64:ff9b::7f00:1",
    "64:ff9b::808:808",
    "64:ff9b:1::1",
    "100::1",
    "5f00::1",
    "4000::1",
]


@pytest.mark.parametrize("address", PUBLIC)
def test_an_internet_host_is_public(address: str) -> None:
    assert is_public(ip_address(address))
    assert is_public_or_near(ip_address(address))


@pytest.mark.parametrize("address", NEAR + NEAR_6)
def test_this_machine_and_private_networks_are_near(address: str) -> None:
    assert not is_public(ip_address(address))
    assert is_public_or_near(ip_address(address))


@pytest.mark.parametrize("address", NEVER)
def test_all_else_is_neither(address: str) -> None:
    assert not is_public(ip_address(address))
    assert not is_public_or_near(ip_address(address))


@pytest.mark.parametrize("address", PUBLIC[:3] + NEAR + NEVER[:16])
def test_an_ipv4_address_is_taken_out_of_its_ipv6_wrapping(address: str) -> None:
    assert read_address(f"::ffff:{address}") == ip_address(address)


@pytest.mark.parametrize(
    "text", ["ehr.example", "", "fe80::1%eth0", "2606:4700::1%1", "127.1", "0177.0.0.1", "1.2.3.4 "]
)
def test_names_zones_and_odd_spellings_are_no_address(text: str) -> None:
    assert read_address(text) is None
