"""Whose address counts."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from ipaddress import ip_network

import pytest

from tests.support.growth import growth
from tidings.gateway.limits.address import (
    MAX_HOPS,
    UNIX_PEER,
    Client,
    client_address,
    counted,
    forwarded_for,
    is_trusted,
)

PROXIES = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "address"),
    [
        ("203.0.113.9", "", "203.0.113.9"),
        ("203.0.113.9", "198.51.100.7", "203.0.113.9"),
        ("203.0.113.9", "nonsense", "203.0.113.9"),
        ("10.0.0.1", "198.51.100.7", "198.51.100.7"),
        ("10.0.0.1", "forged, 198.51.100.7", "198.51.100.7"),
        ("10.0.0.1", "192.0.2.1, 198.51.100.7, 10.9.9.9", "198.51.100.7"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "10.0.0.2", "10.0.0.2"),
        ("fd00::1", "2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:3::4", "", "2001:db8:1:2::/64"),
        ("::ffff:203.0.113.9", "", "203.0.113.9"),
        ("fe80::1%eth0", "", "fe80::/64"),
        ("", "198.51.100.7", ""),
        # A Unix socket, whose other end is a proxy on this machine.
        (UNIX_PEER, "198.51.100.7", "198.51.100.7"),
        (UNIX_PEER, "192.0.2.1, 198.51.100.7, 10.9.9.9", "198.51.100.7"),
        (UNIX_PEER, "", UNIX_PEER),
        # With a port, as Azure's and some of IIS's proxies write it.
        ("10.0.0.1", "198.51.100.9:443", "198.51.100.9"),
        ("10.0.0.1", "192.0.2.1:1, 198.51.100.9:65535, 10.0.0.2:80", "198.51.100.9"),
        ("10.0.0.1", "[2001:db8::1]:443", "2001:db8::/64"),
        ("10.0.0.1", "[2001:db8::1]", "2001:db8::/64"),
        ("10.0.0.1", "[::ffff:198.51.100.9]:443", "198.51.100.9"),
        ("10.0.0.1", "[fd00::2]:443", "fd00::/64"),
        ("10.0.0.1", "198.51.100.7, [fd00::2]:443", "198.51.100.7"),
    ],
)
def test_only_trusted_proxies_are_looked_through(peer: str, forwarded_for: str, address: str) -> None:
    assert client_address(peer, {"x-forwarded-for": forwarded_for}, PROXIES) == Client(address)


@pytest.mark.parametrize(
    ("forwarded", "address"),
    [
        ("for=198.51.100.7", "198.51.100.7"),
        ('For="198.51.100.7"', "198.51.100.7"),
        ("for=198.51.100.7:443", "198.51.100.7"),
        ('for="198.51.100.7:_port"', "198.51.100.7"),
        ('for="[2001:db8::1]"', "2001:db8::/64"),
        ('for="[2001:db8::1]:4711"', "2001:db8::/64"),
        ("for=[2001:db8::1]:4711", "2001:db8::/64"),
        ("by=10.0.0.1;for=198.51.100.7;host=a;proto=https", "198.51.100.7"),
        ("for=192.0.2.1, for=198.51.100.7", "198.51.100.7"),
        ("for=192.0.2.1,for=198.51.100.7;by=x , \tfor=10.0.0.2", "198.51.100.7"),
        ('host="a, for=192.0.2.1; \\" b";for=198.51.100.7', "198.51.100.7"),
        (";for=198.51.100.7;", "198.51.100.7"),
        ("secret;, for=198.51.100.7", "10.0.0.1"),
    ],
)
def test_so_they_are_by_the_header_of_the_rfc(forwarded: str, address: str) -> None:
    assert client_address("10.0.0.1", {"forwarded": forwarded}, PROXIES).address == address


@pytest.mark.parametrize(
    "headers",
    [
        {"x-forwarded-for": "nonsense"},
        {"x-forwarded-for": "198.51.100.7, "},
        {"x-forwarded-for": "198.51.100.7, unix:"},
        {"x-forwarded-for": "198.51.100.7:port"},
        {"x-forwarded-for": "198.51.100.7:123456"},
        {"x-forwarded-for": "[198.51.100.7"},
        {"x-forwarded-for": "[]:443"},
        {"x-forwarded-for": ":443"},
        {"x-forwarded-for": "1" * 10_000},
        {"forwarded": "for=unknown"},
        {"forwarded": "for=_hidden"},
        {"forwarded": "proto=https"},
        {"forwarded": "for=198.51.100.7,"},
        {"forwarded": "for=198.51.100.7 for=192.0.2.1"},
        {"forwarded": 'for="198.51.100.7'},
        {"forwarded": "for"},
        {"forwarded": "for="},
        {"forwarded": "=198.51.100.7"},
    ],
)
def test_what_is_no_address_counts_for_the_proxy_that_wrote_it_and_is_told(headers: dict[str, str]) -> None:
    assert client_address("10.0.0.1", headers, PROXIES) == Client("10.0.0.1", readable=False)


def test_what_a_proxy_of_ours_wrote_of_an_unknown_one_is_the_last_that_is_believed() -> None:
    headers = {"x-forwarded-for": "nonsense, 10.0.0.2"}
    assert client_address("10.0.0.1", headers, PROXIES) == Client("10.0.0.2", readable=False)


def test_where_both_headers_are_given_the_older_one_counts() -> None:
    headers = {"x-forwarded-for": "198.51.100.7", "forwarded": "for=192.0.2.1"}
    assert client_address("10.0.0.1", headers, PROXIES) == Client("198.51.100.7")


@pytest.mark.parametrize("header", ["x-forwarded-for", "forwarded"])
def test_a_chain_without_end_is_followed_for_a_while(header: str) -> None:
    prefix = "for=" if header == "forwarded" else ""
    chain = [f"10.1.{number // 256}.{number % 256}" for number in range(1000)]
    text = ", ".join(f"{prefix}{address}" for address in chain)
    assert client_address("10.0.0.1", {header: text}, PROXIES).address == chain[-MAX_HOPS]


@pytest.mark.parametrize(
    "piece", ["for=", "for=1,", ",", ";", " ", "\t,", 'for="', 'a="\\"', '\\"', 'for="x";', "[", "1.", "for", '"', "=,"]
)
@pytest.mark.parametrize("header", ["x-forwarded-for", "forwarded"])
def test_the_time_it_takes_grows_with_the_header(header: str, piece: str) -> None:
    def run(count: int) -> Callable[[], object]:
        return partial(client_address, "10.0.0.1", {header: piece * count}, PROXIES)

    assert growth(run, 20_000) < 3


@pytest.mark.parametrize(
    ("peer", "address", "trusted"),
    [
        ("10.0.0.1", "10.0.0.1", True),
        ("::ffff:10.0.0.1", "10.0.0.1", True),
        ("192.0.2.1", "192.0.2.1", False),
        ("fd00::1", "fd00::/64", True),
        ("2001:db8::1", "2001:db8::/64", False),
        ("", "", False),
        (UNIX_PEER, UNIX_PEER, True),
    ],
)
def test_a_peer_counts_by_itself_before_it_has_said_anything(peer: str, address: str, trusted: bool) -> None:
    assert (counted(peer), is_trusted(peer, PROXIES)) == (address, trusted)


def test_a_request_that_is_passed_on_says_whom_it_is_from() -> None:
    trusted = [ip_network("10.0.0.0/8")]
    named = {"x-forwarded-for": "192.0.2.9, unknown, 2001:db8::7"}
    assert forwarded_for("192.0.2.1", named, trusted) == "192.0.2.1"
    assert forwarded_for("10.0.0.1", named, trusted) == "192.0.2.9, 2001:db8::7, 10.0.0.1"
    assert forwarded_for("10.0.0.1", {}, trusted) == "10.0.0.1"
    assert forwarded_for("", {}, trusted) == ""
