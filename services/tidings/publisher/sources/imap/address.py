"""Where an IMAP server is, and how its connections are protected. Pure."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple
from urllib.parse import urlsplit

from tidings.ops.http.loopback import is_loopback


class Protection(Enum):
    """TLS from the first byte (RFC 8314), after STARTTLS, or none, which only a server on this machine may have."""

    TLS = "tls"
    STARTTLS = "starttls"
    NONE = "none"


class Address(NamedTuple):
    """A server, and its URL as the state and the log have it."""

    host: str
    port: int
    protection: Protection

    @property
    def url(self) -> str:
        """The URL with its port."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'imaps' if self.protection is Protection.TLS else 'imap'}://{host}:{self.port}"


def address(url: str) -> Address:
    """The address in a URL that has been checked (ops.settings.urls)."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme == "imaps":
        return Address(host, parts.port or 993, Protection.TLS)
    return Address(host, parts.port or 143, Protection.NONE if is_loopback(host) else Protection.STARTTLS)
