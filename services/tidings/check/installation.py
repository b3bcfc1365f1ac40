"""The installation under check, as it is seen from outside: where it is, and what it wants to be shown."""

from __future__ import annotations

import ssl
import time
from collections.abc import Sequence
from typing import Final

import jwt

from tidings.auth.client_settings import ClientSettings
from tidings.auth.minting import minted
from tidings.check.listening import Subscription
from tidings.check.sender import Sender
from tidings.check.settings import CheckSettings
from tidings.errors import SettingsError

TOKEN_SECONDS: Final = 3600


def shown_token(settings: ClientSettings, accounts: Sequence[str]) -> str | None:
    """What a client of these accounts shows a gateway: the token that is given, a fresh one, or nothing."""
    if settings.client_token is not None:
        return settings.client_token.get_secret_value()
    if settings.jwt_secret is None:
        return None
    return minted(
        settings.jwt_secret.get_secret_value(),
        accounts,
        int(time.time()) + TOKEN_SECONDS,
        settings.jwt_account_claim,
        settings.jwt_issuer,
        settings.jwt_audience,
    )


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
        return Subscription(gateway, accounts, types, shown_token(self._settings, accounts), since, self._tls)


def _accounts(settings: CheckSettings) -> tuple[str, ...]:
    if settings.client_token is None:
        if settings.accounts == 1:
            return (settings.account,)
        return tuple(f"{settings.account}-{number}" for number in range(1, settings.accounts + 1))
    try:
        claims = jwt.decode(settings.client_token.get_secret_value(), options={"verify_signature": False})
        named = [str(name) for name in (claims[settings.jwt_account_claim], *claims.get("accounts", ()))]
    except (jwt.PyJWTError, KeyError, TypeError):
        raise SettingsError(
            f"TIDINGS_CLIENT_TOKEN is not a JWT with the claim {settings.jwt_account_claim} and a list of accounts"
        ) from None
    if len(named) < settings.accounts:
        raise SettingsError(f"--accounts (TIDINGS_ACCOUNTS): TIDINGS_CLIENT_TOKEN names only {len(named)} accounts")
    return tuple(named[: settings.accounts])
