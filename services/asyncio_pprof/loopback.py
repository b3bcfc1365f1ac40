"""Which hosts mean this machine. Pure."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit


def is_loopback(host: str) -> bool:
    """Whether a host name or address, without port, can only mean this machine."""
    name = host.strip("[]").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


def authority(value: str, scheme: str) -> tuple[str, int | None] | None:
    """Host and port of an authority (RFC 3986), the scheme's default port made explicit; None for what is none."""
    try:
        parts = urlsplit(f"{scheme}://{value}")
        port = parts.port
    except ValueError:
        return None
    if not parts.hostname or parts.username is not None or parts.path or parts.query or parts.fragment:
        return None
    return parts.hostname, port or {"http": 80, "https": 443}.get(scheme)


def names_loopback(host: str) -> bool:
    """Whether a Host header, with or without port, can only mean this machine."""
    found = authority(host, "http")
    return found is not None and is_loopback(found[0])
