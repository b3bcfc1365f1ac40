"""Where a client comes from, proxies looked through. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

Network = IPv4Network | IPv6Network
IPV6_PREFIX: Final = 64
"""What one customer is given at the least (RFC 6177)."""


def client_address(peer: str, forwarded_for: str, trusted: Sequence[Network]) -> str:
    """The address that a client is counted by: the last in X-Forwarded-For that no trusted proxy wrote of another.

    Only a trusted peer is believed, and each address it names only as far as that is a trusted proxy too. An IPv6
    address counts as its /64.
    """
    address = _read(peer)
    for claimed in reversed(forwarded_for.split(",") if forwarded_for else ()):
        if address is None or not any(address in network for network in trusted):
            break
        believed = _read(claimed.strip())
        if believed is None:
            break
        address = believed
    if address is None:
        return peer
    if address.version == 6:
        return str(ip_network((address, IPV6_PREFIX), strict=False))
    return str(address)


def _read(text: str) -> IPv4Address | IPv6Address | None:
    try:
        # A scope (fe80::1%eth0) is this machine's business, and a mapped address is an IPv4 one.
        address = ip_address(text.strip("[]").partition("%")[0])
    except ValueError:
        return None
    return address.ipv4_mapped or address if isinstance(address, IPv6Address) else address
