"""Which hosts and origins mean this machine, or this site; a host may be a Unix socket. Pure."""

from __future__ import annotations

from typing import Final

from asyncio_pprof.loopback import authority, is_loopback, names_loopback

__all__ = ["is_loopback", "is_own_origin", "is_this_machine", "names_loopback", "unix_path"]

UNIX: Final = "unix:"


def unix_path(host: str) -> str | None:
    """The path of a host to listen on that is a Unix socket, as unix:PATH; None for any other."""
    return host.removeprefix(UNIX) if host.startswith(UNIX) else None


def is_this_machine(host: str) -> bool:
    """Whether only this machine reaches what listens on a host."""
    return is_loopback(host) or unix_path(host) is not None


def is_own_origin(origin: str, host: str) -> bool:
    """Whether an Origin (RFC 6454) is the site that the Host header names; TLS may have ended before us."""
    scheme, separator, rest = origin.lower().partition("://")
    if not separator or scheme not in ("http", "https"):
        return False
    own = authority(host, scheme)
    return own is not None and own == authority(rest, scheme)
