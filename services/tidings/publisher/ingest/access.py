"""Who may tell changes: a storage that knows a token, or, without tokens, a program on this machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from tidings.errors import RequestRejected, SettingsError
from tidings.ops.http.bearer import Tokens
from tidings.ops.http.credentials import basic_password, bearer
from tidings.ops.http.loopback import is_this_machine, names_loopback
from tidings.ops.http.refusals import Refusals
from tidings.publisher.settings import PublisherSettings

CHALLENGE: Final = 'Bearer realm="tidings", Basic realm="tidings"'
"""The WWW-Authenticate header of a 401 (RFC 9110 section 11.6.1)."""


class IngestAccess:
    """Admits an ingest request or rejects it. Any token may name any account.

    Whoever answers a rejection tells `refusals`.
    """

    def __init__(self, tokens: Sequence[str], *, loopback_hosts_only: bool) -> None:
        self.refusals = Refusals("ingest")
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
            raise RequestRejected(403, "web_page", "without tokens, requests from web pages are refused")
        if self._loopback_hosts_only and not names_loopback(headers.get("host", "")):
            raise RequestRejected(403, "foreign_host", "without tokens, Host must be a loopback name")

    def _check_token(self, authorization: str) -> None:
        if not self._tokens.know(bearer(authorization) or basic_password(authorization)):
            raise RequestRejected(401, "bad_token", "a token is required, as Bearer or as Basic password")


def ingest_access(settings: PublisherSettings) -> IngestAccess:
    """The access rules for a listener with these settings.

    Raises SettingsError when they would let the whole network tell changes.
    """
    if settings.ingest_tokens is not None:
        tokens = [token.strip() for token in settings.ingest_tokens.get_secret_value().split(",")]
        return IngestAccess(tokens, loopback_hosts_only=False)
    if not settings.insecure and not is_this_machine(settings.host):
        raise SettingsError(
            f"--host {settings.host} would let the network send changes: set TIDINGS_INGEST_TOKENS, or --insecure"
        )
    return IngestAccess((), loopback_hosts_only=not settings.insecure)
