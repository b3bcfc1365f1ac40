"""The installation under check, as it is seen from outside: where it is, and what it wants to be shown."""

from __future__ import annotations

import ssl
import time
from collections.abc import Sequence
from typing import Final

import jwt

from tidings.check.listening import Subscription
from tidings.check.sender import Sender
from tidings.check.settings import CheckSettings
from tidings.errors import SettingsError

TOKEN_SECONDS: Final = 3600


class Installation:
    """Publishers, gateways, and the accounts to check them with.

    Raises SettingsError for a client token that is no JWT, or that names fewer accounts than are to be checked.
    """

    def __init__(self, settings: CheckSettings) -> None:
        self._settings = settings
        self._tls = ssl.create_default_context()
        self.publishers = settings.ingest_url
        self.gateways = settings.gateway_url
        self.accounts = _accounts(settings)

    @property
    def can_combine(self) -> bool:
        """Whether one client may listen to any several accounts: it takes a token made for them."""
        return self._settings.jwt_secret is not None

    def sender(self) -> Sender:
        """A sender that the publishers let in."""
        token = self._settings.ingest_token
        return Sender(None if token is None else token.get_secret_value(), self._tls)

    def subscription(
        self, gateway: str, accounts: tuple[str, ...], types: tuple[str, ...], since: str | None
    ) -> Subscription:
        """What a client asks a gateway for, with a fresh token where one is needed."""
        return Subscription(gateway, accounts, types, self._token(accounts), since, self._tls)

    def _token(self, accounts: Sequence[str]) -> str | None:
        settings = self._settings
        if settings.client_token is not None:
            return settings.client_token.get_secret_value()
        if settings.jwt_secret is None:
            return None
        claims = {
            "sub": accounts[0],
            "accounts": list(accounts[1:]),
            "exp": int(time.time()) + TOKEN_SECONDS,
            "iss": settings.jwt_issuer,
            "aud": settings.jwt_audience,
        }
        given = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode(given, settings.jwt_secret.get_secret_value(), algorithm="HS256")


def _accounts(settings: CheckSettings) -> tuple[str, ...]:
    if settings.client_token is None:
        if settings.accounts == 1:
            return (settings.account,)
        return tuple(f"{settings.account}-{number}" for number in range(1, settings.accounts + 1))
    try:
        claims = jwt.decode(settings.client_token.get_secret_value(), options={"verify_signature": False})
        named = [str(name) for name in (claims["sub"], *claims.get("accounts", ()))]
    except (jwt.PyJWTError, KeyError, TypeError):
        raise SettingsError("TIDINGS_CLIENT_TOKEN is not a JWT with a sub, and accounts that are a list") from None
    if len(named) < settings.accounts:
        raise SettingsError(f"--accounts (TIDINGS_ACCOUNTS): TIDINGS_CLIENT_TOKEN names only {len(named)}")
    return tuple(named[: settings.accounts])
