"""Who may tell changes: a storage that knows a token, or, without tokens, a program on this machine."""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Mapping, Sequence
from typing import Final

from tidings.errors import RequestRejected, SettingsError
from tidings.ops.auth import is_loopback, names_loopback
from tidings.ops.tokens import Tokens, bearer
from tidings.publisher.settings import PublisherSettings

CHALLENGE: Final = 'Bearer realm="tidings", Basic realm="tidings"'
"""The WWW-Authenticate header of a 401 (RFC 9110 section 11.6.1)."""


class IngestAccess:
    """Admits an ingest request or rejects it. Any token may name any account."""

    def __init__(self, tokens: Sequence[str], *, loopback_hosts_only: bool) -> None:
        self._tokens = Tokens(tokens)
        self._loopback_hosts_only = loopback_hosts_only

    def admit(self, headers: Mapping[str, str]) -> None:
        """Check a request's headers, looked up in lower case.

        Raises RequestRejected: 401 without a token that is known, 403 for what a web page may have sent.
        """
        if self._tokens:
            self._check_token(headers.get("authorization", ""))
            return
        # Nothing but the address protects the listener here. A page in this machine's browser can reach it too:
        # it cannot help sending an Origin, and a name that it rebinds to 127.0.0.1 shows in Host.
        if "origin" in headers:
            raise RequestRejected(403, "web_page", "without tokens no web page may tell changes")
        if self._loopback_hosts_only and not names_loopback(headers.get("host", "")):
            raise RequestRejected(403, "foreign_host", "without tokens only loopback names are served")

    def _check_token(self, authorization: str) -> None:
        if not self._tokens.know(_token(authorization)):
            raise RequestRejected(401, "bad_token", "a token is required, as Bearer or as Basic password")


def ingest_access(settings: PublisherSettings) -> IngestAccess:
    """The access rules for a listener with these settings.

    Raises SettingsError when they would let the whole network tell changes.
    """
    if settings.ingest_tokens is not None:
        tokens = [token.strip() for token in settings.ingest_tokens.get_secret_value().split(",")]
        if not all(tokens):
            raise SettingsError("TIDINGS_INGEST_TOKENS holds an empty token: list them as one,two")
        return IngestAccess(tokens, loopback_hosts_only=False)
    if not settings.insecure and not is_loopback(settings.host):
        raise SettingsError(
            f"--host {settings.host} would let the network tell changes: set TIDINGS_INGEST_TOKENS, or --insecure"
        )
    return IngestAccess((), loopback_hosts_only=not settings.insecure)


def _token(authorization: str) -> bytes:
    """The token in an Authorization header: Bearer (RFC 6750), or the password of Basic (RFC 7617)."""
    scheme, _, credentials = authorization.partition(" ")
    if scheme.lower() != "basic":
        return bearer(authorization)
    try:
        return b64decode(credentials.strip().encode("latin-1", "replace"), validate=True).partition(b":")[2]
    except binascii.Error:
        return b""
