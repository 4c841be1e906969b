"""Which addresses may be connected to."""

from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

Address = IPv4Address | IPv6Address
Allowed = Callable[[Address], bool]

_UNICAST_6 = ip_network("2000::/3")
# `is_global` says yes to all or part of these.
_NOT_PUBLIC = tuple(
    map(
        ip_network,
        (
            "192.0.0.0/24",  # IETF protocol assignments
            "192.88.99.0/24",  # 6to4 relays
            "2001::/23",  # IETF protocol assignments, Teredo among them
            "2002::/16",  # 6to4
            "3fff::/20",  # documentation
        ),
    )
)
_NEAR = tuple(
    map(
        ip_network,
        ("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "::1/128", "fc00::/7"),
    )
)


def read_address(text: str) -> Address | None:
    """The address in `text`; an IPv4 one out of its IPv6 wrapping. None with a zone, or if none."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv4Address):
        return address
    return None if address.scope_id is not None else address.ipv4_mapped or address


def is_public(address: Address) -> bool:
    """Whether it is a host's on the internet, and no tunnel or translator to another one.

    NAT64, the deprecated IPv4-compatible and everything else outside 2000::/3 is no host's.
    """
    if address.version == 6 and address not in _UNICAST_6:
        return False
    named = any(address in network for network in _NOT_PUBLIC)
    return address.is_global and not address.is_multicast and not named


def is_public_or_near(address: Address) -> bool:
    """Whether it is public, this machine's or a private network's; never link-local.

    For origins that an operator has named: those of issuers, and in the sandbox any.
    """
    return is_public(address) or any(address in network for network in _NEAR)
