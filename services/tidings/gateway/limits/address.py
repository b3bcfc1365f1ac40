"""Where a client comes from, proxies looked through. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, NamedTuple

Network = IPv4Network | IPv6Network
IPV6_PREFIX: Final = 64
"""What one customer is given at the least (RFC 6177)."""
MAX_HOPS: Final = 32
"""Proxies that are looked through."""
MAX_NODE_CHARACTERS: Final = 80
UNIX_PEER: Final = "unix"
"""The peer of a Unix socket, which has no address: a proxy on this machine, always trusted."""

_NODE: Final = re.compile(r"(?:\[([^\]]+)\]|([0-9.]+))(?::(?:[0-9]{1,5}|_[A-Za-z0-9._-]+))?")
"""An address with a port, an IPv6 one in brackets (RFC 7239 section 6). Proxies write both in X-Forwarded-For too."""
_PAIR: Final = re.compile(r"""[ \t]*(?:([!#$%&'*+.^_`|~0-9A-Za-z-]+)=([^"\s,;]+|"(?:[^"\\]|\\.)*")[ \t]*)?""")
"""A forwarded-pair (RFC 7239 section 4), or none. A value with a colon has to be quoted, and often is not."""


class Client(NamedTuple):
    """The address that a client counts for; `readable` is False where a proxy said something that is no address."""

    address: str
    readable: bool = True


def counted(peer: str) -> str:
    """The address that a peer itself counts for: an IPv6 address counts as its /64."""
    address = _read(peer)
    return peer if address is None else _name(address)


def is_trusted(peer: str, trusted: Sequence[Network]) -> bool:
    """Whether a peer is a proxy that is believed."""
    address = _read(peer)
    return peer == UNIX_PEER or (address is not None and _is_among(address, trusted))


def client_address(peer: str, headers: Mapping[str, str], trusted: Sequence[Network]) -> Client:
    """The address that a client counts for: the last one in the headers that no trusted proxy wrote of another.

    Only a trusted peer is believed, and each address that it names only as far as that is a trusted proxy too. The
    header is X-Forwarded-For or, where that is absent, Forwarded (RFC 7239).
    """
    address = _read(peer)
    readable = True
    if is_trusted(peer, trusted):
        for node in _nodes(headers):
            claimed = _read(node)
            if claimed is None:
                readable = False
                break
            address = claimed
            if not _is_among(address, trusted):
                break
    return Client(peer if address is None else _name(address), readable)


def forwarded_for(peer: str, headers: Mapping[str, str], trusted: Sequence[Network]) -> str:
    """The X-Forwarded-For of a request that is passed on: its peer, behind the addresses that a trusted one wrote."""
    nodes = _nodes(headers)[::-1] if is_trusted(peer, trusted) else []
    return ", ".join(node for node in (*nodes, peer) if _read(node) is not None)


def _nodes(headers: Mapping[str, str]) -> list[str]:
    """What the proxies wrote of their clients, the nearest proxy first."""
    named = headers.get("x-forwarded-for", "")
    if named:
        nodes = [node.strip() for node in named.rsplit(",", MAX_HOPS)[-MAX_HOPS:]]
    else:
        nodes = _forwarded(headers.get("forwarded", ""))[-MAX_HOPS:]
    return nodes[::-1]


def _forwarded(header: str) -> list[str]:
    """The `for` of each element of a Forwarded header, "" where it has none; one that is malformed has one such."""
    if not header:
        return []
    nodes: list[str] = []
    node, at = "", 0
    while True:
        pair = _PAIR.match(header, at)
        assert pair is not None  # noqa: S101 - it may be empty
        at = pair.end()
        if (pair[1] or "").lower() == "for":
            node = pair[2].strip('"')
        if at == len(header):
            return [*nodes, node]
        if header[at] == ",":
            nodes.append(node)
            node = ""
        elif header[at] != ";":
            return [""]
        at += 1


def _is_among(address: IPv4Address | IPv6Address, networks: Sequence[Network]) -> bool:
    return any(address in network for network in networks)


def _name(address: IPv4Address | IPv6Address) -> str:
    return str(ip_network((address, IPV6_PREFIX), strict=False) if address.version == 6 else address)


def _read(text: str) -> IPv4Address | IPv6Address | None:
    if len(text) > MAX_NODE_CHARACTERS:
        return None
    node = _NODE.fullmatch(text)
    bare = text if node is None else node[1] or node[2]
    try:
        # A scope (fe80::1%eth0) is this machine's business, and a mapped address is an IPv4 one.
        address = ip_address(bare.partition("%")[0])
    except ValueError:
        return None
    return address.ipv4_mapped or address if isinstance(address, IPv6Address) else address
