"""Tokens that this installation makes for the push URLs of a session that somebody else vouches for. Pure.

Their key is made of the HS256 secret, and is another one: a push URL gets into logs and histories, and whoever finds
one there learns that mail changed until it ends, and can neither read mail nor make tokens with it.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import Final

import msgspec

from tidings.auth import hs256
from tidings.auth.claims import MAX_ACCOUNTS, narrowed
from tidings.auth.identity import Identity
from tidings.errors import RequestRejected
from tidings.wire.change import account_fault

TOKEN_SECONDS: Final = 24 * 3600
"""How long one is good: stock clients fetch a session once, and connect again and again with what they found in it."""
MAX_ACCOUNT_BYTES: Final = 2_048
"""Of the names in one: proxies in front take 4 or 8 KiB of a URL, and a token is a third longer than what it says."""
_PURPOSE: Final = b"tidings push token 1"


class PushToken(msgspec.Struct, frozen=True, gc=False):
    """What one says: whom it speaks for, until when in Unix seconds, and the path of the JMAP server's API.

    `accounts` begins with the primary one. `api` is empty where requests are not passed on.
    """

    accounts: tuple[str, ...]
    exp: float
    api: str = ""

    def identity(self, query: Mapping[str, str], now: float) -> Identity:
        """Whom it speaks for at `now`, in Unix seconds; `?account=` narrows it to one of its accounts.

        Raises RequestRejected with 401 or 403.
        """
        if now >= self.exp:
            raise RequestRejected(401, "expired_token", "the token has expired: fetch the session again")
        return Identity(self.accounts[0], narrowed(self.accounts, query), self.exp)


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(PushToken).decode


def tellable(accounts: tuple[str, ...]) -> tuple[str, ...]:
    """The first of these accounts that a token has room for, without those that no change can be of."""
    found: list[str] = []
    room = MAX_ACCOUNT_BYTES
    for account in accounts:
        room -= len(account.encode()) + 3
        if room < 0 or len(found) == MAX_ACCOUNTS:
            break
        if not account_fault(account):
            found.append(account)
    return tuple(found)


class PushTokens:
    """Makes and reads them. Every process that has the same secret reads what another has made."""

    def __init__(self, secret: str) -> None:
        self._key = hmac.digest(hs256.key(secret), _PURPOSE, "sha256")

    def make(self, token: PushToken) -> str:
        """One as it stands in a URL."""
        return hs256.sign(_encode(token), self._key)

    def read(self, text: str) -> PushToken | None:
        """What one says, expired or not; None for what was not made here."""
        said = hs256.payload(text, self._key)
        return None if said is None else _decode(said)
