"""What a setting's value may be, beyond its type: text, numbers, lists, networks, claims. Pure.

A check returns the value or raises ValueError, whose text goes on from the setting's name. URLs and secrets have
modules of their own.
"""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_network
from typing import Annotated, Final

from pydantic import AfterValidator, BeforeValidator, Field

RESERVED_CLAIMS: Final = frozenset({"exp", "accounts", "iss", "aud", "nbf", "iat", "jti"})
"""Claims that say something else than whose a token is."""
SHOWN: Final = 100
"""Characters of a wrong value that an error repeats."""

Network = IPv4Network | IPv6Network


def split_list(value: object) -> object:
    """The parts of a setting that is repeatable or comma-separated."""
    listed = [value] if isinstance(value, str) else value
    if not isinstance(listed, list | tuple):
        return value
    return [part.strip() for item in listed for part in str(item).split(",") if part.strip()]


def networks(value: object) -> object:
    """Networks, from a list or comma-separated."""
    listed = split_list(value)
    if not isinstance(listed, list):
        return listed
    return [_network(each) for each in listed]


def _network(text: str) -> Network:
    try:
        return ip_network(text)
    except ValueError:
        pass
    try:
        meant = f": write {ip_network(text, strict=False)}"
    except ValueError:
        meant = ", such as 10.0.0.0/8 or fd00::/8"
    raise ValueError(f"{text[:SHOWN]!r} is not a network{meant}")


def not_everybody(value: tuple[Network, ...]) -> tuple[Network, ...]:
    """Networks that some addresses are outside of. Raises ValueError for those that all of IPv4 or IPv6 are in."""
    together: list[Network] = [*collapse_addresses(each for each in value if isinstance(each, IPv4Network))]
    together += collapse_addresses(each for each in value if isinstance(each, IPv6Network))
    for network in together:
        if not network.prefixlen:
            raise ValueError(
                f"{network} is every address, so every client could claim any address: name the networks of proxies"
            )
    return value


def zero_or_at_least(least: float) -> AfterValidator:
    """A number that is 0, which has a meaning of its own, or not absurdly small."""

    def check(value: float) -> float:
        if value and value < least:
            raise ValueError(f"must be 0, or at least {least}")
        return value

    return AfterValidator(check)


def plain_text(value: str) -> str:
    """Text without the white space around it. Raises ValueError for none, and for control characters."""
    text = value.strip()
    if not text:
        raise ValueError("is empty: leave it out to have the default")
    if any(ord(character) < 0x20 or ord(character) == 0x7F for character in text):
        raise ValueError("holds a control character, such as the end of a line")
    return text


def account_claim(value: str) -> str:
    """The name of the claim that is a token's primary account."""
    if value in RESERVED_CLAIMS:
        raise ValueError(f"{value} has another meaning in tokens: name another claim")
    return value


AccountClaim = Annotated[str, Field(pattern=r'^[^"\\\x00-\x1f]{1,255}$'), AfterValidator(account_claim)]
Port = Annotated[int, Field(ge=0, le=65535)]
ProxyNetworks = Annotated[tuple[Network, ...], BeforeValidator(networks), AfterValidator(not_everybody)]
